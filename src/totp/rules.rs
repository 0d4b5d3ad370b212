//! Making secrets, and telling right codes from wrong ones.

use totp_rs::{Builder, Secret, Totp, TotpError as CodeError};

use crate::accounts::Account;
use crate::accounts::rules::{self, of_account};
use crate::app::App;
use crate::sealing::{self, SealingError};
use crate::store::{Date, Object, StoreError, and, eq};
use crate::totp::model::TotpSecret;

/// Wrong codes within [`WINDOW`] after which none counts for so long.
const MOST_WRONG: i64 = 5;
/// 15 minutes (ms).
const WINDOW: i64 = 900_000;
/// 160 bits, as RFC 4226 asks for.
const SECRET_BYTES: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the secret of an authenticator app could not be sealed or opened: {0}")]
    Sealing(SealingError),
    #[error("the secret of an authenticator app is of no use: {0}")]
    Secret(#[from] CodeError),
}

impl From<SealingError> for TotpError {
    fn from(e: SealingError) -> Self {
        match e {
            SealingError::Store(e) => Self::Store(e),
            other @ SealingError::Seal(_) => Self::Sealing(other),
        }
    }
}

/// What a new app has to know.
pub struct New {
    /// `otpauth://…`
    pub uri: String,
    /// For typing.
    pub base32: String,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// Too many were wrong; seconds until one counts again.
    Refused(u64),
}

fn context(id: &str) -> String {
    format!("totp:{id}")
}

/// The account's secret, if it has one.
pub async fn find(app: &App, group: &str, account: &str) -> Result<Option<TotpSecret>, StoreError> {
    let this = of_account(group, account);
    app.store.of::<TotpSecret>().find_one(this).await
}

/// Makes a secret in the place of any other. It proves nothing before its first right code.
pub async fn make(
    app: &App,
    group: &str,
    issuer: &str,
    account: &Account,
) -> Result<New, TotpError> {
    let bytes: [u8; SECRET_BYTES] = app.random.bytes();
    // a colon parts the issuer from the name
    let plain = |text: &str| text.replace(':', " ").trim().to_owned();
    let name = if account.email.is_empty() {
        &account.id
    } else {
        &account.email
    };
    let issuer = Some(plain(issuer)).filter(|i| !i.is_empty());
    let totp = Builder::new()
        .with_secret(Secret::new(Box::new(bytes)))
        .with_account_name(plain(name))
        .with_issuer(issuer)
        .build()?;
    let id = app.random.uuid();
    let new = TotpSecret {
        secret: sealing::seal(app, &context(&id), &bytes).await?,
        id,
        created_at: app.date(),
        last_used_at: None,
        auth_group: group.to_owned(),
        account_id: account.id.clone(),
        proven: false,
        last_step: None,
        wrong: 0,
        wrong_since: None,
        refused_until: None,
        version: 0,
        extra: Object::default(),
    };
    remove_all(app, group, &account.id).await?;
    app.store.of::<TotpSecret>().insert(&new).await?;
    tracing::info!(
        group,
        account = account.id,
        "secret for an authenticator app made"
    );
    Ok(New {
        uri: totp.to_url()?,
        base32: totp.secret().to_base32(),
    })
}

/// Takes one secret away, by its id.
pub async fn remove(app: &App, group: &str, id: &str) -> Result<bool, StoreError> {
    let this = and([eq("_id", id), eq("authGroup", group)]);
    Ok(app.store.of::<TotpSecret>().take(this).await?.is_some())
}

pub async fn remove_all(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    let all = of_account(group, account);
    app.store.of::<TotpSecret>().delete_many(all).await?;
    Ok(())
}

/// Judges a code, and uses up a right one. The first right one proves the secret: from then on
/// the account has a second factor.
pub async fn check(
    app: &App,
    group: &str,
    account: &str,
    code: &str,
) -> Result<Verdict, TotpError> {
    let Some(stored) = find(app, group, account).await? else {
        return Ok(Verdict::Wrong);
    };
    let secret = sealing::open(app, &context(&stored.id), &stored.secret).await?;
    let totp = Builder::new()
        .with_secret(Secret::new(secret.to_vec().into_boxed_slice()))
        .build()?;
    let mut verdict = Verdict::Wrong;
    let secrets = app.store.of::<TotpSecret>();
    let now = app.now_ms();
    let judged = secrets
        .update(&stored.id, |s: &mut TotpSecret| {
            verdict = judge(s, &totp, code, now);
            Ok::<_, StoreError>(())
        })
        .await?;
    // taken away meanwhile
    if judged.is_none() {
        return Ok(Verdict::Wrong);
    }
    if verdict == Verdict::Right && !stored.proven {
        rules::has_proved_a_device(app, account).await?;
        // last, so that a failure before it is made good by the next code
        secrets
            .update(&stored.id, |s: &mut TotpSecret| {
                s.proven = true;
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(verdict)
}

/// What the code is worth, and what is remembered of it.
fn judge(stored: &mut TotpSecret, totp: &Totp, code: &str, now: i64) -> Verdict {
    let left = stored
        .refused_until
        .map_or(0, |until| until.as_millis().saturating_sub(now));
    if left > 0 {
        return Verdict::Refused(seconds(left));
    }
    let time = u64::try_from(now.div_euclid(1000)).unwrap_or(0);
    let step = totp.check(code, time).and_then(|s| i64::try_from(s).ok());
    match step {
        Some(step) if stored.last_step.is_none_or(|last| step > last) => {
            stored.last_step = Some(step);
            stored.last_used_at = Some(Date::from_millis(now));
            stored.wrong = 0;
            stored.wrong_since = None;
            stored.refused_until = None;
            Verdict::Right
        }
        // no guess: whoever sends it a second time has had it
        Some(_) => Verdict::Wrong,
        None => {
            let since = stored.wrong_since.map(Date::as_millis);
            let since = since.filter(|at| now.saturating_sub(*at) < WINDOW);
            stored.wrong = since.map_or(0, |_| stored.wrong).saturating_add(1);
            stored.wrong_since = Some(Date::from_millis(since.unwrap_or(now)));
            if stored.wrong < MOST_WRONG {
                return Verdict::Wrong;
            }
            stored.wrong = 0;
            stored.wrong_since = None;
            stored.refused_until = Some(Date::from_millis(now.saturating_add(WINDOW)));
            Verdict::Refused(seconds(WINDOW))
        }
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000 + 1).unwrap_or(1)
}
