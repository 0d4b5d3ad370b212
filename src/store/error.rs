//! What can go wrong at the store; no message carries document contents.

/// The cause below a store error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Largest document, in bytes, as in `MongoDB`.
pub const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// An operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another document already has these values.
    #[error("a document of {collection} with the same {} exists (index {index})", keys.join(", "))]
    Duplicate {
        /// The collection.
        collection: &'static str,
        /// `MongoDB`'s default index name, such as `email_1_authGroup_1`; `_id_` for the id.
        index: String,
        /// The paths of the index.
        keys: Vec<String>,
    },
    /// Other writers kept changing the document; the caller may try again.
    #[error("a document of {collection} was changed by others at every attempt; try again")]
    Conflict {
        /// The collection.
        collection: &'static str,
    },
    /// The document exceeds [`MAX_DOCUMENT`].
    #[error("a document of {collection} has {size} bytes; at most {limit} can be stored")]
    TooLarge {
        /// The collection.
        collection: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The store cannot be reached or refuses work for now.
    #[error("the store is not available; check that it runs and can be reached")]
    Unavailable {
        /// The cause.
        source: Source,
    },
    /// The disk of the embedded store is full.
    #[error("the disk of the store is full; free some space")]
    Full {
        /// The cause.
        source: Source,
    },
    /// A stored document does not have the shape its type needs.
    #[error(
        "document {id:?} of {collection} cannot be read; its stored shape is not the expected one"
    )]
    Decode {
        /// The collection.
        collection: &'static str,
        /// The document's id.
        id: String,
        /// The cause.
        source: Source,
    },
    /// A document cannot be written in the store's format.
    #[error("a document of {collection} cannot be encoded")]
    Encode {
        /// The collection.
        collection: &'static str,
        /// The cause.
        source: Source,
    },
    /// The engine failed in a way that is none of the above.
    #[error("the store failed")]
    Engine {
        /// The cause.
        source: Source,
    },
    /// The settings or declarations are wrong.
    #[error("the store is not set up correctly: {message}")]
    Config {
        /// What is wrong and what to do.
        message: String,
    },
}

impl StoreError {
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::Config {
            message: message.into(),
        }
    }

    pub(super) fn engine(source: impl Into<Source>) -> Self {
        Self::Engine {
            source: source.into(),
        }
    }

    pub(super) fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable {
            source: source.into(),
        }
    }

    pub(super) fn duplicate_id(collection: &'static str) -> Self {
        Self::Duplicate {
            collection,
            index: "_id_".to_owned(),
            keys: vec!["_id".to_owned()],
        }
    }

    /// Whether the failure is a violated unique index.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate { .. })
    }
}
