//! Messages that more than one room sends.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::gate::tokens::{self, NewIat};
use crate::groups::model::AuthGroup;
use crate::groups::{Tenant, tenant};
use crate::http::error::ApiResult;
use crate::notifications::model::{Kind, New};
use crate::notifications::rules::{send, send_for};
use crate::oidc::records::Purpose;

/// Life (s) of a link to verify an address or to set a password.
const ACTION_LIFE: i64 = 900;

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
}

/// Mails the account a link with a fresh token. Whether notifications are on for the group is the
/// caller's to check. 424 if the service does not accept it; the token dies with the message.
pub async fn account_action(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    action: Action,
    sender: Sender,
) -> ApiResult<()> {
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: ACTION_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::AccountAction, new).await?.id;
    let message = about(app, tenant, account, action, sender, &token);
    let sent = send(app, tenant, message).await;
    if sent.is_err() {
        tokens::consume(app, &token).await?;
    }
    sent.map(drop)
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
        organization: None,
        meta: Some(meta("PATCH", token, &api, &body)),
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
    send_for(app, group, new).await.map(drop)
}
