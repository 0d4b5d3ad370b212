//! Making a passkey for an account.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};
use webauthn_rs_proto::ResidentKeyRequirement;

use crate::accounts::Account;
use crate::accounts::rules::{called, of_account};
use crate::app::App;
use crate::challenges::providers;
use crate::gate::{Ctx, tokens};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::passkeys::ceremonies::{self, Begun, handle, text};
use crate::passkeys::model::{Kind, StoredPasskey};
use crate::passkeys::party::{Party, not_verified, refused};
use crate::store::{Object, Order, Query, StoreError, eq};

/// Most passkeys of one account.
const MOST: usize = 25;

/// The passkeys of an account, oldest first.
pub async fn list(app: &App, group: &str, account: &str) -> Result<Vec<StoredPasskey>, StoreError> {
    let all = Query::new(of_account(group, account)).sort("createdAt", Order::Ascending);
    app.store.of::<StoredPasskey>().find(all).await
}

/// 403 for a token that one factor alone has yielded, of an account that has two: a passkey counts
/// for both.
async fn must_be_strong(ctx: &Ctx, account: &Account) -> ApiResult<()> {
    let weak = ctx.caller.iat().is_some_and(|t| !t.payload.strong);
    if weak && account.mfa_enabled() && providers::is_on(&ctx.app, ctx.tenant()?).await? {
        return Err(ApiError::forbidden(
            "The account has a second factor; prove that as well",
        ));
    }
    Ok(())
}

/// What goes to `navigator.credentials.create`.
pub async fn begin(ctx: &Ctx, account: &Account) -> ApiResult<Json> {
    must_be_strong(ctx, account).await?;
    let party = Party::of(ctx).await?;
    let group = ctx.group_id()?;
    let present = list(&ctx.app, group, &account.id).await?;
    if present.len() >= MOST {
        return Err(ApiError::bad_request(format!(
            "An account has at most {MOST} passkeys; remove one first"
        )));
    }
    let mut known = Vec::new();
    for passkey in present.iter().filter(|p| p.domain == party.domain) {
        known.push(passkey.key()?.cred_id().clone());
    }
    let (mut options, state) = party
        .webauthn
        .start_passkey_registration(
            handle(&account.id),
            &account.email,
            &account.email,
            Some(known),
        )
        .map_err(ApiError::internal)?;
    // sign-in asks for no name, so the authenticator has to know whose key it is
    if let Some(wanted) = &mut options.public_key.authenticator_selection {
        wanted.resident_key = Some(ResidentKeyRequirement::Required);
        wanted.require_resident_key = true;
    }
    let begun = Begun {
        group,
        kind: Kind::Enrol,
        domain: &party.domain,
        account: Some(&account.id),
        interaction: None,
        challenge: options.public_key.challenge.as_slice(),
    };
    ceremonies::keep(&ctx.app, begun, &state).await?;
    Ok(json!({ "registrationOptions": options.public_key, "success": true }))
}

/// Keeps the passkey that the browser made.
pub async fn finish(
    ctx: &Ctx,
    account: &Account,
    credential: &Json,
    name: Option<&str>,
) -> ApiResult<StoredPasskey> {
    must_be_strong(ctx, account).await?;
    let party = Party::of(ctx).await?;
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let made = RegisterPublicKeyCredential::deserialize(credential).map_err(|_| not_verified())?;
    let data = &made.response.client_data_json;
    let ceremony = ceremonies::take(app, group, Kind::Enrol, &party.domain, data).await?;
    if ceremony.account_id.as_deref() != Some(&account.id) {
        return Err(not_verified());
    }
    let props = made.extensions.cred_props.as_ref();
    if props.and_then(|p| p.rk) == Some(false) {
        return Err(ApiError::failed_dependency(
            "The authenticator has no room for a passkey. Use another one.",
        ));
    }
    let state: PasskeyRegistration =
        serde_json::from_str(&ceremony.state).map_err(ApiError::internal)?;
    let passkey = party
        .webauthn
        .finish_passkey_registration(&made, &state)
        .map_err(|cause| refused(&cause))?;
    // the token is good for one passkey
    if let Some(iat) = ctx.caller.iat()
        && !tokens::consume(app, &iat.token).await?
    {
        return Err(ApiError::unauthorized(""));
    }
    let new = StoredPasskey {
        id: app.random.uuid(),
        created_at: app.date(),
        last_used_at: None,
        auth_group: group.to_owned(),
        account_id: account.id.clone(),
        domain: party.domain,
        credential_id: text(passkey.cred_id()),
        name: called(name, "Passkey"),
        credential: serde_json::to_string(&passkey).map_err(ApiError::internal)?,
        version: 0,
        extra: Object::default(),
    };
    match app.store.of::<StoredPasskey>().insert(&new).await {
        Ok(()) => {}
        Err(e) if e.is_duplicate() => {
            return Err(ApiError::failed_dependency("This passkey is known already"));
        }
        Err(e) => return Err(e.into()),
    }
    tracing::info!(
        group,
        account = account.id,
        passkey = new.id,
        "passkey enrolled"
    );
    Ok(new)
}

/// Takes one passkey away; 404 if the account has no such.
pub async fn remove(app: &App, group: &str, account: &str, id: &str) -> ApiResult<StoredPasskey> {
    let this = of_account(group, account).and(eq("_id", id));
    let gone = app.store.of::<StoredPasskey>().take(this).await?;
    let gone = gone.ok_or_else(|| ApiError::missing(id))?;
    tracing::info!(group, account, passkey = id, "passkey removed");
    Ok(gone)
}

/// Takes all passkeys of an account away.
pub async fn remove_all(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    let all = of_account(group, account);
    app.store.of::<StoredPasskey>().delete_many(all).await?;
    Ok(())
}
