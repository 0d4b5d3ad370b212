//! Stored values as JSON readers and writers know them.

use std::fmt;

use bson::{Bson, Document};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Date, Value, whole};

/// A stored value in the shape JSON readers expect.
pub fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(Plain(value)).unwrap_or(serde_json::Value::Null)
}

/// A JSON value as stored: integers that fit 32 bits as such, larger ones with 64.
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Bson::Null,
        serde_json::Value::Bool(flag) => Bson::Boolean(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(wide) => i32::try_from(wide).map_or(Bson::Int64(wide), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Bson::String(text.clone()),
        serde_json::Value::Array(items) => Bson::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => Bson::Document(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), from_json(value)))
                .collect(),
        ),
    }
}

pub(super) struct Plain<'a>(pub(super) &'a Bson);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        match self.0 {
            Bson::Double(number) => match whole(*number) {
                Some(integer) => serializer.serialize_i64(integer),
                None => serializer.serialize_f64(*number),
            },
            Bson::DateTime(date) => serializer.serialize_str(&Date::from(*date).to_iso()),
            Bson::ObjectId(id) => serializer.serialize_str(&id.to_hex()),
            Bson::Symbol(text) | Bson::JavaScriptCode(text) => serializer.serialize_str(text),
            Bson::Decimal128(number) => serializer.serialize_str(&number.to_string()),
            Bson::Binary(binary) => {
                use base64::Engine as _;
                serializer
                    .serialize_str(&base64::engine::general_purpose::STANDARD.encode(&binary.bytes))
            }
            Bson::Undefined | Bson::MinKey | Bson::MaxKey => serializer.serialize_unit(),
            Bson::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Plain(item))?;
                }
                seq.end()
            }
            Bson::Document(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, &Plain(value))?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// A value of any type, read from the store, from JSON, or from a flattened buffer.
pub(super) struct Open(pub(super) Bson);

impl<'de> Deserialize<'de> for Open {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpenVisitor).map(Open)
    }
}

struct OpenVisitor;

impl<'de> Visitor<'de> for OpenVisitor {
    type Value = Bson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(flag))
    }

    fn visit_i32<E>(self, number: i32) -> Result<Bson, E> {
        Ok(Bson::Int32(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Bson, E> {
        Ok(Bson::Int64(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Bson, E> {
        // JSON numbers arrive unsigned; pick the width a JSON value is stored with.
        i32::try_from(number)
            .map(Bson::Int32)
            .or_else(|_| i64::try_from(number).map(Bson::Int64))
            .map_err(|_| E::custom("the number is larger than 64 bits with a sign"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Bson, E> {
        Ok(Bson::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Bson, E> {
        Ok(Bson::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Bson, E> {
        Ok(Bson::String(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bson, E> {
        Ok(Bson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: bytes.to_vec(),
        }))
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_none<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bson, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Bson, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bson, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(Open(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Bson::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bson, A::Error> {
        entries(map).map(typed)
    }
}

pub(super) fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Document, A::Error> {
    let mut fields = Document::new();
    while let Some((key, Open(value))) = map.next_entry::<String, Open>()? {
        fields.insert(key, value);
    }
    Ok(fields)
}

/// The deserializer hands special types over as one-field maps; anything else stays a document.
fn typed(fields: Document) -> Bson {
    let special = match fields.iter().next() {
        Some((key, value)) if key.starts_with('$') => special(key, value, &fields),
        _ => None,
    };
    special.unwrap_or(Bson::Document(fields))
}

fn special(key: &str, value: &Bson, fields: &Document) -> Option<Bson> {
    if fields.len() > 1 {
        let scope = fields.get_document("$scope").ok()?;
        let code = fields.get_str("$code").ok()?;
        return (fields.len() == 2).then(|| {
            Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                code: code.to_owned(),
                scope: scope.clone(),
            })
        });
    }
    match (key, value) {
        ("$date", Bson::Int64(millis)) => Some(Date(*millis).into()),
        ("$date", Bson::Int32(millis)) => Some(Date(i64::from(*millis)).into()),
        ("$date", Bson::String(text)) => Date::parse(text).map(Bson::from),
        ("$date", Bson::Document(inner)) if inner.len() == 1 => {
            let millis = inner.get_str("$numberLong").ok()?.parse().ok()?;
            Some(Date(millis).into())
        }
        // An inner `{"$numberLong": …}` has already become an integer when `$date` is read.
        ("$numberLong", Bson::String(text)) => text.parse().ok().map(Bson::Int64),
        ("$oid", Bson::String(hex)) => bson::oid::ObjectId::parse_str(hex).ok().map(Bson::ObjectId),
        ("$oid", Bson::Binary(raw)) => {
            let bytes: [u8; 12] = raw.bytes.as_slice().try_into().ok()?;
            Some(Bson::ObjectId(bson::oid::ObjectId::from_bytes(bytes)))
        }
        ("$binary", Bson::Document(inner)) => {
            use base64::Engine as _;
            let subtype = u8::from_str_radix(inner.get_str("subType").ok()?, 16).ok()?;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(inner.get_str("base64").ok()?)
                .ok()?;
            Some(Bson::Binary(bson::Binary {
                subtype: subtype.into(),
                bytes,
            }))
        }
        ("$numberDecimalBytes", Bson::Binary(raw)) => {
            let bytes: [u8; 16] = raw.bytes.as_slice().try_into().ok()?;
            Some(Bson::Decimal128(bson::Decimal128::from_bytes(bytes)))
        }
        ("$numberDecimal", Bson::String(text)) => text.parse().ok().map(Bson::Decimal128),
        ("$timestamp", Bson::Document(inner)) => {
            let part = |name| match inner.get(name)? {
                Bson::Int32(number) => u32::try_from(*number).ok(),
                Bson::Int64(number) => u32::try_from(*number).ok(),
                _ => None,
            };
            Some(Bson::Timestamp(bson::Timestamp {
                time: part("t")?,
                increment: part("i")?,
            }))
        }
        ("$regularExpression", Bson::Document(inner)) => {
            let pattern = inner.get_str("pattern").ok()?;
            let options = inner.get_str("options").ok()?;
            Some(Bson::RegularExpression(bson::Regex {
                pattern: pattern.try_into().ok()?,
                options: options.try_into().ok()?,
            }))
        }
        ("$symbol", Bson::String(text)) => Some(Bson::Symbol(text.clone())),
        ("$code", Bson::String(text)) => Some(Bson::JavaScriptCode(text.clone())),
        ("$undefined", Bson::Boolean(true)) => Some(Bson::Undefined),
        ("$minKey", Bson::Int32(1)) => Some(Bson::MinKey),
        ("$maxKey", Bson::Int32(1)) => Some(Bson::MaxKey),
        _ => None,
    }
}
