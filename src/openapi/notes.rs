//! What is written about the API in the `api.yaml` files.
//!
//! ```yaml
//! tag: Products                       # of all operations below that name no other
//! operations:
//!   POST /api/{group}/products:
//!     id: createProduct               # operationId; generated clients name their functions by it
//!     summary: One line
//!     description: More, if there is more to say
//!     parameters: [filter, {name: q, in: query, required: true, schema: string}]
//!     body: writeProduct              # JSON; `optional: true` if it may be left out, `form:` for a form
//!     answers:
//!       201: {type: Products, data: product}     # the envelope; `json:` for a bare body, `media:` for no JSON
//!     errors: [409]                   # besides those that follow from the route's steps
//! schemas:
//!   product:
//!     properties:
//!       name: [string, "What people call it"]
//! ```
//!
//! Path parameters, security and most errors follow from the route. [`crate::openapi::schema`] says how schemas are
//! written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::schema;

/// The notes of every room, then what they share.
const ROOMS: &[(&str, &str)] = &[
    ("groups", include_str!("../groups/api.yaml")),
    ("clients", include_str!("../clients/api.yaml")),
    ("accounts", include_str!("../accounts/api.yaml")),
    ("organizations", include_str!("../organizations/api.yaml")),
    ("domains", include_str!("../domains/api.yaml")),
    ("access", include_str!("../access/api.yaml")),
    ("products", include_str!("../products/api.yaml")),
    ("roles", include_str!("../roles/api.yaml")),
    ("permissions", include_str!("../permissions/api.yaml")),
    ("product_keys", include_str!("../product_keys/api.yaml")),
    ("profiles", include_str!("../profiles/api.yaml")),
    ("plugins", include_str!("../plugins/api.yaml")),
    ("notifications", include_str!("../notifications/api.yaml")),
    ("challenges", include_str!("../challenges/api.yaml")),
    ("passkeys", include_str!("../passkeys/api.yaml")),
    ("devices", include_str!("../devices/api.yaml")),
    ("oidc", include_str!("../oidc/api.yaml")),
    ("interactions", include_str!("../interactions/api.yaml")),
    ("openapi/site", include_str!("site.yaml")),
];
const SHARED: &str = include_str!("shared.yaml");

#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    #[error("{file}: {source}")]
    Syntax {
        file: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{0} is written about twice")]
    Twice(String),
}

/// One file of a room.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    tag: String,
    operations: BTreeMap<String, Note>,
    #[serde(default)]
    schemas: Map<String, Json>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    /// What holds for all operations.
    intro: String,
    tags: Map<String, Json>,
    parameters: Map<String, Json>,
    /// What the parameters in paths mean, by name.
    paths: BTreeMap<String, Json>,
    /// What an error status means.
    errors: BTreeMap<u16, Failure>,
    security: Map<String, Json>,
    schemas: Map<String, Json>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub name: String,
    pub description: String,
}

/// What is written about one operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub id: Option<String>,
    pub tag: Option<String>,
    pub summary: String,
    pub description: Option<String>,
    #[serde(default)]
    pub parameters: Vec<Json>,
    /// What parameters in the path mean here, where it is not what they mean elsewhere.
    #[serde(default)]
    pub paths: BTreeMap<String, Json>,
    pub body: Option<Json>,
    pub form: Option<Json>,
    #[serde(default)]
    pub optional: bool,
    pub answers: BTreeMap<u16, Answer>,
    #[serde(default)]
    pub errors: Vec<u16>,
    /// Ways to authenticate that the route's steps do not show; `none` means without.
    pub security: Option<Vec<String>>,
}

/// A status that is no error. Without any member there is no body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub says: Option<String>,
    /// Label and content of the envelope.
    pub r#type: Option<String>,
    pub data: Option<Json>,
    /// A body without the envelope.
    pub json: Option<Json>,
    /// Media type of `json` if it is not the usual one, or of a body that is no JSON.
    pub media: Option<String>,
}

/// All notes, ready for use.
#[derive(Debug)]
pub struct Book {
    pub intro: String,
    pub operations: BTreeMap<String, Note>,
    pub tags: Map<String, Json>,
    pub parameters: Map<String, Json>,
    pub paths: BTreeMap<String, Json>,
    pub errors: BTreeMap<u16, Failure>,
    pub security: Map<String, Json>,
    schemas: Map<String, Json>,
}

fn read<T: serde::de::DeserializeOwned>(
    file: &'static str,
    text: &'static str,
) -> Result<T, NotesError> {
    serde_saphyr::from_str(text).map_err(|e| NotesError::Syntax {
        file,
        source: Box::new(e),
    })
}

impl Book {
    pub fn open() -> Result<Self, NotesError> {
        let shared: Shared = read("openapi/shared", SHARED)?;
        let mut book = Self {
            intro: shared.intro,
            operations: BTreeMap::new(),
            tags: shared.tags,
            parameters: shared
                .parameters
                .into_iter()
                .map(|(name, p)| (name, schema::parameter(p)))
                .collect(),
            paths: shared.paths,
            errors: shared.errors,
            security: shared.security,
            schemas: Map::new(),
        };
        book.keep_schemas(shared.schemas)?;
        for (file, text) in ROOMS {
            let room: Room = read(file, text)?;
            book.keep_schemas(room.schemas)?;
            for (route, mut note) in room.operations {
                note.tag.get_or_insert_with(|| room.tag.clone());
                if book.operations.insert(route.clone(), note).is_some() {
                    return Err(NotesError::Twice(route));
                }
            }
        }
        Ok(book)
    }

    fn keep_schemas(&mut self, schemas: Map<String, Json>) -> Result<(), NotesError> {
        for (name, schema) in schemas {
            let old = self.schemas.insert(name.clone(), schema::expand(schema));
            if old.is_some() {
                return Err(NotesError::Twice(format!("the schema {name}")));
            }
        }
        Ok(())
    }

    /// Everything that operations refer to, without the security schemes.
    pub fn components(&self) -> Map<String, Json> {
        let responses: Map<String, Json> = self
            .errors
            .values()
            .map(|f| (f.name.clone(), super::operation::failure(f, false)))
            .collect();
        [
            ("schemas".to_owned(), self.schemas.clone().into()),
            ("parameters".to_owned(), self.parameters.clone().into()),
            ("responses".to_owned(), responses.into()),
        ]
        .into_iter()
        .collect()
    }
}
