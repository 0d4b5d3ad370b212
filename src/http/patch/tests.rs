use serde_json::json;

use super::*;

const FREE: PatchRules<'static> = PatchRules {
    protected: &[],
    required: &[],
    frozen: &[],
    write_only: &[],
    allow_ids: false,
};

fn sample() -> Value {
    json!({
        "_id": "1", "name": "a", "createdAt": "2024-01-01T00:00:00.000Z", "core": true, "count": 3,
        "meta": {"core": "x", "deep": {"a": 1, "b": [1, {"c": 2}]}}, "tags": ["p", "q"],
        "config": {"keys": [{"d": "secret"}], "ui": "u"}, "password": "hash"
    })
}

fn run(patch: Value) -> Result<Value, PatchError> {
    apply(&sample(), &patch, &FREE)
}

fn failure(patch: Value) -> String {
    match run(patch) {
        Err(PatchError::Failed(text)) => text,
        other => panic!("expected a failed operation, got {other:?}"),
    }
}

fn shape(patch: &Value) -> Violation {
    match apply(&sample(), patch, &FREE) {
        Err(PatchError::Shape(mut list)) => list.remove(0),
        other => panic!("expected a violation, got {other:?}"),
    }
}

#[test]
fn every_operation_works() {
    let outcome = run(json!([
        {"op": "test", "path": "/name", "value": "a"},
        {"op": "replace", "path": "/name", "value": "b"},
        {"op": "add", "path": "/new", "value": {"k": [1, 2.5]}},
        {"op": "add", "path": "/tags/-", "value": "z"},
        {"op": "add", "path": "/tags/0", "value": "first"},
        {"op": "copy", "from": "/meta/core", "path": "/copied"},
        {"op": "move", "from": "/count", "path": "/meta/count"},
        {"op": "remove", "path": "/core"},
    ]))
    .unwrap();
    assert_eq!(outcome["name"], "b");
    assert_eq!(outcome["new"], json!({"k": [1, 2.5]}));
    assert_eq!(outcome["tags"], json!(["first", "p", "q", "z"]));
    assert_eq!(outcome["copied"], "x");
    assert_eq!(
        (
            &outcome["meta"]["count"],
            outcome.get("count"),
            outcome.get("core")
        ),
        (&json!(3), None, None)
    );
}

#[test]
fn an_empty_patch_changes_nothing() {
    assert_eq!(run(json!([])).unwrap(), sample());
}

#[test]
fn a_failing_patch_leaves_the_original() {
    let before = sample();
    let patch = json!([{"op": "remove", "path": "/name"}, {"op": "remove", "path": "/nothing"}]);
    assert!(apply(&before, &patch, &FREE).is_err());
    assert_eq!(before, sample());
}

#[test]
fn tests_compare_deeply() {
    let same = json!([{"op": "test", "path": "/meta/deep", "value": {"b": [1, {"c": 2}], "a": 1}}]);
    assert!(run(same).is_ok());
    for other in [
        json!({"b": [1, {"c": 3}], "a": 1}),
        json!({"a": 1}),
        json!({}),
        json!({"a": 1, "b": [{"c": 2}, 1]}),
    ] {
        let text = failure(json!([{"op": "test", "path": "/meta/deep", "value": other}]));
        assert!(text.contains("not the tested one"), "{text}");
    }
    assert!(
        run(json!([{"op": "test", "path": "/createdAt", "value": "2024-01-01T00:00:00.000Z"}]))
            .is_ok()
    );
    assert!(run(json!([{"op": "test", "path": "/count", "value": 3.0}])).is_ok());
}

#[test]
fn the_body_is_checked_first() {
    let op = |operation: Value| json!([operation]);
    let cases = [
        (json!({}), "/body", "type"),
        (json!("x"), "/body", "type"),
        (op(json!(1)), "/body/0", "type"),
        (op(json!({"path": "/a", "value": 1})), "/body/0", "required"),
        (
            op(json!({"op": "Add", "path": "/a", "value": 1})),
            "/body/0/op",
            "enum",
        ),
        (
            op(json!({"op": 1, "path": "/a", "value": 1})),
            "/body/0/op",
            "type",
        ),
        (op(json!({"op": "add", "value": 1})), "/body/0", "required"),
        (
            op(json!({"op": "add", "path": ["/a"], "value": 1})),
            "/body/0/path",
            "type",
        ),
        (
            op(json!({"op": "add", "path": "/a"})),
            "/body/0",
            "required",
        ),
        (
            op(json!({"op": "add", "path": "/a", "value": null})),
            "/body/0/value",
            "oneOf",
        ),
        (
            op(json!({"op": "add", "path": "/a", "value": 1.5})),
            "/body/0/value",
            "oneOf",
        ),
        (
            op(json!({"op": "add", "path": "/a", "value": [true]})),
            "/body/0/value",
            "oneOf",
        ),
        (
            op(json!({"op": "add", "path": "/a", "value": [[1]]})),
            "/body/0/value",
            "oneOf",
        ),
        (
            op(json!({"op": "add", "path": "/a", "value": [null]})),
            "/body/0/value",
            "oneOf",
        ),
        (
            op(json!({"op": "remove", "path": "/a", "value": 1})),
            "/body/0/value",
            "not",
        ),
        (
            op(json!({"op": "move", "path": "/a"})),
            "/body/0",
            "required",
        ),
        (
            op(json!({"op": "copy", "path": "/a", "from": 1})),
            "/body/0/from",
            "type",
        ),
        (
            op(json!({"op": "replace", "path": "name", "value": 1})),
            "/body/0/path",
            "format",
        ),
        (
            op(json!({"op": "replace", "path": "/na~2me", "value": 1})),
            "/body/0/path",
            "format",
        ),
        (
            op(json!({"op": "copy", "path": "/a", "from": "name"})),
            "/body/0/from",
            "format",
        ),
    ];
    for (patch, path, keyword) in cases {
        let found = shape(&patch);
        assert_eq!(
            (found.instance_path.as_str(), found.keyword),
            (path, keyword),
            "{patch}"
        );
    }
    let text = run(json!([{"op": "x", "path": "/a"}, 1]))
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("Error while validating request: request/body/0/op must be")
            && text.contains(", request/body/1 "),
        "{text}"
    );
    let shown = serde_json::to_value(shape(&json!(1))).unwrap();
    assert_eq!(
        shown,
        json!({"instancePath": "/body", "keyword": "type", "message": "must be array"})
    );
}

#[test]
fn allowed_values() {
    for value in [
        json!({}),
        json!([]),
        json!(""),
        json!(false),
        json!(-1),
        json!(2.0),
        json!([1.5, "a", {}]),
    ] {
        assert!(
            run(json!([{"op": "add", "path": "/a", "value": value}])).is_ok(),
            "{value}"
        );
    }
    let outcome = run(json!([{"op": "add", "path": "/a", "value": 2.0}])).unwrap();
    assert!(outcome["a"].is_i64());
}

#[test]
fn failures_say_what_is_wrong() {
    let cases = [
        (
            json!({"op": "replace", "path": "/none", "value": 1}),
            "nothing at that path to replace",
        ),
        (
            json!({"op": "remove", "path": "/none"}),
            "nothing at that path to remove",
        ),
        (
            json!({"op": "remove", "path": "/none/x"}),
            "nothing at that path to remove",
        ),
        (
            json!({"op": "test", "path": "/none", "value": 1}),
            "nothing at that path to test",
        ),
        (
            json!({"op": "add", "path": "/none/x", "value": 1}),
            "does not lead to",
        ),
        (
            json!({"op": "add", "path": "/name/x", "value": 1}),
            "does not lead to",
        ),
        (
            json!({"op": "add", "path": "/tags/x", "value": 1}),
            "addressed by its number",
        ),
        (
            json!({"op": "add", "path": "/tags/01", "value": 1}),
            "addressed by its number",
        ),
        (
            json!({"op": "add", "path": "/tags/-1", "value": 1}),
            "addressed by its number",
        ),
        (
            json!({"op": "add", "path": "/tags/3", "value": 1}),
            "only 2 elements",
        ),
        (
            json!({"op": "add", "path": "/tags/99999999999999999999999999", "value": 1}),
            "only 2 elements",
        ),
        (
            json!({"op": "remove", "path": "/tags/2"}),
            "nothing at that path to remove",
        ),
        (
            json!({"op": "remove", "path": "/tags/-"}),
            "nothing at that path to remove",
        ),
        (
            json!({"op": "replace", "path": "/tags/18446744073709551616", "value": 1}),
            "nothing at that path to replace",
        ),
        (
            json!({"op": "move", "from": "/meta", "path": "/meta/deep/x"}),
            "moved into itself",
        ),
        (
            json!({"op": "move", "from": "/none", "path": "/a"}),
            "nothing at \"/none\"",
        ),
        (
            json!({"op": "copy", "from": "/tags/9", "path": "/a"}),
            "nothing at \"/tags/9\"",
        ),
        (
            json!({"op": "remove", "path": ""}),
            "nothing at that path to remove",
        ),
        (
            json!({"op": "replace", "path": "", "value": "text"}),
            "must stay an object",
        ),
    ];
    for (operation, expected) in cases {
        let text = failure(json!([operation]));
        assert!(text.contains(expected), "{operation}: {text}");
    }
}

#[test]
fn pathological_pointers() {
    for path in ["/__proto__/x", "/meta/__proto__", "/a\0b"] {
        assert_eq!(
            shape(&json!([{"op": "add", "path": path, "value": 1}])).keyword,
            "format",
            "{path}"
        );
    }
    for value in [
        json!({"__proto__": {}}),
        json!([{"a": {"__proto__": 1}}]),
        json!({"a\0": 1}),
    ] {
        assert_eq!(
            shape(&json!([{"op": "add", "path": "/m", "value": value}])).keyword,
            "propertyNames"
        );
    }
    let outcome = run(json!([
        {"op": "add", "path": "/", "value": "empty"},
        {"op": "add", "path": "/a~1b~0c", "value": "odd"},
        {"op": "add", "path": "/a.b", "value": "dot"},
        {"op": "add", "path": "/$where", "value": "dollar"},
    ]))
    .unwrap();
    assert_eq!(
        (
            &outcome[""],
            &outcome["a/b~c"],
            &outcome["a.b"],
            &outcome["$where"]
        ),
        (
            &json!("empty"),
            &json!("odd"),
            &json!("dot"),
            &json!("dollar")
        )
    );
    let deep = "/x".repeat(100_000);
    assert!(run(json!([{"op": "add", "path": deep, "value": 1}])).is_err());
    assert!(run(json!([{"op": "replace", "path": deep, "value": 1}])).is_err());
}

#[test]
fn the_number_of_operations_is_limited() {
    let many = |count| {
        Value::Array(vec![
            json!({"op": "test", "path": "/name", "value": "a"});
            count
        ])
    };
    assert!(run(many(MAX_OPERATIONS)).is_ok());
    assert_eq!(shape(&many(MAX_OPERATIONS + 1)).keyword, "maxItems");
}

#[test]
fn copies_can_not_explode() {
    let mut doubling = vec![
        json!({"op": "add", "path": "/list", "value": ["0123456789012345678901234567890123456789"]}),
    ];
    for step in 0..60 {
        doubling.push(json!({"op": "copy", "from": "/list", "path": format!("/c{step}")}));
        doubling.push(json!({"op": "move", "from": format!("/c{step}"), "path": "/list/-"}));
    }
    assert!(failure(Value::Array(doubling)).starts_with("The "));
    let wide: Vec<_> = (0..999)
        .map(|n| json!({"op": "copy", "from": "/big", "path": format!("/c{n}")}))
        .collect();
    let mut document = sample();
    document["big"] = json!("x".repeat(10_000));
    let error = apply(&document, &Value::Array(wide), &FREE).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("copies of this patch are too large"),
        "{error}"
    );
}

#[test]
fn nesting_is_limited() {
    let mut nesting = vec![json!({"op": "add", "path": "/n", "value": {}})];
    for _ in 0..200 {
        nesting.push(json!({"op": "copy", "from": "/n", "path": "/t"}));
        nesting.push(json!({"op": "move", "from": "/t", "path": "/n/n"}));
        nesting.push(json!({"op": "add", "path": "/w", "value": {}}));
        nesting.push(json!({"op": "move", "from": "/n", "path": "/w/n"}));
        nesting.push(json!({"op": "move", "from": "/w", "path": "/n"}));
    }
    nesting.truncate(MAX_OPERATIONS);
    assert!(failure(Value::Array(nesting)).contains("nested deeper"));
}

const RULES: PatchRules<'static> = PatchRules {
    protected: &["createdAt", "core", "meta.core", "owner"],
    required: &["modifiedBy"],
    frozen: &["config.keys"],
    write_only: &["password"],
    allow_ids: false,
};

fn ruled(operation: Value) -> Result<Value, PatchError> {
    let mut document = sample();
    document["modifiedBy"] = json!("me");
    apply(&document, &json!([operation]), &RULES)
}

#[test]
fn protected_fields_keep_their_values() {
    let texts = [
        (
            json!({"op": "replace", "path": "/createdAt", "value": "now"}),
            "\"createdAt\" must be [2024-01-01T00:00:00.000Z]",
        ),
        (
            json!({"op": "replace", "path": "/core", "value": false}),
            "\"core\" must be [true]",
        ),
        (
            json!({"op": "remove", "path": "/core"}),
            "\"core\" is required",
        ),
        (
            json!({"op": "replace", "path": "/meta/core", "value": "y"}),
            "\"meta.core\" must be [x]",
        ),
        (
            json!({"op": "replace", "path": "/meta", "value": {"deep": 1}}),
            "\"meta.core\" is required",
        ),
        (
            json!({"op": "add", "path": "/owner", "value": "o"}),
            "\"owner\" is not allowed",
        ),
        (
            json!({"op": "remove", "path": "/modifiedBy"}),
            "\"modifiedBy\" is required",
        ),
        (
            json!({"op": "replace", "path": "/_id", "value": "2"}),
            "\"_id\" must be [1]",
        ),
        (
            json!({"op": "remove", "path": "/_id"}),
            "\"_id\" is required",
        ),
        (
            json!({"op": "add", "path": "/id", "value": "2"}),
            "\"id\" is not allowed",
        ),
    ];
    for (operation, text) in texts {
        assert_eq!(
            ruled(operation.clone()).unwrap_err().to_string(),
            text,
            "{operation}"
        );
    }
    for operation in [
        json!({"op": "replace", "path": "/core", "value": true}),
        json!({"op": "test", "path": "/_id", "value": "1"}),
        json!({"op": "replace", "path": "/meta", "value": {"core": "x"}}),
        json!({"op": "replace", "path": "/password", "value": "new"}),
        json!({"op": "replace", "path": "/config/ui", "value": "v"}),
    ] {
        assert!(ruled(operation.clone()).is_ok(), "{operation}");
    }
}

#[test]
fn frozen_and_secret_fields_are_out_of_reach() {
    let forbidden = [
        json!({"op": "replace", "path": "/config/keys", "value": []}),
        json!({"op": "add", "path": "/config/keys/-", "value": {}}),
        json!({"op": "remove", "path": "/config/keys/0/d"}),
        json!({"op": "test", "path": "/config/keys/0/d", "value": "secret"}),
        json!({"op": "test", "path": "/config", "value": {}}),
        json!({"op": "copy", "from": "/config/keys", "path": "/name"}),
        json!({"op": "copy", "from": "/config", "path": "/metadata"}),
        json!({"op": "copy", "from": "", "path": "/metadata"}),
        json!({"op": "move", "from": "/config", "path": "/metadata"}),
        json!({"op": "replace", "path": "/config", "value": {"ui": "u"}}),
        json!({"op": "replace", "path": "/config", "value": {"ui": "u", "keys": []}}),
        json!({"op": "remove", "path": "/config"}),
        json!({"op": "replace", "path": "", "value": {"_id": "1"}}),
        json!({"op": "copy", "from": "/password", "path": "/name"}),
        json!({"op": "move", "from": "/password", "path": "/name"}),
        json!({"op": "test", "path": "/password", "value": "hash"}),
    ];
    for operation in forbidden {
        assert!(
            matches!(ruled(operation.clone()), Err(PatchError::Forbidden { .. })),
            "{operation}"
        );
    }
}

#[test]
fn ids_can_be_allowed() {
    let rules = PatchRules {
        allow_ids: true,
        ..FREE
    };
    assert!(
        apply(
            &sample(),
            &json!([{"op": "add", "path": "/id", "value": "2"}]),
            &rules
        )
        .is_ok()
    );
}
