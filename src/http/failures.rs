//! How refused list options and patches are answered.

use serde_json::{Map, Value as Json};

use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::odata::{self, BAD_OPTIONS, Fields, ListQuery};
use crate::http::patch::{self, PatchError};
use crate::http::request::Pairs;

impl From<PatchError> for ApiError {
    fn from(e: PatchError) -> Self {
        let message = e.to_string();
        match e {
            PatchError::Shape(found) => {
                let data = serde_json::to_value(found).unwrap_or(Json::Null);
                Self::validation(message).data(data)
            }
            PatchError::Protected { .. } | PatchError::Required { .. } => Self::validation(message),
            PatchError::Failed(_) => Self::bad_request(message),
            PatchError::Forbidden { .. } => Self::forbidden(message),
        }
    }
}

/// 400 unless the body is a list of patch operations.
pub fn is_patch(body: &Json) -> ApiResult<()> {
    Ok(patch::check(body)?)
}

/// The list options of a query string; 400 with the options in `data` if they can not be used.
pub fn list_options(pairs: &Pairs, fields: &Fields, maximum: u64) -> ApiResult<ListQuery> {
    let query = odata::parse(pairs, fields).map_err(|e| {
        tracing::debug!(cause = %e, "list options refused");
        ApiError::bad_request(BAD_OPTIONS).data(sent(pairs))
    })?;
    Ok(query.cap(maximum))
}

/// The query as it was sent; what occurs more than once becomes a list.
fn sent(pairs: &Pairs) -> Json {
    let mut out = Map::new();
    for (name, value) in pairs.iter().filter(|(name, _)| name != "access_token") {
        let value = Json::String(value.clone());
        match out.get_mut(name) {
            None => {
                out.insert(name.clone(), value);
            }
            Some(Json::Array(list)) => list.push(value),
            Some(one) => *one = Json::Array(vec![one.take(), value]),
        }
    }
    Json::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::odata::FieldType;
    use serde_json::json;

    #[test]
    fn refused_options_are_shown_as_sent() {
        const FIELDS: Fields = Fields::new(&[("email", FieldType::Text)]);
        let pairs = |list: &[(&str, &str)]| -> Pairs {
            list.iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let twice = pairs(&[("$top", "1"), ("$top", "2")]);
        let e = list_options(&twice, &FIELDS, 0).unwrap_err();
        assert_eq!(e.status.as_u16(), 400);
        assert_eq!(e.message, "Check your oData inputs");
        assert_eq!(e.data, Some(json!({ "$top": ["1", "2"] })));
        let hidden = pairs(&[("$filter", "startswith(password,'a')")]);
        assert_eq!(
            list_options(&hidden, &FIELDS, 0).unwrap_err().data,
            Some(json!({ "$filter": "startswith(password,'a')" }))
        );
        assert!(list_options(&pairs(&[("$top", "0")]), &FIELDS, 0).is_ok());
    }

    #[test]
    fn patches_that_break_rules_are_client_errors() {
        let status = |e: PatchError| ApiError::from(e).status.as_u16();
        assert!(is_patch(&json!([])).is_ok());
        let shape = is_patch(&json!({})).unwrap_err();
        assert_eq!(
            (shape.status.as_u16(), &*shape.error),
            (400, "ValidationError")
        );
        assert!(shape.data.is_some());
        assert_eq!(status(PatchError::Failed("x".into())), 400);
        assert_eq!(status(PatchError::Forbidden { path: "/x".into() }), 403);
        assert_eq!(status(PatchError::Required { field: "x".into() }), 400);
    }
}
