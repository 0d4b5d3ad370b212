//! Answering a challenge by a code that is typed where one waits.

use ueauth_actors::{Answer, ChallengeId, Outcome, Status};

use crate::accounts::Account;
use crate::app::{App, LimitClass};
use crate::challenges::{answers, providers};
use crate::groups::Tenant;
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

/// Approves the challenge if the code is right. Guesses are limited per account (429).
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
    let subject = format!("{}:{}", tenant.id(), account.id);
    app.limits.check(LimitClass::Codes, &subject)?;
    if !provider.takes_code(app, account, code.trim()).await? {
        return Ok(Verdict::Wrong);
    }
    match challenges
        .answer(id, Answer::Approve, provider.name())
        .await?
    {
        Outcome::Applied(challenge) => {
            answers::conclude(app, tenant.id(), &challenge);
            Ok(Verdict::Right)
        }
        _ => Ok(Verdict::Over),
    }
}
