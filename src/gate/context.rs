//! Which group, organization, product and domain a request is about.

use std::sync::Arc;

use crate::access::evaluate::find_organization;
use crate::domains::Domain;
use crate::gate::chain::Ctx;
use crate::groups::{Tenant, names};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::products::Product;
use crate::store::{and, eq};

/// What the organization context is when none can be found.
const MEMBER: &str = "member";

fn not_found() -> ApiError {
    ApiError::not_implemented("auth group not found")
}

fn unrecognized(ctx: &Ctx, group: &str) -> ApiError {
    let hosts = &ctx.req.hosts;
    let path = ctx.req.path();
    let below = if path == "/" {
        path
    } else {
        crate::oidc::params::below_group(path)
    };
    ApiError::not_implemented(format!(
        "Request from unrecognized DNS: {} (header value - {}) - group: {group} - {} - {below}",
        hosts.effective,
        hosts.header,
        ctx.req.method(),
    ))
}

fn on_service_host(ctx: &Ctx) -> bool {
    ctx.req
        .hosts
        .effective
        .eq_ignore_ascii_case(ctx.app.settings.service_host())
}

/// The service's host passes; an alias host selects its group.
pub async fn host(ctx: &mut Ctx) -> ApiResult<()> {
    if on_service_host(ctx) {
        return Ok(());
    }
    let name = ctx.req.hosts.effective.clone();
    if let Some(tenant) = ctx.app.tenants.by_host(&ctx.app, &name).await? {
        ctx.tenant = Some(tenant);
        ctx.custom_domain = Some(name);
        Ok(())
    } else {
        let first = ctx
            .req
            .path()
            .split('/')
            .nth(1)
            .filter(|s| !s.is_empty())
            .unwrap_or("undefined")
            .to_owned();
        Err(unrecognized(ctx, &first))
    }
}

/// `{group}` as typed, or the group the path is about anyway.
fn wanted(ctx: &Ctx) -> String {
    let path = ctx.route.path;
    if path.starts_with("/api/plugins/") {
        return "root".to_owned();
    }
    if path.starts_with("/api/group/")
        && let Some(id) = ctx.req.try_param("id")
    {
        return id.to_owned();
    }
    ctx.req.try_param("group").unwrap_or_default().to_owned()
}

fn check_name(ctx: &Ctx, name: &str) -> ApiResult<()> {
    if name.is_empty() {
        return Err(ApiError::not_implemented("authGroup is required"));
    }
    if names::is_protected(name) {
        let path = ctx.req.path();
        let below = path
            .get(..4)
            .filter(|p| p.eq_ignore_ascii_case("/api"))
            .map_or(path, |_| path.get(4..).unwrap_or_default());
        return Err(ApiError::not_implemented(format!(
            "Group id/alias attempted was '{name}' with path: {below}"
        )));
    }
    Ok(())
}

pub async fn group(ctx: &mut Ctx) -> ApiResult<()> {
    let name = wanted(ctx);
    resolve(ctx, name).await
}

/// As [`group`], for names that may also be the host of a group's portal.
pub async fn group_or_portal(ctx: &mut Ctx) -> ApiResult<()> {
    let mut name = wanted(ctx);
    if ctx.app.tenants.active(&ctx.app, &name).await?.is_none()
        && let Ok(found) = crate::groups::rules::find_public(&ctx.app, &name).await
    {
        name = found.id;
    }
    resolve(ctx, name).await
}

pub async fn root_group(ctx: &mut Ctx) -> ApiResult<()> {
    resolve(ctx, "root".to_owned()).await
}

async fn resolve(ctx: &mut Ctx, name: String) -> ApiResult<()> {
    check_name(ctx, &name)?;
    let tenant = ctx
        .app
        .tenants
        .active(&ctx.app, &name)
        .await?
        .ok_or_else(not_found)?;
    ctx.custom_domain = None;
    if !on_service_host(ctx) {
        if tenant.group.alias_dns_oidc.as_deref() != Some(ctx.req.hosts.effective.as_str()) {
            return Err(unrecognized(ctx, tenant.id()));
        }
        ctx.custom_domain = Some(ctx.req.hosts.effective.clone());
    }
    ctx.typed_group = name;
    ctx.tenant = Some(Arc::clone(&tenant));
    organization_context(ctx, &tenant).await
}

pub async fn group_even_inactive(ctx: &mut Ctx) -> ApiResult<()> {
    let name = ctx.req.try_param("group").unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(ApiError::precondition_required("authGroup is required"));
    }
    check_name(ctx, &name)?;
    let tenant = ctx
        .app
        .tenants
        .find(&ctx.app, &name)
        .await?
        .ok_or_else(not_found)?;
    ctx.typed_group = name;
    ctx.tenant = Some(tenant);
    Ok(())
}

/// Decides whose permissions count. 424 if the group has no primary organization.
pub async fn organization_context(ctx: &mut Ctx, tenant: &Arc<Tenant>) -> ApiResult<()> {
    if ctx.route.path.contains("swagger") {
        return Ok(());
    }
    let core = tenant.core(&ctx.app.store).await?.ok_or_else(|| {
        ApiError::failed_dependency(
            "Primary Org for this AuthGroup was not identified. Contact the admin.",
        )
    })?;
    let itself = ctx.route.path == "/api/{group}/organizations/{id}";
    let wanted = if itself {
        ctx.req.try_param("id").map(ToOwned::to_owned)
    } else {
        ctx.req
            .try_param("org")
            .or_else(|| ctx.req.header("x-org-context").filter(|h| !h.is_empty()))
            .map(ToOwned::to_owned)
    };
    let Some(key) = wanted else {
        ctx.context = Some(core.organization.id.clone());
        return Ok(());
    };
    let found = if key == core.organization.id {
        Some(core.organization.clone())
    } else {
        find_organization(&ctx.app.store, tenant.id(), &key).await?
    };
    ctx.context = Some(
        found
            .as_ref()
            .map_or_else(|| MEMBER.to_owned(), |o| o.id.clone()),
    );
    if itself || ctx.req.try_param("org").is_some() {
        ctx.organization = found;
    }
    Ok(())
}

/// `{org}` must exist, by whichever of its names it was addressed.
pub async fn organization(ctx: &mut Ctx) -> ApiResult<()> {
    if ctx.organization.is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "id requested was {}",
        ctx.req.param("org")?
    )))
}

pub async fn product(ctx: &mut Ctx) -> ApiResult<()> {
    let key = ctx.req.param("product")?.to_owned();
    let group = ctx.group_id()?.to_owned();
    ctx.product = find_product(ctx, &group, &key).await?;
    Ok(())
}

/// A product of the group by id or coded id.
pub async fn find_product(ctx: &Ctx, group: &str, key: &str) -> ApiResult<Option<Product>> {
    let products = ctx.app.store.of::<Product>();
    if let Some(found) = products.get(key).await?.filter(|p| p.auth_group == group) {
        return Ok(Some(found));
    }
    Ok(products
        .find_one(and([eq("codedId", key), eq("authGroup", group)]))
        .await?)
}

pub async fn domain(ctx: &mut Ctx) -> ApiResult<()> {
    let key = ctx.req.param("domain")?.to_owned();
    let organization = ctx.organization()?.id.clone();
    let group = ctx.group_id()?.to_owned();
    ctx.domain = ctx
        .app
        .store
        .of::<Domain>()
        .get(&key)
        .await?
        .filter(|d| d.auth_group == group && d.organization == organization);
    Ok(())
}

/// The group of a provider path: by alias host, else by the first segment. It must be active.
pub async fn provider(ctx: &mut Ctx) -> ApiResult<()> {
    host(ctx).await?;
    let name = ctx.req.try_param("group").unwrap_or_default().to_owned();
    if names::is_protected(&name) {
        return Err(ApiError::not_found(format!(
            "Path not found - {}",
            ctx.req.path()
        )));
    }
    let tenant = match ctx.tenant.take() {
        Some(tenant) => tenant,
        None => ctx
            .app
            .tenants
            .find(&ctx.app, &name)
            .await?
            .ok_or_else(|| {
                let below = crate::oidc::params::below_group(ctx.req.path());
                ApiError::not_implemented(format!(
                    "Group id/alias attempted was '{name}' with path: {below}"
                ))
            })?,
    };
    if !tenant.group.active {
        return Err(not_found());
    }
    // the segment goes into cookies and addresses; on an alias host anything may stand there
    let plain = !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'));
    ctx.typed_group = if plain { name } else { tenant.id().to_owned() };
    ctx.tenant = Some(tenant);
    Ok(())
}
