//! Which requests are made: every route of the served document, and some in several ways.

use serde_json::Value;

use super::table::Row;

/// Further requests to a route.
///
/// - `own`: about what is the caller's own, where the ordinary request is about a third person's.
/// - `core`: about an object the group was founded with.
/// - `unheld`: about a product of the organization that the product's manager does not have.
/// - the rest name the member that is changed or sent.
const MORE: &[(&str, &[&str])] = &[
    (
        "DELETE /api/{group}/access/organization/{org}/account/{id}",
        &["own"],
    ),
    ("DELETE /api/{group}/account/{id}", &["own"]),
    ("DELETE /api/{group}/organizations/{id}", &["core"]),
    (
        "DELETE /api/{group}/organizations/{org}/domains/{id}",
        &["core"],
    ),
    ("DELETE /api/{group}/products/{id}", &["core"]),
    (
        "DELETE /api/{group}/products/{product}/permissions",
        &["core"],
    ),
    (
        "DELETE /api/{group}/products/{product}/permissions/{id}",
        &["core"],
    ),
    (
        "DELETE /api/{group}/products/{product}/roles/{id}",
        &["core"],
    ),
    ("DELETE /api/{group}/profile/access/{id}", &["own"]),
    ("DELETE /api/{group}/profile/request/{id}", &["own"]),
    ("DELETE /api/{group}/profile/snapshot/{id}", &["own"]),
    ("GET /api/{group}/access/account/{id}", &["own"]),
    ("GET /api/{group}/access/my/notification/{id}", &["own"]),
    (
        "GET /api/{group}/access/organization/{org}/account/{id}",
        &["own"],
    ),
    ("GET /api/{group}/account/{id}", &["own"]),
    ("GET /api/{group}/account/{id}/passkeys", &["own"]),
    (
        "DELETE /api/{group}/account/{id}/passkeys/{passkey}",
        &["own"],
    ),
    ("GET /api/{group}/account/{id}/devices", &["own"]),
    ("PATCH /api/{group}/account/{id}/devices/{device}", &["own"]),
    (
        "DELETE /api/{group}/account/{id}/devices/{device}",
        &["own"],
    ),
    ("GET /api/{group}/client/{id}", &["own"]),
    ("GET /api/{group}/organization/{org}/account/{id}", &["own"]),
    ("GET /api/{group}/organization/{org}/profile/{id}", &["own"]),
    (
        "GET /api/{group}/organization/{org}/products/{product}/permissions",
        &["unheld"],
    ),
    (
        "GET /api/{group}/organizations/{org}/products/{product}/roles",
        &["unheld"],
    ),
    (
        "GET /api/{group}/organizations/profiles/account/{id}",
        &["own"],
    ),
    ("GET /api/{group}/products/{id}", &["unheld"]),
    (
        "GET /api/{group}/products/{product}/permissions",
        &["unheld"],
    ),
    ("GET /api/{group}/profile/access/{id}", &["own"]),
    ("GET /api/{group}/profile/request/{id}", &["own"]),
    ("GET /api/{group}/profile/snapshot/{id}", &["own"]),
    ("GET /api/{group}/profiles/{id}", &["own"]),
    ("PATCH /api/group/{id}", &["active", "keys", "owner"]),
    (
        "PATCH /api/{group}/account/{id}",
        &["own", "own-blocked", "own-verified"],
    ),
    ("PATCH /api/{group}/organizations/{id}", &["type"]),
    ("PATCH /api/{group}/products/{id}", &["core"]),
    (
        "PATCH /api/{group}/products/{product}/roles/{id}",
        &["core"],
    ),
    ("PATCH /api/{group}/profile/request/{id}", &["own"]),
    (
        "POST /api/{group}/access/product/{product}/key/service",
        &["unheld"],
    ),
    ("POST /api/{group}/operations/client/{id}", &["own"]),
    (
        "POST /api/{group}/operations/organization/{org}/user/{id}",
        &["own"],
    ),
    ("POST /api/{group}/operations/user/{id}", &["own"]),
    (
        "POST /api/{group}/organizations/{org}/profiles/account/{id}",
        &["own"],
    ),
    ("POST /api/{group}/products", &["core"]),
    ("POST /api/{group}/products/{product}/permission", &["core"]),
    (
        "POST /api/{group}/products/{product}/permissions",
        &["core"],
    ),
    (
        "POST /api/{group}/products/{product}/roles",
        &["core", "permissions"],
    ),
    (
        "PUT /api/{group}/organizations/{org}/products/{product}/roles",
        &["unheld"],
    ),
];

/// Rows that change what the next one needs.
const IN_ORDER: &[(&str, &str)] = &[
    ("POST /api/{group}/profile", ""),
    ("GET /api/{group}/profile", ""),
    ("GET /api/{group}/profiles/{id}", "own"),
    ("PATCH /api/{group}/profile", ""),
    ("DELETE /api/{group}/profile", ""),
    ("GET /api/{group}/profile/access/{id}", "own"),
    ("DELETE /api/{group}/profile/access/{id}", "own"),
    ("POST /api/plugins/global/event-stream", ""),
    ("POST /api/plugins/global/mfa-challenge", ""),
    ("POST /api/plugins/global/webauthn", ""),
    ("POST /api/plugins/global/notifications", ""),
];

/// Rows after which the callers or the group are no longer what they were.
const AT_THE_END: &[(&str, &str)] = &[
    ("POST /api/group/{id}/alias-dns", ""),
    ("DELETE /api/group/{id}/alias-dns/{target}", ""),
    ("POST /api/{group}/operations/client/{id}", "own"),
    (
        "DELETE /api/{group}/access/organization/{org}/account/{id}",
        "own",
    ),
    ("PUT /api/{group}/account/panic", ""),
    ("DELETE /api/{group}/account/{id}", "own"),
];

fn place(list: &[(&str, &str)], row: &Row) -> Option<usize> {
    let route = row.route();
    list.iter()
        .position(|(name, variant)| *name == route && *variant == row.variant)
}

pub fn in_order(row: &Row) -> Option<usize> {
    place(IN_ORDER, row)
}

pub fn at_the_end(row: &Row) -> Option<usize> {
    place(AT_THE_END, row)
}

/// Every operation of the OpenAPI document, with its variants.
pub fn rows(document: &Value) -> Vec<Row> {
    let mut out = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            out.push(Row::new(&method.to_uppercase(), path, ""));
        }
    }
    assert!(out.len() > 180, "the document names {} routes", out.len());
    for (route, variants) in MORE {
        let of_route = |row: &&Row| row.route() == *route && row.variant.is_empty();
        let row = out.iter().find(of_route).cloned();
        let row = row.unwrap_or_else(|| panic!("{route} is not served"));
        out.extend(
            variants
                .iter()
                .map(|variant| Row::new(&row.method, &row.path, variant)),
        );
    }
    out
}
