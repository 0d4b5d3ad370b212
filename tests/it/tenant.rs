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
    /// The client of the group's own portal.
    pub portal: Value,
    /// The client of the root group's portal.
    pub root_portal: Value,
    pub root_group: String,
    url: String,
}

impl Tenant {
    /// Creates the root group, then the group `shop`, activates it and adds a user.
    pub async fn create(server: &Server) -> Self {
        let root = &server.root;
        let init = json!({"setupCode": root.setup_code, "password": root.password});
        let init = call(server, Method::POST, "/api/init", None, Some(init), 201).await;
        let root_group = text(&init["data"]["authGroup"]["id"]).to_owned();
        let root_portal = init["data"]["client"].clone();
        let (email, password) = (&root.email, &root.password);
        let root_token = api_token(server, &root_group, &root_portal, email, password).await;
        Self::found(server, "shop", root_token, root_group, root_portal).await
    }

    /// Another group on the same server, with its own owner and user.
    pub async fn another(&self, server: &Server, name: &str) -> Self {
        let (token, group) = (self.root_token.clone(), self.root_group.clone());
        Self::found(server, name, token, group, self.root_portal.clone()).await
    }

    async fn found(
        server: &Server,
        name: &str,
        root_token: String,
        root_group: String,
        root_portal: Value,
    ) -> Self {
        let email = format!("owner@{name}.test");
        let password = "Own3r!pass".to_owned();
        let (group, token) = register(server, name, &email, Some(&root_token)).await;
        let account = json!({"email": email, "username": email, "password": password});
        let activated = call(
            server,
            Method::POST,
            &format!("/api/{name}/account"),
            Some(&token),
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
        let portal = activated["data"]["client"].clone();
        let owner_token = api_token(server, &group, &portal, &owner.email, &owner.password).await;

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
            portal,
            root_portal,
            root_group,
        };
        tenant.user = tenant.account(server, &format!("uma@{name}.test")).await;
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
        let token = self.registration_token(json!({})).await;
        let registration = Server::http()
            .post(format!("{}/{}/reg", self.url, self.group))
            .bearer_auth(token)
            .json(&metadata);
        expect(registration, 201).await
    }

    /// A confidential client with a redirect URI that nobody listens on and the given further metadata.
    pub async fn web_client(&self, more: Value) -> Value {
        let mut metadata = json!({
            "client_name": format!("web {}", rand::random::<u64>()),
            "redirect_uris": ["https://web.test/cb"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        });
        let members = more.as_object().expect("an object").clone();
        metadata.as_object_mut().expect("an object").extend(members);
        self.client(metadata).await
    }

    /// An initial access token for registering a client, made by the owner.
    pub async fn registration_token(&self, body: Value) -> String {
        let request = Server::http()
            .post(format!("{}/token/initial-access", self.issuer))
            .bearer_auth(&self.owner_token)
            .json(&body);
        text(&expect(request, 200).await["jti"]).to_owned()
    }

    /// A token of a person of the group for the group's API.
    pub async fn token_of(&self, server: &Server, person: &Person) -> String {
        let (email, password) = (&person.email, &person.password);
        api_token(server, &self.group, &self.portal, email, password).await
    }

    /// Signs a person in at a client in a new browser.
    pub async fn tokens(
        &self,
        server: &Server,
        client: &Value,
        person: &Person,
        extra: &[(&str, &str)],
    ) -> Value {
        let flow = Flow::new(&self.issuer, client, extra);
        let back = Visitor::new(server)
            .authorize(&flow.url, &person.email, &person.password)
            .await
            .away();
        flow.tokens(&back).await
    }

    /// Does the server take this password for the account?
    pub async fn knows(&self, email: &str, password: &str) -> bool {
        let request = Server::http()
            .post(format!("{}/token/simple-iat", self.issuer))
            .basic_auth(email, Some(password))
            .json(&json!({}));
        let answer = request.send().await.expect("an answer");
        match answer.status().as_u16() {
            201 => true,
            401 => false,
            other => panic!("{other}: {}", answer.text().await.expect("a text")),
        }
    }
}

/// Registers a group that waits for its owner; answers its id and the activation token.
pub async fn pending(server: &Server, name: &str, owner: &str) -> (String, String) {
    register(server, name, owner, None).await
}

async fn register(
    server: &Server,
    name: &str,
    owner: &str,
    token: Option<&str>,
) -> (String, String) {
    let site = format!("https://{name}.test");
    let group = json!({
        "name": format!("The {name}"), "prettyName": name, "owner": owner,
        "primaryEmail": format!("help@{name}.test"), "primaryDomain": site,
        "primaryTOS": format!("{site}/tos"), "primaryPrivacyPolicy": format!("{site}/privacy"),
        "locked": false,
    });
    let created = call(server, Method::POST, "/api/group", token, Some(group), 201).await;
    (
        text(&created["data"]["id"]).to_owned(),
        text(&created["data"]["initialAccessToken"]).to_owned(),
    )
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
