//! What a client may do for itself: roles of one product.

use serde_json::{Value as Json, json};

use crate::access::members::texts;
use crate::clients::{Client, rules as clients};
use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, Reply, reply};
use crate::permissions::rules::of_product;
use crate::products::Product;
use crate::roles::Role;
use crate::route;
use crate::store::{StoreError, and, any_of, eq, or};

const TYPE: &str = "Clients";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/access/client/{id}", [Group, Auth(BEARER), Rights, May(&["clientAccess"])], read),
    route!(PUT "/api/{group}/access/client/{id}/product/{product}", [Group, Auth(BEARER), Body(check_body), Rights, May(&["clientAccess"]), Product], define),
    route!(DELETE "/api/{group}/access/client/{id}/product/{product}", [Group, Auth(BEARER), Rights, May(&["clientAccess"]), Product], remove),
];

fn shown(client: &Client) -> Json {
    let access = client
        .access
        .as_ref()
        .map_or_else(|| json!({}), |a| json!(a));
    json!({ "id": client.id, "authGroup": client.payload.auth_group, "access": access })
}

async fn named(ctx: &Ctx) -> ApiResult<Client> {
    let id = ctx.req.param("id")?;
    clients::stored(&ctx.app, ctx.tenant()?, id)
        .await?
        .ok_or_else(|| ApiError::missing(id))
}

/// `GET …/access/client/{id}`
async fn read(ctx: Ctx) -> ApiResult<Reply> {
    reply::ok(TYPE, shown(&named(&ctx).await?))
}

static BODY: Shape = Shape {
    required: &[],
    members: &[("roles", Kind::TextArray)],
    open: false,
};

/// 400 unless the body has `roles`, a list of ids or coded ids, or nothing.
pub fn check_body(body: &Json) -> ApiResult<()> {
    BODY.check(body).map(drop)
}

/// 428 unless all are roles of the product. One organization's role is for that organization's
/// clients; who may act on everything may give it to others too.
pub async fn check_roles(
    ctx: &Ctx,
    client: &Client,
    product: &Product,
    wanted: &[String],
) -> ApiResult<()> {
    let named = or([
        any_of("_id", wanted.to_vec()),
        any_of("codedId", wanted.to_vec()),
    ]);
    let mut found = ctx
        .app
        .store
        .of::<Role>()
        .find(of_product(product).and(named))
        .await?;
    if ctx.rights.own {
        let home = &client.payload.initialized_org_context;
        found.retain(|r| r.organization.is_none() || r.organization == *home);
    }
    let missing: Vec<String> = wanted
        .iter()
        .filter(|key| !found.iter().any(|r| r.id == **key || r.coded_id == **key))
        .map(|key| format!("role not found: {key}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = "One or more of the roles specified do not exist";
    Err(ApiError::precondition_required(message).data(json!(missing)))
}

/// `PUT …/access/client/{id}/product/{product}`: replaces what the client may do.
async fn define(ctx: Ctx) -> ApiResult<Reply> {
    let product = ctx
        .product
        .as_ref()
        .ok_or_else(|| ApiError::not_found("Product specified does not exist"))?;
    let client = named(&ctx).await?;
    let roles = texts(ctx.req.json().get("roles")).unwrap_or_default();
    check_roles(&ctx, &client, product, &roles).await?;
    let tenant = ctx.tenant()?;
    let changed = ctx
        .app
        .store
        .of::<Client>()
        .update_where(
            and([eq("_id", client.id.as_str()), clients::of_group(tenant)]),
            |c| {
                let access = c.access.get_or_insert_default();
                access.product = Some(product.id.clone());
                access.roles.clone_from(&roles);
                Ok::<_, StoreError>(())
            },
        )
        .await?
        .ok_or_else(|| ApiError::missing(&client.id))?;
    ctx.app.clients.changed(&client.id);
    clients::associate(&ctx.app, tenant, &product.id, &client.id).await?;
    reply::ok(TYPE, shown(&changed))
}

/// `DELETE …/access/client/{id}/product/{product}`: only if its access is to that product.
async fn remove(ctx: Ctx) -> ApiResult<Reply> {
    let client = named(&ctx).await?;
    let key = ctx.req.param("product")?;
    // a product that is gone can still be named by the id that the client kept
    let product = ctx.product.as_ref().map_or(key, |p| p.id.as_str());
    let changed = ctx
        .app
        .store
        .of::<Client>()
        .update_where(
            and([
                eq("_id", client.id.as_str()),
                clients::of_group(ctx.tenant()?),
                eq("access.product", product),
            ]),
            |c| {
                let access = c.access.get_or_insert_default();
                access.product = None;
                access.roles.clear();
                Ok::<_, StoreError>(())
            },
        )
        .await?
        .ok_or_else(|| ApiError::missing(key))?;
    ctx.app.clients.changed(&client.id);
    reply::ok(TYPE, shown(&changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::tests::{World, world};

    async fn with_client() -> World {
        let w = world().await;
        for (id, group) in [("c1", "g1"), ("c2", "rg")] {
            let payload = json!({ "auth_group": group, "client_id": id, "client_name": id });
            w.put::<Client>(json!({ "_id": id, "payload": payload }))
                .await;
        }
        w.role("clerk", "shop", json!({})).await;
        w.role("elsewhere", "portal", json!({})).await;
        w
    }

    #[actix_web::test]
    async fn access_counts_at_once_and_goes_as_it_came() {
        let w = with_client().await;
        let tenant = w.app.tenants.find(&w.app, "g1").await.unwrap().unwrap();
        let held = async || {
            let found = clients::find(&w.app, &tenant, "c1").await.unwrap().unwrap();
            found.access.clone().map(|a| a.roles).unwrap_or_default()
        };
        assert!(held().await.is_empty());
        let (status, answer) = w.ask("owner", "GET /access/client/c1").await;
        assert_eq!(
            (status, &answer["data"]),
            (200, &json!({ "id": "c1", "authGroup": "g1", "access": {} }))
        );
        let roles = json!({ "roles": ["c-clerk"] });
        let put = "PUT /access/client/c1/product/ShopCode01";
        let (status, answer) = w.call("owner", put, roles).await;
        assert_eq!(
            (status, &answer["data"]["access"]),
            (200, &json!({ "product": "shop", "roles": ["c-clerk"] }))
        );
        assert_eq!(held().await, ["c-clerk"]);
        let product = w.get::<Product>("shop").await.unwrap();
        assert_eq!(product.associated_clients, ["long gone", "c1"]);
        let wrong = w.ask("owner", "DELETE /access/client/c1/product/portal");
        assert_eq!(wrong.await.0, 404);
        assert_eq!(held().await, ["c-clerk"]);
        let (status, answer) = w
            .ask("owner", "DELETE /access/client/c1/product/shop")
            .await;
        assert_eq!(
            (status, &answer["data"]["access"]),
            (200, &json!({ "roles": [] }))
        );
        assert!(held().await.is_empty());
    }

    #[actix_web::test]
    async fn hole_only_roles_of_the_product_and_clients_of_the_group() {
        let w = with_client().await;
        let put =
            |path: &'static str, roles: Json| w.call("owner", path, json!({ "roles": roles }));
        let shop = "PUT /access/client/c1/product/shop";
        for wrong in [
            json!(["clerk", { "$ne": null }]),
            json!({ "$ne": null }),
            json!("clerk"),
        ] {
            assert_eq!(put(shop, wrong).await.0, 400);
        }
        let (status, answer) = put(shop, json!(["clerk", "elsewhere"])).await;
        assert_eq!(
            (status, &answer["data"]),
            (428, &json!(["role not found: elsewhere"]))
        );
        let foreign = put("PUT /access/client/c2/product/shop", json!(["clerk"]));
        assert_eq!(foreign.await.0, 404);
        let (status, answer) = put("PUT /access/client/c1/product/nope", json!([])).await;
        assert_eq!(
            (status, &answer["message"]),
            (404, &json!("Product specified does not exist"))
        );
        assert_eq!(w.ask("owner", "GET /access/client/c2").await.0, 404);
        let gone = w.ask("owner", "DELETE /access/client/c2/product/shop");
        assert_eq!(gone.await.0, 404);
        assert!(w.get::<Client>("c1").await.unwrap().access.is_none());
    }

    #[actix_web::test]
    async fn hole_own_callers_can_not_hand_out_an_organizations_role() {
        let w = with_client().await;
        let custom = json!({ "organization": "acme", "custom": true });
        w.role("agent", "shop", custom).await;
        let rights = "AdminCode1:::clientaccess::update:own";
        w.person("g1", "ada", json!({ "core": [rights, "shop"] }))
            .await;
        let put = "PUT /access/client/c1/product/shop";
        let body = json!({ "roles": ["agent"] });
        assert_eq!(w.call("ada", put, body.clone()).await.0, 428);
        assert_eq!(w.call("owner", put, body).await.0, 200);
        w.person("g1", "bob", json!({})).await;
        assert_eq!(w.call("bob", put, json!({ "roles": [] })).await.0, 403);
    }
}
