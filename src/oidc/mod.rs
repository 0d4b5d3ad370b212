//! The OpenID provider of a group: one file per endpoint, each a visible list of checks.

pub mod acr;
pub mod authorize;
pub mod claims;
pub mod client_auth;
pub mod discovery;
pub mod errors;
pub mod grants;
pub mod id_token;
pub mod initial_access;
pub mod introspection;
pub mod issue;
pub mod journal;
pub mod logout;
pub mod metadata;
pub mod params;
pub mod prompts;
pub mod records;
pub mod registration;
pub mod replay;
pub mod respond;
pub mod resume;
pub mod revocation;
pub mod scopes;
pub mod sessions;
pub mod token;
pub mod userinfo;

use crate::gate::Route;
use crate::http::request::OIDC_BODY;
use crate::route;

/// The provider's endpoints below `/{group}`; the group is resolved before their steps run.
pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/.well-known/openid-configuration", [], discovery::configuration, public "discovery is read before any credential exists"),
    route!(GET "/{group}/jwks", [], discovery::jwks, public "public keys"),
    route!(GET "/{group}/auth", [], authorize::authorize, public "authenticates by session cookie or by the login pages"),
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/auth", [], authorize::authorize, public "authenticates by session cookie or by the login pages")
    },
    route!(GET "/{group}/auth/{uid}", [], resume::resume, public "authenticates by the signed resume cookie"),
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/token", [], token::token, public "authenticates the client itself")
    },
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/token/introspection", [], introspection::introspect, public "authenticates the client itself")
    },
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/token/revocation", [], revocation::revoke, public "authenticates the client itself")
    },
    route!(GET "/{group}/me", [], userinfo::userinfo, public "takes an access token of the provider"),
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/me", [], userinfo::userinfo, public "takes an access token of the provider")
    },
    route!(GET "/{group}/session/end", [], logout::end, public "authenticates by session cookie"),
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/session/end", [], logout::end, public "authenticates by session cookie")
    },
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/session/end/confirm", [], logout::confirm, public "authenticates by session cookie and form token")
    },
    route!(GET "/{group}/session/end/success", [], logout::success, public "shows that logging out worked"),
];
