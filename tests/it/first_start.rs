//! What somebody does first: start the server, follow what it prints, and sign in.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::answer::{send, to};
use crate::databases::{command, run};
use crate::flow::{Flow, claims, text};
use crate::server::{Server, Store, free_port};
use crate::visitor::Visitor;

/// What stands between two texts.
fn between<'a>(whole: &'a str, before: &str, after: &str) -> &'a str {
    let rest = whole.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(after));
    found.unwrap_or_else(|| panic!("no {before} in {whole}")).0
}

#[tokio::test]
async fn development_mode_stays_on_its_machine() {
    for listen in ["0.0.0.0:{port}", "[::]:{port}"] {
        let settings = [("server.development", "true"), ("server.listen", listen)];
        let (code, log) = Server::fail(&settings);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("only listens on this machine"), "{log}");
    }
    // its conveniences are not for everybody who calls an environment one for development
    let server = Server::start(Store::Embedded).await.expect("a server");
    for path in ["/demo", "/demo/config.json"] {
        send(to(&server, Method::GET, path)).await.expect(404);
    }
}

#[tokio::test]
async fn development_mode_prints_how_to_sign_in_once() {
    let settings = [
        ("server.development", "true"),
        ("server.listen", "127.0.0.1:{port}"),
    ];
    let mut server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let printed = server.log();
    let person = between(&printed, "sign in as    ", " ");
    let password = between(&printed, &format!("{person}   password "), "\n");
    let issuer = between(&printed, "issuer        ", " ");
    let page = format!("{}/demo", server.url);
    let client = json!({
        "client_id": between(&printed, "client_id     ", " "), "redirect_uris": [page],
        "token_endpoint_auth_method": "none",
    });
    send(to(&server, Method::GET, "/demo")).await.expect(200);
    let known = send(to(&server, Method::GET, "/demo/config.json")).await;
    let known = known.expect(200).text;
    assert!(known.contains(text(&client["client_id"])), "{known}");

    let flow = Flow::new(issuer, &client, &[]);
    let visitor = Visitor::new(&server);
    let back = visitor
        .authorize(&flow.url, person, password)
        .await
        .page()
        .url;
    let tokens = flow.tokens(&back).await;
    assert_eq!(claims(&tokens["id_token"])["iss"], issuer);

    server.restart().await;
    let said = server.log().matches("Made for a first look").count();
    assert_eq!(said, 1);
}

/// A server as an operator starts it, and what it printed until it listened.
struct Started {
    process: Child,
    printed: String,
}

impl Started {
    fn new(store: &str, port: u16) -> Self {
        let mut process = command(&[
            "serve",
            "--set",
            &format!("store.url={store}"),
            "--set",
            &format!("server.listen=127.0.0.1:{port}"),
            "--set",
            &format!("server.public_host=localhost:{port}"),
            "--set",
            "server.protocol=http",
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut printed = String::new();
        while !printed.contains("listening on") {
            let line = lines.next().expect("a line").expect("a text");
            printed = printed + &line + "\n";
        }
        Self { process, printed }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_new_store_prints_a_code_that_works_once() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}", folder.path().join("a.db").display());
    let port = free_port();
    let started = Started::new(&address, port);
    let init = format!("http://localhost:{port}/api/init");
    assert!(started.printed.contains(&init), "{}", started.printed);
    let code = between(&started.printed, r#""setupCode":""#, "\"");
    let create = async |code: &str| {
        let body = json!({"setupCode": code, "email": "root@shop.test", "password": "Passw0rd!x"});
        send(Server::http().post(&init).json(&body)).await
    };
    let refused = create("another-code").await;
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    create(code).await.expect(201);
    let refused = create(code).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    drop(started);
    let again = Started::new(&address, free_port());
    assert!(!again.printed.contains("setupCode"), "{}", again.printed);
}

#[tokio::test]
async fn the_root_group_is_made_without_http() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}", folder.path().join("a.db").display());
    let store = format!("store.url={address}");
    let args = ["bootstrap", "--email", "root@shop.test", "--set", &store];
    let made = run(&args).expect(0);
    let password = between(&made.out, "password       ", " ");
    let again = run(&args);
    assert_ne!(again.code, Some(0));
    assert!(again.err.contains("exists already"), "{}", again.err);
    let server = Server::start_at(&address, &[]).await;
    let asked = to(&server, Method::POST, "/root/token/simple-iat").json(&json!({}));
    let known = asked.basic_auth("root@shop.test", Some(password));
    assert!(send(known).await.status < 300);
}
