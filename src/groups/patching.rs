//! Changing a group with JSON Patch: who may change what, and which settings need each other.

use serde_json::Value as Json;

use crate::accounts::{Account, passwords};
use crate::app::App;
use crate::groups::bootstrap::ROOT;
use crate::groups::model::{GroupConfig, MfaChallenge, PluginOptions, WebAuthn};
use crate::groups::{AuthGroup, federation, names, new_group, rules, values};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::patch::{self, PatchError, PatchRules};
use crate::http::validate::decode;
use crate::notifications::delivery::of_server;
use crate::plugins::Plugins;
use crate::store::{Object, StoreError};

/// Keys are made and replaced by operations alone.
const FROZEN: &[&str] = &["config.keys", "config.cookieKeys", "config.retiredKeys"];
/// Hold secrets that answers leave out, so a patch may not copy or guess them either.
const SECRET: &[&str] = &[
    "config.federate",
    "config.mfaChallenge.meta",
    "pluginOptions.webAuthN.meta",
    "pluginOptions.notification.customService.customApiKey",
];
const PROTECTED: &[&str] = &["createdAt", "associatedClient", "securityExpiration"];
const REQUIRED: &[&str] = &["modifiedAt", "modifiedBy"];
/// How often a change is computed anew because somebody else was faster.
const ATTEMPTS: usize = 8;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The id of the account or client.
    pub sub: String,
    /// Of the root group.
    pub root: bool,
}

enum Lost {
    Race,
    Store(StoreError),
}

impl From<StoreError> for Lost {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// Applies the operations to the active group.
pub async fn patch(
    app: &App,
    id: &str,
    operations: &Json,
    editor: &Editor,
) -> ApiResult<AuthGroup> {
    let groups = app.store.of::<AuthGroup>();
    for _ in 0..ATTEMPTS {
        let old = groups
            .get(id)
            .await?
            .filter(|g| g.active)
            .ok_or_else(|| ApiError::missing(id))?;
        let new = changed(app, &old, operations, editor).await?;
        let seen = as_json(&old)?;
        let written = groups
            .update(id, |group: &mut AuthGroup| {
                if serde_json::to_value(&*group).ok().as_ref() != Some(&seen) {
                    return Err(Lost::Race);
                }
                group.clone_from(&new);
                Ok(())
            })
            .await;
        match written {
            Ok(Some(group)) => {
                app.tenants.changed(id);
                return Ok(group);
            }
            Ok(None) => return Err(ApiError::missing(id)),
            Err(Lost::Race) => {}
            Err(Lost::Store(e)) => return Err(e.into()),
        }
    }
    Err(ApiError::busy(1))
}

fn as_json(group: &AuthGroup) -> ApiResult<Json> {
    serde_json::to_value(group).map_err(ApiError::internal)
}

/// What the group becomes, or why not. Nothing is written.
async fn changed(
    app: &App,
    old: &AuthGroup,
    operations: &Json,
    editor: &Editor,
) -> ApiResult<AuthGroup> {
    let before = as_json(old)?;
    let mut rules = PatchRules {
        frozen: FROZEN,
        write_only: SECRET,
        allow_ids: true,
        ..PatchRules::default()
    };
    let after = patch::apply(&before, operations, &rules).map_err(refused)?;
    let mut new: AuthGroup = decode(after)
        .map_err(|e| ApiError::validation(format!("The group would not be valid: {e}")))?;
    let plugins = crate::plugins::rules::current(app).await?;
    check_powers(old, &new, editor)?;
    check_mfa(old, &mut new, &plugins)?;
    check_passkeys(old, &mut new, &plugins)?;
    check_notifications(old, &new, of_server(app, &plugins).is_some())?;
    check_streaming(old, &new, &plugins)?;
    federation::fill_defaults(&mut new.config.federate);
    federation::keep_secrets(&old.config.federate, &mut new.config.federate);
    federation::make_pairs(app, &mut new.config.federate).await?;
    check_aliases(old, &new)?;
    check_pattern(old, &new)?;
    values::check(&before, &as_json(&new)?)?;
    // the same patch once more, now with what has always been protected
    rules = PatchRules {
        protected: PROTECTED,
        required: REQUIRED,
        allow_ids: false,
        ..rules
    };
    patch::apply(&before, operations, &rules).map_err(refused)?;
    check_owner(app, old, &new).await?;
    check_name(app, old, &mut new).await?;
    keep_what_is_not_ours(old, &mut new);
    new.modified_at = app.date();
    new.modified_by.clone_from(&editor.sub);
    Ok(new)
}

fn refused(e: PatchError) -> ApiError {
    match &e {
        PatchError::Shape(violations) => {
            let data = serde_json::to_value(violations).unwrap_or_default();
            ApiError::validation(e.to_string()).data(data)
        }
        PatchError::Failed(message) => ApiError::bad_request(message.clone()),
        PatchError::Protected { .. } | PatchError::Required { .. } => {
            ApiError::validation(e.to_string())
        }
        PatchError::Forbidden { .. } => ApiError::forbidden(e.to_string()),
    }
}

/// Ownership and the group's being active decide over everybody in it.
fn check_powers(old: &AuthGroup, new: &AuthGroup, editor: &Editor) -> ApiResult<()> {
    let in_charge = editor.root || editor.sub == old.owner;
    if !in_charge && (new.owner != old.owner || new.active != old.active) {
        return Err(ApiError::forbidden(
            "Only the owner of the group and the root group may change owner and active",
        ));
    }
    if old.pretty_name == ROOT && (!new.active || new.pretty_name != ROOT) {
        return Err(ApiError::forbidden(
            "The root group keeps its prettyName and stays active",
        ));
    }
    Ok(())
}

fn offers(providers: &[Object], kind: &str) -> bool {
    providers.iter().any(|p| {
        p.get_str("type")
            .is_some_and(|t| t.eq_ignore_ascii_case(kind))
    })
}

/// Credentials at the provider, as its own set-up would have left them.
fn has_credentials(meta: Option<&Object>) -> bool {
    meta.is_some_and(|m| {
        ["privakeyClient", "privakeySecret"]
            .iter()
            .all(|name| m.get_str(name).is_some_and(|t| !t.is_empty()))
    })
}

fn check_mfa(old: &AuthGroup, new: &mut AuthGroup, plugins: &Plugins) -> ApiResult<()> {
    let was = old.config.mfa_challenge.enable;
    let mfa = &mut new.config.mfa_challenge;
    if was && !mfa.enable {
        *mfa = MfaChallenge::default();
    }
    if was || !mfa.enable {
        return Ok(());
    }
    let kind = mfa
        .kind
        .as_deref()
        .filter(|k| !k.is_empty())
        .ok_or_else(|| ApiError::bad_request("MFA type is required"))?;
    let global = &plugins.mfa_challenge;
    if !global.enabled || global.providers.is_empty() {
        return Err(ApiError::bad_request(
            "Unable to enable MFA until the Admin provides this feature",
        ));
    }
    if !offers(&global.providers, kind) {
        return Err(ApiError::bad_request(format!(
            "The Admin does not provide MFA of type {kind}"
        )));
    }
    if kind.eq_ignore_ascii_case("privakeysuper") && !has_credentials(mfa.meta.as_ref()) {
        return Err(ApiError::failed_dependency(
            "This server can not register the group with the provider; send privakeyClient and privakeySecret in meta",
        ));
    }
    Ok(())
}

fn check_passkeys(old: &AuthGroup, new: &mut AuthGroup, plugins: &Plugins) -> ApiResult<()> {
    let was = old.plugin_options.web_authn.enable;
    let passkeys = &mut new.plugin_options.web_authn;
    if was && !passkeys.enable {
        *passkeys = WebAuthn::default();
    }
    if was || !passkeys.enable {
        return Ok(());
    }
    let kind = passkeys
        .kind
        .as_deref()
        .filter(|k| !k.is_empty())
        .ok_or_else(|| ApiError::bad_request("WebAuthN type is required"))?;
    let global = &plugins.web_authn;
    if !global.enabled || global.providers.is_empty() {
        return Err(ApiError::bad_request(
            "Unable to enable WebAuthN until the Admin provides this feature",
        ));
    }
    if !offers(&global.providers, kind) {
        return Err(ApiError::bad_request(format!(
            "The Admin does not provide WebAuthN of type {kind}"
        )));
    }
    if kind.eq_ignore_ascii_case("privakey") && !has_credentials(passkeys.meta.as_ref()) {
        return Err(ApiError::failed_dependency(
            "This server can not register the group with the provider; send privakeyClient and privakeySecret in meta",
        ));
    }
    Ok(())
}

/// `possible`: notifications are on for the whole server.
fn check_notifications(old: &AuthGroup, new: &AuthGroup, possible: bool) -> ApiResult<()> {
    let (was, is) = (
        old.plugin_options.notification.enabled,
        new.plugin_options.notification.enabled,
    );
    if is && !was && !possible {
        return Err(ApiError::switched_off(
            "The Service Admin has not enabled Global Notifications. This options is not currently possible for Auth Groups. Contact your admin to activate this feature.",
        ));
    }
    if is {
        return Ok(());
    }
    let config = &new.config;
    let needs = if config.auto_verify {
        "autoVerify"
    } else if config.password_less_support {
        "passwordLessSupport"
    } else if !new.locked && config.require_verified {
        "requireVerified in a group that is not locked"
    } else {
        return Ok(());
    };
    Err(ApiError::switched_off(format!(
        "{needs} needs the notifications of the group; enable them first"
    )))
}

fn check_streaming(old: &AuthGroup, new: &AuthGroup, plugins: &Plugins) -> ApiResult<()> {
    let (was, is) = (
        old.plugin_options.external_streaming.enabled,
        new.plugin_options.external_streaming.enabled,
    );
    if is && !was && !plugins.event_stream.enabled {
        return Err(ApiError::switched_off(
            "The Admin has not enabled event streams",
        ));
    }
    if was && !is && plugins.event_stream.provider.lock_streaming_once_active {
        return Err(ApiError::switched_off(
            "Event streams can not be switched off once they are active",
        ));
    }
    Ok(())
}

fn check_aliases(old: &AuthGroup, new: &AuthGroup) -> ApiResult<()> {
    for (name, before, after) in [
        ("aliasDnsUi", &old.alias_dns_ui, &new.alias_dns_ui),
        ("aliasDnsOIDC", &old.alias_dns_oidc, &new.alias_dns_oidc),
    ] {
        if before != after {
            return Err(ApiError::bad_request(format!(
                "{name} cannot be edited form this API"
            )));
        }
    }
    Ok(())
}

fn check_pattern(old: &AuthGroup, new: &AuthGroup) -> ApiResult<()> {
    let policy = &new.config.password_policy;
    let before = &old.config.password_policy.pattern.custom;
    match &policy.pattern.custom {
        Some(custom)
            if policy.enabled
                && Some(custom) != before.as_ref()
                && !passwords::compiles(custom) =>
        {
            Err(ApiError::bad_request(
                "A custom regular expression password policy was added but did not compile",
            ))
        }
        _ => Ok(()),
    }
}

async fn check_owner(app: &App, old: &AuthGroup, new: &AuthGroup) -> ApiResult<()> {
    if new.owner == old.owner {
        return Ok(());
    }
    let heir = app.store.of::<Account>().get(&new.owner).await?;
    if heir.is_some_and(|a| a.auth_group == old.id && a.is_usable()) {
        Ok(())
    } else {
        Err(ApiError::bad_request(
            "The new owner must be an active account of the group",
        ))
    }
}

async fn check_name(app: &App, old: &AuthGroup, new: &mut AuthGroup) -> ApiResult<()> {
    if new.name != old.name && names::is_reserved(&new.name) {
        return Err(ApiError::forbidden("Protected Namespace"));
    }
    if new.pretty_name == old.pretty_name {
        return Ok(());
    }
    if new.pretty_name.is_empty() {
        new.pretty_name.clone_from(&new.id);
    }
    let name = new.pretty_name.as_str();
    if !new_group::is_alias(name) {
        return Err(ApiError::validation(
            "prettyName must match pattern \"^[a-zA-Z0-9-_]*$\"",
        ));
    }
    if names::is_reserved(name) {
        return Err(ApiError::forbidden("Protected Namespace"));
    }
    if rules::is_taken(app, name, Some(&old.id)).await? {
        return Err(ApiError::conflict(format!(
            "The prettyName {name} is taken"
        )));
    }
    Ok(())
}

/// Fields this server does not know stay as they are stored, and a patch adds none. What a patch
/// leaves alone keeps its stored types, which JSON can not express.
fn keep_what_is_not_ours(old: &AuthGroup, new: &mut AuthGroup) {
    new.extra = old.extra.clone();
    new.version = old.version;
    keep_if_equal(&old.metadata, &mut new.metadata);
    keep_config(&old.config, &mut new.config);
    keep_options(&old.plugin_options, &mut new.plugin_options);
}

fn keep_if_equal<T: serde::Serialize + Clone>(old: &T, new: &mut T) {
    let json = |value: &T| serde_json::to_value(value).ok();
    if json(old) == json(new) {
        new.clone_from(old);
    }
}

fn keep_config(old: &GroupConfig, new: &mut GroupConfig) {
    new.keys.clone_from(&old.keys);
    new.cookie_keys.clone_from(&old.cookie_keys);
    new.retired_keys.clone_from(&old.retired_keys);
    new.extra = old.extra.clone();
    new.failed_login_thresholds.extra = old.failed_login_thresholds.extra.clone();
    new.password_policy.extra = old.password_policy.extra.clone();
    new.password_policy.pattern.extra = old.password_policy.pattern.extra.clone();
    new.ui.extra = old.ui.extra.clone();
    new.ui.skin.extra = old.ui.skin.extra.clone();
    new.ttl.extra = old.ttl.extra.clone();
    new.log_event_groups.extra = old.log_event_groups.extra.clone();
    new.federate.extra = old.federate.extra.clone();
    new.mfa_challenge.extra = old.mfa_challenge.extra.clone();
    keep_if_equal(&old.ui, &mut new.ui);
    keep_if_equal(&old.federate, &mut new.federate);
    keep_if_equal(&old.mfa_challenge, &mut new.mfa_challenge);
}

fn keep_options(old: &PluginOptions, new: &mut PluginOptions) {
    const SERVICE: &[&str] = &["url", "clientId", "customApiKey"];
    new.extra = old.extra.clone();
    new.external_streaming.extra = old.external_streaming.extra.clone();
    new.web_authn.extra = old.web_authn.extra.clone();
    new.notification.extra = old.notification.extra.clone();
    let before = &old.notification.custom_service.extra;
    let mut service: Object = new
        .notification
        .custom_service
        .extra
        .iter()
        .filter(|(name, _)| SERVICE.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in before.iter() {
        if !SERVICE.contains(&name.as_str()) {
            service.insert(name.clone(), value.clone());
        }
    }
    new.notification.custom_service.extra = service;
    keep_if_equal(&old.notification, &mut new.notification);
    keep_if_equal(&old.web_authn, &mut new.web_authn);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(more: Json) -> AuthGroup {
        let mut value =
            json!({ "_id": "g", "owner": "me", "name": "n", "prettyName": "p", "active": true });
        for (name, member) in more.as_object().unwrap() {
            value[name] = member.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn plugins(more: Json) -> Plugins {
        let mut value = json!({ "_id": "1", "createdBy": "x", "version": 1 });
        for (name, member) in more.as_object().unwrap() {
            value[name] = member.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn status(result: ApiResult<()>) -> u16 {
        result.err().map_or(200, |e| e.status.as_u16())
    }

    #[test]
    fn only_owner_and_root_hand_the_group_over() {
        let (old, new) = (group(json!({})), group(json!({ "owner": "you" })));
        let by = |sub: &str, root: bool| {
            let editor = Editor {
                sub: sub.to_owned(),
                root,
            };
            status(check_powers(&old, &new, &editor))
        };
        assert_eq!(
            (by("me", false), by("x", true), by("you", false)),
            (200, 200, 403)
        );
        let root = group(json!({ "prettyName": "root" }));
        let off = group(json!({ "prettyName": "root", "active": false }));
        let editor = Editor {
            sub: "me".to_owned(),
            root: true,
        };
        assert_eq!(status(check_powers(&root, &off, &editor)), 403);
    }

    #[test]
    fn mfa_needs_a_type_that_is_offered() {
        let old = group(json!({}));
        let on = |mfa: Json, global: Json| {
            let mut new = group(json!({ "config": { "mfaChallenge": mfa } }));
            status(check_mfa(
                &old,
                &mut new,
                &plugins(json!({ "mfaChallenge": global })),
            ))
        };
        let global = json!({ "enabled": true, "providers": [{ "type": "HTTP-proxy" }, { "type": "privakeysuper" }] });
        assert_eq!(on(json!({ "enable": true }), global.clone()), 400);
        assert_eq!(
            on(json!({ "enable": true, "type": "http-proxy" }), json!({})),
            400
        );
        assert_eq!(
            on(json!({ "enable": true, "type": "other" }), global.clone()),
            400
        );
        assert_eq!(
            on(
                json!({ "enable": true, "type": "privakeySuper" }),
                global.clone()
            ),
            424
        );
        assert_eq!(
            on(
                json!({ "enable": true, "type": "http-proxy", "meta": {} }),
                global
            ),
            200
        );
    }

    #[test]
    fn switching_mfa_off_forgets_the_provider() {
        let old = group(
            json!({ "config": { "mfaChallenge": { "enable": true, "type": "http-proxy", "meta": { "a": 1 } } } }),
        );
        let mut new = old.clone();
        new.config.mfa_challenge.enable = false;
        check_mfa(&old, &mut new, &plugins(json!({}))).unwrap();
        let mfa = &new.config.mfa_challenge;
        assert!(mfa.kind.is_none() && mfa.meta.is_none() && mfa.no_pass_login);
    }

    #[test]
    fn mails_need_notifications() {
        let old = group(json!({}));
        let with = |config: Json, locked: bool| {
            let new = group(json!({ "config": config, "locked": locked }));
            status(check_notifications(&old, &new, false))
        };
        assert_eq!(with(json!({}), false), 200);
        assert_eq!(with(json!({ "autoVerify": true }), true), 405);
        assert_eq!(with(json!({ "passwordLessSupport": true }), true), 405);
        assert_eq!(with(json!({ "requireVerified": true }), false), 405);
        assert_eq!(with(json!({ "requireVerified": true }), true), 200);
        let on = group(json!({ "pluginOptions": { "notification": { "enabled": true } } }));
        assert_eq!(status(check_notifications(&old, &on, false)), 405);
        assert_eq!(status(check_notifications(&old, &on, true)), 200);
    }

    #[test]
    fn unknown_fields_are_neither_added_nor_lost() {
        let mut old = group(json!({ "legacy": 1, "config": { "ttl": { "odd": 5 } } }));
        old.metadata = Some(
            [("at".to_owned(), crate::store::Date::from_millis(5).into())]
                .into_iter()
                .collect(),
        );
        let mut new: AuthGroup =
            serde_json::from_value(serde_json::to_value(&old).unwrap()).unwrap();
        new.extra = Object::default();
        new.extra.insert("added", 2);
        new.config.ttl.extra = Object::default();
        keep_what_is_not_ours(&old, &mut new);
        assert_eq!(new.extra.to_json(), json!({ "legacy": 1 }));
        assert!(new.config.ttl.extra.contains_key("odd"));
        assert_eq!(new.metadata, old.metadata);
    }
}
