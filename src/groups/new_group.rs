//! Registering a group: what may be asked for, what it becomes, and its registration token.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};

use crate::app::App;
use crate::gate::tokens::{self, NewIat};
use crate::groups::bootstrap::ROOT;
use crate::groups::model::{GroupConfig, MfaChallenge, PluginOptions, system_admin};
use crate::groups::platform_client::with_scheme;
use crate::groups::{AuthGroup, federation, keys, names, rules};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{decode, is_email};
use crate::notifications::delivery::of_server;
use crate::oidc::records::Purpose;
use crate::store::{Date, Object};

/// Beyond the group's own life, so that the token never is what runs out first (s).
const TOKEN_MARGIN: i64 = 86_400;
/// Longest alias: it becomes part of cookie names.
const LONGEST_ALIAS: usize = 128;

/// Letters, digits, `-` and `_`; may be empty.
pub fn is_alias(text: &str) -> bool {
    text.len() <= LONGEST_ALIAS
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A group that waits for its owner.
pub struct Registered {
    pub group: AuthGroup,
    /// Activates the group.
    pub token: String,
    /// Why the owner was not told, if so.
    pub warning: Option<Json>,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered")
            .field("group", &self.group.id)
            .finish_non_exhaustive()
    }
}

/// The group without its registration token, as the first start makes it.
pub(super) async fn root(app: &App, email: &str) -> ApiResult<AuthGroup> {
    let start = &app.settings.bootstrap;
    let mut group = blank(app, ROOT, email).await?;
    ROOT.clone_into(&mut group.pretty_name);
    group.locked = true;
    group.primary_domain = Some(normal_domain(&start.primary_domain));
    group.primary_tos = Some(start.terms_url.clone());
    group.primary_privacy_policy = Some(start.privacy_url.clone());
    Ok(group)
}

/// A waiting group with keys and defaults; its alias is its id.
async fn blank(app: &App, name: &str, owner: &str) -> ApiResult<AuthGroup> {
    let now = app.date();
    let life = i64::try_from(app.settings.groups.activation_seconds.get()).unwrap_or(i64::MAX);
    let id = app.random.id21();
    let mut config = GroupConfig {
        keys: keys::signing().await?,
        cookie_keys: keys::cookies(&app.random),
        ..GroupConfig::default()
    };
    config
        .ui
        .skin
        .bg_gradient_low
        .clone_from(&app.settings.ui.gradient_low);
    config
        .ui
        .skin
        .bg_gradient_high
        .clone_from(&app.settings.ui.gradient_high);
    let mut plugin_options = PluginOptions::default();
    plugin_options.external_streaming.enabled = app.settings.groups.external_streaming;
    Ok(AuthGroup {
        pretty_name: id.clone(),
        id,
        created_at: now,
        modified_at: now,
        modified_by: system_admin(),
        security_expiration: Some(Date::from_millis(
            now.as_millis().saturating_add(life.saturating_mul(1000)),
        )),
        active: false,
        owner: owner.to_owned(),
        name: name.to_owned(),
        metadata: None,
        primary_domain: None,
        primary_tos: None,
        primary_privacy_policy: None,
        register_url: None,
        primary_email: None,
        alias_dns_ui: None,
        alias_dns_oidc: None,
        config,
        plugin_options,
        locked: false,
        associated_client: None,
        version: 0,
        extra: Object::default(),
    })
}

/// Percent-decoded, with a scheme.
fn normal_domain(text: &str) -> String {
    with_scheme(percent_decode_str(text).decode_utf8_lossy().trim())
}

/// Names of the service itself, which no tenant may bear.
fn check_names(app: &App, name: &str, alias: &str) -> ApiResult<()> {
    let own = &app.settings.bootstrap;
    let protected = name == own.platform_name
        || name == own.company_name
        || name.eq_ignore_ascii_case(ROOT)
        || names::is_reserved(alias);
    if protected {
        return Err(ApiError::forbidden("Protected Namespace"));
    }
    Ok(())
}

/// Before anything is looked up: 428 without a name, 403 for names of the service.
pub fn check_requested_names(app: &App, body: &Json) -> ApiResult<()> {
    let name = text(body, "name").unwrap_or_default();
    if name.trim().is_empty() {
        return Err(ApiError::precondition_required("name is required"));
    }
    let alias = text(body, "prettyName").unwrap_or_default();
    check_names(app, name.trim(), alias.trim())
}

fn text<'a>(body: &'a Json, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Json::as_str)
}

/// Registers a group. The body has the right shape; whether the caller may is decided.
pub async fn create(app: &App, body: &Json) -> ApiResult<Registered> {
    let owner = text(body, "owner").unwrap_or_default().trim();
    if !is_email(owner) {
        return Err(ApiError::validation(
            "owner must be the e-mail address of the first account",
        ));
    }
    let alias = text(body, "prettyName").unwrap_or_default();
    if !alias.is_empty() && rules::is_taken(app, alias, None).await? {
        return Err(ApiError::conflict(format!(
            "The prettyName {alias} is taken"
        )));
    }
    let plugins = crate::plugins::rules::current(app).await?;
    let told = of_server(app, &plugins).is_some() && app.settings.ui.registration_url.is_some();
    let name = text(body, "name").unwrap_or_default();
    let mut group = blank(app, name, owner).await?;
    fill(&mut group, body)?;
    settle(&mut group, body, told);
    federation::fill_defaults(&mut group.config.federate);
    federation::make_pairs(app, &mut group.config.federate).await?;
    app.store.of::<AuthGroup>().insert(&group).await?;
    app.tenants.changed(&group.id);
    let life = i64::try_from(app.settings.groups.activation_seconds.get()).unwrap_or(i64::MAX);
    let token = tokens::mint(
        app,
        Purpose::GroupActivation,
        NewIat {
            group: group.id.clone(),
            life: life.saturating_add(TOKEN_MARGIN),
            ..NewIat::default()
        },
    )
    .await;
    match token {
        Ok(record) => Ok(Registered {
            warning: tell_owner(app, &group, &record.id, told).await,
            token: record.id,
            group,
        }),
        Err(e) => {
            if let Err(cause) = app.store.of::<AuthGroup>().delete(&group.id).await {
                tracing::warn!(%cause, "a group without registration token stays until it expires");
            }
            app.tenants.changed(&group.id);
            Err(e.into())
        }
    }
}

/// Mails the owner the registration token; why not, if not.
async fn tell_owner(app: &App, group: &AuthGroup, token: &str, told: bool) -> Option<Json> {
    if !told {
        let off = "Owner will not get a notification, global settings are not enabled";
        return Some(off.into());
    }
    let sent = crate::notifications::messages::group_registered(app, group, token).await;
    sent.err().map(|e| {
        serde_json::json!({
            "message": "The owner was not notified; pass the initial access token on yourself",
            "info": e.message,
        })
    })
}

/// Takes over what was asked for, above the defaults.
fn fill(group: &mut AuthGroup, body: &Json) -> ApiResult<()> {
    let take = |name: &str| text(body, name).map(ToOwned::to_owned);
    if let Some(alias) = take("prettyName").filter(|a| !a.is_empty()) {
        group.pretty_name = alias;
    }
    group.primary_domain = take("primaryDomain").map(|d| normal_domain(&d));
    group.primary_tos = take("primaryTOS");
    group.primary_privacy_policy = take("primaryPrivacyPolicy");
    group.primary_email = take("primaryEmail");
    group.register_url = take("registerUrl");
    group.locked = body.get("locked").and_then(Json::as_bool) == Some(true);
    group.metadata = body.get("metadata").and_then(Object::from_json);
    if let Some(asked) = body.get("config") {
        let mut config: GroupConfig = overlay(&group.config, asked, "config")?;
        // the shape admits no keys, so these are the new ones
        config.keys = std::mem::take(&mut group.config.keys);
        config.cookie_keys = std::mem::take(&mut group.config.cookie_keys);
        group.config = config;
    }
    if let Some(asked) = body.get("pluginOptions") {
        group.plugin_options = overlay(&group.plugin_options, asked, "pluginOptions")?;
    }
    Ok(())
}

/// The defaults with the members that were asked for; wrong types are a 400.
fn overlay<T: serde::Serialize + serde::de::DeserializeOwned>(
    defaults: &T,
    asked: &Json,
    what: &str,
) -> ApiResult<T> {
    let mut merged = serde_json::to_value(defaults).map_err(ApiError::internal)?;
    merge(&mut merged, asked);
    decode(merged)
        .map_err(|e| ApiError::validation(format!("{what} has a member of the wrong type: {e}")))
}

fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Settings that depend on each other or can not be had at registration.
fn settle(group: &mut AuthGroup, body: &Json, told: bool) {
    let asked: &Map<String, Json> = &body
        .get("config")
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    if told {
        group.config.password_less_support = true;
        group.plugin_options.notification.enabled = true;
    }
    if !group.plugin_options.notification.enabled && !asked.is_empty() {
        group.config.password_less_support = false;
        if body.get("locked").and_then(Json::as_bool) == Some(false) {
            group.config.require_verified = false;
            group.config.auto_verify = false;
        }
    }
    let streaming = body
        .pointer("/pluginOptions/externalStreaming/enabled")
        .and_then(Json::as_bool);
    if streaming == Some(true) {
        group.plugin_options.external_streaming.enabled = false;
    }
    // both need a provider to be set up, which a change of the active group does
    group.config.mfa_challenge = MfaChallenge {
        enable: false,
        ..group.config.mfa_challenge.clone()
    };
    group.plugin_options.web_authn.enable = false;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::groups::shape::check;

    #[test]
    fn the_body_must_be_complete_and_may_hold_nothing_else() {
        let good = json!({ "name": "A", "owner": "a@b.test", "prettyName": "", "primaryDomain": "a.test", "primaryEmail": "a@b.test" });
        assert!(check(&good).is_ok());
        let with = |name: &str, value: Json| {
            let mut body = good.clone();
            body[name] = value;
            check(&body).map_err(|e| e.message)
        };
        assert!(with("prettyName", json!("Ok_1-")).is_ok());
        assert!(
            with("prettyName", json!("a b"))
                .unwrap_err()
                .contains("must match pattern")
        );
        assert!(with("config", json!({ "keys": [] })).is_err());
        assert!(with("active", json!(true)).is_err());
        for (name, value) in [
            ("config", json!({ "ttl": { "session": -1 } })),
            ("config", json!({ "ttl": [] })),
            ("config", json!({ "ui": { "skin": [] } })),
            ("config", json!({ "mfaChallenge": { "type": null } })),
            (
                "config",
                json!({ "passwordPolicy": { "pattern": { "custom": "(" } } }),
            ),
            (
                "config",
                json!({ "failedLoginThresholds": { "threshold": -1 } }),
            ),
            ("pluginOptions", json!({ "webAuthN": { "meta": [] } })),
            ("primaryTOS", json!("javascript:alert(1)")),
            ("registerUrl", json!("javascript:alert(1)")),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name} {value}");
        }
        let saml = json!({ "federate": { "saml": [{ "name": "s", "provider": "custom", "idpCertificates": ["c"], "ssoLoginUrl": "u", "ssoLogoutUrl": "u" }] } });
        assert!(with("config", saml.clone()).is_ok());
        let mut planted = saml;
        planted["federate"]["saml"][0]["spPrivateKey"] = json!("x");
        assert!(with("config", planted).is_err());
        assert!(check(&json!({})).unwrap_err().message.contains("'name'"));
    }

    #[test]
    fn domains_get_a_scheme() {
        assert_eq!(normal_domain("a.test"), "https://a.test");
        assert_eq!(normal_domain("http://a.test"), "http://a.test");
        assert_eq!(normal_domain("https%3A%2F%2Fa.test"), "https://a.test");
    }

    #[test]
    fn nested_settings_leave_their_neighbours_alone() {
        let merged: GroupConfig = overlay(
            &GroupConfig::default(),
            &json!({ "ttl": { "idToken": 60 }, "passwordPolicy": { "pattern": { "caps": true } } }),
            "config",
        )
        .unwrap();
        assert_eq!(merged.ttl.id_token.as_i64(), Some(60));
        assert_eq!(merged.ttl.grant.as_i64(), Some(864_000));
        assert!(merged.password_policy.enabled && merged.password_policy.pattern.caps);
        let wrong = overlay(
            &GroupConfig::default(),
            &json!({ "ttl": { "idToken": [] } }),
            "config",
        );
        assert_eq!(wrong.unwrap_err().status.as_u16(), 400);
    }
}
