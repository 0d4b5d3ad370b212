//! Clients over the API: list, read, delete, rotate credentials. Registering is the provider's.

use serde_json::{Map, Value as Json};

use crate::clients::model::SecretView;
use crate::clients::rules;
use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::odata::{self, FieldType, Fields};
use crate::http::{ApiError, Reply, reply};
use crate::route;
use crate::store::{Object, text, to_json};

use super::Client;

const KIND: &str = "Clients";

/// Routes of the clients of a group.
pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/clients", [Group, Auth(&[Strategy::Bearer]), Rights, May(&["clients"])], list),
    route!(GET "/api/{group}/client/{id}", [Group, Auth(&[Strategy::Bearer]), Rights, May(&["clients"])], read),
    route!(DELETE "/api/{group}/client/{id}", [Group, Auth(&[Strategy::Bearer]), Rights, May(&["clients"])], delete),
    route!(POST "/api/{group}/operations/client/{id}",
        [Group, Auth(&[Strategy::Bearer]), Body(crate::groups::routes::check_operation), Rights, May(&["operations", "client"])],
        operate),
];

const TEXTS: FieldType = FieldType::List(&FieldType::Text);

/// What lists may filter, sort and select by.
const FIELDS: Fields = Fields::new(&[
    ("access_token_signed_response_alg", FieldType::Text),
    ("application_type", FieldType::Text),
    ("associated_product", FieldType::Text),
    ("auth_group", FieldType::Text),
    ("backchannel_logout_session_required", FieldType::Bool),
    ("backchannel_logout_uri", FieldType::Text),
    ("client_allow_org_federation", FieldType::Bool),
    ("client_allow_org_self_identify", FieldType::Bool),
    ("client_federation_options", TEXTS),
    ("client_id", FieldType::Text),
    ("client_id_issued_at", FieldType::Number),
    ("client_label", FieldType::Text),
    ("client_name", FieldType::Text),
    ("client_only_passwordless", FieldType::Bool),
    ("client_optional_skip_logout_prompt", FieldType::Bool),
    ("client_secret_expires_at", FieldType::Number),
    ("client_skip_consent", FieldType::Bool),
    ("client_skip_to_federated", FieldType::Open),
    ("client_uri", FieldType::Text),
    ("contacts", TEXTS),
    ("default_acr_values", TEXTS),
    ("default_max_age", FieldType::Number),
    ("dynamic_scope", FieldType::Text),
    ("grant_types", TEXTS),
    ("id_token_encrypted_response_alg", FieldType::Text),
    ("id_token_encrypted_response_enc", FieldType::Text),
    ("id_token_signed_response_alg", FieldType::Text),
    ("initialized_org_context", FieldType::Text),
    ("initiate_login_uri", FieldType::Text),
    ("introspection_endpoint_auth_method", FieldType::Text),
    ("introspection_endpoint_auth_signing_alg", FieldType::Text),
    ("jwks", FieldType::Open),
    ("jwks_uri", FieldType::Text),
    ("logo_uri", FieldType::Text),
    ("policy_uri", FieldType::Text),
    ("post_logout_redirect_uris", TEXTS),
    ("redirect_uris", TEXTS),
    ("register_url", FieldType::Open),
    ("request_object_encryption_alg", FieldType::Text),
    ("request_object_encryption_enc", FieldType::Text),
    ("request_object_signing_alg", FieldType::Text),
    ("request_uris", TEXTS),
    ("require_auth_time", FieldType::Bool),
    ("require_signed_request_object", FieldType::Bool),
    ("response_types", TEXTS),
    ("revocation_endpoint_auth_method", FieldType::Text),
    ("revocation_endpoint_auth_signing_alg", FieldType::Text),
    ("scope", FieldType::Text),
    ("subject_type", FieldType::Text),
    ("token_endpoint_auth_method", FieldType::Text),
    ("token_endpoint_auth_signing_alg", FieldType::Text),
    ("tos_uri", FieldType::Text),
])
.prefix("payload.");

/// Stored metadata as it is listed: without the secret, with the access if there is any.
fn listed(document: &Object) -> Json {
    let mut out = match document.get("payload").map(to_json) {
        Some(Json::Object(map)) => map,
        _ => Map::new(),
    };
    out.remove("client_secret");
    if let Some(access) = document.get("access").map(to_json) {
        out.insert("access".to_owned(), access);
    }
    Json::Object(out)
}

/// The clients of the group; `search` looks for words in names and ids.
pub async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let options = odata::parse(&ctx.req.query, &FIELDS).map_err(|e| {
        let sent: Map<String, Json> = ctx
            .req
            .query
            .iter()
            .filter(|(name, _)| name != "access_token")
            .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
            .collect();
        ApiError::bad_request(odata::BAD_OPTIONS)
            .data(Json::Object(sent))
            .with("reason", e.to_string())
    })?;
    let mut base = rules::of_group(ctx.tenant()?);
    if let Some(words) = ctx.req.query("search") {
        base = base.and(text(words));
    }
    let query = options
        .cap(ctx.app.settings.limits.list_maximum)
        .into_query(base);
    let found = ctx.app.store.of::<Client>().find_objects(query).await?;
    reply::ok(KIND, found.iter().map(listed).collect::<Vec<_>>())
}

/// One client, without its secret. *Own* callers see themselves.
pub async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    ctx.own_record(id)?;
    let found = rules::find(&ctx.app, ctx.tenant()?, id)
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    reply::ok(KIND, found.public(SecretView::Hidden))
}

/// Deletes a client and answers what it was.
pub async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let id = ctx.req.param("id")?;
    let tenant = ctx.tenant()?;
    rules::not_primary(
        tenant,
        id,
        "You can not delete your Auth Group primary client",
    )?;
    let gone = rules::remove(&ctx.app, tenant, id)
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    reply::ok(KIND, gone.public(SecretView::Hidden))
}

/// Replaces a credential of the client. The answer is the only place where it is shown.
pub async fn operate(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    ctx.own_record(id)?;
    let tenant = ctx.tenant()?;
    let missing = || ApiError::missing(id);
    let done = match ctx.req.field("operation") {
        Some("rotate_secret") => {
            let client = rules::rotate_secret(&ctx.app, tenant, id)
                .await?
                .ok_or_else(missing)?;
            reply::ok(KIND, client.public(SecretView::Shown))
        }
        Some("rotate_registration_access_token") => {
            let token = rules::rotate_registration_token(&ctx.app, tenant, id)
                .await?
                .ok_or_else(missing)?;
            reply::ok(KIND, token)
        }
        _ => Err(ApiError::bad_request("Unknown operation")),
    };
    done.map(reply::no_store)
}
