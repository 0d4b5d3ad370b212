//! Two groups with something in every room, and the places requests can go to.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::Method;
use serde_json::{Value, json};
use ueauth::gate::{Route, Step};
use ueauth::serve::all_routes;

use crate::answer::{send, to};
use crate::flow::text;
use crate::server::Server;
use crate::tenant::Tenant;

pub use super::shots::Shot;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Ids of what a group has.
struct Ids {
    group: String,
    account: String,
    client: String,
    organization: String,
    domain: String,
    product: String,
    role: String,
    permission: String,
}

pub struct World {
    pub other: Tenant,
    tenant: Tenant,
    client: Value,
    ids: Arc<Ids>,
    theirs: Ids,
    places: Vec<Place>,
    http: reqwest::Client,
    url: String,
}

/// A route with real ids in its path and a credential that opens it.
pub struct Place {
    route: &'static Route,
    base: String,
    ids: Arc<Ids>,
    credential: Option<String>,
    /// For requests in which that credential does not fit what the path names.
    misfit: Option<String>,
}

pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn equip(server: &Server, tenant: &Tenant) -> (Ids, Value) {
    let make = async |path: &str, body: Value| {
        tenant
            .api(server, Method::POST, path, Some(body), 201)
            .await
    };
    let organization = json!({"name": "Acme", "description": "d", "contactEmail": "a@acme.test", "type": "customer"});
    let made = make("organizations", organization).await;
    let organization = text(&made["data"]["organization"]["id"]).to_owned();
    let domain = text(&made["data"]["domain"]["id"]).to_owned();
    let made = make(
        "products",
        json!({"name": "Orders", "description": "d", "type": "app"}),
    )
    .await;
    let product = text(&made["data"]["id"]).to_owned();
    let made = make(
        &format!("products/{product}/roles"),
        json!({"name": "Clerk", "description": "d"}),
    )
    .await;
    let role = text(&made["data"]["id"]).to_owned();
    let made = make(
        &format!("products/{product}/permission"),
        json!({"target": "orders", "action": "read"}),
    )
    .await;
    let permission = text(&made["data"]["id"]).to_owned();
    let client = tenant.web_client(json!({})).await;
    let ids = Ids {
        group: tenant.group.clone(),
        account: tenant.user.id.clone(),
        client: text(&client["client_id"]).to_owned(),
        organization,
        domain,
        product,
        role,
        permission,
    };
    (ids, client)
}

impl Ids {
    /// The id a parameter stands for, by the segment before it.
    fn get(&self, path: &str, name: &str) -> Option<&str> {
        let before = path
            .split('/')
            .zip(path.split('/').skip(1))
            .find(|(_, segment)| *segment == format!("{{{name}}}"));
        Some(match (name, before.map_or("", |(before, _)| before)) {
            ("group", _) | ("id", "group") => &self.group,
            ("org", _) | ("id", "organizations") => &self.organization,
            ("product", _) | ("id", "products") => &self.product,
            ("domain", _) | ("id", "domains") => &self.domain,
            ("role", _) | ("id", "roles") => &self.role,
            ("id", "permissions") => &self.permission,
            ("id", "client") | ("clientId", _) => &self.client,
            ("id", "account") => &self.account,
            _ => return None,
        })
    }
}

impl World {
    pub async fn create(server: &Server) -> Self {
        let tenant = Tenant::create(server).await;
        let other = tenant.another(server, "other").await;
        let (ids, client) = equip(server, &tenant).await;
        let (theirs, _) = equip(server, &other).await;
        let ids = Arc::new(ids);
        let opaque = tenant.tokens(server, &client, &tenant.user, &[]).await;
        let initial = tenant.registration_token(json!({})).await;
        let spare = tenant.web_client(json!({})).await;
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let basic = format!("{}:{}", ids.client, text(&client["client_secret"]));
        let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, basic);
        let credential = |path: &str| match path {
            "/api/init" => None,
            "/api/groups" | "/api/group/{id}/alias-dns" | "/api/group/{id}/alias-dns/{target}" => {
                bearer(&tenant.root_token)
            }
            "/{group}/reg" => bearer(&initial),
            "/{group}/reg/{id}" => bearer(text(&client["registration_access_token"])),
            "/{group}/me" => bearer(text(&opaque["access_token"])),
            "/{group}/token" | "/{group}/token/introspection" | "/{group}/token/revocation" => {
                Some(format!("Basic {basic}"))
            }
            "/{group}/token/initial-access" | "/{group}/token/simple-iat" => {
                bearer(&tenant.owner_token)
            }
            path if path.starts_with("/api/") => bearer(&tenant.owner_token),
            _ => None,
        };
        let document = send(to(server, Method::GET, "/swagger.json"))
            .await
            .expect(200)
            .json();
        let places = Place::of_document(&document)
            .into_iter()
            .map(|(method, path)| {
                let mut routes = all_routes().into_iter();
                let route = routes
                    .find(|route| route.method.as_str() == method.as_str() && route.path == path);
                Place {
                    route: route.unwrap_or_else(|| panic!("{method} {path} is not in the tables")),
                    base: server.url.clone(),
                    ids: Arc::clone(&ids),
                    credential: credential(&path),
                    // a registration token that is used on another client is used up
                    misfit: (path == "/{group}/reg/{id}")
                        .then(|| bearer(text(&spare["registration_access_token"])))
                        .flatten(),
                }
            })
            .collect();
        Self {
            http: Server::http(),
            url: server.url.clone(),
            other,
            tenant,
            client,
            ids,
            theirs,
            places,
        }
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The other group's id for a parameter.
    pub fn foreign(&self, path: &str, name: &str) -> Option<String> {
        // groups have their own test: the owner of one is nobody in the other
        let own_group = name == "id" && path.starts_with("/api/group/");
        (!own_group)
            .then(|| self.theirs.get(path, name).map(ToOwned::to_owned))
            .flatten()
    }

    /// Bodies that would be accepted, each with the place it belongs to.
    pub fn templates(&self) -> Vec<(&Place, Value)> {
        let list = [
            (
                "POST /api/{group}/account",
                json!({"email": "n@shop.test", "username": "n@shop.test", "password": "N3w!passw0rd"}),
            ),
            (
                "POST /api/group",
                json!({
                    "name": "New", "prettyName": "new", "owner": "o@new.test", "primaryEmail": "o@new.test",
                    "primaryDomain": "https://new.test", "primaryTOS": "https://new.test/t", "primaryPrivacyPolicy": "https://new.test/p",
                }),
            ),
            (
                "POST /api/{group}/organizations",
                json!({
                    "name": "New", "description": "d", "contactEmail": "a@new.test", "contactName": "n", "contactAddress": "a",
                    "contactPhone": "1", "externalId": "e", "alias": "al", "type": "customer",
                }),
            ),
            (
                "POST /api/{group}/organizations/{org}/domains",
                json!({"name": "New", "description": "d", "externalId": "e"}),
            ),
            (
                "POST /api/{group}/products",
                json!({"name": "New", "description": "d", "type": "app", "url": "https://new.test"}),
            ),
            (
                "POST /api/{group}/products/{product}/roles",
                json!({"name": "New", "description": "d"}),
            ),
            (
                "POST /api/{group}/products/{product}/permission",
                json!({"target": "new", "action": "read", "description": "d"}),
            ),
            (
                "POST /api/{group}/operations",
                json!({"operation": "rotate_keys"}),
            ),
            (
                "POST /api/{group}/operations/client/{id}",
                json!({"operation": "rotate_secret"}),
            ),
            (
                "POST /api/group/{id}/alias-dns",
                json!({"aliasDnsOIDC": "login.new.test", "aliasDnsUi": "ui.new.test"}),
            ),
            (
                "POST /api/init",
                json!({"setupCode": "x", "password": "N3w!passw0rd"}),
            ),
            (
                "POST /{group}/reg",
                json!({
                    "client_name": "New", "redirect_uris": ["https://new.test/cb"], "application_type": "web", "scope": "openid",
                    "token_endpoint_auth_method": "client_secret_basic", "client_uri": "https://new.test", "subject_type": "public",
                    "id_token_signed_response_alg": "RS256",
                }),
            ),
            (
                "POST /{group}/token/initial-access",
                json!({"sub": "s", "email": "e@shop.test"}),
            ),
        ];
        list.into_iter()
            .map(|(name, body)| {
                let mut places = self.places.iter();
                let place = places
                    .find(|place| format!("{} {}", place.route.method, place.route.path) == name);
                (
                    place.unwrap_or_else(|| panic!("{name} does not exist")),
                    body,
                )
            })
            .collect()
    }

    /// Sends all and tells the faults of the answers.
    pub async fn fire(&self, shots: Vec<Shot>) -> Vec<String> {
        let answers = iter(shots)
            .map(|shot| shot.fire(&self.http))
            .buffer_unordered(AT_ONCE);
        answers.filter_map(async |fault| fault).collect().await
    }

    /// What the rooms hold.
    pub async fn snapshot(&self) -> Vec<(String, Value)> {
        let Ids {
            group,
            organization,
            product,
            client,
            account,
            ..
        } = &*self.ids;
        let mut out = Vec::new();
        for path in [
            "/api/groups".to_owned(),
            format!("/api/group/{group}"),
            format!("/api/{group}/accounts"),
            format!("/api/{group}/account/{account}"),
            format!("/api/{group}/organizations"),
            format!("/api/{group}/organizations/{organization}/domains"),
            format!("/api/{group}/organization/{organization}/accounts"),
            format!("/api/{group}/products"),
            format!("/api/{group}/products/{product}/roles"),
            format!("/api/{group}/products/{product}/permissions"),
            format!("/api/{group}/clients"),
            format!("/api/{group}/access/client/{client}"),
            format!("/api/{}/accounts", self.theirs.group),
            format!("/api/{}/organizations", self.theirs.group),
            format!("/api/{}/products", self.theirs.group),
            format!("/api/{}/clients", self.theirs.group),
        ] {
            let request = self
                .http
                .get(format!("{}{path}", self.url))
                .bearer_auth(&self.tenant.root_token);
            out.push((path, send(request).await.expect(200).json()));
        }
        // the client's own view has its secret: nothing may have changed that either
        let own = self.http.get(format!("{}/{group}/reg/{client}", self.url));
        let own = own.bearer_auth(text(&self.client["registration_access_token"]));
        out.push((
            "registration".to_owned(),
            send(own).await.expect(200).json(),
        ));
        out
    }

    pub async fn must_be_ready(&self) {
        let ready = send(self.http.get(format!("{}/ready-check", self.url)))
            .await
            .expect(200);
        assert_eq!(ready.json()["db"], "connected");
    }
}

impl Place {
    /// Methods and paths of an OpenAPI document.
    pub fn of_document(document: &Value) -> Vec<(Method, String)> {
        let paths = document["paths"].as_object().expect("paths");
        let mut out = Vec::new();
        for (path, operations) in paths {
            for method in operations.as_object().expect("operations").keys() {
                out.push((
                    method.to_uppercase().parse().expect("a method"),
                    path.clone(),
                ));
            }
        }
        out
    }

    pub fn path(&self) -> &'static str {
        self.route.path
    }

    fn method(&self) -> &str {
        self.route.method.as_str()
    }

    pub fn parameters(&self) -> Vec<String> {
        let segments = self.route.path.split('/');
        segments
            .filter_map(|segment| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned()))
            .collect()
    }

    pub fn is_patch(&self) -> bool {
        self.method() == "PATCH"
    }

    pub fn reads(&self) -> bool {
        self.method() == "GET" && self.route.path.starts_with("/api/")
    }

    pub fn is_guarded(&self) -> bool {
        let open = matches!(
            self.route.path,
            "/api/group"
                | "/api/{group}/account"
                | "/api/group-info/{group}"
                | "/api/groupcheck/{prettyName}"
        );
        !open
            && self
                .route
                .steps
                .iter()
                .any(|step| matches!(step, Step::Auth(_)))
    }

    pub fn takes_body(&self) -> bool {
        match self.method() {
            "POST" | "PUT" | "PATCH" => true,
            "DELETE" => self
                .route
                .steps
                .iter()
                .any(|step| matches!(step, Step::Body(_))),
            _ => false,
        }
    }

    pub fn takes_form(&self) -> bool {
        !self.form_names().is_empty()
    }

    /// Parameters of a provider endpoint.
    pub fn form_names(&self) -> &'static [&'static str] {
        if self.method() != "POST" {
            return &[];
        }
        match self.route.path {
            "/{group}/auth" => &[
                "client_id",
                "response_type",
                "redirect_uri",
                "scope",
                "state",
                "nonce",
                "prompt",
                "code_challenge",
            ],
            "/{group}/token" => &[
                "grant_type",
                "code",
                "redirect_uri",
                "code_verifier",
                "refresh_token",
                "scope",
                "client_id",
            ],
            "/{group}/token/introspection" | "/{group}/token/revocation" => {
                &["token", "token_type_hint"]
            }
            "/{group}/session/end" => &[
                "id_token_hint",
                "client_id",
                "post_logout_redirect_uri",
                "state",
            ],
            "/{group}/session/end/confirm" => &["xsrf", "logout"],
            _ => &[],
        }
    }

    pub fn shot(&self) -> Shot {
        self.shot_with("", "")
    }

    /// A request with a value of its own for one parameter of the path.
    pub fn shot_with(&self, name: &str, value: &str) -> Shot {
        let segments = self.route.path.split('/').map(|segment| {
            match segment
                .strip_prefix('{')
                .and_then(|segment| segment.strip_suffix('}'))
            {
                None => segment,
                Some(parameter) if parameter == name => value,
                Some(parameter) => self
                    .ids
                    .get(self.route.path, parameter)
                    .unwrap_or("nothing-here"),
            }
        });
        let path = segments.collect::<Vec<_>>().join("/");
        // these answer 200 whatever they are asked (RFC 7662 §2.2, RFC 7009 §2.2), or look at no body
        let harmless = matches!(
            self.route.path,
            "/{group}/token/introspection"
                | "/{group}/token/revocation"
                | "/{group}/session/end"
                | "/api/{group}/updatecore"
        );
        let html = !self.route.path.starts_with("/api/");
        let url = format!("{}{path}", self.base);
        let misfit = self.misfit.as_deref().filter(|_| !name.is_empty());
        let credential = misfit.or(self.credential.as_deref());
        let method = self.method().parse().expect("a method");
        Shot::new(method, url, credential, harmless, html)
    }
}
