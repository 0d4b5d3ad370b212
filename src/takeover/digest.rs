//! Whether two collections hold the same documents, in whatever order they come.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use bson::{RawDocument, RawDocumentBuf};

/// How many documents there were, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    pub documents: u64,
    sums: [u64; 4],
}

impl Digest {
    pub fn add(&mut self, document: &RawDocument) {
        self.documents += 1;
        let hash = digest(&SHA256, &canonical(document));
        for (sum, part) in self.sums.iter_mut().zip(hash.as_ref().chunks_exact(8)) {
            let part = part.try_into().map_or(0, u64::from_be_bytes);
            *sum = sum.wrapping_add(part);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.sums;
        write!(f, "{first:016x}{second:016x}")
    }
}

/// The bytes of a document with `_id` first, where servers put it; all else stays in its order.
pub fn canonical(document: &RawDocument) -> Cow<'_, [u8]> {
    let first = document.iter().next().and_then(Result::ok);
    let id = document.get("_id").ok().flatten();
    let (Some((name, _)), Some(id)) = (first, id) else {
        return Cow::Borrowed(document.as_bytes());
    };
    if name.as_str() == "_id" {
        return Cow::Borrowed(document.as_bytes());
    }
    let mut ordered = RawDocumentBuf::new();
    ordered.append(bson::cstr!("_id"), id);
    for field in document {
        match field {
            Ok((name, _)) if name.as_str() == "_id" => {}
            Ok((name, value)) => ordered.append(name, value),
            Err(_) => return Cow::Borrowed(document.as_bytes()),
        }
    }
    Cow::Owned(ordered.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(documents: &[bson::RawDocumentBuf]) -> Digest {
        let mut digest = Digest::default();
        for document in documents {
            digest.add(document);
        }
        digest
    }

    #[test]
    fn the_order_of_documents_does_not_count_and_all_else_does() {
        let (a, b) = (
            bson::rawdoc! { "_id": 1, "x": 1, "y": 2 },
            bson::rawdoc! { "_id": 2 },
        );
        let moved = bson::rawdoc! { "x": 1, "_id": 1, "y": 2 };
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[b.clone(), a.clone()]));
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[moved, b.clone()]));
        for other in [
            bson::rawdoc! { "_id": 1, "x": 1_i64, "y": 2 },
            bson::rawdoc! { "_id": 1, "y": 2, "x": 1 },
            bson::rawdoc! { "_id": 1, "x": 1 },
        ] {
            assert_ne!(of(&[a.clone(), b.clone()]), of(&[other, b.clone()]));
        }
        assert_ne!(of(&[a.clone(), a.clone()]), of(&[b.clone(), b]));
    }
}
