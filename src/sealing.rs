//! The keys that secrets are sealed with before they are stored.
//!
//! Those of the settings come first. The store holds one more, made when it is first needed, so
//! that a server without settings can seal too and what it sealed opens after a key is set.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::app::App;
use crate::secrets::{SealError, Sealer};
use crate::store::{Collection, Date, Document, Object, StoreError};

pub static SEALING_KEYS: Collection = Collection {
    name: "sealing_keys",
    indexes: &[],
    expiry: &[],
};

/// The id of the one document.
const ID: &str = "store";

#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A key that was made by the server itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    pub key: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKey")
    }
}

impl Document for StoredKey {
    const COLLECTION: &'static Collection = &SEALING_KEYS;
    fn id(&self) -> &str {
        &self.id
    }
}

/// Seals for storage; the context is bound in, as [`Sealer::seal`] says.
pub async fn seal(app: &App, context: &str, plain: &[u8]) -> Result<String, SealingError> {
    Ok(sealer(app).await?.seal(context, plain)?)
}

pub async fn open(
    app: &App,
    context: &str,
    sealed: &str,
) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    Ok(sealer(app).await?.open(context, sealed)?)
}

async fn sealer(app: &App) -> Result<&Sealer, SealingError> {
    app.sealer
        .get_or_try_init(|| async {
            let mut keys = app.settings.security.sealing_keys.clone();
            keys.push(stored(app).await?);
            Ok(Sealer::new(&keys)?)
        })
        .await
}

/// The key in the store. Of several servers that start together, one makes it.
async fn stored(app: &App) -> Result<SecretString, SealingError> {
    let all = app.store.of::<StoredKey>();
    if let Some(found) = all.get(ID).await? {
        return Ok(found.key.into());
    }
    let new = StoredKey {
        id: ID.to_owned(),
        created_at: app.date(),
        key: app.random.client_secret86(),
        version: 0,
        extra: Object::default(),
    };
    Ok(all.insert_or_get(new).await?.key.into())
}
