//! Tokens and codes outside their time, or signed by somebody else: good for nothing.

use reqwest::Method;
use serde_json::{Value, json};
use ueauth::groups::AuthGroup;
use ueauth::jose::{Alg, Jwk, KeySet};
use ueauth::oidc::records::{
    AccessToken, AuthorizationCode, ClientCredentials, InitialAccessToken, Record, RefreshToken,
};
use ueauth::store::{Store as Documents, StoreError};
use ueauth_actors::{Clock, SystemClock};

use crate::answer::{Answer, send, to};
use crate::flow::{Flow, claims, text};
use crate::holes::behind_its_back;
use crate::server::Server;
use crate::tenant::Tenant;
use crate::visitor::Visitor;

fn now() -> i64 {
    SystemClock.now() / 1000
}

async fn keys(store: &Documents, group: &str) -> Vec<Jwk> {
    let found = store.of::<AuthGroup>().get(group).await;
    found.expect("the store").expect("the group").config.keys
}

/// Signed as the server does, with the keys at hand.
fn sign(keys: &[Jwk], claims: &Value) -> String {
    let set = KeySet::new(keys).expect("keys");
    let signer = set.signer(Alg::RS256).expect("an RSA key");
    signer.sign(Some("at+jwt"), claims).expect("a token")
}

async fn me(server: &Server, tenant: &Tenant, token: &str) -> Answer {
    let path = format!("/api/{}/account/me", tenant.group);
    send(to(server, Method::GET, &path).bearer_auth(token)).await
}

async fn provider(
    server: &Server,
    tenant: &Tenant,
    client: &Value,
    path: &str,
    form: &[(&str, &str)],
) -> Answer {
    let request = to(server, Method::POST, &format!("/{}/{path}", tenant.group))
        .basic_auth(text(&client["client_id"]), client["client_secret"].as_str())
        .form(form);
    send(request).await
}

async fn is_active(server: &Server, tenant: &Tenant, client: &Value, token: &str) -> bool {
    let form = [("token", token)];
    let answer = provider(server, tenant, client, "token/introspection", &form).await;
    answer.expect(200).json()["active"] == true
}

async fn register(server: &Server, tenant: &Tenant, token: &str) -> Answer {
    let metadata = json!({"client_name": "late", "redirect_uris": ["https://late.test/cb"]});
    let path = format!("/{}/reg", tenant.group);
    let request = to(server, Method::POST, &path).bearer_auth(token);
    send(request.json(&metadata)).await
}

/// Gives a stored token another end; the document itself stays for the purger.
macro_rules! end {
    ($store:expr, $kind:ty, $id:expr, $at:expr) => {
        $store
            .of::<Record<$kind>>()
            .update($id, |record: &mut Record<$kind>| {
                record.payload.exp = $at;
                Ok::<_, StoreError>(())
            })
            .await
            .expect("the store")
            .expect("the token")
    };
}

/// What a person and a client have got.
struct Holding {
    client: Value,
    flow: String,
    access: String,
    refresh: String,
    own: String,
    code: String,
    registration: String,
}

impl Holding {
    async fn get(server: &Server, tenant: &Tenant) -> Self {
        let client = tenant.web_client(json!({})).await;
        let offline = [
            ("scope", "openid email access offline_access"),
            ("prompt", "consent"),
        ];
        let tokens = tenant.tokens(server, &client, &tenant.user, &offline).await;
        let form = [("grant_type", "client_credentials")];
        let own = provider(server, tenant, &client, "token", &form).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let (email, password) = (&tenant.user.email, &tenant.user.password);
        let visitor = Visitor::new(server);
        let landed = visitor.authorize(&flow.url, email, password).await.away();
        Self {
            access: text(&tokens["access_token"]).to_owned(),
            refresh: text(&tokens["refresh_token"]).to_owned(),
            own: text(&own.expect(200).json()["access_token"]).to_owned(),
            code: crate::flow::parameter(&landed, "code").expect("a code"),
            registration: tenant.registration_token(json!({})).await,
            flow: flow.verifier.clone(),
            client,
        }
    }

    async fn ends(&self, server: &mut Server, at: i64) {
        behind_its_back(server, async |store: &Documents| {
            end!(store, AccessToken, &self.access, at);
            end!(store, RefreshToken, &self.refresh, at);
            end!(store, ClientCredentials, &self.own, at);
            end!(store, AuthorizationCode, &self.code, at);
            end!(store, InitialAccessToken, &self.registration, at);
        })
        .await;
    }

    /// Status of each use: API, userinfo, refresh, code, registration.
    async fn uses(&self, server: &Server, tenant: &Tenant) -> [u16; 5] {
        let userinfo = to(server, Method::GET, &format!("/{}/me", tenant.group));
        let userinfo = send(userinfo.bearer_auth(&self.access)).await;
        let api = me(server, tenant, &self.access).await;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &*self.refresh),
        ];
        let refreshed = provider(server, tenant, &self.client, "token", &form).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*self.code),
            ("redirect_uri", "https://web.test/cb"),
            ("code_verifier", &*self.flow),
        ];
        let exchanged = provider(server, tenant, &self.client, "token", &form).await;
        for answer in [&refreshed, &exchanged] {
            if answer.status != 200 {
                assert_eq!(answer.json()["error"], "invalid_grant", "{}", answer.text);
            }
        }
        let registered = register(server, tenant, &self.registration).await;
        [
            api.status,
            userinfo.status,
            refreshed.status,
            exchanged.status,
            registered.status,
        ]
    }
}

on_both_stores! {
    /// Stored tokens and codes end when they say, also while the store still has them.
    async fn stored_tokens_end_with_their_time(server: Server) {
        let mut server = server;
        let tenant = Tenant::create(&server).await;
        let held = Holding::get(&server, &tenant).await;
        held.ends(&mut server, now() - 1).await;
        for token in [&held.access, &held.refresh, &held.own] {
            assert!(!is_active(&server, &tenant, &held.client, token).await);
        }
        assert_eq!(held.uses(&server, &tenant).await, [401, 401, 400, 400, 401]);
        // the same, had they not ended
        held.ends(&mut server, now() + 600).await;
        for token in [&held.access, &held.refresh, &held.own] {
            assert!(is_active(&server, &tenant, &held.client, token).await);
        }
        assert_eq!(held.uses(&server, &tenant).await, [200, 200, 200, 200, 201]);
    }

    /// A signed token counts from `nbf` to `exp`, and under the key of its own group only.
    async fn signed_tokens_are_of_their_time_and_group(server: Server) {
        let mut server = server;
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        behind_its_back(&mut server, async |store: &Documents| {
            ours = keys(store, &tenant.group).await;
            theirs = keys(store, &other.group).await;
        })
        .await;
        let good = claims(&json!(tenant.owner_token));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        let without = |name: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().expect("claims").remove(name);
            claims
        };
        me(&server, &tenant, &sign(&ours, &good)).await.expect(200);
        for claims in [
            with("exp", json!(now() - 1)),
            with("exp", json!("9999999999")),
            with("exp", json!(-1)),
            without("exp"),
            with("nbf", json!(now() + 600)),
            with("nbf", json!("soon")),
            with("iss", json!(other.issuer)),
            with("group", json!(other.group)),
            with("group", json!(tenant.root_group)),
            with("aud", json!(other.issuer)),
            without("client_id"),
            with("nonce", json!("of an ID token")),
        ] {
            let answer = me(&server, &tenant, &sign(&ours, &claims)).await;
            assert_eq!(answer.status, 401, "{claims}: {}", answer.text);
        }
        me(&server, &tenant, &sign(&theirs, &good)).await.expect(401);
        // their keys under the names of ours
        let mut disguised = theirs;
        for key in &mut disguised {
            let twin = ours.iter().find(|ours| ours.kty == key.kty);
            key.kid = twin.and_then(|twin| twin.kid.clone());
        }
        me(&server, &tenant, &sign(&disguised, &good)).await.expect(401);
    }
}
