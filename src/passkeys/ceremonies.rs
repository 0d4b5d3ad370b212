//! Ceremonies: kept when they begin, taken when they end.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::passkeys::model::{Ceremony, Kind};
use crate::passkeys::party::{LIFE, not_verified};
use crate::store::{Date, Object, and, eq};

/// A ceremony that begins.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    pub group: &'a str,
    pub kind: Kind,
    pub domain: &'a str,
    pub account: Option<&'a str>,
    pub interaction: Option<&'a str>,
    pub challenge: &'a [u8],
}

pub fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Remembers what the end of the ceremony needs; answers the ceremony's id.
pub async fn keep(app: &App, begun: Begun<'_>, state: &impl Serialize) -> ApiResult<String> {
    let ceremony = Ceremony {
        id: text(begun.challenge),
        expires_at: Date::from_millis(app.now_ms().saturating_add(LIFE * 1000)),
        auth_group: begun.group.to_owned(),
        kind: begun.kind,
        domain: begun.domain.to_owned(),
        account_id: begun.account.map(ToOwned::to_owned),
        interaction: begun.interaction.map(ToOwned::to_owned),
        state: serde_json::to_string(state).map_err(ApiError::internal)?,
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<Ceremony>().insert(&ceremony).await?;
    Ok(ceremony.id)
}

#[derive(Deserialize)]
struct ClientData {
    challenge: String,
}

/// The ceremony that this client data answers. Whoever takes it first has it; it is gone then,
/// whether or not the rest of the answer is good.
pub async fn take(
    app: &App,
    group: &str,
    kind: Kind,
    domain: &str,
    client_data: &[u8],
) -> ApiResult<Ceremony> {
    let data: ClientData = serde_json::from_slice(client_data).map_err(|_| not_verified())?;
    let this = and([
        eq("_id", data.challenge),
        eq("authGroup", group),
        eq("kind", kind.stored()),
        eq("domain", domain),
    ]);
    let found = app.store.of::<Ceremony>().take(this).await?;
    found
        .filter(|c| c.expires_at > app.date())
        .ok_or_else(not_verified)
}

/// What authenticators call an account. Ids of this server are UUIDs; others are hashed into one.
pub fn handle(account: &str) -> Uuid {
    Uuid::parse_str(account).unwrap_or_else(|_| {
        let hash = digest(&SHA256, account.as_bytes());
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_keep_their_handles() {
        let id = "8e1c7d6a-6f43-4f3a-9f2f-2f4b5c0d1e2a";
        assert_eq!(handle(id).to_string(), id);
        assert_eq!(handle("person-1"), handle("person-1"));
        assert_ne!(handle("person-1"), handle("person-2"));
    }
}
