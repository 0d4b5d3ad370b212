//! Values that keep their exact type in the store and read naturally in JSON.

mod plain;

use std::fmt;

use bson::{Bson, DateTime, Document};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

use plain::{Open, Plain, entries};
pub use plain::{from_json, to_json};

/// A value of a filter or of an open document.
pub type Value = Bson;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
///
/// A native date in the store, ISO 8601 with milliseconds and `Z` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// The date that many milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// `2024-05-06T07:08:09.010Z`; years outside 0–9999 carry a sign and six digits.
    pub fn to_iso(self) -> String {
        const DAY: i64 = 86_400_000;
        let (days, millis) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let year = if (0..=9999).contains(&year) {
            format!("{year:04}")
        } else {
            let sign = if year < 0 { '-' } else { '+' };
            format!("{sign}{:06}", year.unsigned_abs())
        };
        format!(
            "{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1000 % 60,
            millis % 1000
        )
    }

    /// Reads ISO 8601: with an offset, without one (taken as UTC), or a date alone.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Some writers put a space where the standard has a `T`.
        let text = match (text.get(..10), text.get(10..11), text.get(11..)) {
            (Some(date), Some(" "), Some(rest)) => format!("{date}T{rest}"),
            _ => text.to_owned(),
        };
        let moment = OffsetDateTime::parse(&text, &Iso8601::PARSING)
            .or_else(|_| {
                PrimitiveDateTime::parse(&text, &Iso8601::PARSING)
                    .map(PrimitiveDateTime::assume_utc)
            })
            .or_else(|_| {
                time::Date::parse(&text, &Iso8601::PARSING).map(|date| date.midnight().assume_utc())
            })
            .ok()?;
        i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000))
            .ok()
            .map(Self)
    }
}

/// Proleptic Gregorian year, month and day of a day number counted from the epoch.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso())
    }
}

impl From<Date> for Bson {
    fn from(date: Date) -> Self {
        Bson::DateTime(DateTime::from_millis(date.0))
    }
}

impl From<DateTime> for Date {
    fn from(date: DateTime) -> Self {
        Self(date.timestamp_millis())
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.to_iso())
        } else {
            DateTime::from_millis(self.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Flattened structs buffer their fields and forget the format, so the value decides.
        match Open::deserialize(deserializer)?.0 {
            Bson::DateTime(date) => Ok(date.into()),
            Bson::String(text) => {
                Self::parse(&text).ok_or_else(|| D::Error::custom("expected an ISO 8601 date"))
            }
            Bson::Int32(millis) => Ok(Self(millis.into())),
            Bson::Int64(millis) => Ok(Self(millis)),
            Bson::Double(millis) => whole(millis)
                .map(Self)
                .ok_or_else(|| D::Error::custom("expected whole milliseconds")),
            _ => Err(D::Error::custom("expected a date")),
        }
    }
}

/// The integer a double stands for, when it stands for exactly one.
#[allow(clippy::cast_possible_truncation)] // the range check keeps the cast exact
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// Reads an integer that may have been stored as a double, as JavaScript writers do.
///
/// For `#[serde(deserialize_with = "…")]`.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    optional_integer(deserializer)?.ok_or_else(|| D::Error::custom("expected an integer"))
}

/// As [`integer`], with null as `None`; add `#[serde(default)]` where the field may be absent.
pub fn optional_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    match Open::deserialize(deserializer)?.0 {
        Bson::Null => Ok(None),
        Bson::Int32(number) => Ok(Some(number.into())),
        Bson::Int64(number) => Ok(Some(number)),
        Bson::Double(number) => whole(number)
            .map(Some)
            .ok_or_else(|| D::Error::custom("expected a whole number")),
        _ => Err(D::Error::custom("expected an integer")),
    }
}

/// An open document: any fields, each with its exact stored type.
///
/// In JSON it is plain: dates as ISO 8601, whole numbers as integers, object ids as hex text.
/// Flattened into a struct it keeps the fields that the struct does not know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Document);

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a top-level field.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The text of a top-level field, if it is text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Bson::as_str)
    }

    /// A top-level field, to be changed in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(key)
    }

    /// Sets a top-level field and returns what it held.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), value)
    }

    /// Removes a top-level field and returns what it held.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// Whether a top-level field is present.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many top-level fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The top-level fields in stored order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Plain JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.clone().into()
    }

    /// Takes a JSON object as it is: no extended-JSON forms are interpreted.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        match from_json(json) {
            Bson::Document(document) => Some(Self(document)),
            _ => None,
        }
    }
}

impl From<Document> for Object {
    fn from(document: Document) -> Self {
        Self(document)
    }
}

impl From<Object> for Document {
    fn from(object: Object) -> Self {
        object.0
    }
}

impl From<Object> for Bson {
    fn from(object: Object) -> Self {
        Bson::Document(object.0)
    }
}

impl From<Object> for serde_json::Value {
    fn from(object: Object) -> Self {
        to_json(&Bson::Document(object.0))
    }
}

impl From<serde_json::Map<String, serde_json::Value>> for Object {
    fn from(map: serde_json::Map<String, serde_json::Value>) -> Self {
        Self(
            map.iter()
                .map(|(key, value)| (key.clone(), from_json(value)))
                .collect(),
        )
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = <Document as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // When flattened, only the values learn whether the format is a human-readable one.
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, &Plain(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                entries(map).map(Object)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn dates_are_written_as_iso_8601() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Date::from_millis(millis).to_iso(), text);
        }
    }

    #[test]
    fn dates_are_read_in_many_forms() {
        let noon = Some(Date::from_millis(1_709_210_096_000));
        for text in [
            "2024-02-29T12:34:56Z",
            "2024-02-29T12:34:56.000Z",
            "2024-02-29T12:34:56.000000000+00:00",
            "2024-02-29T14:34:56+02:00",
            "2024-02-29T12:34:56",
            "2024-02-29 12:34:56",
            " 2024-02-29T12:34:56Z ",
        ] {
            assert_eq!(Date::parse(text), noon, "{text}");
        }
        assert_eq!(
            Date::parse("1970-01-02"),
            Some(Date::from_millis(86_400_000))
        );
        for text in ["", "tomorrow", "2023-02-29T00:00:00Z", "12", "ééééééééééé"] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        at: Date,
        #[serde(flatten)]
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        also: Option<Date>,
        #[serde(default, deserialize_with = "optional_integer")]
        count: Option<i64>,
        #[serde(flatten)]
        rest: Object,
    }

    #[test]
    fn dates_survive_flattening_in_both_formats() {
        let date = Date::from_millis(1_709_210_096_007);
        let flat = Flat {
            at: date,
            inner: Inner {
                also: Some(date),
                count: Some(5),
                rest: doc! { "later": date, "list": [{ "n": 1_i64 }] }.into(),
            },
        };
        let stored = bson::serialize_to_raw_document_buf(&flat).unwrap();
        for field in ["at", "also", "later"] {
            assert!(stored.get_datetime(field).is_ok(), "{field}: {stored:?}");
        }
        let read: Flat = bson::deserialize_from_slice(stored.as_bytes()).unwrap();
        assert_eq!(read, flat);
        let json = serde_json::to_string(&flat).unwrap();
        assert_eq!(
            json,
            r#"{"at":"2024-02-29T12:34:56.007Z","also":"2024-02-29T12:34:56.007Z","count":5,"later":"2024-02-29T12:34:56.007Z","list":[{"n":1}]}"#
        );
        let read: Flat = serde_json::from_str(&json).unwrap();
        assert_eq!((read.at, read.inner.also), (date, Some(date)));
        for form in [
            r#"{"at":{"$date":"2024-02-29T12:34:56.007Z"}}"#,
            r#"{"at":1709210096007}"#,
        ] {
            assert_eq!(
                serde_json::from_str::<Flat>(form).unwrap().at,
                date,
                "{form}"
            );
        }
        assert!(serde_json::from_str::<Flat>(r#"{"at":"soon"}"#).is_err());
    }

    #[test]
    fn integers_may_be_stored_as_doubles() {
        let read = |value: Bson| {
            let document = doc! { "at": Date::from_millis(0), "count": value };
            let bytes = bson::serialize_to_vec(&document).unwrap();
            bson::deserialize_from_slice::<Flat>(&bytes).map(|flat| flat.inner.count)
        };
        assert_eq!(
            read(Bson::Double(1_700_000_000_000.0)).unwrap(),
            Some(1_700_000_000_000)
        );
        assert_eq!(read(Bson::Int32(-1)).unwrap(), Some(-1));
        assert_eq!(read(Bson::Null).unwrap(), None);
        assert!(read(Bson::Double(0.5)).is_err());
        assert!(read(Bson::String("1".to_owned())).is_err());
    }

    #[test]
    fn json_is_plain() {
        let object = Object::from(doc! {
            "id": bson::oid::ObjectId::from_bytes([0xab; 12]),
            "whole": 1_700_000_000_000.0,
            "part": 0.5,
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
            "none": null,
        });
        assert_eq!(
            serde_json::to_string(&object).unwrap(),
            r#"{"id":"abababababababababababab","whole":1700000000000,"part":0.5,"binary":"AQI=","none":null}"#
        );
        let odd = serde_json::json!({ "a": { "$oid": "zzz" }, "b": { "$date": { "c": 1 } }, "n": 5_000_000_000_i64 });
        let read = Object::from_json(&odd).unwrap();
        assert_eq!(read.to_json(), odd);
        assert_eq!(read.get("n"), Some(&Bson::Int64(5_000_000_000)));
        let bytes = bson::serialize_to_vec(&read).unwrap();
        assert_eq!(
            bson::deserialize_from_slice::<Object>(&bytes).unwrap(),
            read
        );
    }
}
