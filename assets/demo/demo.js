// A small OpenID Connect client: authorization code flow with PKCE (RFC 7636), by a certified library.
import * as oauth from "./oauth4webapi.js";

const SCOPES = "openid email profile username offline_access";
const PENDING = "ueauth-demo-pending";
const REDIRECT_URI = `${location.origin}/demo`;

const $ = (id) => document.getElementById(id);
const show = (id, on) => { $(id).hidden = !on; };

const state = { config: null, server: null, client: null, options: {}, tokens: null, claims: null };

function note(text) {
  const item = document.createElement("li");
  item.textContent = text;
  $("log").append(item);
  show("log-fold", true);
}

function notice(text, tone = "error") {
  const box = $("notice");
  box.className = `flash flash-${tone}`;
  box.textContent = text;
  box.hidden = false;
  if (tone === "error") box.focus();
}

/** Fills a definition list. Values are only ever set as text. */
function list(id, entries) {
  $(id).replaceChildren(...entries.flatMap(([name, value]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
    return [dt, dd];
  }));
}

const moment = (seconds) => new Date(seconds * 1000).toLocaleString();
const claimEntries = (claims) => Object.entries(claims).map(([name, value]) =>
  [name, ["exp", "iat", "auth_time", "nbf"].includes(name) ? `${value} (${moment(value)})` : value]);

async function load() {
  if (!globalThis.crypto?.subtle) {
    throw new Error("This browser offers cryptography to secure pages only. Open the demo on https or on localhost.");
  }
  const answer = await fetch("/demo/config.json", { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error("The server offers no demo configuration. Start it in development mode.");
  const config = await answer.json();
  const issuer = new URL(config.issuer);
  // Plain http is for development on one's own machine.
  const options = { [oauth.allowInsecureRequests]: issuer.protocol === "http:" };
  Object.assign(state, { config, options, client: { client_id: config.client_id } });

  $("fact-issuer").textContent = config.issuer;
  $("fact-client").textContent = config.client_id;
  $("fact-scopes").textContent = SCOPES;
  $("link-discovery").href = `${config.issuer}/.well-known/openid-configuration`;
  if (config.hint) {
    $("hint").querySelector("strong").textContent = config.hint;
    show("hint", true);
  }

  const discovery = await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...options });
  state.server = await oauth.processDiscoveryResponse(issuer, discovery);
  note(`Read the discovery document of ${config.issuer}.`);
}

async function signIn() {
  const verifier = oauth.generateRandomCodeVerifier();
  const pending = { verifier, state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const url = new URL(state.server.authorization_endpoint);
  const parameters = {
    client_id: state.client.client_id,
    redirect_uri: REDIRECT_URI,
    response_type: "code",
    scope: SCOPES,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: pending.state,
    nonce: pending.nonce,
    // A refresh token is only given after an explicit consent (OpenID Connect Core, section 11).
    prompt: "consent",
  };
  if (state.config.hint) parameters.login_hint = state.config.hint;
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

async function finishSignIn(pending) {
  const parameters = oauth.validateAuthResponse(state.server, state.client, new URL(location.href), pending.state);
  note("Received an authorization code; state and issuer match.");
  const answer = await oauth.authorizationCodeGrantRequest(
    state.server, state.client, oauth.None(), parameters, REDIRECT_URI, pending.verifier, state.options);
  const tokens = await oauth.processAuthorizationCodeResponse(
    state.server, state.client, answer, { expectedNonce: pending.nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(state.server, answer, state.options);
  note("Exchanged the code for tokens; the ID token’s signature, issuer, audience, time and nonce are right.");
  state.claims = oauth.getValidatedIdTokenClaims(tokens);
  keep(tokens);
}

function keep(tokens) {
  state.tokens = {
    ...state.tokens,
    ...tokens,
    // A refresh answer may leave out what has not changed.
    expires_at: tokens.expires_in ? Math.floor(Date.now() / 1000) + tokens.expires_in : undefined,
  };
}

async function loadUserinfo() {
  const answer = await oauth.userInfoRequest(state.server, state.client, state.tokens.access_token, state.options);
  const userinfo = await oauth.processUserInfoResponse(state.server, state.client, state.claims.sub, answer);
  list("userinfo", claimEntries(userinfo));
  note("Asked userinfo; its subject is the ID token’s.");
  return userinfo;
}

async function refresh() {
  const before = state.tokens.refresh_token;
  const answer = await oauth.refreshTokenGrantRequest(state.server, state.client, oauth.None(), before, state.options);
  const tokens = await oauth.processRefreshTokenResponse(state.server, state.client, answer);
  if (tokens.id_token) {
    await oauth.validateApplicationLevelSignature(state.server, answer, state.options);
    state.claims = oauth.getValidatedIdTokenClaims(tokens) ?? state.claims;
  }
  keep(tokens);
  note(tokens.refresh_token && tokens.refresh_token !== before
    ? "Refreshed; the refresh token was replaced too."
    : "Refreshed; the refresh token stays the same.");
  render();
  await loadUserinfo();
  notice("The tokens are new.", "success");
}

function signOut() {
  const { end_session_endpoint: endpoint } = state.server;
  if (!endpoint) {
    location.assign("/demo");
    return;
  }
  const url = new URL(endpoint);
  url.searchParams.set("id_token_hint", state.tokens.id_token);
  url.searchParams.set("post_logout_redirect_uri", REDIRECT_URI);
  url.searchParams.set("state", "signed-out");
  location.assign(url);
}

function render() {
  const { tokens, claims } = state;
  list("claims", claimEntries(claims));
  const shown = [["Type", tokens.token_type]];
  if (tokens.scope) shown.push(["Scopes", tokens.scope]);
  if (tokens.expires_at) shown.push(["Expires", moment(tokens.expires_at)]);
  shown.push(["Refresh token", tokens.refresh_token ? "yes" : "no"]);
  list("access", shown);
  list("tokens", ["access_token", "refresh_token", "id_token"].filter((n) => tokens[n]).map((n) => [n, tokens[n]]));
  show("refresh", Boolean(tokens.refresh_token));
  show("signed-out", false);
  show("signed-in", true);
}

function explain(error) {
  const parts = [error.error ?? error.message];
  if (error.error_description) parts.push(error.error_description);
  if (error.cause?.message) parts.push(error.cause.message);
  return parts.join(" – ");
}

const guarded = (action) => async (event) => {
  const button = event?.currentTarget;
  if (button) button.disabled = true;
  $("notice").hidden = true;
  try {
    await action();
  } catch (error) {
    notice(explain(error));
  } finally {
    if (button) button.disabled = false;
  }
};

async function start() {
  const query = new URLSearchParams(location.search);
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  sessionStorage.removeItem(PENDING);
  try {
    await load();
    if (query.has("code") || query.has("error")) {
      if (!pending) throw new Error("This answer belongs to no sign-in of this tab. Please sign in again.");
      await finishSignIn(pending);
    } else if (query.get("state") === "signed-out") {
      notice("You are signed out.", "success");
    }
  } catch (error) {
    notice(explain(error));
  }
  // A code or an error must not stay in the address bar or be sent again by a reload.
  history.replaceState(null, "", "/demo");

  if (!state.tokens) {
    show("signed-out", true);
    $("sign-in").disabled = !state.server;
    return;
  }
  render();
  const userinfo = await loadUserinfo().catch((error) => {
    notice(explain(error));
    return {};
  });
  const name = userinfo.name ?? userinfo.email ?? state.claims.email ?? state.claims.sub;
  $("greeting").textContent = `Hello, ${name}`;
  $("greeting").focus();
}

$("sign-in").addEventListener("click", guarded(signIn));
$("refresh").addEventListener("click", guarded(refresh));
$("reload-userinfo").addEventListener("click", guarded(loadUserinfo));
$("sign-out").addEventListener("click", guarded(async () => signOut()));
start();
