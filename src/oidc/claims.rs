//! Claims about an account, by scope (OpenID Connect Core §5.4).

use serde_json::{Map, Value as Json};

use crate::accounts::Account;
use crate::oidc::scopes;

/// `sub` and `group` always, the rest by scope.
pub fn of_account(account: &Account, scope: &str) -> Map<String, Json> {
    let mut out = Map::new();
    out.insert("sub".into(), account.id.clone().into());
    out.insert("group".into(), account.auth_group.clone().into());
    if scopes::has(scope, "email") {
        out.insert("email".into(), account.email.clone().into());
        out.insert("verified".into(), account.verified.into());
    }
    if scopes::has(scope, "username") {
        out.insert("username".into(), account.username.clone().into());
    }
    if scopes::has(scope, "profile") {
        out.insert("profile".into(), profile_of(account).into());
    }
    out
}

/// Where the profile can be asked for.
pub fn profile_of(account: &Account) -> String {
    format!(
        "POST /api/{}/profile/request/{}",
        account.auth_group, account.id
    )
}
