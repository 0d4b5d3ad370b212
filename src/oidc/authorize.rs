//! The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2, RFC 7636, RFC 8707, RFC 9207).
//! The order of the checks is the specification.

mod checks;

use std::sync::Arc;

use actix_web::http::StatusCode;

use crate::clients::Client;
use crate::gate::Ctx;
use crate::http::error::{ApiResult, PageRule};
use crate::http::{ApiError, Reply};
use crate::oidc::params::Params;
use crate::oidc::prompts::{self, Decision, Submission};
use crate::oidc::respond::{self, Target};
use crate::oidc::sessions::Browser;
use crate::oidc::{acr, resume};

pub use checks::{check_pkce_format, check_token_resource, registered, sorted_words, verify_hint};
use checks::{checks, default_redirect_uri, find_client};

const KNOWN: &[&str] = &[
    "acr_values",
    "claims",
    "claims_locales",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "display",
    "id_token_hint",
    "login_hint",
    "max_age",
    "nonce",
    "prompt",
    "redirect_uri",
    "registration",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "ui_locales",
    "resource",
    "audience",
    "org",
];

/// All parameters together, in bytes.
const LONGEST_REQUEST: usize = 16_384;

/// An authorization request that passed every check.
#[derive(Debug, Clone)]
pub struct Request {
    pub client: Arc<Client>,
    pub params: Params,
    /// Words sorted.
    pub response_type: String,
    pub target: Target,
    pub scope: String,
    pub resources: Vec<String>,
    pub max_age: Option<i64>,
    /// The subject of a verified `id_token_hint`.
    pub hint_sub: Option<String>,
    /// How strong the sign-in has to be.
    pub acr: acr::Wanted,
}

impl Request {
    pub fn prompts(&self, name: &str) -> bool {
        self.params
            .get("prompt")
            .is_some_and(|p| p.split_whitespace().any(|w| w == name))
    }

    pub fn responds_with(&self, part: &str) -> bool {
        self.response_type.split(' ').any(|w| w == part)
    }
}

/// Why a request cannot be answered, and where the answer may go.
#[derive(Debug)]
pub struct Refusal {
    pub code: &'static str,
    pub description: String,
    /// Some errors must never reach an unverified redirect URI.
    pub page_only: bool,
}

pub type Check<T = ()> = Result<T, Refusal>;

pub async fn authorize(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx).map_err(|e| e.page(PageRule::Always))?;
    Box::pin(start(ctx, params, Submission::default())).await
}

/// Checks the request and either asks something or answers it.
pub async fn start(ctx: Ctx, params: Params, submission: Submission) -> ApiResult<Reply> {
    let mut params = params;
    // what is asked is kept until somebody has signed in
    if params.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() > LONGEST_REQUEST {
        let e = ApiError::oauth(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the request is too long",
        );
        return Err(e.page(PageRule::Always));
    }
    let duplicates = params.check_duplicates();
    params.keep(KNOWN);
    if let Err(e) = duplicates {
        let refusal = Refusal {
            code: "invalid_request",
            description: e.description().unwrap_or_default().to_owned(),
            page_only: false,
        };
        return refused(&ctx, &params, refusal).await;
    }
    match check(&ctx, params.clone()).await? {
        Ok(request) => Box::pin(proceed(ctx, request, submission)).await,
        Err(refusal) => refused(&ctx, &params, refusal).await,
    }
}

async fn check(ctx: &Ctx, mut params: Params) -> ApiResult<Check<Request>> {
    let client = match find_client(ctx, &params).await? {
        Ok(client) => client,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(checks(ctx, client, &mut params))
}

/// All checks passed: look at the session, ask what is missing, or answer.
async fn proceed(ctx: Ctx, request: Request, submission: Submission) -> ApiResult<Reply> {
    let mut browser = Browser::load(&ctx).await?;
    advance(ctx, request, submission, &mut browser).await
}

/// Goes on after an interaction. The stored request is checked again: clients change.
pub async fn restart(
    ctx: Ctx,
    params: Params,
    submission: Submission,
    browser: &mut Browser,
) -> ApiResult<Reply> {
    match check(&ctx, params.clone()).await? {
        Ok(request) => advance(ctx, request, submission, browser).await,
        Err(refusal) => refused(&ctx, &params, refusal).await,
    }
}

/// As `proceed`, with a session already at hand.
async fn advance(
    ctx: Ctx,
    request: Request,
    submission: Submission,
    browser: &mut Browser,
) -> ApiResult<Reply> {
    match prompts::decide(&ctx, &request, browser.view(), &submission).await? {
        Decision::Ask(needed) if request.prompts("none") => {
            let reply = respond::error(&ctx, &request.target, needed.error, needed.description)?;
            browser.finish(&ctx, reply).await
        }
        Decision::Refuse(error, description) => {
            let reply = respond::error(&ctx, &request.target, error, description)?;
            browser.finish(&ctx, reply).await
        }
        Decision::Ask(needed) => {
            let reply =
                resume::interrupt(&ctx, &request, needed.prompt, &submission, browser).await?;
            browser.finish(&ctx, reply).await
        }
        Decision::Go(grant) => {
            let reply = respond::answer(&ctx, &request, grant, browser).await?;
            browser.finish(&ctx, reply).await
        }
    }
}

/// Errors go to the client only if its redirect URI has been verified.
async fn refused(ctx: &Ctx, params: &Params, refusal: Refusal) -> ApiResult<Reply> {
    let error_page = |code: &'static str, description: String| {
        let mut e =
            ApiError::oauth(StatusCode::BAD_REQUEST, code, description).page(PageRule::Always);
        for name in ["state", "scope"] {
            if let Some(value) = params.get(name) {
                e = e.with(name, value);
            }
        }
        if let Ok(issuer) = ctx.issuer() {
            e = e.with("iss", issuer);
        }
        e
    };
    if refusal.page_only {
        return Err(error_page(refusal.code, refusal.description));
    }
    let Ok(client) = find_client(ctx, params).await? else {
        return Err(error_page(refusal.code, refusal.description));
    };
    let mut params = params.clone();
    default_redirect_uri(&client, &mut params);
    let Some(uri) = params.get("redirect_uri") else {
        return Err(error_page(refusal.code, refusal.description));
    };
    if !registered(&client, uri) {
        return Err(error_page(
            "invalid_redirect_uri",
            "redirect_uri did not match any of the client's registered redirect_uris".to_owned(),
        ));
    }
    let response_type = sorted_words(params.get("response_type").unwrap_or("code"));
    let target = Target::new(uri, &params, &response_type);
    respond::error(ctx, &target, refusal.code, &refusal.description)
}
