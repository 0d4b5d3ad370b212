//! Challenges on a socket that a device holds open.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::phone::{Phone, REQUEST, both, once};
use super::{api, asked, set_mfa, tenant};
use crate::flow::text;
use crate::server::Server;
use crate::sockets::{Socket, open};
use crate::tenant::Tenant;

/// What the socket says next: the challenges, or the close code.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), socket.next()).await;
        match next.expect("something in time") {
            Some(Ok(Message::Text(said))) => {
                let said: Value = serde_json::from_str(&said).expect("JSON");
                return said["challenges"].clone();
            }
            Some(Ok(Message::Close(frame))) => return json!(frame.map(|f| u16::from(f.code))),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The address of a device's socket, signed for it.
fn signed(phone: &Phone, tenant: &Tenant, method: &str) -> String {
    let path = api(tenant, "devices/socket");
    let claims = json!({"method": method, "path": path});
    let token = phone.sign(REQUEST, Some(&phone.id), &both(once(), claims));
    format!("{path}?signed={token}")
}

on_both_stores! {
    /// A device is told what there is and whatever changes, until it is taken away.
    async fn a_device_is_told(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let token = tenant.token_of(&server, &tenant.user).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let address = signed(&phone, &tenant, "GET");
        let mut socket = open(&server, &address, None).await.expect("a socket");
        assert_eq!(next(&mut socket).await, json!([]));
        assert_eq!(open(&server, &address, None).await.err(), Some(401), "it counts once");
        let key = asked(&server, &tenant, "s-1").await;
        let told = next(&mut socket).await;
        assert_eq!((&told[0]["key"], told.as_array().map(Vec::len)), (&json!(key), Some(1)));
        phone.answer(&server, &tenant, &told[0], json!({})).await.expect(204);
        assert_eq!(next(&mut socket).await, json!([]));

        let path = api(&tenant, &format!("account/me/devices/{}", phone.id));
        let removed = crate::answer::to(&server, Method::DELETE, &path).bearer_auth(token);
        crate::answer::send(removed).await.expect(200);
        // another one, so that the account can be asked
        set_mfa(&server, &tenant, false).await;
        let other = Phone::enrolled(&server, &tenant, &tenant.user).await;
        asked(&server, &tenant, "s-2").await;
        assert_eq!(next(&mut socket).await, json!(4401));
        let shown = other.only(&server, &tenant).await;
        assert_eq!(text(&shown["title"]), "Pay?");
    }
}

/// Nobody else gets in, and no page of another site.
#[tokio::test]
async fn sockets_of_devices_are_signed() {
    let Some(server) = Server::start(crate::server::Store::Embedded).await else {
        return;
    };
    let tenant = tenant(&server, "device", json!({})).await;
    let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
    let refused =
        async |address: &str, origin: Option<&str>| open(&server, address, origin).await.err();
    let plain = api(&tenant, "devices/socket");
    assert_eq!(refused(&plain, None).await, Some(401));
    assert_eq!(
        refused(&signed(&phone, &tenant, "POST"), None).await,
        Some(401)
    );
    let mut stranger = Phone::new();
    stranger.id.clone_from(&phone.id);
    assert_eq!(
        refused(&signed(&stranger, &tenant, "GET"), None).await,
        Some(401)
    );
    let evil = Some("https://evil.test");
    assert_eq!(
        refused(&signed(&phone, &tenant, "GET"), evil).await,
        Some(403)
    );
    let other = signed(&phone, &tenant, "GET").replace("devices/socket", "devices/challenges");
    let request = crate::answer::to(&server, Method::GET, &other);
    crate::answer::send(request).await.expect(401);
    open(&server, &signed(&phone, &tenant, "GET"), Some(&server.url))
        .await
        .expect("a socket");
}
