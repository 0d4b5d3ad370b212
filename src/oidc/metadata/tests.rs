use serde_json::{Value as Json, json};

use super::{Invalid, Properties, Rules, needs_secret, owned, validate};

fn rules() -> Rules {
    Rules {
        grant_types: owned(super::GRANT_TYPES),
        acr_values: Vec::new(),
        id_token_algs: owned(&["PS256", "RS256", "ES256", "EdDSA"]),
        access_token_algs: owned(&["RS256", "PS256", "ES256", "EdDSA"]),
        scopes: owned(&["openid", "email", "access", "{d}^order:[0-9]+$"]),
        private_scopes: owned(&["secret", "{d}^[A-Z]+$"]),
    }
}

/// A valid registration with some members replaced; null takes a member out.
fn given(changes: &Json) -> Properties {
    let mut out = json!({
        "client_id": "c",
        "client_id_issued_at": 1,
        "client_secret": "s",
        "client_secret_expires_at": 0,
        "client_name": "App",
        "auth_group": "g",
        "redirect_uris": ["https://one.test/cb"],
    });
    let (Some(map), Some(changes)) = (out.as_object_mut(), changes.as_object()) else {
        panic!("objects")
    };
    for (name, value) in changes {
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.clone(), value.clone());
        }
    }
    map.clone()
}

fn fault(changes: &Json) -> String {
    match validate(given(changes), &rules()) {
        Err(Invalid(message)) => message,
        Ok(_) => format!("accepted: {changes}"),
    }
}

fn stored(changes: &Json) -> Json {
    let metadata = validate(given(changes), &rules()).unwrap_or_else(|e| panic!("{changes}: {e}"));
    serde_json::to_value(metadata).unwrap()
}

#[test]
fn each_fault_has_its_message() {
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b" }] });
    let table = [
        // mandatory
        (
            json!({ "redirect_uris": null }),
            "redirect_uris is mandatory property",
        ),
        (
            json!({ "client_secret": null }),
            "client_secret is mandatory property",
        ),
        (
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            "jwks or jwks_uri is mandatory for this client",
        ),
        (
            json!({ "request_object_signing_alg": "ES256" }),
            "jwks or jwks_uri is mandatory for this client",
        ),
        (
            json!({ "id_token_encrypted_response_alg": "RSA-OAEP" }),
            "jwks or jwks_uri is mandatory for this client",
        ),
        // types
        (
            json!({ "require_auth_time": "yes" }),
            "require_auth_time must be a boolean",
        ),
        (
            json!({ "id_token_encrypted_response_enc": "A128GCM" }),
            "id_token_encrypted_response_alg is mandatory property when id_token_encrypted_response_enc is provided",
        ),
        (
            json!({ "grant_types": "implicit" }),
            "grant_types must be an array",
        ),
        (
            json!({ "redirect_uris": "https://a.test" }),
            "redirect_uris must be an array",
        ),
        (
            json!({ "client_uri": 5 }),
            "client_uri must be a non-empty string if provided",
        ),
        (
            json!({ "client_name": "" }),
            "client_name must be a non-empty string if provided",
        ),
        (
            json!({ "client_secret": "sécret" }),
            "invalid client_secret value",
        ),
        (
            json!({ "contacts": [1] }),
            "contacts must only contain strings",
        ),
        // enumerations
        (
            json!({ "application_type": "x" }),
            "application_type must be 'native' or 'web'",
        ),
        (
            json!({ "subject_type": "pairwise" }),
            "subject_type must be 'public'",
        ),
        (
            json!({ "grant_types": ["magic"] }),
            "grant_types can only contain 'implicit', 'authorization_code', 'refresh_token', or 'client_credentials'",
        ),
        (
            json!({ "default_acr_values": ["high"] }),
            "default_acr_values must not be provided (no values are allowed)",
        ),
        (
            json!({ "token_endpoint_auth_signing_alg": "HS256" }),
            "token_endpoint_auth_signing_alg must not be provided (no values are allowed)",
        ),
        (
            json!({ "token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": ["HS256"] }),
            "token_endpoint_auth_signing_alg must be 'HS256'",
        ),
        (
            json!({ "id_token_signed_response_alg": "none" }),
            "id_token_signed_response_alg must be 'PS256', 'RS256', 'ES256', or 'EdDSA'",
        ),
        (
            json!({ "access_token_signed_response_alg": "HS256" }),
            "access_token_signed_response_alg must be 'RS256', 'PS256', 'ES256', or 'EdDSA'",
        ),
        // addresses
        (
            json!({ "logo_uri": "ftp://a.test" }),
            "logo_uri must be a web uri",
        ),
        (
            json!({ "initiate_login_uri": "http://a.test" }),
            "initiate_login_uri must be a https uri",
        ),
        (
            json!({ "request_uris": ["nowhere"] }),
            "request_uris must only contain web uris",
        ),
        (
            json!({ "scope": "openid zzz" }),
            "scope must only contain Authorization Server supported scope values",
        ),
        (
            json!({ "post_logout_redirect_uris": ["x"] }),
            "post_logout_redirect_uris must only contain valid uris",
        ),
        (
            json!({ "redirect_uris": ["not a url"] }),
            "redirect_uris must only contain valid uris",
        ),
        (
            json!({ "redirect_uris": ["https://a.test/\tcb"] }),
            "redirect_uris must only contain valid uris",
        ),
        (
            json!({ "redirect_uris": ["https://a.test/#f"] }),
            "redirect_uris must not contain fragments",
        ),
        (
            json!({ "redirect_uris": ["javascript:alert(1)"] }),
            "redirect_uris must only contain web uris",
        ),
        (
            json!({ "grant_types": ["implicit"], "response_types": ["id_token"], "redirect_uris": ["http://a.test"] }),
            "redirect_uris for web clients using implicit flow MUST only register URLs using the https scheme",
        ),
        (
            json!({ "grant_types": ["implicit"], "response_types": ["id_token"], "redirect_uris": ["https://localhost"] }),
            "redirect_uris for web clients using implicit flow must not be using localhost",
        ),
        (
            json!({ "application_type": "native", "redirect_uris": ["http://a.test"] }),
            "redirect_uris for native clients using http as a protocol can only use loopback addresses as hostnames",
        ),
        (
            json!({ "application_type": "native", "redirect_uris": ["https://[::1]/"] }),
            "redirect_uris for native clients using claimed HTTPS URIs must not be using [::1] as hostname",
        ),
        (
            json!({ "application_type": "native", "redirect_uris": ["app:/cb"] }),
            "redirect_uris for native clients using Custom URI scheme should use reverse domain name based scheme",
        ),
        (
            json!({ "contacts": ["me"] }),
            "contacts can only contain email addresses",
        ),
        (
            json!({ "default_max_age": -1 }),
            "default_max_age must be a non-negative integer",
        ),
        (
            json!({ "default_max_age": 1.5 }),
            "default_max_age must be a non-negative integer",
        ),
        // combinations
        (
            json!({ "response_types": [] }),
            "response_types must contain members",
        ),
        (
            json!({ "redirect_uris": [] }),
            "redirect_uris must contain members",
        ),
        (
            json!({ "grant_types": ["client_credentials"] }),
            "grant_types must contain 'authorization_code' when code is amongst response_types",
        ),
        (
            json!({ "response_types": ["id_token"] }),
            "grant_types must contain 'implicit' when 'id_token' or 'token' are amongst response_types",
        ),
        (
            json!({ "jwks": jwks, "jwks_uri": "https://a.test/jwks" }),
            "jwks and jwks_uri must not be used at the same time",
        ),
        (json!({ "jwks": { "keys": 1 } }), "jwks must be a JWK Set"),
        (
            json!({ "jwks": { "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] } }),
            "jwks must not contain private or symmetric keys",
        ),
        // members of this server
        (json!({ "client_name": null }), "client_name is required"),
        (
            json!({ "register_url": { "$ne": null } }),
            "register_url must be a web uri",
        ),
        (
            json!({ "register_url": "javascript:alert(1)" }),
            "register_url must be a web uri",
        ),
        (
            json!({ "client_label": 5 }),
            "client_label must be a string value",
        ),
        (
            json!({ "client_label": "nice" }),
            "client_label be one of: login api app custom product-key",
        ),
        (
            json!({ "client_skip_consent": "yes" }),
            "client_skip_consent must be a boolean value",
        ),
        (
            json!({ "client_federation_options": true }),
            "client_federation_options must be an array",
        ),
        (
            json!({ "associated_product": 1 }),
            "associated_product must be a string uuid representing a product",
        ),
        (
            json!({ "initialized_org_context": {} }),
            "initialized_org_context must be a string uuid representing an organization",
        ),
        (
            json!({ "dynamic_scope": " " }),
            "dynamic_scope must be a list of one or more dynamic scopes seperated by spaces",
        ),
        // one that fits does not make the others fit
        (
            json!({ "dynamic_scope": "ABC abc" }),
            "dynamic_scope value abc must match a regular expression from the OP scope list OR the AuthGroup restricted dynamic scope list.",
        ),
        (
            json!({ "dynamic_scope": "openid" }),
            "dynamic_scope value openid must match a regular expression from the OP scope list OR the AuthGroup restricted dynamic scope list.",
        ),
    ];
    for (changes, message) in table {
        assert_eq!(fault(&changes), message, "{changes}");
    }
}

#[test]
fn the_first_fault_in_order_is_named() {
    let all = json!({
        "require_auth_time": 1, "grant_types": "x", "client_uri": 5, "application_type": "x",
        "scope": "zzz", "redirect_uris": ["x"], "client_label": "nice",
    });
    let order = [
        ("require_auth_time", "require_auth_time must be a boolean"),
        ("grant_types", "grant_types must be an array"),
        (
            "client_uri",
            "client_uri must be a non-empty string if provided",
        ),
        (
            "application_type",
            "application_type must be 'native' or 'web'",
        ),
        (
            "scope",
            "scope must only contain Authorization Server supported scope values",
        ),
        (
            "redirect_uris",
            "redirect_uris must only contain valid uris",
        ),
        (
            "client_label",
            "client_label be one of: login api app custom product-key",
        ),
    ];
    let mut left = all;
    for (name, message) in order {
        assert_eq!(fault(&left), message);
        if let Some(map) = left.as_object_mut() {
            map.remove(name);
        }
    }
}

#[test]
fn redirect_faults_have_their_own_code() {
    let code = |changes| match validate(given(&changes), &rules()) {
        Err(e) => e.code(),
        Ok(_) => "accepted",
    };
    assert_eq!(code(json!({ "redirect_uris": [] })), "invalid_redirect_uri");
    assert_eq!(
        code(json!({ "post_logout_redirect_uris": ["x"] })),
        "invalid_client_metadata"
    );
}

#[test]
fn defaults_are_stored_and_unknown_members_are_not() {
    let out = stored(&json!({
        "software_id": "x", "tos_url": "https://a.test", "userinfo_signed_response_alg": "RS256",
        "client_label": "", "client_skip_consent": true, "associated_product": "",
    }));
    assert_eq!(
        out,
        json!({
            "application_type": "web",
            "grant_types": ["authorization_code"],
            "id_token_signed_response_alg": "RS256",
            "post_logout_redirect_uris": [],
            "require_auth_time": false,
            "response_types": ["code"],
            "subject_type": "public",
            "token_endpoint_auth_method": "client_secret_basic",
            "introspection_endpoint_auth_method": "client_secret_basic",
            "revocation_endpoint_auth_method": "client_secret_basic",
            "backchannel_logout_session_required": false,
            "require_signed_request_object": false,
            "request_uris": [],
            "client_id_issued_at": 1,
            "client_id": "c",
            "client_name": "App",
            "client_secret": "s",
            "client_secret_expires_at": 0,
            "redirect_uris": ["https://one.test/cb"],
            "auth_group": "g",
            "client_skip_consent": true,
        })
    );
}

#[test]
fn values_are_normalised() {
    let out = stored(&json!({
        "grant_types": ["authorization_code", "implicit", "implicit"],
        "response_types": ["token id_token code", "code"],
        "scope": "openid email openid",
        "dynamic_scope": "ABC order:12 secret",
        "client_federation_options": ["oidc.google.x"],
        "client_skip_to_federated": "oidc.google.x",
        "access_token_signed_response_alg": "ES256",
        "sector_identifier_uri": "https://a.test/sector",
    }));
    assert_eq!(
        out["grant_types"],
        json!(["authorization_code", "implicit"])
    );
    assert_eq!(
        out["response_types"],
        json!(["code id_token token", "code"])
    );
    assert_eq!(out["scope"], "openid email");
    assert_eq!(out["dynamic_scope"], "ABC order:12 secret");
    assert_eq!(out["client_federation_options"], json!(["oidc.google.x"]));
    assert_eq!(out["client_skip_to_federated"], "oidc.google.x");
    assert_eq!(out["access_token_signed_response_alg"], "ES256");
    assert_eq!(out["sector_identifier_uri"], Json::Null);
}

#[test]
fn clients_without_redirects_and_native_clients_are_accepted() {
    let out = stored(&json!({
        "redirect_uris": null, "response_types": [], "grant_types": ["client_credentials"],
    }));
    assert_eq!(out["redirect_uris"], json!([]));
    let native = json!([
        "http://127.0.0.1:4000/cb",
        "com.example.app:/cb",
        "https://app.test/cb"
    ]);
    let out = stored(&json!({ "application_type": "native", "redirect_uris": native }));
    assert_eq!(out["redirect_uris"], native);
}

#[test]
fn a_literal_expression_is_a_scope_by_itself() {
    assert_eq!(
        stored(&json!({ "scope": "openid {d}^order:[0-9]+$" }))["scope"],
        "openid {d}^order:[0-9]+$"
    );
    assert!(fault(&json!({ "scope": "order:1" })).starts_with("scope must"));
}

#[test]
fn secrets_are_for_those_who_use_them() {
    let needs = |changes: Json| needs_secret(&given(&changes));
    assert!(needs(json!({})));
    assert!(!needs(json!({ "token_endpoint_auth_method": "none" })));
    assert!(!needs(
        json!({ "token_endpoint_auth_method": "private_key_jwt" })
    ));
    assert!(needs(json!({
        "token_endpoint_auth_method": "none", "introspection_endpoint_auth_method": "client_secret_basic",
    })));
    assert!(needs(json!({
        "token_endpoint_auth_method": "none", "request_object_signing_alg": "HS256",
    })));
    assert!(needs(json!({
        "token_endpoint_auth_method": "none", "id_token_encrypted_response_alg": "A128KW",
    })));
    assert!(!needs(json!({
        "token_endpoint_auth_method": "none", "id_token_encrypted_response_alg": "RSA-OAEP",
    })));
}
