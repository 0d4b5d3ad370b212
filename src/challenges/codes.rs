//! Answering a challenge by a code that is typed where one waits.

use ueauth_actors::{Answer, ChallengeId, Outcome as Ended, Status};

use crate::accounts::Account;
use crate::app::{App, LimitClass};
use crate::challenges::answers;
use crate::challenges::providers::{self, Outcome, Provider, ProviderError};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The challenge is approved now.
    Right,
    Wrong,
    /// The challenge has ended or takes no codes.
    Over,
}

/// Approves the challenge if the code is right. Guesses are limited per account (429); too many
/// of them deny the challenge.
pub async fn answer(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    id: &ChallengeId,
    code: &str,
) -> ApiResult<Verdict> {
    let provider = providers::of(app, tenant).await?;
    let challenges = app.actors.challenges(tenant.id());
    let pending = id.account == account.id
        && challenges.status(id).await? == Status::Pending
        && provider.asks_for_code();
    if !pending {
        return Ok(Verdict::Over);
    }
    let (answer, verdict) = match try_code(app, tenant, &*provider, account, code).await? {
        Ok(true) => (Answer::Approve, Ok(Verdict::Right)),
        Ok(false) => return Ok(Verdict::Wrong),
        // whoever guesses has to begin again
        Err(e @ ProviderError::TooMany(_)) => (Answer::Deny, Err(e.into())),
        Err(e) => return Err(e.into()),
    };
    match challenges.answer(id, answer, provider.name()).await? {
        Ended::Applied(challenge) => {
            answers::conclude(app, tenant.id(), &challenge).await;
            verdict
        }
        _ => verdict.map(|_| Verdict::Over),
    }
}

/// Shows by a code that a new device works, when nothing is waiting for it.
pub async fn prove(app: &App, tenant: &Tenant, account: &Account, code: &str) -> ApiResult<bool> {
    let provider = providers::of(app, tenant).await?;
    if !provider.asks_for_code() {
        return Err(ApiError::bad_request(
            "The group's provider of challenges takes no codes",
        ));
    }
    Ok(try_code(app, tenant, &*provider, account, code).await??)
}

async fn try_code(
    app: &App,
    tenant: &Tenant,
    provider: &dyn Provider,
    account: &Account,
    code: &str,
) -> ApiResult<Outcome<bool>> {
    let subject = format!("{}:{}", tenant.id(), account.id);
    app.limits.check(LimitClass::Codes, &subject)?;
    Ok(provider.takes_code(app, account, code.trim()).await)
}
