//! The first device, where one is required.

use serde_json::{Value, json};

use super::{DENIED, Guest, INVALID, change, has_device, key, refused, scene};
use crate::challenges::Scene;
use crate::server::Server;
use crate::visitor::{Form, Landing, Page};

fn bound(page: &Page) -> &Form {
    assert!(page.text.contains("Ready to sign in"), "{}", page.text);
    page.form(|form| form.action.ends_with("/login"))
}

async fn require(scene: &Scene) {
    let on = json!([{"op": "add", "path": "/config/mfaChallenge/required", "value": true}]);
    scene.tenant.patch(&scene.server, on).await;
    without_device(scene).await;
}

async fn without_device(scene: &Scene) {
    let off = json!([{"op": "replace", "path": "/mfa/enabled", "value": false}]);
    change(scene, &scene.tenant.user, off).await;
}

async fn ready(guest: &Guest<'_>, page: &Page) -> Landing {
    guest
        .visitor
        .submit(page, bound(page), &[], Some("bound"))
        .await
}

on_both_stores! {
    /// The page comes again until a device has approved something; only then is one demanded.
    async fn shown_until_proven(server: Server) {
        let mut scene = scene(server).await;
        require(&scene).await;
        scene.provider.has_devices(&["old"]);
        let client = scene.tenant.web_client(json!({})).await;
        {
            let guest = Guest::at(&scene, client.clone());
            let flow = guest.flow(&[]);
            let page = guest.types(&flow, &scene.tenant.user).await.page();
            bound(&page);
            for part in ["<li>One</li>", "<li>Two &#60;b&#62;</li>", "https://mfa.test/setup?id=bind-1", ">Go</a>"] {
                assert!(page.text.contains(part), "{part}: {}", page.text);
            }
            assert!(!page.text.contains("<svg xmlns"), "there is nothing to scan");
            assert!(!has_device(&scene, &scene.tenant.user).await);
            // the page was left; the next sign-in shows it again
            let page = guest.types(&flow, &scene.tenant.user).await.page();
            let waiting = ready(&guest, &page).await.page();
            scene.press(&key(&waiting), 1).await.expect(204);
            refused(guest.confirms(&waiting).await, DENIED);
            assert!(!has_device(&scene, &scene.tenant.user).await);
            let page = guest.types(&flow, &scene.tenant.user).await.page();
            let waiting = ready(&guest, &page).await.page();
            scene.press(&key(&waiting), 0).await.expect(204);
            assert!(!has_device(&scene, &scene.tenant.user).await, "not before the page says so");
            let landing = guest.confirms(&waiting).await;
            assert_eq!(guest.arrives(&flow, landing).await["amr"], json!(["pwd", "mfa"]));
            assert!(has_device(&scene, &scene.tenant.user).await);
        }
        assert_eq!(scene.provider.next("/revoke").await.json()["deviceId"], "old");
        let guest = Guest::at(&scene, client);
        let flow = guest.flow(&[]);
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        let landing = guest.confirms(&page).await;
        guest.arrives(&flow, landing).await;
    }

    /// A new password ends what the old one has proven: no first device is set up on its strength.
    async fn proven_by_an_old_password(server: Server) {
        let mut scene = scene(server).await;
        require(&scene).await;
        {
            let guest = Guest::new(&scene).await;
            let flow = guest.flow(&[]);
            let page = guest.types(&flow, &scene.tenant.user).await.page();
            let renewed = json!([{"op": "replace", "path": "/password", "value": "An0ther!pass"}]);
            change(&scene, &scene.tenant.user, renewed).await;
            refused(ready(&guest, &page).await, INVALID);
        }
        assert_eq!(scene.provider.rest("/challenge"), 0);
    }

    /// The button alone proves nobody.
    async fn button_alone(server: Server) {
        let scene = scene(server).await;
        require(&scene).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let page = guest.visitor.open(&flow.url).await.page();
        let form = page.form(|form| form.asks_for("email"));
        let fields = [("action", "bound"), ("email", scene.tenant.user.email.as_str())];
        refused(guest.visitor.submit(&page, form, &fields, None).await, "has expired");
        let page = guest.types(&flow, &scene.tenant.user).await.page();
        let blocked = json!([{"op": "replace", "path": "/blocked", "value": true}]);
        change(&scene, &scene.tenant.user, blocked).await;
        refused(ready(&guest, &page).await, INVALID);
    }

    /// A client may demand a device where the group does not.
    async fn demanded_by_a_client(server: Server) {
        let scene = scene(server).await;
        without_device(&scene).await;
        let group = json!([{"op": "replace", "path": "/config/acrValues", "value": ["mfa"]}]);
        scene.tenant.patch(&scene.server, group).await;
        let lax = Guest::new(&scene).await;
        let flow = lax.flow(&[]);
        let landing = lax.types(&flow, &scene.tenant.user).await;
        let who: Value = lax.arrives(&flow, landing).await;
        assert_eq!((&who["amr"], who.get("acr")), (&json!(["pwd"]), None));
        let strict = json!({"default_acr_values": ["mfa"]});
        let strict = Guest::at(&scene, scene.tenant.web_client(strict).await);
        let flow = strict.flow(&[]);
        let page = strict.types(&flow, &scene.tenant.user).await.page();
        let waiting = ready(&strict, &page).await.page();
        scene.press(&key(&waiting), 0).await.expect(204);
        let landing = strict.confirms(&waiting).await;
        assert_eq!(strict.arrives(&flow, landing).await["acr"], "mfa");
        // what the client needs does not go away with the group's list
        without_device(&scene).await;
        let none = json!([{"op": "replace", "path": "/config/acrValues", "value": []}]);
        scene.tenant.patch(&scene.server, none).await;
        let late = Guest::at(&scene, strict.client.clone());
        let flow = late.flow(&[]);
        let page = late.types(&flow, &scene.tenant.user).await.page();
        let waiting = ready(&late, &page).await.page();
        scene.press(&key(&waiting), 0).await.expect(204);
        let landing = late.confirms(&waiting).await;
        let who = late.arrives(&flow, landing).await;
        assert_eq!((&who["amr"], who.get("acr")), (&json!(["pwd", "mfa"]), None));
    }
}
