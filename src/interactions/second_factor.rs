//! The second factor of a sign-in: asking a device, waiting for it, and setting the first one up.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde_json::Value as Json;
use ueauth_actors::{ChallengeId, Status};

use crate::accounts::notices::warn_owner;
use crate::accounts::{Account, attempts, rules};
use crate::challenges::codes::{self, Verdict};
use crate::challenges::{self, Asked, Purpose, Question, providers, recovery};
use crate::gate::Ctx;
use crate::gate::tokens::{self, NewIat};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::login;
use crate::interactions::look::Look;
use crate::interactions::state::Open;
use crate::interactions::ways::Ways;
use crate::logs::{self, Code};
use crate::oidc::acr::Wanted;
use crate::oidc::records::{self, Waiting};
use crate::pages::{BindDevice, Flash, Message, Page, WaitDevice, qr};
use crate::store::Value;

/// Goes on once the account is proven by these methods: a device may have to agree.
pub async fn after_first(
    ctx: &Ctx,
    open: &Open,
    account: &Account,
    amr: &[&str],
) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let on = providers::is_on(app, tenant).await?;
    if account.mfa_enabled() && !on {
        skipped(ctx, account)?;
    }
    if !on {
        return open.signed_in(ctx, &account.id, amr).await;
    }
    let waiting = Waiting {
        account_id: account.id.clone(),
        proven: true,
        proof: Some(proof(ctx, open, account).await?),
        amr: amr.iter().map(|m| (*m).to_owned()).collect(),
        ..Waiting::default()
    };
    if account.mfa_enabled() {
        return match ask(ctx, open, account, waiting).await {
            Ok(waiting) => wait(ctx, open, &waiting, None),
            Err(e)
                if e.status == StatusCode::FAILED_DEPENDENCY && has_none(ctx, account).await? =>
            {
                none_left(ctx)
            }
            Err(e) => Err(undelivered(e)),
        };
    }
    if tenant.group.config.mfa_challenge.required || is_demanded(ctx, open)? {
        return bind(ctx, open, account, waiting, None).await;
    }
    open.signed_in(ctx, &account.id, amr).await
}

/// A token for what was proven, which ends together with the account's other proofs.
async fn proof(ctx: &Ctx, open: &Open, account: &Account) -> ApiResult<String> {
    let tenant = ctx.tenant()?;
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: tenant.ttl.interaction,
        sub: Some(account.id.clone()),
        uid: Some(open.uid.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(&ctx.app, records::Purpose::SecondFactor, new).await?;
    Ok(token.id)
}

/// Does what was proven before the device was asked still count, if anything was? Not once the
/// password was changed or the account locked or blocked, even if that is over.
async fn still_counts(ctx: &Ctx, open: &Open, waiting: &Waiting) -> ApiResult<bool> {
    if !waiting.proven {
        return Ok(true);
    }
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let Some(proof) = &waiting.proof else {
        return Ok(false);
    };
    let found = tokens::find(app, group, proof, records::Purpose::SecondFactor).await?;
    Ok(found.is_some_and(|t| {
        t.sub.as_ref() == Some(&waiting.account_id) && t.uid.as_ref() == Some(&open.uid)
    }))
}

/// Does the client, or this very request, need more than one factor?
pub fn is_demanded(ctx: &Ctx, open: &Open) -> ApiResult<bool> {
    let group = &ctx.tenant()?.group;
    let (values, claims) = (open.param("acr_values"), open.param("claims"));
    Ok(Wanted::of(group, &open.client, values, claims).needs_factors())
}

/// Somebody who switched a second factor on gets in without it.
fn skipped(ctx: &Ctx, account: &Account) -> ApiResult<()> {
    let group = ctx.group_id()?;
    let text =
        "signed in without the second factor, which is switched off for the group or the server";
    tracing::warn!(group, account = account.id, "{text}");
    let details = [
        ("group".to_owned(), Value::from(group)),
        ("account".to_owned(), Value::from(account.id.as_str())),
    ];
    logs::note(&ctx.app, Code::Notify, text, details.into_iter().collect());
    Ok(())
}

/// 400 for a provider that does not do its part; those who are to come later are told so.
fn undelivered(e: ApiError) -> ApiError {
    let later = matches!(
        e.status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if later || e.status.is_server_error() {
        return e;
    }
    tracing::warn!(cause = %e, "a device could not be asked");
    ApiError::bad_request("Your device could not be asked. Try again later.")
}

/// Are all devices gone, for a provider of this server's own?
async fn has_none(ctx: &Ctx, account: &Account) -> ApiResult<bool> {
    let provider = providers::of(&ctx.app, ctx.tenant()?).await?;
    Ok(provider.proves_devices() && provider.devices(&ctx.app, &account.id).await?.is_empty())
}

/// A password alone sets no other device up; the pages for that ask for more.
fn none_left(ctx: &Ctx) -> ApiResult<Reply> {
    let look = Look::of(ctx)?;
    let set_up = format!("{}/recover-mfa", look.base());
    let text = "Your account asks for a device, and none is set up any more. Set one up to go on.";
    let mut page = Message::new(look.shell("Sign-in"), "No device is set up", text);
    page.home = Some((&set_up, "Set up a device"));
    Ok(look.page(StatusCode::OK, page.html()))
}

/// Puts the question to the account's devices and remembers what an approval is worth.
pub async fn ask(
    ctx: &Ctx,
    open: &Open,
    account: &Account,
    waiting: Waiting,
) -> ApiResult<Waiting> {
    let tenant = ctx.tenant()?;
    let question = Question::sign_in(tenant, purpose(&waiting), &open.uid);
    let asked = challenges::ask(&ctx.app, tenant, account, &question).await?;
    asked_of(ctx, open, waiting, asked).await
}

pub async fn asked_of(
    ctx: &Ctx,
    open: &Open,
    mut waiting: Waiting,
    asked: Asked,
) -> ApiResult<Waiting> {
    waiting.key = Some(asked.key);
    waiting.number = asked.number;
    waiting.by_code = asked.by_code;
    open.wait_for(ctx, &waiting).await?;
    Ok(waiting)
}

fn purpose(waiting: &Waiting) -> Purpose {
    if waiting.proven {
        Purpose::Login
    } else {
        Purpose::DeviceLogin
    }
}

/// The page that waits for the device.
pub fn wait(ctx: &Ctx, open: &Open, waiting: &Waiting, flash: Option<Flash>) -> ApiResult<Reply> {
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let key = waiting.key.as_deref().unwrap_or_default();
    let challenge = format!(
        "/api/{}/mfa/{}/account/{}/interaction/{}",
        ctx.group_id()?,
        providers::encode(key),
        providers::encode(&waiting.account_id),
        open.uid,
    );
    let set_up = format!("{}/recover-mfa", look.base());
    let pause = match &flash {
        Some(Flash::SlowDown { seconds }) => Some(*seconds),
        _ => None,
    };
    let page = WaitDevice {
        shell: look.shell("Sign-in"),
        action: &open.path(ctx, "/confirm-mfa")?,
        csrf: open.csrf(),
        key,
        account: &waiting.account_id,
        number: waiting.number.as_deref(),
        by_code: waiting.by_code,
        perhaps: !waiting.proven,
        flash,
        challenge_url: &challenge,
        restart_url: &open.path(ctx, "")?,
        device_setup_url: Some(&set_up),
        cancel_url: &open.path(ctx, "/abort")?,
    };
    let html = page.html();
    let Some(seconds) = pause else {
        return Ok(look.page(StatusCode::OK, html));
    };
    let mut reply = look.page(StatusCode::TOO_MANY_REQUESTS, html);
    reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    Ok(reply)
}

/// Takes the account's devices away and shows how to set one up. The account keeps signing in
/// without a device until one has approved something, so that leaving the page locks nobody out.
async fn bind(
    ctx: &Ctx,
    open: &Open,
    account: &Account,
    mut waiting: Waiting,
    flash: Option<Flash>,
) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    warn_owner(app, tenant, account).await?;
    let provider = providers::of(app, tenant).await.map_err(undelivered)?;
    let prepared = recovery::prepare(app, account, &*provider).await;
    let instructions = prepared.map_err(undelivered)?;
    waiting.binding = true;
    waiting.key = None;
    open.wait_for(ctx, &waiting).await?;
    let text = |name: &str| instructions.get(name).and_then(Json::as_str);
    let steps = instructions.get("instructions").and_then(Json::as_array);
    let code = text("qrCode");
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let page = BindDevice {
        shell: look.shell("Set up a device"),
        action: &open.path(ctx, "/login")?,
        csrf: open.csrf(),
        flash,
        steps: steps
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(plain)
            .collect(),
        code,
        qr: code.and_then(qr::svg),
        screen: text("setupScreen").map(|url| {
            let label = text("setupScreenButtonText").filter(|l| !l.is_empty());
            (url, label.unwrap_or("Open the set-up page"))
        }),
        restart_url: &open.path(ctx, "")?,
        cancel_url: &open.path(ctx, "/abort")?,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

/// Operators' texts come with brackets written as entities; the page escapes for itself.
fn plain(step: &str) -> String {
    step.replace("&lt;", "<").replace("&gt;", ">")
}

/// The account of a question, if it may still sign in.
async fn may_go_on(ctx: &Ctx, id: &str) -> ApiResult<Option<Account>> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let Some(account) = rules::find(app, tenant.id(), id).await? else {
        return Ok(None);
    };
    let may = attempts::may_sign_in(app, tenant, &account).await?;
    Ok(may.then_some(account))
}

/// `action=bound`: the first device is set up, so it is asked.
pub async fn bound(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let waiting = open.interaction.waiting.clone();
    let Some(waiting) = waiting.filter(|w| w.proven && w.binding) else {
        return login::refuse(ctx, open, "", Flash::Expired).await;
    };
    if !still_counts(ctx, open, &waiting).await? {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    }
    let Some(account) = may_go_on(ctx, &waiting.account_id).await? else {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    };
    match ask(ctx, open, &account, waiting.clone()).await {
        Ok(waiting) => wait(ctx, open, &waiting, None),
        // it was set up meanwhile; the password alone sets up no other
        Err(e) if e.status == StatusCode::FAILED_DEPENDENCY && account.mfa_enabled() => {
            if has_none(ctx, &account).await? {
                none_left(ctx)
            } else {
                Err(undelivered(e))
            }
        }
        Err(e) if e.status == StatusCode::FAILED_DEPENDENCY => {
            tracing::info!(account = account.id, cause = %e, "a new device could not be asked");
            bind(ctx, open, &account, waiting, Some(Flash::DeviceNotReady)).await
        }
        Err(e) => Err(undelivered(e)),
    }
}

/// `POST …/confirm-mfa`: signs in whom the device has approved, once.
pub async fn confirm(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let field = |name| ctx.req.field(name).unwrap_or_default();
    // what this browser's pages asked, and nothing else
    let waiting = open.interaction.waiting.clone().filter(|w| {
        w.account_id == field("accountId") && w.key.as_deref() == Some(field("providerKey"))
    });
    let Some(waiting) = waiting else {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    };
    if !waiting.proven && !Ways::of(ctx).await?.device {
        return login::refuse(ctx, open, "", Flash::NotEnabled).await;
    }
    let id = ChallengeId::new(field("providerKey"), &waiting.account_id, &open.uid);
    // nobody tries codes on the strength of a password that is gone
    if waiting.by_code && !still_counts(ctx, open, &waiting).await? {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    }
    if waiting.by_code
        && let Some(flash) = typed(ctx, &waiting, &id).await?
    {
        return wait(ctx, open, &waiting, Some(flash));
    }
    if challenges::redeem(app, tenant.id(), &id, purpose(&waiting)).await? {
        return finish(ctx, open, &waiting).await;
    }
    let flash = match app.actors.challenges(tenant.id()).status(&id).await? {
        Status::Pending => return wait(ctx, open, &waiting, Some(Flash::DevicePending)),
        Status::Denied => Flash::DeviceDenied,
        Status::Expired | Status::Unknown => Flash::DeviceExpired,
        Status::Approved => Flash::InvalidCredentials,
    };
    login::refuse(ctx, open, "", flash).await
}

/// Tries the code that was typed; what is wrong with it, if anything is that another could mend.
async fn typed(ctx: &Ctx, waiting: &Waiting, id: &ChallengeId) -> ApiResult<Option<Flash>> {
    let code = ctx.req.field("code").unwrap_or_default();
    if code.trim().is_empty() {
        return Ok(Some(Flash::WrongCode));
    }
    let Some(account) = may_go_on(ctx, &waiting.account_id).await? else {
        return Ok(Some(Flash::WrongCode));
    };
    match codes::answer(&ctx.app, ctx.tenant()?, &account, id, code).await {
        Ok(Verdict::Wrong) => Ok(Some(Flash::WrongCode)),
        // the state of the challenge says the rest
        Ok(Verdict::Right | Verdict::Over) => Ok(None),
        Err(e) if e.status == StatusCode::TOO_MANY_REQUESTS => Ok(Some(Flash::SlowDown {
            seconds: seconds(&e),
        })),
        Err(e) => Err(e),
    }
}

/// How long a refusal says to wait.
pub fn seconds(e: &ApiError) -> u64 {
    let header = e.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
    let text = header.and_then(|(_, value)| value.to_str().ok());
    text.and_then(|t| t.parse().ok()).unwrap_or(60)
}

/// The device has agreed. What may have changed since it was asked is looked at again.
async fn finish(ctx: &Ctx, open: &Open, waiting: &Waiting) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let account = may_go_on(ctx, &waiting.account_id).await?;
    let Some(account) = account.filter(|a| waiting.proven || a.mfa_enabled()) else {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    };
    let counts = match &waiting.proof {
        Some(proof) => {
            still_counts(ctx, open, waiting).await? && tokens::consume(app, proof).await?
        }
        None => !waiting.proven,
    };
    if !counts {
        return login::refuse(ctx, open, "", Flash::InvalidCredentials).await;
    }
    let provider = match providers::of(app, tenant).await {
        Ok(provider) => Some(provider),
        Err(cause) => {
            tracing::warn!(group = tenant.id(), %cause, "approved by a provider that is gone");
            None
        }
    };
    let itself = provider.as_ref().is_some_and(|p| p.proves_devices());
    if waiting.binding && !account.mfa_enabled() && !itself {
        recovery::enable(app, &account.id).await?;
    }
    let mut amr: Vec<&str> = waiting.amr.iter().map(String::as_str).collect();
    amr.extend(provider.iter().flat_map(|p| p.amr()));
    // two factors, or one that took another channel than this browser
    amr.push(if waiting.proven { "mfa" } else { "mca" });
    tracing::info!(
        group = tenant.id(),
        account = account.id,
        "signed in by device"
    );
    open.signed_in(ctx, &account.id, &amr).await
}
