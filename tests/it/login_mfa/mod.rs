//! Signing in with devices: as a second factor, without a password, and setting them up.

mod binding;
mod browser;
mod passwordless;
mod peace;
mod second_factor;
mod step_up;
mod wizard;

use reqwest::Method;
use serde_json::{Value, json};

use crate::challenges::Scene;
use crate::flow::{Flow, claims};
use crate::server::Server;
use crate::tenant::Person;
use crate::visitor::{Form, Landing, Page, Visitor};

/// Settings under which one can be asked twice.
const FEW_QUESTIONS: [(&str, &str); 3] = [
    ("rate_limits.enabled", "true"),
    ("rate_limits.challenges.burst", "2"),
    ("rate_limits.challenges.per_minute", "1"),
];

/// Somebody at the sign-in page.
struct Guest<'a> {
    scene: &'a Scene,
    client: Value,
    visitor: Visitor,
}

impl<'a> Guest<'a> {
    async fn new(scene: &'a Scene) -> Self {
        let client = scene.tenant.web_client(json!({})).await;
        Self::at(scene, client)
    }

    fn at(scene: &'a Scene, client: Value) -> Self {
        Self {
            scene,
            client,
            visitor: Visitor::new(&scene.server),
        }
    }

    fn flow(&self, extra: &[(&str, &str)]) -> Flow<'_> {
        Flow::new(&self.scene.tenant.issuer, &self.client, extra)
    }

    /// Types name and password; what comes next.
    async fn types(&self, flow: &Flow<'_>, person: &Person) -> Landing {
        let page = self.visitor.open(&flow.url).await.page();
        self.visitor
            .log_in(page, &person.email, &person.password)
            .await
    }

    /// The page that waits for the user's device, once the password is right.
    async fn waits(&self, flow: &Flow<'_>) -> Page {
        self.types(flow, &self.scene.tenant.user).await.page()
    }

    /// Sends the form of a waiting page.
    async fn confirms(&self, page: &Page) -> Landing {
        self.confirms_as(page, &[]).await
    }

    async fn confirms_as(&self, page: &Page, fields: &[(&str, &str)]) -> Landing {
        self.visitor
            .submit(page, confirming(page), fields, None)
            .await
    }

    /// Agrees, and answers the claims about who signed in.
    async fn arrives(&self, flow: &Flow<'_>, landing: Landing) -> Value {
        let mut landing = landing;
        if let Landing::Page(page) = &landing
            && page.forms.iter().any(Form::asks_consent)
        {
            let form = page.form(Form::asks_consent);
            landing = self.visitor.submit(page, form, &[], None).await;
        }
        claims(&flow.tokens(&landing.away()).await["id_token"])
    }
}

fn confirming(page: &Page) -> &Form {
    page.form(|form| form.action.ends_with("/confirm-mfa"))
}

/// The key of the question that a page waits for.
fn key(page: &Page) -> String {
    confirming(page).value("providerKey")
}

fn uid(page: &Page) -> String {
    let mut parts = page.url.path_segments().expect("a path");
    parts.nth(2).expect("the interaction").to_owned()
}

/// The first step of the sign-in page, with a reason.
#[track_caller]
fn refused(landing: Landing, reason: &str) -> Page {
    let page = landing.page();
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains(reason), "{reason}: {}", page.text);
    assert!(page.forms.iter().any(|form| form.asks_for("email")));
    page
}

const INVALID: &str = "don’t match";
const DENIED: &str = "flash flash-error\" role=\"alert\" aria-live=\"assertive\" tabindex=\"-1\">The sign-in was refused on the device";

async fn change(scene: &Scene, person: &Person, patch: Value) {
    let path = format!("account/{}", person.id);
    scene
        .tenant
        .api(&scene.server, Method::PATCH, &path, Some(patch), 200)
        .await;
}

async fn has_device(scene: &Scene, person: &Person) -> bool {
    let path = format!("account/{}", person.id);
    let found = scene
        .tenant
        .api(&scene.server, Method::GET, &path, None, 200)
        .await;
    found["data"]["mfa"]["enabled"] == json!(true)
}

async fn scene(server: Server) -> Scene {
    Box::pin(Scene::set(server)).await
}
