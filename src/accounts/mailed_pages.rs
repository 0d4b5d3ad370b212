//! The pages that mailed links open: a new password, a verified address, the groups of an address.

use actix_web::http::{Method, StatusCode};
use url::Url;

use crate::accounts::logins::owned;
use crate::accounts::{Account, operations, rules};
use crate::app::{App, LimitClass};
use crate::clients::Client;
use crate::gate::{Ctx, Route, tokens};
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::notifications::delivery::{is_on, of_server};
use crate::notifications::messages::{Action, Sender, account_action};
use crate::notifications::{IfRefused, are_on};
use crate::oidc::records::Purpose;
use crate::pages::{ForgotPassword, Message, NewPassword, OwnedGroup, OwnedGroups, Page};
use crate::route;
use crate::secrets::ct_eq;
use crate::store::{Query, eq};

/// Most clients whose redirect hosts are looked at.
const CLIENTS: u64 = 1000;

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/forgotpassword", [NoCache, Group], forgot, public "shows forms only"),
    route!(GET "/{group}/verifyaccount", [NoCache, Group, Limit(LimitClass::Recovery)], verify, public "the mailed code is the credential"),
    route!(GET "/account/groups/recovery", [RootGroup, Limit(LimitClass::Recovery)], groups, public "the mailed code is the credential"),
];

fn asked<'c>(ctx: &'c Ctx, name: &str) -> Option<&'c str> {
    ctx.req.query(name).filter(|value| !value.is_empty())
}

/// `GET /{group}/forgotpassword?code&redirect`
async fn forgot(ctx: Ctx) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let look = Look::of(&ctx)?;
    let home = home(&ctx.app, tenant, asked(&ctx, "redirect")).await?;
    let api = format!("/api/{}", tenant.id());
    let reset_url = &format!("{api}/operations/reset-user-password");
    if let Some(code) = asked(&ctx, "code") {
        let page = NewPassword {
            shell: look.shell("New Password"),
            password_url: &format!("{api}/setpass"),
            token: code,
            reset_url,
            home_url: &home,
        };
        return Ok(look.page(StatusCode::OK, page.html()));
    }
    let say = |heading: &str, text: &str| {
        let page = Message::new(look.shell("Forgot Password"), heading, text);
        Ok(look.page(StatusCode::OK, page.html()))
    };
    if ctx.req.query("email").is_some() {
        return say(
            "Look into your mailbox",
            "If a link was asked for and there is an account with that address, it is on its way.",
        );
    }
    let plugins = ctx.plugins().await?;
    if of_server(&ctx.app, &plugins).is_none() {
        return say(
            "This is not possible here",
            "This server sends no messages, so it can not send a link to set a new password. Ask an administrator for one.",
        );
    }
    let group = &tenant.group;
    if !is_on(&ctx.app, &plugins, group) || !group.config.central_password_reset {
        return say(
            "This is not possible here",
            "This group sends no links to set a new password. Ask its administrator for one.",
        );
    }
    let page = ForgotPassword {
        shell: look.shell("Forgot Password"),
        reset_url,
        home_url: &home,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

/// Where to go afterwards: the address in the link if it is on a host of the group, else the
/// group's home page, else its portal.
async fn home(app: &App, tenant: &Tenant, redirect: Option<&str>) -> ApiResult<String> {
    if let Some(url) = redirect.and_then(plain_page)
        && let Some(host) = url.host_str()
        && is_host_of(app, tenant, host).await?
    {
        return Ok(url.into());
    }
    let own = tenant.group.primary_domain.as_deref().and_then(plain_page);
    Ok(own.map_or_else(|| tenant.portal(app), Into::into))
}

fn plain_page(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none();
    fits.then_some(url)
}

async fn is_host_of(app: &App, tenant: &Tenant, host: &str) -> ApiResult<bool> {
    let group = &tenant.group;
    let is = |known: &str| without_port(known).eq_ignore_ascii_case(host);
    let domain = group.primary_domain.as_deref().and_then(plain_page);
    let named = [&group.alias_dns_ui, &group.alias_dns_oidc];
    if domain.is_some_and(|d| d.host_str() == Some(host))
        || named.into_iter().flatten().any(|h| is(h))
        || is(&app.settings.ui.host)
    {
        return Ok(true);
    }
    let clients = Query::new(eq("payload.auth_group", tenant.id())).limit(CLIENTS);
    let clients = app.store.of::<Client>().find(clients).await?;
    let mut uris = clients.iter().flat_map(|c| &c.payload.redirect_uris);
    Ok(uris.any(|uri| plain_page(uri).is_some_and(|u| u.host_str() == Some(host))))
}

fn without_port(host: &str) -> &str {
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// `GET /{group}/verifyaccount?code&user`. The link works until it expires or sets a password, since
/// mail programs open links before people do; asking for the headers alone verifies nothing.
async fn verify(ctx: Ctx) -> ApiResult<Reply> {
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let token = match asked(&ctx, "code") {
        Some(code) => tokens::find(app, group, code, Purpose::AccountAction).await?,
        None => None,
    };
    let account = match &token {
        Some(token) => tokens::account_of(app, token).await?,
        None => None,
    };
    let (Some(token), Some(account)) = (token, account) else {
        return stale(&ctx).await;
    };
    let look = Look::of(&ctx)?;
    if *ctx.req.method() != Method::HEAD && !set_verified(app, &account).await? {
        let text = "The address could not be verified. Ask for a new link and try again.";
        let page = Message::new(look.shell("Verify Account"), "Something went wrong", text);
        return Ok(look.page(StatusCode::OK, page.html()));
    }
    let text = format!(
        "{} is verified. If you have no password yet, or do not know it, choose one now.",
        account.email
    );
    let code = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &token.jti)
        .finish();
    let next = format!("{}/forgotpassword?{code}", look.base());
    let mut page = Message::new(look.shell("Verify Account"), "Thank you", &text);
    page.home = Some((&next, "Choose a password"));
    Ok(look.page(StatusCode::OK, page.html()))
}

/// False if the account has gone.
async fn set_verified(app: &App, account: &Account) -> ApiResult<bool> {
    let now = app.date();
    let changed = app
        .store
        .of::<Account>()
        .update(&account.id, |a: &mut Account| {
            // the address that was mailed, and no other
            if !a.verified && a.email == account.email {
                a.verified = true;
                a.modified_at = now;
                a.modified_by.clone_from(&account.id);
            }
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(changed.is_some_and(|a| a.verified))
}

/// A link that does not work any more: whoever it was for may get another one.
async fn stale(ctx: &Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let account = match asked(ctx, "user") {
        Some(id) => rules::find(app, tenant.id(), id).await?,
        None => None,
    };
    let (heading, text) = match account {
        Some(a) if a.verified => (
            "This address is verified already",
            "There is nothing left to do. You can close this page.",
        ),
        Some(a) if *ctx.req.method() != Method::HEAD && send_again(ctx, &a).await? => (
            "This link has expired",
            "A new one is on its way to your mailbox.",
        ),
        Some(_) => (
            "This link has expired",
            "A new one could not be sent. Ask an administrator for it.",
        ),
        None => (
            "This link does not work",
            "It is not complete or has expired. Ask for a new one.",
        ),
    };
    let look = Look::of(ctx)?;
    let forgot = format!("{}/forgotpassword", look.base());
    let mut page = Message::new(look.shell("Verify Account"), heading, text);
    page.forgot_url = Some(&forgot);
    Ok(look.page(StatusCode::OK, page.html()))
}

async fn send_again(ctx: &Ctx, account: &Account) -> ApiResult<bool> {
    let tenant = ctx.tenant()?;
    operations::limit_messages(ctx, &account.email)?;
    if !account.active || account.blocked || !are_on(&ctx.app, tenant).await? {
        return Ok(false);
    }
    let sender = Sender {
        by: account.id.clone(),
        custom_domain: ctx.custom_domain.clone(),
        if_refused: IfRefused::Keep,
        ..Sender::default()
    };
    let sent = account_action(&ctx.app, tenant, account, Action::Verify, sender).await;
    if let Err(cause) = &sent {
        tracing::warn!(account = account.id, error = %cause.message, "no new link to verify");
    }
    Ok(sent.is_ok())
}

/// `GET /account/groups/recovery?code&email&uid`
async fn groups(ctx: Ctx) -> ApiResult<Reply> {
    let look = Look::of(&ctx)?;
    let app = &ctx.app;
    let token = match asked(&ctx, "code") {
        Some(code) => tokens::find(app, ctx.group_id()?, code, Purpose::GroupOwner).await?,
        None => None,
    };
    let fits = |name: &str, known: Option<&String>| {
        known.is_some_and(|k| asked(&ctx, name).is_some_and(|sent| ct_eq(k, sent)))
    };
    let token = token.filter(|t| fits("email", t.email.as_ref()) && fits("uid", t.uid.as_ref()));
    let Some(lookup) = token.and_then(|t| t.email) else {
        let text = "It is not complete or has expired. Ask for a new one.";
        let page = Message::new(look.shell("Your groups"), "This link does not work", text);
        return Ok(look.page(StatusCode::OK, page.html()));
    };
    let found = owned(app, &lookup).await?;
    let text =
        |group: &serde_json::Value, name: &str| group[name].as_str().unwrap_or_default().to_owned();
    let page = OwnedGroups {
        shell: look.shell("Your groups"),
        lookup: &lookup,
        groups: found
            .iter()
            .map(|g| OwnedGroup {
                name: text(g, "companyName"),
                id: text(g, "id"),
                login_url: text(g, "login"),
            })
            .collect(),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
