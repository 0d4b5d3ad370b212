//! What the server sends to people: by mail, and by a notification service.

use std::sync::atomic::Ordering;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Answer, send, to};
use crate::flow::{parameter, text};
use crate::mailbox::{Mailbox, Receiver};
use crate::server::{Server, Store, free_port};
use crate::tenant::Tenant;

const NEW: &str = "N3w!passw0rd";

/// A server that sends mail to a mailbox, and a group that may.
pub struct Scene {
    pub server: Server,
    pub mailbox: Mailbox,
    pub tenant: Tenant,
}

fn mailing(port: u16, more: &str) -> [(&'static str, String); 6] {
    [
        (
            "notifications.smtp_url",
            format!("smtp://127.0.0.1:{port}{more}"),
        ),
        (
            "notifications.from",
            "Somebody <no-reply@id.test>".to_owned(),
        ),
        ("notifications.retry_seconds", "1".to_owned()),
        ("notifications.poll_seconds", "1".to_owned()),
        ("notifications.attempts", "3".to_owned()),
        ("outgoing.timeout_seconds", "2".to_owned()),
    ]
}

async fn start(store: Store, settings: &[(&'static str, String)]) -> Option<Server> {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
    Server::start_with(store, &settings).await
}

impl Scene {
    pub async fn set(store: Store) -> Option<Self> {
        let mailbox = Mailbox::start(0, None)?;
        let server = start(store, &mailing(mailbox.port, "")).await?;
        let tenant = Tenant::create(&server).await;
        Some(Self {
            server,
            mailbox,
            tenant,
        })
    }
}

/// Declares tests that take a [`Scene`]; each runs once on every store.
macro_rules! by_mail {
    ($($(#[$about:meta])* async fn $name:ident($scene:ident: Scene) $body:block)+) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn run(mut $scene: Scene) $body

            #[tokio::test]
            async fn embedded() {
                if let Some(scene) = Scene::set(Store::Embedded).await {
                    run(scene).await;
                }
            }

            #[tokio::test]
            async fn mongodb() {
                if let Some(scene) = Scene::set(Store::Mongo).await {
                    run(scene).await;
                }
            }
        }
    )+};
}

/// Asks without credentials, as the pages do.
async fn ask(server: &Server, tenant: &Tenant, path: &str, email: &str) -> Answer {
    let path = format!("/api/{}/operations/{path}", tenant.group);
    send(to(server, Method::POST, &path).json(&json!({ "email": email }))).await
}

async fn open(url: &Url, method: Method) -> Answer {
    send(
        Server::http()
            .request(method, url.clone())
            .header(ACCEPT, "text/html"),
    )
    .await
}

async fn set_password(server: &Server, tenant: &Tenant, code: &str) -> Answer {
    let path = format!("/api/{}/setpass", tenant.group);
    let request = to(server, Method::POST, &path).bearer_auth(code);
    send(request.json(&json!({ "password": NEW }))).await
}

async fn account(server: &Server, tenant: &Tenant, id: &str) -> Value {
    let path = format!("account/{id}");
    let answer = tenant.api(server, Method::GET, &path, None, 200).await;
    answer["data"].clone()
}

/// Waits until a list of messages is not empty.
async fn listed(server: &Server, tenant: &Tenant, filter: &str) -> Vec<Value> {
    let path = format!("notifications?$filter={}", filter.replace(' ', "%20"));
    for _ in 0..600 {
        let found = tenant.api(server, Method::GET, &path, None, 200).await;
        let found = found["data"].as_array().expect("a list").clone();
        if !found.is_empty() {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no message with {filter}");
}

async fn notify(server: &Server, tenant: &Tenant, body: Value, status: u16) -> Value {
    let answer = tenant
        .api(server, Method::POST, "notification", Some(body), status)
        .await;
    answer["data"].clone()
}

by_mail! {
    /// The owner is warned, gets a link, and sets a password with it, once.
    async fn a_password_is_reset_by_mail(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        let registered = mailbox.next_to("owner@shop.test").await;
        assert!(registered.text.contains("https://example.com/shop?code="), "{}", registered.text);
        let user = &tenant.user;
        ask(server, tenant, "reset-user-password", "nobody@shop.test").await.expect(204);
        ask(server, tenant, "reset-user-password", &user.email.to_uppercase()).await.expect(204);

        let warning = mailbox.next_to(&user.email).await;
        let lock = open(&warning.link(), Method::GET).await.expect(200);
        assert!(lock.text.contains("data-account=\"lock\""), "{}", lock.text);
        let reset = mailbox.next_to(&user.email).await;
        assert_eq!(reset.from, "no-reply@id.test");
        assert_eq!(reset.header("from"), ["The shop <no-reply@id.test>"]);
        assert_eq!(reset.header("reply-to"), ["help@shop.test"]);
        assert_eq!(reset.header("auto-submitted"), ["auto-generated"]);
        assert!(reset.subject().contains("The shop"));
        let link = reset.link();
        assert_eq!(link.path(), format!("/{}/forgotpassword", tenant.group));
        let page = open(&link, Method::GET).await.expect(200);
        assert!(page.text.contains("name=\"confirm-password\""), "{}", page.text);
        assert_eq!(page.header("cache-control"), "no-cache, no-store");

        tenant.web_client(json!({})).await;
        for (redirect, home) in [
            ("https://web.test/done", "https://web.test/done"), ("https://example.com/x", "https://example.com/x"),
            ("https://web.test.evil.test/", "https://shop.test/"), ("https://web.test@evil.test/", "https://shop.test/"),
            ("javascript:alert(1)//web.test", "https://shop.test/"), ("//web.test/x", "https://shop.test/"),
        ] {
            let mut link = link.clone();
            link.query_pairs_mut().append_pair("redirect", redirect);
            let page = open(&link, Method::GET).await.expect(200);
            assert!(page.text.contains(&format!("href=\"{home}\"")), "{redirect}: {}", page.text);
        }

        let code = parameter(&link, "code").expect("a code");
        let weak = to(server, Method::POST, &format!("/api/{}/setpass", tenant.group)).bearer_auth(&code);
        send(weak.json(&json!({ "password": "x" }))).await.expect(417);
        set_password(server, tenant, &code).await.expect(204);
        set_password(server, tenant, &code).await.expect(401);
        assert!(tenant.knows(&user.email, NEW).await);
        assert!(account(server, tenant, &user.id).await["verified"] == true);
        assert!(mailbox.rest().iter().all(|m| m.to != ["nobody@shop.test"]));
    }

    /// The link verifies the address as often as it is opened, but not when only its headers are asked for.
    async fn an_address_is_verified_by_mail(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        tenant.patch(server, json!([{"op": "replace", "path": "/config/autoVerify", "value": true}])).await;
        let vera = tenant.account(server, "vera@shop.test").await;
        let verified = async || account(server, tenant, &vera.id).await["verified"] == true;
        let link = mailbox.next_to(&vera.email).await.link();
        assert_eq!(link.path(), format!("/{}/verifyaccount", tenant.group));
        open(&link, Method::HEAD).await.expect(200);
        assert!(!verified().await);
        for _ in 0..2 {
            let page = open(&link, Method::GET).await.expect(200);
            assert!(page.text.contains("vera@shop.test is verified"), "{}", page.text);
            assert!(verified().await);
        }
        set_password(server, tenant, &parameter(&link, "code").unwrap()).await.expect(204);
        let page = open(&link, Method::GET).await.expect(200);
        assert!(page.text.contains("verified already"), "{}", page.text);

        let walt = tenant.account(server, "walt@shop.test").await;
        let mut link = mailbox.next_to(&walt.email).await.link();
        link.set_query(Some(&format!("code=unknown&user={}", walt.id)));
        let page = open(&link, Method::GET).await.expect(200);
        assert!(page.text.contains("on its way"), "{}", page.text);
        let fresh = mailbox.next_to(&walt.email).await.link();
        assert!(open(&fresh, Method::GET).await.text.contains("walt@shop.test is verified"));
        link.set_query(Some("code=unknown&user=nobody"));
        let page = open(&link, Method::GET).await.expect(200);
        assert!(page.text.contains("does not work"), "{}", page.text);

        let xeno = tenant.account(server, "xeno@shop.test").await;
        mailbox.next_to(&xeno.email).await;
        ask(server, tenant, "resend-verify-email", &xeno.email).await.expect(204);
        ask(server, tenant, "resend-verify-email", "nobody@shop.test").await.expect(204);
        mailbox.next_to(&xeno.email).await;
        let operation = format!("operations/user/{}", xeno.id);
        let asked = Some(json!({"operation": "verify_account"}));
        tenant.api(server, Method::POST, &operation, asked, 204).await;
        mailbox.next_to(&xeno.email).await;
        let token = tenant.token_of(server, &xeno).await;
        let path = format!("/api/{}/account/me", tenant.group);
        let moved = json!([{"op": "replace", "path": "/email", "value": "xena@shop.test"}]);
        send(to(server, Method::PATCH, &path).bearer_auth(token).json(&moved)).await.expect(200);
        let link = mailbox.next_to("xena@shop.test").await.link();
        assert!(open(&link, Method::GET).await.text.contains("xena@shop.test is verified"));
    }

    /// A new set of recovery codes is announced; who owns groups is told by mail only.
    async fn notices(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        let user = &tenant.user;
        let token = tenant.token_of(server, user).await;
        let path = format!("/api/{}/account/codes", tenant.group);
        let codes = send(to(server, Method::PUT, &path).bearer_auth(token).json(&json!({}))).await.expect(200);
        assert_eq!(codes.json()["data"].as_array().unwrap().len(), 10);
        let link = mailbox.next_to(&user.email).await.link();
        assert!(link.path().ends_with("/lockaccount"), "{link}");

        mailbox.next_to("owner@shop.test").await;
        let lookup = async |email: &str| {
            let path = format!("/api/account/groups?lookup={email}");
            send(to(server, Method::GET, &path)).await.expect(200).json()
        };
        let unknown = lookup("nobody@shop.test").await;
        assert_eq!(lookup("owner@shop.test").await, unknown);
        assert_eq!(lookup(&user.email).await, unknown, "members own nothing");
        let link = mailbox.next_to("owner@shop.test").await.link();
        assert_eq!(link.path(), "/account/groups/recovery");
        for _ in 0..2 {
            let page = open(&link, Method::GET).await.expect(200);
            assert!(page.text.contains("The shop") && page.text.contains("https://example.com/shop"), "{}", page.text);
        }
        for (name, value) in [("email", user.email.as_str()), ("uid", "0"), ("code", "x")] {
            let mut other = link.clone();
            let pairs: Vec<_> = link.query_pairs().into_owned().collect();
            let changed = pairs.iter().map(|(n, v)| (n.as_str(), if n == name { value } else { v }));
            other.query_pairs_mut().clear().extend_pairs(changed);
            let page = open(&other, Method::GET).await.expect(200);
            assert!(page.text.contains("does not work") && !page.text.contains("The shop"), "{}", page.text);
        }

        let core = tenant.api(server, Method::GET, "organizations", None, 200).await;
        let core = text(&core["data"][0]["id"]).to_owned();
        let access = format!("access/organization/{core}/account/{}", user.id);
        for (query, change) in [("?notify=false", ""), ("", "updated"), ("?notify=true", "updated")] {
            let path = format!("{access}{query}");
            tenant.api(server, Method::PUT, &path, Some(json!({"roles": []})), 200).await;
            if !change.is_empty() {
                let mail = mailbox.next_to(&user.email).await;
                assert!(mail.subject().contains(change), "{}", mail.subject());
            }
        }
        let invited = json!({"email": "ina@shop.test"});
        let path = format!("organization/{core}/account");
        tenant.api(server, Method::PUT, &path, Some(invited), 201).await;
        let mail = mailbox.next_to("ina@shop.test").await;
        assert!(mail.subject().contains("created"), "{}", mail.subject());

        let organization = format!("organizations/{core}");
        let wanted = json!([{"op": "replace", "path": "/profileNotifications", "value": true}]);
        tenant.api(server, Method::PATCH, &organization, Some(wanted), 200).await;
        let profiles = format!("organization/{core}/profiles");
        let profile = json!({"accountId": user.id, "givenName": "Uma"});
        let made = tenant.api(server, Method::POST, &profiles, Some(profile), 201).await;
        let profile = format!("organization/{core}/profile/{}", text(&made["data"]["id"]));
        tenant.api(server, Method::DELETE, &profile, None, 200).await;
        for change in ["created", "deleted"] {
            let mail = mailbox.next_to(&user.email).await;
            assert!(mail.subject().contains(change), "{}", mail.subject());
        }
    }

    /// Line breaks in what people choose end up neither in headers nor in the envelope.
    async fn headers_can_not_be_injected(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        mailbox.next_to("owner@shop.test").await;
        let evil = "\r\nBcc: evil@evil.test\r\nX-Evil: 1\r\n\r\nevil";
        tenant.patch(server, json!([
            {"op": "replace", "path": "/name", "value": format!("Shop{evil}")},
            {"op": "replace", "path": "/primaryEmail", "value": format!("help@shop.test{evil}")},
        ])).await;
        let message = json!({
            "type": "general", "recipientEmail": "ada@shop.test", "subject": format!("Hi{evil}"),
            "message": format!("<script>alert(1)</script>{evil}\n.\n."), "screenUrl": "javascript:alert(1)",
        });
        notify(server, tenant, message, 201).await;
        ask(server, tenant, "reset-user-password", &tenant.user.email).await.expect(204);
        let sent = [
            mailbox.next_to("ada@shop.test").await,
            mailbox.next_to(&tenant.user.email).await,
            mailbox.next_to(&tenant.user.email).await,
        ];
        for mail in &sent {
            let mut names: Vec<String> = mail.headers.iter().map(|(n, _)| n.to_lowercase()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), mail.headers.len(), "{:?}", mail.headers);
            assert!(!names.iter().any(|n| n == "bcc" || n == "x-evil"), "{:?}", mail.headers);
            assert!(mail.to.len() == 1 && mail.header("to") == [mail.to[0].as_str()]);
            let from = mail.header("from").join(" ");
            assert!(from.ends_with("<no-reply@id.test>") && from.contains("Shop"), "{from}");
        }
        let [first, ..] = &sent;
        assert!(first.subject().starts_with("Hi Bcc: evil@evil.test X-Evil: 1"), "{}", first.subject());
        assert!(first.html.contains("&lt;script&gt;") || first.html.contains("&#60;script&#62;"), "{}", first.html);
        assert!(!first.html.contains("<script") && !first.html.contains("javascript:"));
        assert!(!first.text.contains("javascript:"), "{}", first.text);

        for address in [format!("a@shop.test{evil}"), "a@shop.test, evil@evil.test".to_owned(), "evil".to_owned()] {
            notify(server, tenant, json!({"type": "general", "recipientEmail": address, "subject": "s"}), 201).await;
            let dead = listed(server, tenant, "delivery/state eq 'dead'").await;
            assert_eq!(dead.len(), 1);
            assert_eq!(dead[0]["recipientEmail"], address.as_str());
            let path = format!("notification/{}", text(&dead[0]["id"]));
            tenant.api(server, Method::DELETE, &path, None, 200).await;
        }
        assert!(mailbox.rest().is_empty());
    }

    /// What is refused for now is sent again; what is refused for good is listed and can be sent by hand.
    async fn refused_mail_is_repeated_or_given_up(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        let message = |address: &str| json!({"type": "verify", "recipientEmail": address, "subject": "Hello"});
        let made = notify(server, tenant, message("later@shop.test"), 201).await;
        let mail = mailbox.next_to("later@shop.test").await;
        assert_eq!(mail.header("message-id"), [format!("<{}@localhost>", text(&made["id"]))]);
        let path = format!("notification/{}", text(&made["id"]));
        listed(server, tenant, &format!("processed eq true and _id eq '{}'", text(&made["id"]))).await;
        let done = tenant.api(server, Method::GET, &path, None, 200).await;
        assert!(done["data"].get("delivery").is_none(), "{done}");

        notify(server, tenant, message("refused@shop.test"), 201).await;
        let dead = listed(server, tenant, "delivery/state eq 'dead'").await;
        assert_eq!(dead[0]["processed"], false);
        assert_eq!(dead[0]["delivery"]["attempts"], 1, "it was refused for good");
        assert!(text(&dead[0]["delivery"]["error"]).contains("nobody here"), "{}", dead[0]);
        let again = format!("notification/{}/process", text(&dead[0]["id"]));
        tenant.api(server, Method::PUT, &again, Some(json!({})), 424).await;
        mailbox.accept_everybody();
        for _ in 0..2 {
            let done = tenant.api(server, Method::PUT, &again, Some(json!({})), 200).await;
            assert_eq!(done["data"]["processed"], true);
        }
        mailbox.next_to("refused@shop.test").await;
        let sms = json!({"type": "general", "recipientSms": "+15550001", "recipientEmail": "a@shop.test", "formats": ["sms"]});
        notify(server, tenant, sms, 201).await;
        let dead = listed(server, tenant, "delivery/state eq 'dead'").await;
        assert!(text(&dead[0]["delivery"]["error"]).contains("by mail only"), "{}", dead[0]);
    }

    /// A group sends by its own mail server, in its own name; the password there is never shown.
    async fn a_group_has_a_mail_server_of_its_own(scene: Scene) {
        let Scene { server, tenant, mailbox } = &mut scene;
        let Some(mut own) = Mailbox::start(0, None) else { return };
        mailbox.next_to("owner@shop.test").await;
        let service = json!({
            "enabled": true, "url": format!("smtp://127.0.0.1:{}", own.port), "clientId": "x",
            "customApiKey": {"enabled": true, "key": "s3cret-key"},
        });
        tenant.patch(server, json!([{"op": "replace", "path": "/pluginOptions/notification/customService", "value": service}])).await;
        ask(server, tenant, "reset-user-password", &tenant.user.email).await.expect(204);
        let mail = own.next_to(&tenant.user.email).await;
        assert_eq!(mail.from, "help@shop.test");
        assert!(mailbox.rest().is_empty());
        let path = format!("/api/group/{}", tenant.group);
        let shown = send(to(server, Method::GET, &path).bearer_auth(&tenant.owner_token)).await.expect(200);
        assert!(shown.text.contains("customApiKey") && !shown.text.contains("s3cret-key"), "{}", shown.text);
    }
}

/// The answer has been given, so the mail is sent, whatever happens to the server.
async fn killed_before_it_could_send(store: Store) {
    let port = free_port();
    let Some(mut server) = start(store, &mailing(port, "")).await else {
        return;
    };
    let tenant = Tenant::create(&server).await;
    ask(&server, &tenant, "reset-user-password", &tenant.user.email)
        .await
        .expect(204);
    server.kill();
    let Some(mut mailbox) = Mailbox::start(port, None) else {
        return;
    };
    server.restart().await;
    let first = mailbox.next_to(&tenant.user.email).await.link();
    let second = mailbox.next_to(&tenant.user.email).await.link();
    let mut links = [first, second];
    links.sort_by_key(|link| link.path().len());
    let [reset, _] = &links;
    let code = parameter(reset, "code").expect("a code");
    set_password(&server, &tenant, &code).await.expect(204);
    assert!(tenant.knows(&tenant.user.email, NEW).await);
}

#[tokio::test]
async fn killed_before_it_could_send_embedded() {
    killed_before_it_could_send(Store::Embedded).await;
}

#[tokio::test]
async fn killed_before_it_could_send_mongodb() {
    killed_before_it_could_send(Store::Mongo).await;
}

/// A mail server without TLS, or with a certificate that nobody vouches for, gets nothing.
#[tokio::test]
async fn mail_never_travels_in_clear_where_tls_is_required() {
    let folder = tempfile::TempDir::new().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, content: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let certificate = file("cert.pem", own.cert.pem());
    let key = file("key.pem", own.signing_key.serialize_pem());
    for files in [None, Some((certificate.as_str(), key.as_str()))] {
        let Some(mut mailbox) = Mailbox::start(0, files) else {
            return;
        };
        let settings = mailing(mailbox.port, "?tls=required");
        let server = start(Store::Embedded, &settings).await.unwrap();
        let tenant = Tenant::create(&server).await;
        let message = json!({"type": "general", "recipientEmail": "a@shop.test"});
        notify(&server, &tenant, message, 201).await;
        let dead = listed(&server, &tenant, "delivery/state eq 'dead'").await;
        assert_eq!(dead[0]["delivery"]["attempts"], 3);
        assert!(mailbox.rest().is_empty());
    }
}

async fn serve(server: &Server, tenant: &Tenant, receiver: &Receiver) {
    let path = "/api/plugins/global/notifications";
    let on = json!({"enabled": true, "notificationServiceUri": receiver.url, "currentVersion": 1});
    let request = to(server, Method::POST, path).bearer_auth(&tenant.root_token);
    send(request.json(&on)).await.expect(201);
    let enable =
        json!([{"op": "replace", "path": "/pluginOptions/notification/enabled", "value": true}]);
    tenant.patch(server, enable).await;
}

on_both_stores! {
    /// The service gets the warning, then the link; while it fails, nobody learns who has an account.
    async fn a_service_takes_messages(server: Server) {
        let tenant = Tenant::create(&server).await;
        let user = &tenant.user;
        let paths = ["reset-user-password", "resend-verify-email"];
        for path in paths {
            ask(&server, &tenant, path, &user.email).await.expect(405);
        }
        let page = Url::parse(&format!("{}/forgotpassword", tenant.issuer)).unwrap();
        assert!(open(&page, Method::GET).await.expect(200).text.contains("not possible"));
        let mut receiver = Receiver::start().await;
        serve(&server, &tenant, &receiver).await;
        assert!(open(&page, Method::GET).await.expect(200).text.contains("data-account=\"reset\""));

        ask(&server, &tenant, "reset-user-password", &user.email).await.expect(204);
        let (head, notice) = receiver.next().await;
        assert!(head.starts_with("POST /notify ") && head.contains("authorization: bearer "), "{head}");
        assert_eq!((&notice["type"], &notice["createdBy"]), (&json!("general"), &json!(user.id)));
        assert!(notice.get("delivery").is_none() && notice["processed"] == false, "{notice}");
        let (_, reset) = receiver.next().await;
        assert_eq!(reset["type"], "forgotPassword");
        assert_eq!(reset["createdBy"], format!("proxy_{}", user.id));
        assert_eq!(reset["formats"], json!(["email"]));
        let api = format!("{}/api/{}/account/{}", server.url, tenant.group, user.id);
        assert_eq!(reset["meta"]["apiUri"], api);
        let code = text(&reset["meta"]["token"]).to_owned();
        let patch = send(Server::http().patch(api).bearer_auth(&code).json(&reset["meta"]["apiBody"])).await;
        assert_eq!(patch.status, 417, "the recipe works, its password is for the reader to choose: {}", patch.text);
        set_password(&server, &tenant, &code).await.expect(204);
        ask(&server, &tenant, "reset-user-password", "nobody@shop.test").await.expect(204);
        let formats = json!({"email": user.email, "formats": ["sms"]});
        let path = format!("/api/{}/operations/reset-user-password", tenant.group);
        send(to(&server, Method::POST, &path).json(&formats)).await.expect(204);
        receiver.next().await;
        assert_eq!(receiver.next().await.1["formats"], json!(["sms"]));

        receiver.status.store(500, Ordering::SeqCst);
        let operation = format!("operations/user/{}", user.id);
        tenant.api(&server, Method::POST, &operation, Some(json!({"operation": "password_reset"})), 424).await;
        let codes = format!("/api/{}/account/codes", tenant.group);
        let token = tenant.token_of(&server, &tenant.owner).await;
        send(to(&server, Method::PUT, &codes).bearer_auth(token).json(&json!({}))).await.expect(424);
        for path in paths {
            ask(&server, &tenant, path, &user.email).await.expect(424);
            ask(&server, &tenant, path, "nobody@shop.test").await.expect(424);
        }
        let lookup = to(&server, Method::GET, "/api/account/groups?lookup=owner@shop.test");
        send(lookup).await.expect(424);
        let left = tenant.api(&server, Method::GET, "notifications?$filter=processed%20eq%20false", None, 200).await;
        assert_eq!(left["data"], json!([]));
    }
}

/// A message that was being handed over when the server died is handed over again.
async fn killed_while_handing_over(store: Store) {
    let settings = [
        ("outgoing.timeout_seconds", "1".to_owned()),
        ("notifications.poll_seconds", "1".to_owned()),
    ];
    let Some(mut server) = start(store, &settings).await else {
        return;
    };
    let tenant = Tenant::create(&server).await;
    let mut receiver = Receiver::start().await;
    serve(&server, &tenant, &receiver).await;
    receiver.status.store(0, Ordering::SeqCst);
    let path = format!("/api/{}/operations/user/{}", tenant.group, tenant.user.id);
    let request = to(&server, Method::POST, &path)
        .bearer_auth(&tenant.owner_token)
        .json(&json!({"operation": "verify_account"}));
    let waiting = tokio::spawn(request.send());
    let (_, begun) = receiver.next().await;
    receiver.status.store(204, Ordering::SeqCst);
    server.restart().await;
    let answer = waiting.await.expect("it ends");
    assert!(answer.is_err(), "the server died without an answer");
    let (_, again) = receiver.next().await;
    assert_eq!(again["id"], begun["id"]);
    let sent = format!("processed eq true and _id eq '{}'", text(&begun["id"]));
    listed(&server, &tenant, &sent).await;
    assert_eq!(receiver.rest(), 0);
}

#[tokio::test]
async fn killed_while_handing_over_embedded() {
    killed_while_handing_over(Store::Embedded).await;
}

#[tokio::test]
async fn killed_while_handing_over_mongodb() {
    killed_while_handing_over(Store::Mongo).await;
}
