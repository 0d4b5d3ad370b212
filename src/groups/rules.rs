//! What groups look like to clients, which names are free, and lists and numbers about them.

use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::gate::enforce::Rights;
use crate::groups::bootstrap::ROOT;
use crate::groups::model::KeyView;
use crate::groups::{AuthGroup, Tenant, federation, names};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::odata::{self, FieldType, Fields};
use crate::http::request::Pairs;
use crate::organizations::Organization;
use crate::products::Product;
use crate::store::{
    Filter, Query, StoreError, and, elem, ends_with, eq, exists, ne, or, starts_with,
};

/// What lists of groups may be filtered, sorted and cut by.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("securityExpiration", FieldType::Date),
    ("active", FieldType::Bool),
    ("owner", FieldType::Text),
    ("prettyName", FieldType::Text),
    ("name", FieldType::Text),
    ("metadata", FieldType::Open),
    ("primaryDomain", FieldType::Text),
    ("primaryTOS", FieldType::Text),
    ("primaryPrivacyPolicy", FieldType::Text),
    ("registerUrl", FieldType::Text),
    ("primaryEmail", FieldType::Text),
    ("aliasDnsUi", FieldType::Text),
    ("aliasDnsOIDC", FieldType::Text),
    ("locked", FieldType::Bool),
    ("associatedClient", FieldType::Text),
    ("config.requireVerified", FieldType::Bool),
    ("config.autoVerify", FieldType::Bool),
    ("config.passwordLessSupport", FieldType::Bool),
    ("config.centralPasswordReset", FieldType::Bool),
    ("config.restrictPasswordRepeats", FieldType::Bool),
    ("config.pkceRequired", FieldType::Bool),
    ("config.deviceFlow", FieldType::Bool),
    ("config.scopes", FieldType::List(&FieldType::Text)),
    ("config.mfaChallenge.enable", FieldType::Bool),
    ("config.mfaChallenge.required", FieldType::Bool),
    ("config.mfaChallenge.type", FieldType::Text),
    ("config.mfaChallenge.numberMatching", FieldType::Bool),
    ("pluginOptions.externalStreaming.enabled", FieldType::Bool),
    ("pluginOptions.notification.enabled", FieldType::Bool),
    ("pluginOptions.webAuthN.enable", FieldType::Bool),
])
.hidden(&[
    "config.keys",
    "config.retiredKeys",
    "config.cookieKeys",
    "config.federate",
    "config.mfaChallenge.meta",
    "pluginOptions.webAuthN.meta",
]);

/// The group as an answer carries it: no secrets, with the return addresses of connections.
pub fn view(app: &App, group: &AuthGroup, keys: KeyView) -> Json {
    let mut out = group.public(keys);
    federation::present(app, group, &mut out);
    out
}

/// Could a new group have that alias? The first start may still take `root`.
pub async fn is_available(app: &App, name: &str) -> Result<bool, StoreError> {
    if names::is_reserved(name) && !name.eq_ignore_ascii_case(ROOT) {
        return Ok(false);
    }
    Ok(!is_taken(app, name, None).await?)
}

/// Does a group other than `except` have the alias, in whatever letter case, or the id?
pub async fn is_taken(app: &App, name: &str, except: Option<&str>) -> Result<bool, StoreError> {
    let groups = app.store.of::<AuthGroup>();
    let alike = Query::new(and([
        starts_with("prettyName", name),
        ends_with("prettyName", name),
    ]))
    .select(["prettyName"]);
    let found = groups.find_objects(alike).await?;
    let by_alias = found.iter().any(|g| {
        g.get_str("prettyName")
            .is_some_and(|p| p.eq_ignore_ascii_case(name))
            && g.get_str("_id") != except
    });
    Ok(by_alias
        || groups
            .get(name)
            .await?
            .is_some_and(|g| Some(g.id.as_str()) != except))
}

/// Changes an active group in one piece, 404 if there is none. `by` becomes its last author.
pub async fn change(
    app: &App,
    id: &str,
    by: &str,
    f: impl Fn(&mut AuthGroup) -> ApiResult<()> + Send + Sync,
) -> ApiResult<AuthGroup> {
    let now = app.date();
    let changed = app
        .store
        .of::<AuthGroup>()
        .update(id, |group: &mut AuthGroup| {
            if !group.active {
                return Err(ApiError::missing(id));
            }
            f(group)?;
            group.modified_at = now;
            by.clone_into(&mut group.modified_by);
            Ok(())
        })
        .await;
    app.tenants.changed(id);
    changed?.ok_or_else(|| ApiError::missing(id))
}

/// The active group with that id, alias (exact before any case) or portal host.
pub async fn find_public(app: &App, name: &str) -> ApiResult<AuthGroup> {
    if let Some(tenant) = app.tenants.active(app, name).await? {
        return Ok(tenant.group.clone());
    }
    let lower = name.to_lowercase();
    app.store
        .of::<AuthGroup>()
        .find_one(and([
            eq("active", true),
            or([
                eq("prettyName", lower.as_str()),
                eq("aliasDnsUi", lower.as_str()),
            ]),
        ]))
        .await?
        .ok_or_else(|| ApiError::not_found(name))
}

/// What anybody may know about a group.
pub fn facts(group: &AuthGroup, searched: &str) -> Map<String, Json> {
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.into());
        }
    };
    put("searched", Some(searched));
    put("group", Some(&group.pretty_name));
    put("groupId", Some(&group.id));
    put("name", Some(&group.name));
    put("id", group.associated_client.as_deref());
    let host = |alias: &Option<String>| alias.clone().filter(|a| !a.is_empty());
    put("preferredHost", host(&group.alias_dns_ui).as_deref());
    put("preferredOP", host(&group.alias_dns_oidc).as_deref());
    out
}

/// What a caller with a token may know in addition.
pub fn details(group: &AuthGroup) -> Json {
    let mut out = json!({
        "config": { "ui": group.config.ui },
        "mfaChallenge": {
            "enable": group.config.mfa_challenge.enable,
            "required": group.config.mfa_challenge.required,
        },
        "locked": group.locked,
    });
    if let Some(map) = out.as_object_mut() {
        for (name, value) in [
            ("primaryDomain", &group.primary_domain),
            ("primaryTOS", &group.primary_tos),
            ("primaryPrivacyPolicy", &group.primary_privacy_policy),
            ("registerUrl", &group.register_url),
            ("primaryEmail", &group.primary_email),
            ("aliasDnsUi", &group.alias_dns_ui),
            ("aliasDnsOIDC", &group.alias_dns_oidc),
        ] {
            if let Some(value) = value {
                map.insert(name.to_owned(), value.clone().into());
            }
        }
    }
    out
}

/// The core objects, for root and for callers who hold a core product.
pub fn core_facts(tenant: &Tenant, rights: &Rights) -> Option<Json> {
    let core = rights.core.as_ref()?;
    let holds = !rights.core_products_anywhere.is_empty()
        || rights
            .products
            .iter()
            .any(|id| core.products.iter().any(|p| p.id == *id));
    if !holds && !rights.is_root() {
        return None;
    }
    let organization = &core.organization;
    let mut out = json!({
        "group": tenant.id(),
        "products": core.products.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(),
        "productCodedIds": core.products.iter().map(|p| p.coded_id.as_str()).collect::<Vec<_>>(),
        "org": {
            "id": organization.id,
            "name": organization.name,
            "description": organization.description,
            "contact": organization.contact_email,
        },
    });
    if let (Some(domain), Some(map)) = (&core.domain, out.as_object_mut()) {
        map.insert("primaryDomain".to_owned(), domain.clone().into());
    }
    Some(out)
}

/// Groups of the whole service, as the list options say.
pub async fn list(app: &App, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let options = odata::parse(pairs, &FIELDS).map_err(|e| bad_options(pairs, &e))?;
    let options = options.cap(app.settings.limits.list_maximum);
    let select = options.select.clone();
    let found = app
        .store
        .of::<AuthGroup>()
        .find(options.into_query(Filter::All))
        .await?;
    Ok(found
        .iter()
        .map(|group| {
            let mut out = group.public(KeyView::Hidden);
            federation::present(app, group, &mut out);
            match &select {
                Some(paths) => project(&out, paths),
                None => out,
            }
        })
        .collect())
}

fn bad_options(pairs: &Pairs, cause: &odata::ODataError) -> ApiError {
    let sent: Map<String, Json> = pairs
        .iter()
        .filter(|(name, _)| name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    ApiError::bad_request(odata::BAD_OPTIONS)
        .data(Json::Object(sent))
        .with("reason", cause.to_string())
}

/// The id and what lies at the dotted paths.
fn project(document: &Json, paths: &[String]) -> Json {
    let mut out = Map::new();
    if let Some(id) = document.get("id") {
        out.insert("id".to_owned(), id.clone());
    }
    for path in paths {
        let parts: Vec<&str> = path.split('.').collect();
        if let Some(value) = parts.iter().try_fold(document, |v, part| v.get(part)) {
            put(&mut out, &parts, value);
        }
    }
    Json::Object(out)
}

fn put(into: &mut Map<String, Json>, path: &[&str], value: &Json) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        into.insert((*first).to_owned(), value.clone());
        return;
    }
    let inner = into
        .entry((*first).to_owned())
        .or_insert_with(|| Json::Object(Map::new()));
    if let Some(inner) = inner.as_object_mut() {
        put(inner, rest, value);
    }
}

/// `{activeUsers, b2bUsers, products, organizations}`.
pub async fn usage(app: &App, group: &str) -> ApiResult<Json> {
    let (accounts, products, organizations) = (
        app.store.of::<Account>(),
        app.store.of::<Product>(),
        app.store.of::<Organization>(),
    );
    let in_group = || eq("authGroup", group);
    let active = || and([in_group(), eq("active", true), ne("blocked", true)]);
    let business = active().and(or([
        elem("access", exists("organization.id", true)),
        eq("mfa.enabled", true),
    ]));
    let (users, business, products, organizations) = tokio::try_join!(
        accounts.count(active()),
        accounts.count(business),
        products.count(in_group()),
        organizations.count(in_group()),
    )?;
    Ok(json!({
        "activeUsers": users,
        "b2bUsers": business,
        "products": products,
        "organizations": organizations,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_keeps_the_id_and_the_nesting() {
        let document =
            json!({ "id": "1", "name": "n", "config": { "a": 1, "b": { "c": 2, "d": 3 } } });
        let paths = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            project(&document, &paths(&["config.a", "config.b.c", "nothing"])),
            json!({ "id": "1", "config": { "a": 1, "b": { "c": 2 } } })
        );
        assert_eq!(project(&document, &[]), json!({ "id": "1" }));
    }
}
