//! Server errors as store errors, without what they quote from documents.

use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

use super::super::{Collection, StoreError};

const DUPLICATE_KEY: i32 = 11000;
/// Codes of a server that cannot take work now: stepping down, shutting down, not primary.
const NOT_NOW: [i32; 9] = [91, 189, 10058, 10107, 11600, 11602, 13435, 13436, 9001];

/// The index that a failed write violates; `None` if that is not why it failed, an empty text
/// if the server does not name the index.
pub fn duplicate_index(error: &Error) -> Option<String> {
    let message = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY => {
            &error.message
        }
        ErrorKind::Command(error) if error.code == DUPLICATE_KEY => &error.message,
        // FerretDB passes on what its database says about an update.
        ErrorKind::Command(error) if error.message.contains("UNIQUE constraint failed") => {
            return Some(String::new());
        }
        ErrorKind::InsertMany(error) => {
            let first = error.write_errors.as_ref()?.first()?;
            (first.code == DUPLICATE_KEY).then_some(&first.message)?
        }
        _ => return None,
    };
    let name = message
        .split_once(" index: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or_default();
    Some(name.to_owned())
}

/// Which of several documents the server refused.
pub fn position(error: &Error) -> usize {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(error) => error
            .write_errors
            .as_ref()
            .and_then(|errors| errors.first())
            .map_or(0, |error| error.index),
        _ => 0,
    }
}

pub fn duplicate(collection: &'static Collection, index: &str) -> StoreError {
    if index == "_id_" {
        return StoreError::duplicate_id(collection.name);
    }
    let keys = collection
        .indexes
        .iter()
        .find(|declared| declared.name() == index)
        .map(|declared| declared.paths().map(|(path, _)| path.to_owned()).collect())
        .unwrap_or_default();
    StoreError::Duplicate {
        collection: collection.name,
        index: index.to_owned(),
        keys,
    }
}

pub fn classify(error: Error) -> StoreError {
    let away = match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown => true,
        ErrorKind::Command(error) => NOT_NOW.contains(&error.code),
        _ => error.contains_label(RETRYABLE_WRITE_ERROR),
    };
    if away {
        return StoreError::unavailable(error);
    }
    let quoted = matches!(
        error.kind.as_ref(),
        ErrorKind::Write(_) | ErrorKind::InsertMany(_) | ErrorKind::BulkWrite(_)
    );
    if quoted {
        // Write errors may repeat values of the document.
        let code = code(&error);
        return StoreError::engine(format!("the server refused a write ({code})"));
    }
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => StoreError::config(
            "the server refuses the name and password in the address of the store",
        ),
        ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => {
            StoreError::config(error.to_string())
        }
        _ => StoreError::engine(error),
    }
}

fn code(error: &Error) -> String {
    let code = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        ErrorKind::InsertMany(error) => error
            .write_errors
            .as_ref()
            .and_then(|errors| errors.first())
            .map(|error| error.code)
            .or_else(|| error.write_concern_error.as_ref().map(|error| error.code)),
        _ => None,
    };
    code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"))
}
