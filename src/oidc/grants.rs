//! Grants: what an account has allowed a client (OpenID Connect Core §3.1.2.4).

use std::sync::Arc;

use crate::app::App;
use crate::http::error::ApiResult;
use crate::oidc::records::{
    AccessToken, AuthorizationCode, Grant, OpenidGrant, Record, RefreshToken, Session,
};
use crate::oidc::{scopes, sessions};
use crate::store::{StoreError, eq};

/// The live grant with that id, if it is this account's and client's.
pub async fn find(
    app: &App,
    id: &str,
    account: &str,
    client: &str,
) -> Result<Option<Arc<Record<Grant>>>, StoreError> {
    let found = app.store.of::<Record<Grant>>().read(id).await?;
    Ok(found.filter(|g| {
        g.payload.account_id == account
            && g.payload.client_id == client
            && (g.payload.exp == 0 || g.payload.exp > app.now())
    }))
}

/// What a code or token of a person hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Ties<'a> {
    pub group: &'a str,
    pub account: &'a str,
    pub client: &'a str,
    pub grant: &'a str,
    pub session: Option<&'a str>,
    pub ends_with_session: bool,
}

/// The grant behind a code or token, while that still counts: the grant is live, and so is the
/// session where the token ends with it.
pub async fn behind(app: &App, ties: Ties<'_>) -> ApiResult<Option<Arc<Record<Grant>>>> {
    let Some(grant) = find(app, ties.grant, ties.account, ties.client).await? else {
        return Ok(None);
    };
    if !ties.ends_with_session {
        return Ok(Some(grant));
    }
    let Some(uid) = ties.session else {
        return Ok(None);
    };
    let session = sessions::by_uid(app, ties.group, uid).await?;
    let carries = |s: &Session| sessions::carries(s, ties.account, ties.client, ties.grant);
    Ok(session
        .is_some_and(|s| carries(&s.payload))
        .then_some(grant))
}

/// Scopes of `wanted` that the grant does not hold yet.
pub fn missing<'a>(granted: Option<&str>, wanted: &[&'a str]) -> Vec<&'a str> {
    wanted
        .iter()
        .copied()
        .filter(|s| !granted.is_some_and(|g| scopes::has(g, s)))
        .collect()
}

fn add(granted: &mut String, more: &[String]) {
    for scope in more {
        if !scopes::has(granted, scope) {
            if !granted.is_empty() {
                granted.push(' ');
            }
            granted.push_str(scope);
        }
    }
}

/// What a consent adds.
#[derive(Debug, Clone, Default)]
pub struct Consented {
    pub openid: Vec<String>,
    pub resources: Vec<(String, Vec<String>)>,
}

impl Grant {
    pub fn openid_scope(&self) -> Option<&str> {
        self.openid.as_ref().and_then(|o| o.scope.as_deref())
    }

    fn extend(&mut self, consented: &Consented) {
        if !consented.openid.is_empty() {
            let openid = self.openid.get_or_insert_with(OpenidGrant::default);
            add(
                openid.scope.get_or_insert_with(String::new),
                &consented.openid,
            );
        }
        for (resource, more) in &consented.resources {
            add(self.resources.entry(resource.clone()).or_default(), more);
        }
    }
}

/// Extends the grant, or makes a new one that lives for `life` seconds. Answers its id.
pub async fn consent(
    app: &App,
    existing: Option<&str>,
    account: &str,
    client: &str,
    consented: &Consented,
    life: i64,
) -> Result<String, StoreError> {
    let grants = app.store.of::<Record<Grant>>();
    let now = app.now();
    if let Some(id) = existing {
        let updated = grants
            .update(id, |g: &mut Record<Grant>| {
                g.payload.extend(consented);
                Ok::<_, StoreError>(())
            })
            .await?;
        if updated.is_some() {
            return Ok(id.to_owned());
        }
    }
    let id = app.random.token43();
    let mut grant = Grant {
        iat: now,
        exp: now.saturating_add(life),
        jti: id.clone(),
        kind: "Grant".into(),
        account_id: account.to_owned(),
        client_id: client.to_owned(),
        ..Default::default()
    };
    grant.extend(consented);
    let exp = grant.exp;
    grants
        .insert(&Record::new(id.clone(), grant, Some(exp)))
        .await?;
    Ok(id)
}

/// Ends a grant and everything issued under it.
pub async fn revoke(app: &App, id: &str) -> Result<(), StoreError> {
    let by_grant = || eq("payload.grantId", id);
    let (grants, codes) = (
        app.store.of::<Record<Grant>>(),
        app.store.of::<Record<AuthorizationCode>>(),
    );
    let (access, refresh) = (
        app.store.of::<Record<AccessToken>>(),
        app.store.of::<Record<RefreshToken>>(),
    );
    tokio::try_join!(
        grants.delete(id),
        access.delete_many(by_grant()),
        refresh.delete_many(by_grant()),
        codes.delete_many(by_grant()),
    )?;
    Ok(())
}
