//! Many groups: memory once each has served a login, and whether requests get slower.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::json;
use ueauth::accounts::Account;
use ueauth::clients::Client;
use ueauth::groups::AuthGroup;
use ueauth::jose::{Jwk, generate_group_keys};
use ueauth::organizations::Organization;
use ueauth::products::Product;
use ueauth::products::model::{GROUP_ADMIN, ORG_ADMIN};
use ueauth::secrets::{HashSettings, PasswordHasher, Random};
use ueauth::store::{Document, Store, StoreOptions};
use ueauth_actors::{Clock, SystemClock};

use crate::browser::Browser;
use crate::drive::{Load, Repeat};
use crate::options::Options;
use crate::report;
use crate::server::{Server, folder};
use crate::wire::{basic, form, request};

pub const PASSWORD: &str = "Us3r!pass";
const SECRET: &str = "a-secret-of-a-client-of-this-benchmark";
const REDIRECT: &str = "https://app.test/cb";
/// Making RSA keys takes longer than all the rest, so some groups share them.
const SHARE_KEYS: usize = 10;
/// After this time without requests the server has given back what it needs no more.
const QUIET: Duration = Duration::from_secs(6);
/// As long as groups, clients and actors are kept that nobody asks for, and what it takes to notice.
const IDLE: Duration = Duration::from_secs(165);
/// How often the two servers take turns; the machine itself gets slower and faster meanwhile.
const TURNS: usize = 11;

/// A group in the store with one account and one client.
#[derive(Clone)]
pub struct Seeded {
    pub id: String,
    pub email: String,
}

impl Seeded {
    fn numbered(number: usize) -> Self {
        Self {
            id: format!("benchmark-group-{number:05}"),
            email: format!("user@group-{number:05}.test"),
        }
    }

    fn client(&self) -> String {
        format!("client-of-{}", self.id)
    }

    /// The target of an authorization request.
    pub fn authorize(&self) -> String {
        self.authorize_for("openid email")
    }

    pub fn authorize_for(&self, scope: &str) -> String {
        let client = self.client();
        let query = form(&[
            ("client_id", &client),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "some-state"),
        ]);
        format!("/{}/auth?{query}", self.id)
    }

    pub fn discovery(&self) -> String {
        format!("/{}/.well-known/openid-configuration", self.id)
    }

    /// The request that turns a code into tokens, for the group's own API if it is the resource.
    pub fn exchange(&self, port: u16, code: &str, resource: Option<&str>) -> Vec<u8> {
        let authorization = basic(&self.client(), SECRET);
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
        ];
        pairs.extend(resource.map(|resource| ("resource", resource)));
        request(
            "POST",
            port,
            &format!("/{}/token", self.id),
            &[("authorization", &authorization)],
            &form(&pairs),
        )
    }

    fn token(&self, port: u16, more: &[(&str, &str)]) -> Vec<u8> {
        let authorization = basic(&self.client(), SECRET);
        let mut pairs = vec![("grant_type", "client_credentials")];
        pairs.extend(more);
        let target = format!("/{}/token", self.id);
        request(
            "POST",
            port,
            &target,
            &[("authorization", &authorization)],
            &form(&pairs),
        )
    }

    /// What every active group has.
    fn core(&self) -> (Organization, [Product; 2]) {
        let id = &self.id;
        let organization = json!({
            "_id": format!("organization-of-{id}"), "authGroup": id, "name": id, "core": true,
        });
        let product = |code: &str| {
            let product = json!({
                "_id": format!("{code}-of-{id}"), "authGroup": id, "name": format!("{id} {code}"),
                "codedId": format!("{code}-{id}"), "core": true, "meta": {"core": code},
            });
            serde_json::from_value(product).expect("a product")
        };
        (
            serde_json::from_value(organization).expect("an organization"),
            [product(GROUP_ADMIN), product(ORG_ADMIN)],
        )
    }

    fn documents(&self, keys: &[Jwk], hash: &str) -> (AuthGroup, Client, Account) {
        let (id, email, client) = (&self.id, &self.email, self.client());
        let group = json!({
            "_id": id, "owner": format!("account-of-{id}"), "name": id, "prettyName": format!("{id}-alias"), "active": true,
            "config": {"keys": keys, "cookieKeys": [format!("cookie-key-of-{id}")]},
        });
        let client = json!({
            "_id": client,
            "payload": {
                "auth_group": id, "client_id": client, "client_name": "app", "client_secret": SECRET, "client_skip_consent": true,
                "grant_types": ["authorization_code", "client_credentials"], "response_types": ["code"],
                "redirect_uris": [REDIRECT], "access_token_signed_response_alg": "ES256",
            },
        });
        let account = json!({
            "_id": format!("account-of-{id}"), "authGroup": id, "email": email, "username": email,
            "password": hash, "verified": true, "active": true,
        });
        (
            serde_json::from_value(group).expect("a group"),
            serde_json::from_value(client).expect("a client"),
            serde_json::from_value(account).expect("an account"),
        )
    }
}

pub async fn store(file: &Path) -> Store {
    let options = StoreOptions::new(
        format!("sqlite:{}", file.display()),
        Arc::new(|| SystemClock.now()),
    );
    Store::open(&options, &ueauth::app::collections())
        .await
        .expect("a store")
}

pub async fn fill<T: Document>(store: &Store, documents: &[T]) {
    for some in documents.chunks(500) {
        store.of().insert_many(some).await.expect("documents");
    }
}

pub async fn hash() -> String {
    PasswordHasher::new(&HashSettings::default(), Random::default())
        .expect("a hasher")
        .hash(SecretString::from(PASSWORD))
        .await
        .expect("a hash")
}

/// Puts groups into a store that no server has open.
pub async fn seed(file: &Path, count: usize) -> Vec<Seeded> {
    let store = store(file).await;
    let hash = hash().await;
    let sets = key_sets(count.div_ceil(SHARE_KEYS)).await;
    let seeded: Vec<Seeded> = (0..count).map(Seeded::numbered).collect();
    let (mut groups, mut clients, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut organizations, mut products) = (Vec::new(), Vec::new());
    for (some, keys) in seeded.chunks(SHARE_KEYS).zip(&sets) {
        for one in some {
            let (group, client, account) = one.documents(keys, &hash);
            groups.push(group);
            clients.push(client);
            accounts.push(account);
            let (organization, core) = one.core();
            organizations.push(organization);
            products.extend(core);
        }
    }
    fill(&store, &groups).await;
    fill(&store, &organizations).await;
    fill(&store, &products).await;
    fill(&store, &clients).await;
    fill(&store, &accounts).await;
    store.close().await;
    seeded
}

async fn key_sets(count: usize) -> Vec<Vec<Jwk>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let makers = (0..cores).map(|core| {
        let share = (core..count).step_by(cores);
        tokio::task::spawn_blocking(move || {
            share
                .map(|_| generate_group_keys().expect("keys"))
                .collect::<Vec<_>>()
        })
    });
    let made = join_all(makers).await;
    made.into_iter()
        .flat_map(|sets| sets.expect("the keys"))
        .collect()
}

pub async fn run(options: &Options) {
    report::section("Many groups");
    let folder = folder();
    let (few, many) = (folder.path().join("one.db"), folder.path().join("many.db"));
    let one = seed(&few, 1).await;
    let all = seed(&many, options.groups).await;
    let (few, many) = (Server::start(&few).await, Server::start(&many).await);
    visit(&few, &one, 1).await;
    tokio::time::sleep(QUIET).await;
    report::fact("memory with one group after a login", "");
    report::most(few.memory(), 40.0, "MB");
    let fresh = many.memory();
    let texts = all.len();
    Kind::Discovery
        .median(&many, &all, texts, texts.div_ceil(4))
        .await;
    let known = many.memory();
    visit(&many, &all, 16).await;
    tokio::time::sleep(QUIET).await;
    let busy = many.memory();
    tokio::time::sleep(IDLE).await;
    report::fact(
        &format!(
            "idle memory after {} groups have served a login each",
            all.len()
        ),
        &format!(
            "{fresh:.1} MB at the start, {known:.1} MB when each was known, {busy:.1} MB with all of them in use"
        ),
    );
    report::most(many.memory(), 200.0, "MB");
    // all of them in use again
    Kind::Signed
        .median(&many, &all, texts, texts.div_ceil(4))
        .await;
    for (name, each, kind) in [
        ("discovery", 600, Kind::Discovery),
        ("client_credentials opaque", 200, Kind::Opaque),
        ("client_credentials ES256", 600, Kind::Signed),
    ] {
        let each = options.scaled(each);
        let (mut of_one, mut of_many, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let few = kind.median(&few, &one, texts, each).await;
            let many = kind.median(&many, &all, texts, each).await;
            times.push(many / few);
            of_one.push(few);
            of_many.push(many);
        }
        report::fact(
            name,
            &format!(
                "p50 {:.3} ms with one group, {:.3} ms over all",
                middle(of_one),
                middle(of_many)
            ),
        );
        let times = middle(times);
        report::verdict(&format!("{times:.2} times"), "at most 1.10", times <= 1.1);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Discovery,
    Opaque,
    Signed,
}

impl Kind {
    fn request(self, port: u16, group: &Seeded) -> Vec<u8> {
        match self {
            Self::Discovery => request("GET", port, &group.discovery(), &[], ""),
            Self::Opaque => group.token(port, &[]),
            Self::Signed => group.token(port, &[("resource", "https://api.test")]),
        }
    }

    /// In ms, on four connections whose requests go round the groups. There are `texts` of them, so
    /// that it costs this process the same to send those to one group as those to many.
    async fn median(self, server: &Server, groups: &[Seeded], texts: usize, each: usize) -> f64 {
        let requests: Vec<_> = groups
            .iter()
            .cycle()
            .take(texts)
            .map(|group| self.request(server.port, group))
            .collect();
        let requests = Rc::new(requests);
        let load = Load {
            port: server.port,
            pid: server.pid(),
            connections: 4,
            each,
        };
        let outcome = load
            .run(|number| Repeat::many(Rc::clone(&requests), number * texts / 4, ""))
            .await;
        outcome.p50.as_secs_f64() * 1000.0
    }
}

fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Somebody signs in at each group.
async fn visit(server: &Server, groups: &[Seeded], people: usize) {
    let share = groups.len().div_ceil(people);
    let visits = groups.chunks(share).map(|some| async move {
        for group in some {
            let mut browser = Browser::new(server.port).await.expect("a connection");
            let form = browser.login_form(&group.authorize()).await;
            let answer = browser.log_in(&form, &group.email, PASSWORD).await;
            let back = answer.location.expect("a redirect after the sign-in");
            browser.code(&back).await;
        }
    });
    join_all(visits).await;
}
