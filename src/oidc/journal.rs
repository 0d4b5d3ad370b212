//! Keeps sessions, interactions and challenges of the actors in the store.

use std::sync::Arc;

use async_trait::async_trait;
use ueauth_actors::{Challenge, ChallengeId, Journal, JournalError, Record as Item, Version};

use crate::challenges::model::StoredChallenge;
use crate::oidc::records::{Interaction, Record, Session};
use crate::store::{Date, Docs, Document, Filter, Object, Store, StoreError, Value, and, eq};

#[derive(Clone)]
pub struct StoreJournal {
    store: Store,
}

impl StoreJournal {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl From<StoreError> for JournalError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Duplicate { .. } => Self::Exists,
            StoreError::Decode { .. } => Self::Corrupt(e.to_string()),
            other => {
                let why = std::error::Error::source(&other).map(|s| format!(": {s}"));
                Self::Unavailable(format!("{other}{}", why.unwrap_or_default()))
            }
        }
    }
}

/// How a kind of item is laid out in its collection.
trait Stored: Sized + Send + Sync + 'static {
    type Doc: Document + Clone;
    fn to_doc(group: &str, item: &Item<Self>) -> Result<Self::Doc, JournalError>;
    fn from_doc(doc: Self::Doc) -> Result<Item<Self>, JournalError>;
    fn revision(doc: &Self::Doc) -> i64;
    fn set_revision(doc: &mut Self::Doc, revision: i64);
    fn group(doc: &Self::Doc) -> Option<&str>;
    /// What finds the items that carry a secondary key.
    fn by_key(group: &str, key: &str) -> Option<Filter>;
    fn pending(group: Option<&str>) -> Option<Filter>;
}

fn version_of(revision: i64) -> Version {
    Version(u64::try_from(revision).unwrap_or(0))
}

const REVISION: &str = "revision";
const GROUP: &str = "authGroup";

fn record_revision<P>(doc: &Record<P>) -> i64 {
    match doc.extra.get(REVISION) {
        Some(Value::Int32(n)) => i64::from(*n),
        Some(Value::Int64(n)) => *n,
        _ => 0,
    }
}

macro_rules! stored_record {
    ($payload:ty, $keys:expr, $by_key:expr) => {
        impl Stored for $payload {
            type Doc = Record<$payload>;
            fn to_doc(group: &str, item: &Item<Self>) -> Result<Self::Doc, JournalError> {
                let mut extra = Object::default();
                extra.insert(GROUP, group);
                Ok(Record {
                    id: item.id.clone(),
                    payload: (*item.value).clone(),
                    expires_at: item.deadline.map(Date::from_millis),
                    version: 0,
                    extra,
                })
            }
            fn from_doc(doc: Self::Doc) -> Result<Item<Self>, JournalError> {
                let keys: fn(&$payload) -> Vec<String> = $keys;
                Ok(Item {
                    version: version_of(record_revision(&doc)),
                    deadline: doc.expires_at.map(Date::as_millis),
                    keys: keys(&doc.payload),
                    id: doc.id,
                    value: Arc::new(doc.payload),
                })
            }
            fn revision(doc: &Self::Doc) -> i64 {
                record_revision(doc)
            }
            fn set_revision(doc: &mut Self::Doc, revision: i64) {
                doc.extra.insert(REVISION, revision);
            }
            fn group(doc: &Self::Doc) -> Option<&str> {
                doc.extra.get_str(GROUP)
            }
            fn by_key(_group: &str, key: &str) -> Option<Filter> {
                let find: fn(&str) -> Option<Filter> = $by_key;
                find(key)
            }
            fn pending(_group: Option<&str>) -> Option<Filter> {
                None
            }
        }
    };
}

stored_record!(
    Session,
    |s| {
        let mut keys = vec![format!("uid:{}", s.uid)];
        keys.extend(s.account_id.iter().map(|a| format!("account:{a}")));
        keys
    },
    |key| match key.split_once(':') {
        Some(("uid", uid)) => Some(eq("payload.uid", uid)),
        Some(("account", account)) => Some(eq("payload.accountId", account)),
        _ => None,
    }
);
stored_record!(Interaction, |_| Vec::new(), |_| None);

impl Stored for Challenge {
    type Doc = StoredChallenge;
    fn to_doc(group: &str, item: &Item<Self>) -> Result<Self::Doc, JournalError> {
        StoredChallenge::of(group, &item.value, item.deadline)
            .map_err(|e| JournalError::Corrupt(e.to_string()))
    }
    fn from_doc(doc: Self::Doc) -> Result<Item<Self>, JournalError> {
        let text = doc
            .challenge
            .as_deref()
            .ok_or_else(|| JournalError::Corrupt("written by another system".to_owned()))?;
        let value: Challenge =
            serde_json::from_str(text).map_err(|e| JournalError::Corrupt(e.to_string()))?;
        Ok(Item {
            version: version_of(doc.revision.unwrap_or(0)),
            deadline: doc.expires_at.map(Date::as_millis),
            keys: vec![ChallengeId::account_key(&doc.account_id)],
            id: doc.id,
            value: Arc::new(value),
        })
    }
    fn revision(doc: &Self::Doc) -> i64 {
        doc.revision.unwrap_or(0)
    }
    fn set_revision(doc: &mut Self::Doc, revision: i64) {
        doc.revision = Some(revision);
    }
    fn group(doc: &Self::Doc) -> Option<&str> {
        Some(&doc.auth_group)
    }
    fn by_key(group: &str, key: &str) -> Option<Filter> {
        key.split_once(':')
            .map(|(_, account)| and([eq("authGroup", group), eq("accountId", account)]))
    }
    fn pending(group: Option<&str>) -> Option<Filter> {
        let pending = eq("state", "pending");
        Some(match group {
            Some(group) => and([eq("authGroup", group), pending]),
            None => pending,
        })
    }
}

impl StoreJournal {
    fn docs<T: Stored>(&self) -> Docs<T::Doc> {
        self.store.of::<T::Doc>()
    }
}

/// Is the session, as it is stored, one of the group?
pub fn is_of(session: &Record<Session>, group: &str) -> bool {
    ours::<Session>(session, group)
}

fn ours<T: Stored>(doc: &T::Doc, group: &str) -> bool {
    T::group(doc).is_none_or(|g| g == group)
}

/// Ends a compare-and-set that met another version.
enum Refused {
    Version(Version),
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

#[async_trait]
impl<T: Stored> Journal<T> for StoreJournal {
    async fn load(&self, group: &str, id: &str) -> Result<Option<Item<T>>, JournalError> {
        let found = self.docs::<T>().get(id).await?;
        found
            .filter(|d| ours::<T>(d, group))
            .map(T::from_doc)
            .transpose()
    }

    async fn list(&self, group: &str) -> Result<Vec<Item<T>>, JournalError> {
        let Some(filter) = T::pending(Some(group)) else {
            return Ok(Vec::new());
        };
        // documents of another system have nobody waiting here
        Ok(self
            .docs::<T>()
            .find(filter)
            .await?
            .into_iter()
            .filter_map(|d| T::from_doc(d).ok())
            .collect())
    }

    async fn find_by(&self, group: &str, key: &str) -> Result<Vec<Item<T>>, JournalError> {
        let Some(filter) = T::by_key(group, key) else {
            return Ok(Vec::new());
        };
        // as in `list`
        Ok(self
            .docs::<T>()
            .find(filter)
            .await?
            .into_iter()
            .filter(|d| ours::<T>(d, group))
            .filter_map(|d| T::from_doc(d).ok())
            .collect())
    }

    async fn insert(&self, group: &str, record: &Item<T>) -> Result<Version, JournalError> {
        let mut doc = T::to_doc(group, record)?;
        T::set_revision(&mut doc, 1);
        self.docs::<T>().insert(&doc).await?;
        Ok(Version(1))
    }

    async fn replace(
        &self,
        group: &str,
        record: &Item<T>,
        expected: Version,
    ) -> Result<Version, JournalError> {
        let next = expected.0.saturating_add(1);
        let mut fresh = T::to_doc(group, record)?;
        T::set_revision(&mut fresh, i64::try_from(next).unwrap_or(i64::MAX));
        let outcome = self
            .docs::<T>()
            .update(&record.id, |doc: &mut T::Doc| {
                let current = version_of(T::revision(doc));
                if current != expected {
                    return Err(Refused::Version(current));
                }
                *doc = fresh.clone();
                Ok(())
            })
            .await;
        match outcome {
            Ok(Some(_)) => Ok(Version(next)),
            Ok(None) => Err(JournalError::Conflict { current: None }),
            Err(Refused::Version(current)) => Err(JournalError::Conflict {
                current: Some(current),
            }),
            Err(Refused::Store(e)) => Err(e.into()),
        }
    }

    async fn delete(
        &self,
        _group: &str,
        id: &str,
        expected: Option<Version>,
    ) -> Result<bool, JournalError> {
        let Some(expected) = expected else {
            return Ok(self.docs::<T>().delete(id).await?);
        };
        let revision = i64::try_from(expected.0).unwrap_or(i64::MAX);
        let version = if expected.0 == 0 {
            crate::store::exists(REVISION, false)
        } else {
            eq(REVISION, revision)
        };
        if self
            .docs::<T>()
            .take(and([eq("_id", id), version]))
            .await?
            .is_some()
        {
            return Ok(true);
        }
        match self.docs::<T>().get(id).await? {
            None => Ok(false),
            Some(doc) => Err(JournalError::Conflict {
                current: Some(version_of(T::revision(&doc))),
            }),
        }
    }

    async fn groups(&self) -> Result<Vec<String>, JournalError> {
        let Some(filter) = T::pending(None) else {
            return Ok(Vec::new());
        };
        let mut groups: Vec<String> = self
            .docs::<T>()
            .find(filter)
            .await?
            .iter()
            .filter_map(T::group)
            .map(ToOwned::to_owned)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }
}
