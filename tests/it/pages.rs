//! Attacks on the pages of a sign-in: redirects, forms, cookies, hosts, headers, and what the log tells.

use reqwest::Method;
use reqwest::header::{ACCEPT, COOKIE, HOST, HeaderMap, LOCATION};
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Answer, send, to};
use crate::flow::{Flow, parameter, text};
use crate::server::{Server, Store};
use crate::tenant::Tenant;
use crate::visitor::{Form, Landing, Page, Visitor};

const EVIL: &str = "https://evil.test/cb";

fn address(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

/// Opens an address as a browser, with the given `Cookie` header, and follows nothing.
async fn open(url: &Url, cookies: &str) -> Answer {
    let request = Server::http()
        .get(url.clone())
        .header(ACCEPT, "text/html")
        .header(COOKIE, cookies);
    send(request).await
}

fn location(answer: &Answer) -> Url {
    address(answer.header(LOCATION.as_str()))
}

/// Neither a redirect nor anything a click could follow leads to the foreign site.
fn assert_leads_nowhere(answer: &Answer) {
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.headers.get(LOCATION).is_none());
    for lead in [
        "href=\"https://evil",
        "action=\"https://evil",
        "http-equiv",
        "javascript:alert",
    ] {
        assert!(!answer.text.contains(lead), "{lead}: {}", answer.text);
    }
}

fn pairs(cookies: &str) -> Vec<(&str, &str)> {
    cookies
        .split("; ")
        .filter_map(|pair| pair.split_once('='))
        .collect()
}

fn join(pairs: &[(&str, &str)]) -> String {
    let list: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    list.join("; ")
}

/// Signs the tenant's user in at a client.
async fn signed_in(server: &Server, tenant: &Tenant, client: &Value) -> Visitor {
    let visitor = Visitor::new(server);
    let flow = Flow::new(&tenant.issuer, client, &[]);
    visitor
        .authorize(&flow.url, &tenant.user.email, &tenant.user.password)
        .await
        .away();
    visitor
}

/// The error or code a silent request comes back with.
async fn silently(tenant: &Tenant, client: &Value, cookies: &str) -> Option<String> {
    let flow = Flow::new(&tenant.issuer, client, &[("prompt", "none")]);
    let back = location(&open(&flow.url, cookies).await);
    parameter(&back, "error")
}

fn password_form(page: &Page) -> &Form {
    page.form(|form| form.asks_for("password"))
}

on_both_stores! {
    /// Whatever else is wrong with the request, an address that is not registered is not gone to.
    async fn unregistered_redirect_uris_are_never_followed(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let session = signed_in(&server, &tenant, &client).await;
        let uris = [
            EVIL, "//evil.test/cb", "javascript:alert(1)", "https://web.test/cb/", "https://web.test/CB",
            "https://web.test/cb?to=evil", "https://web.test/cb#evil", "https://web.test/cb/../evil",
            "https://web.test@evil.test/cb", "https://web.test.evil.test/cb", "https://web.test:444/cb",
            "http://web.test/cb", "https://web.test\\@evil.test/cb", "https://web.test/cb%0d%0aLocation:%20evil",
            " https://web.test/cb", "https://web.test/cb\r\nx: y",
        ];
        for uri in uris {
            for fault in [
                vec![], vec![("prompt", "none")], vec![("scope", "no:such")], vec![("response_type", "token")],
                vec![("response_type", "")], vec![("response_mode", "form_post")], vec![("code_challenge", "short")],
                vec![("request", "x")], vec![("max_age", "x")], vec![("client_id", "unknown")],
            ] {
                let mut extra = vec![("redirect_uri", uri)];
                extra.extend(fault);
                let url = Flow::new(&tenant.issuer, &client, &extra).url;
                for cookies in [String::new(), session.cookies(&url)] {
                    assert_leads_nowhere(&open(&url, &cookies).await);
                }
            }
        }
        for order in [[EVIL, "https://web.test/cb"], ["https://web.test/cb", EVIL]] {
            let extra = order.map(|uri| ("redirect_uri", uri));
            let answer = open(&Flow::new(&tenant.issuer, &client, &extra).url, "").await;
            assert!(!answer.header("location").contains("evil"), "{}", answer.header("location"));
            assert!(!answer.text.contains("href=\"https://evil"));
        }
    }

    /// Text of the request comes back as text.
    async fn what_is_repeated_is_escaped(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({"client_name": "<script>alert(1)</script>"})).await;
        let mark = "\"><script>alert(1)</script>";
        for extra in [
            vec![("redirect_uri", EVIL), ("state", mark), ("scope", mark)],
            vec![("client_id", mark)], vec![("login_hint", mark)],
        ] {
            let page = open(&Flow::new(&tenant.issuer, &client, &extra).url, "").await;
            assert!(!page.text.contains("<script>alert"), "{}", page.text);
        }
        let page = Visitor::new(&server).open(&Flow::new(&tenant.issuer, &client, &[("login_hint", mark)]).url).await.page();
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("<script>alert"), "{}", page.text);
        let broken = Flow::new(&tenant.issuer, &client, &[("state", "a\r\nx-evil: 1"), ("prompt", "none")]);
        let answer = open(&broken.url, "").await;
        assert!(answer.headers.get("x-evil").is_none());
        assert_eq!(parameter(&location(&answer), "state").as_deref(), Some("a\r\nx-evil: 1"));
    }

    /// Logging out leads to registered addresses only, and not without asking.
    async fn logging_out_is_no_open_redirect(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({"post_logout_redirect_uris": ["https://web.test/bye"]})).await;
        let id = text(&client["client_id"]);
        let visitor = signed_in(&server, &tenant, &client).await;
        let end = |query: &[(&str, &str)]| {
            let mut url = address(&format!("{}/session/end", tenant.issuer));
            url.query_pairs_mut().extend_pairs(query);
            url
        };
        for uri in [EVIL, "https://web.test/bye/", "https://web.test/bye?x", "//evil.test", "javascript:alert(1)"] {
            let refused = open(&end(&[("client_id", id), ("post_logout_redirect_uri", uri)]), "").await;
            assert_leads_nowhere(&refused);
        }
        for query in [
            vec![("onCancel", EVIL)], vec![("client_id", id), ("onCancel", EVIL)],
            vec![("client_id", id), ("onCancel", "javascript:alert(1)")],
            vec![("post_logout_redirect_uri", EVIL)],
            vec![("skipPrompt", "true")], vec![("skipPrompt", "true"), ("client_id", id)],
            vec![("skipPrompt", "true"), ("post_logout_redirect_uri", "https://web.test/bye")],
        ] {
            let page = visitor.open(&end(&query)).await.page();
            assert_eq!(page.status, 200, "{query:?}");
            assert!(!page.text.contains("evil") && !page.text.contains("javascript:"), "{}", page.text);
            assert!(page.forms.iter().any(|form| form.action.ends_with("/session/end/confirm")), "{query:?}");
        }
        // and nobody was signed out by those links
        let flow = Flow::new(&tenant.issuer, &client, &[("prompt", "none")]);
        assert!(parameter(&visitor.open(&flow.url).await.away(), "code").is_some());
        // nor by a form that another site sends
        let page = visitor.open(&end(&[])).await.page();
        let form = page.form(|form| form.asks_for("xsrf"));
        for token in ["", "guess"] {
            let refused = visitor.submit(&page, form, &[("xsrf", token), ("logout", "yes")], None).await.page();
            assert_eq!(refused.status, 400, "{}", refused.text);
        }
        assert!(parameter(&visitor.open(&flow.url).await.away(), "code").is_some());
    }

    /// Login and consent take only forms that this sign-in gave out.
    async fn forms_need_their_token(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let (email, password) = (tenant.user.email.as_str(), tenant.user.password.as_str());
        let visitor = Visitor::new(&server);
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let page = visitor.open(&flow.url).await.page();
        let first = page.form(|form| form.asks_for("email"));
        assert!(first.asks_for("csrf"));
        let page = visitor.submit(&page, first, &[("email", email)], Some("email")).await.page();
        let stranger = Visitor::new(&server).open(&flow.url).await.page();
        let theirs = stranger.form(|form| form.asks_for("csrf")).value("csrf");
        for token in ["", "guess", theirs.as_str()] {
            let fields = [("email", email), ("password", password), ("csrf", token)];
            let refused = visitor.submit(&page, password_form(&page), &fields, None).await.page();
            assert_eq!(refused.status, 403, "{}", refused.text);
        }
        let fields = [("email", email), ("password", password)];
        let page = visitor.submit(&page, password_form(&page), &fields, None).await.page();
        let consent = page.form(Form::asks_consent);
        for token in ["", "guess", theirs.as_str()] {
            let refused = visitor.submit(&page, consent, &[("csrf", token)], None).await.page();
            assert_eq!(refused.status, 403, "{}", refused.text);
        }
        let back = visitor.submit(&page, consent, &[], None).await.away();
        assert!(parameter(&back, "code").is_some(), "{back}");
    }

    /// A cookie counts with its signature only, in its own group only.
    async fn forged_cookies_mean_nothing(server: Server) {
        let tenant = Tenant::create(&server).await;
        let other = tenant.another(&server, "other").await;
        let client = tenant.web_client(json!({})).await;
        let theirs = other.web_client(json!({})).await;
        let visitor = signed_in(&server, &tenant, &client).await;
        let cookies = visitor.cookies(&address(&tenant.issuer));
        let all = pairs(&cookies);
        assert!(all.iter().any(|(name, _)| is_signature(name)), "{cookies}");
        assert_eq!(silently(&tenant, &client, &cookies).await, None);
        let refused = Some("login_required".to_owned());
        let unsigned: Vec<_> = all.iter().filter(|(name, _)| !is_signature(name)).copied().collect();
        assert_eq!(silently(&tenant, &client, &join(&unsigned)).await, refused);
        let altered = |pick: fn(&str) -> bool, to: &'static str| -> String {
            let list: Vec<_> = all.iter().map(|(name, value)| (*name, if pick(name) { to } else { value })).collect();
            join(&list)
        };
        let other_id = altered(|name| !is_signature(name), "AAAAAAAAAAAAAAAAAAAAA");
        let other_signature = altered(is_signature, "AAAAAAAAAAAAAAAAAAAAAAAAAAA");
        for forged in [other_id, other_signature] {
            assert_eq!(silently(&tenant, &client, &forged).await, refused);
        }
        // in the name of the other group
        let renamed: Vec<_> = all.iter().map(|(name, value)| (name.replace("shop", "other"), *value)).collect();
        let renamed: Vec<_> = renamed.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(silently(&other, &theirs, &join(&renamed)).await, refused);
        assert_eq!(silently(&other, &theirs, &cookies).await, refused);
    }

    /// A session id that somebody planted before the sign-in is worth nothing after it.
    async fn sessions_get_a_new_id_with_the_login(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let attacker = Visitor::new(&server);
        attacker.open(&address(&format!("{}/session/end", tenant.issuer))).await.page();
        let planted = attacker.cookies(&address(&tenant.issuer));
        assert!(planted.contains("_session="), "{planted}");
        let victim = Visitor::new(&server);
        for (name, value) in pairs(&planted) {
            victim.plant(&format!("{name}={value}; Path=/"));
        }
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        victim.authorize(&flow.url, &tenant.user.email, &tenant.user.password).await.away();
        let now = victim.cookies(&address(&tenant.issuer));
        assert_eq!(silently(&tenant, &client, &now).await, None);
        assert_eq!(silently(&tenant, &client, &planted).await.as_deref(), Some("login_required"));
    }

    /// Only the browser that began a sign-in can go on with it.
    async fn interactions_belong_to_their_browser(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let (email, password) = (tenant.user.email.as_str(), tenant.user.password.as_str());
        let begun = Visitor::new(&server);
        let page = begun.open(&Flow::new(&tenant.issuer, &client, &[]).url).await.page();
        let other = Visitor::new(&server);
        other.open(&Flow::new(&tenant.issuer, &client, &[]).url).await.page();
        let stolen = page.url.clone();
        let resume = address(&stolen.as_str().replace("/interaction/", "/auth/"));
        let abort = address(&format!("{stolen}/abort"));
        for stranger in [&other, &Visitor::new(&server)] {
            for url in [&stolen, &resume, &abort] {
                assert_eq!(stranger.open(url).await.page().status, 400, "{url}");
            }
            let form = page.form(|form| form.asks_for("csrf"));
            let fields = [("email", email), ("password", password), ("action", "password")];
            assert_eq!(stranger.submit(&page, form, &fields, None).await.page().status, 400);
        }
        let landed = begun.log_in(page, email, password).await;
        assert!(matches!(landed, Landing::Page(page) if page.forms.iter().any(Form::asks_consent)));
    }

    /// Every page forbids foreign scripts, framing and sniffing; sign-in pages are not kept.
    async fn pages_carry_their_protection(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let visitor = Visitor::new(&server);
        let mut pages = Vec::new();
        for path in ["/", "/swagger", "/api", "/nothing/here", &format!("/{}/nothing", tenant.group), "/oauth2-redirect.html"] {
            pages.push((path.to_owned(), visitor.open(&address(&format!("{}{path}", server.url))).await.page(), false));
        }
        let wrong = Flow::new(&tenant.issuer, &client, &[("redirect_uri", EVIL)]);
        pages.push(("error".to_owned(), visitor.open(&wrong.url).await.page(), true));
        let login = visitor.open(&Flow::new(&tenant.issuer, &client, &[]).url).await.page();
        let consent = visitor.open(&login.url).await.page();
        let consent = visitor.log_in(consent, &tenant.user.email, &tenant.user.password).await.page();
        let done = visitor.submit(&consent, consent.form(Form::asks_consent), &[], None).await.away();
        assert!(parameter(&done, "code").is_some());
        pages.push(("login".to_owned(), login, true));
        pages.push(("consent".to_owned(), consent, true));
        let posted = Flow::new(&tenant.issuer, &client, &[("response_mode", "form_post")]);
        pages.push(("form_post".to_owned(), visitor.open(&posted.url).await.page(), true));
        let end = address(&format!("{}/session/end", tenant.issuer));
        let logout = visitor.open(&end).await.page();
        let form = logout.form(|form| form.asks_for("xsrf"));
        let bye = visitor.submit(&logout, form, &[], Some("yes")).await.page();
        pages.push(("logout".to_owned(), logout, true));
        pages.push(("logged out".to_owned(), bye, false));
        for (what, page, secret) in &pages {
            assert!(page.text.contains("<html") || page.text.contains("<!doctype"), "{what}: {}", page.text);
            assert_protected(what, &page.headers);
            if *secret {
                let cache = page.headers.get("cache-control").map(|value| value.to_str().expect("a text"));
                assert!(cache.is_some_and(|value| value.contains("no-store")), "{what}: {cache:?}");
            }
        }
    }
}

fn assert_protected(what: &str, headers: &HeaderMap) {
    let get = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().expect("a text"))
            .unwrap_or_default()
    };
    let csp = get("content-security-policy");
    let directive = |name: &str| {
        csp.split(';')
            .map(str::trim)
            .find_map(|part| part.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let scripts = Some(directive("script-src "))
        .filter(|s| !s.is_empty())
        .unwrap_or_else(|| directive("default-src "));
    assert!(
        !scripts.is_empty() && !scripts.contains("unsafe-inline") && !scripts.contains('*'),
        "{what}: {csp}"
    );
    assert!(!scripts.contains("http"), "{what}: {csp}");
    let framing = directive("frame-ancestors ");
    let frames = get("x-frame-options");
    assert!(
        framing == "'self'" || framing == "'none'" || matches!(frames, "SAMEORIGIN" | "DENY"),
        "{what}: {csp} {frames}"
    );
    assert_eq!(get("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(get("referrer-policy"), "no-referrer", "{what}");
    assert!(!get("x-request-id").is_empty(), "{what}");
    assert!(
        headers.get("x-powered-by").is_none() && headers.get("server").is_none(),
        "{what}"
    );
}

/// Hosts and schemes that a stranger names do not get into addresses or decide about a group.
#[tokio::test]
async fn forwarded_headers_of_strangers_mean_nothing() {
    let server = Server::start_with(Store::Embedded, &[("server.trusted_proxies", "none")])
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let path = format!("/{}/.well-known/openid-configuration", tenant.group);
    let plain = send(to(&server, Method::GET, &path))
        .await
        .expect(200)
        .json();
    for (name, value) in [
        ("x-host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.test;proto=https"),
        ("x-forwarded-for", "192.0.2.1"),
    ] {
        let answer = send(to(&server, Method::GET, &path).header(name, value))
            .await
            .expect(200);
        assert_eq!(answer.json(), plain, "{name}");
        assert!(
            answer.headers.get("strict-transport-security").is_none(),
            "{name}"
        );
    }
    let refused = send(to(&server, Method::GET, &path).header(HOST, "evil.test")).await;
    assert_eq!(refused.status, 501, "{}", refused.text);
}

/// A proxy that is trusted names the host of a custom domain; other headers still do not count.
#[tokio::test]
async fn forwarded_hosts_of_proxies_do_not_poison_addresses() {
    let server = Server::start_with(
        Store::Embedded,
        &[("server.trusted_proxies", "127.0.0.0/8,::1")],
    )
    .await
    .expect("a server");
    let tenant = Tenant::create(&server).await;
    let path = format!("/{}/.well-known/openid-configuration", tenant.group);
    let answer = send(to(&server, Method::GET, &path).header("x-forwarded-host", "evil.test"))
        .await
        .expect(200);
    assert!(!answer.text.contains("evil"), "{}", answer.text);
    send(to(&server, Method::GET, &path).header("x-host", "evil.test"))
        .await
        .expect(501);
}

/// Nothing that opens something is written to the log, whatever its level.
#[tokio::test]
async fn the_log_keeps_no_secrets() {
    let settings = [("logging.level", "ueauth=trace,actix_web=trace,info")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let client = tenant.web_client(json!({})).await;
    let visitor = Visitor::new(&server);
    let extra = [
        ("scope", "openid email access offline_access"),
        ("prompt", "consent"),
    ];
    let flow = Flow::new(&tenant.issuer, &client, &extra);
    let back = visitor
        .authorize(&flow.url, &tenant.user.email, &tenant.user.password)
        .await
        .away();
    let tokens = flow.tokens(&back).await;
    let (opaque, refresh) = (
        text(&tokens["access_token"]),
        text(&tokens["refresh_token"]),
    );
    let me = format!("/api/{}/account/me", tenant.group);
    send(to(
        &server,
        Method::GET,
        &format!("{me}?access_token={opaque}"),
    ))
    .await
    .expect(200);
    send(to(
        &server,
        Method::GET,
        &format!("{me}?access_token={}", tenant.owner_token),
    ))
    .await
    .expect(200);
    let initial = tenant.registration_token(json!({})).await;
    assert!(!tenant.knows(&tenant.user.email, "Wr0ng!secret").await);
    assert!(
        tenant
            .knows(&tenant.user.email, &tenant.user.password)
            .await
    );
    let broken = r#"{"password":"Br0ken!secret","access_token":"broken-token-secret""#;
    let request = to(
        &server,
        Method::POST,
        &format!("/api/{}/setpass", tenant.group),
    )
    .header("content-type", "application/json")
    .body(broken);
    send(request).await.expect(400);
    for (token, secret) in [
        (refresh, "S3cret!client"),
        ("unknown-refresh-secret", "S3cret!client"),
    ] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let request = to(&server, Method::POST, &format!("/{}/token", tenant.group))
            .basic_auth(text(&client["client_id"]), Some(secret))
            .form(&form);
        send(request).await.expect(401);
    }
    let session = visitor.cookies(&address(&tenant.issuer));
    let session = pairs(&session)
        .into_iter()
        .find(|(name, _)| name.ends_with("_session"))
        .expect("a session")
        .1
        .to_owned();
    let code = parameter(&back, "code").expect("a code");
    let log = server.log();
    assert!(
        log.contains("answered") && log.contains(&tenant.group),
        "{log}"
    );
    for (what, secret) in [
        ("the password", tenant.user.password.as_str()),
        ("a wrong password", "Wr0ng!secret"),
        ("a password in a broken body", "Br0ken!secret"),
        ("a token in a broken body", "broken-token-secret"),
        ("the set-up code", &server.root.setup_code),
        ("root's password", &server.root.password),
        ("the owner's password", &tenant.owner.password),
        ("the code", &code),
        ("an opaque token", opaque),
        ("a signed token", &tenant.owner_token),
        ("the ID token", text(&tokens["id_token"])),
        ("the refresh token", refresh),
        ("an unknown refresh token", "unknown-refresh-secret"),
        ("the client's secret", text(&client["client_secret"])),
        ("a wrong client secret", "S3cret!client"),
        (
            "the registration token",
            text(&client["registration_access_token"]),
        ),
        ("an initial access token", &initial),
        ("the session", &session),
    ] {
        assert!(!secret.is_empty());
        assert!(!log.contains(secret), "the log shows {what}");
    }
}

fn is_signature(name: &str) -> bool {
    name.strip_suffix(".sig").is_some()
}
