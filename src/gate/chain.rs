//! Routes as data: a method, a path, the steps before the handler, the handler.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::http::Method;
use serde_json::Value as Json;

use crate::app::App;
use crate::domains::Domain;
use crate::gate::caller::Caller;
use crate::gate::enforce::Rights;
use crate::gate::{bearer, context, enforce, strategies};
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::http::request::BodyRule;
use crate::http::{ApiError, Reply, Request};
use crate::organizations::Organization;
use crate::plugins::Plugins;
use crate::products::Product;

pub type Answer = Pin<Box<dyn Future<Output = ApiResult<Reply>>>>;

/// A route and everything a request passes before its handler.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub steps: &'static [Step],
    pub handler: fn(Ctx) -> Answer,
    pub body: BodyRule,
    /// Open to everybody by design; the reason is stated where it is set.
    pub public: Option<&'static str>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path, self.steps)
    }
}

/// Builds a [`Route`]: `route!(GET "/api/{group}/accounts", [Group, Auth(BEARER), …], list)`.
#[macro_export]
macro_rules! route {
    ($method:ident $path:literal, [$($step:expr),* $(,)?], $handler:path) => {
        $crate::gate::Route {
            method: actix_web::http::Method::$method,
            path: $path,
            steps: {
                #[allow(unused_imports)]
                use $crate::gate::chain::Step::*;
                &[$($step),*]
            },
            handler: |ctx| Box::pin($handler(ctx)),
            body: $crate::http::request::API_BODY,
            public: None,
        }
    };
    ($method:ident $path:literal, [$($step:expr),* $(,)?], $handler:path, public $why:literal) => {
        $crate::gate::Route { public: Some($why), ..$crate::route!($method $path, [$($step),*], $handler) }
    };
    ($method:ident $path:literal, [$($step:expr),* $(,)?], $handler:path, body $body:expr) => {
        $crate::gate::Route { body: $body, ..$crate::route!($method $path, [$($step),*], $handler) }
    };
}

/// One step before a handler. They run from left to right; the first failure answers.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// The host is the service's, or the alias of some group.
    Host,
    /// An active group, addressed by id or alias, on a host that is its own.
    Group,
    /// A group that may still wait for activation.
    GroupEvenInactive,
    /// The root group.
    RootGroup,
    /// As `Group`, only if a bearer token is sent; a portal host names its group as well.
    GroupIfBearer,
    /// `{org}` names an organization of the group.
    Organization,
    /// `{product}` may name a product; the handler says what happens if not.
    Product,
    /// `{domain}` may name a domain of the organization.
    Domain,
    /// The body has the shape its operation asks for.
    Body(fn(&Json) -> ApiResult<()>),
    Auth(&'static [Strategy]),
    /// Compute what the caller may do.
    Rights,
    /// The caller holds a permission for one of the targets, tried as `a`, `a-b`, `a-b-c`.
    May(&'static [&'static str]),
    /// The caller holds a role of that name.
    Role(&'static str),
    /// Pages that must not be kept.
    NoCache,
    /// Notifications are on for the server and the group, else 405.
    NotificationsOn,
    /// At most so many requests of this kind from one address or for one subject.
    Limit(crate::app::LimitClass),
}

/// A way to authenticate. Those of one route are tried in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// An access token meant for this API.
    Bearer,
    /// An access token of the group for whatever audience.
    BearerAnyAudience,
    /// Name and password (RFC 7617).
    Basic,
    /// An initial access token without further proof.
    Iat,
    /// An initial access token whose `state` the body repeats.
    IatState,
    /// An initial access token mailed to an account; used up by the handler.
    IatPassword,
    /// An approved device challenge.
    Device,
    /// What a passkey answered, in the body.
    Passkey,
    /// The request's host is one of the portal's.
    AllowedHost,
    /// A bearer token if one is sent, else the host.
    BearerOrAllowedHost,
    /// Whatever creating an account in this group takes.
    CreateAccount,
    /// A bearer token, unless anybody may register groups.
    BearerUnlessOpenRegistration,
}

/// A request under way: what the steps have found out so far.
#[derive(Debug)]
pub struct Ctx {
    pub app: App,
    pub req: Request,
    pub route: &'static Route,
    pub tenant: Option<Arc<Tenant>>,
    /// The alias host of the group, if the request came in on it.
    pub custom_domain: Option<String>,
    /// `{group}` as it was typed.
    pub typed_group: String,
    pub caller: Caller,
    pub rights: Rights,
    /// The organization whose permissions count, by id.
    pub context: Option<String>,
    pub organization: Option<Organization>,
    pub product: Option<Product>,
    pub domain: Option<Domain>,
    pub no_cache: bool,
}

impl Ctx {
    pub fn new(app: App, req: Request, route: &'static Route) -> Self {
        Self {
            app,
            req,
            route,
            tenant: None,
            custom_domain: None,
            typed_group: String::new(),
            caller: Caller::Nobody,
            rights: Rights::default(),
            context: None,
            organization: None,
            product: None,
            domain: None,
            no_cache: false,
        }
    }

    /// The group of the request; the route's steps put it there.
    pub fn tenant(&self) -> ApiResult<&Arc<Tenant>> {
        self.tenant
            .as_ref()
            .ok_or_else(|| ApiError::not_implemented("authGroup is required"))
    }

    pub fn group_id(&self) -> ApiResult<&str> {
        self.tenant().map(|t| t.id())
    }

    pub fn organization(&self) -> ApiResult<&Organization> {
        self.organization
            .as_ref()
            .ok_or_else(|| ApiError::precondition_required("organization is required"))
    }

    /// The caller's id, 401 without one.
    pub fn sub(&self) -> ApiResult<&str> {
        self.caller.sub().ok_or_else(|| ApiError::unauthorized(""))
    }

    /// `{id}`, with `me` standing for the caller.
    pub fn id_or_me(&self) -> ApiResult<String> {
        match self.req.param("id")? {
            "me" => Ok(self.sub()?.to_owned()),
            id => Ok(id.to_owned()),
        }
    }

    /// Current server-wide options.
    pub async fn plugins(&self) -> ApiResult<Arc<Plugins>> {
        crate::plugins::rules::current(&self.app).await
    }

    /// The issuer of the request's group on the request's host.
    pub fn issuer(&self) -> ApiResult<String> {
        Ok(self
            .tenant()?
            .issuer(&self.app, self.custom_domain.as_deref()))
    }

    /// The client's address, for limits and records.
    pub fn peer(&self) -> String {
        self.req
            .hosts
            .peer
            .map(|ip| ip.to_string())
            .unwrap_or_default()
    }
}

/// Runs the steps, then the handler.
pub async fn run(mut ctx: Ctx) -> ApiResult<Reply> {
    for step in ctx.route.steps {
        // boxed, so that requests without steps do not carry the room for all of them
        Box::pin(pass(&mut ctx, step)).await?;
    }
    let no_cache = ctx.no_cache;
    let reply = (ctx.route.handler)(ctx).await?;
    Ok(if no_cache {
        crate::http::reply::no_cache(reply)
    } else {
        reply
    })
}

async fn pass(ctx: &mut Ctx, step: &Step) -> ApiResult<()> {
    match step {
        Step::Host => context::host(ctx).await,
        Step::Group => context::group(ctx).await,
        Step::GroupEvenInactive => context::group_even_inactive(ctx).await,
        Step::RootGroup => context::root_group(ctx).await,
        Step::GroupIfBearer => {
            if bearer::offered(&ctx.req) {
                context::group_or_portal(ctx).await
            } else {
                Ok(())
            }
        }
        Step::Organization => context::organization(ctx).await,
        Step::Product => context::product(ctx).await,
        Step::Domain => context::domain(ctx).await,
        Step::Body(check) => check(&ctx.req.json()),
        Step::Auth(list) => Box::pin(strategies::authenticate(ctx, list)).await,
        Step::Rights => enforce::compute(ctx).await,
        Step::May(targets) => enforce::may(ctx, targets),
        Step::Role(name) => enforce::role(ctx, name).await,
        Step::NoCache => {
            ctx.no_cache = true;
            Ok(())
        }
        Step::NotificationsOn => {
            crate::notifications::require_on(&ctx.app, &ctx.tenant()?.group).await?;
            Ok(())
        }
        Step::Limit(class) => ctx.app.limits.check(*class, &ctx.peer()),
    }
}
