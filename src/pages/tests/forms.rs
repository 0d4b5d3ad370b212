//! The forms that clients depend on.

use super::*;

#[test]
fn the_email_step_continues_on_enter() {
    let html = Login {
        org: Some("org-1"),
        ..login(&brand(), LoginStep::Email)
    }
    .html();
    let form = form(&html, "/ag/interaction/uid/login");
    assert!(form.contains("name=\"csrf\" value=\"csrf-token\""));
    assert!(form.contains("name=\"org\" value=\"org-1\""));
    assert!(form.contains("name=\"email\" type=\"text\""));
    assert!(form.contains("autocomplete=\"username\""));
    assert!(!form.contains("type=\"password\""));
    let go = form
        .find("name=\"action\" value=\"email\"")
        .expect("continue");
    let free = form
        .find("name=\"action\" value=\"magic\"")
        .expect("password-free");
    assert!(go < free, "the first submit button is what Enter presses");
}

#[test]
fn the_password_step_submits_without_an_action() {
    let html = Login {
        email: "a@b.test",
        ..login(&brand(), LoginStep::Password)
    }
    .html();
    let form = form(&html, "/ag/interaction/uid/login");
    assert!(form.contains("value=\"a@b.test\""));
    assert!(form.contains("name=\"password\" type=\"password\" autocomplete=\"current-password\""));
    let first = form
        .find("<button")
        .and_then(|i| form.get(i..))
        .and_then(|b| b.split('>').next())
        .expect("button");
    assert!(!first.contains("name="), "{first}");
    assert!(html.contains("href=\"/ag/forgotpassword\""));
}

#[test]
fn password_free_clients_get_no_password_field() {
    let html = Login {
        show_password_field: false,
        ..login(&brand(), LoginStep::Password)
    }
    .html();
    assert!(!html.contains("type=\"password\"") && !html.contains("/ag/forgotpassword"));
    assert!(html.contains("value=\"magic\""));
    let html = Login {
        passwordless: false,
        ..login(&brand(), LoginStep::Password)
    }
    .html();
    assert!(html.contains("type=\"password\"") && !html.contains("value=\"magic\""));
}

#[test]
fn organizations_are_chosen_by_form() {
    let html = login(
        &brand(),
        LoginStep::SelfIdentify {
            remembered: vec!["umbrella", "initech"],
        },
    )
    .html();
    assert_eq!(
        html.matches("name=\"action\" value=\"orgLookup\"").count(),
        3
    );
    assert_eq!(html.matches("name=\"csrf\"").count(), 3);
    assert!(html.contains("name=\"clearCookies\" value=\"on\""));
    let html = login(&brand(), LoginStep::SelfIdentify { remembered: vec![] }).html();
    assert_eq!(
        html.matches("name=\"action\" value=\"orgLookup\"").count(),
        1
    );
    assert!(!html.contains("clearCookies") && html.contains("id=\"organization\""));
}

#[test]
fn federation_stands_where_it_is_told() {
    let federation = |priority, only| Federation {
        action: "/ag/interaction/uid/federated",
        buttons: vec![FederationButton {
            code: "oidc.google.x",
            label: "Go",
            style: ButtonStyle::Google,
        }],
        priority,
        only,
    };
    let page = |f| {
        Login {
            federation: f,
            ..login(&brand(), LoginStep::Email)
        }
        .html()
    };
    let places = |html: &str| {
        (
            html.find("name=\"upstream\" value=\"oidc.google.x\""),
            html.find("name=\"email\""),
        )
    };
    let (button, field) = places(&page(federation(false, false)));
    assert!(button.is_some() && field < button);
    let (button, field) = places(&page(federation(true, false)));
    assert!(field.is_some() && button < field);
    let (button, field) = places(&page(federation(false, true)));
    assert!(button.is_some() && field.is_none());
    // Without a button the form stays, or nobody could sign in.
    let (button, field) = places(&page(Federation {
        only: true,
        ..Federation::default()
    }));
    assert!(button.is_none() && field.is_some());
    assert!(
        form(
            &page(federation(true, false)),
            "/ag/interaction/uid/federated"
        )
        .contains("name=\"csrf\"")
    );
}

#[test]
fn consent_lists_what_is_asked_and_can_be_refused() {
    let brand = brand();
    let consent = Consent {
        shell: shell(&brand, "Authorize"),
        client_name: "Client",
        action: "/ag/interaction/uid/confirm",
        csrf: "csrf-token",
        cancel_url: "/ag/interaction/uid/abort",
        scopes: vec!["profile", "special"],
        claims: vec!["birthdate"],
        resources: vec![ResourceScopes {
            resource: "https://api.test",
            scopes: vec!["read"],
        }],
        offline_access: Some(OfflineAccess::New),
        device_setup_url: None,
        debug: None,
    };
    let html = consent.html();
    assert!(
        form(&html, "/ag/interaction/uid/confirm").contains("name=\"csrf\" value=\"csrf-token\"")
    );
    for part in [
        "Your profile",
        "special",
        "birthdate",
        "https://api.test",
        "read",
        "while you are away",
        "uid/abort",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("Debug"));
    let html = Consent {
        scopes: vec![],
        claims: vec![],
        resources: vec![],
        offline_access: Some(OfflineAccess::Previously),
        ..consent
    }
    .html();
    assert!(html.contains("agreed to this before"));
}

#[test]
fn logout_keeps_the_contract_of_its_form() {
    let brand = brand();
    let page = |cancel| {
        Logout {
            shell: shell(&brand, "Log Out"),
            action: "https://s.test/ag/session/end/confirm",
            xsrf: "x1",
            name: "Client",
            cancel,
        }
        .html()
    };
    let html = page(LogoutCancel::Submit);
    assert!(html.contains("<form id=\"op.logoutForm\""));
    let inner = form(&html, "https://s.test/ag/session/end/confirm");
    assert!(inner.contains("name=\"xsrf\" value=\"x1\""));
    assert!(inner.contains("name=\"logout\" value=\"yes\""));
    assert_eq!(inner.matches("<button").count(), 2);
    let html = page(LogoutCancel::Link("https://c.test/"));
    assert_eq!(html.matches("<button").count(), 1);
    assert!(html.contains("href=\"https://c.test/\""));
}
