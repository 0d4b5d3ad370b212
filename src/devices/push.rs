//! Waking devices whose page is closed: Web Push (RFC 8030, 8291) with VAPID (RFC 8292).
//!
//! A push only says that there is something to answer; the device asks for it itself.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use web_push_native::{Auth, p256};

use crate::app::App;
use crate::devices::{StoredDevice, rules};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::{Alg, JoseError, Jwk, KeySet, generate_ec_key};
use crate::outgoing::{Call, CallError};
use crate::sealing::{self, SealingError};
use crate::slots::Place;
use crate::store::{Collection, Date, Document, Object, StoreError};

pub static PUSH_KEYS: Collection = Collection {
    name: "push_keys",
    indexes: &[],
    expiry: &[],
};

/// The id of the one document.
const ID: &str = "vapid";
const CONTEXT: &str = "push-key:vapid";
/// How long (s) a push service keeps what it can not deliver; a challenge hardly lives longer.
const TTL: &str = "300";
/// Life (s) of the server's proof for a push service; at most a day.
const PROOF_LIFE: i64 = 3600;
/// Longest address of a subscription.
const LONGEST: usize = 2048;

#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sealing(#[from] SealingError),
    #[error(transparent)]
    Key(#[from] JoseError),
    #[error("the subscription of the device is of no use")]
    Subscription,
    #[error("the push could not be encrypted: {0}")]
    Encryption(String),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The key by which push services know this server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushKey {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    /// Private key, as JSON (RFC 7517), sealed for this document.
    pub key: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for PushKey {
    const COLLECTION: &'static Collection = &PUSH_KEYS;
    fn id(&self) -> &str {
        &self.id
    }
}

/// Where a browser takes pushes, and how they are encrypted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub endpoint: String,
    pub keys: SubscriptionKeys,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionKeys {
    pub p256dh: String,
    pub auth: String,
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

impl Subscription {
    fn keys(&self) -> Option<(p256::PublicKey, Auth)> {
        let public = p256::PublicKey::from_sec1_bytes(&bytes(&self.keys.p256dh)?).ok()?;
        let auth: [u8; 16] = bytes(&self.keys.auth)?.try_into().ok()?;
        Some((public, auth.into()))
    }
}

/// The server's key pair; of several servers that start together, one makes it.
async fn key(app: &App) -> Result<Jwk, PushError> {
    let all = app.store.of::<PushKey>();
    let stored = if let Some(stored) = all.get(ID).await? {
        stored
    } else {
        let jwk = generate_ec_key()?;
        let text = serde_json::to_vec(&jwk).map_err(|_| JoseError::Generation)?;
        let new = PushKey {
            id: ID.to_owned(),
            created_at: app.date(),
            key: sealing::seal(app, CONTEXT, &text).await?,
            version: 0,
            extra: Object::default(),
        };
        all.insert_or_get(new).await?
    };
    let text = sealing::open(app, CONTEXT, &stored.key).await?;
    let key = serde_json::from_slice(&text);
    key.map_err(|_| JoseError::UnusableKey("it is no JSON").into())
}

/// The public key as browsers want it: an uncompressed point, base64url.
fn point(key: &Jwk) -> Option<String> {
    let mut out = vec![4];
    for part in [&key.x, &key.y] {
        out.append(&mut bytes(part.as_deref()?)?);
    }
    (out.len() == 65).then(|| URL_SAFE_NO_PAD.encode(out))
}

/// What a browser subscribes with.
pub async fn public_key(app: &App) -> ApiResult<String> {
    let key = key(app).await.map_err(ApiError::internal)?;
    point(&key).ok_or_else(|| ApiError::internal("the key for pushes has no point"))
}

fn context(device: &str) -> String {
    format!("push:{device}")
}

/// Sends pushes there from now on, or nowhere.
pub async fn subscribe(
    app: &App,
    device: &StoredDevice,
    subscription: Option<&Subscription>,
) -> ApiResult<()> {
    let sealed = match subscription {
        None => None,
        Some(wanted) => {
            let secure =
                wanted.endpoint.starts_with("https://") || app.settings.outgoing.allow_loopback;
            let fits = secure
                && wanted.endpoint.len() <= LONGEST
                && app.outgoing.check(&wanted.endpoint).is_ok()
                && wanted.keys().is_some();
            if !fits {
                return Err(ApiError::bad_request(
                    "subscription must be what the browser's push manager gave, at a public address",
                ));
            }
            let text = serde_json::to_vec(wanted).map_err(ApiError::internal)?;
            let sealed = sealing::seal(app, &context(&device.id), &text).await;
            Some(sealed.map_err(ApiError::internal)?)
        }
    };
    let devices = app.store.of::<StoredDevice>();
    devices
        .update(&device.id, |d: &mut StoredDevice| {
            d.subscription.clone_from(&sealed);
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(())
}

/// Tells the devices of an account, beside the request, that there is something to answer. None
/// waits for another's push service.
pub fn wake(app: &App, group: &str, account: &str) {
    let Some(place) = app.slots.pushes.enter(group, &app.random.uuid()) else {
        tracing::error!(
            group,
            "devices were not woken: too many pushes are under way"
        );
        return;
    };
    let (app, group, account) = (Arc::clone(app), group.to_owned(), account.to_owned());
    tokio::spawn(async move {
        let devices = match rules::list(&app, &group, &account).await {
            Ok(devices) => devices,
            Err(cause) => {
                tracing::warn!(account, %cause, "devices were not woken");
                return;
            }
        };
        let all = devices.iter().map(|device| wake_one(&app, &place, device));
        join_all(all).await;
    });
}

async fn wake_one(app: &App, place: &Place, device: &StoredDevice) {
    let Some(sealed) = &device.subscription else {
        return;
    };
    match place.turn(push(app, &device.id, sealed)).await {
        Ok(()) => {}
        // the browser has given it up
        Err(PushError::Call(CallError::Status(404 | 410))) => {
            if let Err(cause) = subscribe(app, device, None).await {
                tracing::warn!(device = device.id, cause = %cause.message, "a subscription stays");
            }
        }
        Err(cause) => tracing::warn!(device = device.id, %cause, "a device was not woken"),
    }
}

async fn push(app: &App, device: &str, sealed: &str) -> Result<(), PushError> {
    let text = sealing::open(app, &context(device), sealed).await?;
    let to: Subscription = serde_json::from_slice(&text).map_err(|_| PushError::Subscription)?;
    let (public, auth) = to.keys().ok_or(PushError::Subscription)?;
    let body = web_push_native::encrypt(b"challenge".to_vec(), &public, &auth)
        .map_err(|e| PushError::Encryption(e.to_string()))?;
    let call = Call::new(Method::POST, &to.endpoint)
        .brief()
        .authorized(&proof(app, &to.endpoint).await?)?
        .content("application/octet-stream", body);
    let call = with(call, "content-encoding", "aes128gcm");
    let call = with(with(call, "ttl", TTL), "urgency", "high");
    app.outgoing.exchange(call).await?;
    Ok(())
}

fn with(mut call: Call, name: &'static str, value: &'static str) -> Call {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    call.headers.push((name, value));
    call
}

/// Who is sending, for the push service at that address.
async fn proof(app: &App, endpoint: &str) -> Result<String, PushError> {
    let key = key(app).await?;
    let point = point(&key).ok_or(PushError::Subscription)?;
    let url = url::Url::parse(endpoint).map_err(|_| PushError::Subscription)?;
    let claims = json!({
        "aud": url.origin().ascii_serialization(),
        "exp": app.now().saturating_add(PROOF_LIFE),
        "sub": app.settings.origin(),
    });
    let set = KeySet::new(&[key])?;
    let signer = set.signer(Alg::ES256).ok_or(PushError::Subscription)?;
    let token = signer.sign(Some("JWT"), &claims)?;
    Ok(format!("vapid t={token}, k={point}"))
}
