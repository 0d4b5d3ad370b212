//! Two groups with something in every room, and the places requests can go to.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::Method;
use serde_json::{Value, json};
use ueauth::gate::{Route, Step};
use ueauth::serve::all_routes;

use super::bodies::resolve;
use super::cast::Cast;
pub use super::shots::Shot;
use super::state::State;
use crate::answer::{send, to};
use crate::flow::text;
use crate::matrix::request::{Probe, Segment};
use crate::matrix::table::Row;
use crate::matrix::world::World as Rooms;
use crate::server::Server;
use crate::tenant::Tenant;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Routes whose good requests are refused here, and why.
const UNREACHABLE: [(&str, &str); 25] = [
    ("POST /api/init", "the root group is there"),
    ("PUT /api/{group}/account/recover", "wants a mailed token"),
    (
        "POST /api/{group}/account/start-recovery",
        "the account has no recovery codes",
    ),
    (
        "PATCH /api/{group}/account/{id}/devices/{device}",
        "nobody has a device",
    ),
    ("POST /api/{group}/devices/enrol", "wants a key of a device"),
    (
        "POST /api/{group}/devices/enrolments",
        "is signed by a device",
    ),
    (
        "PUT /api/{group}/devices/subscription",
        "is signed by a device",
    ),
    (
        "POST /api/{group}/devices/challenges/{key}",
        "is signed by a device",
    ),
    ("POST /api/{group}/device/challenge", "nobody has a device"),
    ("PUT /api/{group}/device/challenge", "nobody has a device"),
    (
        "POST /api/{group}/mfa/callback",
        "the group's devices are built in",
    ),
    (
        "POST /api/{group}/{function}/callback",
        "there is no such function",
    ),
    (
        "POST /api/{group}/mfa/{key}/account/{account}/interaction/{uid}/code",
        "nobody is challenged",
    ),
    (
        "POST /api/{group}/mfa/proof",
        "the group's devices show no codes",
    ),
    (
        "POST /api/{group}/mfa/safe-recovery",
        "wants a mailed token",
    ),
    (
        "PATCH /api/{group}/profile/request/{id}",
        "whoever asked can not answer",
    ),
    (
        "POST /api/{group}/webauthn/authenticate",
        "nobody has a passkey",
    ),
    (
        "POST /api/{group}/webauthn/finish",
        "wants what an authenticator makes",
    ),
    ("POST /{group}/auth", "its form is tested with logins"),
    (
        "POST /{group}/interaction/{uid}/login",
        "no sign-in is under way",
    ),
    (
        "POST /{group}/interaction/{uid}/confirm",
        "no sign-in is under way",
    ),
    (
        "POST /{group}/interaction/{uid}/confirm-mfa",
        "no sign-in is under way",
    ),
    (
        "POST /{group}/interaction/{uid}/passkey",
        "no sign-in is under way",
    ),
    (
        "POST /{group}/session/end/confirm",
        "no sign-out is under way",
    ),
    ("PATCH /{group}/reg/{id}", "says that PUT changes clients"),
];

pub struct World {
    pub server: Arc<Server>,
    rooms: Rooms,
    theirs: Rooms,
    places: Vec<Place>,
    document: Value,
    http: reqwest::Client,
    secrets: BTreeSet<String>,
    /// A token that is used up where it does not fit.
    burnt: String,
}

/// A route with a request that it would take.
pub struct Place {
    route: &'static Route,
    base: String,
    segments: Vec<Segment>,
    query: String,
    credential: Option<String>,
    /// For requests in which that credential does not fit what the path names.
    misfit: Option<String>,
    context: Option<String>,
    body: Option<Value>,
    form: Option<Vec<(&'static str, String)>>,
    /// What the document says about the `data` of a good answer.
    shown: Value,
    /// What the document says about the body, by its media type.
    schemas: Vec<(String, Value)>,
    queries: Vec<String>,
}

pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl World {
    pub async fn create(server: Server) -> Self {
        let server = Arc::new(server);
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let theirs = Box::pin(Rooms::of(Arc::clone(&server), other)).await;
        let rooms = Box::pin(Rooms::of(Arc::clone(&server), tenant)).await;
        crate::passkeys::switch_on(&server, &rooms.tenant.root_token).await;
        crate::passkeys::allow(&server, &rooms.tenant).await;
        crate::devices::switch_on(&server, &rooms.tenant, "device", json!({})).await;

        let cast = Cast::of(&rooms).await;
        let document = send(to(&server, Method::GET, "/swagger.json"))
            .await
            .expect(200)
            .json();
        let mut places = Vec::new();
        for (method, path) in Place::of_document(&document) {
            places.push(Box::pin(Place::new(&rooms, &cast, &document, &method, &path)).await);
        }
        Self {
            http: Server::http(),
            secrets: cast.secrets(),
            burnt: text(&cast.spare["registration_access_token"]).to_owned(),
            server,
            rooms,
            theirs,
            places,
            document,
        }
    }

    /// The served OpenAPI document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The token of the owner of the other group.
    pub fn their_token(&self) -> &str {
        &self.theirs.tenant.owner_token
    }

    /// The other group's id for a parameter.
    pub fn foreign(&self, path: &str, name: &str) -> Option<String> {
        let segment = format!("{{{name}}}");
        let mut pairs = path.split('/').zip(path.split('/').skip(1));
        let (before, _) = pairs.find(|(_, after)| *after == segment)?;
        // groups have their own test: the owner of one is nobody in the other
        let own_group = (name, before) == ("id", "group");
        let theirs = self.theirs.usual(path, before, name);
        let is_id = theirs != self.rooms.usual(path, before, name);
        (!own_group && is_id).then_some(theirs)
    }

    /// Sends all and tells the faults of the answers.
    pub async fn fire(&self, shots: Vec<Shot>) -> Vec<String> {
        let answers = iter(shots)
            .map(|shot| shot.fire(&self.http))
            .buffer_unordered(AT_ONCE);
        answers.filter_map(async |fault| fault).collect().await
    }

    /// Whatever is stored.
    pub async fn state(&self) -> State {
        State::read(&self.server.store, &self.burnt).await
    }

    /// Secrets that the server has logged.
    pub fn logged_secrets(&self) -> Vec<String> {
        let log = self.server.log();
        let secrets = self.secrets.iter().map(String::as_str);
        let sent = [super::bodies::MARK];
        secrets
            .chain(sent)
            .filter(|secret| log.contains(secret))
            .map(|secret| {
                let line = log.lines().find(|line| line.contains(secret));
                format!("logged: {}", line.unwrap_or_default())
            })
            .collect()
    }

    /// Sends the requests that the bad ones were made of; tells which are refused.
    pub async fn good_requests(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut places: Vec<_> = self
            .places
            .iter()
            .filter(|place| place.takes_body())
            .collect();
        // what signs people out or switches things off comes last
        let ends = |place: &&Place| {
            let path = place.path();
            path.ends_with("/panic")
                || path == "/{group}/reg/{id}"
                || path.ends_with("/setpass")
                || path.starts_with("/api/plugins/")
        };
        places.sort_by_key(ends);
        for place in places {
            let answer = self.good(place).await.send(&self.http).await;
            if (answer.status < 400) != place.is_reachable() {
                faults.push(format!(
                    "a good request: {} -> {} {}",
                    place.name(),
                    answer.status,
                    answer.text.chars().take(160).collect::<String>()
                ));
            }
        }
        faults
    }

    async fn good(&self, place: &Place) -> Shot {
        let is_version = |body: &Value| body.get("currentVersion").is_some();
        match place.body.clone().filter(is_version) {
            None => place.good(),
            Some(mut body) => {
                // every other one makes a new version
                body["currentVersion"] = self.rooms.version().await;
                place.shot().json(body.to_string().into_bytes())
            }
        }
    }

    pub async fn must_be_ready(&self) {
        let ready = send(to(&self.server, Method::GET, "/ready-check"))
            .await
            .expect(200);
        assert_eq!(ready.json()["db"], "connected");
    }
}

impl Place {
    async fn new(
        rooms: &Rooms,
        cast: &Cast,
        document: &Value,
        method: &Method,
        path: &str,
    ) -> Self {
        let mut routes = all_routes().into_iter();
        let route = routes.find(|route| route.method == method.as_str() && route.path == path);
        let row = Row::new(method.as_str(), path, "");
        let caller = cast.for_route(&row);
        let reg = path == "/{group}/reg/{id}";
        let mut probe = if caller.code == "friend" && method == Method::DELETE {
            Probe::default()
        } else {
            rooms.probe(&row, caller).await
        };
        if reg {
            let own = text(&cast.own["client_id"]);
            probe = probe.with("id", own.to_owned());
            if let Some(body) = &mut probe.body {
                body["client_id"] = json!(own);
            }
        }
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let content = &resolve(document, &operation["requestBody"])["content"];
        let schemas = content.as_object().into_iter().flatten();
        let queries = operation["parameters"].as_array().into_iter().flatten();
        let queries = queries.map(|parameter| resolve(document, parameter));
        Self {
            route: route.unwrap_or_else(|| panic!("{method} {path} is not in the tables")),
            base: rooms.server.url.clone(),
            segments: rooms.segments(&row, &probe),
            query: probe.query,
            credential: cast.credential(&row),
            // a registration token that is used on another client is used up
            misfit: reg.then(|| {
                let token = text(&cast.spare["registration_access_token"]);
                format!("Bearer {token}")
            }),
            context: caller.context.clone(),
            body: probe.body,
            form: probe.form,
            shown: {
                let answer = resolve(document, &operation["responses"]["200"]);
                let answer = &answer["content"]["application/json"]["schema"];
                resolve(document, answer)["properties"]["data"].clone()
            },
            schemas: schemas
                .map(|(kind, content)| (kind.clone(), content["schema"].clone()))
                .collect(),
            queries: queries
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| text(&parameter["name"]).to_owned())
                .collect(),
        }
    }

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

    pub fn name(&self) -> String {
        format!("{} {}", self.route.method, self.route.path)
    }

    fn method(&self) -> &str {
        self.route.method.as_str()
    }

    pub fn parameters(&self) -> Vec<&str> {
        let named = self.segments.iter();
        named.filter_map(|(name, _)| name.as_deref()).collect()
    }

    /// Parameters of the query, as documented.
    pub fn queries(&self) -> &[String] {
        &self.queries
    }

    /// Whether its good request is taken.
    pub fn is_reachable(&self) -> bool {
        let name = self.name();
        !UNREACHABLE.iter().any(|(route, _)| *route == name)
    }

    pub fn is_patch(&self) -> bool {
        self.method() == "PATCH"
    }

    pub fn is_get(&self) -> bool {
        self.method() == "GET"
    }

    pub fn reads(&self) -> bool {
        self.is_get() && self.route.path.starts_with("/api/")
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

    fn schema(&self, kind: &str) -> Option<&Value> {
        let mut schemas = self.schemas.iter();
        schemas
            .find(|(other, _)| other == kind)
            .map(|(_, schema)| schema)
    }

    /// What the document says about JSON that is sent.
    pub fn json_schema(&self) -> Option<&Value> {
        self.schema("application/json")
    }

    /// What the document says about what is shown.
    pub fn shown(&self) -> &Value {
        &self.shown
    }

    /// Fields of the form that is sent, as documented.
    pub fn form_names(&self, document: &Value) -> Vec<String> {
        let Some(schema) = self.schema("application/x-www-form-urlencoded") else {
            return Vec::new();
        };
        let names = resolve(document, schema)["properties"].as_object();
        names
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A body that would be taken.
    pub fn good_body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// The request that would be taken.
    pub fn good(&self) -> Shot {
        let mut shot = self.shot();
        if let Some(body) = &self.body {
            shot = shot.json(body.to_string().into_bytes());
        }
        if let Some(form) = &self.form {
            let pairs: Vec<_> = form
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect();
            shot = shot.form(pairs.join("&").into_bytes());
        }
        match self.query.strip_prefix('?') {
            Some(query) => shot.query(query),
            None => shot,
        }
    }

    pub fn shot(&self) -> Shot {
        self.shot_with("", "")
    }

    /// A request with a value of its own for one parameter of the path.
    pub fn shot_with(&self, name: &str, value: &str) -> Shot {
        let segments = self
            .segments
            .iter()
            .map(|(parameter, text)| match parameter {
                Some(parameter) if parameter == name => value,
                _ => text,
            });
        let path = segments.collect::<Vec<_>>().join("/");
        // these answer 200 whatever they are asked (RFC 7662 §2.2, RFC 7009 §2.2), or look at no body once they know who asks
        let harmless = matches!(
            self.route.path,
            "/{group}/token/introspection"
                | "/{group}/token/revocation"
                | "/{group}/session/end"
                | "/{group}/me"
                | "/api/{group}/updatecore"
        );
        let html = !self.route.path.starts_with("/api/");
        let url = format!("{}{path}", self.base);
        let misfit = self.misfit.as_deref().filter(|_| !name.is_empty());
        let credential = misfit.or(self.credential.as_deref());
        let method = self.method().parse().expect("a method");
        let shot = Shot::new(method, url, credential, harmless, html);
        match &self.context {
            Some(context) => shot.header("x-org-context", context),
            None => shot,
        }
    }
}
