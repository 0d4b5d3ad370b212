//! Listing, creating and deleting organizations.

use serde_json::{Map, Value as Json, json};

use crate::access::evaluate::core_products;
use crate::accounts::Account;
use crate::app::App;
use crate::clients::model::SecretView;
use crate::domains::Domain;
use crate::domains::model::DomainMeta;
use crate::gate::Ctx;
use crate::groups::Tenant;
use crate::groups::model::system_admin;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::lists;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape, decode};
use crate::organizations::{Organization, sso};
use crate::product_keys::{ProductKey, services};
use crate::products::Product;
use crate::products::model::{GROUP_ADMIN, ORG_ADMIN};
use crate::profiles::OrganizationProfile;
use crate::roles::Role;
use crate::store::{Filter, Object, Query, and, any_of, eq, ne, or};

/// What list options may name.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("name", FieldType::Text),
    ("active", FieldType::Bool),
    ("description", FieldType::Text),
    ("type", FieldType::Text),
    ("contactEmail", FieldType::Text),
    ("contactName", FieldType::Text),
    ("contactAddress", FieldType::Text),
    ("contactPhone", FieldType::Text),
    ("externalId", FieldType::Text),
    ("alias", FieldType::Text),
    ("metadata", FieldType::Open),
    ("associatedProducts", FieldType::List(&FieldType::Text)),
    ("core", FieldType::Bool),
    ("emailDomains", FieldType::List(&FieldType::Text)),
    ("access.required", FieldType::Bool),
    ("access.terms", FieldType::Text),
    ("access.termsVersion", FieldType::Text),
    ("access.disableAccessOnChange", FieldType::Bool),
    ("profileNotifications", FieldType::Bool),
    ("restrictEmailDomains", FieldType::Bool),
    ("ssoLimit", FieldType::Bool),
    ("ssoAddAccountToOrg", FieldType::Bool),
    ("ssoEmailDomain", FieldType::Text),
    ("sso.oidc.name", FieldType::Text),
    ("sso.oidc.client_id", FieldType::Text),
    ("sso.oidc.discovery_url", FieldType::Text),
    ("sso.oidc.buttonText", FieldType::Text),
    ("sso.oidc.buttonType", FieldType::Text),
    ("sso.oauth2.name", FieldType::Text),
    ("sso.oauth2.client_id", FieldType::Text),
    ("sso.oauth2.buttonText", FieldType::Text),
    ("sso.oauth2.buttonType", FieldType::Text),
    ("sso.saml.name", FieldType::Text),
    ("sso.saml.ssoLoginUrl", FieldType::Text),
    ("sso.saml.ssoLogoutUrl", FieldType::Text),
    ("sso.saml.buttonText", FieldType::Text),
    ("sso.saml.buttonType", FieldType::Text),
])
.hidden(sso::SECRETS);

/// The kinds of organizations.
pub const KINDS: &[&str] = &["customer", "external", "internal", "other"];

static ACCESS: Shape = Shape {
    required: &[],
    members: &[
        ("required", Kind::Boolean),
        ("terms", Kind::Text),
        ("termsVersion", Kind::Text),
        ("disableAccessOnChange", Kind::Boolean),
    ],
    open: true,
};

static SAML: Shape = Shape {
    required: &["name", "idpCertificates", "ssoLoginUrl", "ssoLogoutUrl"],
    members: &[
        ("name", Kind::Text),
        ("buttonText", Kind::Text),
        ("idpCertificates", Kind::TextArray),
        ("ssoLoginUrl", Kind::Text),
        ("ssoLogoutUrl", Kind::Text),
        ("idpEntityId", Kind::Text),
        ("forceLogin", Kind::Boolean),
        ("signRequest", Kind::Boolean),
        ("allowUnencryptedAssertion", Kind::Boolean),
    ],
    open: false,
};

static OIDC: Shape = Shape {
    required: &["name", "client_id", "discovery_url"],
    members: &[
        ("name", Kind::Text),
        ("buttonText", Kind::Text),
        ("PKCE", Kind::Boolean),
        ("client_id", Kind::Text),
        ("client_secret", Kind::Text),
        ("response_type", Kind::Text),
        ("grant_type", Kind::Text),
        ("discovery_url", Kind::Text),
        ("scopes", Kind::TextArray),
    ],
    open: false,
};

static OAUTH2: Shape = Shape {
    required: &[
        "name",
        "client_id",
        "accessTokenUri",
        "authorizationUri",
        "profileUri",
    ],
    members: &[
        ("name", Kind::Text),
        ("buttonText", Kind::Text),
        ("PKCE", Kind::Boolean),
        ("client_id", Kind::Text),
        ("client_secret", Kind::Text),
        ("response_type", Kind::OneOf(&["code"])),
        ("grant_type", Kind::OneOf(&["authorization_code"])),
        ("scopes", Kind::TextArray),
        ("accessTokenUri", Kind::Text),
        ("authorizationUri", Kind::Text),
        ("profileUri", Kind::Text),
    ],
    open: true,
};

static SSO: Shape = Shape {
    required: &[],
    members: &[
        ("saml", Kind::Nested(&SAML)),
        ("oidc", Kind::Nested(&OIDC)),
        ("oauth2", Kind::Nested(&OAUTH2)),
    ],
    open: true,
};

static SHAPE: Shape = Shape {
    required: &["name", "description", "contactEmail"],
    members: &[
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("externalId", Kind::Text),
        ("alias", Kind::Text),
        ("type", Kind::OneOf(KINDS)),
        ("contactName", Kind::Text),
        ("contactAddress", Kind::Text),
        ("contactPhone", Kind::Text),
        ("contactEmail", Kind::Text),
        ("restrictEmailDomains", Kind::Boolean),
        ("emailDomains", Kind::TextArray),
        ("access", Kind::Nested(&ACCESS)),
        ("profileNotifications", Kind::Boolean),
        ("ssoLimit", Kind::Boolean),
        ("ssoAddAccountToOrg", Kind::Boolean),
        ("ssoEmailDomain", Kind::Text),
        ("sso", Kind::Nested(&SSO)),
        // accepted and not kept
        ("meta", Kind::Text),
    ],
    open: false,
};

/// 400 unless the body describes a new organization.
pub fn check_body(body: &Json) -> ApiResult<()> {
    SHAPE.check(body).map(drop)
}

/// The organization that `{org}` names, as it is now: the one of the request may be from an
/// earlier moment.
pub async fn in_path(ctx: &Ctx) -> ApiResult<Option<Organization>> {
    match &ctx.organization {
        Some(found) => Ok(ctx.app.store.of::<Organization>().get(&found.id).await?),
        None => Ok(None),
    }
}

/// As [`in_path`], 404 without one; *own* callers learn no more than of one that they are not in.
pub async fn known_in_path(ctx: &Ctx) -> ApiResult<Organization> {
    if let Some(found) = in_path(ctx).await? {
        return Ok(found);
    }
    let key = ctx.req.param("org")?;
    ctx.own_organization(key)?;
    Err(ApiError::missing(key))
}

/// As [`known_in_path`]; *own* callers must belong to it.
pub async fn own_in_path(ctx: &Ctx) -> ApiResult<Organization> {
    let organization = known_in_path(ctx).await?;
    ctx.own_organization(&organization.id)?;
    Ok(organization)
}

/// The organization in the path. Callers who ask about themselves alone learn no more than of one
/// that they are not in.
pub async fn joined(
    ctx: &Ctx,
    alone: bool,
    stranger: impl FnOnce(&str) -> ApiError,
) -> ApiResult<Organization> {
    match in_path(ctx).await? {
        Some(found) => Ok(found),
        None if alone => Err(stranger(ctx.req.param("org")?)),
        None => Err(ApiError::missing(ctx.req.param("org")?)),
    }
}

/// Organizations of the group as list options ask for them.
pub async fn list(
    app: &App,
    group: &str,
    pairs: &Pairs,
    secrets: SecretView,
) -> ApiResult<Vec<Json>> {
    lists::documents::<Organization>(
        app,
        pairs,
        &FIELDS,
        lists::with_search(eq("authGroup", group), pairs),
        |o| o.public(secrets),
        |out| sso::hide(out, secrets),
    )
    .await
}

/// Stores what a body that passed [`check_body`] describes, with its administrative domain.
pub async fn create(
    app: &App,
    tenant: &Tenant,
    author: &str,
    body: &Json,
) -> ApiResult<(Organization, Domain)> {
    let group = tenant.id();
    let mut sent = body.as_object().cloned().unwrap_or_else(Map::new);
    sent.remove("meta");
    sent.insert("_id".to_owned(), app.random.uuid().into());
    sent.insert("authGroup".to_owned(), group.into());
    let mut organization: Organization = decode(Json::Object(sent))
        .map_err(|e| ApiError::validation(format!("organizations validation failed: {e}")))?;
    let now = app.date();
    organization.created_at = now;
    organization.modified_at = now;
    author.clone_into(&mut organization.created_by);
    author.clone_into(&mut organization.modified_by);
    organization.access.extra = Object::default();
    lower_alias(&mut organization);
    organization.sso = sso::prepare(app, None, organization.sso.as_ref()).await?;
    let portal = core_products(&app.store, group)
        .await?
        .into_iter()
        .find(|p| p.meta.core.as_deref() == Some(ORG_ADMIN))
        .ok_or_else(|| ApiError::internal("group without a product for its organizations"))?;
    organization.associated_products = vec![portal.id];
    check(&organization)?;
    refuse_taken(app, &organization, None).await?;
    let domain = administrative(app, tenant, &organization, author);
    // the domain first: should anything fail in between, nobody can reach it
    let domains = app.store.of::<Domain>();
    domains.insert(&domain).await?;
    if let Err(e) = app.store.of::<Organization>().insert(&organization).await {
        domains.delete(&domain.id).await?;
        return Err(e.into());
    }
    // no index holds names of several fields together: another one may have got the name meanwhile
    if let Err(e) = refuse_taken(app, &organization, None).await {
        domains.delete(&domain.id).await?;
        app.store
            .of::<Organization>()
            .delete(&organization.id)
            .await?;
        return Err(e);
    }
    Ok((organization, domain))
}

/// Gives people access to the portal where the organization is administered.
fn administrative(app: &App, tenant: &Tenant, organization: &Organization, author: &str) -> Domain {
    Domain {
        id: app.random.uuid(),
        created_at: organization.created_at,
        created_by: author.to_owned(),
        modified_at: organization.created_at,
        modified_by: system_admin(),
        auth_group: tenant.id().to_owned(),
        organization: organization.id.clone(),
        name: format!(
            "{} - {} - Administrative Domain",
            tenant.group.name, organization.name
        ),
        active: true,
        description: Some(format!(
            "Members of this domain administer '{}'. It is part of the platform: do not delete it.",
            organization.name
        )),
        associated_org_products: organization.associated_products.clone(),
        core: true,
        meta: DomainMeta {
            admin: Some(organization.id.clone()),
            extra: Object::default(),
        },
        external_id: None,
        version: 0,
        extra: Object::default(),
    }
}

/// Aliases are stored and compared in lower case.
pub fn lower_alias(organization: &mut Organization) {
    if let Some(alias) = &mut organization.alias {
        *alias = alias.to_lowercase();
    }
}

fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::validation(format!("organizations validation failed: {what}"))
}

/// What every stored organization fulfils.
pub fn check(organization: &Organization) -> ApiResult<()> {
    if organization.name.trim().is_empty() {
        return Err(invalid("name: Path `name` is required."));
    }
    if !KINDS.contains(&organization.kind.as_str()) {
        return Err(invalid(format!(
            "type: must be one of {}",
            KINDS.join(", ")
        )));
    }
    Ok(())
}

/// 400 unless all its products are the group's; the product for the administration of the group
/// is for the group's own organization alone.
pub async fn check_products(app: &App, organization: &Organization) -> ApiResult<()> {
    let products = app
        .store
        .of::<Product>()
        .find(and([
            eq("authGroup", organization.auth_group.as_str()),
            any_of("_id", organization.associated_products.clone()),
        ]))
        .await?;
    let fits = |id: &String| {
        products.iter().any(|p| {
            p.id == *id && (organization.core || p.meta.core.as_deref() != Some(GROUP_ADMIN))
        })
    };
    match organization
        .associated_products
        .iter()
        .position(|id| !fits(id))
    {
        None => Ok(()),
        Some(at) => Err(invalid(format!(
            "associatedProducts.{at}: Product does not exist or is not allowed"
        ))),
    }
}

/// 409 if a new name in a path would lead to another organization as well.
///
/// One path segment may hold an id, an external id or an alias, so they share a name space.
pub async fn refuse_taken(
    app: &App,
    organization: &Organization,
    old: Option<&Organization>,
) -> ApiResult<()> {
    let changed = |of: fn(&Organization) -> &Option<String>| {
        of(organization)
            .as_deref()
            .filter(|name| !name.is_empty() && old.and_then(|o| of(o).as_deref()) != Some(*name))
    };
    for name in [changed(|o| &o.external_id), changed(|o| &o.alias)]
        .into_iter()
        .flatten()
    {
        let filter = and([
            eq("authGroup", organization.auth_group.as_str()),
            ne("_id", organization.id.as_str()),
            or([
                eq("_id", name),
                eq("externalId", name),
                eq("alias", name.to_lowercase()),
            ]),
        ]);
        if app
            .store
            .of::<Organization>()
            .find_one(filter)
            .await?
            .is_some()
        {
            return Err(ApiError::conflict(format!(
                "Another organization of the group is addressed as {name}"
            )));
        }
    }
    Ok(())
}

/// The id and group of accounts that a filter finds, for answers that say what is in the way.
pub async fn references(app: &App, filter: Filter) -> ApiResult<Vec<Json>> {
    let query = Query::new(filter).select(["authGroup"]);
    let found = app.store.of::<Account>().find_objects(query).await?;
    Ok(found
        .iter()
        .map(|a| json!({ "id": a.get_str("_id"), "authGroup": a.get_str("authGroup") }))
        .collect())
}

/// Deletes an organization that nobody belongs to, with what only makes sense with it: its
/// domains, its own roles, what it keeps about people, and its key services.
pub async fn delete(app: &App, tenant: &Tenant, id: &str) -> ApiResult<Organization> {
    let group = tenant.id();
    let members = and([eq("authGroup", group), eq("access.organization.id", id)]);
    let members = references(app, members).await?;
    if !members.is_empty() {
        return Err(ApiError::bad_request(
            "You can not delete an organization that accounts belong to. Remove them first",
        )
        .data(members.into()));
    }
    let gone = app
        .store
        .of::<Organization>()
        .take(and([eq("_id", id), eq("authGroup", group)]))
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    let of_it = || and([eq("authGroup", group), eq("organization", id)]);
    let store = &app.store;
    // key services first: their tokens die with them
    services::delete_all(app, tenant, eq("payload.initialized_org_context", id)).await?;
    store
        .of::<ProductKey>()
        .delete_many(and([eq("authGroup", group), eq("organizationId", id)]))
        .await?;
    store
        .of::<OrganizationProfile>()
        .delete_many(of_it())
        .await?;
    store.of::<Role>().delete_many(of_it()).await?;
    store.of::<Domain>().delete_many(of_it()).await?;
    Ok(gone)
}
