//! Marks of what counts once.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
use crate::oidc::records::{Record, ReplayDetection};
use crate::store::StoreError;

/// True for the first who comes with this name, until `exp` (s).
pub async fn is_first(app: &App, issuer: &str, jti: &str, exp: i64) -> Result<bool, StoreError> {
    let id = mark(&format!("{issuer}\n{jti}"));
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

/// A short text that stands for another.
pub fn mark(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}
