//! Accounts: names, passwords, mailed tokens and changes.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use ueauth::accounts::Account;
use ueauth::oidc::records::{InitialAccessToken, Purpose, Record};
use ueauth::store::{Date, StoreError};
use ueauth_actors::{Clock, SystemClock};

use super::embedded;
use crate::answer::{send, to};
use crate::flow::text;
use crate::holes::{behind_its_back, call, get, mail, organization, role};
use crate::server::Server;
use crate::tenant::{Person, Tenant};

/// Members let the server write to others of their organization, or change their passwords.
#[tokio::test]
async fn members_operate_on_other_members() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let (first, domain) = organization(&server, &tenant, "First").await;
    let (second, _) = organization(&server, &tenant, "Second").await;
    let (admin, _) = role(&server, &tenant, "OrganizationAdmin").await;
    let person = async |name: &str, organization: &str, given: Value| {
        let person = tenant.account(&server, name).await;
        let path = format!("access/organization/{organization}/account/{}", person.id);
        tenant
            .api(&server, Method::PUT, &path, Some(given), 200)
            .await;
        let token = tenant.token_of(&server, &person).await;
        (person, token)
    };
    let (target, _) = person("tom@shop.test", &first, json!({})).await;
    let (me, member) = person("mem@shop.test", &first, json!({})).await;
    let given = json!({"roles": [admin], "domains": [domain]});
    let (_, manager) = person("adm@shop.test", &first, given).await;
    let ask = async |token: &str, organization: &str, account: &Person, operation: &str| {
        let path = format!(
            "/api/{}/operations/organization/{organization}/user/{}",
            tenant.group, account.id
        );
        call(
            &server,
            Method::POST,
            &path,
            token,
            json!({"operation": operation}),
        )
        .await
        .status
    };
    for operation in [
        "password_reset",
        "verify_account",
        "clear_timeouts",
        "generate_password",
    ] {
        assert_eq!(
            ask(&member, &first, &target, operation).await,
            403,
            "{operation}"
        );
        assert_eq!(
            ask(&manager, &second, &target, operation).await,
            403,
            "{operation}"
        );
        let path = format!("/api/{}/operations/user/{}", tenant.group, target.id);
        call(
            &server,
            Method::POST,
            &path,
            &member,
            json!({"operation": operation}),
        )
        .await
        .expect(404);
    }
    // without notifications the message can not be sent, but they may ask for it
    for (token, account) in [
        (&member, &me),
        (&manager, &target),
        (&tenant.owner_token, &target),
    ] {
        assert_eq!(ask(token, &first, account, "password_reset").await, 400);
    }
    assert_eq!(
        ask(&manager, &first, &tenant.user, "password_reset").await,
        404
    );
}

/// Mailed tokens work until the database gets round to deleting them.
#[tokio::test]
async fn expired_mailed_tokens_still_work() {
    let mut server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let token = mail(&mut server, &tenant, Purpose::AccountAction).await;
    let now = SystemClock.now() / 1000;
    behind_its_back(&mut server, async |store| {
        let tokens = store.of::<Record<InitialAccessToken>>();
        let changed = tokens.update(&token, |record: &mut Record<InitialAccessToken>| {
            record.payload.exp = now - 1;
            record.payload.iat = now - 901;
            // not purged yet
            record.expires_at = None;
            Ok::<_, StoreError>(())
        });
        changed.await.expect("stored").expect("the token");
    })
    .await;
    let path = format!("/api/{}/setpass", tenant.group);
    call(
        &server,
        Method::POST,
        &path,
        &token,
        json!({"password": "N3w!passw0rd"}),
    )
    .await
    .expect(401);
    assert!(
        tenant
            .knows(&tenant.user.email, &tenant.user.password)
            .await
    );
}

/// Bodies choose the key of what they make, or take the place of something that is there.
#[tokio::test]
async fn bodies_choose_the_id_of_what_they_make() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let victim = tenant.user.id.as_str();
    for (number, (member, id)) in [
        ("id", victim),
        ("_id", victim),
        ("id", "chosen"),
        ("_id", "chosen"),
    ]
    .into_iter()
    .enumerate()
    {
        // names that nobody has, so that nothing but the id can be refused
        let name = format!("New {number}");
        let email = format!("n{number}@shop.test");
        for (path, mut body) in [
            (
                "account",
                json!({"email": email, "username": email, "password": "N3w!passw0rd"}),
            ),
            (
                "organizations",
                json!({"name": name, "description": "d", "contactEmail": email}),
            ),
            (
                "products",
                json!({"name": name, "description": "d", "type": "app"}),
            ),
            (
                "profile",
                json!({"accountId": tenant.owner.id, "givenName": "Olga"}),
            ),
        ] {
            body[member] = json!(id);
            let path = format!("/api/{}/{path}", tenant.group);
            let answer = call(&server, Method::POST, &path, &tenant.owner_token, body).await;
            if answer.status < 400 {
                let made = answer.json()["data"].clone();
                let made = made.get("organization").unwrap_or(&made).clone();
                assert_ne!(made["id"], id, "{path}");
            } else {
                answer.expect(400);
            }
        }
    }
    let user = tenant
        .api(
            &server,
            Method::GET,
            &format!("account/{victim}"),
            None,
            200,
        )
        .await;
    assert_eq!(user["data"]["email"], tenant.user.email);
}

on_both_stores! {
    /// Of changes made at the same time the last one undoes the others.
    async fn concurrent_changes_undo_each_other(server: Server) {
        let tenant = Tenant::create(&server).await;
        let (id, _) = organization(&server, &tenant, "First").await;
        let account = tenant.user.id.as_str();
        for (path, empty) in [(format!("organizations/{id}"), true), (format!("account/{account}"), true)] {
            let patch = async |operation: Value| {
                let path = format!("/api/{}/{path}", tenant.group);
                call(&server, Method::PATCH, &path, &tenant.owner_token, json!([operation])).await.expect(200)
            };
            if empty {
                patch(json!({"op": "add", "path": "/metadata", "value": {}})).await;
            }
            let add = |number: usize| patch(json!({"op": "add", "path": format!("/metadata/k{number}"), "value": number}));
            join_all((0..8).map(add)).await;
            let after = tenant.api(&server, Method::GET, &path, None, 200).await;
            let kept = after["data"]["metadata"].as_object().expect("the metadata").len();
            assert_eq!(kept, 8, "{path}: {}", after["data"]["metadata"]);
        }
    }
}

/// Basic authentication splits passwords at the colon, and looks for small letters only.
#[tokio::test]
async fn passwords_with_colons_and_names_with_capitals_never_match() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let password = "a:B:c!1:";
    let body = json!({"email": "Carl@Shop.test", "username": "CarlTheGreat", "password": password});
    tenant
        .api(&server, Method::POST, "account", Some(body), 201)
        .await;
    for name in [
        "carl@shop.test",
        "CARL@shop.TEST",
        "carlthegreat",
        "CarlTheGreat",
    ] {
        assert!(tenant.knows(name, password).await, "{name}");
        assert!(!tenant.knows(name, "a").await);
        assert!(!tenant.knows(name, "a:B").await);
    }
}

/// Failures of before a success lock people out later.
#[tokio::test]
async fn failures_before_a_success_count_on() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let thresholds = "/config/failedLoginThresholds";
    let set = |name: &str, value: Value| json!({"op": "replace", "path": format!("{thresholds}/{name}"), "value": value});
    tenant
        .patch(
            &server,
            json!([
                set("enabled", json!(true)),
                set("threshold", json!(3)),
                set("duration", json!(1))
            ]),
        )
        .await;
    let user = &tenant.user;
    for _ in 0..3 {
        for _ in 0..2 {
            assert!(!tenant.knows(&user.email, "Wr0ng!pass").await);
        }
        assert!(
            tenant.knows(&user.email, &user.password).await,
            "locked out"
        );
    }
}

/// Members probe what is hidden by filtering for it.
#[tokio::test]
async fn hidden_fields_are_probed_by_filters() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let lists = [
        ("accounts", vec!["password", "recoverCodes"]),
        ("clients", vec!["client_secret"]),
        (
            "organizations",
            vec!["sso.oidc.client_secret", "sso.saml.spPrivateKey"],
        ),
    ];
    for (list, fields) in lists {
        for field in fields {
            for query in [
                format!("$filter=startswith({field},'$')"),
                format!("$filter={field} ne 'x'"),
                format!("$orderby={field}"),
                format!("$select={field}"),
                format!("$filter=name eq 'x' or {field} gt 'a'"),
            ] {
                let path = format!("/api/{}/{list}?{}", tenant.group, query.replace(' ', "%20"));
                let answer = get(&server, &path, &tenant.owner_token).await;
                assert_eq!(answer.status, 400, "{path}: {}", answer.text);
            }
        }
    }
    let groups = "/api/groups?$filter=startswith(config.cookieKeys,'a')";
    get(&server, groups, &tenant.root_token).await.expect(400);
}

/// Whoever asks for a reset learns from the answer who has an account.
#[tokio::test]
async fn resets_tell_who_has_an_account() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    for path in ["reset-user-password", "resend-verify-email"] {
        let path = format!("/api/{}/operations/{path}", tenant.group);
        let mut answers = Vec::new();
        for email in [tenant.user.email.as_str(), "nobody@shop.test"] {
            let answer =
                send(to(&server, Method::POST, &path).json(&json!({"email": email}))).await;
            let mut body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
            if let Some(members) = body.as_object_mut() {
                members.remove("id");
            }
            answers.push((answer.status, body));
        }
        assert_eq!(answers.first(), answers.last(), "{path}");
    }
    assert_ne!(text(&json!(tenant.user.email)), "nobody@shop.test");
}

/// People who are imported with the id of a client pass for that client.
#[tokio::test]
async fn imported_people_pass_for_clients() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let client = tenant.web_client(json!({})).await;
    let people = json!([
        {"id": client["client_id"], "email": "someone@shop.test"}, {"email": "other@shop.test"},
    ]);
    let done = tenant
        .api(&server, Method::POST, "accounts", Some(people), 201)
        .await;
    let done = &done["data"];
    assert_eq!(
        (&done["attempted"], &done["ok"]),
        (&json!(2), &json!(1)),
        "{done}"
    );
}

/// Signed tokens of somebody who is gone work again for whoever gets the same id.
#[tokio::test]
async fn tokens_outlive_the_account_they_were_issued_to() {
    let mut server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let token = tenant.token_of(&server, &tenant.user).await;
    assert_eq!(token.split('.').count(), 3, "{token}");
    let me = format!("/api/{}/account/me", tenant.group);
    get(&server, &me, &token).await.expect(200);
    let (id, later) = (tenant.user.id.clone(), SystemClock.now() + 60_000);
    behind_its_back(&mut server, async |store| {
        let made_anew = |account: &mut Account| {
            account.created_at = Date::from_millis(later);
            Ok::<_, StoreError>(())
        };
        let changed = store.of::<Account>().update(&id, made_anew).await;
        assert!(changed.expect("the store").is_some());
    })
    .await;
    get(&server, &me, &token).await.expect(401);
}

/// Line breaks in names get into the headers of mails, and other marks turn what people read around.
#[tokio::test]
async fn names_hold_line_breaks() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let accounts = format!("/api/{}/accounts", tenant.group);
    let account = format!("/api/{}/account", tenant.group);
    let user = format!("{account}/{}", tenant.user.id);
    let owner = tenant.owner_token.as_str();
    for bad in [
        "a@shop.test\r\nBcc: b@shop.test",
        "a\u{202e}b@shop.test",
        "a\u{2028}@shop.test",
        "a\t@shop.test",
    ] {
        let body = json!({"email": bad, "password": "N3w!passw0rd"});
        call(&server, Method::POST, &account, owner, body)
            .await
            .expect(400);
        let body = json!({"email": "a@shop.test", "username": bad, "password": "N3w!passw0rd"});
        call(&server, Method::POST, &account, owner, body)
            .await
            .expect(400);
        let body = json!([{"email": bad}]);
        call(&server, Method::POST, &accounts, owner, body)
            .await
            .expect(400);
        for name in ["/email", "/username"] {
            let patch = json!([{"op": "replace", "path": name, "value": bad}]);
            let refused = call(&server, Method::PATCH, &user, owner, patch).await;
            assert!((400..500).contains(&refused.status), "{}", refused.text);
        }
    }
    // what stands twice in a form is not understood differently by two readers
    let form = [("email", "a@shop.test"), ("email", "b@shop.test")];
    let twice = to(&server, Method::POST, &account).bearer_auth(owner);
    let refused = send(twice.form(&form)).await.expect(400).json();
    assert!(text(&refused["message"]).contains("'email'"), "{refused}");
}
