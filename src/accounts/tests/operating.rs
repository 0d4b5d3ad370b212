//! Operations on accounts, and what those may ask who have not signed in.

use super::*;
use crate::accounts::model::LoginTimeout;
use crate::challenges::model::ChallengeState;
use crate::oidc::records::InitialAccessToken;
use crate::plugins::Plugins;
use crate::store::Date;

async fn operate(w: &World, token: &str, id: &str, operation: &str) -> (u16, Json) {
    let path = format!("/api/g1/operations/user/{id}");
    let body = json!({ "operation": operation });
    w.call(Method::POST, &path, Some(token), body).await
}

async fn lock_out(w: &World, id: &str) {
    let timeout = LoginTimeout {
        id: format!("t-{id}"),
        created_at: Date::from_millis(NOW),
        expires_at: Date::from_millis(NOW + 3_600_000),
        auth_group: "g1".to_owned(),
        account_id: id.to_owned(),
        version: 0,
    };
    w.app
        .store
        .of::<LoginTimeout>()
        .insert(&timeout)
        .await
        .unwrap();
}

async fn locked_out(w: &World) -> u64 {
    let all = eq("authGroup", "g1");
    w.app.store.of::<LoginTimeout>().count(all).await.unwrap()
}

/// Notifications on, for the whole server.
async fn notify(w: &World) {
    let mut plugins: Plugins = serde_json::from_value(json!({
        "_id": "p", "createdBy": "t", "version": 9,
        "notifications": { "enabled": true, "notificationServiceUri": "https://notices.test/in" },
    }))
    .unwrap();
    plugins.created_at = Date::from_millis(NOW);
    w.app.store.of::<Plugins>().insert(&plugins).await.unwrap();
    w.app.plugins.changed();
}

#[actix_web::test]
async fn hole_a_generated_password_is_told_and_follows_the_policy() {
    let w = world(|g| {
        g.config.failed_login_thresholds.enabled = true;
        g.config.restrict_password_repeats = true;
        g.config.password_policy.pattern.number = true;
    })
    .await;
    w.add("ada").await;
    lock_out(&w, "ada").await;
    let (status, answer) = operate(&w, "token-owner", "ada", "generate_password").await;
    assert_eq!(status, 200, "{answer}");
    let password = answer["data"]["password"].as_str().unwrap();
    assert!(w.matches("ada", password).await && password.contains(|c: char| c.is_ascii_digit()));
    assert_eq!(answer["data"]["modifiedBy"], "owner");
    assert_eq!(locked_out(&w).await, 0);
    assert!(w.sessions("ada").await.is_empty());
    let history = w.app.store.of::<PasswordHistory>();
    assert_eq!(history.count(eq("accountId", "ada")).await.unwrap(), 1);
}

#[actix_web::test]
async fn lock_outs_are_lifted_by_others_only() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    lock_out(&w, "ada").await;
    assert_eq!(
        operate(&w, "token-ada", "ada", "clear_timeouts").await.0,
        403
    );
    assert_eq!(locked_out(&w).await, 1);
    assert_eq!(
        operate(&w, "token-owner", "ada", "clear_timeouts").await.0,
        204
    );
    assert_eq!(locked_out(&w).await, 0);
}

#[actix_web::test]
async fn hole_operations_reach_neither_strangers_nor_unknown_accounts() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    w.add("bob").await;
    for operation in ["generate_password", "password_reset", "clear_timeouts"] {
        let (status, answer) = operate(&w, "token-ada", "bob", operation).await;
        assert_eq!((status, &answer["message"]), (404, &json!("bob")));
        assert_eq!(operate(&w, "token-owner", "nobody", operation).await.0, 404);
    }
    assert!(w.matches("bob", "Old!pass1").await);
    assert_eq!(operate(&w, "token-owner", "ada", "delete").await.0, 400);
}

#[actix_web::test]
async fn inside_an_organization_accounts_are_its_members() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    w.add("bob").await;
    let entry: crate::accounts::model::AccessEntry =
        serde_json::from_value(json!({ "organization": { "id": "core" } })).unwrap();
    w.app
        .store
        .of::<Account>()
        .update("ada", |a: &mut Account| {
            a.access = vec![entry.clone()];
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    let call = async |id: &str, operation: &str| {
        let path = format!("/api/g1/operations/organization/core/user/{id}");
        let body = json!({ "operation": operation });
        w.as_owner(Method::POST, &path, body).await.0
    };
    assert_eq!(call("ada", "clear_timeouts").await, 204);
    assert_eq!(call("ada", "generate_password").await, 400);
    assert_eq!(call("bob", "clear_timeouts").await, 404);
    let path = "/api/g1/operations/organization/core/user/ada";
    let body = json!({ "operation": "password_reset" });
    let stranger = w.call(Method::POST, path, Some("token-bob"), body);
    assert_eq!(stranger.await.0, 403);
}

#[actix_web::test]
async fn messages_that_cannot_be_sent_are_no_success() {
    let w = world(|g| g.plugin_options.notification.enabled = true).await;
    w.add("ada").await;
    let mail = async |path: &str, email: &str| {
        let path = format!("/api/g1/operations/{path}");
        let body = json!({ "email": email });
        w.call(Method::POST, &path, None, body).await.0
    };
    let codes = async || {
        let path = "/api/g1/account/codes";
        let call = w.call(Method::PUT, path, Some("token-ada"), json!({}));
        call.await.0
    };
    for path in ["reset-user-password", "resend-verify-email"] {
        assert_eq!(mail(path, "ada@acc.test").await, 405);
    }
    assert_eq!(
        operate(&w, "token-owner", "ada", "verify_account").await.0,
        400
    );
    assert_eq!(codes().await, 200);
    let before = w.account("ada").await.recover_codes;
    notify(&w).await;
    assert_eq!(
        mail("reset-user-password", "nobody@acc.test").await,
        204,
        "nothing is known of the service yet"
    );
    for path in ["reset-user-password", "resend-verify-email"] {
        let known = mail(path, "ada@acc.test").await;
        assert_eq!((known, mail(path, "nobody@acc.test").await), (424, 424));
    }
    let tokens = w.app.store.of::<Record<InitialAccessToken>>();
    assert_eq!(tokens.count(eq("payload.sub", "ada")).await.unwrap(), 0);
    assert_eq!(
        operate(&w, "token-owner", "ada", "verify_account").await.0,
        424
    );
    assert_eq!(codes().await, 424);
    assert_eq!(w.account("ada").await.recover_codes, before);
    let body = json!({ "email": "a@b.c", "formats": ["fax"] });
    let path = "/api/g1/operations/reset-user-password";
    assert_eq!(w.call(Method::POST, path, None, body).await.0, 400);
}

#[actix_web::test]
async fn hole_a_state_is_bound_by_its_exact_value_and_once() {
    let w = world(|g| g.config.password_less_support = true).await;
    w.add("ada").await;
    let options = async |query: &str| {
        let path = format!("/api/g1/account/login/options?{query}");
        w.call(Method::GET, &path, None, Json::Null).await
    };
    assert_eq!(options("").await.0, 400);
    assert_eq!(options("lookup=ada").await.0, 404, "not verified");
    for id in ["ada", "owner"] {
        w.as_owner(
            Method::PATCH,
            &format!("/api/g1/account/{id}"),
            replace("/verified", true),
        )
        .await;
    }
    let states = w.app.store.of::<ChallengeState>();
    for value in ["s1", "s2"] {
        let state: ChallengeState = serde_json::from_value(json!({
            "_id": value, "createdAt": NOW, "stateValue": value, "authGroup": "g1",
        }))
        .unwrap();
        states.insert(&state).await.unwrap();
    }
    notify(&w).await;
    let (status, answer) = options("lookup=ada&state=s2").await;
    assert_eq!(status, 200);
    assert_eq!(
        answer["data"],
        json!({ "query": "ada", "state": "s2", "magicLink": true, "device": false, "passkey": false })
    );
    assert_eq!(options("lookup=owner&state=s2").await.0, 200);
    assert_eq!(options("lookup=ada&state=other").await.0, 200);
    let bound = async |id: &str| states.get(id).await.unwrap().unwrap().account;
    assert_eq!(bound("s2").await.as_deref(), Some("ada"));
    assert_eq!(bound("s1").await, None);
}

#[actix_web::test]
async fn hole_only_people_of_the_root_group_are_told_who_owns_what() {
    let w = world(|_| {}).await;
    let root: AuthGroup = serde_json::from_value(json!({
        "_id": "r1", "name": "root", "prettyName": "root", "owner": "boss", "active": true,
    }))
    .unwrap();
    w.app.store.of::<AuthGroup>().insert(&root).await.unwrap();
    let core: Organization = serde_json::from_value(json!({
        "_id": "core-r", "authGroup": "r1", "name": "Core", "core": true,
    }))
    .unwrap();
    w.app
        .store
        .of::<Organization>()
        .insert(&core)
        .await
        .unwrap();
    let ask = async |token: Option<&str>, lookup: &str| {
        let path = format!("/api/account/groups?lookup={lookup}");
        w.call(Method::GET, &path, token, Json::Null).await
    };
    assert_eq!(ask(None, "owner@acc.test").await.0, 424);
    assert_eq!(ask(None, "").await.0, 400);
    assert_eq!(ask(Some("token-owner"), "owner@acc.test").await.0, 401);
    w.add("ada").await;
    assert!(
        crate::accounts::logins::owned(&w.app, "ada@acc.test")
            .await
            .unwrap()
            .is_empty()
    );
    let found = crate::accounts::logins::owned(&w.app, "owner@acc.test")
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["id"], &found[0]["companyAlias"]),
        (&json!("g1"), &json!("gee"))
    );
}
