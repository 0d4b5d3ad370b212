//! How the root group and others begin.

use super::*;

#[tokio::test]
async fn the_first_start_happens_once() {
    let app = app().await;
    assert_eq!(
        code(bootstrap::create_root(&app, "r@a.test", "short").await),
        417
    );
    assert_eq!(count::<AuthGroup>(&app).await, 0);
    let made = bootstrap::create_root(&app, "Root@a.test", PASSWORD)
        .await
        .unwrap();
    let (group, account) = (&made.ready.group, &made.ready.account);
    assert!(group.active && group.locked && group.security_expiration.is_none());
    assert_eq!(
        (group.owner.as_str(), account.email.as_str()),
        (account.id.as_str(), "root@a.test")
    );
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
    assert_eq!(made.plugins.as_ref().unwrap().version.as_i64(), Some(1));
    let shown = made.public(&app).to_string();
    for secret in [
        "\"cookieKeys\"",
        "\"keys\"",
        &account.password,
        "activationStarted",
    ] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(shown.contains("client_secret"));
    let tenant = app.tenants.active(&app, "root").await.unwrap().unwrap();
    let core = tenant.core(&app.store).await.unwrap().unwrap();
    assert_eq!(
        core.domain.as_deref(),
        Some(made.ready.core.domain.id.as_str())
    );
    assert_eq!(core.products.len(), 2);
    assert_eq!(
        code(bootstrap::create_root(&app, "r@a.test", PASSWORD).await),
        403
    );
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
}

#[tokio::test]
async fn an_abandoned_root_group_is_taken_up_again() {
    let app = app().await;
    let mut left = new_group::root(&app, "old@a.test").await.unwrap();
    left.extra
        .insert("activationStarted", app.now_ms() - 3_600_000);
    app.store.of::<AuthGroup>().insert(&left).await.unwrap();
    let client = platform_client::build(&app, &left);
    app.store.of::<Client>().insert(&client).await.unwrap();
    let made = bootstrap::create_root(&app, "new@a.test", PASSWORD)
        .await
        .unwrap();
    assert_eq!(made.ready.group.id, left.id);
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
    assert_eq!(count::<AuthGroup>(&app).await, 1);
}

#[tokio::test]
async fn the_creator_may_administer() {
    let app = app().await;
    let made = active(&app, "acme").await;
    let grants = crate::access::UserGrants::load(
        &app.store,
        &made.group,
        &made.account,
        &crate::access::AccessFilter::default(),
    )
    .await
    .unwrap();
    let claims = Json::Object(grants.minimized());
    let permissions = claims["permissions"][&made.core.organization.id]
        .as_str()
        .unwrap();
    let coded = &made.core.products[0].coded_id;
    assert!(permissions.contains(&format!("{coded}:::group-keys::read:own")));
    assert_eq!(permissions.split(' ').count(), 49);
    assert!(
        made.core
            .permissions
            .iter()
            .any(|p| p.target == "initialAccessToken")
    );
}

#[tokio::test]
async fn activation_checks_address_and_password_and_spends_the_token() {
    let app = app().await;
    let tenant = waiting(&app, "acme").await;
    let stranger = NewOwner {
        email: "other@acme.test".to_owned(),
        ..owner(PASSWORD)
    };
    assert_eq!(
        code(bootstrap::activate(&app, &tenant, stranger).await),
        412
    );
    assert_eq!(
        code(bootstrap::activate(&app, &tenant, owner("abc")).await),
        417
    );
    assert_eq!(count::<Record<InitialAccessToken>>(&app).await, 1);
    let generated = NewOwner {
        password: NewPassword::Generated,
        ..owner("")
    };
    let made = bootstrap::activate(&app, &tenant, generated).await.unwrap();
    assert_eq!(
        made.public(&app)["account"]["password"]
            .as_str()
            .map(str::len),
        Some(16)
    );
    assert_eq!(made.account.username, "owner@acme.test");
    assert_eq!(count::<Record<InitialAccessToken>>(&app).await, 0);
    assert_eq!(
        code(bootstrap::activate(&app, &tenant, owner(PASSWORD)).await),
        403
    );
    assert!(app.tenants.active(&app, "acme").await.unwrap().is_some());
}

#[tokio::test]
async fn a_failed_activation_leaves_nothing_and_can_be_repeated() {
    let app = app().await;
    let tenant = waiting(&app, "acme").await;
    // more than a document can hold, so storing the account fails after all else is stored
    let mut metadata = Object::default();
    metadata.insert("big", Value::String("x".repeat(17 << 20)));
    let too_big = NewOwner {
        metadata: Some(metadata),
        ..owner(PASSWORD)
    };
    assert_eq!(code(bootstrap::activate(&app, &tenant, too_big).await), 413);
    assert_eq!(counts(&app).await, [0; 7]);
    let group = app
        .store
        .of::<AuthGroup>()
        .get(tenant.id())
        .await
        .unwrap()
        .unwrap();
    assert!(group.is_pending() && group.security_expiration.is_some());
    assert_eq!(count::<Record<InitialAccessToken>>(&app).await, 1);
    bootstrap::activate(&app, &tenant, owner(PASSWORD))
        .await
        .unwrap();
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
}

#[tokio::test]
async fn of_two_activations_at_once_one_wins() {
    let app = app().await;
    let tenant = waiting(&app, "acme").await;
    let (a, b) = tokio::join!(
        bootstrap::activate(&app, &tenant, owner(PASSWORD)),
        bootstrap::activate(&app, &tenant, owner(PASSWORD)),
    );
    assert!(a.is_ok() != b.is_ok());
    let refused = a.as_ref().err().or(b.as_ref().err()).unwrap();
    assert_eq!(refused.status.as_u16(), 409);
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
    let group = a.or(b).unwrap().group;
    assert!(
        app.store
            .of::<Account>()
            .get(&group.owner)
            .await
            .unwrap()
            .is_some()
    );
}
