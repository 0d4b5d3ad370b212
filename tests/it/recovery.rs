//! The pages for people who cannot get in, in a real browser: forgotten passwords, locking, recovering.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{send, to};
use crate::chromium::Chromium;
use crate::messages::Scene;
use crate::server::Store;

const ALERT: &str = "[data-error]";
const NEW: &str = "N3w!passw0rd";

fn step(name: &str, rest: &str) -> String {
    format!("[data-step={name}] {rest}")
}

/// A link from a mail leads to a new password, once; whoever comes too late gets another one.
async fn a_forgotten_password(store: Store) {
    let Some(mut scene) = Scene::set(store).await else {
        return;
    };
    let Some(browser) = Chromium::open().await else {
        return;
    };
    let user = &scene.tenant.user;
    let page = Url::parse(&format!("{}/forgotpassword", scene.tenant.issuer)).unwrap();
    browser.goto(&page).await;
    browser.fill("#email", &user.email).await;
    browser.click(&step("email", "button")).await;
    browser.shown(&step("sent", "p")).await;
    let home = browser.find(&step("sent", "a")).await;
    assert_eq!(
        home.attr("href").await.unwrap().as_deref(),
        Some("https://shop.test/")
    );
    scene.mailbox.next_to(&user.email).await;
    let link = scene.mailbox.next_to(&user.email).await.link();

    browser.goto(&link).await;
    for (password, again, said) in [(NEW, "other", "differ"), ("short", "short", "assword")] {
        browser.fill("#password", password).await;
        browser.fill("#confirm-password", again).await;
        browser
            .click(&step("password", "form button[type=submit]"))
            .await;
        let text = browser.shown(ALERT).await;
        assert!(text.contains(said), "{text}");
    }
    assert!(scene.tenant.knows(&user.email, &user.password).await);
    browser.fill("#password", NEW).await;
    browser.fill("#confirm-password", NEW).await;
    browser
        .click(&step("password", "form button[type=submit]"))
        .await;
    browser.shown(&step("done", "p")).await;
    assert!(scene.tenant.knows(&user.email, NEW).await);

    let evil = format!("{link}&redirect=https%3A%2F%2Fevil.test%2F");
    browser.goto(&Url::parse(&evil).unwrap()).await;
    assert_eq!(
        browser
            .find(&step("done", "a"))
            .await
            .attr("href")
            .await
            .unwrap()
            .as_deref(),
        Some("https://shop.test/"),
        "only addresses of the group are gone to"
    );
    browser.fill("#password", "An0ther!pass").await;
    browser.fill("#confirm-password", "An0ther!pass").await;
    browser
        .click(&step("password", "form button[type=submit]"))
        .await;
    browser.shown(&step("again", "p")).await;
    browser.fill("#email", &user.email).await;
    browser.click(&step("again", "button")).await;
    browser.shown(&step("sent", "p")).await;
    scene.mailbox.next_to(&user.email).await;
    assert!(scene.tenant.knows(&user.email, NEW).await);
}

/// The warning locks the account from a mail; its codes open it again with a new password.
async fn locked_and_recovered(store: Store) {
    let Some(mut scene) = Scene::set(store).await else {
        return;
    };
    let Some(browser) = Chromium::open().await else {
        return;
    };
    let (server, tenant) = (&scene.server, &scene.tenant);
    let user = &tenant.user;
    let token = tenant.token_of(server, user).await;
    let path = format!("/api/{}/account/codes", tenant.group);
    let request = to(server, Method::PUT, &path).bearer_auth(token);
    let codes = send(request.json(&json!({}))).await.expect(200).json();
    let codes = codes["data"].as_array().unwrap().clone();
    let link = scene.mailbox.next_to(&user.email).await.link();

    browser.goto(&link).await;
    let lock = step("ask", "button");
    browser.fill("#email", "other@shop.test").await;
    browser.click(&lock).await;
    assert!(browser.shown(ALERT).await.contains("not the email address"));
    assert!(tenant.knows(&user.email, &user.password).await);
    browser.fill("#email", &user.email).await;
    browser.click(&lock).await;
    browser.shown(&step("done", "p")).await;
    assert!(!tenant.knows(&user.email, &user.password).await);

    browser.press(&step("done", "a")).await;
    assert!(browser.url().await.path().ends_with("/recoveraccount"));
    browser.fill("#email", &user.email).await;
    let type_in = async |codes: &[Value]| {
        for (n, code) in codes.iter().enumerate() {
            let field = format!("#code{}", n + 1);
            browser.fill(&field, code.as_str().unwrap()).await;
        }
        browser.click(&step("codes", "button[type=submit]")).await;
    };
    let wrong: Vec<Value> = (0..10).map(|n| json!(format!("wrong-{n:04}"))).collect();
    type_in(&wrong).await;
    assert!(browser.shown(ALERT).await.contains("too few"));
    type_in(&codes).await;
    browser.shown(&step("password", "p")).await;
    browser.fill("#password", NEW).await;
    browser.fill("#confirmation", NEW).await;
    browser
        .click(&step("password", "button[type=submit]"))
        .await;
    assert_eq!(browser.shown("[data-password]").await, NEW);
    assert_eq!(browser.shown("[data-codes]").await.lines().count(), 10);
    assert!(tenant.knows(&user.email, NEW).await);
}

#[tokio::test]
async fn a_forgotten_password_embedded() {
    a_forgotten_password(Store::Embedded).await;
}

#[tokio::test]
async fn a_forgotten_password_mongodb() {
    a_forgotten_password(Store::Mongo).await;
}

#[tokio::test]
async fn locked_and_recovered_embedded() {
    locked_and_recovered(Store::Embedded).await;
}

#[tokio::test]
async fn locked_and_recovered_mongodb() {
    locked_and_recovered(Store::Mongo).await;
}
