//! The login page: name first, then password.

use actix_web::http::StatusCode;

use crate::accounts::attempts::{self, Outcome};
use crate::app::LimitClass;
use crate::gate::Ctx;
use crate::http::Reply;
use crate::http::error::ApiResult;
use crate::interactions::look::Look;
use crate::interactions::state::{Open, login_result};
use crate::pages::{Federation, Flash, Login, LoginStep, Page};

/// What the page shows this time.
#[derive(Default)]
struct View<'a> {
    password: bool,
    email: &'a str,
    flash: Option<Flash>,
}

pub fn show(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
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
}

/// `POST /{group}/interaction/{uid}/login`
pub async fn submit(ctx: Ctx) -> ApiResult<Reply> {
    let open = Open::load(&ctx).await?;
    open.must_ask("login")?;
    open.check_form(&ctx)?;
    let email = ctx.req.field("email").unwrap_or_default().trim().to_owned();
    match ctx.req.field("action") {
        // an unknown address looks the same as a known one
        Some("email") => render(
            &ctx,
            &open,
            View {
                password: !email.is_empty(),
                email: &email,
                flash: None,
            },
        ),
        None | Some("" | "password") => password(&ctx, &open, &email).await,
        Some(_) => render(
            &ctx,
            &open,
            View {
                email: &email,
                flash: Some(Flash::NotEnabled),
                ..View::default()
            },
        ),
    }
}

async fn password(ctx: &Ctx, open: &Open, email: &str) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    ctx.app.limits.check(LimitClass::Login, &ctx.peer())?;
    let password = ctx.req.field("password").unwrap_or_default();
    if email.is_empty() || password.is_empty() {
        return render(
            ctx,
            open,
            View {
                email,
                flash: Some(Flash::InvalidCredentials),
                ..View::default()
            },
        );
    }
    let flash = match attempts::check_password(&ctx.app, tenant, email, password).await? {
        Outcome::Accepted(account) => {
            tracing::info!(group = tenant.id(), account = %account.id, "signed in");
            return open
                .finish(ctx, login_result(&account.id, &["pwd"]), false)
                .await;
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
    render(
        ctx,
        open,
        View {
            email,
            flash: Some(flash),
            ..View::default()
        },
    )
}

fn render(ctx: &Ctx, open: &Open, view: View<'_>) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let group = &tenant.group;
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let action = open.path(ctx, "/login")?;
    let cancel = open.path(ctx, "/abort")?;
    let forgot = format!("{}/forgotpassword", look.base());
    let register = open
        .client
        .payload
        .text("register_url")
        .or(group.register_url.as_deref())
        .filter(|_| !group.locked);
    let page = Login {
        shell: look.shell("Sign-in"),
        step: if view.password {
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
        // no way to sign in without a password is built yet, so the password field is always there
        passwordless: false,
        show_password_field: true,
        offer_verification: false,
        federation: Federation::default(),
        forgot_url: Some(&forgot),
        register_url: register,
        restart_url: None,
        passkey_setup_url: None,
        device_setup_url: None,
        cancel_url: &cancel,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
