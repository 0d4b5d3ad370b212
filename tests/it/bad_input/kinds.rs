//! The kinds of bad input, each as the requests that bring it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::bodies;
use super::shots::{ELSEWHERE, Shot};
use super::world::{World, encode};

/// Every kind, with its name.
pub fn all(world: &World) -> Vec<(&'static str, Vec<Shot>)> {
    vec![
        ("broken bodies", broken_bodies(world)),
        ("wrong members", wrong_members(world)),
        ("wrong patches", wrong_patches(world)),
        ("wrong paths", wrong_paths(world)),
        ("wrong list options", wrong_list_options(world)),
        ("wrong queries", wrong_queries(world)),
        ("wrong credentials", wrong_credentials(world)),
        ("wrong forms", wrong_forms(world)),
        ("another group's", foreign(world)),
    ]
}

pub fn long() -> String {
    "x".repeat(10_000)
}

/// A small body that is 64 MB of JSON when unpacked.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(b"{\"name\":\"").expect("memory");
    for _ in 0..64 {
        packed
            .write_all("x".repeat(1 << 20).as_bytes())
            .expect("memory");
    }
    packed.write_all(b"\"}").expect("memory");
    packed.finish().expect("memory")
}

/// Bodies that are no JSON, of the wrong type, too large or too deep.
fn broken_bodies(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    let bomb = bomb();
    for place in world.places().iter().filter(|place| place.takes_body()) {
        for body in [
            r#"{"name":"#,
            "{'name':1}",
            "[1,",
            "nul",
            r#"{"name":1}x"#,
            "\0",
            r#"{"name":"\ud800"}"#,
            r#"{"name":"\udc00\ud800x"}"#,
            r#""text""#,
            "1",
            "null",
            "true",
            r#"{"\ud800":1}"#,
        ] {
            shots.push(place.shot().json(body.as_bytes().to_vec()));
        }
        shots.push(
            place
                .shot()
                .json(vec![b'{', b'"', 0xed, 0xa0, 0x80, b'"', b':', b'1', b'}']),
        );
        shots.push(place.shot().json("[".repeat(20_000).into_bytes()));
        shots.push(
            place
                .shot()
                .json(format!("{{\"a\":{}1", "{\"a\":".repeat(5_000)).into_bytes()),
        );
        shots.push(
            place
                .shot()
                .json(format!("{{\"name\":\"{}\"}}", "x".repeat(3 << 20)).into_bytes()),
        );
        shots.push(
            place
                .shot()
                .form(format!("name={}", "x".repeat(3 << 20)).into_bytes()),
        );
        shots.push(place.shot().form("a=1&".repeat(2_000).into_bytes()));
        shots.push(
            place
                .shot()
                .json(b"no gzip".to_vec())
                .header("content-encoding", "gzip"),
        );
        shots.push(
            place
                .shot()
                .json(bomb.clone())
                .header("content-encoding", "gzip"),
        );
    }
    shots
}

/// Good bodies with one fault, at every member that is documented.
fn wrong_members(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    for place in world.places() {
        let Some(schema) = place.json_schema() else {
            continue;
        };
        let null = Value::Null;
        let good = place.good_body().unwrap_or(&null);
        for body in bodies::wrong(
            world.document(),
            schema,
            good,
            !place.path().starts_with("/api/"),
        ) {
            let shot = place.shot().json(body);
            shots.push(if place.is_reachable() {
                shot.bad()
            } else {
                shot
            });
        }
    }
    shots
}

/// Patches that are none, that reach what nobody may change, or put anything anywhere.
fn wrong_patches(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    let replace =
        |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    for place in world.places().iter().filter(|place| place.is_patch()) {
        let mut bodies = vec![
            json!({}),
            json!([1]),
            json!([[]]),
            json!([{}]),
            json!([{"op": "x", "path": "/name"}]),
            json!([{"op": "replace", "path": "/name"}]),
            json!([{"op": "replace", "path": 1, "value": "x"}]),
            json!([{"op": "replace", "path": {"$ne": null}, "value": "x"}]),
            replace("name", json!("x")),
            replace(&format!("/{}", long()), json!("x")),
            replace("/__proto__/name", json!("x")),
            replace("/$where", json!("1")),
            replace("/name/0", json!("x")),
            replace("/\u{0}", json!("x")),
            replace("/_id", json!("x")),
            replace("/id", json!("x")),
            replace("/authGroup", json!("x")),
            replace("/createdAt", json!("2020-01-01")),
            replace("", json!({})),
            json!([{"op": "move", "from": "/authGroup", "path": "/name"}]),
            json!([{"op": "remove", "path": "/authGroup"}]),
            json!([{"op": "copy", "from": "/password", "path": "/username"}]),
            json!([{"op": "test", "path": "/password", "value": "x"}]),
        ];
        for path in [
            "/name",
            "/email",
            "/username",
            "/password",
            "/description",
            "/type",
            "/contactEmail",
            "/active",
            "/codedId",
        ] {
            for value in [
                json!({"$ne": null}),
                json!(["x"]),
                json!("a\u{0}b"),
                json!(long()),
            ] {
                bodies.push(replace(path, value));
            }
        }
        shots.extend(
            bodies
                .iter()
                .map(|body| place.shot().json(body.to_string().into_bytes())),
        );
    }
    for place in world.places().iter().filter(|place| place.is_patch()) {
        let bodies = bodies::wrong_patches(world.document(), place.shown());
        shots.extend(bodies.into_iter().map(|body| place.shot().json(body)));
    }
    shots
}

/// Names in paths that are no names.
fn wrong_paths(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    let long = long();
    let values = [
        "%00",
        "a%00b",
        "%ED%A0%80",
        "%FF",
        "%",
        "%zz",
        "..%2f..%2f..%2fetc%2fpasswd",
        "..%5c..%5cwin.ini",
        "%2e%2e%2f",
        "%0d%0aX-Evil:%201",
        "%7B%22%24ne%22:null%7D",
        "[$ne]",
        "'%20OR%20'1'='1",
        "1;DROP%20TABLE%20accounts",
        "$where",
        "__proto__",
        "constructor",
        "%F0%9F%92%A9",
        "*",
        "%25",
        "%20",
        &long,
    ];
    for place in world.places() {
        for name in place.parameters() {
            for value in values {
                shots.push(place.shot_with(name, value));
            }
        }
    }
    shots
}

/// What lists are asked for, and the header that names an organization.
fn wrong_list_options(world: &World) -> Vec<Shot> {
    let filter = |text: &str| format!("$filter={}", encode(text));
    let deep = format!("{}name eq 'x'{}", "(".repeat(3_000), ")".repeat(3_000));
    let mut queries = vec![
        filter("{\"$ne\":null}"),
        filter("name eq '' or 1 eq 1"),
        filter("name eq 'x'; DROP TABLE accounts"),
        filter("name eq 'x' UNION SELECT password"),
        filter("$where eq '1'"),
        filter("password ne 'x'"),
        filter("startswith(password,'$')"),
        filter("name eq {\"$gt\":\"\"}"),
        filter("name eq 'a\0b'"),
        filter("contains(name,'(((((')"),
        filter("matchesPattern(name,'^(a+)+$')"),
        filter("name eq"),
        filter(&deep),
        filter(&format!("name eq '{}'", "x".repeat(20_000))),
        filter("config/keys ne null"),
        filter("createdAt gt 'x'"),
        filter("not not not name"),
        filter("name in ({})"),
        filter("createdAt eq datetime'99999999-01-01'"),
    ];
    queries.extend(
        [
            "$filter=%ED%A0%80",
            "$filter=%FF",
            "$top=-1",
            "$top=99999999999999999999999",
            "$top=1e9",
            "$top=NaN",
            "$skip=-1",
            "$skip=9223372036854775808",
            "$skip=x",
            "$top=1&$top=2",
            "$orderby=password",
            "$orderby=$where",
            "$orderby=name;drop",
            "$select=password",
            "$select=config.keys",
            "$select=$where",
            "$select=%00",
            "$filter[$ne]=x",
            "filter[$where]=1",
            "$search={\"$ne\":null}",
            "search=%00",
            "search=((((",
            "q=((((",
            "q=%00",
            "q[$ne]=x",
            "q=%5C",
            "q=",
            "access_token=x",
            "access_token[$ne]=x",
            "org[$ne]=x",
            "domain=%00",
            "product=%FF",
            "restrictEmail=%00",
            "email[$ne]=x",
        ]
        .map(str::to_owned),
    );
    let mut shots = Vec::new();
    for place in world.places().iter().filter(|place| place.reads()) {
        // the others ignore them, and have their own among the wrong queries
        if place.queries().iter().any(|name| name == "$filter") {
            shots.extend(queries.iter().map(|query| place.shot().query(query)));
        }
        shots.push(place.shot().header("x-org-context", &long()));
        shots.push(place.shot().header("x-org-context", "{\"$ne\":null}"));
    }
    shots
}

/// Parameters of queries, as documented.
fn wrong_queries(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    let long = long();
    let values = [
        "%00",
        "%ED%A0%80",
        "%FF",
        "%0d%0aX-Evil:%201",
        "{\"$ne\":null}",
        "'%20OR%201=1",
        "..%2f..%2f",
        &encode(ELSEWHERE),
        &long,
    ];
    for place in world.places().iter().filter(|place| place.is_get()) {
        for name in place.queries() {
            for value in values {
                shots.push(place.shot().query(&format!("{name}={value}")));
            }
            shots.push(place.shot().query(&format!("{name}=x&{name}=y")));
            shots.push(place.shot().query(&format!("{name}[$ne]=x")));
        }
    }
    shots
}

/// Credentials that are none.
fn wrong_credentials(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    for place in world.places().iter().filter(|place| place.is_guarded()) {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "bearer {\"$ne\":null}",
            "Bearer ' OR 1=1",
            "Basic",
            "Basic !!!",
            "Basic Og==",
            "Basic /////w==",
            "Basic AAAA",
            "Digest x",
            "x",
            &format!("Bearer {}", long()),
            "Bearer ..",
            "Bearer a.b.c",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "Bearer eyJhbGciOiJub25lIn0.W10.",
            "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6e319.e30.AA",
        ] {
            shots.push(place.shot().credential(Some(value)).must_fail());
        }
        shots.push(place.shot().credential(None).must_fail());
    }
    shots
}

/// Fields of forms: repeated, split, of the wrong kind.
fn wrong_forms(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    let values = [
        "%00",
        "%ED%A0%80",
        "%0d%0aX-Evil:%201",
        "{\"$ne\":null}",
        "' OR 1=1",
        "..%2f..%2f",
        &long(),
    ];
    for place in world
        .places()
        .iter()
        .filter(|place| !place.form_names(world.document()).is_empty())
    {
        let names = place.form_names(world.document());
        let good: Vec<_> = names.iter().map(|name| format!("{name}=x")).collect();
        for name in &names {
            let others: Vec<_> = good
                .iter()
                .filter(|pair| !pair.starts_with(&format!("{name}=")))
                .cloned()
                .collect();
            let with =
                |pairs: &[String]| [others.as_slice(), pairs].concat().join("&").into_bytes();
            shots.push(
                place
                    .shot()
                    .form(with(&[format!("{name}=x"), format!("{name}=y")]))
                    .must_fail(),
            );
            shots.push(place.shot().form(with(&[format!("{name}[$ne]=x")])));
            shots.push(
                place
                    .shot()
                    .form(with(&[format!("{name}[]=x"), format!("{name}[]=y")])),
            );
            for value in values {
                shots.push(place.shot().form(with(&[format!("{name}={value}")])));
            }
        }
    }
    shots
}

/// Neighbours: their ids with this group's token, and their tokens.
fn foreign(world: &World) -> Vec<Shot> {
    let mut shots = Vec::new();
    for place in world.places() {
        if place.is_guarded() && place.path().contains("{group}") {
            let theirs = format!("Bearer {}", world.their_token());
            shots.push(place.shot().credential(Some(&theirs)).must_fail());
        }
        let names: Vec<_> = place
            .parameters()
            .into_iter()
            .filter(|name| *name != "group")
            .collect();
        for name in &names {
            if let Some(theirs) = world.foreign(place.path(), name) {
                shots.push(place.shot_with(name, &theirs).foreign());
            }
        }
    }
    shots
}
