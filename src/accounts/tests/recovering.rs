//! Recovery codes, the emergency lock, and recovery.

use super::*;
use crate::gate::tokens::NewIat;

const START: &str = "/api/g1/account/start-recovery";
const RECOVER: &str = "/api/g1/account/recover";
const PANIC: &str = "/api/g1/account/panic";
const CODES: &str = "/api/g1/account/codes";

async fn codes(w: &World, id: &str) -> Vec<String> {
    let token = format!("token-{id}");
    let (status, answer) = w.call(Method::PUT, CODES, Some(&token), json!({})).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_value(answer["data"].clone()).unwrap()
}

async fn panic_lock(w: &World, id: &str) {
    let body = json!({ "email": format!("{id}@acc.test") });
    let token = format!("token-{id}");
    assert_eq!(w.call(Method::PUT, PANIC, Some(&token), body).await.0, 204);
}

/// Locked, with codes.
async fn locked(w: &World, id: &str) -> Vec<String> {
    w.add(id).await;
    let made = codes(w, id).await;
    panic_lock(w, id).await;
    made
}

async fn start(w: &World, codes: &[String]) -> (u16, String, String) {
    let body = json!({ "email": "ada@acc.test", "codes": codes });
    let (status, answer, cookie) = w.browse(Method::POST, START, None, "", false, body).await;
    let token = answer["data"]["token"].as_str().unwrap_or_default();
    (status, token.to_owned(), cookie)
}

async fn recover(w: &World, token: &str, cookie: &str, password: &str) -> (u16, Json) {
    let body = json!({ "email": "ada@acc.test", "password": password });
    let cookie = cookie.split(';').next().unwrap();
    let answer = w.browse(Method::PUT, RECOVER, Some(token), cookie, false, body);
    let (status, answer, _) = answer.await;
    (status, answer)
}

fn wrong(codes: &[String], count: usize) -> Vec<String> {
    let mut out = codes.to_vec();
    for (i, code) in out.iter_mut().take(count).enumerate() {
        *code = format!("wrong{i}");
    }
    out
}

#[actix_web::test]
async fn codes_lock_and_recovery_work_together() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let old = codes(&w, "ada").await;
    assert!(old.iter().all(|c| c.len() == 10) && old.len() == 10);
    assert_eq!(start(&w, &old).await.0, 403, "not locked");
    panic_lock(&w, "ada").await;
    let account = w.account("ada").await;
    assert!(account.user_locked && account.mfa.enabled == Some(false));
    assert!(w.sessions("ada").await.is_empty());
    assert_eq!(start(&w, &wrong(&old, 4)).await.0, 403);
    let (status, token, cookie) = start(&w, &wrong(&old, 3)).await;
    assert_eq!(status, 200);
    let (status, answer) = recover(&w, &token, "", "N3w!pass").await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("State mismatch"))
    );
    let (status, answer) = recover(&w, &token, &cookie, "N3w!pass").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"]["password"], "N3w!pass");
    assert_eq!(answer["data"]["codes"].as_array().unwrap().len(), 10);
    assert!(answer["data"].get("recoverCodes").is_none());
    assert!(w.matches("ada", "N3w!pass").await && !w.account("ada").await.user_locked);
    panic_lock(&w, "ada").await;
    assert_eq!(start(&w, &old).await.0, 403, "the old codes are gone");
    let new: Vec<String> = serde_json::from_value(answer["data"]["codes"].clone()).unwrap();
    assert_eq!(start(&w, &new).await.0, 200);
}

#[actix_web::test]
async fn bodies_are_checked() {
    let w = world(|_| {}).await;
    let ten: Vec<String> = (0..10).map(|i| format!("code{i}")).collect();
    let same = vec!["code".to_owned(); 10];
    assert_eq!(start(&w, &ten[..9]).await.0, 400);
    assert_eq!(
        start(&w, &[ten.clone(), same.clone()].concat()).await.0,
        400
    );
    assert_eq!(start(&w, &same).await.0, 428);
    assert_eq!(start(&w, &ten).await.0, 404);
    let empty = w.call(Method::PUT, PANIC, Some("token-owner"), json!({}));
    assert_eq!(empty.await.0, 400);
    let other = json!({ "email": "bob@acc.test" });
    let other = w.call(Method::PUT, PANIC, Some("token-owner"), other);
    assert_eq!(other.await.0, 403);
    assert!(!w.account("owner").await.user_locked);
}

#[actix_web::test]
async fn hashes_of_older_systems_still_recover() {
    let w = world(|_| {}).await;
    let ten: Vec<String> = (0..10).map(|i| format!("code{i}")).collect();
    locked(&w, "ada").await;
    let hashes: Vec<String> = ten.iter().map(|c| bcrypt::hash(c, 4).unwrap()).collect();
    w.app
        .store
        .of::<Account>()
        .update("ada", |a: &mut Account| {
            a.recover_codes.clone_from(&hashes);
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(start(&w, &ten).await.0, 200);
}

#[actix_web::test]
async fn hole_a_locked_account_keeps_its_codes() {
    let w = world(|_| {}).await;
    locked(&w, "ada").await;
    let before = w.account("ada").await.recover_codes;
    let (status, _) = w
        .call(Method::PUT, CODES, Some("token-ada"), json!({}))
        .await;
    assert_eq!(status, 401);
    let direct = crate::accounts::recovery::replace_codes(&w.app, "g1", "ada").await;
    assert_eq!(direct.unwrap_err().status.as_u16(), 404);
    assert_eq!(w.account("ada").await.recover_codes, before);
}

#[actix_web::test]
async fn hole_a_recovery_password_follows_the_policy_before_the_token_is_used() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    let (_, token, cookie) = start(&w, &codes).await;
    assert_eq!(recover(&w, &token, &cookie, "weak").await.0, 417);
    assert!(w.account("ada").await.user_locked);
    assert_eq!(recover(&w, &token, &cookie, "").await.0, 200);
    assert_eq!(recover(&w, &token, &cookie, "N3w!pass").await.0, 401);
}

#[actix_web::test]
async fn hole_a_recovery_ends_all_others_of_the_account() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    let (_, first, first_cookie) = start(&w, &codes).await;
    let (_, thief, thief_cookie) = start(&w, &codes).await;
    assert_eq!(recover(&w, &first, &first_cookie, "N3w!pass").await.0, 200);
    panic_lock(&w, "ada").await;
    assert_eq!(
        recover(&w, &thief, &thief_cookie, "Th1ef!pass").await.0,
        401
    );
    assert!(w.matches("ada", "N3w!pass").await);
}

#[actix_web::test]
async fn hole_an_account_that_is_not_locked_is_not_recovered() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    let (_, token, cookie) = start(&w, &codes).await;
    w.as_owner(
        Method::PATCH,
        "/api/g1/account/ada",
        replace("/userLocked", false),
    )
    .await;
    assert_eq!(recover(&w, &token, &cookie, "N3w!pass").await.0, 403);
    assert!(w.matches("ada", "Old!pass1").await);
}

#[actix_web::test]
async fn hole_tokens_made_for_something_else_neither_lock_nor_recover() {
    let w = world(|_| {}).await;
    locked(&w, "ada").await;
    w.add("bob").await;
    for purpose in [Purpose::AccountAction, Purpose::StepUp, Purpose::LockNotice] {
        let new = |id: &str| NewIat {
            group: "g1".to_owned(),
            life: 900,
            sub: Some(id.to_owned()),
            email: Some(format!("{id}@acc.test")),
            uid: Some("state".to_owned()),
            ..NewIat::default()
        };
        let ada = tokens::mint(&w.app, purpose, new("ada")).await.unwrap().id;
        let cookie = "g1.ada.recover-state=state";
        assert_eq!(recover(&w, &ada, cookie, "N3w!pass").await.0, 401);
        let bob = tokens::mint(&w.app, purpose, new("bob")).await.unwrap().id;
        let body = json!({ "email": "bob@acc.test" });
        assert_eq!(w.call(Method::PUT, PANIC, Some(&bob), body).await.0, 401);
    }
    assert!(!w.account("bob").await.user_locked);
    let new = NewIat {
        group: "g1".to_owned(),
        life: 600,
        sub: Some("bob".to_owned()),
        email: Some("bob@acc.test".to_owned()),
        ..NewIat::default()
    };
    let right = tokens::mint(&w.app, Purpose::AccountLock, new)
        .await
        .unwrap();
    let body = json!({ "email": "bob@acc.test" });
    assert_eq!(
        w.call(Method::PUT, PANIC, Some(&right.id), body).await.0,
        204
    );
    assert!(w.account("bob").await.user_locked);
}

#[actix_web::test]
async fn hole_guessing_codes_costs_bounded_work() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    let before = w.app.hasher.stats().completed;
    assert_eq!(start(&w, &wrong(&codes, 10)).await.0, 403);
    assert_eq!(w.app.hasher.stats().completed - before, 40);
    let before = w.app.hasher.stats().completed;
    assert_eq!(start(&w, &codes).await.0, 200);
    assert_eq!(w.app.hasher.stats().completed - before, 7);
}

#[actix_web::test]
async fn hole_guessing_codes_is_limited() {
    let w = world(|_| {}).await;
    let ten: Vec<String> = (0..10).map(|i| format!("code{i}")).collect();
    let mut refused = false;
    for _ in 0..500 {
        refused |= start(&w, &ten).await.0 == 429;
        if refused {
            break;
        }
    }
    assert!(refused);
}

#[actix_web::test]
async fn hole_scripts_and_plain_http_do_not_get_the_state_cookie() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    for secure in [true, false] {
        let body = json!({ "email": "ada@acc.test", "codes": codes });
        let (_, _, cookie) = w.browse(Method::POST, START, None, "", secure, body).await;
        assert!(cookie.starts_with("g1.ada.recover-state="), "{cookie}");
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"));
        assert!(cookie.contains("; Path=/"));
        assert_eq!(cookie.contains("; Secure"), secure);
    }
}

#[actix_web::test]
async fn hole_a_repeated_code_counts_once() {
    let w = world(|_| {}).await;
    let codes = locked(&w, "ada").await;
    let hashes = w.account("ada").await.recover_codes;
    w.app
        .store
        .of::<Account>()
        .update("ada", |a: &mut Account| {
            a.recover_codes = vec![hashes[0].clone(); 10];
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(start(&w, &codes).await.0, 403);
}

#[actix_web::test]
async fn hole_the_lock_page_opens_for_its_own_notice_alone() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let open = async |uid: &str, code: &str| {
        let path = format!("/g1/interaction/{uid}/lockaccount?code={code}");
        w.call(Method::GET, &path, None, Json::Null).await.0
    };
    let new = || NewIat {
        group: "g1".to_owned(),
        life: 7200,
        sub: Some("ada".to_owned()),
        email: Some("ada@acc.test".to_owned()),
        uid: Some("u1".to_owned()),
        ..NewIat::default()
    };
    let notice = tokens::mint(&w.app, Purpose::LockNotice, new())
        .await
        .unwrap()
        .id;
    let other = tokens::mint(&w.app, Purpose::StepUp, new())
        .await
        .unwrap()
        .id;
    assert_eq!(open("u1", "").await, 401);
    assert_eq!(open("u1", "unknown").await, 401);
    assert_eq!(open("u1", &other).await, 401);
    assert_eq!(open("u2", &notice).await, 403);
    assert_eq!(open("u1", &notice).await, 200);
    let body = json!({ "email": "ada@acc.test" });
    assert_eq!(w.call(Method::PUT, PANIC, Some(&notice), body).await.0, 401);
}

/// A thief has proved something, waits for an answer and holds a code for a device; the lock ends it all.
#[actix_web::test]
async fn hole_a_lock_ends_proofs_challenges_and_enrolments() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let proof = w.proof("ada", Purpose::StepUp).await;
    let challenges = w.app.actors.challenges("g1");
    let id = ueauth_actors::ChallengeId::new("k", "ada", "u");
    let new = ueauth_actors::NewChallenge {
        id: id.clone(),
        purpose: "login".to_owned(),
        deadline: NOW + 60_000,
        keep_until: NOW + 120_000,
        data: json!({}),
    };
    challenges.issue(new).await.unwrap();
    let code = crate::devices::enrol::begin(&w.app, "g1", "ada").await;
    code.unwrap();
    let lock = w.proof("ada", Purpose::AccountLock).await;
    let body = json!({ "email": "ada@acc.test" });
    assert_eq!(w.call(Method::PUT, PANIC, Some(&lock), body).await.0, 204);
    assert!(!w.is_live(&proof, Purpose::StepUp).await);
    let status = challenges.status(&id).await.unwrap();
    assert_eq!(status, ueauth_actors::Status::Denied);
    let left = w.app.store.of::<crate::devices::Enrolment>();
    assert_eq!(left.count(eq("accountId", "ada")).await.unwrap(), 0);
}
