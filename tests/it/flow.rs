//! The authorization code flow with PKCE as an application makes it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use reqwest::Response;
use serde_json::Value;
use url::Url;

use crate::server::Server;

/// One authorization request of a client, and what is needed to end it.
pub struct Flow<'a> {
    pub url: Url,
    pub state: String,
    pub nonce: String,
    issuer: &'a str,
    client: &'a Value,
    redirect: String,
    pub verifier: String,
}

impl<'a> Flow<'a> {
    /// A request of the client, with its registered redirect URI and `extra` parameters in place of the usual ones.
    pub fn new(issuer: &'a str, client: &'a Value, extra: &[(&str, &str)]) -> Self {
        let random = || BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let (verifier, state, nonce) = (random(), random(), random());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let redirect = text(&client["redirect_uris"][0]).to_owned();
        let usual = [
            ("client_id", text(&client["client_id"])),
            ("response_type", "code"),
            ("redirect_uri", &redirect),
            ("scope", "openid email"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let kept = usual
            .iter()
            .filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
        let mut url = Url::parse(&format!("{issuer}/auth")).expect("an address");
        url.query_pairs_mut().extend_pairs(kept).extend_pairs(extra);
        Self {
            url,
            state,
            nonce,
            issuer,
            client,
            redirect,
            verifier,
        }
    }

    /// Exchanges the code of the redirect that came back.
    pub async fn exchange(&self, back: &Url) -> Response {
        self.exchange_with(back, &[]).await
    }

    /// The same with further parameters.
    async fn exchange_with(&self, back: &Url, extra: &[(&'static str, &str)]) -> Response {
        let code = parameter(back, "code").unwrap_or_else(|| panic!("no code in {back}"));
        let mut form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", self.redirect.clone()),
            ("code_verifier", self.verifier.clone()),
        ];
        let id = text(&self.client["client_id"]);
        let mut request = Server::http().post(format!("{}/token", self.issuer));
        if self.client["token_endpoint_auth_method"] == "none" {
            form.push(("client_id", id.to_owned()));
        } else {
            request = request.basic_auth(id, self.client["client_secret"].as_str());
        }
        form.extend(
            extra
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        request.form(&form).send().await.expect("an answer")
    }

    /// The tokens for the redirect that came back.
    pub async fn tokens(&self, back: &Url) -> Value {
        self.tokens_with(back, &[]).await
    }

    /// The same with further parameters in the request for them.
    pub async fn tokens_with(&self, back: &Url, extra: &[(&'static str, &str)]) -> Value {
        let answer = self.exchange_with(back, extra).await;
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(status, 200, "{body}");
        body
    }
}

/// A parameter of a redirect's query.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The claims of a JWT, unverified: the tests of real clients verify signatures.
pub fn claims(token: &Value) -> Value {
    let payload = text(token).split('.').nth(1).expect("a JWT");
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

/// A member that must be a text.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a text, got {value}"))
}
