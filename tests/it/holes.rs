//! Weaknesses that servers of this kind have had; each test is named after what must not be possible.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HOST;
use serde_json::{Value, json};
use ueauth::oidc::records::{InitialAccessToken, Purpose, Record};
use ueauth::store::{Store as Documents, StoreOptions};
use ueauth_actors::{Clock, SystemClock};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::server::{Server, Store};
use crate::tenant::{Person, Tenant, api_token, pending};

const NEW: &str = "N3w!passw0rd";
/// Values that a document database may take for a condition.
const OPERATORS: [&str; 6] = [
    r#"{"$ne":null}"#,
    r#"{"$gt":""}"#,
    r#"{"$regex":".*"}"#,
    r#"["x"]"#,
    "true",
    "1",
];

pub async fn call(server: &Server, method: Method, path: &str, token: &str, body: Value) -> Answer {
    send(to(server, method, path).bearer_auth(token).json(&body)).await
}

pub async fn get(server: &Server, path: &str, token: &str) -> Answer {
    send(to(server, Method::GET, path).bearer_auth(token)).await
}

async fn set_password(server: &Server, tenant: &Tenant, token: &str) -> Answer {
    let path = format!("/api/{}/setpass", tenant.group);
    call(server, Method::POST, &path, token, json!({"password": NEW})).await
}

pub async fn open(address: &str) -> Documents {
    let options = StoreOptions::new(address, Arc::new(|| SystemClock.now()));
    let opened = Documents::open(&options, &ueauth::app::collections()).await;
    opened.expect("the store")
}

/// Changes the store while the server does not run.
pub async fn behind_its_back(server: &mut Server, change: impl AsyncFnOnce(&Documents)) {
    server.kill();
    let store = open(&server.store).await;
    change(&store).await;
    store.close().await;
    server.restart().await;
}

/// Puts a token as it is mailed into the store.
pub async fn mail(server: &mut Server, tenant: &Tenant, purpose: Purpose) -> String {
    let token = format!("mailed-{}", rand::random::<u128>());
    let now = SystemClock.now() / 1000;
    let payload = InitialAccessToken {
        iat: now,
        exp: now + 900,
        jti: token.clone(),
        kind: "InitialAccessToken".to_owned(),
        policies: vec!["auth_group".to_owned()],
        auth_group: tenant.group.clone(),
        sub: Some(tenant.user.id.clone()),
        email: Some(tenant.user.email.clone()),
        purpose: Some(purpose),
        ..InitialAccessToken::default()
    };
    let record = Record::new(token.clone(), payload, Some(now + 900));
    let insert = async |store: &Documents| {
        store
            .of::<Record<InitialAccessToken>>()
            .insert(&record)
            .await
            .expect("stored");
    };
    behind_its_back(server, insert).await;
    token
}

/// A token of a client for an audience, asked for on a host.
pub async fn client_token(
    server: &Server,
    tenant: &Tenant,
    client: &Value,
    host: Option<&str>,
    audience: &str,
) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "access"),
        ("audience", audience),
    ];
    let mut request = to(server, Method::POST, &format!("/{}/token", tenant.group))
        .basic_auth(text(&client["client_id"]), client["client_secret"].as_str())
        .form(&form);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    text(&send(request).await.expect(200).json()["access_token"]).to_owned()
}

/// Makes an organization; answers its id and that of its first domain.
pub async fn organization(server: &Server, tenant: &Tenant, name: &str) -> (String, String) {
    let body = json!({"name": name, "description": name, "contactEmail": "a@shop.test", "type": "customer"});
    let made = tenant
        .api(server, Method::POST, "organizations", Some(body), 201)
        .await;
    let id = |part: &str| text(&made["data"][part]["id"]).to_owned();
    (id("organization"), id("domain"))
}

/// The id of a seeded role and of its product.
pub async fn role(server: &Server, tenant: &Tenant, name: &str) -> (String, String) {
    let roles = tenant.api(server, Method::GET, "roles", None, 200).await;
    let mut list = roles["data"].as_array().expect("a list").iter();
    let found = list
        .find(|role| role["name"] == name)
        .expect("the seeded role");
    (
        text(&found["id"]).to_owned(),
        text(&found["product"]).to_owned(),
    )
}

/// Gives a client a role of a product.
pub async fn give_client(
    server: &Server,
    tenant: &Tenant,
    client: &Value,
    (role, product): (&str, &str),
) {
    let client = text(&client["client_id"]);
    let path = format!("access/client/{client}/product/{product}");
    let given = json!({"roles": [role]});
    tenant
        .api(server, Method::PUT, &path, Some(given), 200)
        .await;
}

fn assert_no_private_key(what: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let private = matches!(
                    name.as_str(),
                    "d" | "p" | "q" | "dp" | "dq" | "qi" | "k" | "cookieKeys"
                );
                assert!(!private, "{what} shows `{name}`");
                assert_no_private_key(what, value);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| assert_no_private_key(what, item)),
        _ => {}
    }
}

on_both_stores! {
    /// 1: a member makes a token for another account and sets its password.
    async fn anybody_mints_a_token_for_any_account(server: Server) {
        let tenant = Tenant::create(&server).await;
        let member = tenant.token_of(&server, &tenant.user).await;
        let wanted = json!({"sub": tenant.owner.id, "email": tenant.owner.email});
        let mint = format!("/{}/token/initial-access", tenant.group);
        call(&server, Method::POST, &mint, &member, wanted).await.expect(403);
        // whoever may make such tokens does not take accounts over with them either
        let token = tenant
            .registration_token(json!({"sub": tenant.user.id, "email": tenant.user.email}))
            .await;
        set_password(&server, &tenant, &token).await.expect(401);
        let account = format!("/api/{}/account/{}", tenant.group, tenant.user.id);
        let patch = json!([{"op": "replace", "path": "/password", "value": NEW}]);
        call(&server, Method::PATCH, &account, &token, patch).await.expect(401);
        assert!(tenant.knows(&tenant.user.email, &tenant.user.password).await);
    }

    /// 2: credentials that are no texts act as conditions of the database.
    async fn operators_pass_for_credentials(server: Server) {
        let tenant = Tenant::create(&server).await;
        // there is a token that a condition would find
        tenant.registration_token(json!({"sub": tenant.user.id, "email": tenant.user.email})).await;
        let (waiting, _) = pending(&server, "later", "owner@later.test").await;
        let group = &tenant.group;
        for value in OPERATORS {
            let set = format!(r#"{{"access_token":{value},"password":"{NEW}"}}"#);
            let step = format!(r#"{{"providerKey":{value},"accountId":{value},"state":{value},"access_token":{value}}}"#);
            let reg = format!(r#"{{"access_token":{value},"redirect_uris":["https://a.test/cb"]}}"#);
            let first = format!(
                r#"{{"access_token":{value},"email":"owner@later.test","username":"o","password":"{NEW}"}}"#
            );
            for (path, body) in [
                (format!("/api/{group}/setpass"), set),
                (format!("/{group}/token/simple-iat"), step),
                (format!("/{group}/reg"), reg),
                (format!("/api/{waiting}/account"), first),
            ] {
                let request = to(&server, Method::POST, &path)
                    .header("content-type", "application/json")
                    .body(body);
                send(request).await.expect_any(&[400, 401]);
            }
        }
        for query in ["access_token[$ne]=x", "access_token%5B%24ne%5D=x", "access_token={\"$ne\":null}"] {
            let path = format!("/api/{group}/setpass?{query}");
            send(to(&server, Method::POST, &path).json(&json!({"password": NEW}))).await.expect_any(&[400, 401]);
        }
        assert!(tenant.knows(&tenant.user.email, &tenant.user.password).await);
        let still = get(&server, &format!("/api/group/{waiting}"), &tenant.root_token).await;
        assert_ne!(still.status, 200, "the waiting group became active");
    }

    /// 3: tokens for registering, activating, stepping up and mailed links stand in for each other.
    async fn initial_access_tokens_are_interchangeable(server: Server) {
        let mut server = server;
        let tenant = Tenant::create(&server).await;
        let group = tenant.group.clone();
        let registration = tenant.registration_token(json!({})).await;
        set_password(&server, &tenant, &registration).await.expect(401);

        let (waiting, activation) = pending(&server, "later", "owner@later.test").await;
        let metadata = json!({"client_name": "x", "redirect_uris": ["https://x.test/cb"]});
        for place in [&waiting, &group] {
            let path = format!("/{place}/reg");
            let refused = call(&server, Method::POST, &path, &activation, metadata.clone()).await;
            assert_ne!(refused.status, 201, "an activation token registered a client");
        }
        set_password(&server, &tenant, &activation).await.expect(401);
        let first = json!({"email": "owner@later.test", "username": "o", "password": NEW});
        let path = format!("/api/{waiting}/account");
        call(&server, Method::POST, &path, &registration, first).await.expect(401);

        let step = to(&server, Method::POST, &format!("/{group}/token/simple-iat"))
            .basic_auth(&tenant.user.email, Some(&tenant.user.password))
            .json(&json!({"state": "s"}));
        let step = send(step).await.expect(201).json();
        let step = text(&step["data"]["jti"]);
        let path = format!("/{group}/reg");
        call(&server, Method::POST, &path, step, metadata.clone()).await.expect(401);
        set_password(&server, &tenant, step).await.expect(401);

        for purpose in [Purpose::MagicLink, Purpose::LockNotice, Purpose::AccountLock] {
            let mailed = mail(&mut server, &tenant, purpose).await;
            set_password(&server, &tenant, &mailed).await.expect(401);
        }
        let mailed = mail(&mut server, &tenant, Purpose::AccountAction).await;
        call(&server, Method::POST, &path, &mailed, metadata).await.expect(401);
        set_password(&server, &tenant, &mailed).await.expect(204);
        set_password(&server, &tenant, &mailed).await.expect(401);
        assert!(tenant.knows(&tenant.user.email, NEW).await);
    }

    /// 4: on a custom domain the API takes tokens for any audience.
    async fn custom_domains_skip_the_audience(server: Server) {
        let tenant = Tenant::create(&server).await;
        let (host, group) = ("login.shop.test", &tenant.group);
        let path = format!("/api/group/{group}/alias-dns");
        call(&server, Method::POST, &path, &tenant.root_token, json!({"aliasDnsOIDC": host})).await.expect(200);
        let client = tenant.web_client(json!({})).await;
        let users = format!("/api/{group}/access/validate");
        let clients = format!("/api/{group}/clients");
        for (audience, status) in [
            (format!("http://{host}/{group}"), 403),
            (tenant.issuer.clone(), 401),
            ("https://orders.test".to_owned(), 401),
        ] {
            let token = client_token(&server, &tenant, &client, Some(host), &audience).await;
            let request = to(&server, Method::GET, &clients).bearer_auth(&token).header(HOST, host);
            send(request).await.expect(status);
            // whoever looks tokens up may ask about any audience
            let request = to(&server, Method::GET, &users).bearer_auth(&token).header(HOST, host);
            send(request).await.expect(200);
        }
        let usual = client_token(&server, &tenant, &client, None, &tenant.issuer).await;
        get(&server, &clients, &usual).await.expect(403);
        let request = to(&server, Method::GET, &clients).bearer_auth(&usual).header(HOST, host);
        send(request).await.expect(401);
        let request = to(&server, Method::GET, &clients).bearer_auth(&usual).header(HOST, "other.test");
        send(request).await.expect(501);
    }

    /// 5: accounts that are switched off keep their access.
    async fn blocked_accounts_keep_access(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        for (member, value) in [("blocked", true), ("userLocked", true), ("active", false)] {
            let person = tenant.account(&server, &format!("{}@shop.test", member.to_lowercase())).await;
            let signed = tenant.token_of(&server, &person).await;
            let offline = [("scope", "openid email offline_access"), ("prompt", "consent")];
            let tokens = tenant.tokens(&server, &client, &person, &offline).await;
            let me = format!("/api/{}/account/me", tenant.group);
            let userinfo = format!("/{}/me", tenant.group);
            let opaque = text(&tokens["access_token"]);
            get(&server, &me, &signed).await.expect(200);
            get(&server, &userinfo, opaque).await.expect(200);

            let patch = json!([{"op": "replace", "path": format!("/{member}"), "value": value}]);
            let account = format!("/api/{}/account/{}", tenant.group, person.id);
            call(&server, Method::PATCH, &account, &tenant.owner_token, patch).await.expect(200);

            get(&server, &me, &signed).await.expect(401);
            get(&server, &me, opaque).await.expect(401);
            get(&server, &userinfo, opaque).await.expect(401);
            assert!(!tenant.knows(&person.email, &person.password).await, "{member}");
            let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens["refresh_token"]))];
            let refused = at_provider(&server, &tenant, &client, "token", &form).await.expect(400);
            assert_eq!(refused.json()["error"], "invalid_grant", "{member}");
            let form = [("token", opaque)];
            let known = at_provider(&server, &tenant, &client, "token/introspection", &form).await.expect(200);
            assert_eq!(known.json()["active"], false, "{member}");
        }
    }

    /// 5: Basic authentication is no way around the lock-out.
    async fn basic_guesses_without_limit(server: Server) {
        let tenant = Tenant::create(&server).await;
        let thresholds = "/config/failedLoginThresholds";
        tenant.patch(&server, json!([
            {"op": "replace", "path": format!("{thresholds}/enabled"), "value": true},
            {"op": "replace", "path": format!("{thresholds}/threshold"), "value": 3},
            {"op": "replace", "path": format!("{thresholds}/duration"), "value": 1},
        ])).await;
        for _ in 0..3 {
            assert!(!tenant.knows(&tenant.user.email, "Wr0ng!pass").await);
        }
        assert!(!tenant.knows(&tenant.user.email, &tenant.user.password).await, "not locked out");
        assert!(tenant.knows(&tenant.owner.email, &tenant.owner.password).await, "others are not locked out");
    }

    /// 6: a member puts people into organizations, takes them out and strips their roles.
    async fn members_manage_any_organization(server: Server) {
        let tenant = Tenant::create(&server).await;
        let (id, domain) = organization(&server, &tenant, "First").await;
        let (role, _) = role(&server, &tenant, "OrganizationAdmin").await;
        let given = json!({"roles": [role], "domains": [domain]});
        let path = format!("access/organization/{id}/account/{}", tenant.user.id);
        tenant.api(&server, Method::PUT, &path, Some(given.clone()), 200).await;
        let mallory = tenant.account(&server, "mallory@shop.test").await;
        let member = tenant.token_of(&server, &mallory).await;
        let base = format!("/api/{}", tenant.group);
        let others = json!({"accounts": [tenant.user.id], "emails": [tenant.user.email]});
        let own = json!({"accounts": [mallory.id], "roles": [role], "domains": [domain]});
        for (method, path, body) in [
            (Method::PUT, format!("organization/{id}/account"), json!({"email": mallory.email})),
            (Method::PUT, format!("organization/{id}/accounts"), own.clone()),
            (Method::PUT, format!("access/organization/{id}/accounts"), own),
            (Method::PUT, format!("access/organization/{id}/account/{}", mallory.id), given),
            (Method::DELETE, format!("organization/{id}/accounts"), others.clone()),
            (Method::DELETE, format!("access/organization/{id}/accounts"), others),
            (Method::DELETE, path.clone(), json!({})),
        ] {
            let answer = call(&server, method, &format!("{base}/{path}"), &member, body).await;
            answer.expect_any(&[403, 404]);
        }
        let kept = tenant.api(&server, Method::GET, &path, None, 200).await;
        assert_eq!(kept["data"]["roles"], json!([role]), "{kept}");
        let path = format!("{base}/access/organization/{id}/account/{}", mallory.id);
        get(&server, &path, &tenant.owner_token).await.expect(404);
    }

    /// 7: what is allowed in one organization works in another; clients own every organization.
    async fn permissions_of_one_organization_work_in_another(server: Server) {
        let tenant = Tenant::create(&server).await;
        let [(first, domain), (second, _)] = [
            organization(&server, &tenant, "First").await,
            organization(&server, &tenant, "Second").await,
        ];
        let (role, product) = role(&server, &tenant, "OrganizationAdmin").await;
        let given = json!({"roles": [role], "domains": [domain]});
        let path = format!("access/organization/{first}/account/{}", tenant.user.id);
        tenant.api(&server, Method::PUT, &path, Some(given), 200).await;
        let client = tenant.web_client(json!({"initialized_org_context": first})).await;
        give_client(&server, &tenant, &client, (&role, &product)).await;

        let person = tenant.token_of(&server, &tenant.user).await;
        let service = client_token(&server, &tenant, &client, None, &tenant.issuer).await;
        let patch = json!([{"op": "replace", "path": "/description", "value": "taken"}]);
        let path = |id: &str| format!("/api/{}/organizations/{id}", tenant.group);
        let attempt = async |token: &str, id: &str, context: Option<&str>| {
            let mut request = to(&server, Method::PATCH, &path(id)).bearer_auth(token).json(&patch);
            if let Some(context) = context {
                request = request.header("x-org-context", context);
            }
            send(request).await
        };
        for token in [&person, &service] {
            attempt(token, &second, None).await.expect(403);
            attempt(token, &second, Some(&first)).await.expect(403);
        }
        let kept = tenant.api(&server, Method::GET, &format!("organizations/{second}"), None, 200).await;
        assert_eq!(kept["data"]["description"], "Second");
        attempt(&person, &first, None).await.expect(200);
    }

    /// 8: the owner of a group with a custom domain lists everybody's groups.
    async fn owners_on_custom_domains_list_all_groups(server: Server) {
        let tenant = Tenant::create(&server).await;
        tenant.another(&server, "other").await;
        let host = "login.shop.test";
        let path = format!("/api/group/{}/alias-dns", tenant.group);
        call(&server, Method::POST, &path, &tenant.root_token, json!({"aliasDnsOIDC": host})).await.expect(200);
        let owner = Person {
            email: tenant.owner.email.clone(),
            password: tenant.owner.password.clone(),
            id: tenant.owner.id.clone(),
        };
        // opaque tokens work on every host of the group
        let scope = [("scope", "openid email access")];
        let tokens = tenant.tokens(&server, &tenant.portal, &owner, &scope).await;
        let opaque = text(&tokens["access_token"]);
        let me = format!("/api/{}/account/me", tenant.group);
        send(to(&server, Method::GET, &me).bearer_auth(opaque).header(HOST, host)).await.expect(200);
        let refused = send(to(&server, Method::GET, "/api/groups").bearer_auth(opaque).header(HOST, host)).await;
        assert!(matches!(refused.expect(403).text, text if !text.contains("other")));
        send(to(&server, Method::GET, "/api/groups").bearer_auth(opaque)).await.expect_any(&[401, 403]);
        get(&server, "/api/groups", &tenant.root_token).await.expect(200);
    }

    /// 9: the core can be looked at and updated by anybody.
    async fn anybody_updates_the_core(server: Server) {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let member = tenant.token_of(&server, &tenant.user).await;
        let check = format!("/api/{}/checkforupdates", tenant.group);
        let update = format!("/api/{}/updatecore", tenant.group);
        send(to(&server, Method::GET, &check)).await.expect(401);
        send(to(&server, Method::PUT, &update)).await.expect(401);
        for token in [&member, &other.owner_token] {
            call(&server, Method::PUT, &update, token, json!({})).await.expect_any(&[401, 403]);
        }
        get(&server, &check, &other.owner_token).await.expect(401);
        call(&server, Method::PUT, &update, &tenant.owner_token, json!({})).await.expect(200);
    }

    /// 10: private keys come out with the group.
    async fn private_keys_are_shown(server: Server) {
        let tenant = Tenant::create(&server).await;
        let group = format!("/api/group/{}", tenant.group);
        let mut shown = Vec::new();
        for token in [&tenant.root_token, &tenant.owner_token] {
            shown.push(("reading", get(&server, &group, token).await.expect(200)));
        }
        shown.push(("listing", get(&server, "/api/groups", &tenant.root_token).await.expect(200)));
        let patch = json!([{"op": "replace", "path": "/name", "value": "Renamed"}]);
        shown.push(("changing", call(&server, Method::PATCH, &group, &tenant.owner_token, patch).await.expect(200)));
        let operations = format!("/api/{}/operations", tenant.group);
        for operation in ["rotate_keys", "rotate_cookie_keys"] {
            let body = json!({"operation": operation});
            let answer = call(&server, Method::POST, &operations, &tenant.root_token, body).await.expect(200);
            shown.push((operation, answer));
        }
        let new = json!({
            "name": "Later", "prettyName": "later", "owner": "o@later.test", "primaryEmail": "o@later.test",
            "primaryDomain": "https://later.test", "primaryTOS": "https://later.test/tos",
            "primaryPrivacyPolicy": "https://later.test/p", "locked": false,
        });
        let created = send(to(&server, Method::POST, "/api/group").json(&new)).await.expect(201);
        let token = text(&created.json()["data"]["initialAccessToken"]).to_owned();
        let first = json!({"email": "o@later.test", "username": "o@later.test", "password": NEW});
        shown.push(("registering", created));
        let activated = call(&server, Method::POST, "/api/later/account", &token, first).await.expect(201);
        shown.push(("activating", activated));
        shown.push(("public keys", send(to(&server, Method::GET, &format!("/{}/jwks", tenant.group))).await.expect(200)));
        for (what, answer) in shown {
            assert_no_private_key(what, &answer.json());
        }
    }

    /// 13: people of the root group get errors, or are refused what they may do.
    async fn root_without_access_scope_fails(server: Server) {
        let tenant = Tenant::create(&server).await;
        let issuer = format!("{}/{}", server.url, tenant.root_group);
        let (root, client) = (&server.root, &tenant.root_portal);
        let flow = crate::flow::Flow::new(&issuer, client, &[("scope", "openid email"), ("resource", &issuer)]);
        let back = crate::visitor::Visitor::new(&server).authorize(&flow.url, &root.email, &root.password).await.away();
        let tokens = flow.tokens(&back).await;
        let token = text(&tokens["access_token"]);
        for path in ["/api/groups".to_owned(), format!("/api/{}/accounts", tenant.group)] {
            get(&server, &path, token).await.expect(200);
        }
    }
}

/// Sends a form to an endpoint of the provider as a confidential client.
pub async fn at_provider(
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

/// 13: without full control people of the root group may read and create, and no more.
#[tokio::test]
async fn root_without_full_control_reads_and_creates() {
    let settings = [("security.root_full_control", "false")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let accounts = format!("/api/{}/accounts", tenant.group);
    get(&server, &accounts, &tenant.root_token)
        .await
        .expect(200);
    let path = format!("/api/{}/organizations", tenant.group);
    let body = json!({"name": "New", "description": "d", "contactEmail": "a@shop.test"});
    call(&server, Method::POST, &path, &tenant.root_token, body)
        .await
        .expect(201);
    let account = format!("/api/{}/account/{}", tenant.group, tenant.user.id);
    let patch = json!([{"op": "replace", "path": "/username", "value": "plugins"}]);
    call(&server, Method::PATCH, &account, &tenant.root_token, patch)
        .await
        .expect(403);
    call(
        &server,
        Method::DELETE,
        &account,
        &tenant.root_token,
        json!({}),
    )
    .await
    .expect(403);
    // the word in an id opens nothing
    let odd = format!("/api/{}/account/plugins", tenant.group);
    call(&server, Method::DELETE, &odd, &tenant.root_token, json!({}))
        .await
        .expect(403);
}

/// A token of the root group opens what its holder may do, on the group's own host only.
#[tokio::test]
async fn root_tokens_need_no_account_in_the_group() {
    let server = Server::start(Store::Embedded).await.expect("a server");
    let tenant = Tenant::create(&server).await;
    let root = &server.root;
    let again = api_token(
        &server,
        &tenant.root_group,
        &tenant.root_portal,
        &root.email,
        &root.password,
    )
    .await;
    get(&server, &format!("/api/group/{}", tenant.group), &again)
        .await
        .expect(200);
    // but a person of root is nobody the tenant could prove a step-up for
    let path = format!("/{}/token/simple-iat", tenant.group);
    call(&server, Method::POST, &path, &again, json!({}))
        .await
        .expect(403);
}
