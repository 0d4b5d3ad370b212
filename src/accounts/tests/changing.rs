//! Patches, passwords and deletion.

use super::*;
use crate::notifications::Notification;

#[actix_web::test]
async fn patches_name_their_author_and_hole_change_nobody_elses_account() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    w.add("bob").await;
    let (status, answer) = w
        .call(
            Method::PATCH,
            "/api/g1/account/me",
            Some("token-ada"),
            replace("/username", "ADA2"),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["data"]["username"], &answer["data"]["modifiedBy"]),
        (&json!("ada2"), &json!("ada"))
    );
    let (status, answer) = w
        .call(
            Method::PATCH,
            "/api/g1/account/bob",
            Some("token-ada"),
            replace("/username", "x"),
        )
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("bob")));
    let (status, _) = w
        .call(
            Method::PATCH,
            "/api/g1/account/me",
            Some("token-ada"),
            json!({ "op": "add" }),
        )
        .await;
    assert_eq!(status, 400);
    let (status, answer) = w
        .as_owner(Method::PATCH, "/api/g1/account/nobody", json!([]))
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("nobody")));
    let (status, _) = w
        .as_owner(
            Method::PATCH,
            "/api/g1/account/owner",
            replace("/active", false),
        )
        .await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn hole_a_password_change_ends_the_other_sessions_and_clears_the_lock_out() {
    let w = world(|g| g.config.failed_login_thresholds.enabled = true).await;
    w.add("ada").await;
    let attempt: LoginAttempt = serde_json::from_value(json!({
        "_id": "1", "createdAt": NOW, "authGroup": "g1", "accountId": "ada",
    }))
    .unwrap();
    w.app
        .store
        .of::<LoginAttempt>()
        .insert(&attempt)
        .await
        .unwrap();
    let body = replace("/password", "N3w!pass");
    let (status, _) = w
        .call(Method::PATCH, "/api/g1/account/me", Some("token-ada"), body)
        .await;
    assert_eq!(status, 200);
    assert!(w.matches("ada", "N3w!pass").await);
    assert_eq!(
        w.sessions("ada").await,
        ["s-ada-1"],
        "the caller's own session stays"
    );
    assert_eq!(
        w.app
            .store
            .of::<LoginAttempt>()
            .count(eq("accountId", "ada"))
            .await
            .unwrap(),
        0
    );
    w.as_owner(
        Method::PATCH,
        "/api/g1/account/ada",
        replace("/password", "An0ther!"),
    )
    .await;
    assert!(w.sessions("ada").await.is_empty());
    assert_eq!(w.sessions("owner").await.len(), 2);
}

#[actix_web::test]
async fn hole_a_mailed_token_is_used_up_by_success_alone_and_only_once() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let token = w.mailed_token("ada").await;
    let patch = |body| w.call(Method::PATCH, "/api/g1/account/ada", Some(&token), body);
    assert_eq!(patch(replace("/username", "x")).await.0, 405);
    assert_eq!(patch(replace("/password", "weak")).await.0, 417);
    let other = w.call(
        Method::PATCH,
        "/api/g1/account/owner",
        Some(&token),
        replace("/password", "N3w!pass"),
    );
    assert_eq!(other.await.0, 404);
    assert_eq!(w.sessions("ada").await.len(), 2, "nothing has happened yet");
    let body = json!([
        { "op": "replace", "path": "/password", "value": "N3w!pass" },
        { "op": "replace", "path": "/verified", "value": true },
    ]);
    assert_eq!(patch(body.clone()).await.0, 200);
    assert!(w.account("ada").await.verified && w.matches("ada", "N3w!pass").await);
    assert!(w.sessions("ada").await.is_empty());
    assert_eq!(patch(body).await.0, 401);
}

#[actix_web::test]
async fn hole_setpass_verifies_by_mailed_token_alone() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let set = |token, password: &str| {
        w.call(
            Method::POST,
            "/api/g1/setpass",
            token,
            json!({ "password": password }),
        )
    };
    assert_eq!(set(None, "N3w!pass").await.0, 401);
    let (status, answer) = w
        .call(
            Method::POST,
            "/api/g1/setpass",
            Some("token-ada"),
            json!({}),
        )
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (428, &json!("password is required"))
    );
    assert_eq!(set(Some("token-ada"), "weak").await.0, 417);
    assert_eq!(set(Some("token-ada"), "N3w!pass1").await.0, 204);
    assert!(w.matches("ada", "N3w!pass1").await);
    assert!(!w.account("ada").await.verified);
    let token = w.mailed_token("ada").await;
    assert_eq!(set(Some(&token), "weak").await.0, 417);
    assert_eq!(set(Some(&token), "N3w!pass2").await.0, 204);
    assert!(w.account("ada").await.verified && w.matches("ada", "N3w!pass2").await);
    assert_eq!(set(Some(&token), "N3w!pass3").await.0, 401);
}

#[actix_web::test]
async fn passwords_do_not_come_back_where_that_is_forbidden() {
    let w = world(|g| g.config.restrict_password_repeats = true).await;
    w.add("ada").await;
    let set = |password: &'static str| {
        w.as_owner(
            Method::PATCH,
            "/api/g1/account/ada",
            replace("/password", password),
        )
    };
    assert_eq!(set("F1rst!pass").await.0, 200);
    assert_eq!(set("Sec0nd!pass").await.0, 200);
    assert_eq!(set("F1rst!pass").await.0, 417);
    assert!(w.matches("ada", "Sec0nd!pass").await);
    // an entry of an older database
    let old: PasswordHistory = serde_json::from_value(json!({
        "_id": "old", "createdAt": NOW - 1000, "authGroup": "g1", "accountId": "ada",
        "value": bcrypt::hash("B!crypted", 4).unwrap(),
    }))
    .unwrap();
    w.app
        .store
        .of::<PasswordHistory>()
        .insert(&old)
        .await
        .unwrap();
    assert_eq!(set("B!crypted").await.0, 417);
    for n in 0..40 {
        passwords::remember(&w.app, "g1", "ada", &format!("hash{n}"))
            .await
            .unwrap();
    }
    let count = w
        .app
        .store
        .of::<PasswordHistory>()
        .count(eq("accountId", "ada"))
        .await;
    assert_eq!(count.unwrap(), 30);
}

#[actix_web::test]
async fn hole_a_deleted_account_leaves_nothing_behind() {
    let w = world(|g| g.config.restrict_password_repeats = true).await;
    w.add("ada").await;
    w.add("bob").await;
    for id in ["ada", "bob"] {
        passwords::remember(&w.app, "g1", id, "x").await.unwrap();
        let refresh = RefreshToken {
            account_id: id.to_owned(),
            ..RefreshToken::default()
        };
        let record = Record::new(format!("r-{id}"), refresh, None);
        w.app
            .store
            .of::<Record<RefreshToken>>()
            .insert(&record)
            .await
            .unwrap();
        w.mailed_token(id).await;
        let message = json!({
            "_id": format!("n-{id}"), "authGroupId": "g1", "recipientUserId": id, "createdBy": "owner",
            "destinationUri": "", "message": "hello",
        });
        let mut message: Notification = serde_json::from_value(message).unwrap();
        message.created_at = w.app.date();
        let messages = w.app.store.of::<Notification>();
        messages.insert(&message).await.unwrap();
    }
    let (status, answer) = w
        .call(
            Method::DELETE,
            "/api/g1/account/bob",
            Some("token-ada"),
            Json::Null,
        )
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("bob")));
    let (status, answer) = w
        .as_owner(Method::DELETE, "/api/g1/account/owner", Json::Null)
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (
            400,
            &json!("You can not delete the owner of the auth group")
        )
    );
    let (status, answer) = w
        .call(
            Method::DELETE,
            "/api/g1/account/ada",
            Some("token-ada"),
            Json::Null,
        )
        .await;
    assert_eq!((status, &answer["data"]["id"]), (200, &json!("ada")));
    let (status, answer) = w
        .as_owner(Method::DELETE, "/api/g1/account/ada", Json::Null)
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("id requested was ada"))
    );
    let store = &w.app.store;
    let iats = store.of::<Record<crate::oidc::records::InitialAccessToken>>();
    for (id, left) in [("ada", 0), ("bob", 1)] {
        let issued = || eq("payload.accountId", id);
        assert_eq!(w.sessions(id).await.len(), left * 2);
        let left = left as u64;
        assert_eq!(
            store
                .of::<Record<RefreshToken>>()
                .count(issued())
                .await
                .unwrap(),
            left
        );
        assert_eq!(
            store
                .of::<Record<AccessToken>>()
                .count(issued())
                .await
                .unwrap(),
            left
        );
        assert_eq!(
            store
                .of::<PasswordHistory>()
                .count(eq("accountId", id))
                .await
                .unwrap(),
            left
        );
        assert_eq!(iats.count(eq("payload.sub", id)).await.unwrap(), left);
        let messages = store.of::<Notification>();
        assert_eq!(
            messages.count(eq("recipientUserId", id)).await.unwrap(),
            left
        );
    }
}

/// Whoever knew the old password can not go on with what it proved; the owner's way to lock stays.
#[actix_web::test]
async fn hole_a_password_change_ends_what_the_old_one_has_proved() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let proofs = [Purpose::StepUp, Purpose::DeviceCode, Purpose::MagicLink];
    let kept = [
        Purpose::LockNotice,
        Purpose::AccountLock,
        Purpose::ClientRegistration,
    ];
    for setter in ["ada", "owner"] {
        let mut made = Vec::new();
        for (purpose, stays) in proofs
            .iter()
            .map(|p| (*p, false))
            .chain(kept.map(|p| (p, true)))
        {
            made.push((purpose, w.proof("ada", purpose).await, stays));
        }
        let other = w.proof("owner", Purpose::StepUp).await;
        let body = replace("/password", format!("N3w!pass-{setter}"));
        let token = format!("token-{setter}");
        let changed = w.call(Method::PATCH, "/api/g1/account/ada", Some(&token), body);
        assert_eq!(changed.await.0, 200, "{setter}");
        for (purpose, token, stays) in made {
            assert_eq!(w.is_live(&token, purpose).await, stays, "{purpose:?}");
        }
        assert!(w.is_live(&other, Purpose::StepUp).await);
    }
}
