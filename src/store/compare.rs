//! The order of values, and byte strings that sort the same way.
//!
//! The order is `MongoDB`'s: null, numbers, text, documents, arrays, binary data, object ids,
//! booleans, dates, timestamps, regular expressions.

use std::cmp::Ordering;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

/// Sorts before null: what an empty array counts as.
const NOTHING: u8 = 0x04;
pub const NULL: u8 = 0x05;
const NUMBER: u8 = 0x10;
const TEXT: u8 = 0x20;
const DOCUMENT: u8 = 0x30;
const ARRAY: u8 = 0x40;
const BINARY: u8 = 0x50;
const OBJECT_ID: u8 = 0x60;
const BOOLEAN: u8 = 0x70;
const DATE: u8 = 0x80;
const TIMESTAMP: u8 = 0x90;
const OTHER: u8 = 0xa0;

/// The kind of a value; only values of one kind compare with each other.
pub fn kind(value: RawBsonRef<'_>) -> u8 {
    match value {
        RawBsonRef::MinKey => 0x01,
        RawBsonRef::Null | RawBsonRef::Undefined => NULL,
        RawBsonRef::Double(_)
        | RawBsonRef::Int32(_)
        | RawBsonRef::Int64(_)
        | RawBsonRef::Decimal128(_) => NUMBER,
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => TEXT,
        RawBsonRef::Document(_) => DOCUMENT,
        RawBsonRef::Array(_) => ARRAY,
        RawBsonRef::Binary(_) => BINARY,
        RawBsonRef::ObjectId(_) => OBJECT_ID,
        RawBsonRef::Boolean(_) => BOOLEAN,
        RawBsonRef::DateTime(_) => DATE,
        RawBsonRef::Timestamp(_) => TIMESTAMP,
        RawBsonRef::MaxKey => 0xf0,
        _ => OTHER,
    }
}

/// The order of two values of any kinds.
pub fn compare(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Ordering {
    match (left, right) {
        (RawBsonRef::String(left), RawBsonRef::String(right)) => left.cmp(right),
        (RawBsonRef::Int32(left), RawBsonRef::Int32(right)) => left.cmp(&right),
        (RawBsonRef::Boolean(left), RawBsonRef::Boolean(right)) => left.cmp(&right),
        (RawBsonRef::DateTime(left), RawBsonRef::DateTime(right)) => left.cmp(&right),
        _ if kind(left) != kind(right) => kind(left).cmp(&kind(right)),
        _ => key(Some(left)).cmp(&key(Some(right))),
    }
}

/// Whether the value is the number that equals nothing but itself.
pub fn is_nan(value: RawBsonRef<'_>) -> bool {
    matches!(value, RawBsonRef::Double(number) if number.is_nan())
}

/// The sortable bytes of one value; a missing one sorts as null.
pub fn key(value: Option<RawBsonRef<'_>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    write(&mut bytes, value.unwrap_or(RawBsonRef::Null));
    bytes
}

/// The sortable bytes of an empty array.
pub fn nothing() -> Vec<u8> {
    vec![NOTHING]
}

/// Turns the order of sortable bytes around.
pub fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// The smallest bytes above everything that starts with `prefix`; `None` if there is no bound.
pub fn above(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes);
        }
    }
    None
}

fn write(bytes: &mut Vec<u8>, value: RawBsonRef<'_>) {
    bytes.push(kind(value));
    match value {
        RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::MinKey | RawBsonRef::MaxKey => {}
        RawBsonRef::Int32(number) => float(bytes, f64::from(number), 0),
        RawBsonRef::Int64(number) => wide(bytes, number),
        RawBsonRef::Double(number) => float(bytes, number, 0),
        RawBsonRef::Decimal128(number) => {
            float(bytes, number.to_string().parse().unwrap_or(f64::NAN), 0);
        }
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => escaped(bytes, text.as_bytes()),
        RawBsonRef::Document(document) => fields(bytes, document, true),
        RawBsonRef::Array(array) => {
            for item in array.into_iter().flatten() {
                bytes.push(0x02);
                write(bytes, item);
            }
            bytes.push(0x00);
        }
        RawBsonRef::Binary(binary) => {
            bytes.extend(
                u64::try_from(binary.bytes.len())
                    .unwrap_or(u64::MAX)
                    .to_be_bytes(),
            );
            bytes.push(binary.subtype.into());
            escaped(bytes, binary.bytes);
        }
        RawBsonRef::ObjectId(id) => bytes.extend(id.bytes()),
        RawBsonRef::Boolean(flag) => bytes.push(flag.into()),
        RawBsonRef::DateTime(date) => signed(bytes, date.timestamp_millis()),
        RawBsonRef::Timestamp(stamp) => {
            bytes.extend(stamp.time.to_be_bytes());
            bytes.extend(stamp.increment.to_be_bytes());
        }
        other => {
            let mut holder = RawDocumentBuf::new();
            holder.append(bson::cstr!(""), other);
            escaped(bytes, holder.as_bytes());
        }
    }
}

/// Fields count by kind, then name, then value.
fn fields(bytes: &mut Vec<u8>, document: &RawDocument, names: bool) {
    for (name, value) in document.into_iter().flatten() {
        bytes.push(0x02);
        if names {
            bytes.push(kind(value));
            escaped(bytes, name.as_str().as_bytes());
        }
        write(bytes, value);
    }
    bytes.push(0x00);
}

/// Bytes with an end mark that sorts before any continuation.
fn escaped(bytes: &mut Vec<u8>, raw: &[u8]) {
    for byte in raw {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes.extend([0x00, 0x00]);
}

fn signed(bytes: &mut Vec<u8>, number: i64) {
    bytes.extend((number.cast_unsigned() ^ (1 << 63)).to_be_bytes());
}

/// The nearest double and, behind it, how far the integer is from that.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // the loss is what is kept
fn wide(bytes: &mut Vec<u8>, number: i64) {
    let near = number as f64;
    let rest = i128::from(number) - near as i128;
    float(bytes, near, rest as i16);
}

fn float(bytes: &mut Vec<u8>, number: f64, rest: i16) {
    let bits = if number.is_nan() {
        0
    } else {
        // Adding zero turns a negative zero into a positive one.
        let bits = (number + 0.0).to_bits();
        if bits >> 63 == 1 {
            !bits
        } else {
            bits | (1 << 63)
        }
    };
    bytes.extend(bits.to_be_bytes());
    bytes.extend((rest.cast_unsigned() ^ (1 << 15)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawBson, bson, doc};

    use super::*;

    fn raw(value: Bson) -> RawBson {
        value.try_into().unwrap()
    }

    #[test]
    fn bytes_sort_as_values_do() {
        let ascending = vec![
            bson!(null),
            Bson::Double(f64::NAN),
            Bson::Double(f64::NEG_INFINITY),
            Bson::Int64(i64::MIN),
            bson!(-1.5),
            Bson::Int32(-1),
            Bson::Double(0.0),
            Bson::Double(0.25),
            Bson::Int64(1),
            Bson::Int64((1 << 53) - 1),
            Bson::Int64(1 << 53),
            Bson::Int64((1 << 53) + 1),
            Bson::Int64((1 << 53) + 2),
            Bson::Int64(i64::MAX - 1),
            Bson::Int64(i64::MAX),
            Bson::Double(1e300),
            bson!(""),
            bson!("\0"),
            bson!("\0a"),
            bson!("a"),
            bson!("a\0"),
            bson!("a\0b"),
            bson!("ab"),
            bson!("ä"),
            bson!({}),
            bson!({"a": 1}),
            bson!({"a": 1, "b": 1}),
            bson!({"b": 1}),
            bson!({"a": "text sorts by kind first"}),
            bson!([]),
            bson!([1]),
            bson!([1, 2]),
            bson!([2]),
            bson!(false),
            bson!(true),
            Bson::DateTime(bson::DateTime::from_millis(-1)),
            Bson::DateTime(bson::DateTime::from_millis(0)),
            Bson::DateTime(bson::DateTime::from_millis(1)),
        ];
        for (position, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                let (left, right) = (raw(left.clone()), raw(right.clone()));
                assert_eq!(
                    compare(left.as_raw_bson_ref(), right.as_raw_bson_ref()),
                    position.cmp(&other),
                    "{left:?} {right:?}"
                );
                assert_eq!(
                    key(Some(left.as_raw_bson_ref())).cmp(&key(Some(right.as_raw_bson_ref()))),
                    position.cmp(&other),
                    "{left:?} {right:?}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_equal_across_types() {
        for number in [0, 1, -7, 1 << 30] {
            let forms = [
                raw(Bson::Int32(number)),
                raw(Bson::Int64(number.into())),
                raw(Bson::Double(number.into())),
            ];
            for left in &forms {
                for right in &forms {
                    assert_eq!(
                        compare(left.as_raw_bson_ref(), right.as_raw_bson_ref()),
                        Ordering::Equal
                    );
                }
            }
        }
        let (zero, minus) = (raw(Bson::Double(0.0)), raw(Bson::Double(-0.0)));
        assert_eq!(
            compare(zero.as_raw_bson_ref(), minus.as_raw_bson_ref()),
            Ordering::Equal
        );
        let _ = doc! {};
    }

    #[test]
    fn the_bound_above_a_prefix_is_tight() {
        assert_eq!(above(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(above(&[1, 0xff]), Some(vec![2]));
        assert_eq!(above(&[0xff]), None);
    }
}
