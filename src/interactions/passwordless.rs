//! Signing in without a password: the choice, the device, and the mailed link. Whether a name
//! belongs to anybody, and what they have, does not show.

use actix_web::http::{Method, StatusCode};
use aws_lc_rs::hmac;

use crate::accounts::notices::tell_if;
use crate::accounts::{Account, attempts, operations, rules};
use crate::app::LimitClass;
use crate::challenges::{self, Purpose, Question};
use crate::gate::{Ctx, tokens};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::login::{self, refuse};
use crate::interactions::look::Look;
use crate::interactions::second_factor;
use crate::interactions::state::Open;
use crate::interactions::ways::Ways;
use crate::notifications::messages::{self, Proof};
use crate::oidc::records::{self, Waiting};
use crate::pages::{Flash, Message, Page};
use crate::secrets;

const SENT: &str = "If there is such an account, a link to sign in is on its way. Open it in this browser; it works once, for a quarter of an hour.";

/// Whom the form names: by id, else by what was typed.
struct Named {
    typed: String,
    id: Option<String>,
    /// The account, if it may sign in.
    account: Option<Account>,
}

impl Named {
    async fn of(ctx: &Ctx) -> ApiResult<Self> {
        let (app, tenant) = (&ctx.app, ctx.tenant()?);
        let typed = ctx.req.field("email").unwrap_or_default().trim().to_owned();
        let id = ctx.req.field("accountId").filter(|id| !id.is_empty());
        let found = match id {
            Some(id) => rules::find(app, tenant.id(), id).await?,
            None => attempts::find(app, tenant.id(), &typed).await?,
        };
        let account = match found {
            Some(account) if attempts::may_sign_in(app, tenant, &account).await? => Some(account),
            _ => None,
        };
        let id = id.filter(|id| id.len() <= 64).map(ToOwned::to_owned);
        Ok(Self { typed, id, account })
    }

    fn nobody(&self) -> bool {
        self.typed.is_empty() && self.id.is_none()
    }

    /// An id for the page: the account's own, or one that nobody has and that is always the same.
    fn shown_id(&self, ctx: &Ctx) -> ApiResult<String> {
        if let Some(account) = &self.account {
            return Ok(account.id.clone());
        }
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let tenant = ctx.tenant()?;
        let secret = tenant.cookie_keys.first().map_or("", String::as_str);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let text = format!("nobody:{}:{}", tenant.id(), self.typed.to_lowercase());
        let tag = hmac::sign(&key, text.as_bytes());
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Ok(uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string())
    }
}

/// `action=magic`: the only way there is, else a choice.
pub async fn choose(ctx: &Ctx, open: &Open, typed: &str) -> ApiResult<Reply> {
    let ways = Ways::of(ctx).await?;
    if !ways.passwordless() {
        return refuse(ctx, open, typed, Flash::NotEnabled).await;
    }
    if typed.is_empty() {
        return login::again(ctx, open).await;
    }
    match (ways.link, ways.device, ways.passkey) {
        (true, false, false) => link(ctx, open).await,
        (false, true, false) => device(ctx, open).await,
        _ => login::choices(ctx, open, typed).await,
    }
}

/// A sign-in that has been tried too often, as a page.
async fn slowed(ctx: &Ctx, open: &Open, typed: &str, e: ApiError) -> ApiResult<Reply> {
    if e.status != StatusCode::TOO_MANY_REQUESTS {
        return Err(e);
    }
    let seconds = second_factor::seconds(&e);
    refuse(ctx, open, typed, Flash::SlowDown { seconds }).await
}

/// `action=magic-device`: the account's device is asked, if it has one.
pub async fn device(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    app.limits.check(LimitClass::Login, &ctx.peer())?;
    let named = Named::of(ctx).await?;
    if !Ways::of(ctx).await?.device {
        return refuse(ctx, open, &named.typed, Flash::NotEnabled).await;
    }
    if named.nobody() {
        return refuse(ctx, open, "", Flash::InvalidCredentials).await;
    }
    let id = named.shown_id(ctx)?;
    let question = Question::sign_in(tenant, Purpose::DeviceLogin, &open.uid);
    let account = named.account.as_ref();
    match challenges::ask_if(app, tenant, account, &id, &question).await {
        Ok(asked) => {
            let waiting = Waiting {
                account_id: id,
                ..Waiting::default()
            };
            let waiting = second_factor::asked_of(ctx, open, waiting, asked).await?;
            second_factor::wait(ctx, open, &waiting, None)
        }
        Err(e) if e.status == StatusCode::FAILED_DEPENDENCY => {
            tracing::warn!(group = tenant.id(), cause = %e, "no device was asked");
            refuse(ctx, open, &named.typed, Flash::TryLater).await
        }
        Err(e) => slowed(ctx, open, &named.typed, e).await,
    }
}

/// `action=magic-email`: a link goes to the address of the account, whatever the form says.
pub async fn link(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    app.limits.check(LimitClass::Login, &ctx.peer())?;
    let named = Named::of(ctx).await?;
    let ways = Ways::of(ctx).await?;
    if !ways.link {
        return refuse(ctx, open, &named.typed, Flash::NotEnabled).await;
    }
    if named.nobody() {
        return refuse(ctx, open, "", Flash::InvalidCredentials).await;
    }
    if let Err(e) = operations::limit_messages(ctx, &named.shown_id(ctx)?) {
        return slowed(ctx, open, &named.typed, e).await;
    }
    let alias = ctx.custom_domain.as_deref();
    let sent = tell_if(
        app,
        tenant.id(),
        named.account.as_ref(),
        async |account: &Account| {
            let proof = Proof::SignIn {
                interaction: &open.uid,
            };
            messages::proof_link(app, tenant, account, proof, alias).await
        },
    );
    if let Err(cause) = sent.await {
        tracing::warn!(group = tenant.id(), error = %cause.message, "no link to sign in");
        return refuse(ctx, open, &named.typed, Flash::TryLater).await;
    }
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let start = open.path(ctx, "")?;
    let mut page = Message::new(look.shell("Sign-in"), "Look into your mailbox", SENT);
    page.home = Some((&start, "Sign in another way"));
    let set_up = format!("{}/set-passkey", look.base());
    page.passkey_setup_url = ways.passkey.then_some(set_up.as_str());
    Ok(look.page(StatusCode::OK, page.html()))
}

/// `GET …/passwordless?token&sub`: the mailed link, in the browser that asked for it.
pub async fn follow(ctx: Ctx) -> ApiResult<Reply> {
    let open = Open::load(&ctx).await?;
    open.must_ask("login")?;
    let ways = Ways::of(&ctx).await?;
    if !ways.link {
        return refuse(&ctx, &open, "", Flash::NotEnabled).await;
    }
    let Some((token, account)) = mailed(&ctx, &open).await? else {
        return refuse(&ctx, &open, "", Flash::MagicLinkExpired).await;
    };
    // asking for the headers alone signs nobody in
    if *ctx.req.method() == Method::HEAD {
        return login::again(&ctx, &open).await;
    }
    let used = tokens::consume(&ctx.app, &token).await?;
    if !used || !attempts::may_sign_in(&ctx.app, ctx.tenant()?, &account).await? {
        return refuse(&ctx, &open, "", Flash::MagicLinkExpired).await;
    }
    tracing::info!(
        group = ctx.group_id()?,
        account = account.id,
        "signed in by link"
    );
    if second_factor::is_demanded(&ctx, &open)? {
        return Box::pin(second_factor::after_first(&ctx, &open, &account, &[])).await;
    }
    open.signed_in(&ctx, &account.id, &[]).await
}

/// The token of a link that was mailed for this very interaction, and its account.
async fn mailed(ctx: &Ctx, open: &Open) -> ApiResult<Option<(String, Account)>> {
    let asked = |name: &str| ctx.req.query(name).filter(|v| !v.is_empty());
    let (Some(token), Some(sub)) = (asked("token"), asked("sub")) else {
        return Ok(None);
    };
    let group = ctx.group_id()?;
    let found = tokens::find(&ctx.app, group, token, records::Purpose::MagicLink).await?;
    let found = found.filter(|t| {
        t.sub.as_deref() == Some(sub)
            && t.uid
                .as_deref()
                .is_some_and(|uid| secrets::ct_eq(uid, &open.uid))
    });
    let Some(payload) = found else {
        return Ok(None);
    };
    let account = tokens::account_of(&ctx.app, &payload).await?;
    Ok(account.map(|account| (token.to_owned(), account)))
}
