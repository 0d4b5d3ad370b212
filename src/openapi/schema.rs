//! Schemas as they are written in the notes.
//!
//! A text names a type (`string`, `integer`, `any` …), a format of a text (`uuid`, `date-time` …) or another schema;
//! `list of x` is a list. A list of two is a schema and what it means. A map is a schema of OpenAPI in which every
//! schema may again be written this way, and which is an object if it has properties, a text if it has only an `enum`.

use serde_json::{Map, Value as Json, json};

const TYPES: &[&str] = &["string", "integer", "number", "boolean", "object"];
const FORMATS: &[&str] = &["uuid", "date-time", "date", "email", "uri", "password"];
const LISTS: &[&str] = &["allOf", "oneOf", "anyOf"];

pub fn expand(written: Json) -> Json {
    match written {
        Json::String(name) => named(&name),
        Json::Array(pair) => {
            let mut pair = pair.into_iter();
            let schema = expand(pair.next().unwrap_or_default());
            described(schema, pair.next().unwrap_or_default())
        }
        Json::Object(map) => full(map).into(),
        other => other,
    }
}

fn named(name: &str) -> Json {
    if let Some(item) = name.strip_prefix("list of ") {
        return json!({ "type": "array", "items": named(item) });
    }
    if name == "any" {
        return json!({});
    }
    if TYPES.contains(&name) {
        return json!({ "type": name });
    }
    if FORMATS.contains(&name) {
        return json!({ "type": "string", "format": name });
    }
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// In OpenAPI 3.0 nothing may stand beside a `$ref`.
fn described(mut schema: Json, text: Json) -> Json {
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".to_owned(), text);
    }
    schema
}

fn full(map: Map<String, Json>) -> Map<String, Json> {
    let mut out = Map::new();
    if !map.contains_key("type") {
        if map.contains_key("properties") {
            out.insert("type".to_owned(), "object".into());
        } else if map.contains_key("items") {
            out.insert("type".to_owned(), "array".into());
        } else if map.contains_key("enum") {
            out.insert("type".to_owned(), "string".into());
        }
    }
    for (key, value) in map {
        let value = match (key.as_str(), value) {
            ("properties", Json::Object(members)) => members
                .into_iter()
                .map(|(name, schema)| (name, expand(schema)))
                .collect::<Map<_, _>>()
                .into(),
            ("additionalProperties", Json::Bool(any)) => any.into(),
            ("items" | "additionalProperties", schema) => expand(schema),
            (list, Json::Array(schemas)) if LISTS.contains(&list) => {
                schemas.into_iter().map(expand).collect()
            }
            (_, value) => value,
        };
        out.insert(key, value);
    }
    out
}

/// A parameter whose schema is written as in the notes.
pub fn parameter(mut written: Json) -> Json {
    if let Some(schema) = written.get_mut("schema") {
        *schema = expand(schema.take());
    }
    written
}
