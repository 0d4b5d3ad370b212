//! Objects in the group's rooms: those that are asked about, and fresh ones for requests that
//! change or delete.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use super::callers::Caller;
use super::world::World;
use crate::answer::send;
use crate::flow::text;

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub fn id(value: &Value) -> String {
    text(&value["id"]).to_owned()
}

/// A name that nothing else has.
pub fn unique(what: &str) -> String {
    format!("{what}{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// Calls the API; answers `data` of what must have worked.
    pub async fn by(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.attempt(token, method.clone(), path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer["data"].clone()
    }

    async fn attempt(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.server.url))
            .bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = send(request).await;
        let body = serde_json::from_str(&answer.text).unwrap_or_default();
        (answer.status, body)
    }

    pub async fn owner(&self, method: Method, path: &str, body: Value) -> Value {
        let path = format!("/api/{}/{path}", self.tenant.group);
        self.by(&self.tenant.owner_token, method, &path, body).await
    }

    async fn create_at(&self, path: &str, body: Value) -> String {
        id(&self.owner(Method::POST, path, body).await)
    }

    /// Puts an account into an organization.
    pub async fn give(&self, organization: &str, account: &str, what: Value) {
        let path = format!(
            "access/organization/{}/account/{account}",
            self.id(organization)
        );
        self.owner(Method::PUT, &path, what).await;
    }

    /// The objects that requests which change nothing are about.
    pub async fn stock_up(&mut self) {
        let nothing = json!({"roles": [], "domains": [self.id("domain")]});
        let colleague = self.colleague.id.clone();
        self.give("A", &colleague, nothing).await;
        let accepting = json!([
            {"op": "replace", "path": "/acceptingProfileRequests", "value": true},
            {"op": "replace", "path": "/verified", "value": true},
        ]);
        self.owner(Method::PATCH, &format!("account/{colleague}"), accepting)
            .await;
        let group = self.tenant.group.clone();
        let profile = format!("/api/{group}/profile");
        let name = json!({"accountId": colleague, "givenName": "Cole"});
        self.by(&self.colleague_token, Method::POST, &profile, name)
            .await;
        let permission = self.new_permission("product").await;
        let role = self.new_role("product").await;
        let (service, key) = self.new_key().await;
        let request = self.new_request(&self.friend).await;
        let access = self.new_access(&self.friend).await;
        let known = [
            ("permission", permission),
            ("role", role),
            ("custom role", self.new_custom_role().await),
            (
                "client",
                text(&self.tenant.web_client(json!({})).await["client_id"]).to_owned(),
            ),
            ("service", service),
            ("key", key),
            ("notification", self.new_notification(None).await),
            ("org profile", self.new_org_profile(&colleague).await),
            ("request", request),
            ("access", access),
        ];
        self.ids.extend(known);
    }

    pub async fn new_product(&self) -> String {
        let body = json!({"name": unique("Product"), "description": "d", "type": "app"});
        self.create_at("products", body).await
    }

    /// The ids of an organization and of its first domain.
    pub async fn new_organization(&self) -> (String, String) {
        let body = json!({
            "name": unique("Org"), "description": "d", "contactEmail": "a@org.test", "type": "customer",
        });
        let made = self.owner(Method::POST, "organizations", body).await;
        (id(&made["organization"]), id(&made["domain"]))
    }

    /// Lets an organization use products.
    pub async fn license(&self, organization: &str, products: &[&str]) {
        let add = |product: &&str| json!({"op": "add", "path": "/associatedProducts/-", "value": product});
        let patch: Vec<_> = products.iter().map(add).collect();
        let path = format!("organizations/{organization}");
        self.owner(Method::PATCH, &path, json!(patch)).await;
    }

    pub async fn new_domain(&self) -> String {
        let body = json!({"name": unique("Domain"), "description": "d"});
        let path = format!("organizations/{}/domains", self.id("A"));
        self.create_at(&path, body).await
    }

    pub async fn new_permission(&self, product: &str) -> String {
        let body = json!({"target": unique("target"), "action": "read"});
        let path = format!("products/{}/permission", self.id(product));
        self.create_at(&path, body).await
    }

    pub async fn new_role(&self, product: &str) -> String {
        let body = json!({"name": unique("Role"), "description": "d"});
        self.create_at(&format!("products/{}/roles", self.id(product)), body)
            .await
    }

    pub async fn new_custom_role(&self) -> String {
        let (organization, product) = (self.id("A"), self.id("product"));
        let body = json!({"name": unique("Custom"), "description": "d"});
        let path = format!("organizations/{organization}/products/{product}/roles");
        id(&self.owner(Method::PUT, &path, body).await)
    }

    pub async fn new_service(&self) -> String {
        let body = json!({"name": unique("Service"), "organizationId": self.id("A")});
        let path = format!("access/product/{}/key/service", self.id("product"));
        let made = self.owner(Method::POST, &path, body).await;
        text(&made["clientId"]).to_owned()
    }

    /// A key service of organization A and a key of it.
    pub async fn new_key(&self) -> (String, String) {
        let service = self.new_service().await;
        let body = json!({"clientId": service, "name": unique("Key")});
        let path = format!("access/product/{}/key", self.id("product"));
        let key = self.create_at(&path, body).await;
        (service, key)
    }

    pub async fn new_client(&self) -> String {
        text(&self.tenant.web_client(json!({})).await["client_id"]).to_owned()
    }

    /// An account of the group with this organization, or with none.
    pub async fn new_account(&self, organization: Option<&str>) -> String {
        let email = format!("{}@shop.test", unique("fresh"));
        let body = json!({"email": email, "username": email, "password": format!("{email}!1")});
        let made = self.create_at("account", body).await;
        if let Some(organization) = organization {
            self.give(organization, &made, json!({"roles": [], "domains": []}))
                .await;
        }
        made
    }

    /// A message in organization A, for the colleague or whom else.
    pub async fn new_notification(&self, recipient: Option<&Caller>) -> String {
        let path = format!("organization/{}/notification", self.id("A"));
        self.create_at(&path, self.message(recipient)).await
    }

    pub fn message(&self, recipient: Option<&Caller>) -> Value {
        let recipient = recipient.map_or(&self.colleague.id, |caller| &caller.id);
        json!({"type": "general", "formats": ["email"], "recipientUserId": recipient, "subject": "s", "message": "m"})
    }

    pub async fn new_org_profile(&self, account: &str) -> String {
        let path = format!("organization/{}/profiles", self.id("A"));
        self.create_at(&path, json!({"accountId": account, "givenName": "Ann"}))
            .await
    }

    /// A request for a copy of the colleague's profile, if the asker may make one.
    pub async fn try_request(&self, token: &str, kind: &str) -> Option<String> {
        let path = format!(
            "/api/{}/profile/request/{}",
            self.tenant.group, self.colleague.id
        );
        let body = json!({"type": kind, "requestDetails": "please"});
        let (status, answer) = self.attempt(token, Method::POST, &path, body).await;
        (status == 201).then(|| id(&answer["data"]))
    }

    pub async fn new_request(&self, asker: &Caller) -> String {
        let token = asker.token.as_deref().expect("a token");
        self.try_request(token, "copy").await.expect("a request")
    }

    pub async fn new_access(&self, asker: &Caller) -> String {
        self.try_access(asker).await.expect("an access")
    }

    /// Leave to look at the colleague's profile, if the caller may ask for it.
    pub async fn try_access(&self, asker: &Caller) -> Option<String> {
        let request = self.try_request(asker.token.as_deref()?, "access").await?;
        let group = &self.tenant.group;
        let before = self.accesses(asker).await;
        let path = format!("/api/{group}/profile/request/{request}");
        let yes = json!({"action": "approved"});
        self.by(&self.colleague_token, Method::PATCH, &path, yes)
            .await;
        let after = self.accesses(asker).await;
        after.into_iter().find(|one| !before.contains(one))
    }

    /// What the colleague has given to somebody.
    async fn accesses(&self, viewer: &Caller) -> Vec<String> {
        let path = format!("/api/{}/profile/accesses/given", self.tenant.group);
        let all = self
            .by(&self.colleague_token, Method::GET, &path, Value::Null)
            .await;
        let all = all.as_array().expect("a list").iter();
        all.filter(|one| one["viewingAccountId"] == viewer.id.as_str())
            .map(id)
            .collect()
    }
}
