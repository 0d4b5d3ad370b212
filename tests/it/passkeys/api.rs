//! The endpoints: making passkeys, several of them, what is refused, listing and removing.

use reqwest::Method;
use serde_json::{Value, json};

use super::authenticator::Authenticator;
use super::{allow, begin, enrol, post, proof, switch_on, tenant};
use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::server::Server;
use crate::tenant::Tenant;

async fn passkeys(server: &Server, tenant: &Tenant, token: &str, id: &str) -> Vec<Value> {
    let path = format!("/api/{}/account/{id}/passkeys", tenant.group);
    let listed = send(to(server, Method::GET, &path).bearer_auth(token)).await;
    listed.expect(200).json()["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn remove(server: &Server, tenant: &Tenant, token: &str, id: &str, passkey: &str) -> Answer {
    let path = format!("/api/{}/account/{id}/passkeys/{passkey}", tenant.group);
    send(to(server, Method::DELETE, &path).bearer_auth(token)).await
}

on_both_stores! {
    /// Options ask for what the server needs; a second passkey joins the first; each can be removed.
    async fn several_passkeys(server: Server) {
        let tenant = tenant(&server).await;
        let user = &tenant.user;
        let (token, state) = proof(&tenant, user).await;
        let begun = post(&server, &tenant, "webauthn/bind", Some(&token), json!({"state": state})).await.expect(200).json();
        assert_eq!((&begun["type"], &begun["data"]["success"]), (&json!("PASSKEY"), &json!(true)));
        let options = &begun["data"]["registrationOptions"];
        assert_eq!(options["rp"]["id"], "localhost", "the host without its port");
        assert_eq!(options["user"]["name"], user.email);
        let wanted = &options["authenticatorSelection"];
        assert_eq!((&wanted["residentKey"], &wanted["userVerification"]), (&json!("required"), &json!("required")));
        let (mut first, mut second) = (Authenticator::new(), Authenticator::new());
        let one = enrol(&server, &tenant, user, &mut first).await;
        let (token, state) = proof(&tenant, user).await;
        let begun = post(&server, &tenant, "webauthn/bind", Some(&token), json!({"state": state})).await.expect(200).json();
        let known = &begun["data"]["registrationOptions"]["excludeCredentials"];
        assert_eq!(known[0]["id"], first.id(), "the device is told what it has already");
        let two = enrol(&server, &tenant, user, &mut second).await;

        let access = tenant.token_of(&server, user).await;
        let listed = passkeys(&server, &tenant, &access, "me").await;
        let ids: Vec<&str> = listed.iter().map(|p| text(&p["id"])).collect();
        assert_eq!(ids, [one.as_str(), &two]);
        assert_eq!((&listed[0]["name"], &listed[0]["domain"]), (&json!("Phone"), &json!("localhost")));
        assert!(!listed[0].to_string().contains("credential"), "no key material: {listed:?}");
        let allowed = begin(&server, &tenant, &user.email).await.expect(200).json();
        assert_eq!(allowed["data"]["assertionOptions"]["allowCredentials"].as_array().unwrap().len(), 2);
        assert_eq!(allowed["data"]["accountId"], user.id);
        assert!(!text(&allowed["data"]["requestGuid"]).is_empty());

        remove(&server, &tenant, &access, "me", &one).await.expect(200);
        remove(&server, &tenant, &access, "me", &one).await.expect(404);
        assert_eq!(passkeys(&server, &tenant, &access, "me").await.len(), 1);
        let other = tenant.account(&server, "lee@shop.test").await;
        let foreign = tenant.token_of(&server, &other).await;
        remove(&server, &tenant, &foreign, &user.id, &two).await.expect(404);
        remove(&server, &tenant, &foreign, "me", &two).await.expect(404);
        let path = format!("/api/{}/account/{}/passkeys", tenant.group, user.id);
        send(to(&server, Method::GET, &path).bearer_auth(&foreign)).await.expect(404);
        assert_eq!(passkeys(&server, &tenant, &tenant.owner_token, &user.id).await.len(), 1, "administrators see them");
    }

    /// An answer counts once, for the account that asked, with the token that asked; without a
    /// finger, from another site or for an unknown challenge it does not count at all.
    async fn refused_enrolments(server: Server) {
        let tenant = tenant(&server).await;
        let other = tenant.account(&server, "lee@shop.test").await;
        let mut device = Authenticator::new();
        let ask = async |person| {
            let (token, state) = proof(&tenant, person).await;
            let begun = post(&server, &tenant, "webauthn/bind", Some(&token), json!({"state": state})).await;
            let options = begun.expect(200).json()["data"]["registrationOptions"].clone();
            (token, state, options)
        };
        let finish = async |token: &str, state: &str, credential: Value| {
            let body = json!({"state": state, "credential": credential});
            post(&server, &tenant, "webauthn/finish", Some(token), body).await
        };
        let (token, state, options) = ask(&tenant.user).await;
        post(&server, &tenant, "webauthn/finish", Some(&token), json!({"state": state})).await.expect(400);
        finish(&token, "another", json!({})).await.expect(401);
        finish(&token, &state, json!({"id": "x"})).await.expect(424);
        finish(&token, &state, device.create("https://evil.test", &options)).await.expect(424);
        finish(&token, &state, device.create(&server.url, &options)).await.expect(424);

        let (token, state, options) = ask(&tenant.user).await;
        device.verifies = false;
        finish(&token, &state, device.create(&server.url, &options)).await.expect(424);
        device.verifies = true;

        let (_, _, options) = ask(&tenant.user).await;
        let (token, state) = proof(&tenant, &other).await;
        finish(&token, &state, device.create(&server.url, &options)).await.expect(424);

        let (token, state, options) = ask(&tenant.user).await;
        let credential = device.create(&server.url, &options);
        finish(&token, &state, credential.clone()).await.expect(200);
        finish(&token, &state, credential.clone()).await.expect(401);
        let access = tenant.token_of(&server, &tenant.user).await;
        finish(&access, "", credential).await.expect(424);

        let (token, state, options) = ask(&other).await;
        finish(&token, &state, device.create(&server.url, &options)).await.expect(424);
        assert!(passkeys(&server, &tenant, &tenant.owner_token, &other.id).await.is_empty(), "a key has one owner");
        post(&server, &tenant, "webauthn/bind", None, json!({})).await.expect(401);
        let machine = tenant.web_client(json!({"scope": "openid email"})).await;
        let asked = Server::http()
            .post(format!("{}/token", tenant.issuer))
            .basic_auth(text(&machine["client_id"]), machine["client_secret"].as_str())
            .form(&[("grant_type", "client_credentials"), ("resource", &tenant.issuer)]);
        let own = send(asked).await.expect(200).json();
        post(&server, &tenant, "webauthn/bind", Some(text(&own["access_token"])), json!({})).await.expect(403);
    }

    /// Nobody learns from a name whether there is such an account.
    async fn unknown_names(server: Server) {
        let tenant = tenant(&server).await;
        let mut answers = Vec::new();
        for name in [tenant.user.email.as_str(), "nobody@shop.test"] {
            let mut body = begin(&server, &tenant, name).await.expect(424).json();
            body["id"] = Value::Null;
            answers.push(body);
        }
        assert_eq!(answers[0], answers[1]);
        post(&server, &tenant, "webauthn/authenticate", None, json!({})).await.expect(400);
        enrol(&server, &tenant, &tenant.user, &mut Authenticator::new()).await;
        let capitals = tenant.user.email.to_uppercase();
        begin(&server, &tenant, &capitals).await.expect(200);
    }

    /// Off for the server, off for the group, on; the account's end is the end of its passkeys.
    async fn switches(server: Server) {
        let tenant = Tenant::create(&server).await;
        let (token, state) = proof(&tenant, &tenant.user).await;
        let bind = async || post(&server, &tenant, "webauthn/bind", Some(&token), json!({"state": state})).await;
        bind().await.expect(424);
        begin(&server, &tenant, &tenant.user.email).await.expect(424);
        let page = format!("/{}/set-passkey", tenant.group);
        send(to(&server, Method::GET, &page)).await.expect(424);
        switch_on(&server, &tenant.root_token).await;
        bind().await.expect(424);
        allow(&server, &tenant).await;
        bind().await.expect(200);
        send(to(&server, Method::GET, &page)).await.expect(200);

        let gone = tenant.account(&server, "lee@shop.test").await;
        let mut device = Authenticator::new();
        enrol(&server, &tenant, &gone, &mut device).await;
        tenant.api(&server, Method::DELETE, &format!("account/{}", gone.id), None, 200).await;
        begin(&server, &tenant, &gone.email).await.expect(424);
        // the same key may serve somebody else now, as nothing of the account is left
        enrol(&server, &tenant, &tenant.user, &mut device).await;
        let user = &tenant.user;
        let access = tenant.token_of(&server, user).await;
        let lock = to(&server, Method::PUT, &format!("/api/{}/account/panic", tenant.group));
        send(lock.bearer_auth(&access).json(&json!({"email": user.email}))).await.expect(204);
        assert!(passkeys(&server, &tenant, &tenant.owner_token, &user.id).await.is_empty(), "a locked account has none");
    }
}
