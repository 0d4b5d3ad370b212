//! A client's own keys: registered by value or fetched from its `jwks_uri`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value as Json;

use crate::clients::Client;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::jose::{Alg, ClientKeys, JoseError, Jwk};

/// Fetched key sets, by address.
static FETCHED: LazyLock<Cache<String, Arc<ClientKeys>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(500)
        .time_to_live(Duration::from_mins(5))
        .build()
});

/// Addresses that were asked a moment ago: nobody can make this server call them at will.
static RESTING: LazyLock<Cache<String, ()>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(500)
        .time_to_live(Duration::from_secs(10))
        .build()
});

fn parse(jwks: &Json) -> ClientKeys {
    let keys: Vec<Jwk> = jwks
        .get("keys")
        .and_then(Json::as_array)
        .map(|l| {
            l.iter()
                .filter_map(|k| serde_json::from_value(k.clone()).ok())
                .collect()
        })
        .unwrap_or_default();
    ClientKeys::new(&keys)
}

async fn fetch(ctx: &Ctx, uri: &str) -> Option<Arc<ClientKeys>> {
    if RESTING.contains_key(uri) {
        return None;
    }
    let answer = ctx.app.outgoing.get(uri).await;
    RESTING.insert(uri.to_owned(), ());
    match answer {
        Ok(body) => {
            let keys = Arc::new(parse(&serde_json::from_slice(&body).ok()?));
            FETCHED.insert(uri.to_owned(), Arc::clone(&keys));
            Some(keys)
        }
        Err(e) => {
            tracing::warn!(error = %e, "a client's keys could not be fetched");
            None
        }
    }
}

/// Is the token signed with one of the client's keys?
pub async fn verify(ctx: &Ctx, client: &Client, token: &str, allowed: &[Alg]) -> ApiResult<bool> {
    if let Some(jwks) = client.payload.extra.get("jwks") {
        return Ok(parse(&crate::store::to_json(jwks))
            .verify(token, allowed)
            .is_ok());
    }
    let Some(uri) = client.payload.text("jwks_uri") else {
        return Ok(false);
    };
    if let Some(keys) = FETCHED.get(uri) {
        match keys.verify(token, allowed) {
            Ok(_) => return Ok(true),
            // the client may have a new key
            Err(JoseError::UnknownKey) => {}
            Err(_) => return Ok(false),
        }
    }
    Ok(fetch(ctx, uri)
        .await
        .is_some_and(|keys| keys.verify(token, allowed).is_ok()))
}
