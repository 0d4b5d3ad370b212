//! Marks of what counts once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
use crate::oidc::records::{Record, ReplayDetection};
use crate::store::StoreError;

/// True for the first who comes with this name, until `exp` (s).
pub async fn is_first(app: &App, issuer: &str, jti: &str, exp: i64) -> Result<bool, StoreError> {
    let mark = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        format!("{issuer}\n{jti}").as_bytes(),
    );
    let id = URL_SAFE_NO_PAD.encode(mark.as_ref());
    let payload = ReplayDetection {
        iat: app.now(),
        exp,
        jti: id.clone(),
        kind: "ReplayDetection".into(),
        iss: issuer.to_owned(),
        ..Default::default()
    };
    let marks = app.store.of::<Record<ReplayDetection>>();
    match marks.insert(&Record::new(id, payload, Some(exp))).await {
        Ok(()) => Ok(true),
        Err(e) if e.is_duplicate() => Ok(false),
        Err(e) => Err(e),
    }
}
