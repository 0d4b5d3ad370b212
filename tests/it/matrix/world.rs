//! A group with two organizations, something in every room, and the callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use ueauth::oidc::records::{AccessToken, Record};
use ueauth::store::StoreError;

use super::callers::{COLUMNS, Caller};
use super::stock::id;
use crate::answer::{send, to};
use crate::application::Application;
use crate::flow::text;
use crate::holes::behind_its_back;
use crate::server::Server;
use crate::tenant::{Person, Tenant};

pub struct World {
    pub server: Arc<Server>,
    pub tenant: Tenant,
    pub callers: Vec<Caller>,
    /// What the parameters of paths stand for.
    pub ids: BTreeMap<&'static str, String>,
    /// A person of organization A with a profile, about whom others ask.
    pub colleague: Person,
    pub colleague_token: String,
    /// Somebody who asked the colleague for things.
    pub friend: Caller,
    /// Takes what is sent to the notification service.
    pub service: Application,
    pub http: reqwest::Client,
}

/// Permissions of the product manager, on the core product of organizations.
const OF_THE_MANAGER: [&str; 10] = [
    "products::read:own",
    "roles::create:own",
    "roles::read:own",
    "roles::update:own",
    "roles::delete:own",
    "permissions::read:own",
    "productkey::create:own",
    "productkey::read:own",
    "productkey::update:own",
    "productkey::delete:own",
];

/// An opaque token of the owner whose time has come.
async fn expired(server: &mut Server, tenant: &Tenant) -> String {
    let scope = [("scope", "openid email access")];
    let tokens = tenant
        .tokens(server, &tenant.portal, &tenant.owner, &scope)
        .await;
    let token = text(&tokens["access_token"]).to_owned();
    let me = format!("/api/{}/account/me", tenant.group);
    send(to(server, Method::GET, &me).bearer_auth(&token))
        .await
        .expect(200);
    behind_its_back(server, async |store| {
        store
            .of::<Record<AccessToken>>()
            .update(&token, |record: &mut Record<AccessToken>| {
                record.payload.exp = record.payload.iat + 1;
                record.payload.iat -= 10;
                record.payload.exp -= 5;
                Ok::<_, StoreError>(())
            })
            .await
            .expect("stored")
            .expect("the token");
    })
    .await;
    token
}

impl World {
    pub async fn create(mut server: Server) -> Self {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let expired = expired(&mut server, &tenant).await;
        let mut world = Box::pin(Self::of(Arc::new(server), tenant)).await;
        Box::pin(world.call_people_in(&other, expired)).await;
        Box::pin(world.call_clients_in()).await;
        let column = |caller: &Caller| COLUMNS.iter().position(|(code, _)| *code == caller.code);
        world.callers.sort_by_key(column);
        assert_eq!(world.callers.len(), COLUMNS.len());
        world
    }

    /// The group with something in every room, and nobody who calls.
    pub async fn of(server: Arc<Server>, tenant: Tenant) -> Self {
        let colleague = tenant.account(&server, "cole@shop.test").await;
        let friend = tenant.account(&server, "fritz@shop.test").await;
        let mut world = Self {
            callers: Vec::new(),
            ids: BTreeMap::from([("group", tenant.group.clone())]),
            colleague_token: tenant.token_of(&server, &colleague).await,
            friend: Caller::person("friend", &friend, tenant.token_of(&server, &friend).await),
            service: Application::start().await,
            http: Server::http(),
            colleague,
            server,
            tenant,
        };
        world.switch_on().await;
        world.furnish().await;
        Box::pin(world.stock_up()).await;
        world
    }

    pub fn id(&self, name: &str) -> String {
        let found = self.ids.get(name);
        found
            .unwrap_or_else(|| panic!("nothing is called {name}"))
            .clone()
    }

    pub async fn document(&self) -> Value {
        send(to(&self.server, Method::GET, "/swagger.json"))
            .await
            .expect(200)
            .json()
    }

    /// Notifications are on, and only those who may can add accounts.
    async fn switch_on(&self) {
        let on = json!({"enabled": true, "notificationServiceUri": self.service.url, "currentVersion": self.version().await});
        let path = "/api/plugins/global/notifications";
        self.by(&self.tenant.root_token, Method::POST, path, on)
            .await;
        let patch = json!([
            {"op": "replace", "path": "/pluginOptions/notification/enabled", "value": true},
            {"op": "replace", "path": "/locked", "value": true},
        ]);
        self.tenant.patch(&self.server, patch).await;
    }

    /// Organizations, products and the roles that are given out.
    async fn furnish(&mut self) {
        let list = async |path: &str| self.owner(Method::GET, path, json!(null)).await;
        let find = |list: &Value, is: &dyn Fn(&Value) -> bool| {
            let found = list
                .as_array()
                .expect("a list")
                .iter()
                .find(|item| is(item));
            found.expect("an item").clone()
        };
        let primary = find(&list("organizations").await, &|item| item["core"] == true);
        let path = format!("organizations/{}/domains", id(&primary));
        let home = find(&list(&path).await, &|item| item["core"] == true);
        let roles = list("roles").await;
        let admin = find(&roles, &|item| item["name"] == "Admin");
        let local = find(&roles, &|item| item["name"] == "OrganizationAdmin");
        let mut known = vec![
            ("primary", id(&primary)),
            ("primary domain", id(&home)),
            ("Admin", id(&admin)),
            ("admin product", text(&admin["product"]).to_owned()),
            ("OrganizationAdmin", id(&local)),
            ("org product", text(&local["product"]).to_owned()),
        ];
        let product = self.new_product().await;
        let unheld = self.new_product().await;
        for (organization, domain) in [("A", "A's domain"), ("B", "B's domain")] {
            let (one, first) = self.new_organization().await;
            self.license(&one, &[&product, &unheld]).await;
            known.extend([(organization, one), (domain, first)]);
        }
        known.extend([("product", product), ("unheld", unheld)]);
        self.ids.extend(known);
        let team = self.new_domain().await;
        let held = [self.id("product"), self.id("org product")];
        let held = json!([{"op": "replace", "path": "/associatedOrgProducts", "value": held}]);
        let path = format!("organizations/{}/domains/{team}", self.id("A"));
        self.owner(Method::PATCH, &path, held).await;
        self.ids.insert("domain", team);
        let manager = self.manager_role().await;
        self.ids.insert("Manager", manager);
    }

    /// Only people of the root group make roles that hold something from the start.
    async fn manager_role(&self) -> String {
        let product = self.id("org product");
        let all = self
            .owner(
                Method::GET,
                &format!("products/{product}/permissions"),
                json!(null),
            )
            .await;
        let held: Vec<_> = all
            .as_array()
            .expect("a list")
            .iter()
            .filter(|one| OF_THE_MANAGER.contains(&text(&one["coded"])))
            .map(|one| format!("{} {}", text(&one["id"]), text(&one["coded"])))
            .collect();
        assert_eq!(held.len(), OF_THE_MANAGER.len());
        let body = json!({"name": "Manager", "description": "d", "permissions": held});
        let path = format!("/api/{}/products/{product}/roles", self.tenant.group);
        id(&self
            .by(&self.tenant.root_token, Method::POST, &path, body)
            .await)
    }

    /// Signs a new person in who has been given a role.
    async fn person(
        &self,
        code: &'static str,
        organization: &str,
        domain: &str,
        role: Option<&str>,
    ) -> Caller {
        let email = format!("{}@shop.test", code.to_lowercase());
        let person = self.tenant.account(&self.server, &email).await;
        let roles: Vec<_> = role.map(|role| self.id(role)).into_iter().collect();
        self.give(
            organization,
            &person.id,
            json!({"roles": roles, "domains": [self.id(domain)]}),
        )
        .await;
        let token = self.tenant.token_of(&self.server, &person).await;
        Caller::person(code, &person, token)
    }

    async fn call_people_in(&mut self, other: &Tenant, expired: String) {
        let (a, b) = (self.id("A"), self.id("B"));
        let locked = self
            .person("lock", "primary", "primary domain", Some("Admin"))
            .await;
        let lock = json!([{"op": "replace", "path": "/userLocked", "value": true}]);
        self.owner(Method::PATCH, &format!("account/{}", locked.id), lock)
            .await;
        let root = Person {
            email: self.server.root.email.clone(),
            password: String::new(),
            id: self.root_id().await,
        };
        let tenant = &self.tenant;
        let people = [
            Caller::nobody(),
            Caller::person("oth", &other.owner, other.owner_token.clone()),
            Caller::person("own", &tenant.owner, tenant.owner_token.clone()),
            Caller::person("root", &root, tenant.root_token.clone()),
            Caller::person("exp", &tenant.owner, expired),
            locked,
            self.person("mem", "A", "domain", None).await.within(&a),
            self.person("orgB", "B", "B's domain", Some("OrganizationAdmin"))
                .await
                .within(&b),
            self.person("orgA", "A", "A's domain", Some("OrganizationAdmin"))
                .await
                .within(&a),
            self.person("prod", "A", "domain", Some("Manager"))
                .await
                .within(&a),
            self.person("adm", "primary", "primary domain", Some("Admin"))
                .await,
        ];
        self.callers.extend(people);
    }

    async fn root_id(&self) -> String {
        let path = format!("/api/{}/account/me", self.tenant.root_group);
        id(&self
            .by(&self.tenant.root_token, Method::GET, &path, json!(null))
            .await)
    }

    async fn call_clients_in(&mut self) {
        let bare = self.tenant.web_client(json!({})).await;
        let admin = self.tenant.web_client(json!({})).await;
        let path = format!(
            "access/client/{}/product/{}",
            text(&admin["client_id"]),
            self.id("admin product")
        );
        self.owner(Method::PUT, &path, json!({"roles": [self.id("Admin")]}))
            .await;
        for (code, client) in [("cli", &bare), ("cliA", &admin)] {
            let token = self.client_token(client).await;
            self.callers.push(Caller::client(code, client, token));
        }
        let path = format!("access/product/{}/key", self.id("org product"));
        let body = json!({"name": "Keys", "organizationId": self.id("A"), "roles": [self.id("OrganizationAdmin")]});
        let service = self
            .owner(Method::POST, &format!("{path}/service"), body)
            .await;
        let body = json!({"clientId": service["clientId"], "name": "Key"});
        let key = self.owner(Method::POST, &path, body).await;
        let token = text(&key["key"]).to_owned();
        let service = json!({"client_id": service["clientId"]});
        self.callers.push(Caller::client("key", &service, token));
    }

    async fn client_token(&self, client: &Value) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "access"),
            ("audience", &self.tenant.issuer),
        ];
        let request = to(
            &self.server,
            Method::POST,
            &format!("/{}/token", self.tenant.group),
        )
        .basic_auth(text(&client["client_id"]), client["client_secret"].as_str())
        .form(&form);
        text(&send(request).await.expect(200).json()["access_token"]).to_owned()
    }
}
