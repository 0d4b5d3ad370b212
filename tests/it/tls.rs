//! The server with a certificate of its own.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;

use crate::challenges::Scene;
use crate::server::{Server, Store};
use crate::sockets::hear;

/// HTTP/2 for requests, and sockets over HTTP/1.1, on the same port.
#[tokio::test]
async fn a_server_with_a_certificate_needs_no_proxy() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = TempDir::new().expect("a folder");
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, own.cert.pem()).expect("a file");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("a file");
    let settings = [
        ("tls.certificate", certificate.to_str().expect("a path")),
        ("tls.key", key.to_str().expect("a path")),
        ("server.protocol", "https"),
    ];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let url = format!("{}/ready-check", scene.server.url);
    let answer = Server::http().get(url).send().await.expect("an answer");
    assert!(answer.headers().contains_key("strict-transport-security"));

    let challenge = scene.asked("s-1", json!({})).await;
    let path = scene.status_path(&challenge, "s-1");
    let path = path.replace("/status", "/socket");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).expect("a root");
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_root_certificates(roots)
    .with_no_client_auth();
    let host = scene.server.url.trim_start_matches("https://");
    let connect = async |config: &rustls::ClientConfig| {
        let tcp = TcpStream::connect(host).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(config.clone()));
        connector.connect(name, tcp).await.expect("TLS")
    };
    let tls = connect(&config).await;
    let url = format!("wss://{host}{path}");
    let (mut socket, _) = client_async(url, tls).await.expect("a socket");
    assert_eq!(hear(&mut socket).await, "pending");
    scene.press(&challenge, 0).await.expect(204);
    for said in ["approved", "1000", "end"] {
        assert_eq!(hear(&mut socket).await, said);
    }

    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = connect(&config).await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}
