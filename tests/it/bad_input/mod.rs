//! Bad input at every route: refused with a reason, nothing stored, the server goes on.
//!
//! The requests are made from the OpenAPI document that the server gives out and from its route tables.

mod open_login;
mod shots;
mod world;

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use ueauth::serve::all_routes;

use crate::server::Server;
use world::{Place, Shot, World};

/// Values that a database could take for a condition, as JSON.
const OPERATORS: [&str; 5] = [
    r#"{"$ne":null}"#,
    r#"{"$gt":""}"#,
    r#"{"$where":"1"}"#,
    r#"["x",{"$ne":1}]"#,
    r"[[[]]]",
];

/// Members that some route reads as a text or a list of texts.
const NAMES: [&str; 40] = [
    "access_token",
    "accountId",
    "accounts",
    "action",
    "alias",
    "aliasDnsOIDC",
    "aliasDnsUi",
    "client_id",
    "client_name",
    "code",
    "contactEmail",
    "contactName",
    "description",
    "domains",
    "email",
    "emails",
    "externalId",
    "grant_type",
    "id",
    "name",
    "operation",
    "org",
    "owner",
    "password",
    "permissions",
    "prettyName",
    "primaryDomain",
    "primaryEmail",
    "primaryPrivacyPolicy",
    "primaryTOS",
    "product",
    "providerKey",
    "redirect_uris",
    "roles",
    "setupCode",
    "state",
    "target",
    "token",
    "type",
    "username",
];

fn long() -> String {
    "x".repeat(10_000)
}

fn everywhere(value: &str) -> String {
    let members: Vec<_> = NAMES
        .iter()
        .map(|name| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
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

/// Fires and judges; the server must have neither changed nor suffered.
async fn fire(world: &World, server: &Server, shots: Vec<Shot>) {
    let count = shots.len();
    assert!(count > 0);
    let before = world.snapshot().await;
    let faults = world.fire(shots).await;
    assert!(
        faults.is_empty(),
        "{} of {count} answers are wrong:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(world.snapshot().await, before, "something was stored");
    assert!(!server.log().contains("panicked at"), "the server panicked");
    world.must_be_ready().await;
}

on_both_stores! {
    /// Bodies that are no JSON, of the wrong type, too large or too deep.
    async fn broken_bodies(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        let bomb = bomb();
        for place in world.places().iter().filter(|place| place.takes_body()) {
            for body in [
                r#"{"name":"#, "{'name':1}", "[1,", "nul", r#"{"name":1}x"#, "\0", r#"{"name":"\ud800"}"#,
                r#"{"name":"\udc00\ud800x"}"#, r#""text""#, "1", "null", "true", r#"{"\ud800":1}"#,
            ] {
                shots.push(place.shot().json(body.as_bytes().to_vec()));
            }
            shots.push(place.shot().json(vec![b'{', b'"', 0xed, 0xa0, 0x80, b'"', b':', b'1', b'}']));
            shots.push(place.shot().json("[".repeat(20_000).into_bytes()));
            shots.push(place.shot().json(format!("{{\"a\":{}1", "{\"a\":".repeat(5_000)).into_bytes()));
            shots.push(place.shot().json(format!("{{\"name\":\"{}\"}}", "x".repeat(3 << 20)).into_bytes()));
            shots.push(place.shot().form(format!("name={}", "x".repeat(3 << 20)).into_bytes()));
            shots.push(place.shot().form("a=1&".repeat(2_000).into_bytes()));
            shots.push(place.shot().json(b"no gzip".to_vec()).header("content-encoding", "gzip"));
            shots.push(place.shot().json(bomb.clone()).header("content-encoding", "gzip"));
        }
        fire(&world, &server, shots).await;
    }

    /// Objects, lists, NULs and endless texts where a text belongs.
    async fn wrong_members(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        let texts = [r#""\u0000""#.to_owned(), r#""a\u0000b""#.to_owned(), format!("\"{}\"", long())];
        for place in world.places().iter().filter(|place| place.takes_body() && !place.is_patch()) {
            for value in OPERATORS.iter().map(|value| (*value).to_owned()).chain(texts.clone()) {
                shots.push(place.shot().json(everywhere(&value).into_bytes()));
            }
        }
        let templates = world.templates();
        for (place, template) in &templates {
            for (name, value) in template.as_object().expect("an object") {
                if !value.is_string() {
                    continue;
                }
                for bad in [
                    json!(1), json!(true), json!([]), json!({}), json!(["x"]), json!({"$ne": null}), json!({"$gt": ""}),
                    json!("a\u{0}b"), json!(long()),
                ] {
                    let mut body = template.clone();
                    body[name] = bad;
                    shots.push(place.shot().json(body.to_string().into_bytes()));
                }
            }
        }
        assert!(templates.len() > 6);
        fire(&world, &server, shots).await;
    }

    /// Patches that are none, that reach what nobody may change, or put anything anywhere.
    async fn wrong_patches(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
        for place in world.places().iter().filter(|place| place.is_patch()) {
            let mut bodies = vec![
                json!({}), json!([1]), json!([[]]), json!([{}]), json!([{"op": "x", "path": "/name"}]),
                json!([{"op": "replace", "path": "/name"}]), json!([{"op": "replace", "path": 1, "value": "x"}]),
                json!([{"op": "replace", "path": {"$ne": null}, "value": "x"}]), replace("name", json!("x")),
                replace(&format!("/{}", long()), json!("x")), replace("/__proto__/name", json!("x")),
                replace("/$where", json!("1")), replace("/name/0", json!("x")), replace("/\u{0}", json!("x")),
                replace("/_id", json!("x")), replace("/id", json!("x")), replace("/authGroup", json!("x")),
                replace("/createdAt", json!("2020-01-01")), replace("", json!({})),
                json!([{"op": "move", "from": "/authGroup", "path": "/name"}]),
                json!([{"op": "remove", "path": "/authGroup"}]),
                json!([{"op": "copy", "from": "/password", "path": "/username"}]),
                json!([{"op": "test", "path": "/password", "value": "x"}]),
            ];
            for path in ["/name", "/email", "/username", "/password", "/description", "/type", "/contactEmail", "/active", "/codedId"] {
                for value in [json!({"$ne": null}), json!(["x"]), json!("a\u{0}b"), json!(long())] {
                    bodies.push(replace(path, value));
                }
            }
            shots.extend(bodies.iter().map(|body| place.shot().json(body.to_string().into_bytes())));
        }
        fire(&world, &server, shots).await;
    }

    /// Names in paths that are no names.
    async fn wrong_paths(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        let long = long();
        let values = [
            "%00", "a%00b", "%ED%A0%80", "%FF", "%", "%zz", "..%2f..%2f..%2fetc%2fpasswd", "..%5c..%5cwin.ini", "%2e%2e%2f",
            "%0d%0aX-Evil:%201", "%7B%22%24ne%22:null%7D", "[$ne]", "'%20OR%20'1'='1", "1;DROP%20TABLE%20accounts", "$where",
            "__proto__", "constructor", "%F0%9F%92%A9", "*", "%25", "%20", &long,
        ];
        for place in world.places() {
            for name in place.parameters() {
                for value in values {
                    shots.push(place.shot_with(&name, value));
                }
            }
        }
        fire(&world, &server, shots).await;
    }

    /// List options and other parameters in queries and headers.
    async fn wrong_queries(server: Server) {
        let world = World::create(&server).await;
        let filter = |text: &str| format!("$filter={}", world::encode(text));
        let deep = format!("{}name eq 'x'{}", "(".repeat(3_000), ")".repeat(3_000));
        let mut queries = vec![
            filter("{\"$ne\":null}"), filter("name eq '' or 1 eq 1"), filter("name eq 'x'; DROP TABLE accounts"),
            filter("name eq 'x' UNION SELECT password"), filter("$where eq '1'"), filter("password ne 'x'"),
            filter("startswith(password,'$')"), filter("name eq {\"$gt\":\"\"}"), filter("name eq 'a\0b'"),
            filter("contains(name,'(((((')"), filter("matchesPattern(name,'^(a+)+$')"), filter("name eq"), filter(&deep),
            filter(&format!("name eq '{}'", "x".repeat(20_000))), filter("config/keys ne null"), filter("createdAt gt 'x'"),
            filter("not not not name"), filter("name in ({})"), filter("createdAt eq datetime'99999999-01-01'"),
        ];
        queries.extend(
            [
                "$filter=%ED%A0%80", "$filter=%FF", "$top=-1", "$top=99999999999999999999999", "$top=1e9", "$top=NaN",
                "$skip=-1", "$skip=9223372036854775808", "$skip=x", "$top=1&$top=2", "$orderby=password", "$orderby=$where",
                "$orderby=name;drop", "$select=password", "$select=config.keys", "$select=$where", "$select=%00",
                "$filter[$ne]=x", "filter[$where]=1", "$search={\"$ne\":null}", "search=%00", "search=((((", "q=((((", "q=%00",
                "q[$ne]=x", "q=%5C", "q=", "access_token=x", "access_token[$ne]=x", "org[$ne]=x", "domain=%00", "product=%FF",
                "restrictEmail=%00", "email[$ne]=x",
            ]
            .map(str::to_owned),
        );
        let mut shots = Vec::new();
        for place in world.places().iter().filter(|place| place.reads()) {
            for query in &queries {
                shots.push(place.shot().query(query));
            }
            shots.push(place.shot().header("x-org-context", &long()));
            shots.push(place.shot().header("x-org-context", "{\"$ne\":null}"));
        }
        for place in world.places().iter().filter(|place| place.is_guarded()) {
            for value in [
                "Bearer", "Bearer ", "Bearer a b", "bearer {\"$ne\":null}", "Bearer ' OR 1=1", "Basic", "Basic !!!", "Basic Og==",
                "Basic /////w==", "Basic AAAA", "Digest x", "x", &format!("Bearer {}", long()), "Bearer ..", "Bearer a.b.c",
                "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJub25lIn0.W10.", "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6e319.e30.AA",
            ] {
                shots.push(place.shot().credential(Some(value)).must_fail());
            }
            shots.push(place.shot().credential(None).must_fail());
        }
        fire(&world, &server, shots).await;
    }

    /// Parameters of the provider: repeated, split, of the wrong kind.
    async fn wrong_forms(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        let values = [
            "%00", "%ED%A0%80", "%0d%0aX-Evil:%201", "{\"$ne\":null}", "' OR 1=1", "..%2f..%2f", &long(),
        ];
        for place in world.places().iter().filter(|place| place.takes_form()) {
            let names = place.form_names();
            let good: Vec<_> = names.iter().map(|name| format!("{name}=x")).collect();
            for name in names {
                let others: Vec<_> = good.iter().filter(|pair| !pair.starts_with(&format!("{name}="))).cloned().collect();
                let with = |pairs: &[String]| [others.as_slice(), pairs].concat().join("&").into_bytes();
                shots.push(place.shot().form(with(&[format!("{name}=x"), format!("{name}=y")])).must_fail());
                shots.push(place.shot().form(with(&[format!("{name}[$ne]=x")])));
                shots.push(place.shot().form(with(&[format!("{name}[]=x"), format!("{name}[]=y")])));
                for value in values {
                    shots.push(place.shot().form(with(&[format!("{name}={value}")])));
                }
            }
        }
        fire(&world, &server, shots).await;
    }

    /// Neighbours: their ids with this group's token, and their tokens.
    async fn foreign_ids_and_tokens(server: Server) {
        let world = World::create(&server).await;
        let mut shots = Vec::new();
        for place in world.places() {
            if place.is_guarded() && place.path().contains("{group}") {
                let theirs = format!("Bearer {}", world.other.owner_token);
                shots.push(place.shot().credential(Some(&theirs)).must_fail());
            }
            let names: Vec<_> = place.parameters().into_iter().filter(|name| name != "group").collect();
            for name in &names {
                if let Some(theirs) = world.foreign(place.path(), name) {
                    shots.push(place.shot_with(name, &theirs).foreign());
                }
            }
        }
        fire(&world, &server, shots).await;
    }
}

/// The document and the tables tell the same, so that the tests above leave no route out.
#[tokio::test]
async fn the_document_names_every_route() {
    let server = Server::start(crate::server::Store::Embedded)
        .await
        .expect("a server");
    let document = crate::answer::send(Server::http().get(format!("{}/swagger.json", server.url)))
        .await
        .expect(200)
        .json();
    let documented: BTreeSet<_> = Place::of_document(&document)
        .into_iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let listed: BTreeSet<_> = all_routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(documented, listed);
}
