//! Field names that a server refuses, in a form that it takes.
//!
//! `FerretDB` 1 refuses names that have a dot or begin with a dollar sign, at every depth; grants
//! are keyed by the addresses of resources. For it they are percent-encoded as in RFC 3986 §2.1.

use std::borrow::Cow;

use bson::raw::CString;
use bson::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use mongodb::Database;

use super::errors::classify;
use crate::store::StoreError;

/// What is encoded: the character, and how it is written.
const CODES: [(char, &str); 3] = [('%', "%25"), ('.', "%2E"), ('$', "%24")];

/// How a server wants names of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    AsTheyAre,
    Encoded,
}

type Rename = fn(&str) -> Cow<'_, str>;

impl Names {
    /// As that server wants them.
    pub(super) async fn of(database: &Database) -> Result<Self, StoreError> {
        let build = database
            .run_command(doc! { "buildInfo": 1 })
            .await
            .map_err(classify)?;
        Ok(if build.contains_key("ferretdbVersion") {
            Self::Encoded
        } else {
            Self::AsTheyAre
        })
    }

    /// A document as the server takes it; `None` if it is as it should be.
    pub(super) fn outgoing(
        self,
        document: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        self.changed(document, encode)
    }

    /// A document of the server as it was before [`Self::outgoing`]; `None` if it is so already.
    pub(super) fn incoming(
        self,
        document: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        self.changed(document, decode)
    }

    fn changed(
        self,
        document: &RawDocument,
        rename: Rename,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        if self == Self::AsTheyAre || !concerned(document, rename).map_err(StoreError::engine)? {
            return Ok(None);
        }
        renamed(document, rename).map(Some)
    }
}

fn encode(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '.']) && !name.starts_with('$') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match CODES.iter().find(|(plain, _)| *plain == c) {
            Some((_, code)) => out.push_str(code),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whatever is no code of ours stays: somebody else wrote it.
fn decode(name: &str) -> Cow<'_, str> {
    let Some(first) = name.find('%') else {
        return Cow::Borrowed(name);
    };
    let (plain, mut rest) = name.split_at(first);
    let mut out = plain.to_owned();
    while let Some(c) = rest.chars().next() {
        let code = CODES.iter().find(|(_, code)| rest.starts_with(code));
        let (c, length) = code.map_or((c, c.len_utf8()), |(plain, code)| (*plain, code.len()));
        out.push(c);
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(out)
}

/// Most documents have no such name and need no copy.
fn concerned(document: &RawDocument, rename: Rename) -> bson::error::Result<bool> {
    for field in document {
        let (name, value) = field?;
        if matches!(rename(name.as_str()), Cow::Owned(_)) || inside(value, rename)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn inside(value: RawBsonRef<'_>, rename: Rename) -> bson::error::Result<bool> {
    match value {
        RawBsonRef::Document(document) => concerned(document, rename),
        RawBsonRef::Array(items) => {
            for item in items {
                if inside(item?, rename)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn renamed(document: &RawDocument, rename: Rename) -> Result<RawDocumentBuf, StoreError> {
    let mut out = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.map_err(StoreError::engine)?;
        let name = CString::try_from(rename(name.as_str()).into_owned());
        out.append(
            name.map_err(StoreError::engine)?,
            renamed_value(value, rename)?,
        );
    }
    Ok(out)
}

fn renamed_value(value: RawBsonRef<'_>, rename: Rename) -> Result<RawBson, StoreError> {
    Ok(match value {
        RawBsonRef::Document(document) => RawBson::Document(renamed(document, rename)?),
        RawBsonRef::Array(items) => RawBson::Array(renamed_items(items, rename)?),
        other => other.into(),
    })
}

fn renamed_items(items: &RawArray, rename: Rename) -> Result<RawArrayBuf, StoreError> {
    let mut out = RawArrayBuf::new();
    for item in items {
        out.push(renamed_value(item.map_err(StoreError::engine)?, rename)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn encoded_names_have_no_dot_and_no_leading_dollar_and_read_as_before() {
        for (name, wanted) in [
            ("plain", "plain"),
            ("https://api.test", "https://api%2Etest"),
            ("$set", "%24set"),
            ("a$b", "a$b"),
            ("100%", "100%25"),
            ("%2E", "%252E"),
            ("..", "%2E%2E"),
            ("", ""),
            ("é.ü", "é%2Eü"),
        ] {
            let encoded = encode(name);
            assert_eq!(encoded, wanted);
            assert_eq!(decode(&encoded), name);
        }
    }

    #[test]
    fn names_that_somebody_else_wrote_stay() {
        for name in ["%", "%2", "%2F", "50%é", "%%"] {
            assert_eq!(decode(name), name);
        }
    }

    #[test]
    fn names_at_every_depth_are_encoded_where_the_server_asks_for_it() {
        let document = rawdoc! {
            "_id": "x", "a.b": {"c.d": [1, {"e.f": [{"$g": "value.with.dots"}]}]},
        };
        let encoded = Names::Encoded.outgoing(&document).unwrap().unwrap();
        let wanted = rawdoc! {
            "_id": "x", "a%2Eb": {"c%2Ed": [1, {"e%2Ef": [{"%24g": "value.with.dots"}]}]},
        };
        assert_eq!(encoded, wanted);
        assert_eq!(
            Names::Encoded.incoming(&encoded).unwrap(),
            Some(document.clone())
        );
        assert_eq!(Names::AsTheyAre.outgoing(&document).unwrap(), None);
    }
}
