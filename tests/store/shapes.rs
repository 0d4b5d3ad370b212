//! What documents may hold, and that it comes back as it was.

use bson::oid::ObjectId;
use bson::{Bson, doc};
use serde::{Deserialize, Serialize};
use ueauth::store::{Collection, Date, Document, Index, Object, StoreError, Value, eq};

use crate::bench::{ANYTHING, Anything, Bench, ITEMS};

/// An item without its usual fields.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sparse {
    #[serde(rename = "_id")]
    id: String,
}

impl Sparse {
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

impl Document for Sparse {
    const COLLECTION: &'static Collection = &ITEMS;

    fn id(&self) -> &str {
        &self.id
    }
}

static STRANGERS: Collection = Collection {
    name: "strangers",
    indexes: &[Index::plain(&["a"])],
    expiry: &[],
};

/// A type whose collection no test declares.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stranger {
    #[serde(rename = "_id")]
    id: String,
}

impl Document for Stranger {
    const COLLECTION: &'static Collection = &STRANGERS;

    fn id(&self) -> &str {
        &self.id
    }
}

/// A narrow view of `anything`: no type for most of what is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Narrow {
    #[serde(rename = "_id")]
    id: String,
    name: String,
    count: i64,
    inner: Inner,
    list: Vec<Inner>,
    #[serde(default)]
    added: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Inner {
    nick: String,
}

impl Document for Narrow {
    const COLLECTION: &'static Collection = &ANYTHING;

    fn id(&self) -> &str {
        &self.id
    }
}

fn of_every_type() -> bson::Document {
    doc! {
        "date": Date::from_millis(1_700_000_000_123),
        "small": 7_i32,
        "large": 7_i64,
        "fraction": 7.0_f64,
        "object": { "date": Date::from_millis(-1), "list": [1_i32, 2_i64, 3.0, null, { "y": true }] },
        "id": ObjectId::from_bytes([1; 12]),
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 1, 255] },
        "uuid": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
        "stamp": bson::Timestamp { time: 5, increment: 6 },
        "nothing": null,
        "yes": true,
        "text": "plain",
    }
}

pub async fn unknown_fields_survive_an_update(bench: Bench) {
    let mut fields = of_every_type();
    if !bench.limited {
        fields.insert("decimal", "12.340".parse::<bson::Decimal128>().unwrap());
        fields.insert(
            "pattern",
            bson::Regex {
                pattern: bson::cstr!("^a").into(),
                options: bson::cstr!("i").into(),
            },
        );
        fields.insert(
            "nested",
            Bson::Array(vec![Bson::Array(vec![1.into(), Bson::Int64(1)])]),
        );
        fields.insert("operator", doc! { "$date": "not a date" });
    }
    let anything = bench.store.of::<Anything>();
    let stored = Anything {
        id: "a".to_owned(),
        fields: fields.clone().into(),
    };
    anything.insert(&stored).await.unwrap();
    let read = anything
        .update("a", |document: &mut Anything| {
            document.fields.insert("text", "changed");
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(Some(read), anything.get("a").await.unwrap());
    let read: bson::Document = anything.get("a").await.unwrap().unwrap().fields.into();
    fields.insert("text", "changed");
    fields.insert("__v", 0_i32);
    for (name, value) in &fields {
        assert_eq!(read.get(name), Some(value), "{name}");
    }
    assert_eq!(read.len(), fields.len());
    let found = anything
        .find_objects(eq("_id", "a"))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(found.get("id"), fields.get("id"));
    assert_eq!(found.get("large"), Some(&Bson::Int64(7)));
}

pub async fn untouched_fields_keep_their_type(bench: Bench) {
    let mut fields = of_every_type();
    fields.extend(doc! {
        "name": "n",
        "count": 3_i32,
        "inner": { "nick": "i", "secret": 1_i32 },
        "list": [{ "nick": "0", "left": 0_i32 }, { "nick": "1", "left": 1_i32 }, { "nick": "2", "left": 2_i32 }],
    });
    let anything = bench.store.of::<Anything>();
    anything
        .insert(&Anything {
            id: "a".to_owned(),
            fields: fields.clone().into(),
        })
        .await
        .unwrap();
    let narrow = bench.store.of::<Narrow>();
    narrow
        .update("a", |document: &mut Narrow| {
            document.name = "new".to_owned();
            document.inner.nick = "j".to_owned();
            document.list.remove(1);
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap()
        .unwrap();
    fields.extend(doc! {
        "name": "new",
        "inner": { "nick": "j", "secret": 1_i32 },
        "list": [{ "nick": "0", "left": 0_i32 }, { "nick": "2", "left": 2_i32 }],
        "added": [],
        "__v": 0_i32,
    });
    let read: bson::Document = anything.get("a").await.unwrap().unwrap().fields.into();
    for (name, value) in &fields {
        assert_eq!(read.get(name), Some(value), "{name}");
    }
    assert_eq!(read.len(), fields.len());
    // A value that does change takes the type's own form; an element changed in place is merged.
    narrow
        .update("a", |document: &mut Narrow| {
            document.count = 4;
            document.list[1].nick = "two".to_owned();
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap()
        .unwrap();
    let read = anything.get("a").await.unwrap().unwrap().fields;
    assert_eq!(read.get("count"), Some(&Bson::Int64(4)));
    assert_eq!(
        read.get("list"),
        Some(&Bson::Array(vec![
            doc! { "nick": "0", "left": 0_i32 }.into(),
            doc! { "nick": "two", "left": 2_i32 }.into(),
        ]))
    );
}

pub async fn any_text_is_stored(bench: Bench) {
    let anything = bench.store.of::<Anything>();
    let texts = [
        "",
        "ß ẞ Æther",
        "日本語",
        "👩‍👩‍👧",
        "a\0b",
        "\0",
        "\u{10ffff}",
        "line\nend\r\t",
        "'\"\\;--",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let document = Anything {
            id: format!("{number} {}", text.replace('\0', "0")),
            fields: [
                ("s".to_owned(), Value::from(text)),
                ("n".to_owned(), Value::Int32(0)),
            ]
            .into_iter()
            .collect::<Object>(),
        };
        anything.insert(&document).await.unwrap();
        let read = anything.get(&document.id).await.unwrap().unwrap();
        assert_eq!(read.fields.get_str("s"), Some(text));
        let found = anything.find(eq("s", text)).await.unwrap();
        assert_eq!(found.len(), 1, "{text:?}");
    }
}

pub async fn keys_with_dots_survive(bench: Bench) {
    let anything = bench.store.of::<Anything>();
    let resources = doc! { "https://api.example.com/v1": "read", "$odd": 1_i32, "": true };
    let document = Anything {
        id: "a".to_owned(),
        fields: doc! { "payload": { "resources": resources.clone() }, "top.level": 1_i32 }.into(),
    };
    anything.insert(&document).await.unwrap();
    anything
        .update("a", |document: &mut Anything| {
            if let Some(Bson::Document(payload)) = document.fields.get_mut("payload") {
                payload.insert("x.y", 1_i32);
            }
            document.fields.insert("top.level", 2_i32);
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap()
        .unwrap();
    let read = anything.get("a").await.unwrap().unwrap();
    assert_eq!(
        read.fields.get("payload"),
        Some(&doc! { "resources": resources, "x.y": 1_i32 }.into())
    );
    assert_eq!(read.fields.get("top.level"), Some(&2_i32.into()));
}
