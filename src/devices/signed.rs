//! What devices sign: compact JWS with ES256 (RFC 7515), each kind under a `typ` of its own so that
//! one never passes for another.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::accounts::{Account, rules};
use crate::app::App;
use crate::devices::StoredDevice;
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::{Alg, ClientKeys, Jwk, decode_unverified};
use crate::oidc::replay;

pub const ENROLMENT: &str = "device-enrolment+jwt";
pub const REQUEST: &str = "device-request+jwt";
pub const SUBSCRIPTION: &str = "device-subscription+jwt";
pub const ANSWER: &str = "device-answer+jwt";

/// How far (s) a device's clock may be off.
const LEEWAY: i64 = 300;
/// Longest signed text.
const LONGEST: usize = 8192;
const SCHEME: &str = "Device ";

/// A device that has signed something, and whose it is.
#[derive(Debug)]
pub struct Signer {
    pub device: StoredDevice,
    pub account: Account,
}

pub fn refused() -> ApiError {
    ApiError::unauthorized("The signature of the device is not accepted")
}

/// A public key on P-256 without anything else in it.
pub fn public_key(given: &Json) -> Option<Jwk> {
    let given: Jwk = serde_json::from_value(given.clone()).ok()?;
    let fits = given.kty == "EC" && given.crv.as_deref() == Some("P-256") && !given.is_private();
    fits.then(|| Jwk {
        kty: given.kty,
        crv: given.crv,
        x: given.x,
        y: given.y,
        ..Jwk::default()
    })
}

/// The claims, if this key has signed them as that kind.
pub fn verify<T: DeserializeOwned>(token: &str, key: Jwk, typ: &str) -> Option<T> {
    if token.len() > LONGEST {
        return None;
    }
    let verified = ClientKeys::new(&[key])
        .verify_as(token, &[Alg::ES256])
        .ok()?;
    (verified.header.typ.as_deref() == Some(typ)).then_some(verified.claims)
}

/// The claims, and the device that has signed them.
pub async fn by_device<T: DeserializeOwned>(
    app: &App,
    group: &str,
    token: &str,
    typ: &str,
) -> ApiResult<(Signer, T)> {
    if token.len() > LONGEST {
        return Err(refused());
    }
    let (header, _) = decode_unverified(token).map_err(|_| refused())?;
    let id = header.kid.ok_or_else(refused)?;
    let signer = signer(app, group, &id).await?.ok_or_else(refused)?;
    let mut key: Jwk = serde_json::from_str(&signer.device.key).map_err(ApiError::internal)?;
    key.kid = Some(id);
    let claims = verify(token, key, typ).ok_or_else(refused)?;
    Ok((signer, claims))
}

/// The device of that id, if its account may be used.
pub async fn signer(app: &App, group: &str, id: &str) -> ApiResult<Option<Signer>> {
    let device = app.store.of::<StoredDevice>().get(id).await?;
    let Some(device) = device.filter(|d| d.auth_group == group) else {
        return Ok(None);
    };
    let account = rules::find(app, group, &device.account_id).await?;
    let account = account.filter(Account::is_usable);
    Ok(account.map(|account| Signer { device, account }))
}

/// When something was signed, and its name; it counts once.
#[derive(Debug, Deserialize)]
pub struct Once {
    iat: f64,
    jti: String,
}

impl Once {
    pub async fn check(&self, app: &App, signer: &Signer) -> ApiResult<()> {
        #[allow(clippy::cast_possible_truncation)] // saturates
        let at = self.iat.floor() as i64;
        let now = app.now();
        if (now.saturating_sub(at)).abs() > LEEWAY {
            return Err(ApiError::unauthorized("The clock of the device is wrong"));
        }
        if self.jti.is_empty() || self.jti.len() > 128 {
            return Err(refused());
        }
        let issuer = format!("device:{}", signer.device.id);
        let until = now.saturating_add(3 * LEEWAY);
        if replay::is_first(app, &issuer, &self.jti, until).await? {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(flatten)]
    once: Once,
    method: String,
    path: String,
}

/// The device that has signed this request: its method and path, in the authorization header. Pages
/// cannot set that of a socket, so there it may come as `signed` in the query; it counts once.
pub async fn of_request(ctx: &Ctx) -> ApiResult<Signer> {
    let header = ctx
        .req
        .authorization()
        .and_then(|text| text.strip_prefix(SCHEME));
    let query = || {
        ctx.req
            .query("signed")
            .filter(|_| ctx.req.handover.is_some())
    };
    let token = header.or_else(query).ok_or_else(refused)?;
    let (signer, asked): (_, Asked) =
        by_device(&ctx.app, ctx.group_id()?, token.trim(), REQUEST).await?;
    if asked.method != ctx.req.method().as_str() || asked.path != ctx.req.path() {
        return Err(refused());
    }
    asked.once.check(&ctx.app, &signer).await?;
    Ok(signer)
}
