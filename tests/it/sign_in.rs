//! Signing in without a browser, and what survives a crash.

use reqwest::Method;
use serde_json::{Value, json};

use crate::flow::{Flow, claims, parameter, text};
use crate::server::Server;
use crate::tenant::Tenant;
use crate::visitor::Visitor;

on_both_stores! {
    /// The API knows people by their tokens: the owner and root reach an account of the group, nobody else does.
    async fn opens_the_api(server: Server) {
        let tenant = Tenant::create(&server).await;
        let me = tenant.api(&server, Method::GET, "account/me", None, 200).await;
        assert_eq!(me["data"]["id"], tenant.owner.id);
        assert_eq!(me["data"]["email"], tenant.owner.email);
        let account = format!("{}/api/{}/account/{}", server.url, tenant.group, tenant.user.id);
        for (token, status) in [(tenant.owner_token.as_str(), 200), (&tenant.root_token, 200), ("nonsense", 401)] {
            let answer = Server::http().get(&account).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), status, "{}", answer.text().await.unwrap());
        }
    }

    /// A code answers with tokens for the user who signed in, once.
    async fn gives_tokens_for_a_code(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.client(json!({"client_name": "web", "redirect_uris": ["https://web.test/cb"]})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let visitor = Visitor::new(&server);
        let back = visitor.authorize(&flow.url, &tenant.user.email, &tenant.user.password).await.away();
        assert!(back.as_str().starts_with("https://web.test/cb?"), "{back}");
        assert_eq!(parameter(&back, "state").as_deref(), Some(flow.state.as_str()));
        assert_eq!(parameter(&back, "iss").as_deref(), Some(tenant.issuer.as_str()));
        let tokens = flow.tokens(&back).await;
        let id = claims(&tokens["id_token"]);
        assert_eq!(id["sub"], tenant.user.id);
        assert_eq!(id["nonce"], flow.nonce);
        assert_eq!(id["aud"], client["client_id"]);
        let again = flow.exchange(&back).await;
        assert_eq!(again.status(), 400);
        let again: Value = again.json().await.unwrap();
        assert_eq!(again["error"], "invalid_grant");
    }

    /// The session, and tokens given before, outlive a server that was killed.
    async fn survives_a_crash(server: Server) {
        let mut server = server;
        let tenant = Tenant::create(&server).await;
        let client = tenant.client(json!({"client_name": "web", "redirect_uris": ["https://web.test/cb"]})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let visitor = Visitor::new(&server);
        let back = visitor.authorize(&flow.url, &tenant.user.email, &tenant.user.password).await.away();
        server.restart().await;
        let tokens = flow.tokens(&back).await;
        server.restart().await;
        let silent = Flow::new(&tenant.issuer, &client, &[("prompt", "none")]);
        let back = visitor.open(&silent.url).await.away();
        assert!(parameter(&back, "code").is_some(), "{back}");
        let userinfo = Server::http()
            .get(format!("{}/me", tenant.issuer))
            .bearer_auth(text(&tokens["access_token"]))
            .send()
            .await
            .unwrap();
        assert_eq!(userinfo.status(), 200);
        let userinfo: Value = userinfo.json().await.unwrap();
        assert_eq!(userinfo["email"], tenant.user.email);
    }
}
