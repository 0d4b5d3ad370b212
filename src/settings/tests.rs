use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn environment(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(&Sources {
        environment: map(pairs),
        ..Sources::default()
    })
}

fn reason(result: Result<Settings, SettingsError>) -> String {
    result.expect_err("must be refused").to_string()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn from_file(name: &str, text: &str) -> Result<Settings, SettingsError> {
    let folder = Folder::new();
    Settings::load(&Sources {
        file: Some(folder.file(name, text)),
        ..Sources::default()
    })
}

#[test]
fn defaults_load_and_may_start() {
    let settings = Settings::defaults().unwrap();
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:3000");
    assert_eq!(settings.origin(), "http://localhost:3000");
    assert_eq!(settings.service_host(), "localhost");
    assert_eq!(settings.ui_hosts(), ["localhost"]);
    assert_eq!(settings.default_frame_ancestors(), "'self'");
    assert_eq!(settings.store.url.expose_secret(), "sqlite:data/ueauth.db");
    assert!(settings.is_production() && !settings.is_development() && settings.logs_json());
    assert!(settings.tls.certificate.is_none() && settings.bootstrap.setup_code.is_none());
    let errors: Vec<_> = settings
        .check()
        .into_iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    assert_eq!(errors, []);
}

#[test]
fn later_layers_win() {
    let folder = Folder::new();
    let mut sources = Sources {
        file: Some(folder.file(
            "a.toml",
            "[server]\nlisten = \"4001\"\npublic_host = \"file.example\"",
        )),
        ..Sources::default()
    };
    assert_eq!(
        Settings::load(&sources).unwrap().server.listen.to_string(),
        "0.0.0.0:4001"
    );
    sources.environment = map(&[("UEAUTH_SERVER__LISTEN", "4002")]);
    assert_eq!(
        Settings::load(&sources).unwrap().server.listen.to_string(),
        "0.0.0.0:4002"
    );
    sources.flags = map(&[("server.listen", "4003")]);
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:4003");
    assert_eq!(settings.server.public_host, "file.example");
}

#[test]
fn the_environment_can_name_the_file() {
    let folder = Folder::new();
    let path = folder.file("a.toml", "[ui]\nhost = \"ui.example\"");
    let settings = environment(&[("UEAUTH_CONFIG", path.to_str().unwrap())]).unwrap();
    assert_eq!(settings.ui.host, "ui.example");
    let text = reason(environment(&[("UEAUTH_CONFIG", "/nonexistent/x.toml")]));
    assert!(
        text.contains("/nonexistent/x.toml") && text.contains("can not be read"),
        "{text}"
    );
}

#[test]
fn old_names_work_and_new_names_win() {
    let settings = environment(&[
        ("SWAGGER", "auth.example:8443"),
        ("PROTOCOL", "https"),
        ("MONGO", "mongodb://db/ueauth"),
        ("PORT", "8080"),
        ("NODE_ENV", "dev"),
        ("UI_URL", "old.example"),
        ("UEAUTH_UI__HOST", "new.example"),
        ("UI_WHITE_LIST", "a.example, b.example"),
    ])
    .unwrap();
    assert_eq!(settings.origin(), "https://auth.example:8443");
    assert_eq!(settings.service_host(), "auth.example");
    assert_eq!(settings.store.url.expose_secret(), "mongodb://db/ueauth");
    assert_eq!(
        settings.server.listen,
        Listen::Tcp {
            host: "0.0.0.0".into(),
            port: 8080
        }
    );
    assert!(settings.is_development());
    assert_eq!(settings.ui.host, "new.example");
    assert_eq!(settings.ui_hosts(), ["a.example", "b.example"]);
}

#[test]
fn every_old_name_leads_to_a_setting() {
    let values = [
        ("NODE_ENV", "qa"),
        ("PORT", "81"),
        ("PROTOCOL", "https"),
        ("MONGO", "mongodb://m/x"),
        ("SWAGGER", "h"),
        ("UI_URL", "h"),
        ("UI_LOGIN_REDIRECT_PATH", "/a"),
        ("UI_LOGOUT_REDIRECT_PATH", "/b"),
        ("UI_REFRESH_REDIRECT_PATH", "/c"),
        ("ROOT_GROUP_REGISTRATION_UI_URL", "https://r.example"),
        ("PERSIST_HTTP_ERRORS", "true"),
        ("WRITE_LOGS_TO_DB", "true"),
        ("SINGLE_USE_IAT", "true"),
        ("GROUP_SECURE_EXPIRES", "60"),
        ("COOKIE_KEYS", "k1,k2"),
        ("ALLOW_ROOT_CREATION", "true"),
        ("ONE_TIME_PERSONAL_ROOT_CREATION_KEY", "code"),
        ("ROOT_EMAIL", "Root@x.example"),
        ("FULL_SUPER_CONTROL", "true"),
        ("OPEN_GROUP_REG", "true"),
        ("ROOT_COMPANY_NAME", "C"),
        ("INIT_ROOT_PRIMARY_DOMAIN", "https://d.example"),
        ("INIT_ROOT_PRIMARY_TOS", "https://t.example"),
        ("INIT_ROOT_PRIMARY_POLICY", "https://p.example"),
        ("PLATFORM_NAME", "P"),
        ("UI_WHITE_LIST", "w"),
        ("UI_CORE_AUDIENCE_ORIGIN", "https://o.example"),
        ("UI_PKCE_REQUIRED", "true"),
        ("CORE_SCOPES", "s"),
        ("RESTRICTED_SCOPES", "one,{d}^[A-Z]+$"),
        ("STATIC_ASSETS", "https://a.example/x/"),
        ("CUSTOM_FONTS_URL", "https://f.example"),
        ("DEFAULT_UI_SKIN_GRADIENT_LOW", "red"),
        ("DEFAULT_UI_SKIN_GRADIENT_HIGH", "#fff"),
        ("ACCESS_OBJECT_SIZE_LIMIT", "5"),
        ("EVENT_EMITTER_CLEAN_SENSITIVE", "true"),
        ("CUSTOM_DOMAIN_PROXY_HEADER", "X-Other"),
        ("SECURITY_FRAME_ANCESTORS", "'self',https://z.example"),
        ("DISABLE_STREAMS", "true"),
        ("INIT_AG_WITH_STREAMS", "false"),
    ];
    let s = environment(&values).unwrap();
    assert_eq!(s.server.environment, "qa");
    assert_eq!(
        (
            s.ui.login_path.as_str(),
            s.ui.logout_path.as_str(),
            s.ui.refresh_path.as_str()
        ),
        ("/a", "/b", "/c")
    );
    assert!(s.logging.persist && s.logging.persist_http_errors && s.security.single_use_iat);
    assert!(s.security.root_full_control && s.groups.open_registration && s.ui.pkce_required);
    assert!(s.events.disabled && s.events.clean_sensitive && !s.groups.external_streaming);
    assert_eq!(s.groups.activation_seconds.get(), 60);
    assert_eq!(s.security.cookie_keys.len(), 2);
    assert_eq!(s.bootstrap.root_email.as_deref(), Some("root@x.example"));
    assert_eq!(
        s.bootstrap.setup_code.as_ref().unwrap().expose_secret(),
        "code"
    );
    assert_eq!(
        (
            s.bootstrap.company_name.as_str(),
            s.bootstrap.platform_name.as_str()
        ),
        ("C", "P")
    );
    assert_eq!(s.bootstrap.primary_domain, "https://d.example");
    assert_eq!(s.bootstrap.terms_url, "https://t.example");
    assert_eq!(s.bootstrap.privacy_url, "https://p.example");
    assert_eq!(s.scopes.core[0].exact(), Some("s"));
    assert!(s.scopes.restricted[1].matches("ABC") && !s.scopes.restricted[1].matches("abc"));
    assert_eq!(
        s.ui.assets_url.as_ref().unwrap().as_str(),
        "https://a.example/x/"
    );
    assert!(s.ui.registration_url.is_some() && s.ui.custom_fonts_url.is_some());
    assert_eq!(
        (s.ui.gradient_low.as_str(), s.ui.gradient_high.as_str()),
        ("red", "#fff")
    );
    assert_eq!(s.limits.access_object_bytes, 5);
    assert_eq!(s.server.proxy_host_header, "x-other");
    assert_eq!(s.default_frame_ancestors(), "'self' https://z.example");
}

#[test]
fn booleans_go_both_ways() {
    let folder = Folder::new();
    let file = Some(folder.file("a.toml", "[groups]\nopen_registration = true"));
    for (text, expected) in [
        ("false", false),
        ("0", false),
        ("true", true),
        ("1", true),
        ("FALSE", false),
    ] {
        let sources = Sources {
            file: file.clone(),
            environment: map(&[("OPEN_GROUP_REG", text)]),
            flags: BTreeMap::new(),
        };
        assert_eq!(
            Settings::load(&sources).unwrap().groups.open_registration,
            expected,
            "{text}"
        );
    }
    let text = reason(environment(&[("OPEN_GROUP_REG", "yes")]));
    assert!(
        text.contains("groups.open_registration") && text.contains("OPEN_GROUP_REG"),
        "{text}"
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let settings =
        environment(&[("SWAGGER", ""), ("UEAUTH_GROUPS__OPEN_REGISTRATION", "")]).unwrap();
    assert_eq!(settings.server.public_host, "localhost:3000");
}

#[test]
fn lists_can_be_emptied() {
    let settings = environment(&[("UEAUTH_SERVER__TRUSTED_PROXIES", "none")]).unwrap();
    assert!(settings.server.trusted_proxies.is_empty());
    assert!(!settings.server.trusts("10.0.0.1".parse().unwrap()));
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    let settings = environment(&[(
        "UEAUTH_SERVER__TRUSTED_PROXIES",
        "10.0.0.0/8,192.0.2.7,fd00::/8",
    )])
    .unwrap();
    for (peer, trusted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("fd00::1", true),
        ("::1", false),
    ] {
        assert_eq!(
            settings.server.trusts(peer.parse().unwrap()),
            trusted,
            "{peer}"
        );
    }
    assert!(!settings.server.trusts_everyone());
    let text = reason(environment(&[(
        "UEAUTH_SERVER__TRUSTED_PROXIES",
        "10.0.0.0/99",
    )]));
    assert!(
        text.contains("server.trusted_proxies") && text.contains("10.0.0.0/99"),
        "{text}"
    );
}

#[test]
fn files_hold_secrets() {
    let folder = Folder::new();
    let secret = folder.file("code", "s3cret\r\n");
    let keys = folder.file("keys", "first-key,second-key\n");
    let settings = environment(&[
        (
            "UEAUTH_BOOTSTRAP__SETUP_CODE_FILE",
            secret.to_str().unwrap(),
        ),
        ("COOKIE_KEYS_FILE", keys.to_str().unwrap()),
    ])
    .unwrap();
    assert_eq!(
        settings
            .bootstrap
            .setup_code
            .as_ref()
            .unwrap()
            .expose_secret(),
        "s3cret"
    );
    assert_eq!(
        settings.security.cookie_keys[1].expose_secret(),
        "second-key"
    );
    let both = [
        ("MONGO", "mongodb://x/y"),
        ("MONGO_FILE", secret.to_str().unwrap()),
    ];
    assert!(reason(environment(&both)).contains("MONGO_FILE"));
    let missing = reason(environment(&[("MONGO_FILE", "/nonexistent")]));
    assert!(
        missing.contains("MONGO_FILE") && missing.contains("/nonexistent"),
        "{missing}"
    );
}

#[test]
fn secrets_are_never_printed() {
    let settings = environment(&[
        ("MONGO", "mongodb://user:hunter2@db/x"),
        ("COOKIE_KEYS", "hunter2"),
        ("UEAUTH_BOOTSTRAP__SETUP_CODE", "hunter2"),
        ("UEAUTH_BUS__URL", "nats://user:hunter2@bus"),
    ])
    .unwrap();
    assert!(!format!("{settings:?} {:?}", settings.check()).contains("hunter2"));
    for (name, value) in [
        ("MONGO", "postgres://user:hunter2@db"),
        ("UEAUTH_BUS__URL", "amqp://u:hunter2@b"),
    ] {
        let text = reason(environment(&[(name, value)]));
        assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
    }
    for text in [
        "[security]\ncookie_keys = \"hunter2\" x",
        "[security]\ncookie_keys = [{a = \"hunter2\"}]",
    ] {
        let text = reason(from_file("a.toml", text));
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn unknown_keys_in_a_file_are_refused() {
    for (text, key) in [
        ("[server]\nlisen = 1", "server.lisen"),
        ("[serv]\nx = 1", "serv.x"),
        ("server = 1", "server"),
    ] {
        let text = reason(from_file("a.toml", text));
        assert!(text.contains(&format!("`{key}`")), "{text}");
    }
}

#[test]
fn json_files_work_in_both_forms() {
    let settings = from_file(
        "a.json",
        r#"{"server": {"public_host": "j.example", "listen": 4000}}"#,
    )
    .unwrap();
    assert_eq!(settings.origin(), "http://j.example");
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:4000");
    let old = r#"{"SWAGGER": "o.example", "SINGLE_USE_IAT": true, "OPEN_GROUP_REG": "true", "UI_URL": "",
        "GROUP_SECURE_EXPIRES": 2592000, "COOKIE_KEYS": "a,b", "LEFT_OVER": 1}"#;
    let settings = from_file("env.qa.json", old).unwrap();
    assert_eq!(settings.server.public_host, "o.example");
    assert!(settings.security.single_use_iat && settings.groups.open_registration);
    assert_eq!(settings.ui.host, "example.com");
    assert_eq!(settings.security.cookie_keys.len(), 2);
    assert!(
        settings
            .check()
            .iter()
            .any(|f| f.message.contains("LEFT_OVER"))
    );
}

#[test]
fn bad_values_name_their_setting() {
    let cases = [
        ("SWAGGER", "https://x.example", "server.public_host"),
        ("SWAGGER", "x.example:99999", "server.public_host"),
        ("PROTOCOL", "ftp", "server.protocol"),
        ("PORT", "70000", "server.listen"),
        ("UEAUTH_SERVER__LISTEN", "host", "server.listen"),
        (
            "ROOT_GROUP_REGISTRATION_UI_URL",
            "nonsense",
            "ui.registration_url",
        ),
        (
            "ROOT_GROUP_REGISTRATION_UI_URL",
            "javascript:alert(1)",
            "ui.registration_url",
        ),
        ("UI_LOGIN_REDIRECT_PATH", "signin", "ui.login_path"),
        ("ROOT_EMAIL", "nobody", "bootstrap.root_email"),
        ("GROUP_SECURE_EXPIRES", "soon", "groups.activation_seconds"),
        ("GROUP_SECURE_EXPIRES", "0", "groups.activation_seconds"),
        ("GROUP_SECURE_EXPIRES", "-1", "groups.activation_seconds"),
        ("RESTRICTED_SCOPES", "{d}([", "scopes.restricted"),
        (
            "SECURITY_FRAME_ANCESTORS",
            "'self'; script-src *",
            "security.frame_ancestors",
        ),
        ("DEFAULT_UI_SKIN_GRADIENT_LOW", "red;}", "ui.gradient_low"),
        ("UEAUTH_LOGGING__FORMAT", "xml", "logging.format"),
        (
            "UEAUTH_RATE_LIMITS__LOGIN__BURST",
            "0",
            "rate_limits.login.burst",
        ),
        ("UEAUTH_HASH__MEMORY_KIB", "99999999999", "hash.memory_kib"),
    ];
    for (name, value, setting) in cases {
        let text = reason(environment(&[(name, value)]));
        assert!(
            text.contains(setting) && text.contains(name),
            "{name}={value}: {text}"
        );
    }
    let flags = Sources {
        flags: map(&[("server.lisen", "1")]),
        ..Sources::default()
    };
    assert!(reason(Settings::load(&flags)).contains("server.lisen"));
}

#[test]
fn misspelt_variables_are_reported() {
    let settings = environment(&[
        ("UEAUTH_SERVER__LISEN", "1"),
        ("UEAUTH_PORT", "tcp://1.2.3.4"),
    ])
    .unwrap();
    let messages: Vec<_> = settings
        .check()
        .into_iter()
        .filter(|f| f.setting.is_empty())
        .collect();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].message.contains("UEAUTH_SERVER__LISEN"));
}

#[test]
fn unsafe_settings_are_found() {
    let found = |pairs: &[(&str, &str)], severity, setting| {
        let findings = environment(pairs).unwrap().check();
        findings
            .iter()
            .any(|f| f.severity == severity && f.setting == setting)
    };
    let published = ("COOKIE_KEYS", "a-long-enough-random-text,secret2");
    assert!(found(&[published], Severity::Error, "security.cookie_keys"));
    assert!(!found(
        &[published, ("NODE_ENV", "dev")],
        Severity::Error,
        "security.cookie_keys"
    ));
    assert!(found(
        &[published, ("NODE_ENV", "dev")],
        Severity::Warning,
        "security.cookie_keys"
    ));
    assert!(found(
        &[(
            "UEAUTH_SECURITY__SEALING_KEYS",
            "a-long-enough-random-text,short"
        )],
        Severity::Error,
        "security.sealing_keys"
    ));
    assert!(found(
        &[("OPEN_GROUP_REG", "1")],
        Severity::Warning,
        "groups.open_registration"
    ));
    assert!(found(
        &[("ALLOW_ROOT_CREATION", "1")],
        Severity::Warning,
        "bootstrap.allow_root_creation"
    ));
    assert!(found(
        &[("UEAUTH_SERVER__TRUSTED_PROXIES", "0.0.0.0/0")],
        Severity::Warning,
        "server.trusted_proxies"
    ));
    assert!(!found(
        &[("UEAUTH_SERVER__TRUSTED_PROXIES", "10.0.0.0/8")],
        Severity::Warning,
        "server.trusted_proxies"
    ));
    assert!(found(
        &[("UEAUTH_TLS__KEY", "k.pem")],
        Severity::Error,
        "tls.certificate"
    ));
    assert!(found(
        &[("UEAUTH_HASH__MEMORY_KIB", "7")],
        Severity::Error,
        "hash.memory_kib"
    ));
    assert!(found(
        &[("SWAGGER", "a.example")],
        Severity::Warning,
        "server.protocol"
    ));
    let first = environment(&[published, ("OPEN_GROUP_REG", "1")])
        .unwrap()
        .check();
    assert_eq!(first[0].severity, Severity::Error);
    assert!(
        first[0]
            .to_string()
            .starts_with("error: security.cookie_keys: ")
    );
}

#[test]
fn listen_forms() {
    for (text, shown) in [
        ("3000", "0.0.0.0:3000"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:2", "[::1]:2"),
        ("localhost:3", "localhost:3"),
    ] {
        assert_eq!(text.parse::<Listen>().unwrap().to_string(), shown);
    }
    assert_eq!(
        "/run/x.sock".parse(),
        Ok(Listen::Unix("/run/x.sock".into()))
    );
    for text in ["", ":3000", "a b:1", "h:", "h:70000", "::1"] {
        assert!(text.parse::<Listen>().is_err(), "{text}");
    }
}

#[test]
fn hole_only_known_names_of_environments_loosen_what_is_checked() {
    for (name, production) in [
        ("production", true),
        ("prod", true),
        ("Production", true),
        ("qa", true),
        ("development", false),
        ("dev", false),
        ("test", false),
    ] {
        let settings = environment(&[("NODE_ENV", name)]).unwrap();
        assert_eq!(settings.is_production(), production, "{name}");
    }
}

#[test]
fn settings_that_would_do_nothing_are_named() {
    for (pairs, setting, error) in [
        (
            vec![("UEAUTH_LOGGING__LEVEL", "foo==bar,,[")],
            "logging.level",
            true,
        ),
        (
            vec![
                ("UEAUTH_SERVER__LISTEN", "/tmp/a.sock"),
                ("UEAUTH_TLS__CERTIFICATE", "a.pem"),
                ("UEAUTH_TLS__KEY", "a.pem"),
            ],
            "tls.certificate",
            true,
        ),
        (
            vec![("UEAUTH_BOOTSTRAP__SETUP_CODE", "a-code-that-is-long")],
            "bootstrap.setup_code",
            false,
        ),
    ] {
        let found = environment(&pairs).unwrap().check();
        let one = found.iter().find(|finding| finding.setting == setting);
        let severity = one.map(|finding| finding.severity);
        let wanted = if error {
            Severity::Error
        } else {
            Severity::Warning
        };
        assert_eq!(severity, Some(wanted), "{setting}");
    }
}
