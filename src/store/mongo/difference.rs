//! What a change does to a document, for a write that notices other writers.

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use crate::store::codec::same;

/// Old values in the condition of a change count towards the size limit of a command.
const MAX_COMPARED: usize = 4 * 1024 * 1024;

/// A change as an update of whole top-level fields, and the condition on their old values.
pub(super) struct Difference {
    pub(super) unchanged: Document,
    pub(super) set: Document,
    pub(super) unset: Document,
    /// A field's name cannot be part of an update, so the whole document must be replaced.
    pub(super) whole: bool,
}

impl Difference {
    pub(super) fn between(old: &RawDocument, new: &RawDocument) -> bson::error::Result<Self> {
        let mut difference = Self {
            unchanged: Document::new(),
            set: Document::new(),
            unset: Document::new(),
            whole: false,
        };
        let mut compared = 0;
        for field in new {
            let (name, value) = field?;
            let name = name.as_str();
            let before = old.get(name)?;
            if before.is_some_and(|before| same(before, value)) {
                continue;
            }
            difference.note(name, before, &mut compared)?;
            difference.set.insert(name, Bson::try_from(value)?);
        }
        for field in old {
            let (name, value) = field?;
            let name = name.as_str();
            if new.get(name)?.is_none() {
                difference.note(name, Some(value), &mut compared)?;
                difference.unset.insert(name, "");
            }
        }
        Ok(difference)
    }

    fn note(
        &mut self,
        name: &str,
        before: Option<RawBsonRef<'_>>,
        compared: &mut usize,
    ) -> bson::error::Result<()> {
        if name.is_empty() || name.starts_with('$') || name.contains('.') {
            self.whole = true;
            return Ok(());
        }
        let condition = match before {
            None => doc! { "$exists": false },
            Some(RawBsonRef::Null) => doc! { "$type": "null" },
            Some(RawBsonRef::Undefined) => return Ok(()),
            Some(value) => {
                let mut holder = RawDocumentBuf::new();
                holder.append(bson::cstr!(""), value);
                *compared += holder.as_bytes().len();
                if *compared > MAX_COMPARED {
                    return Ok(());
                }
                doc! { "$eq": Bson::try_from(value)? }
            }
        };
        self.unchanged.insert(name, condition);
        Ok(())
    }
}
