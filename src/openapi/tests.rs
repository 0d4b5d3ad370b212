use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;

fn full() -> Json {
    document("https://id.example.com", None, false).unwrap()
}

fn book() -> &'static Book {
    super::book().unwrap()
}

#[test]
fn every_route_is_written_about_and_nothing_else() {
    let routes: BTreeSet<_> = all_routes()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path))
        .collect();
    let written: BTreeSet<_> = book().operations.keys().cloned().collect();
    let unwritten: Vec<_> = routes.difference(&written).collect();
    let gone: Vec<_> = written.difference(&routes).collect();
    assert!(
        unwritten.is_empty() && gone.is_empty(),
        "routes without notes: {unwritten:#?}\nnotes without a route: {gone:#?}"
    );
}

#[test]
fn notes_say_what_there_is_to_say() {
    let mut ids = BTreeSet::new();
    for (route, note) in &book().operations {
        assert!(!note.summary.is_empty(), "{route} has no summary");
        assert!(
            !note.answers.is_empty() || !note.errors.is_empty(),
            "{route} has no answer"
        );
        let tag = note.tag.as_deref().unwrap_or_default();
        assert!(
            book().tags.contains_key(tag),
            "{route}: the tag {tag} is not described"
        );
        for status in &note.errors {
            assert!(
                book().errors.contains_key(status),
                "{route}: {status} is not described"
            );
        }
        for (status, answer) in &note.answers {
            assert_eq!(
                answer.r#type.is_some(),
                answer.data.is_some(),
                "{route} {status}"
            );
        }
        for name in note.paths.keys() {
            assert!(
                route.contains(&format!("{{{name}}}")),
                "{route} has no {name}"
            );
        }
        if let Some(id) = &note.id {
            assert!(ids.insert(id), "{id} is the id of two operations");
        }
        let reads = route.starts_with("GET ");
        assert!(
            !(reads && (note.body.is_some() || note.form.is_some())),
            "{route}"
        );
    }
    for name in book().paths.keys() {
        assert!(
            all_routes()
                .iter()
                .any(|r| r.path.contains(&format!("{{{name}}}"))),
            "no path has a {name}"
        );
    }
}

#[test]
fn every_parameter_is_described() {
    let document = full();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let described =
                    parameter.get("$ref").is_some() || parameter["description"].is_string();
                assert!(described, "{method} {path}: {parameter}");
            }
        }
    }
}

fn each<'a>(value: &'a Json, found: &mut Vec<&'a str>) {
    match value {
        Json::Object(map) => {
            found.extend(map.get("$ref").and_then(Json::as_str));
            map.values().for_each(|v| each(v, found));
        }
        Json::Array(list) => list.iter().for_each(|v| each(v, found)),
        _ => {}
    }
}

#[test]
fn references_lead_somewhere_and_everything_is_referred_to() {
    let document = full();
    let mut found = Vec::new();
    each(&document, &mut found);
    for reference in &found {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "parameters", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(
                found.contains(&reference.as_str()),
                "nothing refers to {reference}"
            );
        }
    }
}

#[test]
fn without_a_group_there_is_no_address_to_discover_it() {
    let schemes = &full()["components"]["securitySchemes"];
    assert!(schemes.get("bearer").is_some());
    assert!(schemes.get("openId").is_none());
    assert!(!full().to_string().contains("openIdConnectUrl"));
}

#[test]
fn the_clean_document_leaves_out_what_is_for_the_operator() {
    let clean = document("https://id.example.com", None, true).unwrap();
    let paths = clean["paths"].as_object().unwrap();
    assert!(paths.contains_key("/api/{group}/products"));
    for path in OPERATOR
        .iter()
        .chain(&["/api/plugins/global", "/{group}/token"])
    {
        assert!(!paths.contains_key(*path), "{path}");
    }
    let tags: Vec<_> = clean["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert!(!tags.contains(&&Json::from("Plugins")));
}

#[test]
fn a_document_is_made_once() {
    let first = bytes("https://id.example.com", None, false).unwrap();
    let second = bytes("https://id.example.com", None, false).unwrap();
    assert_eq!(first.as_ptr(), second.as_ptr());
    let clean = bytes("https://id.example.com", None, true).unwrap();
    let elsewhere = bytes("https://other.example.com", None, false).unwrap();
    assert!(clean.len() < first.len());
    assert_ne!(first, elsewhere);
    assert_eq!(serde_json::from_slice::<Json>(&first).unwrap(), full());
}

#[test]
fn what_is_wrong_in_notes_is_told() {
    let unknown = "tag: T\noperations:\n  GET /x: {summary: x, answers: {}, sumary: y}\n";
    let told = serde_saphyr::from_str::<notes::Room>(unknown)
        .unwrap_err()
        .to_string();
    assert!(told.contains("sumary"), "{told}");
}

#[test]
fn schemas_are_written_out() {
    let written = serde_json::json!({ "properties": {
        "id": ["uuid", "Which"], "items": "list of product", "kind": { "enum": ["a"] }, "owner": ["product", "Whose"],
    } });
    let schema = schema::expand(written);
    assert_eq!(
        schema,
        serde_json::json!({ "type": "object", "properties": {
            "id": { "type": "string", "format": "uuid", "description": "Which" },
            "items": { "type": "array", "items": { "$ref": "#/components/schemas/product" } },
            "kind": { "type": "string", "enum": ["a"] },
            "owner": { "allOf": [{ "$ref": "#/components/schemas/product" }], "description": "Whose" },
        } })
    );
}
