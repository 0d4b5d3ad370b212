use super::*;
use crate::accounts::model::{AccessEntry, Identity};
use crate::store::{Date, Object, Value};
use serde_json::json;

fn account() -> Account {
    serde_json::from_value(json!({
        "_id": "a1", "username": "ada", "email": "ada@acc.test", "authGroup": "g1",
        "password": "$argon2id$stored", "verified": true, "createdAt": "2026-01-01T00:00:00.000Z",
        "modifiedAt": "2026-01-01T00:00:00.000Z", "modifiedBy": "SYSTEM_ADMIN",
        "recoverCodes": ["c1"],
    }))
    .unwrap()
}

fn with_own(policy: &PasswordPolicy, own: bool) -> ChangeRules<'_> {
    ChangeRules {
        policy,
        owner: "owner",
        own,
        by_token: false,
    }
}

fn patched(own: bool, body: &Json) -> ApiResult<Account> {
    let policy = PasswordPolicy::default();
    with_own(&policy, own).apply(&account(), body)
}

fn status(result: &ApiResult<Account>) -> u16 {
    result.as_ref().map_or_else(|e| e.status.as_u16(), |_| 200)
}

fn replace(path: &str, value: impl Into<Json>) -> Json {
    json!([{ "op": "replace", "path": path, "value": value.into() }])
}

#[test]
fn who_may_change_what() {
    for (body, own, other) in [
        (replace("/email", "new@acc.test"), 200, 200),
        (replace("/username", "ada2"), 200, 200),
        (replace("/password", "N3w!pass"), 200, 200),
        (replace("/password", "abc"), 417, 417),
        (
            json!([{ "op": "add", "path": "/phone", "value": { "txt": "+1555" } }]),
            200,
            200,
        ),
        (
            json!([{ "op": "add", "path": "/metadata", "value": { "a": 1 } }]),
            200,
            200,
        ),
        (
            json!([{ "op": "add", "path": "/mfa", "value": { "enabled": true } }]),
            200,
            200,
        ),
        (replace("/acceptingProfileRequests", false), 200, 200),
        (replace("/myNotifications/profileRequests", false), 200, 200),
        (replace("/active", false), 200, 200),
        (replace("/blocked", false), 200, 200),
        (replace("/verified", false), 400, 200),
        (
            json!([{ "op": "add", "path": "/access/-", "value": { "organization": { "id": "x" } } }]),
            403,
            403,
        ),
        (
            json!([{ "op": "add", "path": "/recoverCodes", "value": ["a"] }]),
            403,
            403,
        ),
        (replace("/createdAt", "2020-01-01"), 400, 400),
        (replace("/authGroup", "x"), 400, 400),
        (replace("/_id", "x"), 400, 400),
        (
            json!([{ "op": "add", "path": "/id", "value": "x" }]),
            400,
            400,
        ),
        (json!([{ "op": "remove", "path": "/modifiedBy" }]), 403, 400),
        (json!([{ "op": "remove", "path": "/modifiedAt" }]), 400, 400),
        (json!([{ "op": "remove", "path": "/email" }]), 400, 400),
        (replace("/email", " "), 400, 400),
        (replace("/zzz", 1), 400, 400),
        (replace("/active", "notbool"), 400, 400),
        (replace("/active", "no"), 200, 200),
        (json!([]), 200, 200),
        (json!({}), 400, 400),
    ] {
        assert_eq!(status(&patched(true, &body)), own, "own {body}");
        assert_eq!(status(&patched(false, &body)), other, "other {body}");
    }
}

#[test]
fn messages_are_those_clients_know() {
    for (body, message) in [
        (replace("/authGroup", "x"), "\"authGroup\" must be [g1]"),
        (replace("/_id", "x"), "\"_id\" must be [a1]"),
        (
            replace("/createdAt", "2020-01-01"),
            "\"createdAt\" must be [2026-01-01T00:00:00.000Z]",
        ),
        (replace("/verified", false), "\"verified\" must be [true]"),
        (
            json!([{ "op": "add", "path": "/access/-", "value": {} }]),
            "You can not set access through this API",
        ),
        (
            replace("/active", "notbool"),
            "accounts validation failed: active: Cast to Boolean failed for value \"notbool\" (type string) at path \"active\" because of \"CastError\"",
        ),
    ] {
        assert_eq!(patched(true, &body).unwrap_err().message, message, "{body}");
    }
}

#[test]
fn hole_members_can_not_lift_their_own_lock_or_edit_identities() {
    let policy = PasswordPolicy::default();
    let mut locked = account();
    locked.user_locked = true;
    locked.blocked = true;
    for body in [
        replace("/userLocked", false),
        replace("/blocked", false),
        replace("/modifiedBy", "x"),
        json!([{ "op": "add", "path": "/identities/-", "value": { "id": "1", "provider": "p" } }]),
    ] {
        let own = with_own(&policy, true).apply(&locked, &body);
        assert_eq!(status(&own), 403, "{body}");
        let admin = with_own(&policy, false).apply(&locked, &body);
        assert_eq!(status(&admin), 200, "{body}");
    }
}

#[test]
fn hole_a_new_address_of_ones_own_is_not_verified() {
    let body = replace("/email", "New@ACC.test");
    let own = patched(true, &body).unwrap();
    assert_eq!((&*own.email, own.verified), ("new@acc.test", false));
    let admin = patched(false, &body).unwrap();
    assert_eq!((&*admin.email, admin.verified), ("new@acc.test", true));
    let same = patched(true, &replace("/email", "ADA@acc.test")).unwrap();
    assert!(same.verified, "the same address in other letters");
}

#[test]
fn hole_the_password_hash_can_not_be_copied_or_guessed_at() {
    for body in [
        json!([{ "op": "copy", "from": "/password", "path": "/modifiedBy" }]),
        json!([{ "op": "move", "from": "/password", "path": "/username" }]),
        json!([{ "op": "copy", "from": "", "path": "/metadata" }]),
        json!([{ "op": "test", "path": "/password", "value": "$argon2id$stored" }]),
        json!([{ "op": "copy", "from": "/recoverCodes/0", "path": "/username" }]),
    ] {
        assert_eq!(status(&patched(false, &body)), 403, "{body}");
    }
}

#[test]
fn hole_the_owner_can_not_be_deactivated() {
    let policy = PasswordPolicy::default();
    let mut rules = with_own(&policy, false);
    rules.owner = "a1";
    for value in [json!(false), json!("false"), json!(0)] {
        let result = rules.apply(&account(), &replace("/active", value));
        assert_eq!(status(&result), 400);
    }
}

#[test]
fn hole_a_patch_keeps_unknown_fields_and_stored_types() {
    let date = Value::from(Date::from_millis(5));
    let mut old = account();
    old.extra.insert("legacy", date.clone());
    let mut metadata = Object::new();
    metadata.insert("since", date.clone());
    old.metadata = Some(metadata.clone());
    old.identities = vec![Identity {
        id: "1".into(),
        provider: "p".into(),
        profile: Some(metadata.clone()),
        extra: Object::default(),
    }];
    old.access = vec![AccessEntry {
        extra: metadata,
        ..AccessEntry::default()
    }];
    let policy = PasswordPolicy::default();
    let body = json!([
        { "op": "replace", "path": "/username", "value": "new" },
        { "op": "add", "path": "/unknown", "value": 1 },
        { "op": "add", "path": "/mfa", "value": { "enabled": true, "unknown": 1 } },
        { "op": "replace", "path": "/legacy", "value": 1 },
    ]);
    let new = with_own(&policy, false).apply(&old, &body).unwrap();
    assert_eq!(new.username, "new");
    assert_eq!(new.extra, old.extra);
    assert!(new.mfa.extra.is_empty() && new.mfa.enabled == Some(true));
    assert_eq!(new.metadata, old.metadata);
    assert_eq!(new.identities, old.identities);
    assert_eq!(new.access, old.access);
}

#[test]
fn a_mailed_token_sets_the_password_and_nothing_else() {
    let password = json!({ "op": "replace", "path": "/password", "value": "N3w!pass" });
    let verified = json!({ "op": "replace", "path": "/verified", "value": true });
    for (body, good) in [
        (json!([password]), true),
        (json!([password, verified]), true),
        (json!([verified, password]), true),
        (json!([verified]), false),
        (json!([]), false),
        (json!([password, password]), false),
        (json!([password, verified, verified]), false),
        (
            json!([password, { "op": "replace", "path": "/verified", "value": false }]),
            false,
        ),
        (
            json!([password, { "op": "replace", "path": "/email", "value": "x" }]),
            false,
        ),
        (
            json!([{ "op": "add", "path": "/password", "value": "N3w!pass" }]),
            false,
        ),
        (
            json!([{ "op": "replace", "path": "/password", "value": { "a": 1 } }]),
            false,
        ),
    ] {
        assert_eq!(only_password(&body).is_ok(), good, "{body}");
    }
    let policy = PasswordPolicy::default();
    let mut rules = with_own(&policy, true);
    rules.by_token = true;
    let mut old = account();
    old.verified = false;
    let new = rules.apply(&old, &json!([password, verified])).unwrap();
    assert!(new.verified);
}
