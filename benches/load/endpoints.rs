//! Requests per second of each endpoint, one tenant, some kept connections.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use ueauth::jose::{Alg, KeySet, generate_group_keys};

use crate::browser::{Browser, code};
use crate::drive::{Load, Outcome, Repeat, Work, expect, rate};
use crate::flow::{Flow, text};
use crate::options::Options;
use crate::report;
use crate::server::{Server, folder};
use crate::tenant::Tenant;
use crate::visitor::Visitor;
use crate::wire::{Connection, basic, form, request};

const API: &str = "https://api.test";
const REDIRECT: &str = "https://web.test/cb";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-000";

/// What the comparison with another provider needs: requests per second by the name of the request.
pub type Rates = BTreeMap<&'static str, f64>;

/// Requests per connection that take a second or so on a small machine.
const CHEAP: usize = 1500;
const DURABLE: usize = 400;
const RSA: usize = 150;

struct Bench<'a> {
    options: &'a Options,
    server: &'a Server,
    rates: Rates,
}

impl Bench<'_> {
    async fn row<W: Work>(
        &mut self,
        name: &'static str,
        each: usize,
        make: impl FnMut(usize) -> W,
    ) -> Outcome {
        let load = Load {
            port: self.server.port,
            pid: self.server.pid(),
            connections: self.options.connections,
            each: self.options.scaled(each),
        };
        let outcome = load.run(make).await;
        report::row(name, outcome);
        self.rates.insert(name, outcome.per_second);
        outcome
    }

    async fn same(
        &mut self,
        name: &'static str,
        each: usize,
        request: Vec<u8>,
        holds: &'static str,
    ) -> Outcome {
        let work = Repeat::one(request, holds);
        self.row(name, each, |_| work.clone()).await
    }
}

pub async fn run(options: &Options) -> Rates {
    report::section("Endpoints, one tenant");
    let folder = folder();
    let server = Server::start(&folder.path().join("ueauth.db")).await;
    let tenant = Tenant::create(&server).await;
    let mut bench = Bench {
        options,
        server: &server,
        rates: Rates::new(),
    };
    plain(&mut bench, &tenant).await;
    tokens(&mut bench, &tenant).await;
    people(&mut bench, &tenant).await;
    bench.rates
}

async fn plain(bench: &mut Bench<'_>, tenant: &Tenant) {
    let port = bench.server.port;
    let get = |target: &str| request("GET", port, target, &[], "");
    bench
        .same("static JSON", CHEAP, get("/api/version"), "version")
        .await;
    let discovery = format!("/{}/.well-known/openid-configuration", tenant.group);
    bench
        .same("discovery", CHEAP, get(&discovery), "issuer")
        .await;
    let jwks = format!("/{}/jwks", tenant.group);
    bench.same("jwks", CHEAP, get(&jwks), "keys").await;
}

async fn service(tenant: &Tenant, name: &str, more: Value) -> Value {
    let mut metadata = json!({
        "client_name": name, "grant_types": ["client_credentials"],
        "response_types": [], "redirect_uris": [],
    });
    if let (Some(all), Value::Object(more)) = (metadata.as_object_mut(), more) {
        all.extend(more);
    }
    tenant.client(metadata).await
}

fn authorization(client: &Value) -> String {
    basic(text(&client["client_id"]), text(&client["client_secret"]))
}

async fn tokens(bench: &mut Bench<'_>, tenant: &Tenant) {
    let port = bench.server.port;
    let target = format!("/{}/token", tenant.group);
    let post = |client: &Value, pairs: &[(&str, &str)]| {
        let authorization = authorization(client);
        request(
            "POST",
            port,
            &target,
            &[("authorization", &authorization)],
            &form(pairs),
        )
    };
    let grant = ("grant_type", "client_credentials");
    let rs256 = service(tenant, "rs256", json!({})).await;
    let es256 = json!({"access_token_signed_response_alg": "ES256"});
    let es256 = service(tenant, "es256", es256).await;

    let opaque = post(&rs256, &[grant]);
    bench
        .same(
            "client_credentials opaque",
            DURABLE,
            opaque.clone(),
            "access_token",
        )
        .await;
    let keys = KeySet::new(&generate_group_keys().expect("keys")).expect("a key set");
    for (name, client, alg, each, least) in [
        ("client_credentials RS256", &rs256, Alg::RS256, RSA, 0.9),
        ("client_credentials ES256", &es256, Alg::ES256, CHEAP, 0.25),
    ] {
        let bare = signing(&keys, alg, bench.options.scaled(each * 10));
        let signed = post(client, &[grant, ("resource", API)]);
        let outcome = bench.same(name, each, signed, "access_token").await;
        report::ratio(
            &format!("one core that only signs ({bare:.0}/s)"),
            outcome.per_second / bare,
            Some(least),
        );
    }

    let mut http = Connection::open(port).await.expect("a connection");
    let answer = http.send(&opaque).await.expect("a token").text();
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    introspect(
        bench,
        tenant,
        &rs256,
        "introspection of a client's token",
        &answer,
    )
    .await;
}

async fn introspect(
    bench: &mut Bench<'_>,
    tenant: &Tenant,
    client: &Value,
    name: &'static str,
    answer: &Value,
) {
    let request = request(
        "POST",
        bench.server.port,
        &format!("/{}/token/introspection", tenant.group),
        &[("authorization", &authorization(client))],
        &form(&[("token", text(&answer["access_token"]))]),
    );
    let outcome = bench.same(name, CHEAP, request, "\"active\":true").await;
    half_of_static(bench, outcome);
}

fn half_of_static(bench: &Bench<'_>, outcome: Outcome) {
    if let Some(still) = bench.rates.get("static JSON") {
        report::ratio("static JSON", outcome.per_second / still, Some(0.5));
    }
}

/// Signatures per second of one core.
fn signing(keys: &KeySet, alg: Alg, count: usize) -> f64 {
    let signer = keys.signer(alg).expect("a signer");
    let claims = json!({
        "group": "bench", "jti": "jti-jti-jti-jti-jti-j", "sub": "a-client", "iat": 1_700_000_000,
        "exp": 1_700_003_600, "client_id": "a-client", "iss": "http://localhost/bench", "aud": API,
    });
    let began = Instant::now();
    for _ in 0..count {
        signer.sign(Some("at+jwt"), &claims).expect("a token");
    }
    rate(count, began.elapsed())
}

async fn people(bench: &mut Bench<'_>, tenant: &Tenant) {
    let web = json!({
        "client_name": "web", "redirect_uris": [REDIRECT], "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let web = tenant.client(web).await;
    let flow = Flow::new(&tenant.issuer, &web, &[]);
    let user = &tenant.user;
    let back = Visitor::new(bench.server)
        .authorize(&flow.url, &user.email, &user.password)
        .await
        .away();
    let tokens = flow.tokens(&back).await;
    introspect(
        bench,
        tenant,
        &web,
        "introspection of a user's token",
        &tokens,
    )
    .await;
    let bearer = format!("Bearer {}", text(&tokens["access_token"]));
    let port = bench.server.port;
    let me = format!("/{}/me", tenant.group);
    let me = request("GET", port, &me, &[("authorization", &bearer)], "");
    let outcome = bench.same("userinfo", CHEAP, me, "sub").await;
    half_of_static(bench, outcome);

    let exchange = Exchange {
        port,
        target: format!("/{}/token", tenant.group),
        authorization: authorization(&web),
    };
    let mut browser = Browser::new(port).await.expect("a connection");
    let offline = authorize(tenant, &web, "openid email offline_access", "consent");
    let form = browser.login_form(&offline).await;
    let entered = browser.log_in(&form, &user.email, &user.password).await;
    let mut from = entered.location.expect("a redirect after the sign-in");
    let mut first = Vec::new();
    for _ in 0..bench.options.connections {
        let code = browser.code(&from).await;
        first.push(exchange.refresh_token(&code).await);
        from.clone_from(&offline);
    }
    let plain = authorize(tenant, &web, "openid email", "");
    browser.code(&plain).await;
    let cookies = browser.cookies(&plain);
    let start = request("GET", port, &plain, &[("cookie", &cookies)], "");
    bench
        .row("refresh_token", DURABLE / 2, |number| Refresh {
            exchange: exchange.clone(),
            token: first[number].clone(),
        })
        .await;
    bench
        .row(
            "code flow with a session (two requests)",
            DURABLE / 4,
            |_| CodeFlow {
                exchange: exchange.clone(),
                start: start.clone(),
            },
        )
        .await;
}

fn authorize(tenant: &Tenant, client: &Value, scope: &str, prompt: &str) -> String {
    let challenge = ueauth::jose::s256_challenge(VERIFIER);
    let mut pairs = vec![
        ("client_id", text(&client["client_id"])),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", scope),
        ("state", "some-state"),
        ("nonce", "some-nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if !prompt.is_empty() {
        pairs.push(("prompt", prompt));
    }
    format!("/{}/auth?{}", tenant.group, form(&pairs))
}

/// Token requests of the web client.
#[derive(Clone)]
struct Exchange {
    port: u16,
    target: String,
    authorization: String,
}

impl Exchange {
    fn request(&self, pairs: &[(&str, &str)]) -> Vec<u8> {
        let headers = [("authorization", self.authorization.as_str())];
        request("POST", self.port, &self.target, &headers, &form(pairs))
    }

    fn for_code(&self, code: &str) -> Vec<u8> {
        self.request(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ])
    }

    async fn refresh_token(&self, code: &str) -> String {
        let mut http = Connection::open(self.port).await.expect("a connection");
        let answer = http
            .send(&self.for_code(code))
            .await
            .expect("tokens")
            .text();
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        text(&answer["refresh_token"]).to_owned()
    }
}

struct Refresh {
    exchange: Exchange,
    token: String,
}

impl Work for Refresh {
    async fn step(&mut self, http: &mut Connection) -> Result<(), String> {
        let request = self.exchange.request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &self.token),
        ]);
        let answer = http.send(&request).await.map_err(|e| e.to_string())?;
        expect(&answer, 200)?;
        let body = answer.text();
        let next = body
            .split_once("\"refresh_token\":\"")
            .and_then(|(_, rest)| rest.split('"').next());
        next.ok_or("no new refresh token")?
            .clone_into(&mut self.token);
        Ok(())
    }
}

struct CodeFlow {
    exchange: Exchange,
    start: Vec<u8>,
}

impl Work for CodeFlow {
    async fn step(&mut self, http: &mut Connection) -> Result<(), String> {
        let answer = http.send(&self.start).await.map_err(|e| e.to_string())?;
        expect(&answer, 303)?;
        let location = answer.header("location").unwrap_or_default();
        let code = code(location).ok_or_else(|| format!("no code in {location}"))?;
        let request = self.exchange.for_code(code);
        let answer = http.send(&request).await.map_err(|e| e.to_string())?;
        expect(&answer, 200)
    }
}
