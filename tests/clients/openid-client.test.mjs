// openid-client, the client that most Node.js applications use, from discovery to log-out.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { before, describe, it } from 'node:test';
import * as client from 'openid-client';
import { createRemoteJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import { Browser, Departure, Page } from './browser.mjs';
import { initialAccessToken, tenantFromEnvironment } from './tenant.mjs';

const tenant = tenantFromEnvironment();
const REDIRECT = 'https://app.test/cb';
const GOODBYE = 'https://app.test/bye';
const insecure = { execute: [client.allowInsecureRequests] };
const halfHash = (algorithm, text) => {
  const digest = createHash(algorithm).update(text).digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
};

async function register(authentication, metadata = {}) {
  return client.dynamicClientRegistration(
    new URL(tenant.issuer),
    {
      client_name: `openid-client ${randomUUID()}`,
      redirect_uris: [REDIRECT],
      post_logout_redirect_uris: [GOODBYE],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid email username offline_access orders:read',
      ...metadata,
    },
    authentication,
    { initialAccessToken: await initialAccessToken(tenant), ...insecure },
  );
}

const registerPublic = () => register(client.None(), { token_endpoint_auth_method: 'none' });

const registerService = (authentication, metadata = {}) =>
  register(authentication, {
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    post_logout_redirect_uris: [],
    scope: 'orders:read orders:write',
    ...metadata,
  });

/** Sends the user through the login page; answers where they came back and what the client must check. */
async function authorize(config, parameters = {}, browser = new Browser(tenant.url)) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    idTokenExpected: true,
  };
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'openid email username offline_access',
    prompt: 'consent',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...parameters,
  });
  return { end: await browser.authorize(url, tenant.user), checks, browser };
}

async function signIn(config, parameters, browser) {
  const { end, checks, browser: used } = await authorize(config, parameters, browser);
  assert.ok(end instanceof Departure, `the login stopped at ${end.url}`);
  return { tokens: await client.authorizationCodeGrant(config, end.url, checks), end, checks, browser: used };
}

const oauthError = (error, status) => (thrown) => {
  assert.equal(thrown.error, error, `${thrown} ${JSON.stringify(thrown.cause)}`);
  assert.equal(thrown.status, status);
  return true;
};
const invalidToken = (thrown) => {
  assert.equal(thrown.status, 401, String(thrown));
  assert.equal(thrown.cause?.[0]?.parameters?.error, 'invalid_token');
  return true;
};

describe('openid-client', () => {
  let web;
  before(async () => {
    web = await register(client.ClientSecretBasic());
  });

  it('discovers the provider', async () => {
    const config = await client.discovery(new URL(tenant.issuer), 'anyone', undefined, client.None(), insecure);
    const server = config.serverMetadata();
    assert.equal(server.issuer, tenant.issuer);
    assert.equal(server.authorization_response_iss_parameter_supported, true);
    assert.ok(server.supportsPKCE('S256'));
    for (const endpoint of ['authorization', 'token', 'userinfo', 'introspection', 'revocation', 'registration', 'end_session']) {
      assert.ok(server[`${endpoint}_endpoint`].startsWith(`${tenant.issuer}/`), endpoint);
    }
  });

  it('registers a client and keeps what was asked for', () => {
    const metadata = web.clientMetadata();
    assert.match(metadata.client_id, /^[0-9a-f-]{36}$/);
    assert.ok(metadata.client_secret.length >= 43);
    assert.ok(metadata.registration_access_token);
    assert.equal(metadata.registration_client_uri, `${tenant.issuer}/reg/${metadata.client_id}`);
    assert.deepEqual(metadata.redirect_uris, [REDIRECT]);
    assert.equal(metadata.token_endpoint_auth_method, 'client_secret_basic');
  });

  it('cannot register twice with one initial access token, nor without one', async () => {
    const token = await initialAccessToken(tenant);
    const attempt = (initial) => client.dynamicClientRegistration(
      new URL(tenant.issuer),
      { client_name: `once ${randomUUID()}`, redirect_uris: [REDIRECT] },
      client.ClientSecretBasic(),
      { initialAccessToken: initial, ...insecure },
    );
    await attempt(token);
    await assert.rejects(attempt(token), (thrown) => thrown.status === 401 || thrown.cause?.status === 401);
    await assert.rejects(attempt(undefined), (thrown) => thrown.status === 400 || thrown.cause?.status === 400);
  });

  it('signs a user in with code and PKCE', async () => {
    const { tokens, end, checks } = await signIn(web);
    assert.equal(end.params.get('iss'), tenant.issuer);
    assert.equal(end.params.get('state'), checks.expectedState);
    assert.equal(tokens.token_type, 'bearer');
    assert.equal(tokens.expires_in, 3600);
    assert.deepEqual(new Set(tokens.scope.split(' ')), new Set(['openid', 'email', 'username', 'offline_access']));
    const claims = tokens.claims();
    assert.equal(claims.iss, tenant.issuer);
    assert.equal(claims.aud, web.clientMetadata().client_id);
    assert.equal(claims.sub, tenant.user.id);
    assert.equal(claims.nonce, checks.expectedNonce);
    assert.equal(claims.group, tenant.group);
    assert.equal(claims.exp - claims.iat, 3600);
    assert.equal(claims.at_hash, halfHash('sha256', tokens.access_token));
    assert.equal(claims.email, undefined, 'userinfo has the e-mail, the ID token beside an opaque token has not');
    assert.ok(tokens.refresh_token);
    const keys = createRemoteJWKSet(new URL(web.serverMetadata().jwks_uri));
    await jwtVerify(tokens.id_token, keys, { issuer: tenant.issuer, audience: claims.aud, algorithms: ['RS256'] });
    const { email, username, verified, sub } = await client.fetchUserInfo(web, tokens.access_token, claims.sub);
    assert.deepEqual({ email, username, verified, sub }, {
      email: tenant.user.email, username: tenant.user.email, verified: false, sub: tenant.user.id,
    });
  });

  for (const algorithm of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    it(`gets ID tokens signed with ${algorithm}`, async () => {
      const config = await register(client.ClientSecretBasic(), { id_token_signed_response_alg: algorithm });
      client.enableNonRepudiationChecks(config);
      const { tokens } = await signIn(config);
      assert.equal(decodeProtectedHeader(tokens.id_token).alg, algorithm);
      // OpenID Connect Core 3.1.3.6: the hash of the algorithm, which for Ed25519 is SHA-512
      const hash = algorithm === 'EdDSA' ? 'sha512' : 'sha256';
      assert.equal(tokens.claims().at_hash, halfHash(hash, tokens.access_token));
    });
  }

  it('signs a user in with form_post', async () => {
    const { tokens, end } = await signIn(web, { response_mode: 'form_post' }, new FormPostBrowser(tenant.url));
    assert.equal(end.params.get('iss'), tenant.issuer);
    assert.equal(tokens.claims().sub, tenant.user.id);
  });

  it('signs the user in again without a page while the session lasts', async () => {
    const { browser } = await signIn(web);
    const { end } = await authorize(web, { prompt: 'none', scope: 'openid email' }, browser);
    assert.ok(end instanceof Departure && end.params.get('code'), String(end.url));
    const stranger = await authorize(web, { prompt: 'none', scope: 'openid email' });
    assert.equal(stranger.end.params.get('error'), 'login_required');
    assert.equal(stranger.end.params.get('iss'), tenant.issuer);
  });

  it('refuses a wrong state, nonce or issuer', async () => {
    const { end, checks } = await authorize(web);
    const grant = (url, more) => client.authorizationCodeGrant(web, url, { ...checks, ...more });
    const because = (what) => (thrown) => assert.match(String(thrown.cause), what) ?? true;
    await assert.rejects(grant(end.url, { expectedState: 'another' }), because(/"state"/));
    const forged = new URL(end.url);
    forged.searchParams.set('iss', 'https://attacker.test');
    await assert.rejects(grant(forged, {}), because(/"iss"/));
    await assert.rejects(grant(end.url, { expectedNonce: 'another' }), because(/"nonce"/));
  });

  it('gets nothing with a wrong PKCE verifier', async () => {
    const { end, checks } = await authorize(web);
    await assert.rejects(
      client.authorizationCodeGrant(web, end.url, { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }),
      oauthError('invalid_grant', 400),
    );
  });

  it('loses its tokens when the code is replayed', async () => {
    const { tokens, end, checks } = await signIn(web);
    await assert.rejects(client.authorizationCodeGrant(web, end.url, checks), oauthError('invalid_grant', 400));
    await assert.rejects(client.fetchUserInfo(web, tokens.access_token, tenant.user.id), invalidToken);
    await assert.rejects(client.refreshTokenGrant(web, tokens.refresh_token), oauthError('invalid_grant', 400));
  });

  it('is never sent to a redirect URI that it did not register', async () => {
    for (const redirect_uri of ['https://attacker.test/cb', `${REDIRECT}/more`, `${REDIRECT}?a=b`, 'https://app.test.attacker.test/cb']) {
      const { end } = await authorize(web, { redirect_uri });
      assert.ok(end instanceof Page, `sent to ${end.url}`);
      assert.equal(end.status, 400);
      assert.ok(!end.text.includes('code='));
    }
    const { end } = await authorize(web, { redirect_uri: 'https://attacker.test/cb', response_type: 'nonsense' });
    assert.ok(end instanceof Page, 'errors do not go there either');
  });

  it('refreshes as a confidential client', async () => {
    const { tokens } = await signIn(web);
    const renewed = await client.refreshTokenGrant(web, tokens.refresh_token);
    assert.notEqual(renewed.access_token, tokens.access_token);
    assert.equal(renewed.claims().sub, tenant.user.id);
    assert.equal(renewed.claims().at_hash, halfHash('sha256', renewed.access_token));
    const narrower = await client.refreshTokenGrant(web, renewed.refresh_token ?? tokens.refresh_token, { scope: 'openid' });
    assert.equal(narrower.scope, 'openid');
    await assert.rejects(
      client.refreshTokenGrant(web, renewed.refresh_token ?? tokens.refresh_token, { scope: 'openid orders:read' }),
      oauthError('invalid_scope', 400),
    );
  });

  it('rotates the refresh tokens of a public client, and a reused one ends the whole family', async () => {
    const config = await registerPublic();
    const { tokens } = await signIn(config);
    const second = await client.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(second.refresh_token, tokens.refresh_token);
    await client.fetchUserInfo(config, second.access_token, tenant.user.id);
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), oauthError('invalid_grant', 400));
    await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), oauthError('invalid_grant', 400));
    await assert.rejects(client.fetchUserInfo(config, second.access_token, tenant.user.id), invalidToken);
  });

  it('cannot use the refresh token of another client', async () => {
    const { tokens } = await signIn(web);
    const other = await register(client.ClientSecretBasic());
    await assert.rejects(client.refreshTokenGrant(other, tokens.refresh_token), oauthError('invalid_grant', 400));
    await client.refreshTokenGrant(web, tokens.refresh_token);
  });

  it('introspects and revokes tokens', async () => {
    const { tokens } = await signIn(web);
    const active = await client.tokenIntrospection(web, tokens.access_token);
    assert.equal(active.active, true);
    assert.equal(active.sub, tenant.user.id);
    assert.equal(active.client_id, web.clientMetadata().client_id);
    assert.equal(active.iss, tenant.issuer);
    assert.equal(active.token_type, 'Bearer');
    assert.equal(active.group, tenant.group);
    assert.ok(active.exp > active.iat);
    await client.tokenRevocation(web, tokens.access_token);
    assert.deepEqual(await client.tokenIntrospection(web, tokens.access_token), { active: false });
    await assert.rejects(client.fetchUserInfo(web, tokens.access_token, tenant.user.id), invalidToken);
    const refresh = await client.tokenIntrospection(web, tokens.refresh_token, { token_type_hint: 'refresh_token' });
    assert.equal(refresh.active, true);
    await client.tokenRevocation(web, tokens.refresh_token);
    await assert.rejects(client.refreshTokenGrant(web, tokens.refresh_token), oauthError('invalid_grant', 400));
    assert.deepEqual(await client.tokenIntrospection(web, 'unknown'), { active: false });
  });

  it('gets opaque and signed tokens for itself, by audience', async () => {
    const config = await registerService(client.ClientSecretBasic());
    const opaque = await client.clientCredentialsGrant(config, { scope: 'orders:read' });
    assert.equal(opaque.scope, 'orders:read');
    assert.match(opaque.access_token, /^[\w-]{43}$/);
    const seen = await client.tokenIntrospection(config, opaque.access_token);
    assert.equal(seen.active, true);
    assert.equal(seen.client_id, config.clientMetadata().client_id);
    assert.equal(seen.scope, 'orders:read');
    const signed = await client.clientCredentialsGrant(config, { scope: 'orders:read', resource: 'https://api.shop.test' });
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const { payload, protectedHeader } = await jwtVerify(signed.access_token, keys, {
      issuer: tenant.issuer, audience: 'https://api.shop.test', typ: 'at+jwt', algorithms: ['RS256'],
    });
    assert.ok(protectedHeader.kid);
    assert.equal(payload.sub, config.clientMetadata().client_id);
    assert.equal(payload.client_id, config.clientMetadata().client_id);
    assert.equal(payload.scope, 'orders:read');
    assert.equal(payload.group, tenant.group);
    assert.ok(payload.jti);
    await assert.rejects(client.clientCredentialsGrant(config, { scope: 'api:write' }), oauthError('invalid_scope', 400));
    await assert.rejects(client.clientCredentialsGrant(config, { resource: 'not a uri' }), oauthError('invalid_target', 400));
  });

  for (const [name, authentication] of [
    ['client_secret_basic', client.ClientSecretBasic()],
    ['client_secret_post', client.ClientSecretPost()],
    ['client_secret_jwt', client.ClientSecretJwt()],
  ]) {
    it(`authenticates with ${name}`, async () => {
      const config = await registerService(authentication, { token_endpoint_auth_method: name });
      const tokens = await client.clientCredentialsGrant(config, { scope: 'orders:read' });
      assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, true);
      const { client_id } = config.clientMetadata();
      const thief = { ...config.clientMetadata(), client_secret: `${config.clientMetadata().client_secret}x` };
      const wrong = await client.discovery(new URL(tenant.issuer), client_id, thief, authentication, insecure);
      await assert.rejects(client.clientCredentialsGrant(wrong, {}), oauthFailure('invalid_client', 401));
    });
  }

  it('authenticates with private_key_jwt', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'mine', use: 'sig', alg: 'ES256' };
    const authentication = client.PrivateKeyJwt({ key: pair.privateKey, kid: 'mine' });
    const config = await registerService(authentication, { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] } });
    assert.equal(config.clientMetadata().client_secret, undefined);
    const tokens = await client.clientCredentialsGrant(config, { scope: 'orders:read' });
    assert.equal(tokens.scope, 'orders:read');
    const stranger = await generateKeyPair('ES256');
    const forged = await client.discovery(new URL(tenant.issuer), config.clientMetadata().client_id, {},
      client.PrivateKeyJwt({ key: stranger.privateKey, kid: 'mine' }), insecure);
    await assert.rejects(client.clientCredentialsGrant(forged, {}), oauthFailure('invalid_client', 401));
  });

  it('gives a public client no token of its own', async () => {
    const config = await register(client.None(), {
      token_endpoint_auth_method: 'none', grant_types: ['client_credentials'], response_types: [], redirect_uris: [], post_logout_redirect_uris: [],
    });
    await assert.rejects(client.clientCredentialsGrant(config, {}), oauthError('unauthorized_client', 400));
  });

  it('logs the user out and comes back', async () => {
    const { tokens, browser } = await signIn(web, { scope: 'openid email', prompt: 'login' });
    const url = client.buildEndSessionUrl(web, {
      id_token_hint: tokens.id_token, post_logout_redirect_uri: GOODBYE, state: 'bye',
    });
    const end = await browser.logout(url);
    assert.ok(end instanceof Departure, `the log-out stopped at ${end.url}`);
    assert.equal(`${end.url.origin}${end.url.pathname}`, GOODBYE);
    assert.equal(end.params.get('state'), 'bye');
    const { end: afterwards } = await authorize(web, { prompt: 'none', scope: 'openid email' }, browser);
    assert.equal(afterwards.params.get('error'), 'login_required');
    await assert.rejects(client.fetchUserInfo(web, tokens.access_token, tenant.user.id), invalidToken);
  });

  it('is not sent to a log-out address that it did not register', async () => {
    const { tokens, browser } = await signIn(web, { scope: 'openid email', prompt: 'login' });
    const end = await browser.open(client.buildEndSessionUrl(web, {
      id_token_hint: tokens.id_token, post_logout_redirect_uri: 'https://attacker.test',
    }));
    assert.ok(end instanceof Page);
    assert.equal(end.status, 400);
  });

  it('sees a wrong password as a page, never as a code', async () => {
    const url = client.buildAuthorizationUrl(web, { redirect_uri: REDIRECT, scope: 'openid', response_type: 'code' });
    for (const who of [{ ...tenant.user, password: 'wrong!pass' }, { email: 'nobody@shop.test', password: 'wrong!pass' }]) {
      const end = await new Browser(tenant.url).authorize(url, who);
      assert.ok(end instanceof Page, `sent to ${end.url}`);
      assert.equal(end.status, 200);
      assert.ok(end.forms.some((form) => form.inputs.some((input) => input.name === 'email')));
    }
  });
});

/** Checks the client's own errors and those that carry a WWW-Authenticate challenge alike. */
function oauthFailure(error, status) {
  return (thrown) => {
    assert.equal(thrown.status, status, String(thrown));
    assert.equal(thrown.error ?? thrown.cause?.[0]?.parameters?.error, error);
    return true;
  };
}

/** Turns the posted form into the redirect that the client library reads. */
class FormPostBrowser extends Browser {
  async authorize(url, who) {
    const end = await super.authorize(url, who);
    assert.equal(end.url.search, '', 'nothing is in the address');
    const landed = new URL(end.url);
    landed.search = end.params;
    return new Departure(landed, end.params);
  }
}
