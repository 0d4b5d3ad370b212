//! Bodies with one fault each, made from what the document says about a good one.

use serde_json::{Value, json};

/// Part of every text that is sent where none such belongs; nothing of it may be logged.
pub const MARK: &str = "h1dden-m4rk";
/// Stands for a lone surrogate, which no text of Rust can hold.
const SURROGATE: &str = "lone-surrogate";
/// How deep members of members are looked at.
const DEPTH: usize = 5;

/// What a reference refers to.
pub fn resolve<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(target) = value["$ref"].as_str() {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference within the document");
        value = document.pointer(pointer).expect("what is referred to");
    }
    value
}

/// Bodies like the good one, each with one fault.
///
/// Where `lenient`, null counts as left out (RFC 7592 §2.2).
pub fn wrong(document: &Value, schema: &Value, good: &Value, lenient: bool) -> Vec<Vec<u8>> {
    let made = faults(document, schema, lenient).into_iter();
    made.filter_map(|fault| {
        let mut body = good.clone();
        match fault {
            Fault::Value(steps, value) => put(&mut body, &steps, value),
            Fault::Unknown(steps) => put(&mut body, &steps, json!("1")),
            Fault::Missing(steps, name) => {
                let mut steps = steps.iter();
                let holder = steps.try_fold(&mut body, |value, step| match step {
                    Step::Member(name) => value.get_mut(name),
                    Step::Item => value.get_mut(0),
                });
                holder?.as_object_mut()?.remove(&name)?;
            }
        }
        Some(bytes(&body))
    })
    .collect()
}

/// Patches that put one wrong value into what is shown of a document.
pub fn wrong_patches(document: &Value, shown: &Value) -> Vec<Vec<u8>> {
    let made = faults(document, shown, true).into_iter();
    // numbers and truth values become texts, as in the contract; what no patch reaches changes nothing
    let is_cast = |value: &Value| value.is_number() || value.is_boolean();
    let is_loose = |steps: &[Step]| match steps {
        [Step::Member(name)] => matches!(name.as_str(), "meta" | "modifiedAt" | "updateAt"),
        _ => false,
    };
    made.filter_map(|fault| match fault {
        Fault::Value(steps, value)
            if !(steps.is_empty() || is_cast(&value) || is_loose(&steps)) =>
        {
            let names = steps.iter().map(|step| match step {
                Step::Member(name) => name.as_str(),
                Step::Item => "0",
            });
            let path = format!("/{}", names.collect::<Vec<_>>().join("/"));
            Some(bytes(&json!([{"op": "add", "path": path, "value": value}])))
        }
        _ => None,
    })
    .collect()
}

fn bytes(body: &Value) -> Vec<u8> {
    let text = body.to_string().replace(SURROGATE, "\\udc00\\ud800");
    text.into_bytes()
}

fn faults(document: &Value, schema: &Value, lenient: bool) -> Vec<Fault> {
    let mut maker = Maker {
        lenient,
        document,
        out: Vec::new(),
    };
    maker.visit(schema, &mut Vec::new());
    maker.out
}

enum Fault {
    /// A value that may not be there.
    Value(Vec<Step>, Value),
    /// A member that may not be there.
    Unknown(Vec<Step>),
    /// A member that must be there.
    Missing(Vec<Step>, String),
}

#[derive(Clone)]
enum Step {
    Member(String),
    /// The first item of a list.
    Item,
}

struct Maker<'a> {
    lenient: bool,
    document: &'a Value,
    out: Vec<Fault>,
}

/// Puts a value somewhere, with what has to be around it.
fn put(value: &mut Value, steps: &[Step], what: Value) {
    let Some((first, rest)) = steps.split_first() else {
        *value = what;
        return;
    };
    match first {
        Step::Member(name) => {
            if !value.is_object() {
                *value = json!({});
            }
            put(&mut value[name], rest, what);
        }
        Step::Item => {
            if value.get(0).is_none() {
                *value = json!([null]);
            }
            put(&mut value[0], rest, what);
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Maker<'_> {
    fn add(&mut self, steps: &[Step], wrong: Value) {
        self.out.push(Fault::Value(steps.to_vec(), wrong));
    }

    fn visit(&mut self, schema: &Value, steps: &mut Vec<Step>) {
        let document = self.document;
        let schema = resolve(document, schema);
        // one part is as good as all where a schema adds to another
        if let Some(all) = schema["allOf"].as_array() {
            for part in all {
                self.visit(part, steps);
            }
            return;
        }
        self.types(schema, steps);
        if steps.len() >= DEPTH {
            return;
        }
        if schema["items"].is_object() {
            steps.push(Step::Item);
            self.visit(&schema["items"], steps);
            steps.pop();
        }
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            // members of clients that are not known are ignored (RFC 7591 §2)
            if matches!(name.as_str(), "policy_url" | "tos_url") {
                continue;
            }
            // a patch that neither moves nor copies ignores it (RFC 6902 §4)
            if name == "from" && schema["properties"]["op"].is_object() {
                continue;
            }
            steps.push(Step::Member(name.clone()));
            self.visit(member, steps);
            steps.pop();
        }
        if schema["additionalProperties"] == json!(false) {
            for name in ["$where", "__proto__", "nothing"] {
                steps.push(Step::Member(name.to_owned()));
                self.out.push(Fault::Unknown(steps.clone()));
                steps.pop();
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default().to_owned();
            self.out.push(Fault::Missing(steps.clone(), name));
        }
    }

    /// Values of other types, and texts and numbers that are none for this place.
    fn types(&mut self, schema: &Value, steps: &[Step]) {
        let Some(wanted) = schema["type"].as_str() else {
            return;
        };
        let is = |kind: &str| kind == wanted || (wanted == "integer" && kind == "number");
        for value in [
            json!(null),
            json!(true),
            json!(7),
            json!(MARK),
            json!([]),
            json!([MARK, {"$ne": 1}]),
            json!({}),
            json!({"$ne": null}),
            json!({"$gt": ""}),
        ] {
            let null = value.is_null() && (schema["nullable"] == json!(true) || self.lenient);
            if !is(kind(&value)) && !null {
                self.add(steps, value);
            }
        }
        if wanted == "string" {
            let longest = schema["maxLength"].as_u64().unwrap_or(10_000);
            let longest = usize::try_from(longest).expect("a length");
            let long: String = MARK.chars().cycle().take(longest + 1).collect();
            for value in [format!("{MARK}\u{0}x"), SURROGATE.to_owned(), long] {
                self.add(steps, json!(value));
            }
            // formats of texts are notes for people, as in the contract
            if schema["enum"].is_array() {
                self.add(steps, json!(format!("{MARK} {{$ne}}")));
            }
        }
        if wanted == "integer" {
            self.add(steps, json!(1.5));
        }
        if wanted == "array" && schema["minItems"].as_u64().is_some_and(|least| least > 0) {
            self.add(steps, json!([]));
        }
    }
}
