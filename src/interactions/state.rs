//! The interaction a browser is in: bound by its cookie, guarded by a form token.

use std::sync::Arc;

use actix_web::http::StatusCode;

use crate::clients::{Client, rules};
use crate::gate::Ctx;
use crate::http::error::{ApiResult, PageRule};
use crate::http::{ApiError, Reply, cookies, reply};
use crate::oidc::acr;
use crate::oidc::records::{Interaction, Waiting};
use crate::oidc::resume::page_cookie;
use crate::oidc::sessions::Browser;
use crate::secrets;
use crate::store::{Object, Value};

/// An interaction that the browser has proved to be in.
#[derive(Debug)]
pub struct Open {
    pub uid: String,
    pub interaction: Arc<Interaction>,
    pub client: Arc<Client>,
}

fn lost() -> ApiError {
    ApiError::oauth(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        "This sign-in has expired. Start again from your application.",
    )
    .page(PageRule::Negotiated)
}

impl Open {
    pub async fn load(ctx: &Ctx) -> ApiResult<Self> {
        let tenant = ctx.tenant()?;
        let uid = cookies::verified(
            ctx.req.http.headers(),
            &page_cookie(ctx)?,
            tenant.strong_cookie_keys(),
        )
        .ok_or_else(lost)?;
        if ctx.req.param("uid")? != uid {
            return Err(lost());
        }
        let interaction = ctx
            .app
            .actors
            .interactions(tenant.id())
            .get(&uid)
            .await?
            .ok_or_else(lost)?;
        if let Some(session) = &interaction.session {
            let browser = Browser::load(ctx).await?;
            if browser.view().uid != session.uid
                || browser.view().account_id.as_ref() != Some(&session.account_id)
            {
                return Err(lost());
            }
        }
        let client = match interaction.params.get_str("client_id") {
            Some(id) => rules::find(&ctx.app, tenant, id).await?,
            None => None,
        };
        let client = client.ok_or_else(|| {
            ApiError::forbidden(
                "The specified login client is not part of the indicated auth group",
            )
        })?;
        Ok(Self {
            uid,
            interaction,
            client,
        })
    }

    /// The prompt the page belongs to.
    pub fn must_ask(&self, prompt: &str) -> ApiResult<()> {
        if self.interaction.prompt.name == prompt {
            Ok(())
        } else {
            Err(lost())
        }
    }

    /// Forms carry a token that other sites cannot know. Interactions begun by another system
    /// have none; there the cookie's path and `SameSite` stand alone.
    pub fn check_form(&self, ctx: &Ctx) -> ApiResult<()> {
        if ctx.req.repeated_field().is_some() {
            return Err(ApiError::bad_request(
                "Each field of the form must be sent once",
            ));
        }
        match &self.interaction.csrf {
            Some(expected)
                if !ctx
                    .req
                    .field("csrf")
                    .is_some_and(|got| secrets::ct_eq(expected, got)) =>
            {
                Err(ApiError::forbidden(
                    "The form has expired. Go back, reload the page and try again.",
                ))
            }
            _ => Ok(()),
        }
    }

    pub fn csrf(&self) -> &str {
        self.interaction.csrf.as_deref().unwrap_or_default()
    }

    /// `/{group}/interaction/{uid}` and what follows.
    pub fn path(&self, ctx: &Ctx, tail: &str) -> ApiResult<String> {
        Ok(format!(
            "/{}/interaction/{}{tail}",
            ctx.group_id()?,
            self.uid
        ))
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.interaction.params.get_str(name)
    }

    /// Keeps which device is waited for, in place of what was kept before.
    pub async fn wait_for(&self, ctx: &Ctx, waiting: &Waiting) -> ApiResult<()> {
        let waiting = waiting.clone();
        ctx.app
            .actors
            .interactions(ctx.group_id()?)
            .update(&self.uid, move |i: &mut Interaction| {
                i.waiting = Some(waiting.clone());
                Ok::<_, ApiError>(())
            })
            .await?;
        Ok(())
    }

    /// The account is signed in by these methods (RFC 8176).
    pub async fn signed_in(&self, ctx: &Ctx, account: &str, amr: &[&str]) -> ApiResult<Reply> {
        let acr = acr::strongest(&ctx.tenant()?.group, amr);
        self.finish(ctx, login_result(account, amr, acr), false)
            .await
    }

    /// Writes the outcome and sends the browser back to the authorization endpoint.
    pub async fn finish(&self, ctx: &Ctx, result: Object, merge: bool) -> ApiResult<Reply> {
        let result = if merge {
            merged(self.interaction.last_submission.as_ref(), &result)
        } else {
            result
        };
        ctx.app
            .actors
            .interactions(ctx.group_id()?)
            .update(&self.uid, move |i: &mut Interaction| {
                i.result = Some(result.clone());
                Ok::<_, ApiError>(())
            })
            .await?;
        reply::see_other(&self.interaction.return_to)
    }
}

fn merged(last: Option<&Object>, result: &Object) -> Object {
    let mut out = last.cloned().unwrap_or_default();
    for (name, value) in result.iter() {
        out.insert(name.clone(), value.clone());
    }
    out
}

/// `{login: {accountId, amr, acr}}`: who signed in and how.
fn login_result(account: &str, amr: &[&str], acr: Option<&str>) -> Object {
    let mut login = Object::default();
    login.insert("accountId", account);
    if !amr.is_empty() {
        login.insert(
            "amr",
            Value::Array(amr.iter().map(|m| Value::String((*m).to_owned())).collect()),
        );
    }
    if let Some(acr) = acr {
        login.insert("acr", acr);
    }
    let mut result = Object::default();
    result.insert("login", login);
    result
}
