//! What still has to be asked before an authorization can be answered (OpenID Connect Core §3.1.2.3, §3.1.2.4).

use std::sync::Arc;

use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::oidc::authorize::Request;
use crate::oidc::grants::{self, Consented};
use crate::oidc::records::{Grant, Prompt, Record, Session};
use crate::oidc::scopes;
use crate::store::{Object, Value};

/// The outcome of the last interaction, as its page wrote it.
#[derive(Debug, Clone, Default)]
pub struct Submission(pub Object);

impl Submission {
    fn member(&self, name: &str) -> Option<Object> {
        match self.0.get(name) {
            Some(Value::Document(d)) => Some(d.clone().into()),
            _ => None,
        }
    }

    /// The account that has just signed in.
    pub fn login(&self) -> Option<String> {
        self.member("login")
            .and_then(|l| l.get_str("accountId").map(ToOwned::to_owned))
    }

    /// The grant that has just been consented to.
    pub fn consent(&self) -> Option<String> {
        self.member("consent")
            .and_then(|c| c.get_str("grantId").map(ToOwned::to_owned))
    }

    pub fn error(&self) -> Option<(&str, Option<&str>)> {
        self.0
            .get_str("error")
            .map(|e| (e, self.0.get_str("error_description")))
    }
}

/// A prompt and the error that stands for it when nothing may be asked.
#[derive(Debug)]
pub struct Needed {
    pub prompt: Prompt,
    pub error: &'static str,
    pub description: &'static str,
}

/// Either something must be asked, or there is a grant to answer with.
pub enum Decision {
    Ask(Box<Needed>),
    /// Asking again would change nothing: an error and its description.
    Refuse(&'static str, &'static str),
    /// The grant, if the request needs one.
    Go(Option<Arc<Record<Grant>>>),
}

fn ask(
    name: &str,
    reasons: Vec<String>,
    details: Object,
    error: &'static str,
    description: &'static str,
) -> Decision {
    Decision::Ask(Box::new(Needed {
        prompt: Prompt {
            name: name.to_owned(),
            reasons,
            details,
        },
        error,
        description,
    }))
}

pub async fn decide(
    ctx: &Ctx,
    request: &Request,
    session: &Session,
    submission: &Submission,
) -> ApiResult<Decision> {
    if let Some(needed) = login(ctx, request, session, submission) {
        return Ok(needed);
    }
    consent(ctx, request, session, submission).await
}

fn login(
    ctx: &Ctx,
    request: &Request,
    session: &Session,
    submission: &Submission,
) -> Option<Decision> {
    let fresh = submission.login().is_some();
    let mut reasons = Vec::new();
    if request.prompts("login") && !fresh {
        reasons.push("login_prompt");
    }
    if session.account_id.is_none() {
        reasons.push("no_session");
    }
    if let (Some(max_age), false) = (request.max_age, fresh) {
        let age = ctx.app.now() - session.login_ts.unwrap_or(0);
        if session.account_id.is_some() && age > max_age {
            reasons.push("max_age");
        }
    }
    let other_subject = request.hint_sub.is_some()
        && session.account_id.is_some()
        && request.hint_sub != session.account_id;
    if other_subject {
        reasons.push("id_token_hint");
    }
    let unmet = session.account_id.is_some() && request.acr.is_unmet(&session.amr);
    if unmet && fresh {
        // OpenID Connect Core Error Code unmet_authentication_requirements 1.0
        return Some(Decision::Refuse(
            "unmet_authentication_requirements",
            "the way of signing in does not meet what was asked for",
        ));
    }
    if unmet {
        reasons.push("essential_acrs");
    }
    if session.account_id.is_some() && !fresh && request.acr.falls_short(&session.amr) {
        reasons.push("acr_values");
    }
    if reasons.is_empty() {
        return None;
    }
    let mut details = Object::default();
    for name in ["max_age", "login_hint", "id_token_hint"] {
        if let Some(value) = request.params.get(name) {
            details.insert(name, value);
        }
    }
    let (error, description) = if other_subject {
        (
            "login_required",
            "id_token_hint and authenticated subject do not match",
        )
    } else if reasons.first() == Some(&"no_session") {
        ("login_required", "End-User authentication is required")
    } else {
        (
            "login_required",
            "End-User authentication could not be obtained",
        )
    };
    Some(ask(
        "login",
        reasons.into_iter().map(ToOwned::to_owned).collect(),
        details,
        error,
        description,
    ))
}

async fn consent(
    ctx: &Ctx,
    request: &Request,
    session: &Session,
    submission: &Submission,
) -> ApiResult<Decision> {
    let account = session.account_id.as_deref().unwrap_or_default();
    let client = &request.client;
    let consented = submission.consent();
    let grant_id = consented.clone().or_else(|| {
        session
            .authorizations
            .get(&client.id)
            .and_then(|a| a.grant_id.clone())
    });
    let grant = match grant_id {
        Some(id) => grants::find(&ctx.app, &id, account, &client.id).await?,
        None => None,
    };
    let mut reasons = Vec::new();
    if request.prompts("consent") && consented.is_none() {
        reasons.push("consent_prompt");
    }
    let native =
        client.payload.is_native() && consented.is_none() && request.response_type != "none";
    if native {
        reasons.push("native_client_prompt");
    }
    let missing = missing(ctx, request, grant.as_ref().map(|g| &g.payload))?;
    if !missing.openid.is_empty() {
        reasons.push("op_scopes_missing");
    }
    if !missing.resources.is_empty() {
        reasons.push("rs_scopes_missing");
    }
    if reasons.is_empty() {
        return Ok(Decision::Go(grant));
    }
    let (error, description) = if native {
        (
            "interaction_required",
            "native clients require End-User interaction",
        )
    } else {
        ("consent_required", "requested scopes not granted")
    };
    Ok(ask(
        "consent",
        reasons.into_iter().map(ToOwned::to_owned).collect(),
        missing_details(&missing),
        error,
        description,
    ))
}

/// Requested scopes the grant does not cover yet.
pub fn missing(ctx: &Ctx, request: &Request, grant: Option<&Grant>) -> ApiResult<Consented> {
    let tenant = ctx.tenant()?;
    let known = scopes::requested_static(&ctx.app, tenant, &request.scope);
    let openid = grants::missing(grant.and_then(Grant::openid_scope), &known);
    let mut resources = Vec::new();
    let wanted = scopes::for_resource(&ctx.app, tenant, &request.client, &request.scope);
    for resource in &request.resources {
        let lacking = grants::missing(
            grant
                .and_then(|g| g.resources.get(resource))
                .map(String::as_str),
            &wanted,
        );
        if !lacking.is_empty() {
            resources.push((
                resource.clone(),
                lacking.into_iter().map(ToOwned::to_owned).collect(),
            ));
        }
    }
    Ok(Consented {
        openid: openid.into_iter().map(ToOwned::to_owned).collect(),
        resources,
    })
}

fn missing_details(missing: &Consented) -> Object {
    let list = |v: &[String]| Value::Array(v.iter().map(|s| Value::String(s.clone())).collect());
    let mut details = Object::default();
    if !missing.openid.is_empty() {
        details.insert("missingOIDCScope", list(&missing.openid));
    }
    if !missing.resources.is_empty() {
        let mut map = Object::default();
        for (resource, scopes) in &missing.resources {
            map.insert(resource.clone(), list(scopes));
        }
        details.insert("missingResourceScopes", map);
    }
    details
}

/// The reverse of the details of a consent prompt: what agreeing grants.
pub fn consented_of(prompt: &Prompt) -> Consented {
    let list = |v: &Value| -> Vec<String> {
        v.as_array()
            .map(|l| {
                l.iter()
                    .filter_map(|s| s.as_str().map(ToOwned::to_owned))
                    .collect()
            })
            .unwrap_or_default()
    };
    let resources = match prompt.details.get("missingResourceScopes") {
        Some(Value::Document(d)) => d.iter().map(|(k, v)| (k.clone(), list(v))).collect(),
        _ => Vec::new(),
    };
    Consented {
        openid: prompt
            .details
            .get("missingOIDCScope")
            .map(list)
            .unwrap_or_default(),
        resources,
    }
}
