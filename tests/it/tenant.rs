//! A tenant to test with: the root group, a group with its owner, one user, and clients.

use reqwest::Method;
use serde_json::{Value, json};

use crate::flow::{Flow, text};
use crate::server::Server;
use crate::visitor::Visitor;

pub struct Person {
    pub email: String,
    pub password: String,
    pub id: String,
}

pub struct Tenant {
    pub group: String,
    pub issuer: String,
    pub owner: Person,
    pub owner_token: String,
    pub root_token: String,
    pub user: Person,
    url: String,
}

impl Tenant {
    /// Creates the root group, then the group `shop`, activates it and adds a user.
    pub async fn create(server: &Server) -> Self {
        let root = &server.root;
        let init = json!({"setupCode": root.setup_code, "password": root.password});
        let init = call(server, Method::POST, "/api/init", None, Some(init), 201).await;
        let root_group = text(&init["data"]["authGroup"]["id"]);
        let root_client = &init["data"]["client"];
        let root_token =
            api_token(server, root_group, root_client, &root.email, &root.password).await;

        let email = "owner@shop.test".to_owned();
        let password = "Own3r!pass".to_owned();
        let group = json!({
            "name": "The Shop", "prettyName": "shop", "owner": email, "primaryEmail": "help@shop.test",
            "primaryDomain": "https://shop.test", "primaryTOS": "https://shop.test/tos",
            "primaryPrivacyPolicy": "https://shop.test/privacy", "locked": false,
        });
        let created = call(server, Method::POST, "/api/group", None, Some(group), 201).await;
        let group = text(&created["data"]["id"]).to_owned();
        let token = text(&created["data"]["initialAccessToken"]);
        let account = json!({"email": email, "username": email, "password": password});
        let activated = call(
            server,
            Method::POST,
            "/api/shop/account",
            Some(token),
            Some(account),
            201,
        )
        .await;
        let id = text(&activated["data"]["account"]["id"]).to_owned();
        let owner = Person {
            email,
            password,
            id,
        };
        let client = &activated["data"]["client"];
        let owner_token = api_token(server, &group, client, &owner.email, &owner.password).await;

        let mut tenant = Self {
            issuer: format!("{}/{group}", server.url),
            url: server.url.clone(),
            user: Person {
                email: String::new(),
                password: String::new(),
                id: String::new(),
            },
            group,
            owner,
            owner_token,
            root_token,
        };
        tenant.user = tenant.account(server, "uma@shop.test").await;
        tenant
    }

    /// Adds an account with a password of its own.
    pub async fn account(&self, server: &Server, email: &str) -> Person {
        let password = format!("{email}!1");
        let body = json!({"email": email, "username": email, "password": password});
        let created = self
            .api(server, Method::POST, "account", Some(body), 201)
            .await;
        let id = text(&created["data"]["id"]).to_owned();
        Person {
            email: email.to_owned(),
            password,
            id,
        }
    }

    /// Calls `/api/{group}/{path}` as the owner and checks the status.
    pub async fn api(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Value {
        let path = format!("/api/{}/{path}", self.group);
        call(server, method, &path, Some(&self.owner_token), body, status).await
    }

    /// Changes settings of the group by JSON Patch.
    pub async fn patch(&self, server: &Server, operations: Value) {
        let path = format!("/api/group/{}", self.group);
        call(
            server,
            Method::PATCH,
            &path,
            Some(&self.owner_token),
            Some(operations),
            200,
        )
        .await;
    }

    /// Registers a client with an initial access token of its own.
    pub async fn client(&self, metadata: Value) -> Value {
        let http = Server::http();
        let initial = http
            .post(format!("{}/token/initial-access", self.issuer))
            .bearer_auth(&self.owner_token)
            .json(&json!({}));
        let initial = expect(initial, 200).await;
        let registration = http
            .post(format!("{}/{}/reg", self.url, self.group))
            .bearer_auth(text(&initial["jti"]))
            .json(&metadata);
        expect(registration, 201).await
    }
}

/// Signs a person in at the group's own client for the group's API.
pub async fn api_token(
    server: &Server,
    group: &str,
    client: &Value,
    email: &str,
    password: &str,
) -> String {
    let issuer = format!("{}/{group}", server.url);
    let flow = Flow::new(
        &issuer,
        client,
        &[("scope", "openid email access"), ("resource", &issuer)],
    );
    let back = Visitor::new(server)
        .authorize(&flow.url, email, password)
        .await
        .away();
    text(&flow.tokens(&back).await["access_token"]).to_owned()
}

async fn call(
    server: &Server,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
    status: u16,
) -> Value {
    let mut request = Server::http().request(method, format!("{}{path}", server.url));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    expect(request, status).await
}

async fn expect(request: reqwest::RequestBuilder, status: u16) -> Value {
    let answer = request.send().await.expect("an answer");
    let (url, got) = (answer.url().clone(), answer.status());
    let body = answer.text().await.expect("a text");
    assert_eq!(got, status, "{url}: {body}");
    if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&body).expect("JSON")
    }
}
