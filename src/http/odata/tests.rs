use super::*;
use crate::store::{
    self, Date, any_of, contains, ends_with, eq, gt, gte, lt, lte, ne, not, or, starts_with,
};

const FIELDS: Fields = Fields::new(&[
    ("name", FieldType::Text),
    ("active", FieldType::Bool),
    ("count", FieldType::Number),
    ("createdAt", FieldType::Date),
    ("tags", FieldType::List(&FieldType::Text)),
    ("metadata", FieldType::Open),
    ("identities", FieldType::List(&FieldType::Open)),
    ("config.ui", FieldType::Text),
    ("config.keys", FieldType::List(&FieldType::Open)),
    ("password", FieldType::Text),
    ("key", FieldType::Text),
])
.hidden(&["config.keys", "key", "metadata.secret"]);

pub(super) fn list(pairs: &[(&str, &str)]) -> Result<ListQuery, ODataError> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    parse(&pairs, &FIELDS)
}

pub(super) fn filter(text: &str) -> Result<Filter, ODataError> {
    list(&[("$filter", text)]).map(|query| query.filter)
}

fn both(left: Filter, right: Filter) -> Filter {
    store::and([left, right])
}

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

#[test]
fn accepted_filters() {
    let a = || eq("name", "a");
    let uuid = "6F9619FF-8b86-d011-b42d-00c04fc964ff";
    let table = [
        ("name eq 'a'", a()),
        ("name ne 'a'", ne("name", "a")),
        ("count gt 5", gt("count", 5)),
        ("count ge 5", gte("count", 5)),
        ("count lt 5", lt("count", 5)),
        ("count le 5", lte("count", 5)),
        ("'a' eq name", a()),
        ("5 lt count", gt("count", 5)),
        ("5 le count", gte("count", 5)),
        ("5 gt count", lt("count", 5)),
        ("5 ge count", lte("count", 5)),
        ("5 ne count", ne("count", 5)),
        ("name eq 'a' and count gt 5", both(a(), gt("count", 5))),
        ("name eq 'a' or name eq 'b'", or([a(), eq("name", "b")])),
        (
            "name eq 'a' or count gt 5 and active eq true",
            or([a(), both(gt("count", 5), eq("active", true))]),
        ),
        (
            "(name eq 'a' or count gt 5) and active eq true",
            both(or([a(), gt("count", 5)]), eq("active", true)),
        ),
        ("( name eq 'a' )", a()),
        ("((name eq 'a'))", a()),
        ("not name eq 'a'", not(a())),
        (
            "not (name eq 'a' and count eq 5)",
            not(both(a(), eq("count", 5))),
        ),
        (
            "not name eq 'a' and count eq 5",
            both(not(a()), eq("count", 5)),
        ),
        ("not not name eq 'a'", not(not(a()))),
        ("not contains(name,'a')", not(contains("name", "a"))),
        ("contains(name,'A b')", contains("name", "A b")),
        ("startswith(name, 'a')", starts_with("name", "a")),
        (
            "endswith(name,'a') and active eq true",
            both(ends_with("name", "a"), eq("active", true)),
        ),
        ("contains(name,'(.*[')", contains("name", "(.*[")),
        ("contains(tags,'x')", contains("tags", "x")),
        ("contains(metadata/a/b,'x')", contains("metadata.a.b", "x")),
        ("metadata/a_1/b eq 'x'", eq("metadata.a_1.b", "x")),
        ("identities/id eq 'x'", eq("identities.id", "x")),
        ("config/ui eq 'x'", eq("config.ui", "x")),
        ("config eq null", eq("config", Value::Null)),
        ("tags eq 'x'", eq("tags", "x")),
        ("_id eq 'x'", eq("_id", "x")),
        ("id eq 'x'", eq("_id", "x")),
        ("name eq 'it''s'", eq("name", "it's")),
        ("name eq ''", eq("name", "")),
        ("name eq ''''", eq("name", "'")),
        ("name eq 'a%27b'", eq("name", "a'b")),
        ("name eq 'a%2520b'", eq("name", "a%20b")),
        ("name eq '100%'", eq("name", "100%")),
        ("name eq '&$top=1'", eq("name", "&$top=1")),
        ("name eq 'a and b or (c)'", eq("name", "a and b or (c)")),
        ("count eq -5", eq("count", -5)),
        ("count eq +5", eq("count", 5)),
        ("count eq 5.5", eq("count", 5.5)),
        ("count eq 1.5e5", eq("count", 150_000.0)),
        ("count eq 3000000000", eq("count", 3_000_000_000_i64)),
        ("count eq '7'", eq("count", 7)),
        ("active eq true", eq("active", true)),
        ("active ne false", ne("active", false)),
        ("active eq 'yes'", eq("active", true)),
        ("active eq 0", eq("active", false)),
        ("name eq null", eq("name", Value::Null)),
        ("name ne null", ne("name", Value::Null)),
        (
            "createdAt gt 2020-01-01",
            gt("createdAt", day("2020-01-01")),
        ),
        (
            "createdAt gt 2020-01-01T10:00:00Z",
            gt("createdAt", day("2020-01-01T10:00:00Z")),
        ),
        (
            "createdAt gt 2020-01-01T10:00:00.123Z",
            gt("createdAt", day("2020-01-01T10:00:00.123Z")),
        ),
        (
            "createdAt gt 2020-01-01T10:00:00+02:00",
            gt("createdAt", day("2020-01-01T08:00:00Z")),
        ),
        (
            "createdAt gt 2020-01-01T10:00Z",
            gt("createdAt", day("2020-01-01T10:00:00Z")),
        ),
        (
            "createdAt gt '2020-01-01'",
            gt("createdAt", day("2020-01-01")),
        ),
        (
            "createdAt gt 1577836800000",
            gt("createdAt", day("2020-01-01")),
        ),
        (
            "createdAt gt '1577836800000'",
            gt("createdAt", day("2020-01-01")),
        ),
        (
            "createdAt lt 12:00:00",
            lt("createdAt", Date::from_millis(43_200_000)),
        ),
        ("name eq 2020-01-01", eq("name", "2020-01-01")),
        ("name eq 5", eq("name", "5")),
        ("metadata/d eq 5", eq("metadata.d", 5)),
        ("metadata/d eq true", eq("metadata.d", true)),
        (
            "name \t eq  'a'\tand  count eq 5",
            both(a(), eq("count", 5)),
        ),
        ("  name eq 'a' ", a()),
    ];
    for (text, expected) in table {
        assert_eq!(filter(text), Ok(expected), "{text}");
    }
    assert_eq!(filter(&format!("_id eq {uuid}")), Ok(eq("_id", uuid)));
    assert_eq!(filter(&format!("(name eq {uuid})")), Ok(eq("name", uuid)));
}

#[test]
fn refused_filters() {
    let table = [
        // not understood
        "name",
        "'a'",
        "name eq",
        "eq 'a'",
        "name eq 'a' and",
        "name eq 'a' or",
        "and",
        "()",
        "(",
        ")",
        "name eq 'a')",
        "(name eq 'a'",
        "name eq 'a' name eq 'b'",
        "name eq 'a' eq true",
        "name eq name",
        "5 eq 5",
        "true",
        "name 'a'",
        "active eq True",
        "active eq TRUE",
        "name eq NULL",
        "name eq a",
        "name EQ 'a'",
        "name eq 'a' AND count eq 5",
        "name in ('a','b')",
        "name eq \"a\"",
        "name add 1 eq 2",
        "count mul 2 gt 4",
        "name has 'a'",
        "tags/any(t:t eq 'x')",
        "tags/all(t:t eq 'x')",
        "tolower(name) eq 'a'",
        "toupper(name) eq 'A'",
        "trim(name) eq 'a'",
        "length(name) eq 1",
        "indexof(name,'a') eq 1",
        "substring(name,1) eq 'a'",
        "concat(name,'a') eq 'b'",
        "year(createdAt) eq 2020",
        "now() gt createdAt",
        "cast(name,'x') eq 'a'",
        "contains(name,'a') eq true",
        "true eq contains(name,'a')",
        "contains('a',name)",
        "contains(name)",
        "contains(name,name)",
        "contains(name,5)",
        "contains(name,'a','b')",
        "Contains(name,'a')",
        "startsWith(name,'a')",
        "name eq 'a'and count eq 5",
        "not(name eq 'a')",
        "name eq'a'",
        "name eq 'a",
        "name eq a'",
        "name eq 'a''",
        "name eq 'a''b",
        "name eq '%ff'",
        // names
        "name.x eq 'a'",
        "metadata.a eq 'a'",
        "$where eq 'a'",
        "na-me eq 'a'",
        "1name eq 'a'",
        "metadata/ eq 'a'",
        "/name eq 'a'",
        "metadata//a eq 'a'",
        "metadata/$ne eq 'a'",
        "näme eq 'a'",
        // numbers and dates
        "count eq 1e5",
        "count eq .5",
        "count eq 5.",
        "count eq 1.5E5",
        "count eq 5L",
        "count eq 5d",
        "count eq 0x5",
        "count eq --5",
        "count eq 1.5e",
        "createdAt gt 2020-13-01",
        "createdAt gt 2020-02-30",
        "createdAt gt 2020-01-01T10:00:00",
        "createdAt gt 2020-01-01T25:00:00Z",
        "createdAt lt 25:00:00",
        "createdAt gt 2020-1-1",
    ];
    for text in table {
        assert_eq!(filter(text), Err(ODataError::Syntax("$filter")), "{text}");
    }
    let impossible = [
        "count eq 'x'",
        "count eq true",
        "count eq 'inf'",
        "active eq 'maybe'",
        "active eq 2",
        "createdAt gt 'soon'",
        "createdAt eq true",
        "createdAt eq 1.5",
        "contains(count,'5')",
        "contains(createdAt,'2020')",
        "contains(active,'t')",
        "name gt null",
        "config eq 'x'",
        "contains(config,'x')",
    ];
    for text in impossible {
        assert!(
            matches!(filter(text), Err(ODataError::Value { .. })),
            "{text}"
        );
    }
    let hidden = [
        "nope eq 'a'",
        "name/x eq 'a'",
        "count/x eq 1",
        "config/other eq 'a'",
        "startswith(password,'a')",
        "password ne null",
        "config/keys/d eq 'a'",
        "config/keys ne null",
        "key eq 'a'",
        "metadata/password eq 'a'",
        "identities/client_secret eq 'a'",
        "metadata/secret eq 'a'",
        "metadata/secret/deeper eq 'a'",
        "name eq 'a' or nope eq 'b'",
        "not (name eq 'a' and nope eq 'b')",
        "__v eq 0",
        "notname eq 'a'",
    ];
    for text in hidden {
        assert!(
            matches!(
                filter(text),
                Err(ODataError::Field {
                    option: "$filter",
                    ..
                })
            ),
            "{text}"
        );
    }
    assert!(filter("keys eq 'a'").is_err());
}

#[test]
fn filters_are_bounded() {
    let nested = |depth: usize| format!("{}name eq 'a'{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(filter(&nested(MAX_DEPTH)), Ok(eq("name", "a")));
    assert_eq!(
        filter(&nested(MAX_DEPTH + 1)),
        Err(ODataError::TooLarge("$filter"))
    );
    assert_eq!(
        filter(&"not ".repeat(4000)),
        Err(ODataError::TooLarge("$filter"))
    );
    assert_eq!(
        filter(&"(".repeat(16_000)),
        Err(ODataError::TooLarge("$filter"))
    );
    // Closed parentheses do not add up.
    assert!(filter(&vec!["(name eq 'a')"; MAX_DEPTH * 2].join(" or ")).is_ok());
    assert!(filter(&vec!["name eq 'a'"; MAX_TERMS].join(" or ")).is_ok());
    assert_eq!(
        filter(&vec!["name eq 'a'"; MAX_TERMS + 1].join(" or ")),
        Err(ODataError::TooLarge("$filter"))
    );
    assert_eq!(
        filter(&format!("name eq '{}'", "a".repeat(MAX_FILTER))),
        Err(ODataError::TooLarge("$filter"))
    );
}

#[test]
fn selections() {
    let select = |text| list(&[("$select", text)]).map(|query| query.select);
    let names = |names: &[&str]| {
        Ok(Some(
            names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
        ))
    };
    assert_eq!(list(&[]).unwrap().select, None);
    assert_eq!(select("name,metadata/a"), names(&["name", "metadata.a"]));
    assert_eq!(select("id,_id,name,name"), names(&["_id", "name"]));
    assert_eq!(select("*"), names(&[]));
    assert_eq!(select("nope"), names(&[]));
    assert_eq!(select("config"), names(&["config.ui"]));
    for text in [
        "name, active",
        "name,",
        ",name",
        "name active",
        "name.x",
        "$x",
        "*,name",
    ] {
        assert_eq!(select(text), Err(ODataError::Syntax("$select")), "{text}");
    }
    for text in ["password", "name,key", "config/keys", "metadata/secret"] {
        assert!(
            matches!(
                select(text),
                Err(ODataError::Field {
                    option: "$select",
                    ..
                })
            ),
            "{text}"
        );
    }
    assert_eq!(
        select(&vec!["name"; MAX_NAMES + 1].join(",")),
        Err(ODataError::TooLarge("$select"))
    );
}

#[test]
fn orders() {
    use Order::{Ascending, Descending};
    let order = |text| list(&[("$orderby", text)]).map(|query| query.order);
    let keys = |keys: &[(&str, Order)]| {
        Ok(keys
            .iter()
            .map(|(k, o)| ((*k).to_owned(), *o))
            .collect::<Vec<_>>())
    };
    assert_eq!(
        Ok(list(&[]).unwrap().order),
        keys(&[("createdAt", Ascending)])
    );
    assert_eq!(order("name"), keys(&[("name", Ascending)]));
    assert_eq!(order("name desc"), keys(&[("name", Descending)]));
    assert_eq!(
        order("name asc,metadata/x desc"),
        keys(&[("name", Ascending), ("metadata.x", Descending)])
    );
    assert_eq!(order("id desc"), keys(&[("_id", Descending)]));
    assert_eq!(order("name,name desc"), keys(&[("name", Ascending)]));
    assert_eq!(order("nope,name"), keys(&[("name", Ascending)]));
    for text in [
        "name, active",
        "name DESC",
        "name up",
        "name desc asc",
        "desc,",
        "",
        " name",
    ] {
        let expected = if text.is_empty() {
            keys(&[("createdAt", Ascending)])
        } else {
            Err(ODataError::Syntax("$orderby"))
        };
        assert_eq!(order(text), expected, "{text}");
    }
    for text in ["password", "key desc", "config/keys", "config", "metadata"] {
        assert!(
            matches!(
                order(text),
                Err(ODataError::Field {
                    option: "$orderby",
                    ..
                })
            ),
            "{text}"
        );
    }
}

#[test]
fn counts() {
    let query = list(&[("$skip", "20"), ("$top", "10")]).unwrap();
    assert_eq!((query.skip, query.top), (20, Some(10)));
    assert_eq!(list(&[("$top", "0")]).unwrap().top, None);
    for option in ["$skip", "$top"] {
        for text in [
            "-1",
            "1.5",
            "x",
            " 1",
            "+1",
            "99999999999999999999",
            "1e3",
            "0x1",
        ] {
            assert_eq!(
                list(&[(option, text)]),
                Err(ODataError::Syntax(option)),
                "{option}={text}"
            );
        }
    }
    assert_eq!(list(&[("$top", "50")]).unwrap().cap(20).top, Some(20));
    assert_eq!(list(&[("$top", "5")]).unwrap().cap(20).top, Some(5));
    assert_eq!(list(&[]).unwrap().cap(20).top, Some(20));
    assert_eq!(list(&[]).unwrap().cap(0).top, None);
}

#[test]
fn parameters() {
    assert_eq!(
        list(&[("$filter", "name eq 'a'"), ("$filter", "name eq 'b'")]),
        Err(ODataError::Repeated("$filter"))
    );
    assert_eq!(
        list(&[("$top", ""), ("$top", "1")]),
        Err(ODataError::Repeated("$top"))
    );
    let plain = list(&[]).unwrap();
    let ignored = [
        ("$filter", ""),
        ("$select", ""),
        ("$orderby", ""),
        ("$skip", ""),
        ("$top", ""),
        ("$count", "true"),
        ("$count", "true"),
        ("$expand", "(("),
        ("$search", "x"),
        ("$format", "x"),
        ("search", "x"),
        ("filter", "(("),
    ];
    assert_eq!(list(&ignored).unwrap(), plain);
}

#[test]
fn prefixes_do_not_reach_the_id() {
    const CLIENTS: Fields = Fields::new(&[
        ("client_name", FieldType::Text),
        ("client_secret", FieldType::Text),
    ])
    .prefix("payload.");
    let pairs = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
    let query = parse(
        &pairs("$filter", "client_name eq 'a' or not id eq 'b'"),
        &CLIENTS,
    )
    .unwrap();
    assert_eq!(
        query.filter,
        or([eq("payload.client_name", "a"), not(eq("_id", "b"))])
    );
    assert_eq!(query.order, []);
    assert_eq!(
        parse(&pairs("$select", "client_name"), &CLIENTS)
            .unwrap()
            .select,
        Some(vec!["payload.client_name".into()])
    );
    assert!(parse(&pairs("$filter", "client_secret ne null"), &CLIENTS).is_err());
}

#[test]
fn the_server_condition_always_holds() {
    let query = list(&[
        ("$filter", "name eq 'a' or name eq 'b'"),
        ("$skip", "1"),
        ("$top", "2"),
        ("$select", "name"),
    ])
    .unwrap();
    let query = query.into_query(eq("authGroup", "g"));
    let expected = Query::new(both(
        eq("authGroup", "g"),
        or([eq("name", "a"), eq("name", "b")]),
    ))
    .sort("createdAt", Order::Ascending)
    .skip(1)
    .limit(2)
    .select(["name"]);
    assert_eq!(query, expected);
    assert_eq!(
        list(&[]).unwrap().into_query(eq("authGroup", "g")).filter,
        eq("authGroup", "g")
    );
}

#[test]
fn required_values_are_found_and_taken() {
    let mut query = list(&[("$filter", "name eq 'a' and count gt 5 and active eq true")]).unwrap();
    assert_eq!(query.equality("name"), Some(&Value::from("a")));
    assert_eq!(query.equality("count"), None);
    assert_eq!(query.take_equality("name"), Some(Value::from("a")));
    assert_eq!(query.filter, both(gt("count", 5), eq("active", true)));
    assert_eq!(
        (query.take_equality("active"), query.take_equality("active")),
        (Some(Value::from(true)), None)
    );
    assert_eq!(query.filter, gt("count", 5));
    for text in [
        "name eq 'a' or count gt 5",
        "not name eq 'a'",
        "name ne 'a'",
    ] {
        let mut query = list(&[("$filter", text)]).unwrap();
        let before = query.clone();
        assert_eq!(
            (query.equality("name"), query.clone().take_equality("name")),
            (None, None),
            "{text}"
        );
        assert_eq!(query.take_equality("name"), None);
        assert_eq!(query, before);
    }
    let mut single = list(&[("$filter", "name eq 'a'")]).unwrap();
    assert_eq!(
        (single.take_equality("name"), single.filter),
        (Some(Value::from("a")), Filter::All)
    );
    assert_ne!(any_of("name", ["a"]), eq("name", "a"));
}
