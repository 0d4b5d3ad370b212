//! Tokens and codes that must not be good for anything, or not any more.

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Answer, send, to};
use crate::flow::{Flow, claims, parameter, text};
use crate::server::Server;
use crate::tenant::Tenant;
use crate::visitor::Visitor;

const OFFLINE: [(&str, &str); 2] = [
    ("scope", "openid email offline_access"),
    ("prompt", "consent"),
];

fn encode(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn part(token: &str, at: usize) -> &str {
    token.split('.').nth(at).expect("a JWT")
}

fn header(token: &str) -> Value {
    let json = BASE64_URL_SAFE_NO_PAD
        .decode(part(token, 0))
        .expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

/// The token without a signature, under the names that libraries have fallen for.
fn unsigned(token: &str) -> Vec<String> {
    ["none", "None", "NONE", ""]
        .into_iter()
        .flat_map(|alg| {
            let mut header = header(token);
            header["alg"] = json!(alg);
            let head = format!("{}.{}", encode(&header), part(token, 1));
            [
                format!("{head}."),
                head.clone(),
                format!("{head}.{}", part(token, 2)),
            ]
        })
        .collect()
}

/// The token signed with HMAC, with what is public of the group's keys as the secret.
fn signed_with_public_keys(token: &str, keys: &Value) -> Vec<String> {
    let mut header = header(token);
    header["alg"] = json!("HS256");
    let kid = text(&header["kid"]).to_owned();
    let input = format!("{}.{}", encode(&header), part(token, 1));
    let list = keys["keys"].as_array().expect("a list");
    let key = list
        .iter()
        .find(|key| key["kid"] == kid.as_str())
        .expect("the key");
    let mut secrets = vec![key.to_string(), kid, keys.to_string()];
    secrets.extend(
        ["n", "x", "y"]
            .iter()
            .filter_map(|name| key[name].as_str().map(ToOwned::to_owned)),
    );
    secrets
        .iter()
        .map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, input.as_bytes());
            format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref()))
        })
        .collect()
}

/// The token with other claims under the old signature.
fn tampered(token: &str, change: impl Fn(&mut Value)) -> String {
    let mut body = claims(&json!(token));
    change(&mut body);
    format!("{}.{}.{}", part(token, 0), encode(&body), part(token, 2))
}

async fn me(server: &Server, tenant: &Tenant, token: &str) -> Answer {
    send(
        to(
            server,
            Method::GET,
            &format!("/api/{}/account/me", tenant.group),
        )
        .bearer_auth(token),
    )
    .await
}

async fn userinfo(server: &Server, tenant: &Tenant, token: &str) -> Answer {
    send(to(server, Method::GET, &format!("/{}/me", tenant.group)).bearer_auth(token)).await
}

/// Sends a form to an endpoint of a group's provider as a confidential client.
async fn provider(
    server: &Server,
    group: &str,
    client: &Value,
    path: &str,
    form: &[(&str, &str)],
) -> Answer {
    let request = to(server, Method::POST, &format!("/{group}/{path}"))
        .basic_auth(text(&client["client_id"]), client["client_secret"].as_str())
        .form(form);
    send(request).await
}

async fn refresh(server: &Server, tenant: &Tenant, client: &Value, token: &str) -> Answer {
    let id = text(&client["client_id"]);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", id),
    ];
    let mut request = to(server, Method::POST, &format!("/{}/token", tenant.group)).form(&form);
    if client["token_endpoint_auth_method"] != "none" {
        request = request.basic_auth(id, client["client_secret"].as_str());
    }
    send(request).await
}

async fn back(server: &Server, tenant: &Tenant, flow: &Flow<'_>) -> Url {
    let user = &tenant.user;
    Visitor::new(server)
        .authorize(&flow.url, &user.email, &user.password)
        .await
        .away()
}

fn assert_invalid_grant(answer: &Answer) {
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!("invalid_grant")),
        "{}",
        answer.text
    );
}

on_both_stores! {
    /// Neither at the API nor as a hint does a JWT count without a signature of the group's key.
    async fn forged_tokens_are_refused(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let tokens = tenant.tokens(&server, &client, &tenant.user, &[]).await;
        let keys = send(to(&server, Method::GET, &format!("/{}/jwks", tenant.group))).await.expect(200).json();
        let access = &tenant.owner_token;
        me(&server, &tenant, access).await.expect(200);
        let mut forged = unsigned(access);
        forged.extend(signed_with_public_keys(access, &keys));
        forged.push(tampered(access, |body| body["sub"] = json!(tenant.user.id)));
        forged.push(tampered(access, |body| body["exp"] = json!(9_999_999_999_i64)));
        forged.push(format!("{access}x"));
        for token in &forged {
            me(&server, &tenant, token).await.expect(401);
            userinfo(&server, &tenant, token).await.expect(401);
            let known = provider(&server, &tenant.group, &client, "token/introspection", &[("token", token)]).await;
            assert_eq!(known.expect(200).json()["active"], false);
        }
        let hint = text(&tokens["id_token"]);
        let mut hints = unsigned(hint);
        hints.extend(signed_with_public_keys(hint, &keys));
        hints.push(tampered(hint, |body| body["sub"] = json!(tenant.owner.id)));
        for hint in &hints {
            let path = format!("/{}/session/end", tenant.group);
            let end = to(&server, Method::GET, &path).query(&[("id_token_hint", hint.as_str())]);
            send(end).await.expect(400);
            let flow = Flow::new(&tenant.issuer, &client, &[("id_token_hint", hint), ("prompt", "none")]);
            let landed = Visitor::new(&server).open(&flow.url).await.away();
            assert_eq!(parameter(&landed, "error").as_deref(), Some("invalid_request"), "{landed}");
        }
    }

    /// An ID token says who signed in; it opens nothing.
    async fn id_tokens_are_no_access_tokens(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let validate = format!("/api/{}/access/validate", tenant.group);
        for extra in [vec![], vec![("nonce", "")]] {
            let flow = Flow::new(&tenant.issuer, &client, &extra);
            let tokens = flow.tokens(&back(&server, &tenant, &flow).await).await;
            let id = text(&tokens["id_token"]);
            assert_eq!(claims(&tokens["id_token"])["nonce"].is_null(), !extra.is_empty());
            me(&server, &tenant, id).await.expect(401);
            userinfo(&server, &tenant, id).await.expect(401);
            send(to(&server, Method::GET, &validate).bearer_auth(id)).await.expect(401);
        }
    }

    /// Tokens of a neighbour's people and clients mean nothing here, at any endpoint.
    async fn tokens_of_another_group_are_refused(server: Server) {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let client = tenant.web_client(json!({})).await;
        let theirs = other.web_client(json!({})).await;
        let tokens = other.tokens(&server, &theirs, &other.user, &OFFLINE).await;
        let (opaque, long) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
        for token in [opaque, &other.owner_token] {
            me(&server, &tenant, token).await.expect(401);
            userinfo(&server, &tenant, token).await.expect(401);
            let known = provider(&server, &tenant.group, &client, "token/introspection", &[("token", token)]).await;
            assert_eq!(known.expect(200).json()["active"], false);
        }
        let known = provider(&server, &tenant.group, &client, "token/introspection", &[("token", long)]).await;
        assert_eq!(known.expect(200).json()["active"], false);
        assert_invalid_grant(&refresh(&server, &tenant, &client, long).await);
        for token in [opaque, long] {
            provider(&server, &tenant.group, &client, "token/revocation", &[("token", token)]).await.expect_any(&[200, 400]);
        }
        userinfo(&server, &other, opaque).await.expect(200);
        refresh(&server, &other, &theirs, long).await.expect(200);
    }

    /// A client of another group is turned away before anything happens.
    async fn clients_of_another_group_change_nothing(server: Server) {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let theirs = other.web_client(json!({})).await;
        // at the authorization endpoint, also with a session and a grant at hand
        let visitor = Visitor::new(&server);
        let flow = Flow::new(&other.issuer, &theirs, &[]);
        let user = &other.user;
        let at_home = visitor.authorize(&flow.url, &user.email, &user.password).await.away();
        let mut wrong = flow.url.clone();
        wrong.set_path(&format!("/{}/auth", tenant.group));
        let page = visitor.open(&wrong).await.page();
        assert_eq!(page.status, 400, "{}", page.text);
        // at the token endpoint the code survives the attempt
        let code = parameter(&at_home, "code").expect("a code");
        let form = [
            ("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "https://web.test/cb"),
        ];
        let refused = provider(&server, &tenant.group, &theirs, "token", &form).await.expect_any(&[400, 401]);
        assert_eq!(refused.json()["error"], "invalid_client");
        let tokens = flow.tokens(&at_home).await;
        let form = [("grant_type", "client_credentials")];
        provider(&server, &tenant.group, &theirs, "token", &form).await.expect_any(&[400, 401]);
        let opaque = text(&tokens["access_token"]);
        for path in ["token/introspection", "token/revocation"] {
            provider(&server, &tenant.group, &theirs, path, &[("token", opaque)]).await.expect_any(&[400, 401]);
        }
        userinfo(&server, &other, opaque).await.expect(200);
        // and its registration can not be managed from here
        let place = format!("/{}/reg/{}", tenant.group, text(&theirs["client_id"]));
        let rat = text(&theirs["registration_access_token"]);
        for method in [Method::GET, Method::DELETE] {
            send(to(&server, method, &place).bearer_auth(rat)).await.expect_any(&[401, 404]);
        }
        let home = format!("/{}/reg/{}", other.group, text(&theirs["client_id"]));
        send(to(&server, Method::GET, &home).bearer_auth(rat)).await.expect(200);
    }

    /// Registering in one group with another group's token neither works nor uses the token up.
    async fn initial_access_tokens_stay_in_their_group(server: Server) {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let token = tenant.registration_token(json!({})).await;
        let metadata = json!({"client_name": "x", "redirect_uris": ["https://x.test/cb"]});
        let mut foreign = metadata.clone();
        foreign["auth_group"] = json!(tenant.group);
        for body in [&metadata, &foreign] {
            let request = to(&server, Method::POST, &format!("/{}/reg", other.group)).bearer_auth(&token).json(body);
            send(request).await.expect_any(&[400, 401]);
        }
        // of many that race one registers
        let requests = (0..16).map(|number| {
            let mut body = metadata.clone();
            body["client_name"] = json!(format!("racer {number}"));
            send(to(&server, Method::POST, &format!("/{}/reg", tenant.group)).bearer_auth(&token).json(&body))
        });
        let mut answers: Vec<_> = join_all(requests).await.iter().map(|answer| answer.status).collect();
        answers.sort_unstable();
        let mut expected = vec![401; 16];
        expected[0] = 201;
        assert_eq!(answers, expected);
    }

    /// Opaque tokens end with the session, signed ones with their time.
    async fn opaque_tokens_end_with_the_session(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let visitor = Visitor::new(&server);
        let flow = Flow::new(&tenant.issuer, &client, &[("scope", "openid email access")]);
        let user = &tenant.user;
        let landed = visitor.authorize(&flow.url, &user.email, &user.password).await.away();
        let tokens = flow.tokens(&landed).await;
        let opaque = text(&tokens["access_token"]);
        me(&server, &tenant, opaque).await.expect(200);
        let mut end = Url::parse(&format!("{}/session/end", tenant.issuer)).expect("an address");
        end.query_pairs_mut()
            .append_pair("id_token_hint", text(&tokens["id_token"]))
            .append_pair("skipPrompt", "true");
        visitor.open(&end).await.page();
        me(&server, &tenant, opaque).await.expect(401);
        userinfo(&server, &tenant, opaque).await.expect(401);
        let known = provider(&server, &tenant.group, &client, "token/introspection", &[("token", opaque)]).await;
        assert_eq!(known.expect(200).json()["active"], false);
        let silent = Flow::new(&tenant.issuer, &client, &[("prompt", "none")]);
        let landed = visitor.open(&silent.url).await.away();
        assert_eq!(parameter(&landed, "error").as_deref(), Some("login_required"));
    }

    /// A code is good once; whoever repeats it ends what it gave.
    async fn replayed_codes_end_their_tokens(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let flow = Flow::new(&tenant.issuer, &client, &OFFLINE);
        let landed = back(&server, &tenant, &flow).await;
        let tokens = flow.tokens(&landed).await;
        userinfo(&server, &tenant, text(&tokens["access_token"])).await.expect(200);
        assert_eq!(flow.exchange(&landed).await.status(), 400);
        userinfo(&server, &tenant, text(&tokens["access_token"])).await.expect(401);
        me(&server, &tenant, text(&tokens["access_token"])).await.expect(401);
        assert_invalid_grant(&refresh(&server, &tenant, &client, text(&tokens["refresh_token"])).await);
    }

    /// A refresh token that comes back after its successor ends the whole family.
    async fn reused_refresh_tokens_end_their_family(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant
            .web_client(json!({"token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"]}))
            .await;
        let first = tenant.tokens(&server, &client, &tenant.user, &OFFLINE).await;
        let second = refresh(&server, &tenant, &client, text(&first["refresh_token"])).await.expect(200).json();
        let third = refresh(&server, &tenant, &client, text(&second["refresh_token"])).await.expect(200).json();
        assert_ne!(second["refresh_token"], third["refresh_token"]);
        assert_invalid_grant(&refresh(&server, &tenant, &client, text(&first["refresh_token"])).await);
        assert_invalid_grant(&refresh(&server, &tenant, &client, text(&third["refresh_token"])).await);
        userinfo(&server, &tenant, text(&third["access_token"])).await.expect(401);
    }

    /// PKCE can not be left out on the way back, nor slipped in, nor weakened.
    async fn pkce_can_not_be_downgraded(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let group = &tenant.group;
        let exchange = async |landed: &Url, more: &[(&str, &str)]| {
            let code = parameter(landed, "code").expect("a code");
            let mut form =
                vec![("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", "https://web.test/cb")];
            form.extend_from_slice(more);
            provider(&server, group, &client, "token", &form).await
        };
        let verifier = "v".repeat(43);
        let with = Flow::new(&tenant.issuer, &client, &[]);
        let landed = back(&server, &tenant, &with).await;
        assert_invalid_grant(&exchange(&landed, &[]).await);
        assert_invalid_grant(&exchange(&landed, &[("code_verifier", &verifier)]).await);
        let without = Flow::new(&tenant.issuer, &client, &[("code_challenge", ""), ("code_challenge_method", "")]);
        let landed = back(&server, &tenant, &without).await;
        assert_invalid_grant(&exchange(&landed, &[("code_verifier", &verifier)]).await);
        exchange(&landed, &[]).await.expect(200);
        for weaker in [[("code_challenge_method", "plain")], [("code_challenge_method", "")]] {
            let flow = Flow::new(&tenant.issuer, &client, &weaker);
            let landed = back(&server, &tenant, &flow).await;
            assert_eq!(parameter(&landed, "error").as_deref(), Some("invalid_request"), "{landed}");
        }
    }

    /// Without the right secret, id or redirect URI a code stays what it is.
    async fn codes_belong_to_their_client(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let thief = tenant.web_client(json!({})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let landed = back(&server, &tenant, &flow).await;
        let code = parameter(&landed, "code").expect("a code");
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "https://web.test/cb")];
        assert_invalid_grant(&provider(&server, &tenant.group, &thief, "token", &form).await);
        let elsewhere = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "https://evil.test/cb")];
        assert_invalid_grant(&provider(&server, &tenant.group, &client, "token", &elsewhere).await);
        let id = text(&client["client_id"]);
        let request = to(&server, Method::POST, &format!("/{}/token", tenant.group)).basic_auth(id, Some("wrong")).form(&form);
        assert_eq!(send(request).await.expect(401).json()["error"], "invalid_client");
        let request = to(&server, Method::POST, &format!("/{}/token", tenant.group))
            .form(&[("grant_type", "client_credentials"), ("client_id", id)]);
        assert_eq!(send(request).await.expect_any(&[400, 401]).json()["error"], "invalid_client");
        flow.tokens(&landed).await;
    }
}
