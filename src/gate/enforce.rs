//! What a caller may do: rights from the token, compared exactly with what the route asks for.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::http::Method;
use serde_json::Value as Json;

use crate::access::{AccessFilter, ClientGrants, UserGrants};
use crate::gate::caller::{Caller, Claims};
use crate::gate::chain::Ctx;
use crate::groups::tenant::Core;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::products::Product;
use crate::roles::Role;
use crate::store::{and, eq, or};

/// The organization context nobody has chosen.
const MEMBER: &str = "member";

/// A permission as held: `<code>:::<target>::<action>[:own]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Held {
    pub code: String,
    pub target: String,
    pub action: String,
    pub own: bool,
    /// Comes from the primary organization or from membership, so it counts in every organization.
    pub anywhere: bool,
}

impl Held {
    fn parse(text: &str, anywhere: bool) -> Option<Self> {
        let (code, rest) = text.split_once(":::")?;
        let (target, action) = rest.split_once("::")?;
        let (action, own) = match action.strip_suffix(":own") {
            Some(action) => (action, true),
            None => (action, false),
        };
        Some(Self {
            code: code.to_owned(),
            target: target.to_lowercase(),
            action: action.to_lowercase(),
            own,
            anywhere,
        })
    }
}

/// Rights of the caller in the request's group.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    computed: bool,
    /// The route is open to the caller only for what is its own.
    pub own: bool,
    /// A person of the root group.
    pub root_user: bool,
    /// A client of the root group.
    pub root_client: bool,
    pub member: bool,
    pub owner: bool,
    /// Organizations the caller belongs to.
    pub organizations: Vec<String>,
    pub products: Vec<String>,
    pub roles: Vec<String>,
    pub permissions: Vec<Held>,
    pub core: Option<Arc<Core>>,
    /// Core products held under any organization of the token.
    pub core_products_anywhere: Vec<String>,
}

impl Rights {
    /// Person or client of the root group.
    pub fn is_root(&self) -> bool {
        self.root_user || self.root_client
    }

    /// Holds `target::action` on a core product; `own` permissions count too.
    pub fn holds(&self, target: &str, action: &str) -> bool {
        self.permissions
            .iter()
            .any(|p| p.target == target && p.action == action && self.is_core(p))
    }

    fn is_core(&self, p: &Held) -> bool {
        self.core.as_ref().is_some_and(|c| c.is_core_code(&p.code))
    }
}

fn words(value: Option<&Json>) -> Vec<String> {
    value
        .and_then(Json::as_str)
        .map(|s| s.split_whitespace().map(ToOwned::to_owned).collect())
        .unwrap_or_default()
}

/// The claims of the token, with access computed afresh where the token only points to it.
pub async fn access_claims(ctx: &Ctx, claims: &Claims) -> ApiResult<Claims> {
    if !claims.contains_key("x-access-url") {
        return Ok(claims.clone());
    }
    let mut out = claims.clone();
    match &ctx.caller {
        Caller::User(user) => {
            let grants = UserGrants::load(
                &ctx.app.store,
                &user.tenant.group,
                &user.account,
                &AccessFilter::default(),
            )
            .await?;
            let m = grants.minimized();
            out.insert("x-access-group".into(), grants.group_claim().into());
            for (claim, member) in [
                ("x-access-organizations", "orgs"),
                ("x-access-domains", "domains"),
                ("x-access-products", "products"),
                ("x-access-roles", "productRoles"),
                ("x-access-permissions", "permissions"),
            ] {
                if let Some(value) = m.get(member) {
                    out.insert(claim.into(), value.clone());
                }
            }
        }
        Caller::Client(client) => {
            let grants =
                ClientGrants::load(&ctx.app.store, client.tenant.id(), &client.client).await?;
            out.insert("x-access-group".into(), MEMBER.into());
            out.insert("x-access-roles".into(), grants.roles_claim().into());
            out.insert(
                "x-access-permissions".into(),
                grants.permissions_claim().into(),
            );
            out.insert(
                "x-access-products".into(),
                grants.product.unwrap_or_default().into(),
            );
        }
        _ => {}
    }
    Ok(out)
}

pub async fn compute(ctx: &mut Ctx) -> ApiResult<()> {
    let (Some(tenant), Some(subject), Some(claims)) = (
        ctx.tenant.clone(),
        ctx.caller.tenant().cloned(),
        ctx.caller.claims().cloned(),
    ) else {
        return Ok(());
    };
    let core = tenant
        .core(&ctx.app.store)
        .await?
        .ok_or_else(|| ApiError::internal("group without core objects"))?;
    let primary = core.organization.id.clone();
    let claims = access_claims(ctx, &claims).await?;
    let is_client = ctx.caller.is_client();
    let stated = claims
        .get("x-organization-context")
        .and_then(Json::as_str)
        .map(ToOwned::to_owned);
    if let Some(stated) = &stated {
        ctx.context = Some(stated.clone());
    }
    let context = ctx.context.clone().unwrap_or_else(|| primary.clone());
    let here = subject.id() == tenant.id();
    let group_access = if here || subject.is_root() {
        words(claims.get("x-access-group"))
    } else {
        Vec::new()
    };
    let mut rights = Rights {
        computed: true,
        member: group_access.iter().any(|g| g == MEMBER),
        owner: group_access.iter().any(|g| g == "owner"),
        root_user: subject.is_root() && !is_client,
        root_client: subject.is_root() && is_client,
        core: Some(Arc::clone(&core)),
        ..Rights::default()
    };
    if is_client {
        // a client belongs to an organization only if its token says so
        rights.organizations = stated.into_iter().collect();
        rights.products = words(claims.get("x-access-products"));
        rights.roles = words(claims.get("x-access-roles"));
        rights.permissions = words(claims.get("x-access-permissions"))
            .iter()
            .filter_map(|p| Held::parse(p, false))
            .collect();
    } else {
        rights.organizations = words(claims.get("x-access-organizations"));
        if let Caller::User(user) = &ctx.caller {
            // whoever was taken out of one acts for it no more, whatever an older token says
            let entries = &user.account.access;
            let still = |id: &String| entries.iter().any(|e| e.organization.id == *id);
            rights.organizations.retain(still);
        }
        let in_org = |claim: &str, org: &str| -> Vec<String> {
            if rights.organizations.iter().any(|o| o == org) {
                words(claims.get(claim).and_then(|v| v.get(org)))
            } else {
                Vec::new()
            }
        };
        let both = |claim: &str| -> Vec<String> {
            let mut out = in_org(claim, &context);
            if context != primary {
                out.extend(in_org(claim, &primary));
            }
            out
        };
        let products: Vec<String> = both("x-access-products")
            .iter()
            .map(|p| p.split(',').next().unwrap_or_default().to_owned())
            .collect();
        let roles = both("x-access-roles");
        let mut permissions: Vec<Held> = in_org("x-access-permissions", &context)
            .iter()
            .filter_map(|p| Held::parse(p, context == primary))
            .collect();
        if context != primary {
            permissions.extend(
                in_org("x-access-permissions", &primary)
                    .iter()
                    .filter_map(|p| Held::parse(p, true)),
            );
        }
        if rights.member {
            let own = words(
                claims
                    .get("x-access-permissions")
                    .and_then(|v| v.get(MEMBER)),
            );
            permissions.extend(own.iter().filter_map(|p| Held::parse(p, true)));
        }
        rights.core_products_anywhere = claims
            .get("x-access-products")
            .and_then(Json::as_object)
            .map(|m| m.values().flat_map(|v| words(Some(v))).collect::<Vec<_>>())
            .unwrap_or_default()
            .iter()
            .filter_map(|p| p.split(',').next())
            .filter(|id| core.products.iter().any(|c| c.id == *id))
            .map(ToOwned::to_owned)
            .collect();
        rights.products = products;
        rights.roles = roles;
        rights.permissions = permissions;
        if !subject.is_root() {
            let member_code = format!("{}-{MEMBER}", tenant.id());
            rights
                .permissions
                .retain(|p| core.is_core_code(&p.code) || p.code == member_code);
            rights
                .roles
                .retain(|r| r.split("::").any(|part| core.is_core_code(part)));
        }
    }
    if rights.root_client {
        // a service client of root may do in every tenant what its roles say
        let held = rights.permissions.clone();
        for product in &core.products {
            rights.permissions.extend(held.iter().map(|p| Held {
                code: product.coded_id.clone(),
                ..p.clone()
            }));
        }
    }
    let mut seen = HashSet::new();
    rights.permissions.retain(|p| seen.insert(p.clone()));
    ctx.context = Some(context);
    ctx.rights = rights;
    Ok(())
}

fn action(method: &Method) -> Option<&'static str> {
    match *method {
        Method::POST => Some("create"),
        Method::GET | Method::HEAD => Some("read"),
        Method::PUT | Method::PATCH => Some("update"),
        Method::DELETE => Some("delete"),
        _ => None,
    }
}

fn denied() -> ApiError {
    ApiError::forbidden("")
}

/// No permission at all, in the words that clients know.
fn no_permission() -> ApiError {
    ApiError::forbidden("You do not have the right permissions")
}

/// Permissions for the target and action that count where the request acts: those of another
/// organization than the one in the path do not.
fn held<'c>(ctx: &'c Ctx, target: &'c str, action: &'c str) -> impl Iterator<Item = &'c Held> + 'c {
    let elsewhere = ctx
        .organization
        .as_ref()
        .is_some_and(|o| ctx.context.as_deref() != Some(o.id.as_str()));
    ctx.rights
        .permissions
        .iter()
        .filter(move |p| p.target == target && p.action == action && (!elsewhere || p.anywhere))
}

/// May the caller act on one of the targets? Sets [`Rights::own`] if only on what is its own.
pub fn may(ctx: &mut Ctx, targets: &[&str]) -> ApiResult<()> {
    let tenant = Arc::clone(ctx.tenant()?);
    match &ctx.caller {
        Caller::Nobody
            if ctx.route.path == "/api/group" && ctx.app.settings.groups.open_registration =>
        {
            return Ok(());
        }
        Caller::Nobody => return Err(ApiError::unauthorized("")),
        Caller::OpenRegistration => {
            return if tenant.group.locked {
                Err(ApiError::unauthorized(""))
            } else {
                Ok(())
            };
        }
        Caller::Activation { .. } => return Ok(()),
        // the mailed token is good for its own account's password and for nothing else
        Caller::Account(a) if a.iat.is_some() && ctx.route.path == "/api/{group}/account/{id}" => {
            ctx.rights.own = true;
            return Ok(());
        }
        _ => {}
    }
    if !ctx.rights.computed {
        return Err(ApiError::unauthorized(""));
    }
    if ctx.rights.root_user {
        let harmless = matches!(*ctx.req.method(), Method::GET | Method::HEAD | Method::POST);
        let allowed = ctx.app.settings.security.root_full_control
            || ctx.route.path.starts_with("/api/plugins/")
            || harmless;
        return if allowed {
            Ok(())
        } else {
            Err(no_permission())
        };
    }
    if ctx.caller.sub() == Some(tenant.group.owner.as_str()) {
        return Ok(());
    }
    if !ctx.rights.member || ctx.context.is_none() {
        return Err(no_permission());
    }
    let action = action(ctx.req.method())
        .ok_or_else(|| ApiError::switched_off(ctx.req.method().as_str()))?;
    let member_code = format!("{}-{MEMBER}", tenant.id());
    // membership of others is not a member's own business; only leaving is
    let without_member = targets == ["accounts", "organization"]
        && action != "read"
        && ctx.req.try_param("id").is_none();
    let mut target = String::new();
    for part in targets {
        if !target.is_empty() {
            target.push('-');
        }
        target.push_str(&part.to_lowercase());
        let matches: Vec<&Held> = held(ctx, &target, action)
            .filter(|p| ctx.rights.is_core(p) || (p.code == member_code && !without_member))
            .collect();
        if !matches.is_empty() {
            let own = matches.iter().all(|p| p.own);
            ctx.rights.own = own;
            return Ok(());
        }
    }
    Err(no_permission())
}

/// The caller holds a role of that name, or is a person of the root group.
pub async fn role(ctx: &mut Ctx, name: &str) -> ApiResult<()> {
    if matches!(ctx.caller, Caller::Nobody) {
        return Err(ApiError::unauthorized(""));
    }
    if !ctx.rights.computed {
        return Err(denied());
    }
    if ctx.rights.root_user {
        return if ctx.app.settings.security.root_full_control {
            Ok(())
        } else {
            Err(ApiError::unauthorized(""))
        };
    }
    if !ctx.rights.member {
        return Err(denied());
    }
    let group = match ctx.caller.tenant() {
        Some(subject) if ctx.rights.root_client => subject.id().to_owned(),
        _ => ctx.group_id()?.to_owned(),
    };
    for held in &ctx.rights.roles {
        let parts: Vec<&str> = held.split("::").collect();
        let [.., product, code] = parts.as_slice() else {
            continue;
        };
        let either = |field: &'static str, value: &str| or([eq("_id", value), eq(field, value)]);
        let Some(product) = ctx
            .app
            .store
            .of::<Product>()
            .find_one(and([
                eq("authGroup", group.as_str()),
                either("codedId", product),
            ]))
            .await?
        else {
            continue;
        };
        let found = ctx
            .app
            .store
            .of::<Role>()
            .find_one(and([
                eq("authGroup", group.as_str()),
                eq("product", product.id.as_str()),
                either("codedId", code),
            ]))
            .await?;
        if found.is_some_and(|r| r.name == name) {
            return Ok(());
        }
    }
    Err(denied())
}

impl Ctx {
    /// Holds `target::action` on a core product where the request acts; `own` ones count too.
    pub fn holds_here(&self, target: &str, action: &str) -> bool {
        held(self, target, action).any(|p| self.rights.is_core(p))
    }

    /// May do it to everybody's, not only to what is the caller's own.
    pub fn holds_fully_here(&self, target: &str, action: &str) -> bool {
        let root = self.rights.root_user && self.app.settings.security.root_full_control;
        let owner = self
            .tenant
            .as_ref()
            .is_some_and(|t| self.caller.sub() == Some(t.group.owner.as_str()));
        root || owner || held(self, target, action).any(|p| !p.own && self.rights.is_core(p))
    }

    /// *Own* callers may touch only the record that is theirs; to them others do not exist.
    pub fn own_record(&self, id: &str) -> ApiResult<()> {
        if !self.rights.own {
            return Ok(());
        }
        let sub = self.caller.sub().ok_or_else(denied)?;
        if sub == id {
            Ok(())
        } else {
            Err(ApiError::not_found(id))
        }
    }

    /// *Own* callers may act only in organizations they belong to.
    pub fn own_organization(&self, id: &str) -> ApiResult<()> {
        if !self.rights.own || self.rights.organizations.iter().any(|o| o == id) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// *Own* callers may act only on products they have.
    pub fn own_product(&self, id: &str) -> ApiResult<()> {
        if !self.rights.own || self.rights.products.iter().any(|p| p == id) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// Not for *own* callers.
    pub fn not_own(&self) -> ApiResult<()> {
        if self.rights.own {
            Err(denied())
        } else {
            Ok(())
        }
    }

    /// People and clients of the root group only.
    pub fn root_only(&self) -> ApiResult<()> {
        if self.rights.is_root() {
            Ok(())
        } else {
            Err(denied())
        }
    }
}
