//! What guards each route, read from the route tables; and which parts know nothing of the rooms.

use std::collections::BTreeSet;
use std::path::Path;

use ueauth::gate::{Route, Step, Strategy};
use ueauth::serve::all_routes;

/// Routes under `/api` that take a bearer token and decide otherwise than by a permission in
/// front of their handler, and why.
const WITHOUT_PERMISSION: &[(&str, &str)] = &[
    (
        "GET /api/account/groups",
        "asks for people of the root group in the handler; others learn nothing",
    ),
    (
        "POST /api/group",
        "asks for the permission in the handler, unless anybody may register groups",
    ),
    (
        "GET /api/group-info/{group}",
        "public facts; what else is shown depends on the rights computed before",
    ),
    (
        "GET /api/{group}/access/organization/{org}/account/{id}",
        "people may read what they were given; the handler asks for the permission of others",
    ),
    (
        "GET /api/{group}/access/validate",
        "tells the bearer what the token allows",
    ),
    (
        "POST /api/{group}/account",
        "asks for the permission in the handler, once the group's state is known",
    ),
    (
        "PUT /api/{group}/account/panic",
        "locks the caller's own account",
    ),
    (
        "GET /api/{group}/checkforupdates",
        "tells a member a version number",
    ),
    (
        "POST /api/{group}/mfa/instructions",
        "sets up the caller's own device",
    ),
    (
        "POST /api/{group}/mfa/proof",
        "shows that the caller's own device works",
    ),
    (
        "GET /api/{group}/organization/{org}/profile/{id}",
        "people may read what is kept about them; the handler asks for the permission of others",
    ),
    (
        "POST /api/{group}/organizations/{org}/profiles/account/{id}",
        "people decide on their own; the handler asks for the permission of others",
    ),
    ("DELETE /api/{group}/profile", "the caller's own profile"),
    ("GET /api/{group}/profile", "the caller's own profile"),
    ("PATCH /api/{group}/profile", "the caller's own profile"),
    ("POST /api/{group}/profile", "the caller's own profile"),
    (
        "DELETE /api/{group}/profile/access/{id}",
        "of the caller, who gives or was given access",
    ),
    (
        "GET /api/{group}/profile/access/{id}",
        "of the caller, who gives or was given access",
    ),
    (
        "GET /api/{group}/profile/accesses/{gor}",
        "of the caller, who gives or was given access",
    ),
    (
        "POST /api/{group}/profile/request/{account_id}",
        "of the caller, who asks or is asked",
    ),
    (
        "DELETE /api/{group}/profile/request/{id}",
        "of the caller, who asks or is asked",
    ),
    (
        "GET /api/{group}/profile/request/{id}",
        "of the caller, who asks or is asked",
    ),
    (
        "PATCH /api/{group}/profile/request/{id}",
        "of the caller, who asks or is asked",
    ),
    (
        "GET /api/{group}/profile/requests/{sor}",
        "of the caller, who asks or is asked",
    ),
    (
        "DELETE /api/{group}/profile/snapshot/{id}",
        "of the caller, who gives or was given access",
    ),
    (
        "GET /api/{group}/profile/snapshot/{id}",
        "of the caller, who gives or was given access",
    ),
    (
        "GET /api/{group}/profiles",
        "people of the root group only, which the handler sees to",
    ),
    (
        "GET /api/{group}/profiles/{id}",
        "of the caller, who gives or was given access",
    ),
    (
        "POST /api/{group}/setpass",
        "changes the caller's own password",
    ),
    (
        "POST /api/{group}/webauthn/bind",
        "makes a passkey for the caller",
    ),
    (
        "POST /api/{group}/webauthn/finish",
        "makes a passkey for the caller",
    ),
];

fn assert_same(found: &BTreeSet<String>, listed: &BTreeSet<String>, what: &str) {
    let new: Vec<_> = found.difference(listed).collect();
    let gone: Vec<_> = listed.difference(found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "these routes are now {what}: {new:#?}; these are not any more: {gone:#?}"
    );
}

fn name(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

fn strategies(route: &Route) -> Vec<Strategy> {
    let lists = route.steps.iter().filter_map(|step| match step {
        Step::Auth(list) => Some(list.iter().copied()),
        _ => None,
    });
    lists.flatten().collect()
}

fn takes_bearer(route: &Route) -> bool {
    strategies(route).iter().any(|strategy| {
        matches!(
            strategy,
            Strategy::Bearer
                | Strategy::BearerAnyAudience
                | Strategy::BearerOrAllowedHost
                | Strategy::BearerUnlessOpenRegistration
                | Strategy::CreateAccount
        )
    })
}

/// Authentication, then the computed rights, then the rule about them: in this order.
fn is_ruled(route: &Route) -> bool {
    let at = |wanted: fn(&Step) -> bool| route.steps.iter().position(wanted);
    let authentication = at(|step| matches!(step, Step::Auth(_)));
    let rights = at(|step| matches!(step, Step::Rights));
    let rule = at(|step| matches!(step, Step::May(_) | Step::Role(_)));
    match (authentication, rights, rule) {
        (Some(authentication), Some(rights), Some(rule)) => {
            authentication < rights && rights < rule
        }
        _ => false,
    }
}

#[test]
fn every_route_authenticates_or_says_why_not() {
    let faults: Vec<_> = all_routes()
        .into_iter()
        .filter(|route| strategies(route).is_empty() == route.public.is_none())
        .map(name)
        .collect();
    assert!(faults.is_empty(), "neither or both: {faults:#?}");
}

#[test]
fn every_api_route_with_a_token_asks_for_a_permission() {
    let unruled: BTreeSet<_> = all_routes()
        .into_iter()
        .filter(|route| route.path.starts_with("/api/") && takes_bearer(route) && !is_ruled(route))
        .map(name)
        .collect();
    let listed: BTreeSet<_> = WITHOUT_PERMISSION
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_same(&unruled, &listed, "without a permission");
}

#[test]
fn every_permission_rule_stands_behind_authentication() {
    let faults: Vec<_> = all_routes()
        .into_iter()
        .filter(|route| {
            route
                .steps
                .iter()
                .any(|step| matches!(step, Step::May(_) | Step::Role(_)))
        })
        .filter(|route| !is_ruled(route))
        .map(name)
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_public_routes_are_the_known_ones() {
    let found: BTreeSet<_> = all_routes()
        .into_iter()
        .filter_map(|route| route.public.map(|why| format!("{}: {why}", name(route))))
        .collect();
    for line in &found {
        println!("{line}");
    }
    let known = include_str!("public-routes.txt")
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    assert_same(
        &found,
        &known,
        "public; review them, then change tests/it/public-routes.txt",
    );
}

#[test]
fn no_route_is_listed_twice() {
    let mut seen = BTreeSet::new();
    for route in all_routes() {
        assert!(seen.insert(name(route)), "{}", name(route));
    }
}

/// Store, HTTP and signatures serve the rooms and know none of them.
#[test]
fn the_foundations_import_no_room() {
    // `app` may be named in `http` for what handlers hand on: the store and the settings
    let allowed: [(&str, &[&str]); 3] = [
        ("store", &["store", "number"]),
        ("http", &["http", "store", "secrets", "number", "app"]),
        ("jose", &["jose", "number"]),
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (part, may) in allowed {
        let mut files = rust_files(&source.join(part));
        assert!(!files.is_empty(), "src/{part} has moved");
        files.extend(Some(source.join(format!("{part}.rs"))).filter(|file| file.exists()));
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source file");
            for module in text.split("crate::").skip(1) {
                let module = module
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default();
                if !may.contains(&module) {
                    faults.push(format!("{}: crate::{module}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
