//! The server's own OpenAPI document, made from the route tables.

use serde_json::{Map, Value as Json, json};

use crate::gate::{Route, Step, Strategy};
use crate::groups::Tenant;
use crate::serve::all_routes;

/// Operations that only the operator of the whole service has use for.
const OPERATOR: &[&str] = &[
    "/api/init",
    "/api/group",
    "/api/group/{id}",
    "/api/group/{id}/alias-dns",
    "/api/group/{id}/alias-dns/{target}",
    "/api/group-info/{group}",
    "/api/groups",
    "/api/groupcheck/{prettyName}",
    "/api/{group}/checkforupdates",
    "/api/{group}/updatecore",
];

/// `clean` leaves out what is for the operator and what is no API.
pub fn document(server: &str, tenant: Option<&Tenant>, clean: bool) -> Json {
    let mut paths = Map::new();
    for route in all_routes() {
        if clean
            && (OPERATOR.contains(&route.path)
                || route.path.starts_with("/api/plugins/")
                || !route.path.starts_with("/api/"))
        {
            continue;
        }
        let path = match tenant {
            Some(t) => route.path.replace("{group}", t.id()),
            None => route.path.to_owned(),
        };
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(map) = entry.as_object_mut() {
            map.insert(
                route.method.as_str().to_ascii_lowercase(),
                operation(route, tenant.is_some()),
            );
        }
    }
    let discovery = match tenant {
        Some(t) => format!("{server}/{}/.well-known/openid-configuration", t.id()),
        None => format!("{server}/{{group}}/.well-known/openid-configuration"),
    };
    let description = match tenant {
        Some(t) => format!(
            "# {} ({})\n\nIdentity and access of this group.",
            t.group.name,
            t.id()
        ),
        None => "Identity and access for many groups of users.".to_owned(),
    };
    let logo = tenant.and_then(|t| {
        t.group
            .config
            .ui
            .skin
            .logo
            .clone()
            .or_else(|| t.group.config.ui.skin.splash_image.clone())
    });
    json!({
        "openapi": "3.0.0",
        "info": {
            "title": crate::site::NAME,
            "version": env!("CARGO_PKG_VERSION"),
            "description": description,
            "x-logo": { "url": logo.unwrap_or_else(|| format!("{server}/logo.png")) },
        },
        "servers": [{ "url": server }],
        "paths": paths,
        "components": { "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer" },
            "basic": { "type": "http", "scheme": "basic" },
            "openId": { "type": "openIdConnect", "openIdConnectUrl": discovery },
        }},
    })
}

fn operation(route: &Route, group_fixed: bool) -> Json {
    let parameters: Vec<Json> = route
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{').and_then(|s| s.strip_suffix('}')))
        .filter(|name| !(group_fixed && *name == "group"))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut out = json!({
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": { "default": { "description": "The result, or an error with `error`, `message` and `id`." } },
    });
    let security = security(route);
    if let Some(map) = out.as_object_mut() {
        if !security.is_empty() {
            map.insert("security".into(), security.into());
        }
        if matches!(route.method.as_str(), "POST" | "PUT" | "PATCH") {
            let content = if route.path.starts_with("/api/") {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            map.insert(
                "requestBody".into(),
                json!({ "content": { content: { "schema": {} } } }),
            );
        }
    }
    out
}

fn operation_id(route: &Route) -> String {
    let words: Vec<String> = route
        .path
        .split(['/', '-', '.'])
        .filter(|s| !s.is_empty() && *s != "api" && *s != "{group}")
        .map(|s| {
            let s = s.trim_matches(['{', '}']);
            let mut chars = s.chars();
            chars
                .next()
                .map(|c| c.to_ascii_uppercase().to_string() + chars.as_str())
                .unwrap_or_default()
        })
        .collect();
    format!(
        "{}{}",
        route.method.as_str().to_ascii_lowercase(),
        words.concat()
    )
}

fn security(route: &Route) -> Vec<Json> {
    let mut out = Vec::new();
    for step in route.steps {
        let Step::Auth(list) = step else { continue };
        for strategy in *list {
            let scheme = match strategy {
                Strategy::Basic => json!({ "basic": [] }),
                Strategy::AllowedHost | Strategy::Device => continue,
                _ => json!({ "bearer": [] }),
            };
            if !out.contains(&scheme) {
                out.push(scheme);
            }
        }
    }
    out
}
