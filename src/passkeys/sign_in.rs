//! Proving an account by a passkey.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use webauthn_rs::prelude::{
    AuthenticationResult, Credential, DiscoverableAuthentication, Passkey, PublicKeyCredential,
    WebauthnError,
};
use webauthn_rs_proto::AllowCredentials;

use crate::accounts::{Account, attempts};
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::metrics::Login;
use crate::passkeys::ceremonies::{self, Begun, handle, text};
use crate::passkeys::enrol;
use crate::passkeys::model::{Kind, StoredPasskey};
use crate::passkeys::party::{Party, not_verified, refused};
use crate::store::{and, eq};

/// How a passkey proves somebody (RFC 8176): a key, the person at it, and what unlocks the key.
/// Without attestation nothing says that the key is kept in hardware.
const METHODS: &[&str] = &["swk", "user", "mfa"];

/// Who has proved to be whom.
#[derive(Debug)]
pub struct Proof {
    pub account: Account,
    pub ceremony: String,
    pub amr: &'static [&'static str],
}

/// Begins for the account of that name. Without a passkey of it, and without such an account,
/// the answer is the same.
pub async fn begin_for(ctx: &Ctx, name: &str) -> ApiResult<Json> {
    let party = Party::of(ctx).await?;
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let account = attempts::find(app, group, name)
        .await?
        .filter(|a| a.active && !a.blocked);
    // looked for in any case, so that it takes as long
    let id = account.as_ref().map_or("", |a| a.id.as_str());
    let mut present = enrol::list(app, group, id).await?;
    present.retain(|p| p.domain == party.domain);
    let Some(account) = account.filter(|_| !present.is_empty()) else {
        return Err(ApiError::failed_dependency(
            "There is no passkey to sign in with here. Use another way to sign in.",
        ));
    };
    let mut out = begin(ctx, &party, Some((&account.id, &present)), None).await?;
    out["accountId"] = account.id.into();
    Ok(out)
}

/// Begins in an interaction, for whoever has a passkey of this host.
pub async fn begin_for_anybody(ctx: &Ctx, interaction: &str) -> ApiResult<Json> {
    let party = Party::of(ctx).await?;
    begin(ctx, &party, None, Some(interaction)).await
}

async fn begin(
    ctx: &Ctx,
    party: &Party,
    of: Option<(&str, &[StoredPasskey])>,
    interaction: Option<&str>,
) -> ApiResult<Json> {
    let (mut options, state) = party
        .webauthn
        .start_discoverable_authentication()
        .map_err(ApiError::internal)?;
    let options = &mut options.public_key;
    for passkey in of.map(|(_, passkeys)| passkeys).unwrap_or_default() {
        options.allow_credentials.push(AllowCredentials {
            type_: "public-key".to_owned(),
            id: passkey.key()?.cred_id().clone(),
            transports: None,
        });
    }
    let begun = Begun {
        group: ctx.group_id()?,
        kind: Kind::SignIn,
        domain: &party.domain,
        account: of.map(|(id, _)| id),
        interaction,
        challenge: options.challenge.as_slice(),
    };
    let id = ceremonies::keep(&ctx.app, begun, &state).await?;
    Ok(json!({ "requestGuid": id, "assertionOptions": options, "success": true }))
}

/// Ends a ceremony: 424 unless the passkey is good, of the account if one is named, and the
/// account may sign in.
pub async fn finish(
    ctx: &Ctx,
    credential: &Json,
    named: Option<&str>,
    interaction: Option<&str>,
) -> ApiResult<Proof> {
    let party = Party::of(ctx).await?;
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let group = tenant.id();
    let given = PublicKeyCredential::deserialize(credential).map_err(|_| not_verified())?;
    let data = &given.response.client_data_json;
    let ceremony = ceremonies::take(app, group, Kind::SignIn, &party.domain, data).await?;
    // one that was begun in a browser's interaction ends there
    if ceremony.interaction.is_some() && ceremony.interaction.as_deref() != interaction {
        return Err(not_verified());
    }
    let this = and([
        eq("authGroup", group),
        eq("credentialId", text(given.get_credential_id())),
    ]);
    let passkeys = app.store.of::<StoredPasskey>();
    let found = passkeys.find_one(this).await?;
    let passkey = found
        .filter(|p| p.domain == party.domain)
        .ok_or_else(not_verified)?;
    let owner = passkey.account_id.as_str();
    let expected = [named, ceremony.account_id.as_deref()];
    if expected.into_iter().flatten().any(|id| id != owner) {
        return Err(not_verified());
    }
    let of_owner = |sent: &[u8]| sent == handle(owner).as_bytes();
    let handled = given.get_user_unique_id().map(of_owner);
    if !handled.unwrap_or(ceremony.account_id.is_some()) {
        return Err(not_verified());
    }
    let state: DiscoverableAuthentication =
        serde_json::from_str(&ceremony.state).map_err(ApiError::internal)?;
    let key = Credential::from(passkey.key()?);
    let result = party
        .webauthn
        .finish_discoverable_authentication_v2(&given, state, &key)
        .map_err(|cause| suspicious(cause, &passkey))?;
    let account = app.store.of::<Account>().get(owner).await?;
    let account = account.filter(|a| a.auth_group == group);
    let account = account.ok_or_else(not_verified)?;
    if !attempts::may_sign_in(app, tenant, &account).await? {
        return Err(not_verified());
    }
    let now = app.date();
    // another sign-in may have counted meanwhile, and the passkey may have been taken away
    let counted = passkeys
        .update(&passkey.id, move |p: &mut StoredPasskey| {
            p.credential = counted(p, &result)?;
            p.last_used_at = Some(now);
            Ok::<_, ApiError>(())
        })
        .await?;
    if counted.is_none() {
        return Err(not_verified());
    }
    app.metrics.login(Login::Ok);
    tracing::info!(
        group,
        account = owner,
        passkey = passkey.id,
        "passkey verified"
    );
    Ok(Proof {
        account,
        ceremony: ceremony.id,
        amr: METHODS,
    })
}

/// The key as this use leaves it. A counter only rises; keys without one always say 0.
fn counted(passkey: &StoredPasskey, used: &AuthenticationResult) -> ApiResult<String> {
    let key = Credential::from(passkey.key()?);
    if (key.counter > 0 || used.counter() > 0) && used.counter() <= key.counter {
        return Err(suspicious(
            WebauthnError::CredentialPossibleCompromise,
            passkey,
        ));
    }
    let mut key = Passkey::from(key);
    key.update_credential(used);
    serde_json::to_string(&key).map_err(ApiError::internal)
}

fn suspicious(cause: WebauthnError, passkey: &StoredPasskey) -> ApiError {
    if matches!(cause, WebauthnError::CredentialPossibleCompromise) {
        tracing::warn!(
            group = passkey.auth_group,
            account = passkey.account_id,
            passkey = passkey.id,
            "the counter of a passkey went back: there may be a copy of it"
        );
    }
    refused(&cause)
}
