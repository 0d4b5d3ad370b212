//! Initial access tokens: made for one purpose, accepted for that purpose only.

use crate::accounts::Account;
use crate::app::App;
use crate::http::error::ApiResult;
use crate::oidc::records::{InitialAccessToken, Purpose, Record};
use crate::store::{Filter, StoreError, and, eq, ne};

/// Longest life (s) at which a token of an older database, which has no purpose, may act for an account.
const OLD_ACCOUNT_TOKEN: i64 = 7200;

/// What a new token says.
#[derive(Debug, Clone, Default)]
pub struct NewIat {
    pub group: String,
    /// Seconds.
    pub life: i64,
    pub sub: Option<String>,
    pub email: Option<String>,
    pub uid: Option<String>,
    pub state: Option<String>,
    /// Whoever gets it has proven all that a sign-in asks for.
    pub strong: bool,
}

pub async fn mint(
    app: &App,
    purpose: Purpose,
    new: NewIat,
) -> Result<Record<InitialAccessToken>, StoreError> {
    let now = app.now();
    let jti = app.random.token43();
    let exp = now.saturating_add(new.life);
    let payload = InitialAccessToken {
        iat: now,
        exp,
        jti: jti.clone(),
        kind: "InitialAccessToken".to_owned(),
        policies: vec!["auth_group".to_owned()],
        auth_group: new.group,
        sub: new.sub,
        email: new.email,
        uid: new.uid,
        state: new.state,
        purpose: Some(purpose),
        strong: new.strong,
        ..Default::default()
    };
    let record = Record::new(jti, payload, Some(exp));
    app.store
        .of::<Record<InitialAccessToken>>()
        .insert(&record)
        .await?;
    Ok(record)
}

/// A live token of the group that may serve the purpose.
pub async fn find(
    app: &App,
    group: &str,
    token: &str,
    purpose: Purpose,
) -> Result<Option<InitialAccessToken>, StoreError> {
    let found = app
        .store
        .of::<Record<InitialAccessToken>>()
        .get(token)
        .await?
        .map(|r| r.payload);
    Ok(found.filter(|p| {
        p.auth_group == group
            && p.kind == "InitialAccessToken"
            && p.exp > app.now()
            && serves(p, purpose)
    }))
}

fn serves(token: &InitialAccessToken, purpose: Purpose) -> bool {
    if let Some(made_for) = token.purpose {
        return made_for == purpose;
    }
    let for_person = token.sub.is_some();
    match purpose {
        Purpose::ClientRegistration => token.uid.is_none() && token.state.is_none() && !for_person,
        Purpose::GroupActivation => !for_person && token.uid.is_none() && token.state.is_none(),
        Purpose::GroupOwner => !for_person && token.uid.is_some(),
        _ => for_person && token.exp - token.iat <= OLD_ACCOUNT_TOKEN,
    }
}

/// The account a token stands for, if the token still fits it.
pub async fn account_of(
    app: &App,
    token: &InitialAccessToken,
) -> Result<Option<Account>, StoreError> {
    let Some(sub) = &token.sub else {
        return Ok(None);
    };
    let found = app.store.of::<Account>().get(sub).await?;
    Ok(found.filter(|a| {
        a.auth_group == token.auth_group
            && token
                .email
                .as_ref()
                .is_none_or(|e| e.eq_ignore_ascii_case(&a.email))
    }))
}

/// Uses the token up. False if somebody else was first.
pub async fn consume(app: &App, token: &str) -> ApiResult<bool> {
    Ok(app
        .store
        .of::<Record<InitialAccessToken>>()
        .delete(token)
        .await?)
}

/// Ends what the account could still prove itself with, except the token that is just being used.
/// Those that only lock stay: their owner may need one right after somebody else's change.
pub async fn end_proofs(
    app: &App,
    group: &str,
    account: &str,
    used: Option<&str>,
) -> Result<(), StoreError> {
    let lock = [
        ne("payload.purpose", "lock-notice"),
        ne("payload.purpose", "account-lock"),
    ];
    let used = used.map(|token| ne("_id", token));
    let doomed = of_account(group, account).and(and(lock.into_iter().chain(used)));
    app.store
        .of::<Record<InitialAccessToken>>()
        .delete_many(doomed)
        .await?;
    Ok(())
}

/// Registrations of clients only name somebody; they prove nobody.
fn of_account(group: &str, account: &str) -> Filter {
    and([
        eq("payload.auth_group", group),
        eq("payload.sub", account),
        ne("payload.purpose", "client-registration"),
    ])
}
