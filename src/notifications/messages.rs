//! Messages that more than one room sends.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::gate::tokens::{self, NewIat};
use crate::groups::model::AuthGroup;
use crate::groups::{Tenant, tenant};
use crate::http::error::ApiResult;
use crate::notifications::model::{Kind, New};
use crate::notifications::rules::{IfRefused, send, send_all};
use crate::oidc::records::Purpose;
use crate::organizations::Organization;

/// Life (s) of a link to verify an address or to set a password.
const ACTION_LIFE: i64 = 900;
/// Life (s) of a link to lock an account, or to list the groups of an address.
const NOTICE_LIFE: i64 = 7200;
/// Life (s) of a mailed code; a minute more than people are told.
const DEVICE_CODE_LIFE: i64 = 360;
/// Hexadecimal characters that tie a link to its token.
const TIE: usize = 20;

/// A link that lets the holder of an account's address act for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Verify,
    ResetPassword,
}

/// Who asks for a message and how it shall go out.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// What goes into `createdBy`.
    pub by: String,
    /// The alias host of the request, if it came in on one.
    pub custom_domain: Option<String>,
    /// `email`, `sms`; if empty, those the account can be reached by.
    pub formats: Vec<String>,
    pub if_refused: IfRefused,
}

/// A message and the token that its link carries.
struct Prepared {
    message: New,
    token: String,
}

/// Sends messages in this order. Their tokens die with the one that is refused.
async fn send_prepared(
    app: &App,
    group: &AuthGroup,
    prepared: Vec<Prepared>,
    if_refused: IfRefused,
) -> ApiResult<()> {
    let (messages, tokens): (Vec<_>, Vec<_>) =
        prepared.into_iter().map(|p| (p.message, p.token)).unzip();
    let sent = send_all(app, group, messages, if_refused).await;
    if sent.is_err() {
        for token in &tokens {
            tokens::consume(app, token).await?;
        }
    }
    sent
}

/// Mails the account a link with a fresh token. Whether notifications are on for the group is the
/// caller's to check.
pub async fn account_action(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    action: Action,
    sender: Sender,
) -> ApiResult<()> {
    let if_refused = sender.if_refused;
    let link = action_link(app, tenant, account, action, sender).await?;
    send_prepared(app, &tenant.group, vec![link], if_refused).await
}

/// Warns the account, then mails it a link to set a new password.
pub async fn password_reset(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    sender: Sender,
) -> ApiResult<()> {
    let if_refused = sender.if_refused;
    let both = vec![
        warning(app, tenant, account).await?,
        action_link(app, tenant, account, Action::ResetPassword, sender).await?,
    ];
    send_prepared(app, &tenant.group, both, if_refused).await
}

/// Tells the account that somebody is about to change how it is signed in to, with a link that
/// locks it.
pub async fn lock_notice(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<()> {
    let notice = warning(app, tenant, account).await?;
    send_prepared(app, &tenant.group, vec![notice], IfRefused::Fail).await
}

/// Sends the account a code that lets it bind another device.
pub async fn device_code(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    state: &str,
) -> ApiResult<()> {
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: DEVICE_CODE_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        uid: Some(state.to_owned()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::DeviceCode, new).await?.id;
    let name = &tenant.group.name;
    let message = New {
        kind: Kind::General,
        created_by: account.id.clone(),
        formats: vec!["email".to_owned()],
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        subject: Some(format!("{name} - Your code")),
        message: Some(format!(
            "Somebody, probably you, is setting up another device for your account at '{name}'. This code proves that it is you; it works once, within five minutes. Give it to nobody.\n{token}"
        )),
        good_for: Some(DEVICE_CODE_LIFE),
        ..New::default()
    };
    let code = Prepared { message, token };
    send_prepared(app, &tenant.group, vec![code], IfRefused::Fail).await
}

async fn action_link(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    action: Action,
    sender: Sender,
) -> ApiResult<Prepared> {
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: ACTION_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::AccountAction, new).await?.id;
    let message = about(app, tenant, account, action, sender, &token);
    Ok(Prepared { message, token })
}

fn about(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    action: Action,
    sender: Sender,
    token: &str,
) -> New {
    let name = &tenant.group.name;
    let origin = tenant::origin(app, sender.custom_domain.as_deref());
    let base = format!("{origin}/{}", tenant.id());
    let (kind, path, subject, message) = match action {
        Action::Verify => (
            Kind::Verify,
            format!("verifyaccount?code={token}&user={}", account.id),
            format!("{name} - Verify your account"),
            format!(
                "There is an account for you at '{name}'. Follow the link to confirm your address and to choose a password."
            ),
        ),
        Action::ResetPassword => (
            Kind::ForgotPassword,
            format!("forgotpassword?code={token}"),
            format!("{name} - Reset your password"),
            "You or an administrator asked for a new password. Follow the link to choose one."
                .to_owned(),
        ),
    };
    let body = json!([
        { "op": "replace", "path": "/password", "value": "NEW-PASSWORD-HERE" },
        { "op": "replace", "path": "/verified", "value": true },
    ]);
    let api = format!("{origin}/api/{}/account/{}", tenant.id(), account.id);
    New {
        kind,
        created_by: sender.by,
        screen_url: Some(format!("{base}/{path}")),
        iss: Some(base),
        formats: sender.formats,
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        recipient_sms: account.phone.as_ref().and_then(|p| p.txt.clone()),
        subject: Some(subject),
        message: Some(message),
        meta: Some(meta("PATCH", token, &api, &body)),
        good_for: Some(ACTION_LIFE),
        ..New::default()
    }
}

async fn warning(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<Prepared> {
    let group = &tenant.group;
    let uid = app.random.hex(TIE);
    let new = NewIat {
        group: group.id.clone(),
        life: NOTICE_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        uid: Some(uid.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::LockNotice, new).await?.id;
    let alias = group.alias_dns_oidc.as_deref().filter(|h| !h.is_empty());
    let base = tenant.issuer(app, alias);
    let message = New {
        kind: Kind::General,
        created_by: account.id.clone(),
        screen_url: Some(format!("{base}/interaction/{uid}/lockaccount?code={token}")),
        iss: Some(base),
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        recipient_sms: account.phone.as_ref().and_then(|p| p.txt.clone()),
        subject: Some(format!("{} - Is this you?", group.name)),
        message: Some(format!(
            "Somebody asked for a new password, new recovery codes or another device for your account at '{}'. If it was you, there is nothing to do.\nIf it was not you, change your passwords here and at your e-mail provider. If you think that somebody can use your account, lock it with the link: nobody can sign in then, you included, until you unlock it with your recovery codes or an administrator does. The link works for two hours.",
            group.name,
        )),
        good_for: Some(NOTICE_LIFE),
        ..New::default()
    };
    Ok(Prepared { message, token })
}

/// What a mailed link proves the account for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Making a passkey on the page that has the state.
    Passkey { state: &'a str },
    /// Setting up a device on the page that has the state.
    Device { state: &'a str },
    /// Signing in, in that interaction.
    SignIn { interaction: &'a str },
}

/// Mails the account a link that proves it.
pub async fn proof_link(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    proof: Proof<'_>,
    custom_domain: Option<&str>,
) -> ApiResult<()> {
    let (purpose, state, uid) = match proof {
        Proof::Passkey { state } | Proof::Device { state } => (Purpose::StepUp, Some(state), None),
        Proof::SignIn { interaction } => (Purpose::MagicLink, None, Some(interaction)),
    };
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: ACTION_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        state: state.map(ToOwned::to_owned),
        uid: uid.map(ToOwned::to_owned),
        ..NewIat::default()
    };
    let token = tokens::mint(app, purpose, new).await?.id;
    let base = tenant.issuer(app, custom_domain);
    let name = &tenant.group.name;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("token", &token);
    let (path, subject, message) = match proof {
        Proof::Passkey { state } => {
            query.append_pair("state", state);
            (
                "passkey".to_owned(),
                format!("{name} - Set up a passkey"),
                format!(
                    "Somebody, probably you, wants to set up a passkey for your account at '{name}'. Follow the link on the device that shall have it. If it was not you, do nothing."
                ),
            )
        }
        Proof::Device { state } => {
            query
                .append_pair("state", state)
                .append_pair("accountId", &account.id)
                .append_pair("email", &account.email);
            (
                "recover-mfa".to_owned(),
                format!("{name} - Set up a device"),
                format!(
                    "Somebody, probably you, wants to set up a device for your account at '{name}'. Follow the link to go on. If it was not you, do nothing."
                ),
            )
        }
        Proof::SignIn { interaction } => {
            query.append_pair("sub", &account.id);
            (
                format!("interaction/{interaction}/passwordless"),
                format!("{name} - Sign in"),
                format!(
                    "Somebody, probably you, wants to sign in to your account at '{name}'. Follow the link in the browser in which you began; it works once, for a quarter of an hour. If it was not you, do nothing."
                ),
            )
        }
    };
    let message = New {
        kind: Kind::Passwordless,
        created_by: format!("proxy-{}", account.id),
        screen_url: Some(format!("{base}/{path}?{}", query.finish())),
        iss: Some(base),
        formats: vec!["email".to_owned()],
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        subject: Some(subject),
        message: Some(message),
        good_for: Some(ACTION_LIFE),
        ..New::default()
    };
    let link = Prepared { message, token };
    send_prepared(app, &tenant.group, vec![link], IfRefused::Fail).await
}

/// Sends whoever has the address or phone number a link to the list of the groups it owns.
pub async fn owned_groups(app: &App, root: &Tenant, lookup: &str) -> ApiResult<()> {
    let uid = app.random.hex(TIE);
    let new = NewIat {
        group: root.id().to_owned(),
        life: NOTICE_LIFE,
        email: Some(lookup.to_owned()),
        uid: Some(uid.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::GroupOwner, new).await?.id;
    let origin = tenant::origin(app, None);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &token)
        .append_pair("email", lookup)
        .append_pair("uid", &uid)
        .finish();
    let is_address = lookup.contains('@');
    let format = if is_address { "email" } else { "sms" };
    let message = New {
        kind: Kind::General,
        created_by: "SYSTEM".to_owned(),
        iss: Some(origin.clone()),
        formats: vec![format.to_owned()],
        recipient_email: is_address.then(|| lookup.to_owned()),
        recipient_sms: (!is_address).then(|| lookup.to_owned()),
        screen_url: Some(format!("{origin}/account/groups/recovery?{query}")),
        subject: Some("Your groups".to_owned()),
        message: Some(
            "Somebody, probably you, asked which groups you own. The link shows them for two hours."
                .to_owned(),
        ),
        good_for: Some(NOTICE_LIFE),
        ..New::default()
    };
    let link = Prepared { message, token };
    send_prepared(app, &root.group, vec![link], IfRefused::Fail).await
}

/// Tells somebody what they may do in an organization now. `fresh`: they were not in it before.
/// Nothing fails with it.
pub async fn access_given(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    organization: &Organization,
    fresh: bool,
    by: String,
) {
    let change = if fresh { "created" } else { "updated" };
    let (group, name) = (&tenant.group.name, &organization.name);
    let message = New {
        kind: Kind::General,
        created_by: by,
        iss: Some(tenant.issuer(app, None)),
        formats: vec!["email".to_owned()],
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        screen_url: Some(tenant.portal(app)),
        subject: Some(format!("Access {change} to {name} on {group}")),
        message: Some(format!(
            "Your access to '{name}' at '{group}' was {change}. Follow the link to sign in; you may be asked to accept terms."
        )),
        organization: Some(organization.id.clone()),
        ..New::default()
    };
    tell(app, tenant, message).await;
}

/// Tells somebody that what an organization keeps about them was `created`, `updated` or `deleted`,
/// if the organization wants that. Nothing fails with it.
pub async fn profile_kept(
    app: &App,
    tenant: &Tenant,
    organization: &Organization,
    account: Option<&str>,
    change: &str,
    by: String,
) {
    let (true, Some(id)) = (organization.profile_notifications, account) else {
        return;
    };
    let account = match crate::accounts::rules::find(app, tenant.id(), id).await {
        Ok(Some(account)) => account,
        Ok(None) => return,
        Err(cause) => {
            tracing::warn!(account = id, error = %cause, "not told about a profile");
            return;
        }
    };
    let (group, name) = (&tenant.group.name, &organization.name);
    let message = New {
        kind: Kind::General,
        created_by: by,
        iss: Some(tenant.issuer(app, None)),
        recipient_user_id: Some(account.id.clone()),
        recipient_email: Some(account.email.clone()),
        recipient_sms: account.phone.as_ref().and_then(|p| p.txt.clone()),
        screen_url: Some(tenant.portal(app)),
        subject: Some(format!("{group} - Your profile at {name} was {change}")),
        message: Some(format!(
            "What '{name}' keeps about you at '{group}' was {change}. Follow the link to sign in and see it."
        )),
        organization: Some(organization.id.clone()),
        ..New::default()
    };
    tell(app, tenant, message).await;
}

/// Sends a message if notifications are on; the request that caused it goes on in any case.
async fn tell(app: &App, tenant: &Tenant, message: New) {
    let sent = async {
        if crate::notifications::are_on(app, tenant).await? {
            send(app, &tenant.group, message, IfRefused::Keep).await?;
        }
        Ok::<_, crate::http::ApiError>(())
    };
    if let Err(cause) = sent.await {
        tracing::warn!(group = tenant.id(), error = %cause.message, "a notice was not stored");
    }
}

/// How to do by API what the link does.
fn meta(method: &str, token: &str, uri: &str, body: &Json) -> Json {
    let verb = if method == "POST" { "Post" } else { "Patch" };
    json!({
        "description": format!("Direct API {verb} Call"),
        "token": token,
        "apiHeader": format!("bearer {token}"),
        "apiUri": uri,
        "apiMethod": method,
        "apiBody": body,
    })
}

/// Tells the owner of a group that was just registered how to activate it.
pub async fn group_registered(app: &App, group: &AuthGroup, token: &str) -> ApiResult<()> {
    let portal = format!("https://{}/{}", app.settings.ui.host, group.pretty_name);
    let api = format!("{}/api/{}/account", tenant::origin(app, None), group.id);
    let body = json!({
        "username": group.owner, "email": group.owner, "password": "INSERT-PASSWORD-HERE",
    });
    let new = New {
        kind: Kind::General,
        created_by: group.owner.clone(),
        formats: vec!["email".to_owned()],
        recipient_email: Some(group.owner.clone()),
        screen_url: Some(format!("{portal}?code={token}")),
        subject: Some(format!("Your new group {}", group.name)),
        message: Some(format!(
            "You registered the group '{}'. Follow the link to create its first account, which activates it. Its id is \"{}\" and its alias is \"{}\"; people sign in at {portal}.",
            group.name, group.id, group.pretty_name,
        )),
        meta: Some(meta("POST", token, &api, &body)),
        ..New::default()
    };
    send(app, group, new, IfRefused::Fail).await
}
