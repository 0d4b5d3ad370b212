"""Authlib, the client that most Python applications use, from discovery to log-out."""

import base64
import hashlib
import json
import os
import secrets
import time
import uuid

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from browser import Browser, Departure, Page

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

REDIRECT = "https://py.test/cb"
GOODBYE = "https://py.test/bye"


@pytest.fixture(scope="session")
def tenant():
    if "UEAUTH_TENANT" not in os.environ:
        raise RuntimeError("UEAUTH_TENANT is not set: run the tests through start.mjs (make test does)")
    return json.loads(os.environ["UEAUTH_TENANT"])


@pytest.fixture(scope="session")
def server(tenant):
    response = requests.get(f"{tenant['issuer']}/.well-known/openid-configuration", timeout=30)
    assert response.status_code == 200
    metadata = response.json()
    assert metadata["issuer"] == tenant["issuer"]
    return metadata


@pytest.fixture(scope="session")
def keys(server):
    response = requests.get(server["jwks_uri"], timeout=30)
    assert response.headers["content-type"].startswith("application/jwk-set+json")
    key_set = response.json()
    for key in key_set["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys(), "a private member is published"
    # keys for encryption say so; only those for signatures are of interest here
    return KeySet.import_key_set({"keys": [key for key in key_set["keys"] if key.get("use") != "enc"]})


@pytest.fixture(scope="session")
def register(tenant, server):
    def register(**metadata):
        iat = requests.post(
            f"{tenant['issuer']}/token/initial-access", json={}, timeout=30,
            headers={"authorization": f"Bearer {tenant['ownerToken']}"},
        )
        assert iat.status_code == 200, iat.text
        body = {
            "client_name": f"authlib {uuid.uuid4()}",
            "redirect_uris": [REDIRECT],
            "post_logout_redirect_uris": [GOODBYE],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid email username offline_access",
        } | metadata
        response = requests.post(
            server["registration_endpoint"], json=body, timeout=30, headers={"authorization": f"Bearer {iat.json()['jti']}"}
        )
        assert response.status_code == 201, response.text
        return response.json()

    return register


@pytest.fixture(scope="session")
def app(register):
    return register()


def session_for(server, client, **more):
    return OAuth2Session(
        client["client_id"], client.get("client_secret"), token_endpoint=server["token_endpoint"],
        token_endpoint_auth_method=client["token_endpoint_auth_method"], redirect_uri=REDIRECT,
        code_challenge_method="S256", **more,
    )


class Flow:
    """One authorization request, driven through the pages."""

    def __init__(self, tenant, server, client, browser=None, **parameters):
        self.server, self.browser = server, browser or Browser(tenant["url"])
        self.verifier, self.nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        scope = parameters.pop("scope", "openid email offline_access")
        self.client = session_for(server, client, scope=scope)
        parameters = {"nonce": self.nonce, "prompt": "consent"} | parameters
        url, self.state = self.client.create_authorization_url(
            server["authorization_endpoint"], code_verifier=self.verifier, **parameters
        )
        self.end = self.browser.authorize(url, tenant["user"]["email"], tenant["user"]["password"])

    def tokens(self, **more):
        assert isinstance(self.end, Departure), f"the login stopped at {self.end.url}"
        more = {"code_verifier": self.verifier} | more
        return self.client.fetch_token(self.server["token_endpoint"], authorization_response=self.end.url, state=self.state, **more)

    def userinfo(self):
        return self.client.get(self.server["userinfo_endpoint"])


@pytest.fixture
def sign_in(tenant, server, app):
    def sign_in(client=None, browser=None, **parameters):
        flow = Flow(tenant, server, client or app, browser, **parameters)
        flow.token = flow.tokens()
        return flow

    return sign_in


def half_hash(text):
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def refused(error):
    return pytest.raises(OAuthError, match=f"^{error}: ")


def test_code_with_pkce(tenant, app, keys, sign_in):
    flow = sign_in()
    assert flow.end.params["iss"] == tenant["issuer"]
    assert flow.end.params["state"] == flow.state
    token = flow.token
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": tenant["issuer"]}, aud={"essential": True, "value": app["client_id"]},
        sub={"essential": True, "value": tenant["user"]["id"]}, nonce={"essential": True, "value": flow.nonce},
        exp={"essential": True}, iat={"essential": True},
    ).validate(claims)
    assert claims["at_hash"] == half_hash(token["access_token"])
    info = flow.userinfo()
    assert info.status_code == 200
    assert info.json()["sub"] == claims["sub"]
    assert info.json()["email"] == tenant["user"]["email"]


def test_wrong_state_is_noticed(tenant, server, app):
    flow = Flow(tenant, server, app)
    with pytest.raises(MismatchingStateException):
        flow.client.fetch_token(
            server["token_endpoint"], authorization_response=flow.end.url, state="another", code_verifier=flow.verifier
        )


def test_wrong_verifier(tenant, server, app):
    with refused("invalid_grant"):
        Flow(tenant, server, app).tokens(code_verifier=secrets.token_urlsafe(48))


def test_replayed_code_ends_its_tokens(sign_in):
    flow = sign_in()
    assert flow.userinfo().status_code == 200
    with refused("invalid_grant"):
        flow.tokens()
    flow.client.token = flow.token
    answer = flow.userinfo()
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("redirect_uri", ["https://attacker.test/cb", REDIRECT + "/../x", "//attacker.test"])
def test_unregistered_redirect_uri_is_never_followed(tenant, server, app, redirect_uri):
    flow = Flow(tenant, server, app, redirect_uri=redirect_uri)
    assert isinstance(flow.end, Page), f"sent to {flow.end.url}"
    assert flow.end.status == 400


def test_refresh(tenant, server, sign_in):
    flow = sign_in()
    first = flow.token
    renewed = flow.client.refresh_token(server["token_endpoint"], refresh_token=first["refresh_token"])
    assert renewed["access_token"] != first["access_token"]
    assert flow.userinfo().json()["sub"] == tenant["user"]["id"]


def test_reused_refresh_token_ends_the_family(server, register, sign_in):
    public = register(token_endpoint_auth_method="none")
    assert "client_secret" not in public
    flow = sign_in(public)
    first = flow.token["refresh_token"]
    second = flow.client.refresh_token(server["token_endpoint"], refresh_token=first)["refresh_token"]
    assert second != first
    for token in (first, second):
        with refused("invalid_grant"):
            flow.client.refresh_token(server["token_endpoint"], refresh_token=token)
    assert flow.userinfo().status_code == 401


def test_introspection_and_revocation(tenant, server, app, sign_in):
    flow = sign_in()

    def introspect(token):
        return flow.client.introspect_token(server["introspection_endpoint"], token=token).json()

    seen = introspect(flow.token["access_token"])
    assert seen["active"] is True
    assert seen["sub"] == tenant["user"]["id"]
    assert seen["client_id"] == app["client_id"]
    assert seen["exp"] > time.time()
    assert flow.client.revoke_token(server["revocation_endpoint"], token=flow.token["access_token"]).status_code == 200
    assert introspect(flow.token["access_token"]) == {"active": False}
    assert flow.client.revoke_token(server["revocation_endpoint"], token=flow.token["refresh_token"]).status_code == 200
    with refused("invalid_grant"):
        flow.client.refresh_token(server["token_endpoint"], refresh_token=flow.token["refresh_token"])


SERVICE = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [], "post_logout_redirect_uris": [], "scope": "orders:read"}


def test_client_credentials(tenant, server, keys, register):
    service = register(**SERVICE)
    client = session_for(server, service, scope="orders:read")
    opaque = client.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    assert opaque["scope"] == "orders:read"
    assert "refresh_token" not in opaque
    signed = client.fetch_token(server["token_endpoint"], grant_type="client_credentials", resource="https://api.shop.test")
    token = jwt.decode(signed["access_token"], keys, algorithms=["RS256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == tenant["issuer"]
    assert token.claims["aud"] == "https://api.shop.test"
    assert token.claims["sub"] == token.claims["client_id"] == service["client_id"]
    client.scope = "api:write"
    with refused("invalid_scope"):
        client.fetch_token(server["token_endpoint"], grant_type="client_credentials")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_secrets(server, register, method):
    service = register(**SERVICE, token_endpoint_auth_method=method)
    assert session_for(server, service).fetch_token(server["token_endpoint"], grant_type="client_credentials")["access_token"]
    thief = service | {"client_secret": "wrong"}
    with refused("invalid_client"):
        session_for(server, thief).fetch_token(server["token_endpoint"], grant_type="client_credentials")


def test_client_secret_jwt(server, register):
    service = register(**SERVICE, token_endpoint_auth_method="client_secret_jwt")
    client = session_for(server, service)
    client.register_client_auth_method(ClientSecretJWT(server["token_endpoint"]))
    assert client.fetch_token(server["token_endpoint"], grant_type="client_credentials")["access_token"]


def test_private_key_jwt(server, register):
    key = RSAKey.generate_key(2048, {"kid": "py", "use": "sig"})
    jwks = {"keys": [key.as_dict(private=False)]}
    service = register(**SERVICE, token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    assert "client_secret" not in service
    client = OAuth2Session(
        service["client_id"], key.as_dict(private=True), token_endpoint_auth_method=PrivateKeyJWT(server["token_endpoint"])
    )
    assert client.fetch_token(server["token_endpoint"], grant_type="client_credentials")["access_token"]


def test_logout(tenant, server, sign_in, app):
    flow = sign_in(scope="openid email", prompt="login")
    url = requests.Request("GET", server["end_session_endpoint"], params={
        "id_token_hint": flow.token["id_token"], "post_logout_redirect_uri": GOODBYE, "state": "bye",
    }).prepare().url
    end = flow.browser.logout(url)
    assert isinstance(end, Departure), f"the log-out stopped at {end.url}"
    assert end.url == f"{GOODBYE}?state=bye"
    afterwards = Flow(tenant, server, app, flow.browser, prompt="none")
    assert afterwards.end.params["error"] == "login_required"
    assert flow.userinfo().status_code == 401


def test_wrong_password(tenant, server, app):
    tenant = tenant | {"user": tenant["user"] | {"password": "wrong!pass"}}
    flow = Flow(tenant, server, app)
    assert isinstance(flow.end, Page)
    assert flow.end.status == 200
