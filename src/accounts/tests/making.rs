//! Creating, importing and finding accounts.

use super::*;

#[actix_web::test]
async fn hole_the_callers_own_password_is_not_echoed_and_a_generated_one_is() {
    let w = world(|_| {}).await;
    let body = json!({ "email": "Ada@Acc.test", "username": "ADA", "password": "Ada!pass1" });
    let (status, answer) = w.call(Method::POST, "/api/gee/account", None, body).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert_eq!(
        (&data["email"], &data["username"]),
        (&json!("ada@acc.test"), &json!("ada"))
    );
    assert_eq!(data["modifiedBy"], "SYSTEM_ADMIN");
    for hidden in [
        "password",
        "phone",
        "access",
        "identities",
        "recoverCodes",
        "_id",
    ] {
        assert!(data.get(hidden).is_none(), "{hidden}");
    }
    assert!(w.matches(data["id"].as_str().unwrap(), "Ada!pass1").await);
    let body = json!({ "email": "gen@acc.test", "generatePassword": true });
    let (status, answer) = w.call(Method::POST, "/api/g1/account", None, body).await;
    assert_eq!(status, 201);
    let data = &answer["data"];
    let made = data["password"].as_str().unwrap();
    assert!(w.matches(data["id"].as_str().unwrap(), made).await);
}

#[actix_web::test]
async fn creating_is_refused_as_clients_know_it() {
    let w = world(|_| {}).await;
    for (body, status, message) in [
        (
            json!({}),
            400,
            "Error while validating request: request/body must have required property 'email'",
        ),
        (
            json!({ "email": "x@acc.test" }),
            428,
            "password is required",
        ),
        (
            json!({ "email": "x@acc.test", "password": "abc" }),
            417,
            "Password must follow this policy: At least 6 characters, at least one special character.",
        ),
        (
            json!({ "email": "x@acc.test", "password": "Abc!def", "zzz": 1 }),
            400,
            "Error while validating request: request/body must NOT have additional properties",
        ),
        (
            json!({ "email": "OWNER@acc.test", "password": "Abc!def" }),
            409,
            "accounts index: email_1_authGroup_1 dup key: { email, authGroup }",
        ),
        (
            json!({ "email": "x@acc.test", "username": "Owner", "password": "Abc!def" }),
            409,
            "accounts index: username_1_authGroup_1 dup key: { username, authGroup }",
        ),
    ] {
        let (got, answer) = w
            .call(Method::POST, "/api/g1/account", None, body.clone())
            .await;
        assert_eq!(got, status, "{body}");
        assert_eq!(answer["message"], message, "{body}");
    }
    let locked = world(|g| g.locked = true).await;
    let body = json!({ "email": "x@acc.test", "password": "Abc!def" });
    let (status, _) = locked
        .call(Method::POST, "/api/g1/account", None, body.clone())
        .await;
    assert_eq!(status, 401);
    let (status, answer) = locked.as_owner(Method::POST, "/api/g1/account", body).await;
    assert_eq!(
        (status, &answer["data"]["modifiedBy"]),
        (201, &json!("owner"))
    );
}

#[actix_web::test]
async fn the_owners_first_account_activates_its_group() {
    let w = world(|_| {}).await;
    let group: AuthGroup = serde_json::from_value(json!({
        "_id": "g2", "name": "G2", "prettyName": "two", "owner": "Boss@two.test", "active": false,
    }))
    .unwrap();
    w.app.store.of::<AuthGroup>().insert(&group).await.unwrap();
    let new = NewIat {
        group: "g2".to_owned(),
        life: 900,
        ..NewIat::default()
    };
    let token = tokens::mint(&w.app, Purpose::GroupActivation, new)
        .await
        .unwrap()
        .id;
    let create = |token, body| w.call(Method::POST, "/api/two/account", token, body);
    let body = |email: &str, password: &str| json!({ "email": email, "password": password });
    let token = Some(token.as_str());
    assert_eq!(
        create(None, body("boss@two.test", "Boss!pass")).await.0,
        401
    );
    assert_eq!(create(token, body("x@two.test", "Boss!pass")).await.0, 412);
    assert_eq!(create(token, body("boss@two.test", "weak")).await.0, 417);
    let generated = json!({ "email": "boss@two.test", "generatePassword": true });
    let (status, answer) = create(token, generated).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert!(data["access"].is_object() && data["client"].is_object());
    assert_eq!(data["account"]["verified"], true);
    let id = data["account"]["id"].as_str().unwrap();
    let password = data["account"]["password"].as_str().unwrap();
    assert!(w.matches(id, password).await);
    // from now on it is a group like any other, open to registration
    let (status, _) = create(token, body("next@two.test", "Next!pass")).await;
    assert_eq!(status, 201);
}

#[actix_web::test]
async fn hole_a_user_name_can_not_be_the_address_of_another() {
    let w = world(|_| {}).await;
    w.add("bob").await;
    for names in [
        json!({ "email": "x@acc.test", "username": "Bob@acc.test", "password": "Abc!def" }),
        json!({ "email": "bob", "username": "x", "password": "Abc!def" }),
    ] {
        let (status, _) = w
            .call(Method::POST, "/api/g1/account", None, names.clone())
            .await;
        assert_eq!(status, 409, "{names}");
    }
    let (status, _) = w
        .as_owner(
            Method::PATCH,
            "/api/g1/account/bob",
            replace("/username", "owner@acc.test"),
        )
        .await;
    assert_eq!(status, 409);
    assert_eq!(w.account("bob").await.username, "bob");
}

#[actix_web::test]
async fn a_profile_belongs_to_the_new_account_and_its_maker_may_view_it() {
    let w = world(|g| g.locked = true).await;
    let body = json!({
        "email": "ada@acc.test", "password": "Ada!pass1",
        "profile": { "givenName": "Ada", "accountId": "owner", "authGroup": "other" },
    });
    let (_, answer) = w.as_owner(Method::POST, "/api/g1/account", body).await;
    let profiles = w
        .app
        .store
        .of::<Profile>()
        .find(eq("authGroup", "g1"))
        .await
        .unwrap();
    assert_eq!(profiles.len(), 1);
    assert_eq!(
        profiles[0].account_id,
        answer["data"]["id"].as_str().unwrap()
    );
    assert_eq!(profiles[0].details.given_name.as_deref(), Some("Ada"));
    let access = w
        .app
        .store
        .of::<ProfileAccess>()
        .find(eq("authGroup", "g1"))
        .await
        .unwrap();
    assert_eq!(access.len(), 1);
    assert_eq!(access[0].viewing_account_id, "owner");
}

#[actix_web::test]
async fn a_due_verify_message_that_is_not_sent_is_no_success() {
    let w = world(|g| {
        g.config.auto_verify = true;
        g.plugin_options.notification.enabled = true;
    })
    .await;
    let mut plugins = crate::plugins::rules::first(&w.app, "x").await.unwrap();
    plugins.notifications.enabled = true;
    plugins.notifications.notification_service_uri = Some("https://notices.test/in".to_owned());
    w.app
        .store
        .of::<crate::plugins::Plugins>()
        .put(&plugins)
        .await
        .unwrap();
    w.app.plugins.changed();
    let body = json!({ "email": "ada@acc.test", "password": "Ada!pass1" });
    let (status, answer) = w.call(Method::POST, "/api/g1/account", None, body).await;
    assert_eq!(status, 424);
    assert_eq!(answer["data"]["account"]["email"], "ada@acc.test");
}

#[actix_web::test]
async fn hole_imported_accounts_hold_no_clear_password_and_names_in_lower_case() {
    let w = world(|_| {}).await;
    let body = json!([
        { "email": "One@acc.test", "id": "chosen" },
        { "email": "two@acc.test", "username": "TWO", "phone": { "txt": "+15550001" } },
        { "email": "ONE@acc.test", "username": "again" },
        { "email": "three@acc.test", "username": "owner" },
        { "email": "four@acc.test", "id": "owner" },
        { "email": "five@acc.test" },
    ]);
    let (status, answer) = w.as_owner(Method::POST, "/api/g1/accounts", body).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert_eq!((&data["attempted"], &data["ok"]), (&json!(6), &json!(3)));
    let failed: Vec<_> = data["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["index"].as_u64().unwrap())
        .collect();
    assert_eq!(failed, [2, 3, 4]);
    assert_eq!(data["failed"][0]["err"]["code"], 11000);
    assert!(data["failed"][0]["err"].get("op").is_none());
    assert_eq!(data["success"][0]["id"], "chosen");
    assert_eq!(data["success"][1]["username"], "two");
    let one = w.account("chosen").await;
    assert_eq!(
        (&*one.email, &*one.modified_by, one.verified),
        ("one@acc.test", "owner", false)
    );
    assert!(one.password.starts_with("unusable:"));
    assert!(!w.matches("chosen", &one.password).await);
    let many: Vec<Json> = (0..1001)
        .map(|i| json!({ "email": format!("m{i}@acc.test") }))
        .collect();
    let (status, answer) = w
        .as_owner(Method::POST, "/api/g1/accounts", many.into())
        .await;
    assert_eq!(status, 400, "{answer}");
}

#[actix_web::test]
async fn reading_shows_others_to_administrators_and_the_phone_to_oneself() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let ada = Some("token-ada");
    let get = |path: &'static str, token| w.call(Method::GET, path, token, Json::Null);
    let (status, answer) = get("/api/g1/account/me", ada).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["data"]["id"], &answer["data"]["phone"]),
        (&json!("ada"), &json!({}))
    );
    let (status, answer) = get("/api/g1/account/owner", ada).await;
    assert_eq!((status, &answer["message"]), (404, &json!("owner")));
    let (status, answer) = get("/api/g1/account/ada", Some("token-owner")).await;
    assert_eq!((status, answer["data"].get("phone")), (200, None));
    let (status, answer) = get("/api/g1/account/nobody", Some("token-owner")).await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("id requested was nobody"))
    );
    assert_eq!(get("/api/g1/account/ada", None).await.0, 401);
    assert_eq!(get("/api/g1/accounts", ada).await.0, 403);
}

#[actix_web::test]
async fn lists_follow_their_options_and_hole_hidden_fields_can_not_be_probed() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let get = |path: &'static str| w.as_owner(Method::GET, path, Json::Null);
    let (status, answer) = get("/api/g1/accounts?$filter=email%20eq%20%27ada@acc.test%27").await;
    assert_eq!((status, answer["data"].as_array().unwrap().len()), (200, 1));
    assert!(answer["data"][0].get("password").is_none());
    let (_, answer) = get("/api/g1/accounts?$select=email,access&$orderby=email").await;
    assert_eq!(
        answer["data"],
        json!([{ "id": "ada", "email": "ada@acc.test" }, { "id": "owner", "email": "owner@acc.test" }])
    );
    for path in [
        "/api/g1/accounts?$filter=startswith(password,%27$%27)",
        "/api/g1/accounts?$orderby=password",
        "/api/g1/accounts?$filter=recoverCodes%20eq%20%27x%27",
    ] {
        let (status, answer) = get(path).await;
        assert_eq!(
            (status, &answer["message"]),
            (400, &json!("Check your oData inputs")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn search_finds_exactly_and_by_words() {
    let w = world(|_| {}).await;
    w.add("dave").await;
    w.add("davesolo").await;
    let get = |path: &'static str| w.as_owner(Method::GET, path, Json::Null);
    let (status, answer) = get("/api/g1/accounts/search").await;
    assert_eq!(
        (status, &answer["message"]),
        (400, &json!("no search provided"))
    );
    let solo = json!({ "id": "davesolo", "email": "davesolo@acc.test", "username": "davesolo" });
    let (_, answer) = get("/api/g1/accounts/search?q=DaveSolo").await;
    assert_eq!(answer["data"], json!({ "exact": solo, "like": [solo] }));
    let (_, answer) = get("/api/g1/accounts/search?q=zzz").await;
    assert_eq!(answer["data"], json!({ "exact": null, "like": [] }));
    let (_, answer) = get("/api/g1/accounts/search?q=davesolo&restrictEmail=other.test").await;
    assert_eq!(answer["data"], json!({ "exact": {}, "like": [] }));
    let (_, answer) = get("/api/g1/accounts/search?q=davesolo&restrictEmail=x.test,acc.test").await;
    assert_eq!(
        answer["data"]["like"],
        json!([{ "id": "davesolo", "email": "davesolo@acc.test" }])
    );
}
