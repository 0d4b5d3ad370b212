//! Login sessions of browsers, as the endpoints use them.

use std::sync::Arc;

use ueauth_actors::{ActorError, UpdateError};

use crate::app::App;
use crate::http::ApiError;
use crate::oidc::records::Session;
use crate::store::Object;

impl From<ActorError> for ApiError {
    fn from(e: ActorError) -> Self {
        match e {
            ActorError::Busy { retry_after_secs } => ApiError::busy(retry_after_secs),
            ActorError::Restarted => ApiError::busy(1),
            other => ApiError::internal(other),
        }
    }
}

impl<E: Into<ApiError>> From<UpdateError<E>> for ApiError {
    fn from(e: UpdateError<E>) -> Self {
        match e {
            UpdateError::Refused(e) => e.into(),
            UpdateError::Actor(e) => e.into(),
        }
    }
}

/// The session with that uid in the group.
pub async fn by_uid(app: &App, group: &str, uid: &str) -> Result<Option<Arc<Session>>, ActorError> {
    Ok(app
        .actors
        .sessions(group)
        .find_by_key(&format!("uid:{uid}"))
        .await?
        .into_iter()
        .next()
        .map(|r| Arc::clone(&r.value)))
}

/// Does the session a token is bound to still exist, with the same account and grant?
pub async fn backs(
    app: &App,
    extra: &Object,
    uid: Option<&str>,
    account: &str,
    client: &str,
    grant: &str,
) -> Result<bool, ApiError> {
    let (Some(group), Some(uid)) = (extra.get_str("group"), uid) else {
        return Ok(false);
    };
    Ok(by_uid(app, group, uid)
        .await?
        .is_some_and(|s| carries(&s, account, client, grant)))
}

pub fn carries(session: &Session, account: &str, client: &str, grant: &str) -> bool {
    session.account_id.as_deref() == Some(account)
        && session
            .authorizations
            .get(client)
            .and_then(|a| a.grant_id.as_deref())
            == Some(grant)
}

/// Ends every session of an account.
pub async fn end_all(app: &App, group: &str, account: &str) -> Result<usize, ActorError> {
    app.actors
        .sessions(group)
        .remove_by_key(&format!("account:{account}"))
        .await
}
