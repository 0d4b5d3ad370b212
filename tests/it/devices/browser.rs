//! The device's page in Chromium.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::phone::code;
use super::{ask, asked, has_mfa, set_mfa, state, tenant};
use crate::answer::{send, to};
use crate::chromium::Chromium;
use crate::flow::text;
use crate::server::Server;
use crate::tenant::Tenant;

const STATUS: &str = "[data-status]";
const CARD: &str = "[data-answer]";
const ALERT: &str = "[role=alert]:not([hidden])";

fn page(tenant: &Tenant, more: &str) -> Url {
    Url::parse(&format!("{}/device-app{more}", tenant.issuer)).expect("an address")
}

/// Waits until nothing is to be answered.
async fn gone(browser: &Chromium) {
    for _ in 0..600 {
        if !browser.has(CARD).await {
            return;
        }
    }
    panic!("the challenge stays: {}", browser.text().await);
}

async fn script(browser: &Chromium, expression: &str) -> Value {
    let run = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
    browser.devtools("Runtime.evaluate", run).await["result"]["value"].clone()
}

on_both_stores! {
    /// From the scanned code to an approval with the number, a denial, and a page without a network.
    async fn a_browser_becomes_a_device(server: Server) {
        let Some(browser) = Chromium::open().await else { return };
        let tenant = tenant(&server, "device", json!({"numberMatching": true})).await;
        let code = code(&server, &tenant, &tenant.user).await;
        set_mfa(&server, &tenant, false).await;
        browser.goto(&page(&tenant, &format!("#enrol={code}"))).await;
        assert!(!browser.url().await.as_str().contains(&code), "the code is not kept");
        browser.shown("[data-enrol] button").await;
        browser.click("[data-enrol] button").await;
        assert!(browser.shown(STATUS).await.contains(&tenant.user.email));
        assert!(has_mfa(&server, &tenant).await);
        let exported = "new Promise((done) => { indexedDB.open('ueauth-device', 1).onsuccess = (event) => {
            const all = event.target.result.transaction('devices').objectStore('devices').getAll();
            all.onsuccess = () => done(all.result[0].key.extractable);
        }; })";
        assert_eq!(script(&browser, exported).await, false);

        let first = ask(&server, &tenant, "b-1").await.expect(200).json();
        assert!(browser.shown("[data-title]").await.contains("Pay?"));
        assert!(browser.shown("[data-message]").await.contains("12 EUR"));
        browser.fill("[data-answer] input[name=number]", text(&first["data"]["number"])).await;
        browser.click("[data-answer] [value=approve]").await;
        gone(&browser).await;
        assert_eq!(state(&server, &tenant, text(&first["data"]["key"]), "b-1").await, "approved");

        let second = asked(&server, &tenant, "b-2").await;
        browser.shown(CARD).await;
        browser.click("[data-answer] [value=deny]").await;
        gone(&browser).await;
        assert_eq!(state(&server, &tenant, &second, "b-2").await, "denied");
        let third = asked(&server, &tenant, "b-3").await;
        browser.shown(CARD).await;
        browser.fill("[data-answer] input[name=number]", "00").await;
        browser.click("[data-answer] [value=approve]").await;
        assert!(browser.shown(ALERT).await.contains("number"));
        assert_eq!(state(&server, &tenant, &third, "b-3").await, "denied");

        let ready = "Promise.race([navigator.serviceWorker.ready.then((worker) => new URL(worker.scope).pathname),
            new Promise((done) => setTimeout(done, 30000, 'no worker'))])";
        let scope = script(&browser, ready).await;
        assert_eq!(scope, page(&tenant, "").path());
        let manifest = send(to(&server, Method::GET, &format!("{}/manifest.webmanifest", page(&tenant, "").path()))).await;
        assert_eq!(manifest.expect(200).json()["start_url"], scope);
        // the page that the worker controls is the one that it has kept
        browser.goto(&page(&tenant, "")).await;
        browser.shown(STATUS).await;
        let mut server = server;
        server.kill();
        browser.goto(&page(&tenant, "")).await;
        assert!(browser.shown(STATUS).await.contains(&tenant.user.email), "its shell opens without the server");
    }
}
