//! What development mode puts into an empty store: a root group, a group, a person, an application.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::accounts::Account;
use crate::app::App;
use crate::clients::Client;
use crate::clients::model::Metadata;
use crate::groups::bootstrap::{self, NewOwner, NewPassword};
use crate::groups::{AuthGroup, new_group};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::number::Number;
use crate::store::{Filter, Object, eq};

/// The group's alias and the application's name, which `/demo` looks for.
pub const GROUP: &str = "demo";
pub const CLIENT: &str = "Demo";
pub const PERSON: &str = "ada@demo.localhost";
const ROOT_OWNER: &str = "root@demo.localhost";
const OWNER: &str = "owner@demo.localhost";

/// Printed once; nothing keeps the passwords.
pub struct Prepared {
    lines: Vec<String>,
}

impl Prepared {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// None if the store holds a group already.
pub async fn prepare(app: &App) -> ApiResult<Option<Prepared>> {
    if app.store.of::<AuthGroup>().count(Filter::All).await? > 0 {
        return Ok(None);
    }
    let password = || SecretString::from(app.random.password16());
    let (root_password, owner_password, person_password) = (password(), password(), password());
    bootstrap::create_root(app, ROOT_OWNER, root_password.expose_secret()).await?;
    let group = make_group(app, &owner_password).await?;
    make_person(app, &group, &person_password).await?;
    let client = make_client(app, &group).await?;
    let origin = app.settings.origin();
    Ok(Some(Prepared {
        lines: vec![
            String::new(),
            "Made for a first look (shown once):".to_owned(),
            format!("  try it        {origin}/demo"),
            format!(
                "  sign in as    {PERSON}   password {}",
                person_password.expose_secret()
            ),
            format!(
                "  issuer        {origin}/{}   (alias: {origin}/{GROUP})",
                group.id
            ),
            format!(
                "  client_id     {}   (public, PKCE, redirect {origin}/demo)",
                client.id
            ),
            format!(
                "  group owner   {OWNER}   password {}",
                owner_password.expose_secret()
            ),
            format!(
                "  root owner    {ROOT_OWNER}   password {}",
                root_password.expose_secret()
            ),
            format!("  API explorer  {origin}/swagger"),
            String::new(),
        ],
    }))
}

async fn make_group(app: &App, password: &SecretString) -> ApiResult<AuthGroup> {
    let body = json!({
        "name": "Demo",
        "prettyName": GROUP,
        "owner": OWNER,
        "primaryDomain": format!("{}/demo", app.settings.origin()),
        "primaryEmail": OWNER,
        "locked": false,
    });
    let registered = new_group::create(app, &body).await?;
    let tenant = app
        .tenants
        .find(app, &registered.group.id)
        .await?
        .ok_or_else(|| ApiError::internal("the demo group is gone"))?;
    let owner = NewOwner {
        email: OWNER.to_owned(),
        username: None,
        password: NewPassword::Given(password.clone()),
        phone: None,
        metadata: None,
    };
    let ready = bootstrap::activate(app, &tenant, owner).await?;
    crate::gate::tokens::consume(app, &registered.token).await?;
    Ok(ready.group)
}

async fn make_person(app: &App, group: &AuthGroup, password: &SecretString) -> ApiResult<()> {
    let hash = app.hasher.hash(password.clone()).await?;
    let now = app.date();
    let person = Account {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        modified_by: "SYSTEM_ADMIN".to_owned(),
        username: "ada".to_owned(),
        email: PERSON.to_owned(),
        blocked: false,
        auth_group: group.id.clone(),
        password: hash,
        phone: None,
        verified: true,
        active: true,
        mfa: Default::default(),
        accepting_profile_requests: true,
        my_notifications: Default::default(),
        access: Vec::new(),
        metadata: None,
        user_locked: false,
        identities: Vec::new(),
        recover_codes: Vec::new(),
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<Account>().insert(&person).await?;
    Ok(())
}

async fn make_client(app: &App, group: &AuthGroup) -> ApiResult<Client> {
    let id = app.random.uuid();
    let page = format!("{}/demo", app.settings.origin());
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
    let none = || Some("none".to_owned());
    let client = Client {
        payload: Metadata {
            auth_group: group.id.clone(),
            client_id: id.clone(),
            client_name: CLIENT.to_owned(),
            client_id_issued_at: Some(Number::Int(app.now())),
            application_type: Some("web".to_owned()),
            grant_types: texts(&["authorization_code", "refresh_token"]),
            response_types: texts(&["code"]),
            redirect_uris: vec![page.clone()],
            post_logout_redirect_uris: vec![page],
            token_endpoint_auth_method: none(),
            introspection_endpoint_auth_method: none(),
            revocation_endpoint_auth_method: none(),
            id_token_signed_response_alg: Some("RS256".to_owned()),
            subject_type: Some("public".to_owned()),
            require_auth_time: Some(false),
            ..Metadata::default()
        },
        id,
        access: None,
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<Client>().insert(&client).await?;
    Ok(client)
}

/// Is there a root group yet?
pub async fn has_root(app: &App) -> ApiResult<bool> {
    Ok(app
        .store
        .of::<AuthGroup>()
        .find_one(eq("prettyName", "root"))
        .await?
        .is_some_and(|g| g.active))
}
