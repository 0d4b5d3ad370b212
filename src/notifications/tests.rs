//! Messages from the request on, with a service on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use ueauth_actors::SystemClock;

use super::delivery::{Deliverer, DeliveryError};
use super::mail::Mail;
use super::messages::{Action, Sender, account_action};
use super::model::{FIELDS, Kind, New, Notification};
use super::outbox;
use super::rules::{self, IfRefused};
use crate::accounts::Account;
use crate::app::{App, Parts};
use crate::groups::bootstrap::{self, NewOwner, NewPassword};
use crate::groups::{AuthGroup, Tenant, new_group};
use crate::http::odata;
use crate::oidc::records::{InitialAccessToken, Record};
use crate::plugins::change::{self, Change};
use crate::plugins::rules::{append, current, history, newest};
use crate::settings::{Settings, Sources};
use crate::store::{Filter, StoreError, eq};

const PASSWORD: &str = "Passw0rd!x";

/// A notification service that answers with a chosen status and passes on what it was sent.
struct Service {
    url: String,
    status: Arc<AtomicU16>,
    seen: mpsc::UnboundedReceiver<String>,
}

async fn service() -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notify", listener.local_addr().unwrap());
    let status = Arc::new(AtomicU16::new(200));
    let (tell, seen) = mpsc::unbounded_channel();
    let wanted = Arc::clone(&status);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut bytes = [0_u8; 4096];
            loop {
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
                let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head
                        .lines()
                        .filter_map(|l| l.split_once(": "))
                        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                        .and_then(|(_, n)| n.parse().ok());
                    body.len() >= length.unwrap_or(0)
                });
                if complete || count == 0 {
                    break;
                }
            }
            let code = wanted.load(Ordering::SeqCst);
            let answer = format!(
                "HTTP/1.1 {code} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = tell.send(text);
        }
    });
    Service { url, status, seen }
}

async fn start(loopback: &str) -> App {
    let flags = [
        ("store.url", "sqlite::memory:"),
        ("hash.memory_kib", "64"),
        ("hash.iterations", "1"),
        ("outgoing.allow_loopback", loopback),
        ("ui.registration_url", "https://ui.test/register"),
    ];
    let settings = Settings::load(&Sources {
        flags: flags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..Sources::default()
    })
    .unwrap();
    let app = Parts::start(settings, Arc::new(SystemClock), None)
        .await
        .unwrap();
    bootstrap::create_root(&app, "root@a.test", PASSWORD)
        .await
        .unwrap();
    app
}

async fn root(app: &App) -> Arc<Tenant> {
    app.tenants.active(app, "root").await.unwrap().unwrap()
}

async fn switch(app: &App, body: Json) -> Result<Json, u16> {
    let root = root(app).await;
    let change = Change {
        app,
        root: &root,
        by: "tester",
        body: &body,
    };
    change::notifications(change)
        .await
        .map_err(|e| e.status.as_u16())
}

async fn switch_on(app: &App, url: &str) -> Json {
    let version = newest(app).await.unwrap().version;
    switch(
        app,
        json!({ "enabled": true, "notificationServiceUri": url, "currentVersion": version }),
    )
    .await
    .unwrap()
}

/// An active group that may send, and its owner's account. The owner was told.
async fn group(app: &App) -> (Arc<Tenant>, Account) {
    let (tenant, owner, told) = quiet_group(app).await;
    assert!(told);
    (tenant, owner)
}

/// As [`group`], and whether the owner was told.
async fn quiet_group(app: &App) -> (Arc<Tenant>, Account, bool) {
    let body = json!({ "name": "Acme", "prettyName": "acme", "owner": "owner@acme.test",
        "primaryDomain": "acme.test", "primaryEmail": "info@acme.test" });
    let made = new_group::create(app, &body).await.unwrap();
    let tenant = app
        .tenants
        .find(app, &made.group.id)
        .await
        .unwrap()
        .unwrap();
    let owner = NewOwner {
        email: "owner@acme.test".to_owned(),
        username: None,
        password: NewPassword::Given(PASSWORD.to_owned().into()),
        phone: None,
        metadata: None,
    };
    let ready = bootstrap::activate(app, &tenant, owner).await.unwrap();
    let tenant = app.tenants.active(app, "acme").await.unwrap().unwrap();
    (tenant, ready.account, made.warning.is_none())
}

fn asked(kind: Kind) -> New {
    New {
        kind,
        created_by: "tester".to_owned(),
        recipient_email: Some("x@a.test".to_owned()),
        ..New::default()
    }
}

async fn stored(app: &App) -> Vec<Notification> {
    let all = app.store.of::<Notification>();
    all.find(Filter::All).await.unwrap()
}

#[tokio::test]
async fn a_message_reaches_the_service_with_a_token_of_its_client() {
    let app = start("true").await;
    let mut service = service().await;
    let told = switch_on(&app, &service.url).await;
    let (tenant, owner) = group(&app).await;
    let mail = service.seen.recv().await.unwrap();
    assert!(mail.contains("https://") && mail.contains("/acme?code="));
    account_action(&app, &tenant, &owner, Action::Verify, Sender::default())
        .await
        .unwrap();
    let seen = service.seen.recv().await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /notify "));
    let token = head
        .lines()
        .find_map(|l| l.strip_prefix("authorization: bearer "))
        .unwrap();
    let root = root(&app).await;
    let claims = root
        .verify(token, &[crate::jose::Alg::RS256], app.now_ms())
        .unwrap();
    let claims = serde_json::to_value(&claims.claims).unwrap();
    assert_eq!(claims["aud"], service.url.as_str());
    assert_eq!(claims["scope"], "api:write");
    assert_eq!(claims["group"], root.id());
    assert_eq!(
        claims["client_id"],
        told["notifications"]["notificationServiceClientId"]
    );
    let body: Json = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "verify");
    assert_eq!(body["processed"], false);
    assert!(body.get("__v").is_none() && body.get("_id").is_none());
    assert!(body.get("delivery").is_none());
    assert!(stored(&app).await.iter().all(|n| n.processed));
}

#[tokio::test]
async fn what_the_service_refuses_is_kept_only_if_it_was_optional() {
    let app = start("true").await;
    let service = service().await;
    switch_on(&app, &service.url).await;
    let (tenant, _) = group(&app).await;
    app.store
        .of::<Notification>()
        .delete_many(Filter::All)
        .await
        .unwrap();
    service.status.store(500, Ordering::SeqCst);
    let refused = rules::create(&app, &tenant, asked(Kind::Verify)).await;
    assert_eq!(refused.unwrap_err().status.as_u16(), 424);
    assert!(stored(&app).await.is_empty());
    let kept = rules::create(&app, &tenant, asked(Kind::General)).await;
    assert!(!kept.unwrap().processed);
    service.status.store(200, Ordering::SeqCst);
    let which = eq("authGroupId", tenant.id());
    let out = rules::process_all(&app, &tenant, which).await.unwrap();
    assert_eq!(out["result"][0]["processed"], true);
    assert!(stored(&app).await.iter().all(|n| n.processed));
}

#[tokio::test]
async fn hole_the_token_of_an_undelivered_message_stayed_valid() {
    let app = start("true").await;
    let service = service().await;
    switch_on(&app, &service.url).await;
    let (tenant, owner) = group(&app).await;
    let tokens = app.store.of::<Record<InitialAccessToken>>();
    let before = tokens.count(Filter::All).await.unwrap();
    service.status.store(500, Ordering::SeqCst);
    let sent = account_action(
        &app,
        &tenant,
        &owner,
        Action::ResetPassword,
        Sender::default(),
    )
    .await;
    assert_eq!(sent.unwrap_err().status.as_u16(), 424);
    assert_eq!(tokens.count(Filter::All).await.unwrap(), before);
}

#[tokio::test]
async fn hole_a_redirect_took_the_services_token_along() {
    let app = start("true").await;
    let mut service = service().await;
    switch_on(&app, &service.url).await;
    let root = root(&app).await;
    service.status.store(307, Ordering::SeqCst);
    let sent = rules::send(&app, &root.group, asked(Kind::General), IfRefused::Fail).await;
    assert_eq!(sent.unwrap_err().status.as_u16(), 424);
    service.seen.recv().await.unwrap();
    assert!(service.seen.try_recv().is_err());
}

#[tokio::test]
async fn hole_messages_could_be_sent_into_the_servers_own_network() {
    let app = start("false").await;
    let mut service = service().await;
    switch_on(&app, &service.url).await;
    let root = root(&app).await;
    let sent = rules::send(&app, &root.group, asked(Kind::General), IfRefused::Fail).await;
    assert_eq!(sent.unwrap_err().status.as_u16(), 424);
    assert!(service.seen.try_recv().is_err());
    assert!(stored(&app).await.is_empty());
}

#[tokio::test]
async fn a_link_that_has_expired_is_not_sent_late() {
    let app = start("true").await;
    let mut service = service().await;
    switch_on(&app, &service.url).await;
    let (tenant, _) = group(&app).await;
    service.seen.recv().await.unwrap();
    service.status.store(500, Ordering::SeqCst);
    for life in [Some(-1), None] {
        let new = New {
            good_for: life,
            ..asked(Kind::Verify)
        };
        rules::send(&app, &tenant.group, new, IfRefused::Keep)
            .await
            .unwrap();
        service.seen.recv().await.unwrap();
    }
    let all = app.store.of::<Notification>();
    let due = |n: &mut Notification| {
        if let Some(d) = n.delivery.as_mut() {
            d.state = "queued".to_owned();
            d.next_at = Some(crate::store::Date::from_millis(1));
        }
        Ok::<_, StoreError>(())
    };
    all.update_many(eq("processed", false), due).await.unwrap();
    service.status.store(200, Ordering::SeqCst);
    outbox::round(&app).await.unwrap();
    service.seen.recv().await.unwrap();
    assert!(service.seen.try_recv().is_err(), "one of the two is sent");
    let left = all.find(eq("delivery.state", "dead")).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].delivery.as_ref().unwrap().until.is_some());
}

#[tokio::test]
async fn hole_groups_could_have_mail_sent_into_the_servers_own_network() {
    let app = start("false").await;
    switch_on(&app, "http://127.0.0.1:1/").await;
    let (tenant, _, told) = quiet_group(&app).await;
    assert!(!told);
    let own = json!({ "enabled": true, "url": "smtp://127.0.0.1:25" });
    app.store
        .of::<AuthGroup>()
        .update(tenant.id(), |g: &mut AuthGroup| {
            g.plugin_options.notification.custom_service =
                serde_json::from_value(own.clone()).unwrap();
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    app.tenants.changed(tenant.id());
    let tenant = app.tenants.active(&app, "acme").await.unwrap().unwrap();
    let made = rules::create(&app, &tenant, asked(Kind::Verify)).await;
    let made = made.unwrap();
    assert_eq!(made.destination_uri, "smtp://127.0.0.1:25");
    let refused = Mail.deliver(&app, &made).await;
    assert!(
        matches!(refused, Err(DeliveryError::NotPublic)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nothing_is_sent_while_notifications_are_off() {
    let app = start("true").await;
    let root = root(&app).await;
    let sent = rules::send(&app, &root.group, asked(Kind::General), IfRefused::Fail).await;
    assert_eq!(sent.unwrap_err().status.as_u16(), 405);
    switch_on(&app, "http://127.0.0.1:1/").await;
    let create = rules::create(&app, &root, asked(Kind::General)).await;
    assert_eq!(create.unwrap_err().status.as_u16(), 405);
}

#[test]
fn hole_tokens_could_be_guessed_by_filter_and_order() {
    let query =
        |name: &str, text: &str| odata::parse(&[(name.to_owned(), text.to_owned())], &FIELDS);
    for field in ["message", "screenUrl", "meta/token"] {
        assert!(query("$filter", &format!("startswith({field},'a')")).is_err());
    }
    let order = query("$orderby", "message").unwrap().order;
    assert!(order.iter().all(|(path, _)| path != "message"));
    let selected = query("$select", "message").unwrap().select;
    assert_eq!(selected, Some(vec!["message".to_owned()]));
}

#[tokio::test]
async fn hole_a_stale_version_replaced_the_services_client() {
    let app = start("true").await;
    let told = switch_on(&app, "http://127.0.0.1:1/").await;
    let client = told["notifications"]["notificationServiceClientId"]
        .as_str()
        .unwrap();
    let stale =
        json!({ "enabled": true, "notificationServiceUri": "http://x.test", "currentVersion": 1 });
    assert_eq!(switch(&app, stale).await, Err(400));
    assert_eq!(switch(&app, json!({ "enabled": false })).await, Err(400));
    let root = root(&app).await;
    let found = crate::clients::rules::stored(&app, &root, client).await;
    assert!(found.unwrap().is_some());
    assert_eq!(
        current(&app)
            .await
            .unwrap()
            .notifications
            .registered_client_id,
        Some(client.to_owned())
    );
}

#[tokio::test]
async fn hole_two_writers_could_make_the_same_version() {
    let app = start("true").await;
    let old = newest(&app).await.unwrap();
    let first = append(&app, &old, "a", |p| p.web_authn.enabled = true).await;
    assert!(first.is_ok());
    let second = append(&app, &old, "b", |p| p.web_authn.enabled = false).await;
    assert_eq!(second.unwrap_err().status.as_u16(), 400);
    let now = current(&app).await.unwrap();
    assert!(now.web_authn.enabled && now.version.as_i64() == Some(2));
    assert_eq!(history(&app).await.unwrap().len(), 2);
}
