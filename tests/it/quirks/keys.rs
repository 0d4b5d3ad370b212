//! Product keys: long-lived tokens of the services of an organization.

use reqwest::Method;
use serde_json::{Value, json};
use ueauth_actors::{Clock, SystemClock};

use super::embedded;
use crate::flow::text;
use crate::holes::{call, get, organization, role};
use crate::server::Server;
use crate::tenant::Tenant;

/// A product with a role, licensed to an organization.
struct Shop {
    tenant: Tenant,
    organization: String,
    product: String,
    role: String,
}

impl Shop {
    async fn open(server: &Server) -> Self {
        let tenant = Tenant::create(server).await;
        let (organization, _) = organization(server, &tenant, "First").await;
        let product = json!({"name": "Orders", "description": "d", "type": "app"});
        let product = tenant
            .api(server, Method::POST, "products", Some(product), 201)
            .await;
        let product = text(&product["data"]["id"]).to_owned();
        let path = format!("products/{product}/roles");
        let role = json!({"name": "Clerk", "description": "d"});
        let role = tenant
            .api(server, Method::POST, &path, Some(role), 201)
            .await;
        let role = text(&role["data"]["id"]).to_owned();
        Self {
            tenant,
            organization,
            product,
            role,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("access/product/{}/key{rest}", self.product)
    }

    async fn service(&self, server: &Server, name: &str) -> Value {
        let body = json!({
            "name": name, "organizationId": self.organization, "roles": [self.role],
        });
        let made = self
            .tenant
            .api(
                server,
                Method::POST,
                &self.path("/service"),
                Some(body),
                201,
            )
            .await;
        made["data"].clone()
    }

    async fn key(&self, server: &Server, service: &Value, name: &str) -> Value {
        let body = json!({"clientId": service["clientId"], "name": name});
        let made = self
            .tenant
            .api(server, Method::POST, &self.path(""), Some(body), 201)
            .await;
        made["data"].clone()
    }

    /// The answer to whoever asks what the key may do.
    async fn status(&self, server: &Server, key: &Value) -> u16 {
        let path = format!("/api/{}/access/validate", self.tenant.group);
        get(server, &path, text(key)).await.status
    }
}

on_both_stores! {
    /// Keys that were deleted or replaced, and those of services and organizations that are gone,
    /// work until they expire.
    async fn deleted_and_rotated_keys_go_on_working(server: Server) {
        let shop = Shop::open(&server).await;
        let (tenant, path) = (&shop.tenant, |id: &Value| shop.path(&format!("/{}", text(id))));
        let service = shop.service(&server, "One").await;
        let deleted = shop.key(&server, &service, "Deleted").await;
        let rotated = shop.key(&server, &service, "Rotated").await;
        for key in [&deleted, &rotated] {
            assert_eq!(shop.status(&server, &key["key"]).await, 200);
        }
        tenant.api(&server, Method::DELETE, &path(&deleted["id"]), None, 200).await;
        assert_eq!(shop.status(&server, &deleted["key"]).await, 401);
        let fresh = tenant.api(&server, Method::PUT, &path(&rotated["id"]), None, 200).await;
        assert_eq!(shop.status(&server, &rotated["key"]).await, 401);
        assert_eq!(shop.status(&server, &fresh["data"]["key"]).await, 200);

        let service_path = shop.path(&format!("/service/{}", text(&service["clientId"])));
        tenant.api(&server, Method::DELETE, &service_path, None, 200).await;
        assert_eq!(shop.status(&server, &fresh["data"]["key"]).await, 401);
        let left = tenant.api(&server, Method::GET, &shop.path(""), None, 200).await;
        assert_eq!(left["data"], json!([]));

        let service = shop.service(&server, "Two").await;
        let orphan = shop.key(&server, &service, "Orphan").await;
        assert_eq!(shop.status(&server, &orphan["key"]).await, 200);
        let organization = format!("organizations/{}", shop.organization);
        tenant.api(&server, Method::DELETE, &organization, None, 200).await;
        assert_eq!(shop.status(&server, &orphan["key"]).await, 401);
    }
}

/// Keys of a product, or of a client, that is gone go on working, and nobody can reach them.
#[tokio::test]
async fn keys_outlive_their_product_and_their_client() {
    let server = embedded().await;
    let shop = Shop::open(&server).await;
    let tenant = &shop.tenant;
    let [by_client, by_product] = [
        shop.service(&server, "One").await,
        shop.service(&server, "Two").await,
    ];
    let [first, second] = [
        shop.key(&server, &by_client, "First").await,
        shop.key(&server, &by_product, "Second").await,
    ];
    for key in [&first, &second] {
        assert_eq!(shop.status(&server, &key["key"]).await, 200);
    }
    let client = format!("client/{}", text(&by_client["clientId"]));
    tenant
        .api(&server, Method::DELETE, &client, None, 200)
        .await;
    assert_eq!(shop.status(&server, &first["key"]).await, 401);
    let left = tenant
        .api(&server, Method::GET, &shop.path(""), None, 200)
        .await;
    assert_eq!(left["data"].as_array().expect("keys").len(), 1, "{left}");

    let service = shop.path(&format!("/service/{}", text(&by_product["clientId"])));
    let nothing = json!({"roles": []});
    tenant
        .api(&server, Method::PUT, &service, Some(nothing), 200)
        .await;
    let role = format!("products/{}/roles/{}", shop.product, shop.role);
    tenant.api(&server, Method::DELETE, &role, None, 200).await;
    let product = format!("products/{}", shop.product);
    tenant
        .api(&server, Method::DELETE, &product, None, 200)
        .await;
    assert_eq!(shop.status(&server, &second["key"]).await, 401);
    let service = format!("client/{}", text(&by_product["clientId"]));
    tenant.api(&server, Method::GET, &service, None, 404).await;
}

/// The key is shown again in lists, or those of all products are; a body names another product.
#[tokio::test]
async fn keys_of_all_products_are_listed_and_shown() {
    let server = embedded().await;
    let shop = Shop::open(&server).await;
    let tenant = &shop.tenant;
    let service = shop.service(&server, "One").await;
    assert_eq!(service["productId"], shop.product.as_str());
    let key = shop.key(&server, &service, "Key").await;
    let other = json!({"name": "Parts", "description": "d", "type": "app"});
    let other = tenant
        .api(&server, Method::POST, "products", Some(other), 201)
        .await;
    let other = text(&other["data"]["id"]).to_owned();
    for list in ["key", "key/service"] {
        let path = format!("access/product/{other}/{list}");
        let found = tenant.api(&server, Method::GET, &path, None, 200).await;
        assert_eq!(found["data"], json!([]), "{list}");
    }
    let id = text(&key["id"]);
    for path in [shop.path(""), shop.path(&format!("/{id}"))] {
        let shown = tenant
            .api(&server, Method::GET, &path, None, 200)
            .await
            .to_string();
        assert!(
            shown.contains(id) && !shown.contains(text(&key["key"])),
            "{shown}"
        );
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let path = format!("/api/{}/access/product/{other}/key/{id}", tenant.group);
        call(&server, method, &path, &tenant.owner_token, json!({}))
            .await
            .expect(404);
    }
    // one unit for all clients: seconds
    let path = format!("client/{}", text(&service["clientId"]));
    let client = tenant.api(&server, Method::GET, &path, None, 200).await;
    let since = SystemClock.now() / 1000
        - client["data"]["client_id_issued_at"]
            .as_i64()
            .expect("a time");
    assert!((0..600).contains(&since), "{client}");
}

/// Managers of one organization give keys the rights of whoever runs the group.
#[tokio::test]
async fn managers_mint_keys_with_more_rights_than_theirs() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let (manager, product) = role(&server, &tenant, "OrgManager").await;
    let (admin, _) = role(&server, &tenant, "Admin").await;
    let all = tenant
        .api(&server, Method::GET, "organizations", None, 200)
        .await;
    let mut all = all["data"].as_array().expect("a list").iter();
    let primary = all
        .find(|one| one["core"] == true)
        .expect("the primary organization");
    let primary = text(&primary["id"]).to_owned();
    let domains = format!("organizations/{primary}/domains");
    let domains = tenant.api(&server, Method::GET, &domains, None, 200).await;
    let given = json!({"roles": [manager], "domains": [domains["data"][0]["id"]]});
    let path = format!("access/organization/{primary}/account/{}", tenant.user.id);
    tenant
        .api(&server, Method::PUT, &path, Some(given), 200)
        .await;
    let token = tenant.token_of(&server, &tenant.user).await;
    get(&server, &format!("/api/{}/accounts", tenant.group), &token)
        .await
        .expect(403);

    let keys = format!("/api/{}/access/product/{product}/key", tenant.group);
    let service = format!("{keys}/service");
    let body = |roles: Value| json!({"name": "Tool", "organizationId": primary, "roles": roles});
    call(
        &server,
        Method::POST,
        &service,
        &token,
        body(json!([admin])),
    )
    .await
    .expect(403);
    let made = call(
        &server,
        Method::POST,
        &service,
        &token,
        body(json!([manager])),
    )
    .await
    .expect(201)
    .json();
    let made = &made["data"]["clientId"];
    let roles = json!({"roles": [admin]});
    call(
        &server,
        Method::PUT,
        &format!("{service}/{}", text(made)),
        &token,
        roles.clone(),
    )
    .await
    .expect(403);
    let body = json!({"clientId": made, "name": "Key"});
    let key = call(&server, Method::POST, &keys, &token, body.clone())
        .await
        .expect(201)
        .json();
    get(
        &server,
        &format!("/api/{}/accounts", tenant.group),
        text(&key["data"]["key"]),
    )
    .await
    .expect(403);

    // not with a service either that others gave those rights
    let path = format!("access/product/{product}/key/service/{}", text(made));
    tenant
        .api(&server, Method::PUT, &path, Some(roles), 200)
        .await;
    call(&server, Method::POST, &keys, &token, body)
        .await
        .expect(403);
    let again = format!("{keys}/{}", text(&key["data"]["id"]));
    call(&server, Method::PUT, &again, &token, json!({}))
        .await
        .expect(403);
}
