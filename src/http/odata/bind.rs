//! Gives names and values their meaning: stored paths, and values of the field's type.

use super::ODataError;
use super::fields::{FieldType, Fields, Meaning};
use super::syntax::{Expression, Function, Literal, Operator};
use crate::store::{Date, Filter, Value};

pub(super) fn filter(expression: Expression, fields: &Fields) -> Result<Filter, ODataError> {
    let all = |parts: Vec<Expression>| {
        parts
            .into_iter()
            .map(|part| filter(part, fields))
            .collect::<Result<Vec<_>, _>>()
    };
    match expression {
        Expression::And(parts) => all(parts).map(Filter::And),
        Expression::Or(parts) => all(parts).map(Filter::Or),
        Expression::Not(inner) => Ok(Filter::Not(Box::new(filter(*inner, fields)?))),
        Expression::Compare {
            field,
            operator,
            value,
        } => compare(field, operator, value, fields),
        Expression::Text {
            function,
            field,
            text,
        } => {
            let (path, meaning) = lookup(&field, fields)?;
            if !matches!(
                meaning,
                Meaning::Leaf(
                    FieldType::Text
                        | FieldType::Open
                        | FieldType::List(FieldType::Text | FieldType::Open)
                )
            ) {
                return Err(ODataError::Value {
                    field,
                    expected: "no text functions",
                });
            }
            let path = path.into();
            Ok(match function {
                Function::Contains => Filter::Contains(path, text),
                Function::StartsWith => Filter::StartsWith(path, text),
                Function::EndsWith => Filter::EndsWith(path, text),
            })
        }
    }
}

fn lookup(field: &str, fields: &Fields) -> Result<(String, Meaning), ODataError> {
    let unknown = || ODataError::Field {
        option: "$filter",
        field: field.to_owned(),
    };
    if fields.is_hidden(field) {
        return Err(unknown());
    }
    fields.resolve(field).ok_or_else(unknown)
}

fn compare(
    field: String,
    operator: Operator,
    value: Literal,
    fields: &Fields,
) -> Result<Filter, ODataError> {
    let (path, meaning) = lookup(&field, fields)?;
    let value = match (meaning, value) {
        (_, Literal::Null) if matches!(operator, Operator::Eq | Operator::Ne) => Ok(Value::Null),
        (_, Literal::Null) | (Meaning::Parent, _) => Err("only `eq null` and `ne null`"),
        (Meaning::Leaf(kind), value) => convert(kind, value),
    };
    let value = value.map_err(|expected| ODataError::Value { field, expected })?;
    let path = path.into();
    Ok(match operator {
        Operator::Eq => Filter::Eq(path, value),
        Operator::Ne => Filter::Ne(path, value),
        Operator::Gt => Filter::Gt(path, value),
        Operator::Ge => Filter::Gte(path, value),
        Operator::Lt => Filter::Lt(path, value),
        Operator::Le => Filter::Lte(path, value),
    })
}

/// The value in the field's type, as writing it to the field would convert it.
fn convert(kind: FieldType, value: Literal) -> Result<Value, &'static str> {
    match (kind, value) {
        (FieldType::List(kind), value) => convert(*kind, value),
        (FieldType::Open, value) => Ok(natural(value)),
        (FieldType::Text, value) => Ok(Value::String(match value {
            Literal::Text(text) | Literal::Date(_, text) => text,
            Literal::Integer(number) => number.to_string(),
            Literal::Fraction(number) => number.to_string(),
            Literal::Bool(flag) => flag.to_string(),
            Literal::Null => return Err("a text"),
        })),
        (FieldType::Bool, value) => flag(&value).map(Value::Boolean).ok_or("true or false"),
        (FieldType::Number, Literal::Text(text)) => number(&text).ok_or("a number"),
        (FieldType::Number, value @ (Literal::Integer(_) | Literal::Fraction(_))) => {
            Ok(natural(value))
        }
        (FieldType::Number, _) => Err("a number"),
        (FieldType::Date, value) => date(&value)
            .map(Value::from)
            .ok_or("a date such as 2024-01-31 or 2024-01-31T10:00:00Z"),
    }
}

fn natural(value: Literal) -> Value {
    match value {
        Literal::Null => Value::Null,
        Literal::Bool(flag) => Value::Boolean(flag),
        Literal::Integer(number) => {
            i32::try_from(number).map_or(Value::Int64(number), Value::Int32)
        }
        Literal::Fraction(number) => Value::Double(number),
        Literal::Text(text) => Value::String(text),
        Literal::Date(date, _) => date.into(),
    }
}

fn flag(value: &Literal) -> Option<bool> {
    match value {
        Literal::Bool(flag) => Some(*flag),
        Literal::Integer(0) => Some(false),
        Literal::Integer(1) => Some(true),
        Literal::Text(text) => match text.as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(natural(Literal::Integer(number)));
    }
    // `inf` and `nan` parse too, and are no numbers to a client.
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(Value::Double)
}

fn date(value: &Literal) -> Option<Date> {
    match value {
        Literal::Date(date, _) => Some(*date),
        Literal::Integer(millis) => Some(Date::from_millis(*millis)),
        Literal::Text(text) => match text.trim().parse::<i64>() {
            // A year alone is a date; longer numbers are milliseconds.
            Ok(millis) if text.trim().len() > 4 => Some(Date::from_millis(millis)),
            _ => Date::parse(text),
        },
        _ => None,
    }
}
