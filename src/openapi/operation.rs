//! One operation of the document: what follows from the route, and what is written about it.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Map, Value as Json, json};

use super::notes::{Answer, Book, Failure, Note};
use super::schema;
use crate::gate::{Route, Step, Strategy};

pub const OPEN_ID: &str = "openId";
/// In the notes: without any credential.
const NONE: &str = "none";
const HTML: &str = "text/html";
const JSON: &str = "application/json";

pub fn describe(book: &Book, route: &Route, group_fixed: bool) -> Json {
    let nothing = Note::default();
    let note = book
        .operations
        .get(&format!("{} {}", route.method, route.path))
        .unwrap_or(&nothing);
    let mut out = Map::new();
    out.insert("tags".into(), json!(note.tag.iter().collect::<Vec<_>>()));
    out.insert("summary".into(), note.summary.as_str().into());
    if let Some(text) = &note.description {
        out.insert("description".into(), text.trim_end().into());
    }
    if let Some(id) = &note.id {
        out.insert("operationId".into(), id.as_str().into());
    }
    let parameters = parameters(book, route, note, group_fixed);
    if !parameters.is_empty() {
        out.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = body(note) {
        out.insert("requestBody".into(), body);
    }
    out.insert("responses".into(), responses(book, route, note).into());
    out.insert("security".into(), security(route, note, group_fixed).into());
    out.into()
}

fn parameters(book: &Book, route: &Route, note: &Note, group_fixed: bool) -> Vec<Json> {
    let named = route
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{').and_then(|s| s.strip_suffix('}')))
        .filter(|name| !(group_fixed && *name == "group"))
        .map(|name| in_path(book, note, name));
    let others = note.parameters.iter().map(|p| match p {
        Json::String(name) => json!({ "$ref": format!("#/components/parameters/{name}") }),
        written => schema::parameter(written.clone()),
    });
    named.chain(others).collect()
}

/// What a parameter in the path means here, else what it means everywhere.
fn in_path(book: &Book, note: &Note, name: &str) -> Json {
    let written =
        [note.paths.get(name), book.paths.get(name)].map(|w| w.cloned().map(schema::expand));
    let [here, everywhere] = written.map(Option::unwrap_or_default);
    let text = [&here, &everywhere]
        .iter()
        .find_map(|schema| schema.get("description").cloned());
    let mut schema = if here.is_null() { everywhere } else { here };
    if let Some(map) = schema.as_object_mut() {
        map.shift_remove("description");
    }
    json!({ "name": name, "in": "path", "required": true, "description": text, "schema": schema })
}

fn body(note: &Note) -> Option<Json> {
    let content: Map<String, Json> = [
        (JSON, &note.body),
        ("application/x-www-form-urlencoded", &note.form),
    ]
    .into_iter()
    .filter_map(|(media, written)| {
        let schema = schema::expand(written.clone()?);
        Some((media.to_owned(), json!({ "schema": schema })))
    })
    .collect();
    (!content.is_empty()).then(|| json!({ "required": !note.optional, "content": content }))
}

fn responses(book: &Book, route: &Route, note: &Note) -> Map<String, Json> {
    let mut out = Map::new();
    for (status, answer) in &note.answers {
        out.insert(status.to_string(), success(*status, answer));
    }
    let pages = note
        .answers
        .values()
        .any(|a| a.media.as_deref() == Some(HTML));
    for status in failures(route, note) {
        if note.answers.contains_key(&status) {
            continue;
        }
        if let Some(known) = book.errors.get(&status) {
            let response = if pages {
                failure(known, true)
            } else {
                json!({ "$ref": format!("#/components/responses/{}", known.name) })
            };
            out.insert(status.to_string(), response);
        }
    }
    out
}

fn success(status: u16, answer: &Answer) -> Json {
    let says = answer.says.as_deref().unwrap_or(match status {
        201 => "Made.",
        202 => "Looked up.",
        204 => "Done; there is no body.",
        301..=308 => "The browser goes on elsewhere.",
        _ => "Done.",
    });
    let schema = match (&answer.json, &answer.data) {
        (Some(bare), _) => Some(schema::expand(bare.clone())),
        (None, Some(data)) => Some(json!({
            "type": "object",
            "required": ["type", "data"],
            "properties": {
                "type": { "type": "string", "enum": [answer.r#type] },
                "data": schema::expand(data.clone()),
            },
        })),
        (None, None) => None,
    };
    let mut content = Map::new();
    let media = answer.media.as_deref();
    if let Some(schema) = schema {
        let kind = media.filter(|m| m.ends_with("json")).unwrap_or(JSON);
        content.insert(kind.to_owned(), json!({ "schema": schema }));
    }
    if let Some(media) = media.filter(|m| !m.ends_with("json")) {
        let mut schema = json!({ "type": "string" });
        if !media.starts_with("text/") {
            schema["format"] = "binary".into();
        }
        content.insert(media.to_owned(), json!({ "schema": schema }));
    }
    if content.is_empty() {
        json!({ "description": says })
    } else {
        json!({ "description": says, "content": content })
    }
}

/// An error; browsers are shown a page where others get JSON.
pub fn failure(known: &Failure, page: bool) -> Json {
    let schema = json!({ "$ref": "#/components/schemas/defaultError" });
    let mut content = json!({ JSON: { "schema": schema } });
    if page && let Some(map) = content.as_object_mut() {
        map.insert(HTML.into(), json!({ "schema": { "type": "string" } }));
    }
    json!({ "description": known.description, "content": content })
}

/// The statuses that follow from the steps of a route, and those that are written about it.
fn failures(route: &Route, note: &Note) -> BTreeSet<u16> {
    let mut out: BTreeSet<u16> = [400, 500, 503].into();
    out.extend(&note.errors);
    let provider = route.path.starts_with("/{group}/");
    if provider || route.path.starts_with("/api/") {
        out.insert(501);
    }
    if !matches!(route.method, Method::GET | Method::HEAD) {
        out.insert(413);
    }
    for step in route.steps {
        match step {
            Step::Host => out.extend([501]),
            Step::Group | Step::RootGroup | Step::GroupIfBearer => out.extend([424, 501]),
            Step::GroupEvenInactive => out.extend([428, 501]),
            Step::Organization => out.extend([404]),
            Step::Product | Step::Domain => out.extend([404, 428]),
            Step::Body(_) | Step::NoCache => {}
            Step::Auth(_) => out.extend([401]),
            Step::Rights | Step::May(_) | Step::Role(_) => out.extend([401, 403]),
            Step::NotificationsOn => out.extend([405]),
            Step::Limit(_) => out.extend([429]),
        }
    }
    out
}

fn security(route: &Route, note: &Note, group_fixed: bool) -> Vec<Json> {
    let mut names: Vec<&str> = Vec::new();
    if let Some(written) = &note.security {
        names.extend(written.iter().map(String::as_str));
    } else {
        for step in route.steps {
            let Step::Auth(list) = step else { continue };
            for strategy in *list {
                names.extend(schemes(*strategy));
            }
        }
    }
    let mut out: Vec<Json> = Vec::new();
    for name in names {
        let mut add = |scheme: Json| {
            if !out.contains(&scheme) {
                out.push(scheme);
            }
        };
        if name == NONE {
            add(json!({}));
        } else {
            add(json!({ name: [] }));
            if name == "bearer" && group_fixed {
                add(json!({ OPEN_ID: [] }));
            }
        }
    }
    out
}

/// What a caller has to send. The host that some routes look at is no credential.
fn schemes(strategy: Strategy) -> &'static [&'static str] {
    match strategy {
        Strategy::Bearer
        | Strategy::BearerAnyAudience
        | Strategy::Iat
        | Strategy::IatState
        | Strategy::IatPassword => &["bearer"],
        Strategy::Basic => &["basic"],
        Strategy::Device | Strategy::Passkey | Strategy::AllowedHost => &[],
        Strategy::BearerOrAllowedHost
        | Strategy::CreateAccount
        | Strategy::BearerUnlessOpenRegistration => &["bearer", NONE],
    }
}
