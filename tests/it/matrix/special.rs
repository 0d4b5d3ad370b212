//! The requests of rows with a variant, see variants.rs.

use reqwest::Method;
use serde_json::{Value, json};

use super::callers::Caller;
use super::probes::{named, operation, permission, replace};
use super::request::Probe;
use super::stock::unique;
use super::table::Row;
use super::world::World;
use crate::answer::send;

impl World {
    /// Requests about what is the caller's own, as far as the caller can have such a thing.
    pub(super) async fn about_own(&self, row: &Row, caller: &Caller) -> Probe {
        let token = caller.token.as_deref().unwrap_or_default();
        match row.route().as_str() {
            route if route.contains("/passkeys") => Probe::of(caller.id.clone()),
            "PATCH /api/{group}/account/{id}/devices/{device}" => {
                Probe::of(caller.id.clone()).body(json!({"name": "Phone"}))
            }
            route if route.contains("/devices") => Probe::of(caller.id.clone()),
            "PATCH /api/{group}/account/{id}" => {
                Probe::of(caller.id.clone()).body(replace("/acceptingProfileRequests", true))
            }
            "POST /api/{group}/operations/client/{id}" => {
                Probe::of(caller.id.clone()).body(operation("rotate_secret"))
            }
            "POST /api/{group}/operations/user/{id}" => {
                Probe::of(caller.id.clone()).body(operation("generate_password"))
            }
            "POST /api/{group}/operations/organization/{org}/user/{id}" => {
                Probe::of(caller.id.clone()).body(operation("password_reset"))
            }
            "POST /api/{group}/organizations/{org}/profiles/account/{id}" => {
                self.keep_about(caller).await;
                Probe::of(caller.id.clone()).body(json!({"request": "remain"}))
            }
            "GET /api/{group}/organization/{org}/profile/{id}" => {
                self.keep_about(caller).await;
                Probe::of(caller.id.clone())
            }
            route
                if route.contains("/profile/request/") || route.contains("/profile/snapshot/") =>
            {
                let request = self.try_request(token, "copy").await;
                let probe = request.map_or_else(Probe::default, Probe::of);
                if row.method == "PATCH" {
                    probe.body(json!({"action": "denied"}))
                } else {
                    probe
                }
            }
            route if route.contains("/profile/access/") => self
                .try_access(caller)
                .await
                .map_or_else(Probe::default, Probe::of),
            "GET /api/{group}/access/my/notification/{id}" => {
                let known = ["mem", "orgA", "orgB", "prod", "adm", "own"].contains(&caller.code);
                Probe::of(self.new_notification(known.then_some(caller)).await)
            }
            "DELETE /api/{group}/account/{id}" => {
                self.unlock(caller).await;
                Probe::of(caller.id.clone())
            }
            _ => Probe::of(caller.id.clone()),
        }
    }

    /// Takes back what people did to themselves before.
    async fn unlock(&self, caller: &Caller) {
        let path = format!("/api/{}/account/{}", self.tenant.group, caller.id);
        if !matches!(
            caller.code,
            "none" | "oth" | "root" | "cli" | "cliA" | "key" | "lock"
        ) {
            let patch = replace("/userLocked", false);
            self.by(&self.tenant.root_token, Method::PATCH, &path, patch)
                .await;
        }
    }

    /// Lets organization A keep a profile of the caller, if it is a member.
    async fn keep_about(&self, caller: &Caller) {
        let path = format!(
            "/api/{}/organization/{}/profiles",
            self.tenant.group,
            self.id("A")
        );
        let request = self
            .http
            .post(format!("{}{path}", self.server.url))
            .bearer_auth(&self.tenant.owner_token);
        let body = json!({"accountId": caller.id, "givenName": "Ann"});
        send(request.json(&body)).await.expect_any(&[201, 400, 409]);
    }

    pub(super) async fn special(&self, row: &Row, caller: &Caller) -> Probe {
        let core = || self.id("org product");
        let of_core = |probe: Probe| probe.with("product", core());
        match (row.variant.as_str(), row.route().as_str()) {
            ("unheld", route) => {
                let probe = Probe::default()
                    .with("product", self.id("unheld"))
                    .with("id", self.id("unheld"));
                match route {
                    "PUT /api/{group}/organizations/{org}/products/{product}/roles" => {
                        probe.body(named("Custom"))
                    }
                    "POST /api/{group}/access/product/{product}/key/service" => probe
                        .body(json!({"name": unique("Service"), "organizationId": self.id("A")})),
                    _ => probe,
                }
            }
            // what they may do would end the test, so they change nothing
            ("active", _) => {
                Probe::sends(replace("/active", matches!(caller.code, "own" | "root")))
            }
            ("keys", _) => Probe::sends(replace("/config/keys", json!([]))),
            ("owner", _) if matches!(caller.code, "own" | "root") => {
                Probe::sends(replace("/owner", self.tenant.owner.id.as_str()))
            }
            ("owner", _) => Probe::sends(replace("/owner", caller.id.as_str())),
            // whoever may do that to everybody would be gone afterwards
            ("own-blocked", _) if caller.is_broad() => {
                Probe::of(self.new_account(None).await).body(replace("/blocked", true))
            }
            ("own-blocked", _) => Probe::of(caller.id.clone()).body(replace("/blocked", true)),
            ("own-verified", _) => Probe::of(caller.id.clone()).body(replace("/verified", true)),
            // it is "internal" once the first has set it
            ("type", _) if caller.code == "key" => Probe::sends(replace("/type", "other")),
            ("type", _) => Probe::sends(replace("/type", "internal")),
            ("permissions", _) => {
                let mut body = named("Role");
                let (product, permission) = (self.id("product"), self.id("permission"));
                let path = format!("products/{product}/permissions/{permission}");
                let held = self.owner(Method::GET, &path, Value::Null).await;
                let held = format!(
                    "{permission} {}",
                    held["coded"].as_str().unwrap_or_default()
                );
                body["permissions"] = json!([held]);
                Probe::sends(body)
            }
            ("core", "DELETE /api/{group}/organizations/{id}") => Probe::of(self.id("primary")),
            ("core", "DELETE /api/{group}/organizations/{org}/domains/{id}") => {
                Probe::of(self.id("A's domain"))
            }
            ("core", "DELETE /api/{group}/products/{id}") => Probe::of(core()),
            ("core", "PATCH /api/{group}/products/{id}") => {
                Probe::of(core()).body(replace("/description", "new"))
            }
            ("core", "DELETE /api/{group}/products/{product}/permissions") => {
                of_core(Probe::sends(json!([self.core_permission().await])))
            }
            ("core", "DELETE /api/{group}/products/{product}/permissions/{id}") => {
                of_core(Probe::of(self.core_permission().await))
            }
            ("core", "DELETE /api/{group}/products/{product}/roles/{id}") => {
                of_core(Probe::of(self.id("OrganizationAdmin")))
            }
            ("core", "PATCH /api/{group}/products/{product}/roles/{id}") => {
                of_core(Probe::of(self.id("OrganizationAdmin")))
                    .body(replace("/description", "new"))
            }
            ("core", "POST /api/{group}/products") => Probe::sends(
                json!({"name": unique("Product"), "description": "d", "type": "app", "core": true}),
            ),
            ("core", "POST /api/{group}/products/{product}/permission") => {
                of_core(Probe::sends(permission()))
            }
            ("core", "POST /api/{group}/products/{product}/permissions") => {
                of_core(Probe::sends(json!([permission()])))
            }
            ("core", "POST /api/{group}/products/{product}/roles") => {
                let mut body = named("Role");
                body["core"] = json!(true);
                Probe::sends(body)
            }
            (variant, route) => panic!("say what {variant} means for {route}"),
        }
    }

    /// A permission that came with the group and that no role holds.
    async fn core_permission(&self) -> String {
        let path = format!("products/{}/permissions", self.id("org product"));
        let all = self.owner(Method::GET, &path, Value::Null).await;
        let unused = [
            "organizations::delete:own",
            "operations-reset-user-password::create",
            "accounts::read:own",
        ];
        let mut all = all.as_array().expect("a list").iter();
        let found = all.find(|one| unused.contains(&one["coded"].as_str().unwrap_or_default()));
        super::stock::id(found.expect("a permission"))
    }
}
