//! What people may do, and rooms with many of them: does the time follow what is asked, or what is stored?

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ueauth::accounts::Account;
use ueauth::organizations::Organization;
use ueauth::products::Product;
use ueauth::roles::Role;

use crate::browser::{Browser, code};
use crate::drive::{Load, Outcome, Repeat, Work, expect};
use crate::groups::{self, PASSWORD, Seeded, fill};
use crate::options::Options;
use crate::report;
use crate::server::{Server, folder};
use crate::wire::{Connection, form, request};

/// Roles of the people who are asked for.
const ROLES: [usize; 3] = [1, 100, 2_000];
/// Accounts that get access in one request.
const BULK: usize = 1_000;
/// Accounts of one request to import them, and such requests.
const IMPORT: usize = 1_000;
const IMPORTS: usize = 10;

const ORGANIZATION: &str = "benchmark-organization";
const PRODUCT: &str = "benchmark-product";

pub async fn run(options: &Options) {
    report::section("Access and lists");
    let folder = folder();
    let file = folder.path().join("ueauth.db");
    let group = groups::seed(&file, 1).await.remove(0);
    let hash = groups::hash().await;
    let people = options.scaled(100_000);
    let store = groups::store(&file).await;
    fill(&store, &[organization(&group)]).await;
    fill(&store, &[product(&group)]).await;
    let roles: Vec<Role> = (0..ROLES[2]).map(|number| role(&group, number)).collect();
    fill(&store, &roles).await;
    let named: Vec<Account> = ROLES
        .iter()
        .map(|count| holder(&group, *count, &hash))
        .collect();
    fill(&store, &named).await;
    let half: Vec<Account> = (0..people / 2)
        .map(|number| person(&group, number))
        .collect();
    fill(&store, &half).await;
    store.close().await;

    let server = Server::start(&file).await;
    let bench = Bench {
        options,
        server: &server,
        group: &group,
    };
    access(&bench).await;
    let owner = bench.own_token(&group.email).await;
    let before = lists(&bench, &owner, people / 2).await;
    drop(server);

    let store = groups::store(&file).await;
    let other: Vec<Account> = (people / 2..people)
        .map(|number| person(&group, number))
        .collect();
    fill(&store, &other).await;
    store.close().await;
    let server = Server::start(&file).await;
    let bench = Bench {
        server: &server,
        options,
        group: &group,
    };
    let owner = bench.own_token(&group.email).await;
    let after = lists(&bench, &owner, people).await;
    for ((name, small), (_, large)) in before.into_iter().zip(after) {
        let growth = large.as_secs_f64() / small.as_secs_f64();
        report::verdict(
            &format!("{name}: {growth:.2} of the time with half the accounts"),
            "less than double",
            growth < 2.0,
        );
    }
    bulk(&bench, &owner).await;
    import(&bench, &owner).await;
}

struct Bench<'a> {
    options: &'a Options,
    server: &'a Server,
    group: &'a Seeded,
}

fn organization(group: &Seeded) -> Organization {
    let document = json!({
        "_id": ORGANIZATION, "authGroup": group.id, "name": "Acme", "products": [PRODUCT],
    });
    serde_json::from_value(document).expect("an organization")
}

fn product(group: &Seeded) -> Product {
    let document =
        json!({"_id": PRODUCT, "authGroup": group.id, "name": "Orders", "codedId": "orders"});
    serde_json::from_value(document).expect("a product")
}

fn role_id(number: usize) -> String {
    format!("benchmark-role-{number:04}")
}

fn role(group: &Seeded, number: usize) -> Role {
    let document = json!({
        "_id": role_id(number), "authGroup": group.id, "name": format!("Clerk {number}"),
        "codedId": format!("clerk-{number}"), "product": PRODUCT, "productCodedId": "orders",
        "permissions": [format!("permission-{number} orders-{number}::read")],
    });
    serde_json::from_value(document).expect("a role")
}

fn holder_email(roles: usize) -> String {
    format!("holder-of-{roles}@people.test")
}

fn holder(group: &Seeded, roles: usize, hash: &str) -> Account {
    let email = holder_email(roles);
    let document = json!({
        "_id": format!("holder-of-{roles}"), "authGroup": group.id, "email": email, "username": email,
        "password": hash, "verified": true, "active": true,
        "access": [{"organization": {
            "id": ORGANIZATION, "domains": [], "roles": (0..roles).map(role_id).collect::<Vec<_>>(),
        }}],
    });
    serde_json::from_value(document).expect("an account")
}

fn person_id(number: usize) -> String {
    format!("person-{number:06}")
}

fn person(group: &Seeded, number: usize) -> Account {
    let email = format!("{}@people.test", person_id(number));
    let document = json!({
        "_id": person_id(number), "authGroup": group.id, "email": email, "username": email,
        "password": "none", "verified": number.is_multiple_of(2), "active": true,
    });
    serde_json::from_value(document).expect("an account")
}

impl Bench<'_> {
    async fn row<W: Work>(&self, name: &str, each: usize, make: impl FnMut(usize) -> W) -> Outcome {
        let load = Load {
            port: self.server.port,
            pid: self.server.pid(),
            connections: 8,
            each: self.options.scaled(each),
        };
        let outcome = load.run(make).await;
        report::row(name, outcome);
        outcome
    }

    fn get(&self, path: &str, token: &str) -> Vec<u8> {
        let bearer = format!("Bearer {token}");
        let target = format!("/api/{}/{path}", self.group.id);
        request(
            "GET",
            self.server.port,
            &target,
            &[("authorization", &bearer)],
            "",
        )
    }

    /// A browser in which somebody has signed in.
    async fn browser(&self, email: &str) -> Browser {
        let mut browser = Browser::new(self.server.port).await.expect("a connection");
        let form = browser
            .login_form(&self.group.authorize_for("openid access"))
            .await;
        let answer = browser.log_in(&form, email, PASSWORD).await;
        let back = answer.location.expect("a redirect after the sign-in");
        browser.code(&back).await;
        browser
    }

    async fn token(&self, email: &str) -> String {
        let target = self.group.authorize_for("openid access");
        self.exchange(email, &target, None).await
    }

    /// For the group's own API.
    async fn own_token(&self, email: &str) -> String {
        let issuer = format!("{}/{}", self.server.url, self.group.id);
        let target = self.group.authorize_for("openid access");
        let target = format!("{target}&{}", form(&[("resource", &issuer)]));
        self.exchange(email, &target, Some(&issuer)).await
    }

    async fn exchange(&self, email: &str, target: &str, resource: Option<&str>) -> String {
        let port = self.server.port;
        let code = self.browser(email).await.code(target).await;
        let mut http = Connection::open(port).await.expect("a connection");
        let request = self.group.exchange(port, &code, resource);
        let answer = http.send(&request).await.expect("tokens").text();
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }
}

async fn access(bench: &Bench<'_>) {
    for roles in ROLES {
        let email = holder_email(roles);
        let token = bench.token(&email).await;
        let validate = bench.get("access/validate", &token);
        bench
            .row(&format!("access/validate, {roles} roles"), 400, |_| {
                Repeat::one(validate.clone(), "authGroup")
            })
            .await;
        let mut browser = bench.browser(&email).await;
        let target = bench.group.authorize_for("openid access");
        browser.code(&target).await;
        let cookies = browser.cookies(&target);
        let port = bench.server.port;
        let start = request("GET", port, &target, &[("cookie", &cookies)], "");
        bench
            .row(&format!("code flow with access, {roles} roles"), 60, |_| {
                Access {
                    group: bench.group.clone(),
                    port,
                    start: start.clone(),
                }
            })
            .await;
    }
}

/// A code and its token with the claims of the scope `access`.
struct Access {
    group: Seeded,
    port: u16,
    start: Vec<u8>,
}

impl Work for Access {
    async fn step(&mut self, http: &mut Connection) -> Result<(), String> {
        let answer = http.send(&self.start).await.map_err(|e| e.to_string())?;
        expect(&answer, 303)?;
        let location = answer.header("location").unwrap_or_default();
        let code = code(location).ok_or_else(|| format!("no code in {location}"))?;
        let request = self.group.exchange(self.port, code, None);
        let answer = http.send(&request).await.map_err(|e| e.to_string())?;
        expect(&answer, 200)
    }
}

async fn lists(bench: &Bench<'_>, owner: &str, people: usize) -> Vec<(&'static str, Duration)> {
    let mut medians = Vec::new();
    for (name, query) in [
        (
            "one by e-mail",
            vec![("$filter", "email eq 'person-000042@people.test'")],
        ),
        ("a page of all", vec![("$top", "20"), ("$skip", "0")]),
        (
            "a page by e-mail",
            vec![
                ("$filter", "startswith(email,'person-0000')"),
                ("$top", "20"),
            ],
        ),
    ] {
        let request = bench.get(&format!("accounts?{}", form(&query)), owner);
        let outcome = bench
            .row(&format!("{name} of {people} accounts"), 100, |_| {
                Repeat::one(request.clone(), "\"data\"")
            })
            .await;
        medians.push((name, outcome.p50));
    }
    medians
}

async fn sent(bench: &Bench<'_>, method: &str, path: &str, token: &str, body: &Value) -> f64 {
    let began = Instant::now();
    let url = format!("{}/api/{}/{path}", bench.server.url, bench.group.id);
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let answer = Server::http()
        .request(method, url)
        .timeout(Duration::from_mins(10))
        .bearer_auth(token)
        .json(body)
        .send()
        .await
        .expect("an answer");
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.expect("a text")
    );
    began.elapsed().as_secs_f64()
}

async fn bulk(bench: &Bench<'_>, owner: &str) {
    let count = bench.options.scaled(BULK);
    let accounts: Vec<String> = (0..count).map(person_id).collect();
    let body = json!({"accounts": accounts, "roles": [role_id(0), role_id(1)], "domains": []});
    let path = format!("access/organization/{ORGANIZATION}/accounts");
    let took = sent(bench, "PUT", &path, owner, &body).await;
    report::fact(
        &format!("access for {count} accounts in one request"),
        &format!("{took:.2} s"),
    );
}

async fn import(bench: &Bench<'_>, owner: &str) {
    let count = bench.options.scaled(IMPORT);
    let before = bench.server.memory();
    let mut took = 0.0;
    for request in 0..IMPORTS {
        let accounts: Vec<Value> = (0..count)
            .map(|number| {
                let email = format!("import-{request}-{number}@people.test");
                json!({"email": email, "username": email})
            })
            .collect();
        took += sent(bench, "POST", "accounts", owner, &json!(accounts)).await;
    }
    let (per_second, after) = (
        crate::drive::rate(count * IMPORTS, Duration::from_secs_f64(took)),
        bench.server.memory(),
    );
    report::fact(
        &format!("import of {} accounts, {count} a request", count * IMPORTS),
        &format!("{per_second:.0}/s, {before:.1} MB before, {after:.1} MB after"),
    );
}
