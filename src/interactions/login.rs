//! The login page: name first, then password.

use actix_web::http::StatusCode;

use crate::accounts::attempts::{self, Outcome};
use crate::app::LimitClass;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{Reply, reply};
use crate::interactions::look::Look;
use crate::interactions::passwordless;
use crate::interactions::second_factor;
use crate::interactions::state::Open;
use crate::interactions::ways::Ways;
use crate::pages::{Federation, Flash, Login, LoginStep, Page};
use crate::passkeys::{self, sign_in};

/// What the page shows this time.
#[derive(Default)]
struct View<'a> {
    password: bool,
    /// The ways without a password, for whoever has to choose.
    choices: bool,
    email: &'a str,
    flash: Option<Flash>,
}

pub async fn show(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let flash = ctx.req.query("flash").and_then(Flash::from_id);
    let email = open.param("login_hint").unwrap_or_default();
    render(
        ctx,
        open,
        View {
            email,
            flash,
            ..View::default()
        },
    )
    .await
}

/// `POST /{group}/interaction/{uid}/login`
pub async fn submit(ctx: Ctx) -> ApiResult<Reply> {
    let open = Open::load(&ctx).await?;
    open.must_ask("login")?;
    open.check_form(&ctx)?;
    let email = ctx.req.field("email").unwrap_or_default().trim().to_owned();
    match ctx.req.field("action") {
        // an unknown address looks the same as a known one
        Some("email") => {
            let view = View {
                password: !email.is_empty(),
                email: &email,
                ..View::default()
            };
            render(&ctx, &open, view).await
        }
        Some("bound") => Box::pin(second_factor::bound(&ctx, &open)).await,
        None | Some("" | "password") if names_a_device(&ctx) => {
            Box::pin(second_factor::confirm(&ctx, &open)).await
        }
        None | Some("" | "password") => password(&ctx, &open, &email).await,
        Some("magic") => Box::pin(passwordless::choose(&ctx, &open, &email)).await,
        Some("magic-device") => Box::pin(passwordless::device(&ctx, &open)).await,
        Some("magic-email") => Box::pin(passwordless::link(&ctx, &open)).await,
        Some("magic-passkey") => Box::pin(passkey(&ctx, &open, &email)).await,
        Some(_) => refuse(&ctx, &open, &email, Flash::NotEnabled).await,
    }
}

/// Is the form about a question to a device?
fn names_a_device(ctx: &Ctx) -> bool {
    let sent = |name| ctx.req.field(name).is_some_and(|text| !text.is_empty());
    sent("providerKey") && sent("accountId")
}

/// The first step again, with a reason.
pub async fn refuse(ctx: &Ctx, open: &Open, email: &str, flash: Flash) -> ApiResult<Reply> {
    let view = View {
        email,
        flash: Some(flash),
        ..View::default()
    };
    render(ctx, open, view).await
}

/// The first step again, without a reason.
pub async fn again(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    render(ctx, open, View::default()).await
}

/// The ways without a password.
pub async fn choices(ctx: &Ctx, open: &Open, email: &str) -> ApiResult<Reply> {
    let view = View {
        choices: true,
        email,
        ..View::default()
    };
    render(ctx, open, view).await
}

/// Does the client take people only who sign in without a password? A passkey or a device may be
/// missing, so that passwords stay where no links are mailed: somebody could not get in otherwise.
/// They stay at the group's own portal too, which nobody chose that for.
fn without_password(ctx: &Ctx, open: &Open, ways: Ways) -> ApiResult<bool> {
    let portal = ctx.tenant()?.group.associated_client.as_deref() == Some(open.client.id.as_str());
    Ok(open.client.payload.client_only_passwordless == Some(true) && ways.link && !portal)
}

/// `POST /{group}/interaction/{uid}/passkey`: a challenge for whatever passkey the person chooses.
pub async fn begin_passkey(ctx: Ctx) -> ApiResult<Reply> {
    let open = Open::load(&ctx).await?;
    open.must_ask("login")?;
    open.check_form(&ctx)?;
    let begun = sign_in::begin_for_anybody(&ctx, &open.uid).await?;
    reply::ok("PASSKEY", begun)
}

async fn passkey(ctx: &Ctx, open: &Open, email: &str) -> ApiResult<Reply> {
    ctx.app.limits.check(LimitClass::Passkeys, &ctx.peer())?;
    let tenant = ctx.tenant()?;
    let plugins = ctx.plugins().await?;
    if !passkeys::is_on(&plugins, &tenant.group) {
        return refuse(ctx, open, email, Flash::NotEnabled).await;
    }
    let sent = ctx.req.field("passkeyCredentials").unwrap_or_default();
    let credential = serde_json::from_str(sent).unwrap_or_default();
    let named = ctx.req.field("accountId").filter(|id| !id.is_empty());
    let proof = match sign_in::finish(ctx, &credential, named, Some(&open.uid)).await {
        Ok(proof) => proof,
        Err(cause) if cause.status == StatusCode::FAILED_DEPENDENCY => {
            tracing::info!(group = tenant.id(), "sign-in by passkey refused");
            return refuse(ctx, open, email, Flash::PasskeyFailed).await;
        }
        Err(other) => return Err(other),
    };
    tracing::info!(group = tenant.id(), account = %proof.account.id, "signed in by passkey");
    open.signed_in(ctx, &proof.account.id, proof.amr).await
}

async fn password(ctx: &Ctx, open: &Open, email: &str) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    ctx.app.limits.check(LimitClass::Login, &ctx.peer())?;
    if without_password(ctx, open, Ways::of(ctx).await?)? {
        return refuse(ctx, open, email, Flash::NotEnabled).await;
    }
    let password = ctx.req.field("password").unwrap_or_default();
    if email.is_empty() || password.is_empty() {
        return refuse(ctx, open, email, Flash::InvalidCredentials).await;
    }
    let flash = match attempts::check_password(&ctx.app, tenant, email, password).await? {
        Outcome::Accepted(account) => {
            tracing::info!(group = tenant.id(), account = %account.id, "password accepted");
            return Box::pin(second_factor::after_first(ctx, open, &account, &["pwd"])).await;
        }
        Outcome::Refused => Flash::InvalidCredentials,
        Outcome::LockedOut { threshold, hours } => {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let hours = hours.ceil().clamp(1.0, 1.0e6) as u32;
            Flash::LockedOut {
                threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
                hours,
                contact: tenant.group.primary_email.clone(),
            }
        }
    };
    tracing::info!(group = tenant.id(), "sign-in refused");
    refuse(ctx, open, email, flash).await
}

async fn render(ctx: &Ctx, open: &Open, view: View<'_>) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let group = &tenant.group;
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let action = open.path(ctx, "/login")?;
    let cancel = open.path(ctx, "/abort")?;
    let restart = open.path(ctx, "")?;
    let forgot = format!("{}/forgotpassword", look.base());
    let ways = Ways::of(ctx).await?;
    let passkey = open.path(ctx, "/passkey")?;
    let set_up = format!("{}/set-passkey", look.base());
    let set_up_device = format!("{}/recover-mfa", look.base());
    let register = open
        .client
        .payload
        .text("register_url")
        .or(group.register_url.as_deref())
        .filter(|_| !group.locked);
    let page = Login {
        shell: look.shell("Sign-in"),
        step: if view.choices {
            LoginStep::Choose {
                device: ways.device,
                link: ways.link,
            }
        } else if view.password {
            LoginStep::Password
        } else {
            LoginStep::Email
        },
        action: &action,
        csrf: open.csrf(),
        email: view.email,
        org: None,
        org_name: None,
        client_name: Some(&open.client.payload.client_name),
        flash: view.flash,
        passwordless: ways.link || ways.device,
        show_password_field: !without_password(ctx, open, ways)?,
        offer_verification: false,
        federation: Federation::default(),
        forgot_url: Some(&forgot),
        register_url: register,
        restart_url: view.choices.then_some(restart.as_str()),
        passkey_url: ways.passkey.then_some(passkey.as_str()),
        passkey_setup_url: ways.passkey.then_some(set_up.as_str()),
        device_setup_url: ways.mfa.then_some(set_up_device.as_str()),
        cancel_url: &cancel,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
