//! Asking somebody on a device, and making use of the answer.

use serde_json::{Value as Json, json};
use ueauth_actors::{Answer, Challenge, ChallengeId, ConsumeError, NewChallenge, Outcome, Status};

use crate::accounts::Account;
use crate::accounts::notices::as_if;
use crate::app::{App, LimitClass};
use crate::challenges::providers::{self, Provider, ProviderError, Push, Sent};
use crate::challenges::{answers, decoys, peace};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;

/// How long (ms) an approval counts, whatever the settings say of the time to give it.
const KEPT: i64 = 1_200_000;
/// How long (ms) an unanswered custom challenge keeps others away.
const PATIENCE: i64 = 300_000;
/// How often an id is looked for that is not taken; those of some providers are short.
const TRIES: u32 = 8;
/// What those write who took a challenge back.
pub const SUPERSEDED: &str = "superseded";

/// What an approval may be used for. One never serves for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The second factor of a sign-in.
    Login,
    /// A sign-in by the device alone.
    DeviceLogin,
    /// Proving an account at the pages that set up devices and passkeys.
    SignIn,
    /// Binding another device.
    Recovery,
    /// Mailing a link to set a new password.
    PasswordReset,
    /// Letting somebody have the profile.
    ProfileRequest,
    /// Whatever an application asks; it proves nothing to this server.
    Custom,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::DeviceLogin => "device-login",
            Self::SignIn => "sign-in",
            Self::Recovery => "recovery",
            Self::PasswordReset => "password-reset",
            Self::ProfileRequest => "profile-request",
            Self::Custom => "custom",
        }
    }

    /// Is the purpose of that name one for which anybody can have somebody asked?
    pub fn is_for_anybody(name: &str) -> bool {
        [Self::DeviceLogin, Self::SignIn, Self::PasswordReset]
            .iter()
            .any(|p| p.name() == name)
    }
}

/// What somebody is asked.
#[derive(Debug)]
pub struct Question<'a> {
    pub purpose: Purpose,
    pub uid: &'a str,
    pub title: &'a str,
    pub header: String,
    pub body: &'a str,
    pub event: Option<&'static str>,
    pub duration: Option<&'a str>,
    pub callback: Option<&'a str>,
    /// The client that asks, and its group.
    pub client: Option<(String, String)>,
}

impl<'a> Question<'a> {
    /// One that this server itself asks in the name of the group.
    pub fn own(
        tenant: &Tenant,
        purpose: Purpose,
        uid: &'a str,
        title: &'a str,
        body: &'a str,
    ) -> Self {
        Self {
            purpose,
            uid,
            title,
            header: format!("{} Platform", tenant.group.name),
            body,
            event: None,
            duration: None,
            callback: None,
            client: None,
        }
    }

    /// Whether it is the account's owner who signs in.
    pub fn sign_in(tenant: &Tenant, purpose: Purpose, uid: &'a str) -> Self {
        let body = "Approve only if it is you who is signing in.";
        Self::own(tenant, purpose, uid, "Authorization Request", body)
    }
}

/// A question under way.
#[derive(Debug)]
pub struct Asked {
    /// The provider's id of it.
    pub key: String,
    pub provider: &'static str,
    pub response: Json,
    /// What whoever waits shows, for the device to enter.
    pub number: Option<String>,
    /// Is a code to be typed where one waits?
    pub by_code: bool,
}

/// How many milliseconds a text like `10m` stands for.
pub fn duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    let number: i64 = number.parse().ok()?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|ms| *ms > 0)
}

/// Sends a question to the account's devices. At most one per account and purpose is open: a new
/// one takes the place of the former, except that custom ones wait for each other.
pub async fn ask(
    app: &App,
    tenant: &Tenant,
    account: &Account,
    question: &Question<'_>,
) -> ApiResult<Asked> {
    let provider = providers::of(app, tenant).await?;
    let purpose = question.purpose.name();
    let challenges = app.actors.challenges(tenant.id());
    if question.purpose == Purpose::Custom {
        let open = challenges.pending_for(&account.id, purpose).await?;
        if let Some(wait) = open.iter().filter_map(|c| keeps_away(app, c)).max() {
            return Err(ApiError::too_many(wait));
        }
    }
    limit(app, tenant, &account.id, question.purpose)?;
    let kept =
        Purpose::is_for_anybody(purpose) && peace::is_kept(app, tenant.id(), &account.id).await?;
    if kept {
        return pretend(app, tenant, &*provider, &account.id, question).await;
    }
    Ok(put(app, tenant, &*provider, account, question).await??)
}

/// Asks on the word of somebody who has proven nothing. It does not show whether there is such an
/// account, whether it has a device, or whether it is left in peace: `id` stands for it in any case.
pub async fn ask_if(
    app: &App,
    tenant: &Tenant,
    account: Option<&Account>,
    id: &str,
    question: &Question<'_>,
) -> ApiResult<Asked> {
    let provider = providers::of(app, tenant).await?;
    let provider = &*provider;
    limit(app, tenant, id, question.purpose)?;
    let whom = account.filter(|a| a.mfa_enabled());
    let asked = as_if(app, &app.pushed, tenant.id(), whom, async |account| {
        if peace::is_kept(app, tenant.id(), &account.id).await? {
            return Ok(None);
        }
        match put(app, tenant, provider, account, question).await? {
            Ok(asked) => Ok(Some(asked)),
            Err(ProviderError::NoDevice) => Ok(None),
            Err(e) => Err(e.into()),
        }
    });
    match asked.await? {
        Some(asked) => Ok(asked),
        None => pretend(app, tenant, provider, id, question).await,
    }
}

fn push<'a>(account: &'a str, question: &'a Question<'_>, number: Option<&'a str>) -> Push<'a> {
    Push {
        account,
        uid: question.uid,
        title: question.title,
        header: &question.header,
        body: question.body,
        event: question.event,
        callback: question.callback,
        duration: question.duration,
        number,
    }
}

/// Has the provider ask, and waits for the answer from now on.
async fn put(
    app: &App,
    tenant: &Tenant,
    provider: &dyn Provider,
    account: &Account,
    question: &Question<'_>,
) -> ApiResult<providers::Outcome<Asked>> {
    let number = number(app, tenant, provider, question.purpose);
    let push = push(&account.id, question, number.as_deref());
    let sent = match provider.send(app, &push).await {
        Ok(sent) => sent,
        Err(e) => return Ok(Err(e)),
    };
    decoys::note(app, tenant, provider, &sent.key);
    let data = data(account, question, &sent);
    issue(app, tenant, &account.id, question, &sent.key, data).await?;
    provider.announce(app, &account.id);
    Ok(Ok(Asked {
        key: sent.key,
        provider: provider.name(),
        response: sent.response,
        number,
        by_code: provider.asks_for_code(),
    }))
}

/// Stores a question in the place of the one before.
async fn issue(
    app: &App,
    tenant: &Tenant,
    account: &str,
    question: &Question<'_>,
    key: &str,
    data: Json,
) -> ApiResult<()> {
    let now = app.now_ms();
    let id = ChallengeId::new(key, account, question.uid);
    let purpose = question.purpose.name();
    app.actors
        .challenges(tenant.id())
        .issue(NewChallenge {
            id: id.clone(),
            purpose: purpose.to_owned(),
            deadline: deadline(app, now, question.duration),
            keep_until: now.saturating_add(KEPT),
            data,
        })
        .await?;
    supersede(app, tenant, account, purpose, &id).await
}

/// What the device has to enter, if the group and its provider want that: from 10 to 99, so that
/// nobody wonders about a zero.
fn number(app: &App, tenant: &Tenant, provider: &dyn Provider, purpose: Purpose) -> Option<String> {
    // nobody is at a page that could show it
    let shown = !matches!(purpose, Purpose::PasswordReset | Purpose::ProfileRequest);
    let asks = tenant.group.config.mfa_challenge.number_matching == Some(true);
    (shown && asks && provider.matches_numbers())
        .then(|| (u32::from_be_bytes(app.random.bytes()) % 90 + 10).to_string())
}

/// At most so many questions to one account. What anybody can ask for does not use up the share of
/// those who have proven something.
fn limit(app: &App, tenant: &Tenant, account: &str, purpose: Purpose) -> ApiResult<()> {
    let kind = match purpose {
        Purpose::Login => ":login",
        Purpose::Recovery => ":recovery",
        Purpose::Custom => ":custom",
        Purpose::ProfileRequest => ":profile",
        Purpose::DeviceLogin | Purpose::SignIn | Purpose::PasswordReset => "",
    };
    let subject = format!("{}:{account}{kind}", tenant.id());
    app.limits.check(LimitClass::Challenges, &subject)
}

/// As if the account had been asked: whoever waits for an answer can not tell, and none comes. Not
/// for providers whose answer is typed.
async fn pretend(
    app: &App,
    tenant: &Tenant,
    provider: &dyn Provider,
    account: &str,
    question: &Question<'_>,
) -> ApiResult<Asked> {
    // shown as for a device that is there
    let number = number(app, tenant, provider, question.purpose);
    let key = unused(app, tenant, provider, account, question.uid).await?;
    let push = push(account, question, number.as_deref());
    let response = provider.decoy(app, &push, &key).await?;
    let data = json!({ "uid": question.uid, "accountId": account });
    issue(app, tenant, account, question, &key, data).await?;
    Ok(Asked {
        key,
        provider: provider.name(),
        response,
        number,
        by_code: false,
    })
}

/// An id that no question to the account has for that reason.
async fn unused(
    app: &App,
    tenant: &Tenant,
    provider: &dyn Provider,
    account: &str,
    uid: &str,
) -> ApiResult<String> {
    let challenges = app.actors.challenges(tenant.id());
    for _ in 0..TRIES {
        let key = decoys::key(app, tenant, provider);
        let id = ChallengeId::new(&key, account, uid);
        if challenges.find(&id).await?.is_none() {
            return Ok(key);
        }
    }
    Ok(app.random.uuid())
}

fn deadline(app: &App, now: i64, asked: Option<&str>) -> i64 {
    let seconds = app.settings.actors.challenge_seconds.get();
    let most = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    now.saturating_add(asked.and_then(duration).map_or(most, |ms| ms.min(most)))
}

/// Seconds for which no other custom challenge is sent.
fn keeps_away(app: &App, open: &Challenge) -> Option<u64> {
    let until = open.deadline.min(open.created_at.saturating_add(PATIENCE));
    let left = until.saturating_sub(app.now_ms());
    (left > 0).then(|| u64::try_from(left / 1000 + 1).unwrap_or(1))
}

/// What is stored with it, in the form that other systems know.
fn data(account: &Account, question: &Question<'_>, sent: &Sent) -> Json {
    let mut out = sent.kept.clone();
    out.insert("uid".to_owned(), question.uid.into());
    out.insert("accountId".to_owned(), account.id.clone().into());
    let (group, client) = question.client.clone().unzip();
    for (name, value) in [
        ("event", question.event.map(ToOwned::to_owned)),
        ("cb", question.callback.map(ToOwned::to_owned)),
        ("client", client),
        ("clientGroup", group),
    ] {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.into());
        }
    }
    Json::Object(out)
}

/// Takes back what was asked before. Of several at the same moment the one with the greatest id stays.
async fn supersede(
    app: &App,
    tenant: &Tenant,
    account: &str,
    purpose: &str,
    id: &ChallengeId,
) -> ApiResult<()> {
    let challenges = app.actors.challenges(tenant.id());
    let open = challenges.pending_for(account, purpose).await?;
    let Some(own) = open.iter().find(|c| c.id == *id).cloned() else {
        return Ok(());
    };
    for other in open {
        if (other.created_at, &other.id) < (own.created_at, &own.id) {
            let taken = challenges
                .answer(&other.id, Answer::Deny, SUPERSEDED)
                .await?;
            if let Outcome::Applied(taken) = taken {
                answers::conclude(app, tenant.id(), &taken).await;
            }
        }
    }
    Ok(())
}

/// Uses an approval up, for what it was asked. True for exactly one caller.
pub async fn redeem(app: &App, group: &str, id: &ChallengeId, purpose: Purpose) -> ApiResult<bool> {
    let challenges = app.actors.challenges(group);
    let found = challenges.find(id).await?;
    let fits = found
        .is_some_and(|c| c.purpose == purpose.name() && c.status(app.now_ms()) == Status::Approved);
    if !fits {
        return Ok(false);
    }
    match challenges.consume(id).await {
        Ok(_) => Ok(true),
        Err(ConsumeError::NotApproved(_)) => Ok(false),
        Err(ConsumeError::Actor(e)) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("5m"), Some(300_000));
        assert_eq!(duration(" 90s "), Some(90_000));
        assert_eq!(duration("1h"), Some(3_600_000));
        for none in [
            "",
            "5",
            "m",
            "-5m",
            "0m",
            "5 m",
            "5d",
            "1.5m",
            "99999999999999999999m",
        ] {
            assert_eq!(duration(none), None, "{none}");
        }
    }
}
