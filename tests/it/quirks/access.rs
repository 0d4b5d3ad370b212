//! Rights: where they come from and where they end.

use reqwest::Method;
use serde_json::{Value, json};
use ueauth::oidc::records::{AuthorizationCode, Record, RefreshToken};
use ueauth::store::{Store as Documents, StoreError};

use super::embedded;
use crate::answer::{send, to};
use crate::flow::{Flow, claims, parameter, text};
use crate::holes::{
    at_provider, behind_its_back, call, client_token, get, give_client, organization, role,
};
use crate::server::{Server, Store};
use crate::tenant::Tenant;
use crate::visitor::Visitor;

/// The word for no organization is taken for one, and other names of an organization for none.
#[tokio::test]
async fn there_is_an_organization_called_member() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let (id, domain) = organization(&server, &tenant, "First").await;
    let names = json!([
        {"op": "add", "path": "/externalId", "value": "crm-1"}, {"op": "add", "path": "/alias", "value": "first"},
    ]);
    tenant
        .api(
            &server,
            Method::PATCH,
            &format!("organizations/{id}"),
            Some(names),
            200,
        )
        .await;
    let group = &tenant.group;
    let member = tenant.token_of(&server, &tenant.user).await;
    for unknown in ["member", "nothing"] {
        for path in [
            format!("/api/{group}/organizations/{unknown}/domains"),
            format!("/api/{group}/organization/{unknown}/accounts"),
            format!("/api/{group}/organization/{unknown}/products"),
            format!("/api/{group}/organization/{unknown}/profiles"),
            format!("/api/{group}/organization/{unknown}/roles"),
        ] {
            get(&server, &path, &tenant.owner_token).await.expect(404);
            get(&server, &path, &member).await.expect(403);
        }
    }
    for name in [id.as_str(), "crm-1", "FIRST"] {
        let path = format!("/api/{group}/organizations/{name}/domains");
        let found = get(&server, &path, &tenant.owner_token)
            .await
            .expect(200)
            .json();
        assert_eq!(found["data"][0]["id"], domain.as_str());
    }
}

/// A product that calls its permissions as the API does opens the API.
#[tokio::test]
async fn permissions_of_other_products_open_the_api() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let (id, domain) = organization(&server, &tenant, "First").await;
    let product = json!({"name": "Orders", "description": "d", "type": "app"});
    let product = tenant
        .api(&server, Method::POST, "products", Some(product), 201)
        .await;
    let product = text(&product["data"]["id"]).to_owned();
    let license = json!([{"op": "add", "path": "/associatedProducts/-", "value": product}]);
    tenant
        .api(
            &server,
            Method::PATCH,
            &format!("organizations/{id}"),
            Some(license),
            200,
        )
        .await;
    let mut held = Vec::new();
    for target in ["accounts", "organizations", "clients", "roles", "group"] {
        for action in ["read", "update", "create", "delete"] {
            held.push(json!({"target": target, "action": action}));
        }
    }
    let path = format!("products/{product}/permissions");
    let made = tenant
        .api(&server, Method::POST, &path, Some(json!(held)), 200)
        .await;
    let made = made["data"].as_array().expect("a list").iter();
    let held: Vec<_> = made
        .map(|one| format!("{} {}", text(&one["id"]), text(&one["coded"])))
        .collect();
    let path = format!("products/{product}/roles");
    let all = json!({"name": "All", "description": "d"});
    let all = tenant
        .api(&server, Method::POST, &path, Some(all), 201)
        .await;
    let all = text(&all["data"]["id"]).to_owned();
    let patch = json!([{"op": "replace", "path": "/permissions", "value": held}]);
    tenant
        .api(
            &server,
            Method::PATCH,
            &format!("{path}/{all}"),
            Some(patch),
            200,
        )
        .await;

    let path = format!("access/organization/{id}/account/{}", tenant.user.id);
    let given = json!({"roles": [all], "domains": [domain]});
    tenant
        .api(&server, Method::PUT, &path, Some(given), 200)
        .await;
    let client = tenant.web_client(json!({})).await;
    give_client(&server, &tenant, &client, (&all, &product)).await;
    let person = tenant.token_of(&server, &tenant.user).await;
    let service = client_token(&server, &tenant, &client, None, &tenant.issuer).await;
    for token in [&person, &service] {
        let shown = claims(&json!(token));
        assert!(
            shown["x-access-permissions"]
                .to_string()
                .contains("accounts::read"),
            "{shown}"
        );
        for path in ["accounts", "organizations", "clients", "roles"] {
            get(&server, &format!("/api/{}/{path}", tenant.group), token)
                .await
                .expect(403);
            let request = to(
                &server,
                Method::GET,
                &format!("/api/{}/{path}", tenant.group),
            );
            send(request.bearer_auth(token).header("x-org-context", &id))
                .await
                .expect(403);
        }
        get(&server, &format!("/api/group/{}", tenant.group), token)
            .await
            .expect(403);
    }
}

/// Tokens that only point to their access open nothing, or break the server.
#[tokio::test]
async fn tokens_that_point_to_their_access_fail() {
    let settings = [("limits.access_object_bytes", "100")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let (admin, product) = role(&server, &tenant, "Admin").await;
    let client = tenant.web_client(json!({})).await;
    give_client(&server, &tenant, &client, (&admin, &product)).await;
    let service = client_token(&server, &tenant, &client, None, &tenant.issuer).await;
    let member = tenant.token_of(&server, &tenant.user).await;
    for (token, accounts) in [(&service, 200), (&tenant.owner_token, 200), (&member, 403)] {
        let shown = claims(&json!(token));
        assert!(shown["x-access-url"].is_string(), "{shown}");
        assert!(shown["x-access-permissions"].is_null(), "{shown}");
        get(&server, &format!("/api/{}/accounts", tenant.group), token)
            .await
            .expect(accounts);
    }
    get(
        &server,
        &format!("/api/{}/account/me", tenant.group),
        &member,
    )
    .await
    .expect(200);
    let path = format!(
        "access/client/{}/product/{product}",
        text(&client["client_id"])
    );
    tenant.api(&server, Method::DELETE, &path, None, 200).await;
    get(
        &server,
        &format!("/api/{}/accounts", tenant.group),
        &service,
    )
    .await
    .expect(403);
}

/// Where several filters are asked for, the address of what a token may do is broken.
#[tokio::test]
async fn the_address_of_access_loses_filters() {
    let settings = [("limits.access_object_bytes", "10")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let (first, domain) = organization(&server, &tenant, "First").await;
    let (second, _) = organization(&server, &tenant, "Second").await;
    for organization in [&first, &second] {
        let path = format!(
            "access/organization/{organization}/account/{}",
            tenant.user.id
        );
        let nothing = Some(json!({"roles": [], "domains": []}));
        tenant.api(&server, Method::PUT, &path, nothing, 200).await;
    }
    let (_, product) = role(&server, &tenant, "Admin").await;
    let client = tenant.web_client(json!({})).await;
    let flow = Flow::new(
        &tenant.issuer,
        &client,
        &[("scope", "openid access"), ("resource", &tenant.issuer)],
    );
    let back = Visitor::new(&server)
        .authorize(&flow.url, &tenant.user.email, &tenant.user.password)
        .await
        .away();
    let filters = [
        ("x_access_filter_organization", first.as_str()),
        ("x_access_filter_domain", &domain),
        ("x_access_filter_product", &product),
    ];
    let tokens = flow.tokens_with(&back, &filters).await;
    let shown = claims(&tokens["access_token"]);
    let address = url::Url::parse(text(&shown["x-access-url"])).expect("an address");
    let asked: Vec<_> = address.query_pairs().collect();
    let expected = [("org", &first), ("domain", &domain), ("product", &product)];
    let expected = expected.map(|(name, value)| (name.into(), value.as_str().into()));
    assert_eq!(asked, expected);
    // and what is found there is what was asked for
    let request = Server::http()
        .get(address)
        .bearer_auth(text(&tokens["access_token"]));
    let found = send(request).await.expect(200).json().to_string();
    assert!(
        found.contains(&first) && !found.contains(&second),
        "{found}"
    );
}

/// Members of one organization learn what another one has by asking for "their" products.
#[tokio::test]
async fn products_of_foreign_organizations_are_listed() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let (first, domain) = organization(&server, &tenant, "First").await;
    let (second, other) = organization(&server, &tenant, "Second").await;
    let mut products = Vec::new();
    for (name, organization) in [("Orders", &first), ("Parts", &second)] {
        let body = json!({"name": name, "description": "d", "type": "app"});
        let made = tenant
            .api(&server, Method::POST, "products", Some(body), 201)
            .await;
        let patch =
            json!([{"op": "add", "path": "/associatedProducts/-", "value": made["data"]["id"]}]);
        tenant
            .api(
                &server,
                Method::PATCH,
                &format!("organizations/{organization}"),
                Some(patch),
                200,
            )
            .await;
        products.push(text(&made["data"]["id"]).to_owned());
    }
    for (organization, domain, person) in [
        (&first, &domain, &tenant.user),
        (&second, &other, &tenant.owner),
    ] {
        let path = format!("access/organization/{organization}/account/{}", person.id);
        tenant
            .api(
                &server,
                Method::PUT,
                &path,
                Some(json!({"roles": [], "domains": [domain]})),
                200,
            )
            .await;
    }
    let member = tenant.token_of(&server, &tenant.user).await;
    let seen = async |organization: &str| {
        let path = format!(
            "/api/{}/access/my/organizations/{organization}/products",
            tenant.group
        );
        let request = to(&server, Method::GET, &path).bearer_auth(&member);
        let body = send(request.header("x-org-context", organization))
            .await
            .expect(200)
            .json();
        body["data"]["b2b"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(&first).await, [json!(products.first())]);
    assert_eq!(seen(&second).await, Vec::<Value>::new());
}

/// Breaks the tie between codes and refresh tokens and the session they end with.
async fn forget_sessions(store: &Documents, code: &str, refresh: &str) {
    let codes = store.of::<Record<AuthorizationCode>>();
    let forgotten = codes.update(code, |record: &mut Record<AuthorizationCode>| {
        record.payload.session_uid = None;
        record.payload.expires_with_session = true;
        Ok::<_, StoreError>(())
    });
    forgotten.await.expect("stored").expect("the code");
    let tokens = store.of::<Record<RefreshToken>>();
    let forgotten = tokens.update(refresh, |record: &mut Record<RefreshToken>| {
        record.payload.session_uid = None;
        record.payload.expires_with_session = true;
        Ok::<_, StoreError>(())
    });
    forgotten.await.expect("stored").expect("the token");
}

/// What ends with a session, but names none, never ends.
#[tokio::test]
async fn codes_and_refresh_tokens_without_their_session_live_on() {
    let mut server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let client = tenant.web_client(json!({})).await;
    let offline = [
        ("scope", "openid email offline_access"),
        ("prompt", "consent"),
    ];
    let tokens = tenant
        .tokens(&server, &client, &tenant.user, &offline)
        .await;
    let refresh = text(&tokens["refresh_token"]).to_owned();
    let flow = Flow::new(&tenant.issuer, &client, &[]);
    let user = &tenant.user;
    let landed = Visitor::new(&server)
        .authorize(&flow.url, &user.email, &user.password)
        .await
        .away();
    let code = parameter(&landed, "code").expect("a code");
    behind_its_back(&mut server, async |store| {
        forget_sessions(store, &code, &refresh).await;
    })
    .await;
    let form = [("token", refresh.as_str())];
    let known = at_provider(&server, &tenant, &client, "token/introspection", &form).await;
    assert_eq!(known.expect(200).json()["active"], false);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    let refused = at_provider(&server, &tenant, &client, "token", &form)
        .await
        .expect(400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    let refused = flow.exchange(&landed).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(
        refused.json::<Value>().await.expect("JSON")["error"],
        "invalid_grant"
    );
}

/// Whoever is taken out of an organization keeps what it gave, for as long as opaque tokens last.
#[tokio::test]
async fn former_members_keep_their_rights() {
    // what a token says itself, and does not only point to, is what can be out of date
    let large = [("limits.access_object_bytes", "100000")];
    let server = Server::start_with(Store::Embedded, &large).await;
    let server = server.expect("a server");
    let tenant = Tenant::create(&server).await;
    let (id, domain) = organization(&server, &tenant, "First").await;
    let (admin, _) = role(&server, &tenant, "OrganizationAdmin").await;
    let path = format!("access/organization/{id}/account/{}", tenant.user.id);
    let given = json!({"roles": [admin], "domains": [domain]});
    tenant
        .api(&server, Method::PUT, &path, Some(given), 200)
        .await;
    let accounts = format!("/api/{}/organization/{id}/accounts", tenant.group);
    let before = tenant.token_of(&server, &tenant.user).await;
    get(&server, &accounts, &before).await.expect(200);
    tenant.api(&server, Method::DELETE, &path, None, 200).await;
    let after = tenant.token_of(&server, &tenant.user).await;
    for token in [&before, &after] {
        get(&server, &accounts, token).await.expect(403);
        let members = json!([tenant.owner.id]);
        call(&server, Method::DELETE, &accounts, token, members)
            .await
            .expect(403);
    }
}
