//! Providers and reports against a service made from the contract, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use ueauth_actors::{Answer, ChallengeId, ManualClock, NewChallenge, Outcome};

use crate::accounts::Account;
use crate::app::{App, Parts};
use crate::challenges::answers::CUSTOM;
use crate::challenges::callbacks;
use crate::challenges::model::StoredChallenge;
use crate::challenges::providers::{Privakey, Provider, ProviderError, Push};
use crate::deliveries::Delivery;
use crate::groups::{AuthGroup, Tenant};
use crate::settings::Settings;

const NOW: i64 = 1_800_000_000_000;

/// What is answered to a request: its first line, its head, its body.
type Answers = Box<dyn FnMut(&str, &str) -> (u16, Json) + Send>;

/// A service; every request is kept.
struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    async fn start(mut answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let mut part = [0_u8; 4096];
                let (head, body) = loop {
                    let count = stream.read(&mut part).await.unwrap();
                    text.push_str(&String::from_utf8_lossy(&part[..count]));
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.to_ascii_lowercase();
                        let length = length.split("content-length: ").nth(1);
                        let length = length.and_then(|l| l.lines().next()?.parse().ok());
                        if body.len() >= length.unwrap_or(0) {
                            break (head.to_owned(), body.to_owned());
                        }
                    }
                };
                let first = head.lines().next().unwrap().replace(" HTTP/1.1", "");
                let (status, answer) = answers(&first, &body);
                log.lock().unwrap().push((head, body));
                let answer = answer.to_string();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn app() -> (App, Arc<ManualClock>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
    settings.outgoing.allow_loopback = true;
    let clock = Arc::new(ManualClock::new(NOW));
    let app = Parts::start(settings, Arc::clone(&clock) as _, None).await;
    (app.unwrap(), clock, folder)
}

async fn tenant(app: &App, meta: Json) -> Arc<Tenant> {
    let group: AuthGroup = serde_json::from_value(json!({
        "_id": "g1", "name": "G", "prettyName": "gee", "owner": "owner", "active": true,
        "associatedClient": "portal",
        "config": { "mfaChallenge": { "enable": true, "type": "privakey", "meta": meta } },
    }))
    .unwrap();
    app.store.of::<AuthGroup>().insert(&group).await.unwrap();
    app.tenants.active(app, "g1").await.unwrap().unwrap()
}

fn push() -> Push<'static> {
    Push {
        account: "a1",
        uid: "u1",
        title: "T",
        header: "H",
        body: "B & C",
        event: Some("e"),
        callback: Some("https://cb.test/"),
        duration: None,
        number: None,
    }
}

fn credentials() -> Json {
    json!({ "privakeyClient": "me", "privakeySecret": "s3cret" })
}

#[tokio::test]
async fn privakey_is_asked_as_it_wants_to_be() {
    let (app, _, _folder) = app().await;
    let transaction = r#"{"uid":"u1","accountId":"a1","event":"e","cb":"https://cb.test/"}"#;
    let fake = Fake::start(Box::new(move |first, _| match first {
        "POST /api/request/add" => (
            200,
            json!({ "guid": "key-1", "transactionId": transaction }),
        ),
        "GET /api/request/getRequest?requestGuid=key-1" => (
            200,
            json!({ "guid": "key-1", "transactionId": transaction, "buttonSelected": 0 }),
        ),
        "PUT /api/account/bind" => (
            200,
            json!({ "sessionToken": "st", "appSpaceGuid": "ag", "appSpaceName": "an", "privakeyId": "pi" }),
        ),
        "GET /api/device/getAll?accountId=a1" => (200, json!([{ "guid": "d1" }, { "guid": "d2" }])),
        "PATCH /api/device/revoke" => (200, json!({})),
        _ => (404, json!({})),
    }))
    .await;
    let tenant = tenant(&app, credentials()).await;
    let privakey = Privakey::at(&fake.url, &app, &tenant).unwrap();

    let sent = privakey.send(&app, &push()).await.unwrap();
    assert_eq!(sent.key, "key-1");
    let (head, body) = fake.seen().remove(0);
    // "me:s3cret"
    assert!(head.contains("authorization: Basic bWU6czNjcmV0"), "{head}");
    let form = crate::http::request::form_pairs(body.as_bytes());
    let of = |name: &str| {
        form.iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let origin = app.settings.origin();
    let callback = format!("{origin}/api/g1/mfa/callback");
    for (name, value) in [
        ("accountId", "a1"),
        ("duration", "5m"),
        ("additionalInfo[template]", "true"),
        ("transactionId", transaction),
        ("notificationTitle", "T"),
        ("notificationBody", "T"),
        ("callback", &callback),
        ("content[keys][0][key]", "H"),
        ("content[keys][0][value]", "B & C"),
        ("buttons[0][title]", "Approve"),
        ("buttons[1][style]", r##"{"color":"#FF6600"}"##),
    ] {
        assert_eq!(of(name), Some(value), "{name}");
    }

    let told = json!({ "guid": "key-1", "transactionId": transaction, "buttonSelected": "0" });
    let told = privakey.read(&told).unwrap();
    assert!(told.approves() && privakey.confirms(&app, &told).await.unwrap());
    for (name, value) in [
        ("buttonSelected", json!(1)),
        ("transactionId", json!(r#"{"uid":"u2","accountId":"a1"}"#)),
    ] {
        let mut lie = json!({ "guid": "key-1", "transactionId": transaction, "buttonSelected": 0 });
        lie[name] = value;
        let told = privakey.read(&lie).unwrap();
        assert!(!privakey.confirms(&app, &told).await.unwrap(), "{name}");
        lie.as_object_mut().unwrap().remove(name);
        assert!(privakey.read(&lie).is_none(), "{name}");
    }

    let account = crate::accounts::create::blank(&app, "g1", "x@y.test".into(), "x".into());
    let account = Account {
        id: "a1".to_owned(),
        ..account
    };
    let steps = privakey.bind(&app, &account).await.unwrap();
    assert_eq!(
        steps["qrCode"],
        "authwallet://st=st&appSpaceGuid=ag&appSpaceName=an&privakeyId=pi&displayName=x@y.test"
    );
    assert_eq!(steps["instructions"].as_array().unwrap().len(), 4);
    assert_eq!(privakey.devices(&app, "a1").await.unwrap(), ["d1", "d2"]);
    privakey.revoke(&app, "d1").await.unwrap();
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.1, r#"{"deviceGuid":"d1"}"#);
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_refused() {
    let (app, _, _folder) = app().await;
    let fake = Fake::start(Box::new(|_, _| {
        (
            200,
            json!({ "guid": "k", "transactionId": r#"{"uid":"u1","accountId":"a2"}"# }),
        )
    }))
    .await;
    let tenant = tenant(&app, credentials()).await;
    let privakey = Privakey::at(&fake.url, &app, &tenant).unwrap();
    let refused = privakey.send(&app, &push()).await;
    assert!(matches!(refused, Err(ProviderError::Answer(_))));
}

#[tokio::test]
async fn credentials_are_required() {
    let (app, _, _folder) = app().await;
    let tenant = tenant(&app, json!({ "privakeyClient": "me" })).await;
    let refused = Privakey::new(&app, &tenant).err();
    assert!(matches!(refused, Some(ProviderError::NoCredentials)));
}

/// The id of a custom challenge that was denied, and whose asker is at that address.
async fn answered(app: &App, url: &str) -> String {
    let id = ChallengeId::new("k", "a", "u");
    let challenges = app.actors.challenges("g1");
    let asked = challenges.issue(NewChallenge {
        id: id.clone(),
        purpose: "custom".to_owned(),
        deadline: NOW + 600_000,
        keep_until: NOW + 1_200_000,
        data: json!({ "cb": url, "event": CUSTOM }),
    });
    asked.await.unwrap();
    let answer = challenges.answer(&id, Answer::Deny, "test").await.unwrap();
    assert!(matches!(answer, Outcome::Applied(_)));
    id.to_record_id()
}

/// Where its report stands.
async fn delivery(app: &App, id: &str) -> Option<Delivery> {
    let stored = app.store.of::<StoredChallenge>().get(id).await;
    stored.unwrap().unwrap().delivery
}

/// Each pause is four times the one before; after the fifth attempt there is none.
#[tokio::test]
async fn reports_are_repeated_with_growing_pauses() {
    let (app, clock, _folder) = app().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let fake = Fake::start(Box::new(move |_, _| {
        tell.send(()).unwrap();
        (503, json!({}))
    }))
    .await;
    let id = answered(&app, &fake.url).await;
    let reporting = {
        let (app, id) = (Arc::clone(&app), id.clone());
        tokio::spawn(async move {
            let place = app.slots.callbacks.enter("g1", &id).unwrap();
            callbacks::report(&app, &place, &id).await
        })
    };
    told.recv().await.unwrap();
    for seconds in [2, 8, 32, 128] {
        // until the pause is over, whenever it began
        let next = async {
            while told.try_recv().is_err() {
                clock.advance(Duration::from_secs(seconds));
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next)
            .await
            .unwrap();
    }
    tokio::time::timeout(Duration::from_secs(20), reporting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(fake.seen().len(), 5);
    let left = delivery(&app, &id).await.unwrap();
    assert_eq!((left.state.as_str(), left.attempts), ("dead", 5));
    assert!(left.next_at.is_none());
    let bodies: Vec<String> = fake.seen().into_iter().map(|(_, body)| body).collect();
    assert!(bodies.windows(2).all(|two| two[0] == two[1]));
    assert!(bodies[0].contains(r#""response":"denied""#));
}

/// Without the setting, this machine's own addresses are never called.
#[tokio::test]
async fn reports_stay_out_of_private_networks() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
    settings.outgoing.allow_loopback = false;
    let app = Parts::start(settings, Arc::new(ManualClock::new(NOW)), None)
        .await
        .unwrap();
    let fake = Fake::start(Box::new(|_, _| (204, json!({})))).await;
    let place = app.slots.callbacks.enter("g1", "k").unwrap();
    let id = answered(&app, &fake.url).await;
    callbacks::report(&app, &place, &id).await.unwrap();
    assert!(fake.seen().is_empty());
    assert_eq!(delivery(&app, &id).await.unwrap().state, "dead");
}
