//! The request of each row: good enough that only the caller decides about the answer.

use reqwest::Method;
use serde_json::{Value, json};

use super::callers::Caller;
use super::request::Probe;
use super::stock::unique;
use super::table::Row;
use super::world::World;

pub(super) fn replace(path: &str, value: impl Into<Value>) -> Value {
    json!([{"op": "replace", "path": path, "value": value.into()}])
}

pub(super) fn operation(name: &str) -> Value {
    json!({"operation": name})
}

pub(super) fn named(what: &str) -> Value {
    json!({"name": unique(what), "description": "d"})
}

pub(super) fn permission() -> Value {
    json!({"target": unique("target"), "action": "read"})
}

impl World {
    pub async fn probe(&self, row: &Row, caller: &Caller) -> Probe {
        if !row.path.starts_with("/api/") {
            return self.at_provider(row);
        }
        if row.variant == "own" {
            return self.about_own(row, caller).await;
        }
        if !row.variant.is_empty() {
            return self.special(row, caller).await;
        }
        match row.method.as_str() {
            "GET" => self.reading(row),
            "POST" => self.posting(row, caller).await,
            "DELETE" => self.deleting(row, caller).await,
            _ => self.changing(row, caller).await,
        }
    }

    fn at_provider(&self, row: &Row) -> Probe {
        let metadata =
            || json!({"client_name": unique("New"), "redirect_uris": ["https://new.test/cb"]});
        match row.route().as_str() {
            "POST /{group}/token" => Probe::form(&[("grant_type", "client_credentials")]),
            "POST /{group}/token/introspection" | "POST /{group}/token/revocation" => {
                Probe::form(&[("token", "nothing")])
            }
            "POST /{group}/token/initial-access" | "POST /{group}/token/simple-iat" => {
                Probe::sends(json!({}))
            }
            "POST /{group}/reg" => Probe::sends(metadata()),
            "PUT /{group}/reg/{id}" => {
                let mut body = metadata();
                body["client_id"] = json!(self.id("client"));
                body["auth_group"] = json!(self.id("group"));
                Probe::sends(body)
            }
            _ => Probe::default(),
        }
    }

    fn reading(&self, row: &Row) -> Probe {
        match row.path.as_str() {
            "/api/account/groups" => Probe::asks("?lookup=owner@shop.test"),
            "/api/{group}/account/login/options" => Probe::asks("?lookup=cole@shop.test"),
            path if path.ends_with("/accounts/search") => Probe::asks("?q=cole"),
            "/api/{group}/access/product/{product}/key/service" => Probe::asks(&format!(
                "?$filter=organizationId%20eq%20'{}'",
                self.id("A")
            )),
            _ => Probe::default(),
        }
    }

    async fn posting(&self, row: &Row, caller: &Caller) -> Probe {
        let a = || self.id("A");
        match row.path.as_str() {
            "/api/init" => Probe::sends(
                json!({"setupCode": self.server.root.setup_code, "password": "N3w!passw0rd"}),
            ),
            "/api/{group}/webauthn/bind" => Probe::sends(json!({"state": "s"})),
            "/api/{group}/webauthn/finish" => Probe::sends(json!({"state": "s", "credential": {}})),
            "/api/{group}/webauthn/authenticate" => {
                Probe::sends(json!({"email": "nobody@shop.test"}))
            }
            "/api/group" => {
                let name = unique("new");
                Probe::sends(json!({
                    "name": name, "prettyName": name, "owner": "o@new.test", "primaryEmail": "o@new.test",
                    "primaryDomain": "https://new.test", "primaryTOS": "https://new.test/t", "primaryPrivacyPolicy": "https://new.test/p",
                }))
            }
            "/api/group/{id}/alias-dns" => Probe::sends(json!({"aliasDnsUi": "ui.shop.test"})),
            "/api/plugins/global/notifications" => Probe::sends(
                json!({"enabled": true, "notificationServiceUri": self.service.url, "currentVersion": self.version().await}),
            ),
            path if path.starts_with("/api/plugins/global/") => {
                Probe::sends(json!({"enabled": false, "currentVersion": self.version().await}))
            }
            "/api/{group}/account" => {
                let email = format!("{}@shop.test", unique("new"));
                Probe::sends(json!({"email": email, "username": email, "password": "N3w!passw0rd"}))
            }
            "/api/{group}/accounts" => {
                Probe::sends(json!([{"email": format!("{}@shop.test", unique("new"))}]))
            }
            "/api/{group}/account/start-recovery" => {
                let codes: Vec<_> = (0..10).map(|number| format!("code{number}")).collect();
                Probe::sends(json!({"email": self.colleague.email, "codes": codes}))
            }
            "/api/{group}/setpass" => Probe::sends(json!({"password": "N3w!passw0rd"})),
            "/api/{group}/operations" => Probe::sends(operation("rotate_cookie_keys")),
            "/api/{group}/operations/client/{id}" => {
                Probe::of(self.new_client().await).body(operation("rotate_secret"))
            }
            "/api/{group}/operations/user/{id}" => {
                Probe::of(self.new_account(None).await).body(operation("generate_password"))
            }
            "/api/{group}/operations/organization/{org}/user/{id}" => {
                Probe::sends(operation("password_reset"))
            }
            "/api/{group}/operations/reset-user-password"
            | "/api/{group}/operations/resend-verify-email" => {
                Probe::sends(json!({"email": self.colleague.email}))
            }
            "/api/{group}/notification" | "/api/{group}/organization/{org}/notification" => {
                Probe::sends(self.message(None))
            }
            "/api/{group}/organizations" => Probe::sends(
                json!({"name": unique("Org"), "description": "d", "contactEmail": "a@org.test", "type": "customer"}),
            ),
            "/api/{group}/organizations/{org}/domains" => Probe::sends(named("Domain")),
            "/api/{group}/products" => {
                Probe::sends(json!({"name": unique("Product"), "description": "d", "type": "app"}))
            }
            "/api/{group}/products/{product}/roles" => Probe::sends(named("Role")),
            "/api/{group}/products/{product}/permission" => Probe::sends(permission()),
            "/api/{group}/products/{product}/permissions" => Probe::sends(json!([permission()])),
            "/api/{group}/access/product/{product}/key/service" => {
                Probe::sends(json!({"name": unique("Service"), "organizationId": a()}))
            }
            "/api/{group}/access/product/{product}/key" => {
                Probe::sends(json!({"name": unique("Key"), "clientId": self.id("service")}))
            }
            "/api/{group}/profile" => {
                Probe::sends(json!({"accountId": caller.id, "givenName": "Ann"}))
            }
            "/api/{group}/profile/request/{account_id}" => {
                Probe::sends(json!({"type": "access", "requestDetails": "please"}))
            }
            "/api/{group}/organization/{org}/profiles" => {
                let account = self.new_account(Some("A")).await;
                Probe::sends(json!({"accountId": account, "givenName": "Ann"}))
            }
            "/api/{group}/organizations/{org}/profiles/account/{id}" => {
                Probe::sends(json!({"request": "remain"}))
            }
            "/api/{group}/notification/process" | "/api/{group}/{function}/callback" => {
                Probe::sends(json!({}))
            }
            "/api/{group}/mfa/callback" => {
                let details = json!({"uid": "nothing", "accountId": self.colleague.id});
                Probe::sends(json!({"id": "nothing", "action": 0, "interactionDetails": details}))
            }
            "/api/{group}/devices/enrol" => {
                Probe::sends(json!({"code": "none", "key": {}, "signed": "none"}))
            }
            "/api/{group}/devices/enrolments" => Probe::default(),
            "/api/{group}/devices/challenges/{key}" => Probe::sends(json!({"signed": "none"})),
            "/api/{group}/mfa/instructions" => Probe::sends(json!({"state": "s"})),
            "/api/{group}/mfa/proof"
            | "/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/code" => {
                Probe::sends(json!({"state": "s", "code": "000000"}))
            }
            "/api/{group}/mfa/safe-recovery" => {
                Probe::sends(json!({"state": "s", "selection": "device"}))
            }
            "/api/{group}/device/challenge" => {
                Probe::sends(json!({"lookup": self.colleague.email, "state": "s"}))
            }
            path => panic!("say what {} sends to {path}", caller.code),
        }
    }

    pub async fn version(&self) -> Value {
        let token = &self.tenant.root_token;
        self.by(token, Method::GET, "/api/plugins/global", Value::Null)
            .await["version"]
            .clone()
    }

    async fn changing(&self, row: &Row, caller: &Caller) -> Probe {
        let roles = |list: Value| json!({"roles": list});
        match row.route().as_str() {
            "PATCH /api/group/{id}" => Probe::sends(replace("/primaryEmail", "help@shop.test")),
            "PATCH /api/{group}/account/{id}" => {
                let id = self.new_account(None).await;
                Probe::of(id).body(replace("/username", unique("renamed")))
            }
            "PUT /api/{group}/updatecore" | "PUT /api/{group}/account/codes" => {
                Probe::sends(json!({}))
            }
            "PUT /api/{group}/account/panic" => Probe::sends(json!({"email": caller.email})),
            "PUT /api/{group}/account/recover" => {
                Probe::sends(json!({"email": self.colleague.email, "password": "N3w!passw0rd"}))
            }
            "PUT /api/{group}/access/client/{id}/product/{product}" => {
                Probe::of(self.new_client().await).body(roles(json!([self.id("role")])))
            }
            "PUT /api/{group}/access/organization/{org}/account/{id}" => {
                Probe::of(self.new_account(Some("A")).await)
                    .body(json!({"roles": [], "domains": []}))
            }
            "PUT /api/{group}/access/organization/{org}/accounts" => self.bulk().await,
            "PUT /api/{group}/access/organizations/{org}/terms" => {
                Probe::sends(json!({"action": "accept"}))
            }
            "PUT /api/{group}/organization/{org}/account" => {
                let email = format!("{}@shop.test", unique("known"));
                let body =
                    json!({"email": email, "username": email, "password": format!("{email}!1")});
                self.owner(Method::POST, "account", body).await;
                Probe::sends(json!({"email": email}))
            }
            "PUT /api/{group}/organization/{org}/accounts" => {
                Probe::sends(json!([self.new_account(None).await]))
            }
            "PATCH /api/{group}/organizations/{id}" | "PATCH /api/{group}/products/{id}" => {
                Probe::sends(replace("/description", "new"))
            }
            "PATCH /api/{group}/organizations/{org}/domains/{id}" => {
                Probe::of(self.new_domain().await).body(replace("/description", "new"))
            }
            "PATCH /api/{group}/products/{product}/roles/{id}" => {
                Probe::of(self.new_role("product").await).body(replace("/description", "new"))
            }
            "PUT /api/{group}/organizations/{org}/products/{product}/roles" => {
                Probe::sends(named("Custom"))
            }
            "PATCH /api/{group}/organizations/{org}/products/{product}/roles/{id}" => {
                Probe::of(self.new_custom_role().await).body(replace("/description", "new"))
            }
            "PUT /api/{group}/access/product/{product}/key/service/{clientId}" => {
                let service = self.new_service().await;
                Probe::default()
                    .with("clientId", service)
                    .body(roles(json!([self.id("role")])))
            }
            "PUT /api/{group}/access/product/{product}/key/{id}" => {
                Probe::of(self.new_key().await.1)
            }
            "PUT /api/{group}/notification/{id}/process" => Probe::default(),
            "PUT /api/{group}/devices/subscription" => Probe::sends(json!({"signed": "none"})),
            "PATCH /api/{group}/account/{id}/devices/{device}" => {
                Probe::sends(json!({"name": "Phone"}))
            }
            "PUT /api/{group}/device/challenge" => Probe::sends(
                json!({"title": "t", "header": "h", "message": "m", "lookup": self.colleague.email}),
            ),
            "PATCH /api/{group}/profile" => Probe::sends(replace("/givenName", "Bea")),
            "PATCH /api/{group}/profile/request/{id}" => {
                Probe::of(self.new_request(&self.friend).await).body(json!({"action": "denied"}))
            }
            "PATCH /api/{group}/organization/{org}/profile/{id}" => {
                Probe::of(self.fresh_org_profile().await).body(replace("/givenName", "Bea"))
            }
            route => panic!("say what {} sends to {route}", caller.code),
        }
    }

    async fn bulk(&self) -> Probe {
        let account = self.new_account(Some("A")).await;
        Probe::sends(json!({"accounts": [account], "domains": [self.id("domain")]}))
    }

    async fn fresh_org_profile(&self) -> String {
        let account = self.new_account(Some("A")).await;
        self.new_org_profile(&account).await
    }

    async fn deleting(&self, row: &Row, caller: &Caller) -> Probe {
        match row.path.as_str() {
            "/api/{group}/account/{id}" => Probe::of(self.new_account(None).await),
            "/api/{group}/client/{id}" => Probe::of(self.new_client().await),
            "/api/{group}/access/client/{id}/product/{product}" => {
                let (client, product) = (self.new_client().await, self.id("product"));
                let path = format!("access/client/{client}/product/{product}");
                self.owner(Method::PUT, &path, json!({"roles": []})).await;
                Probe::of(client)
            }
            "/api/{group}/access/organization/{org}/account/{id}" => {
                Probe::of(self.new_account(Some("A")).await)
            }
            "/api/{group}/access/organization/{org}/accounts" => self.bulk().await,
            "/api/{group}/organization/{org}/accounts" => {
                Probe::sends(json!([self.new_account(Some("A")).await]))
            }
            // whoever acts in one organization only is asked about that one
            "/api/{group}/organizations/{id}" if caller.is_broad() => {
                Probe::of(self.new_organization().await.0)
            }
            "/api/{group}/organizations/{id}"
            | "/api/group/{id}/alias-dns/{target}"
            | "/api/{group}/account/{id}/passkeys/{passkey}"
            | "/api/{group}/account/{id}/devices/{device}"
            | "/api/{group}/profile" => Probe::default(),
            "/api/{group}/organizations/{org}/domains/{id}" => Probe::of(self.new_domain().await),
            "/api/{group}/products/{id}" => Probe::of(self.new_product().await),
            "/api/{group}/products/{product}/permissions" => {
                Probe::sends(json!([self.new_permission("product").await]))
            }
            "/api/{group}/products/{product}/permissions/{id}" => {
                Probe::of(self.new_permission("product").await)
            }
            "/api/{group}/products/{product}/roles/{id}" => {
                Probe::of(self.new_role("product").await)
            }
            "/api/{group}/organizations/{org}/products/{product}/roles/{id}" => {
                Probe::of(self.new_custom_role().await)
            }
            "/api/{group}/access/product/{product}/key/service/{clientId}" => {
                Probe::default().with("clientId", self.new_service().await)
            }
            "/api/{group}/access/product/{product}/key/{id}" => Probe::of(self.new_key().await.1),
            "/api/{group}/notification/{id}"
            | "/api/{group}/organization/{org}/notification/{id}" => {
                Probe::of(self.new_notification(None).await)
            }
            "/api/{group}/profile/access/{id}" => Probe::of(self.new_access(&self.friend).await),
            "/api/{group}/profile/request/{id}" | "/api/{group}/profile/snapshot/{id}" => {
                Probe::of(self.new_request(&self.friend).await)
            }
            "/api/{group}/organization/{org}/profile/{id}" => {
                Probe::of(self.fresh_org_profile().await)
            }
            path => panic!("say what {} deletes at {path}", caller.code),
        }
    }
}
