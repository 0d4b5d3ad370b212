// oauth4webapi, which checks every answer against the letter of the specifications.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { before, describe, it } from 'node:test';
import * as oauth from 'oauth4webapi';
import { Browser, Departure, Page } from './browser.mjs';
import { initialAccessToken, tenantFromEnvironment } from './tenant.mjs';

const tenant = tenantFromEnvironment();
const REDIRECT = 'https://web.test/cb';
const GOODBYE = 'https://web.test/bye';
const insecure = { [oauth.allowInsecureRequests]: true };

describe('oauth4webapi', () => {
  let server;
  let app;
  let secret;

  before(async () => {
    const issuer = new URL(tenant.issuer);
    server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
    app = await register({
      redirect_uris: [REDIRECT],
      post_logout_redirect_uris: [GOODBYE],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid email username offline_access',
      require_auth_time: true,
    });
    secret = oauth.ClientSecretBasic(app.client_secret);
  });

  async function register(metadata) {
    const response = await oauth.dynamicClientRegistrationRequest(
      server,
      { client_name: `oauth4webapi ${randomUUID()}`, ...metadata },
      { initialAccessToken: await initialAccessToken(tenant), ...insecure },
    );
    assert.equal(response.headers.get('cache-control'), 'no-store');
    return oauth.processDynamicClientRegistrationResponse(response);
  }

  async function authorize(more = {}, browser = new Browser(tenant.url)) {
    const flow = {
      verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), browser,
    };
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({
      client_id: app.client_id,
      response_type: 'code',
      redirect_uri: REDIRECT,
      scope: 'openid email offline_access',
      prompt: 'consent',
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: 'S256',
      ...more,
    });
    flow.end = await browser.authorize(url, tenant.user);
    return flow;
  }

  const exchange = (flow, more = {}) => oauth.authorizationCodeGrantRequest(
    server, app, secret,
    oauth.validateAuthResponse(server, app, flow.end.url, flow.state),
    more.redirectUri ?? REDIRECT, more.verifier ?? flow.verifier, insecure,
  );

  async function signIn(more, browser) {
    const flow = await authorize(more, browser);
    assert.ok(flow.end instanceof Departure, `the login stopped at ${flow.end.url}`);
    const response = await exchange(flow);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const tokens = await oauth.processAuthorizationCodeResponse(server, app, response, {
      expectedNonce: flow.nonce, requireIdToken: true,
    });
    await oauth.validateApplicationLevelSignature(server, response, insecure);
    return { ...flow, tokens, claims: oauth.getValidatedIdTokenClaims(tokens) };
  }

  const refresh = async (token, more = {}) => oauth.processRefreshTokenResponse(server, app,
    await oauth.refreshTokenGrantRequest(server, app, secret, token, { additionalParameters: more, ...insecure }));
  const introspect = async (token) => oauth.processIntrospectionResponse(server, app,
    await oauth.introspectionRequest(server, app, secret, token, insecure));
  const userinfo = async (token) => oauth.processUserInfoResponse(server, app, tenant.user.id,
    await oauth.userInfoRequest(server, app, token, insecure));
  const fails = (promise, error, status = 400) => assert.rejects(promise, (thrown) => {
    assert.equal(thrown.error ?? thrown.cause?.[0]?.parameters?.error, error, `${thrown}`);
    assert.equal(thrown.status, status);
    return true;
  });

  it('discovers what the provider can do', () => {
    assert.equal(server.authorization_response_iss_parameter_supported, true);
    assert.deepEqual(server.code_challenge_methods_supported, ['S256']);
    assert.deepEqual(server.subject_types_supported, ['public']);
    assert.ok(server.grant_types_supported.includes('client_credentials'));
    assert.ok(!server.grant_types_supported.includes('password'));
  });

  it('signs a user in; the ID token carries time, hash and nonce', async () => {
    const started = Math.floor(Date.now() / 1000);
    const { tokens, claims, nonce, end } = await signIn();
    assert.equal(end.params.get('iss'), tenant.issuer);
    assert.equal(claims.nonce, nonce);
    assert.equal(claims.sub, tenant.user.id);
    assert.ok(claims.auth_time >= started - 1 && claims.auth_time <= claims.iat, 'require_auth_time');
    const digest = createHash('sha256').update(tokens.access_token).digest();
    assert.equal(claims.at_hash, digest.subarray(0, 16).toString('base64url'));
    const info = await userinfo(tokens.access_token);
    assert.equal(info.email, tenant.user.email);
    assert.equal(info.username, undefined, 'the scope was not asked for');
  });

  it('binds a code to its verifier, redirect URI and client', async () => {
    const process = async (flow, more) => oauth.processAuthorizationCodeResponse(server, app, await exchange(flow, more));
    await fails(process(await authorize(), { verifier: oauth.generateRandomCodeVerifier() }), 'invalid_grant');
    await fails(process(await authorize(), { redirectUri: 'https://web.test/other' }), 'invalid_grant');
    const flow = await authorize();
    const other = await register({ redirect_uris: [REDIRECT] });
    const response = await oauth.authorizationCodeGrantRequest(server, other, oauth.ClientSecretBasic(other.client_secret),
      oauth.validateAuthResponse(server, other, flow.end.url, flow.state), REDIRECT, flow.verifier, insecure);
    await fails(oauth.processAuthorizationCodeResponse(server, other, response), 'invalid_grant');
  });

  it('turns a replayed code into the end of its tokens', async () => {
    const flow = await signIn();
    await fails(oauth.processAuthorizationCodeResponse(server, app, await exchange(flow)), 'invalid_grant');
    assert.deepEqual(await introspect(flow.tokens.access_token), { active: false });
    await fails(refresh(flow.tokens.refresh_token), 'invalid_grant');
  });

  it('gives one code away only once when it is asked for many times at once', async () => {
    const flow = await authorize();
    const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(flow)));
    assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
    for (const answer of answers) if (answer.status !== 200) assert.equal((await answer.json()).error, 'invalid_grant');
  });

  it('says in its answers to the application why it refuses', async () => {
    for (const [more, error] of [
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ code_challenge: 'short' }, 'invalid_request'],
      [{ response_type: 'magic' }, 'unsupported_response_type'],
      [{ response_type: 'id_token' }, 'unauthorized_client'],
      [{ scope: 'openid core:write' }, 'invalid_scope'],
      [{ prompt: 'none' }, 'login_required'],
      [{ request: 'a.b.c' }, 'request_not_supported'],
    ]) {
      const { end, state } = await authorize(more);
      assert.ok(end instanceof Departure, `${JSON.stringify(more)} stopped at ${end.url}`);
      assert.equal(end.params.get('error'), error, JSON.stringify(more));
      assert.equal(end.params.get('state'), state);
      assert.equal(end.params.get('iss'), tenant.issuer);
      assert.ok(end.params.get('error_description') || error === 'access_denied');
      assert.equal(end.params.get('code'), null);
    }
  });

  it('shows a page instead when the redirect URI is not registered', async () => {
    for (const redirect_uri of ['https://attacker.test', 'http://web.test/cb', 'https://WEB.test/cb', 'https://web.test/cb/', 'javascript:alert(1)']) {
      for (const response_type of ['code', 'magic']) {
        const { end } = await authorize({ redirect_uri, response_type });
        assert.ok(end instanceof Page, `sent to ${end.url}`);
        assert.equal(end.status, 400);
      }
    }
  });

  it('escapes what it repeats on a page', async () => {
    const { end } = await authorize({ redirect_uri: 'https://attacker.test', state: '<script>alert(1)</script>' });
    assert.ok(end instanceof Page);
    assert.ok(!end.text.includes('<script>alert(1)'));
  });

  it('refreshes, narrows, introspects and revokes', async () => {
    const { tokens } = await signIn();
    const renewed = await refresh(tokens.refresh_token);
    const current = renewed.refresh_token ?? tokens.refresh_token;
    assert.equal((await introspect(renewed.access_token)).sub, tenant.user.id);
    assert.equal((await refresh(current, { scope: 'openid' })).scope, 'openid');
    await fails(refresh(current, { scope: 'openid username' }), 'invalid_scope');
    await fails(refresh('unknown'), 'invalid_grant');
    const revoke = async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(server, app, secret, token, insecure));
    await revoke(renewed.access_token);
    await fails(userinfo(renewed.access_token), 'invalid_token', 401);
    await revoke(current);
    await fails(refresh(current), 'invalid_grant');
    assert.deepEqual(await introspect(tokens.access_token), { active: false }, 'the grant went with its refresh token');
    await revoke('unknown');
  });

  it('gets a signed access token that validates by RFC 9068', async () => {
    const service = await register({
      grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: 'orders:read', token_endpoint_auth_method: 'client_secret_post',
    });
    const response = await oauth.clientCredentialsGrantRequest(server, service, oauth.ClientSecretPost(service.client_secret),
      { scope: 'orders:read', resource: 'https://api.shop.test' }, insecure);
    const tokens = await oauth.processClientCredentialsResponse(server, service, response);
    const request = new Request('https://api.shop.test/orders', { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(server, request, 'https://api.shop.test', insecure);
    assert.equal(claims.client_id, service.client_id);
    assert.equal(claims.scope, 'orders:read');
    await assert.rejects(oauth.validateJwtAccessToken(server, request, 'https://other.test', insecure));
    assert.deepEqual(await introspect(tokens.access_token), { active: false }, 'signed tokens are not stored');
  });

  it('may not mix ways of authenticating, nor use a wrong secret', async () => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: app.client_id, client_secret: app.client_secret });
    const authorization = `Basic ${Buffer.from(`${app.client_id}:${app.client_secret}`).toString('base64')}`;
    const twice = await fetch(server.token_endpoint, { method: 'POST', headers: { authorization }, body });
    assert.equal(twice.status, 400);
    assert.equal((await twice.json()).error, 'invalid_request');
    const wrong = await fetch(server.token_endpoint, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${app.client_id}:no`).toString('base64')}` }, body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    assert.equal(wrong.status, 401);
    assert.match(wrong.headers.get('www-authenticate'), /^Basic realm="[^"]+", error="invalid_client"/);
    const answer = await wrong.json();
    assert.equal(answer.error, 'invalid_client');
    assert.ok(answer.message && answer.id && answer.error_description);
  });

  it('reads, updates and deletes its registration', async () => {
    const mine = await register({ redirect_uris: [REDIRECT], client_name: `managed ${randomUUID()}` });
    const manage = (method, token, json) => fetch(mine.registration_client_uri, {
      method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: json && JSON.stringify(json),
    });
    const read = await (await manage('GET', mine.registration_access_token)).json();
    assert.equal(read.client_id, mine.client_id);
    assert.equal(read.client_secret, mine.client_secret);
    const updated = await manage('PUT', mine.registration_access_token, {
      client_id: mine.client_id, client_secret: mine.client_secret, auth_group: tenant.group, client_name: `${mine.client_name} b`, redirect_uris: ['https://web.test/two'],
    });
    assert.equal(updated.status, 200);
    const { registration_access_token: next, redirect_uris } = await updated.json();
    assert.deepEqual(redirect_uris, ['https://web.test/two']);
    assert.notEqual(next, mine.registration_access_token);
    assert.equal((await manage('GET', mine.registration_access_token)).status, 401, 'the old token is spent');
    assert.equal((await manage('DELETE', next)).status, 204);
    assert.equal((await manage('GET', next)).status, 401);
  });

  it('logs the user out', async () => {
    const { tokens, browser } = await signIn({ scope: 'openid email', prompt: 'login' });
    const url = new URL(server.end_session_endpoint);
    url.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: GOODBYE, state: 'later' });
    const end = await browser.logout(url);
    assert.ok(end instanceof Departure, `the log-out stopped at ${end.url}`);
    assert.equal(end.url.href, `${GOODBYE}?state=later`);
    const { end: again } = await authorize({ prompt: 'none' }, browser);
    assert.equal(again.params.get('error'), 'login_required');
    assert.deepEqual(await introspect(tokens.access_token), { active: false });
  });
});
