//! The grammar. Names come out dotted, texts decoded; nothing is known about fields yet.

use percent_encoding::percent_decode_str;
use winnow::ModalResult;
use winnow::Parser;
use winnow::ascii::digit1;
use winnow::combinator::{
    alt, cut_err, delimited, eof, fail, opt, peek, preceded, repeat, separated,
};
use winnow::error::{ContextError, ErrMode, ParseError};
use winnow::token::{one_of, take_while};

use super::{MAX_DEPTH, ODataError};
use crate::store::{Date, Order};

/// A condition as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Compare {
        field: String,
        operator: Operator,
        value: Literal,
    },
    Text {
        function: Function,
        field: String,
        text: String,
    },
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
}

impl Expression {
    /// How many comparisons and functions there are.
    pub(super) fn terms(&self) -> usize {
        match self {
            Self::Compare { .. } | Self::Text { .. } => 1,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(inner) => inner.terms(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Operator {
    /// The operator that says the same with its sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Integer(i64),
    Fraction(f64),
    Text(String),
    /// Also the text, for fields that are not dates.
    Date(Date, String),
}

enum Operand {
    Field(String),
    Value(Literal),
}

pub(super) fn filter(text: &str) -> Result<Expression, ODataError> {
    let mut input = text.trim_matches([' ', '\t']);
    let mut depth = 0;
    let parsed = disjunction(&mut input, &mut depth);
    if depth > MAX_DEPTH {
        return Err(ODataError::TooLarge("$filter"));
    }
    match parsed {
        Ok(expression) if input.is_empty() => Ok(expression),
        _ => Err(ODataError::Syntax("$filter")),
    }
}

pub(super) fn select(text: &str) -> Result<Vec<String>, ODataError> {
    separated(1.., name, ',')
        .parse(text)
        .map_err(|_: ParseError<_, ContextError>| ODataError::Syntax("$select"))
}

pub(super) fn order(text: &str) -> Result<Vec<(String, Order)>, ODataError> {
    let direction = preceded(
        blanks,
        alt((
            "asc".value(Order::Ascending),
            "desc".value(Order::Descending),
        )),
    );
    let key = (name, opt(direction)).map(|(name, order)| (name, order.unwrap_or(Order::Ascending)));
    separated(1.., key, ',')
        .parse(text)
        .map_err(|_: ParseError<_, ContextError>| ODataError::Syntax("$orderby"))
}

fn blanks(input: &mut &str) -> ModalResult<()> {
    take_while(1.., [' ', '\t']).void().parse_next(input)
}

fn maybe_blanks(input: &mut &str) -> ModalResult<()> {
    take_while(0.., [' ', '\t']).void().parse_next(input)
}

/// `or` binds weakest.
fn disjunction(input: &mut &str, depth: &mut usize) -> ModalResult<Expression> {
    let mut parts = vec![conjunction(input, depth)?];
    while opt((blanks, "or", peek(blanks)))
        .parse_next(input)?
        .is_some()
    {
        blanks(input)?;
        parts.push(conjunction(input, depth)?);
    }
    Ok(joined(parts, Expression::Or))
}

fn conjunction(input: &mut &str, depth: &mut usize) -> ModalResult<Expression> {
    let mut parts = vec![term(input, depth)?];
    while opt((blanks, "and", peek(blanks)))
        .parse_next(input)?
        .is_some()
    {
        blanks(input)?;
        parts.push(term(input, depth)?);
    }
    Ok(joined(parts, Expression::And))
}

fn joined(mut parts: Vec<Expression>, join: impl Fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() > 1 {
        return join(parts);
    }
    match parts.pop() {
        Some(single) => single,
        None => join(parts),
    }
}

fn term(input: &mut &str, depth: &mut usize) -> ModalResult<Expression> {
    if opt(("not", blanks)).parse_next(input)?.is_some() {
        let inner = nested(input, depth, term)?;
        return Ok(Expression::Not(Box::new(inner)));
    }
    if opt(('(', maybe_blanks)).parse_next(input)?.is_some() {
        let inner = nested(input, depth, disjunction)?;
        (maybe_blanks, ')').parse_next(input)?;
        return Ok(inner);
    }
    alt((function, comparison)).parse_next(input)
}

/// Goes one level down; `depth` stays above the limit once it was exceeded, to tell the caller.
fn nested(
    input: &mut &str,
    depth: &mut usize,
    inner: impl Fn(&mut &str, &mut usize) -> ModalResult<Expression>,
) -> ModalResult<Expression> {
    *depth += 1;
    if *depth > MAX_DEPTH {
        return cut_err(fail).parse_next(input);
    }
    let expression = inner(input, depth)?;
    *depth -= 1;
    Ok(expression)
}

fn function(input: &mut &str) -> ModalResult<Expression> {
    let function = alt((
        "contains".value(Function::Contains),
        "startswith".value(Function::StartsWith),
        "endswith".value(Function::EndsWith),
    ));
    let comma = delimited(maybe_blanks, ',', maybe_blanks);
    (
        function,
        '(',
        maybe_blanks,
        name,
        comma,
        quoted,
        maybe_blanks,
        ')',
    )
        .map(
            |(function, _, (), field, _, text, (), _)| Expression::Text {
                function,
                field,
                text,
            },
        )
        .parse_next(input)
}

fn comparison(input: &mut &str) -> ModalResult<Expression> {
    let (left, operator, right) =
        (operand, delimited(blanks, operator, blanks), operand).parse_next(input)?;
    match (left, right) {
        (Operand::Field(field), Operand::Value(value)) => Ok(Expression::Compare {
            field,
            operator,
            value,
        }),
        (Operand::Value(value), Operand::Field(field)) => Ok(Expression::Compare {
            field,
            operator: operator.mirrored(),
            value,
        }),
        _ => fail.parse_next(input),
    }
}

fn operator(input: &mut &str) -> ModalResult<Operator> {
    alt((
        "eq".value(Operator::Eq),
        "ne".value(Operator::Ne),
        "gt".value(Operator::Gt),
        "ge".value(Operator::Ge),
        "lt".value(Operator::Lt),
        "le".value(Operator::Le),
    ))
    .parse_next(input)
}

fn operand(input: &mut &str) -> ModalResult<Operand> {
    alt((
        quoted.map(|text| Operand::Value(Literal::Text(text))),
        (uuid, boundary).map(|(text, ())| Operand::Value(Literal::Text(text))),
        (moment, boundary).map(|(value, ())| Operand::Value(value)),
        (number, boundary).map(|(value, ())| Operand::Value(value)),
        word,
    ))
    .parse_next(input)
}

/// A literal ends at a blank, at a closing parenthesis or with the text.
fn boundary(input: &mut &str) -> ModalResult<()> {
    alt((peek(one_of([' ', '\t', ')'])).void(), eof.void())).parse_next(input)
}

/// `a/b/c` becomes `a.b.c`.
fn name(input: &mut &str) -> ModalResult<String> {
    let names: Vec<&str> = separated(1.., identifier, '/').parse_next(input)?;
    Ok(names.join("."))
}

fn identifier<'i>(input: &mut &'i str) -> ModalResult<&'i str> {
    let start = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_');
    (start, rest).take().parse_next(input)
}

fn word(input: &mut &str) -> ModalResult<Operand> {
    let name = (name, boundary).map(|(name, ())| name).parse_next(input)?;
    Ok(match name.as_str() {
        "null" => Operand::Value(Literal::Null),
        "true" => Operand::Value(Literal::Bool(true)),
        "false" => Operand::Value(Literal::Bool(false)),
        _ => Operand::Field(name),
    })
}

/// Quotes inside are doubled; the text is percent-encoded once more than the query string.
fn quoted(input: &mut &str) -> ModalResult<String> {
    let part = alt((take_while(1.., |c: char| c != '\''), "''".value("'")));
    let text: String = delimited(
        '\'',
        repeat(0.., part).fold(String::new, |text, part: &str| text + part),
        '\'',
    )
    .parse_next(input)?;
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => cut_err(fail).parse_next(input),
    }
}

fn hex<'i>(count: usize) -> impl Parser<&'i str, &'i str, ErrMode<ContextError>> {
    take_while(count, |c: char| c.is_ascii_hexdigit())
}

fn uuid(input: &mut &str) -> ModalResult<String> {
    (hex(8), '-', hex(4), '-', hex(4), '-', hex(4), '-', hex(12))
        .take()
        .map(str::to_owned)
        .parse_next(input)
}

fn digits<'i>(count: usize) -> impl Parser<&'i str, &'i str, ErrMode<ContextError>> {
    take_while(count, |c: char| c.is_ascii_digit())
}

/// A date, a date with time and offset, or a time (on the first day of the epoch).
fn moment(input: &mut &str) -> ModalResult<Literal> {
    let time = |input: &mut &str| -> ModalResult<String> {
        let (clock, rest) = ((digits(2), ':', digits(2)).take(), opt(seconds)).parse_next(input)?;
        Ok(format!("{clock}{}", rest.unwrap_or(":00")))
    };
    let offset = alt(("Z", (one_of(['+', '-']), digits(2), ':', digits(2)).take()));
    let date_time = (date, opt(('T', time, offset)));
    let (iso, text) = alt((
        date_time.map(|(date, rest)| match rest {
            Some((_, time, offset)) => format!("{date}T{time}{offset}"),
            None => date.to_owned(),
        }),
        time.map(|time| format!("1970-01-01T{time}Z")),
    ))
    .with_taken()
    .parse_next(input)?;
    match Date::parse(&iso) {
        Some(date) => Ok(Literal::Date(date, text.to_owned())),
        None => fail.parse_next(input),
    }
}

fn date<'i>(input: &mut &'i str) -> ModalResult<&'i str> {
    (digits(4), '-', digits(2), '-', digits(2))
        .take()
        .parse_next(input)
}

fn seconds<'i>(input: &mut &'i str) -> ModalResult<&'i str> {
    (
        ':',
        digits(2),
        opt(('.', take_while(1..=9, |c: char| c.is_ascii_digit()))),
    )
        .take()
        .parse_next(input)
}

/// An exponent needs a fraction before it.
fn number(input: &mut &str) -> ModalResult<Literal> {
    let exponent = ('e', opt(one_of(['+', '-'])), digit1);
    let fraction = ('.', digit1, opt(exponent)).take();
    let ((_, _, fraction), text) = (opt(one_of(['+', '-'])), digit1, opt(fraction))
        .with_taken()
        .parse_next(input)?;
    let value = match (fraction, text.parse::<i64>()) {
        (None, Ok(integer)) => Some(Literal::Integer(integer)),
        _ => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Literal::Fraction),
    };
    match value {
        Some(value) => Ok(value),
        None => fail.parse_next(input),
    }
}
