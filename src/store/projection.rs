//! The selected fields of a document.

use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

/// `_id` and the fields at these paths, in stored order.
pub fn project(document: &RawDocument, paths: &[String]) -> bson::error::Result<RawDocumentBuf> {
    let mut wanted: Vec<&str> = paths.iter().map(String::as_str).collect();
    wanted.push("_id");
    pick(document, &wanted)
}

fn pick(document: &RawDocument, paths: &[&str]) -> bson::error::Result<RawDocumentBuf> {
    let mut picked = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field?;
        let mut below = Vec::new();
        let mut whole = false;
        for path in paths {
            match path.strip_prefix(name.as_str()) {
                Some("") => whole = true,
                Some(rest) => below.extend(rest.strip_prefix('.')),
                None => {}
            }
        }
        if whole {
            picked.append(name, value);
        } else if !below.is_empty()
            && let Some(part) = inside(value, &below)?
        {
            picked.append(name, part);
        }
    }
    Ok(picked)
}

fn inside(value: RawBsonRef<'_>, paths: &[&str]) -> bson::error::Result<Option<RawBson>> {
    match value {
        RawBsonRef::Document(inner) => Ok(Some(RawBson::Document(pick(inner, paths)?))),
        RawBsonRef::Array(array) => {
            let mut items = RawArrayBuf::new();
            for item in array {
                if let Some(part) = inside(item?, paths)? {
                    items.push(part);
                }
            }
            Ok(Some(RawBson::Array(items)))
        }
        _ => Ok(None),
    }
}
