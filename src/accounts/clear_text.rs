//! Passwords that another system left in clear text.
//!
//! They match nothing here, but whoever reads the database reads them; so they are written over.

use crate::accounts::create::UNUSABLE;
use crate::accounts::model::Account;
use crate::app::App;
use crate::secrets;
use crate::store::{Filter, Query, StoreError, and, any_of, exists, starts_with};

/// Stands where such a password was. It is the same for everybody, so that a database is moved to the same documents
/// however often.
pub const BLANKED: &str = "unusable:was-clear-text";

/// Neither a hash, nor a mark that there is no password, nor empty.
pub fn is_clear(password: &str) -> bool {
    !password.is_empty() && !password.starts_with(UNUSABLE) && !secrets::is_hash(password)
}

/// Accounts that may have such a password; [`is_clear`] decides.
fn suspects() -> Filter {
    let known = secrets::hash_prefixes().chain([UNUSABLE]);
    let known = known.map(|prefix| Filter::Not(Box::new(starts_with("password", prefix))));
    let there = and([
        exists("password", true),
        Filter::Not(Box::new(any_of("password", [""]))),
    ]);
    and(known).and(there)
}

/// Writes over all of them; tells how many there were.
pub async fn blank(app: &App) -> Result<u64, StoreError> {
    let accounts = app.store.of::<Account>();
    let found = accounts
        .find_objects(Query::new(suspects()).select(["_id"]))
        .await?;
    let mut count = 0;
    for account in found {
        let Some(id) = account.get("_id").and_then(|id| id.as_str()) else {
            continue;
        };
        let mut was_clear = false;
        let changed = accounts.update(id, |account| {
            was_clear = is_clear(&account.password);
            if was_clear {
                BLANKED.clone_into(&mut account.password);
            }
            Ok::<_, StoreError>(())
        });
        match changed.await {
            Ok(_) => count += u64::from(was_clear),
            // one that cannot be read keeps nobody else's from being written over
            Err(e) => {
                tracing::warn!(id, error = %e, "a password in clear text could not be written over");
            }
        }
    }
    Ok(count)
}

/// Does that beside what the server does for its users.
pub fn spawn(app: &App) -> tokio::task::JoinHandle<()> {
    let app = App::clone(app);
    tokio::spawn(async move {
        match blank(&app).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                count,
                "wrote over passwords that were stored in clear text; their accounts choose new ones by recovery"
            ),
            Err(e) => tracing::warn!(error = %e, "could not look for passwords in clear text"),
        }
    })
}
