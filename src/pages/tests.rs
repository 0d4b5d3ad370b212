//! Every page with hostile input, and what all of them have.

mod forms;

use super::*;

/// Leaves an attribute, an element, a script and a CSS string, if anything lets it.
const HOSTILE: &str =
    "\"'></title></style></textarea><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}";
const SCRIPT_URL: &str = "javascript:alert(1)";

fn hostile_brand() -> Brand {
    Brand::new(BrandInput {
        name: HOSTILE,
        logo: Some(SCRIPT_URL),
        favicon: Some("https://a.test/i.png?\"><script>alert(1)</script>"),
        splash: Some("https://a.test/s.png\"><script>alert(1)</script>"),
        gradient_low: Some("red}</style><script>alert(1)</script>"),
        gradient_high: Some("url(javascript:alert(1))"),
        orientation: Orientation::parse(HOSTILE),
        tos: Some(SCRIPT_URL),
        policy: Some("JaVaScRiPt:alert(1)"),
        contact_email: Some("a@b.test\"><script>alert(1)</script>"),
        home: Some("data:text/html,<script>alert(1)</script>"),
        fonts_url: Some("https://a.test/f.css\"><script>alert(1)</script>"),
    })
}

fn brand() -> Brand {
    Brand::new(BrandInput {
        name: "Acme",
        gradient_low: Some("#131525"),
        gradient_high: Some("#1D2035"),
        tos: Some("https://acme.test/tos"),
        policy: Some("https://acme.test/privacy"),
        contact_email: Some("help@acme.test"),
        home: Some("https://acme.test"),
        ..BrandInput::default()
    })
}

fn shell<'a>(brand: &'a Brand, title: &'a str) -> Shell<'a> {
    Shell {
        brand,
        nonce: "n0nce",
        base: "/ag",
        title,
    }
}

fn login<'a>(brand: &'a Brand, step: LoginStep<'a>) -> Login<'a> {
    Login {
        shell: shell(brand, "Sign-in"),
        step,
        action: "/ag/interaction/uid/login",
        csrf: "csrf-token",
        email: "",
        org: None,
        org_name: None,
        client_name: Some("Client"),
        flash: None,
        passwordless: true,
        show_password_field: true,
        offer_verification: false,
        federation: Federation::default(),
        forgot_url: Some("/ag/forgotpassword"),
        register_url: None,
        restart_url: None,
        passkey_url: None,
        passkey_setup_url: None,
        device_setup_url: None,
        cancel_url: "/ag/interaction/uid/abort",
    }
}

fn hostile_pages(brand: &Brand) -> Vec<(&'static str, String)> {
    let pair = || (HOSTILE.to_owned(), HOSTILE.to_owned());
    let hostile_login = |step| Login {
        shell: shell(brand, HOSTILE),
        action: SCRIPT_URL,
        csrf: HOSTILE,
        email: HOSTILE,
        org: Some(HOSTILE),
        org_name: Some(HOSTILE),
        client_name: Some(HOSTILE),
        flash: Some(Flash::LockedOut {
            threshold: 5,
            hours: 2,
            contact: Some(HOSTILE.to_owned()),
        }),
        offer_verification: true,
        federation: Federation {
            action: SCRIPT_URL,
            buttons: vec![FederationButton {
                code: HOSTILE,
                label: HOSTILE,
                style: ButtonStyle::parse(HOSTILE),
            }],
            ..Federation::default()
        },
        forgot_url: Some(SCRIPT_URL),
        register_url: Some(SCRIPT_URL),
        restart_url: Some("//evil.test"),
        passkey_url: None,
        passkey_setup_url: Some(SCRIPT_URL),
        device_setup_url: Some(SCRIPT_URL),
        cancel_url: SCRIPT_URL,
        ..login(brand, step)
    };
    vec![
        ("email", hostile_login(LoginStep::Email).html()),
        ("password", hostile_login(LoginStep::Password).html()),
        (
            "organization",
            hostile_login(LoginStep::SelfIdentify {
                remembered: vec![HOSTILE],
            })
            .html(),
        ),
        (
            "consent",
            Consent {
                shell: shell(brand, HOSTILE),
                client_name: HOSTILE,
                action: SCRIPT_URL,
                csrf: HOSTILE,
                cancel_url: SCRIPT_URL,
                scopes: vec![HOSTILE],
                claims: vec![HOSTILE],
                resources: vec![ResourceScopes {
                    resource: HOSTILE,
                    scopes: vec![HOSTILE],
                }],
                offline_access: Some(OfflineAccess::Previously),
                device_setup_url: Some(SCRIPT_URL),
                debug: Some(vec![pair()]),
            }
            .html(),
        ),
        (
            "logout",
            Logout {
                shell: shell(brand, HOSTILE),
                action: SCRIPT_URL,
                xsrf: HOSTILE,
                name: HOSTILE,
                cancel: LogoutCancel::Link(SCRIPT_URL),
            }
            .html(),
        ),
        (
            "logout success",
            LogoutSuccess {
                shell: shell(brand, HOSTILE),
                client_name: Some(HOSTILE),
                return_url: Some(SCRIPT_URL),
                login_url: Some(SCRIPT_URL),
            }
            .html(),
        ),
        (
            "auto submit",
            AutoSubmit {
                shell: shell(brand, HOSTILE),
                id: Some(HOSTILE),
                action: SCRIPT_URL,
                fields: vec![pair()],
            }
            .html(),
        ),
        (
            "message",
            Message {
                details: vec![pair()],
                home: Some((SCRIPT_URL, HOSTILE)),
                forgot_url: Some(SCRIPT_URL),
                passkey_setup_url: Some(SCRIPT_URL),
                ..Message::new(shell(brand, HOSTILE), HOSTILE, HOSTILE)
            }
            .html(),
        ),
        (
            "lock_account",
            LockAccount {
                shell: shell(brand, HOSTILE),
                panic_url: SCRIPT_URL,
                token: HOSTILE,
                recover_url: SCRIPT_URL,
                forgot_url: SCRIPT_URL,
                device_setup_url: Some(SCRIPT_URL),
            }
            .html(),
        ),
        (
            "wait device",
            WaitDevice {
                shell: shell(brand, HOSTILE),
                action: SCRIPT_URL,
                csrf: HOSTILE,
                key: HOSTILE,
                account: HOSTILE,
                number: Some(HOSTILE),
                by_code: false,
                perhaps: true,
                flash: None,
                challenge_url: SCRIPT_URL,
                restart_url: SCRIPT_URL,
                device_setup_url: Some(SCRIPT_URL),
                cancel_url: SCRIPT_URL,
            }
            .html(),
        ),
        (
            "bind device",
            BindDevice {
                shell: shell(brand, HOSTILE),
                action: SCRIPT_URL,
                csrf: HOSTILE,
                flash: None,
                steps: vec![HOSTILE.to_owned()],
                code: Some(HOSTILE),
                qr: qr::svg(HOSTILE),
                screen: Some((SCRIPT_URL, HOSTILE)),
                restart_url: SCRIPT_URL,
                cancel_url: SCRIPT_URL,
            }
            .html(),
        ),
        (
            "set device",
            SetDevice {
                shell: shell(brand, HOSTILE),
                instructions_url: SCRIPT_URL,
                proof_url: "/api/g/mfa/proof",
                choice_url: SCRIPT_URL,
                state: HOSTILE,
                token: Some(HOSTILE),
                email: HOSTILE,
                mail_url: Some(SCRIPT_URL),
                passkey_url: Some(SCRIPT_URL),
                mails: true,
                restart_url: SCRIPT_URL,
                passkey_setup_url: Some(SCRIPT_URL.to_owned()),
            }
            .html(),
        ),
        (
            "recover_account",
            RecoverAccount {
                shell: shell(brand, HOSTILE),
                start_url: SCRIPT_URL,
                recover_url: SCRIPT_URL,
            }
            .html(),
        ),
        (
            "forgot_password",
            ForgotPassword {
                shell: shell(brand, HOSTILE),
                reset_url: SCRIPT_URL,
                home_url: SCRIPT_URL,
            }
            .html(),
        ),
        (
            "new_password",
            NewPassword {
                shell: shell(brand, HOSTILE),
                password_url: SCRIPT_URL,
                token: HOSTILE,
                reset_url: SCRIPT_URL,
                home_url: SCRIPT_URL,
            }
            .html(),
        ),
        (
            "owned_groups",
            OwnedGroups {
                shell: shell(brand, HOSTILE),
                lookup: HOSTILE,
                groups: vec![OwnedGroup {
                    name: HOSTILE.to_owned(),
                    id: HOSTILE.to_owned(),
                    login_url: SCRIPT_URL.to_owned(),
                }],
            }
            .html(),
        ),
        (
            "landing",
            Landing {
                shell: shell(brand, HOSTILE),
                name: HOSTILE,
                version: HOSTILE,
                description: HOSTILE,
                links: vec![(HOSTILE, SCRIPT_URL)],
                copyright: Some(HOSTILE),
            }
            .html(),
        ),
        (
            "docs",
            DocsPage {
                shell: shell(brand, HOSTILE),
                viewer: DocsViewer::Redoc,
                document_url: SCRIPT_URL,
            }
            .html(),
        ),
    ]
}

/// Start tags of a document, whatever is inside them.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter_map(|t| t.split('>').next())
        .collect()
}

#[test]
fn hostile_input_stays_text() {
    for (name, html) in hostile_pages(&hostile_brand()) {
        assert!(!html.contains("<script>"), "{name}: a script came through");
        assert!(
            !html.contains("<img src=x"),
            "{name}: an element came through"
        );
        assert!(
            !html.to_ascii_lowercase().contains("\"javascript:"),
            "{name}: a script URL came through"
        );
        assert!(
            !html.contains("\"//evil.test"),
            "{name}: a link leaves the server"
        );
        for tag in tags(&html) {
            // Character references hold no quotes, so what is between quotes is data.
            let outside: String = tag.split('"').step_by(2).collect();
            assert!(!outside.contains("onerror"), "{name}: {tag}");
            assert!(
                !tag.starts_with("script") || tag.contains("nonce=\"n0nce\""),
                "{name}: {tag}"
            );
            assert!(
                !outside.contains(" style=") && !outside.contains(" onclick="),
                "{name}: {tag}"
            );
        }
    }
}

#[test]
fn a_bad_colour_leaves_no_style_block() {
    let html = login(&hostile_brand(), LoginStep::Email).html();
    assert!(!html.contains("<style"));
    let html = login(&brand(), LoginStep::Email).html();
    assert!(
        html.contains(
            "<style nonce=\"n0nce\">:root{--brand-low:#131525;--brand-high:#1D2035}</style>"
        ),
        "{html}"
    );
}

#[test]
fn every_page_is_a_labelled_document() {
    for (name, html) in hostile_pages(&brand()) {
        for part in [
            "<!doctype html>",
            "<html lang=\"en\">",
            "name=\"viewport\"",
            "<title>",
            "<main",
        ] {
            assert!(html.contains(part), "{name}: {part}");
        }
        assert!(
            html.contains("<h1") || matches!(name, "auto submit" | "docs"),
            "{name}: heading"
        );
    }
}

/// Text between the form tag with this action and its end.
fn form<'a>(html: &'a str, action: &str) -> &'a str {
    let start = format!("method=\"post\" action=\"{action}\"");
    html.split_once(&start)
        .and_then(|(_, rest)| rest.split_once("</form>"))
        .map(|(f, _)| f)
        .expect("form")
}

#[test]
fn an_auto_submitted_form_works_without_scripts() {
    let brand = brand();
    let html = AutoSubmit {
        shell: shell(&brand, "Continue"),
        id: None,
        action: "com.example.app:/callback",
        fields: vec![
            ("code".to_owned(), "a&b".to_owned()),
            ("state".to_owned(), "s".to_owned()),
        ],
    }
    .html();
    let inner = form(&html, "com.example.app:/callback");
    assert!(
        inner.contains("name=\"code\" value=\"a&#38;b\"") && inner.contains("name=\"state\""),
        "{inner}"
    );
    assert!(inner.contains("<noscript><button"));
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.contains("<script nonce=\"n0nce\">"));
}

#[test]
fn messages_show_details_only_when_there_are_any() {
    let brand = brand();
    let plain = Message::new(shell(&brand, "Error"), "Something went wrong", "Try again.");
    assert!(!plain.html().contains("<details"));
    let full = Message {
        details: vec![("error".to_owned(), "invalid_request".to_owned())],
        home: Some(("https://acme.test/", "Go home")),
        flash: Some(Flash::TryLater),
        ..plain
    }
    .html();
    for part in [
        "invalid_request",
        "Go home",
        "role=\"alert\"",
        "mailto:help@acme.test",
        "https://acme.test/privacy",
    ] {
        assert!(full.contains(part), "{part}");
    }
}

#[test]
fn scripts_and_styles_are_addressed_by_content() {
    let html = login(&brand(), LoginStep::Email).html();
    let css = assets::url("ueauth.css").expect("stylesheet");
    assert!(html.contains(&css) && html.contains(&assets::url("app.js").expect("script")));
}

#[test]
fn documentation_pages_load_their_viewer_from_this_server() {
    let brand = brand();
    for (viewer, script, word) in [
        (
            DocsViewer::Swagger,
            "vendor/swagger-ui-bundle.js",
            "data-viewer=\"swagger\"",
        ),
        (
            DocsViewer::Redoc,
            "vendor/redoc.standalone.js",
            "data-viewer=\"redoc\"",
        ),
    ] {
        let html = DocsPage {
            shell: shell(&brand, "API"),
            viewer,
            document_url: "/ag/swagger.json",
        }
        .html();
        assert!(html.contains(&assets::url(script).expect("viewer")) && html.contains(word));
        assert!(html.contains("data-document=\"/ag/swagger.json\""));
        for tag in tags(&html) {
            assert!(
                !tag.contains("src=\"http")
                    && !tag.starts_with("link rel=\"stylesheet\" href=\"http"),
                "{tag}"
            );
        }
    }
}
