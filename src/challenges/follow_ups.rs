//! What an answer brings about in this server, beside the request that delivered it.

use std::sync::Arc;

use ueauth_actors::{Challenge, State};

use crate::accounts::{Account, rules};
use crate::app::App;
use crate::challenges::providers;
use crate::challenges::sending::{self, Purpose, Question};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::notifications::messages::{Action, Sender, account_action};
use crate::profiles::asking;
use crate::profiles::request::ProfileRequest;

/// Mails a link to set a new password.
pub const RESET: &str = "PASSWORD_RESET";
/// Answers somebody's request for the profile.
pub const PROFILE: &str = "ue.secured.profile.access.requested";
/// Hexadecimal characters that name a question nobody waits for.
const UID: usize = 64;

/// Begins what the event stands for.
pub fn later(app: &App, group: &str, challenge: &Arc<Challenge>, event: &str) {
    let reset = event.eq_ignore_ascii_case(RESET);
    if !reset && !event.eq_ignore_ascii_case(PROFILE) {
        return;
    }
    let what = challenge.id.to_record_id();
    let Some(place) = app.slots.follow_ups.enter(group, &what) else {
        tracing::error!(group, "an answer had no effect: too many are under way");
        return;
    };
    let (app, group, challenge) = (Arc::clone(app), group.to_owned(), Arc::clone(challenge));
    tokio::spawn(async move {
        let done = place.turn(async {
            if reset {
                mail_reset(&app, &group, &challenge).await
            } else {
                answer_request(&app, &group, &challenge).await
            }
        });
        if let Err(cause) = done.await {
            let account = &challenge.id.account;
            tracing::warn!(group, account, error = %cause.message, "an answer had no effect");
        }
    });
}

async fn mail_reset(app: &App, group: &str, challenge: &Challenge) -> ApiResult<()> {
    if challenge.state != State::Approved {
        return Ok(());
    }
    let gone = || ApiError::not_found(group);
    let tenant = app.tenants.active(app, group).await?.ok_or_else(gone)?;
    let account = rules::find(app, group, &challenge.id.account).await?;
    let Some(account) = account.filter(|a| a.active && !a.blocked) else {
        return Err(gone());
    };
    let sender = Sender {
        by: format!("proxy_{}", account.id),
        custom_domain: tenant
            .group
            .alias_dns_oidc
            .clone()
            .filter(|h| !h.is_empty()),
        formats: vec!["email".to_owned()],
        ..Sender::default()
    };
    account_action(app, &tenant, &account, Action::ResetPassword, sender).await
}

/// A question that a newer one has replaced is still open on the person's page.
async fn answer_request(app: &App, group: &str, challenge: &Challenge) -> ApiResult<()> {
    if challenge.decided_by.as_deref() == Some(sending::SUPERSEDED) {
        return Ok(());
    }
    let action = match challenge.state {
        State::Approved => "approved",
        _ => "denied",
    };
    let (request, account) = (&challenge.id.uid, &challenge.id.account);
    asking::answer(app, group, request, account, Some(action)).await?;
    Ok(())
}

/// Can the account be asked on a device while nobody waits at a page?
pub async fn wants_device(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<bool> {
    if !account.mfa_enabled() || !providers::is_on(app, tenant).await? {
        return Ok(false);
    }
    Ok(!providers::of(app, tenant).await?.asks_for_code())
}

/// Asks the account's device whether it wants a new password.
pub async fn ask_for_reset(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<()> {
    let uid = app.random.hex(UID);
    let question = Question {
        event: Some(RESET),
        ..Question::own(
            tenant,
            Purpose::PasswordReset,
            &uid,
            "Password Reset",
            "Approve only if it is you who wants a new password. A link to set it is mailed then.",
        )
    };
    sending::ask(app, tenant, account, &question)
        .await
        .map(drop)
}

/// Tells the account's device of a request for the profile. The request does not fail with it.
pub async fn ask_for_profile(app: &App, tenant: &Tenant, request: &ProfileRequest) {
    let asked = async {
        let account = rules::find(app, tenant.id(), &request.target_account_id).await?;
        let account = account.filter(|a| a.my_notifications.profile_requests);
        let Some(account) = account else {
            return Ok(());
        };
        if !wants_device(app, tenant, &account).await? {
            return Ok(());
        }
        let who = request.requesting_email.as_deref().unwrap_or("Somebody");
        let body = format!("{who} asks for your profile. Approve to let them have it.");
        let question = Question {
            event: Some(PROFILE),
            ..Question::own(
                tenant,
                Purpose::ProfileRequest,
                &request.id,
                "Personal Profile Data Request",
                &body,
            )
        };
        sending::ask(app, tenant, &account, &question).await?;
        Ok::<_, ApiError>(())
    };
    if let Err(cause) = asked.await {
        tracing::warn!(group = tenant.id(), error = %cause.message, "no device was told of a request");
    }
}
