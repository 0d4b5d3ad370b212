//! Many accounts at once, none of which can sign in before it sets a password.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value as Json;

use crate::accounts::Account;
use crate::accounts::create::{NAME, PHONE_SHAPE, blank, is_name, lower, phone};
use crate::app::App;
use crate::clients::Client;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::store::{StoreError, and, any_of, eq, or};

/// Always part of the answer.
const WARNING: &str = "Auto verify does not work with bulk imports. You will need to send password reset notifications or direct your users to the self-service password reset page.";
/// Accounts written, and names looked up, in one go.
const CHUNK: usize = 500;
/// The code under which clients know a duplicate.
const DUPLICATE: u32 = 11_000;

static ITEM: Shape = Shape {
    required: &["email"],
    members: &[
        ("id", Kind::Matching(is_id, "an id without slashes")),
        ("email", Kind::Matching(is_name, NAME)),
        ("username", Kind::Matching(is_name, NAME)),
        ("phone", Kind::Nested(&PHONE_SHAPE)),
    ],
    open: false,
};

/// Can stand in a path and is no word that paths give a meaning of its own.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'%' | b'\\'))
        && !matches!(id, "me" | "." | "..")
}

/// 400 unless the body is a list of accounts.
pub fn check_body(body: &Json) -> ApiResult<()> {
    let items = body
        .as_array()
        .ok_or_else(|| ApiError::bad_request("You must provide an array of accounts"))?;
    for (index, item) in items.iter().enumerate() {
        ITEM.check(item).map_err(|mut e| {
            e.message = format!("{} (account {index})", e.message);
            e
        })?;
        if item
            .get("email")
            .and_then(Json::as_str)
            .is_none_or(|email| email.trim().is_empty())
        {
            return Err(ApiError::bad_request(format!(
                "email is required (account {index})"
            )));
        }
    }
    Ok(())
}

/// What became of an import.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub warning: &'static str,
    pub attempted: usize,
    pub ok: usize,
    pub failed: Vec<Failed>,
    pub success: Vec<Json>,
}

#[derive(Debug, Serialize)]
pub struct Failed {
    pub index: usize,
    pub err: Reason,
}

#[derive(Debug, Serialize)]
pub struct Reason {
    pub index: usize,
    pub code: u32,
    pub errmsg: String,
}

fn failed(index: usize, field: &str) -> Failed {
    Failed {
        index,
        err: Reason {
            index,
            code: DUPLICATE,
            errmsg: format!("another account has the same {field}"),
        },
    }
}

/// Stores every account whose names are free; the others are reported.
pub async fn import(app: &App, tenant: &Tenant, author: &str, body: &Json) -> ApiResult<Outcome> {
    let items = body.as_array().map(Vec::as_slice).unwrap_or_default();
    let limit = app.settings.limits.bulk_accounts.get();
    if items.len() > limit {
        return Err(ApiError::bad_request(format!(
            "At most {limit} accounts can be imported at a time"
        )));
    }
    let wanted: Vec<Account> = items
        .iter()
        .map(|item| build(app, tenant.id(), author, item))
        .collect();
    let mut used = Used::load(app, tenant.id(), &wanted).await?;
    let mut failures = Vec::new();
    let mut good = Vec::new();
    for (index, account) in wanted.into_iter().enumerate() {
        match used.claim(&account) {
            Some(field) => failures.push(failed(index, field)),
            None => good.push((index, account)),
        }
    }
    let mut written = Vec::new();
    for chunk in good.chunks(CHUNK) {
        insert(app, chunk, &mut written, &mut failures).await?;
    }
    failures.sort_by_key(|f| f.index);
    Ok(Outcome {
        warning: WARNING,
        attempted: items.len(),
        ok: written.len(),
        failed: failures,
        success: written,
    })
}

fn build(app: &App, group: &str, author: &str, item: &Json) -> Account {
    let text = |name: &str| {
        item.get(name)
            .and_then(Json::as_str)
            .filter(|s| !s.trim().is_empty())
    };
    let email = lower(text("email").unwrap_or_default());
    let username = text("username").map_or_else(|| email.clone(), lower);
    let mut account = blank(app, group, email, username);
    author.clone_into(&mut account.modified_by);
    account.phone = item.get("phone").map(phone);
    if let Some(id) = text("id") {
        id.clone_into(&mut account.id);
    }
    account
}

/// Names and ids that are taken, by stored accounts or by earlier ones of the same import.
struct Used {
    names: HashSet<String>,
    ids: HashSet<String>,
}

impl Used {
    async fn load(app: &App, group: &str, wanted: &[Account]) -> Result<Self, StoreError> {
        let accounts = app.store.of::<Account>();
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for chunk in wanted.chunks(CHUNK) {
            let looked_up: HashSet<&str> = chunk
                .iter()
                .flat_map(|a| [a.email.as_str(), a.username.as_str()])
                .collect();
            let holders = accounts
                .find(and([
                    eq("authGroup", group),
                    or([
                        any_of("email", looked_up.iter().copied()),
                        any_of("username", looked_up.iter().copied()),
                    ]),
                ]))
                .await?;
            names.extend(holders.into_iter().flat_map(|a| [a.email, a.username]));
            let same_id = || any_of("_id", chunk.iter().map(|a| a.id.as_str()));
            let holders = accounts.find(same_id()).await?;
            ids.extend(holders.into_iter().map(|a| a.id));
            // tokens of a person with such an id would pass for the client's own
            let holders = app.store.of::<Client>().find(same_id()).await?;
            ids.extend(holders.into_iter().map(|c| c.id));
        }
        Ok(Self { names, ids })
    }

    /// Takes the account's names, or says which of them is taken.
    fn claim(&mut self, account: &Account) -> Option<&'static str> {
        if self.ids.contains(&account.id) {
            return Some("id");
        }
        if self.names.contains(&account.email) {
            return Some("email");
        }
        if self.names.contains(&account.username) {
            return Some("username");
        }
        self.ids.insert(account.id.clone());
        self.names.insert(account.email.clone());
        self.names.insert(account.username.clone());
        None
    }
}

async fn insert(
    app: &App,
    chunk: &[(usize, Account)],
    written: &mut Vec<Json>,
    failures: &mut Vec<Failed>,
) -> ApiResult<()> {
    let accounts = app.store.of::<Account>();
    let all: Vec<Account> = chunk.iter().map(|(_, a)| a.clone()).collect();
    match accounts.insert_many(&all).await {
        Ok(()) => {
            written.extend(all.iter().map(Account::public));
            return Ok(());
        }
        Err(e) if !e.is_duplicate() => return Err(e.into()),
        // somebody registered a name of the chunk meanwhile; those before it are stored
        Err(_) => {}
    }
    let ids = any_of("_id", all.iter().map(|a| a.id.as_str()));
    let stored: HashMap<String, String> = accounts
        .find(ids)
        .await?
        .into_iter()
        .map(|a| (a.id, a.password))
        .collect();
    for (index, account) in chunk {
        // the marker is unique, so it tells our record from another with the same id
        if stored.get(&account.id) == Some(&account.password) {
            written.push(account.public());
            continue;
        }
        match accounts.insert(account).await {
            Ok(()) => written.push(account.public()),
            Err(StoreError::Duplicate { keys, .. }) => {
                failures.push(failed(*index, keys.first().map_or("id", String::as_str)));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies() {
        for (body, good) in [
            (json!([]), true),
            (json!({}), false),
            (
                json!([{ "email": "a@b.test", "id": "x-1", "username": "u" }]),
                true,
            ),
            (json!([{ "email": "a@b.test", "password": "x" }]), false),
            (json!([{ "username": "u" }]), false),
            (json!([{ "email": "" }]), false),
            (json!([{ "email": "a@b.test", "id": "me" }]), false),
            (json!([{ "email": "a@b.test", "id": "a/b" }]), false),
        ] {
            assert_eq!(check_body(&body).is_ok(), good, "{body}");
        }
    }
}
