// Sets a server up through its API: the root group, a tenant with its owner, one user; and what tests ask of a tenant.
import { randomBytes, createHash } from 'node:crypto';
import { Browser, Departure } from './browser.mjs';

export const challengeOf = (verifier) => createHash('sha256').update(verifier).digest('base64url');
export const newVerifier = () => randomBytes(32).toString('base64url');

async function call(url, { method = 'POST', json, token, expect = 201 } = {}) {
  const headers = {};
  if (json !== undefined) headers['content-type'] = 'application/json';
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(url, { method, headers, body: json === undefined ? undefined : JSON.stringify(json) });
  const text = await response.text();
  if (response.status !== expect) throw new Error(`${method} ${url}: expected ${expect}, got ${response.status} ${text.slice(0, 400)}`);
  return text ? JSON.parse(text) : undefined;
}

/** An API token of a person: authorization code with PKCE at the group's own client, for the group's API. */
async function apiToken(url, group, client, email, password) {
  const verifier = newVerifier();
  const request = new URL(`${url}/${group}/auth`);
  request.search = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: client.redirect_uris[0],
    scope: 'openid email access',
    resource: `${url}/${group}`,
    code_challenge: challengeOf(verifier),
    code_challenge_method: 'S256',
    state: 'set-up',
    nonce: 'set-up',
  });
  const end = await new Browser(url).authorize(request, { email, password });
  if (!(end instanceof Departure) || !end.params.get('code')) {
    throw new Error(`sign-in of ${email} ended at ${end.url}: ${end.text?.slice(0, 400) ?? ''}`);
  }
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code: end.params.get('code'),
    redirect_uri: client.redirect_uris[0],
    code_verifier: verifier,
  });
  const headers = {};
  if (client.token_endpoint_auth_method === 'none') body.set('client_id', client.client_id);
  else headers.authorization = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;
  const response = await fetch(`${url}/${group}/token`, { method: 'POST', headers, body });
  const tokens = await response.json();
  if (!response.ok) throw new Error(`no API token for ${email}: ${response.status} ${JSON.stringify(tokens)}`);
  return tokens.access_token;
}

/** Creates the root group, then a tenant `name`, its owner and one user. Answers all that tests need to know of them. */
export async function createTenant(url, root, name = 'shop') {
  const first = await call(`${url}/api/init`, { json: { setupCode: root.setupCode, password: root.password } });
  const rootToken = await apiToken(url, first.data.authGroup.id, first.data.client, root.email, root.password);
  const owner = { email: `owner@${name}.test`, password: 'Own3r!pass' };
  const created = await call(`${url}/api/group`, {
    json: {
      name: `The ${name}`,
      prettyName: name,
      owner: owner.email,
      primaryEmail: owner.email,
      primaryDomain: `https://${name}.test`,
      primaryTOS: `https://${name}.test/tos`,
      primaryPrivacyPolicy: `https://${name}.test/privacy`,
      locked: false,
      config: { scopes: ['orders:read', 'orders:write'] },
    },
  });
  const group = created.data.id ?? created.data._id;
  const activated = await call(`${url}/api/${name}/account`, {
    json: { email: owner.email, username: owner.email, password: owner.password },
    token: created.data.initialAccessToken ?? created.data.token?.jti,
  });
  const { client } = activated.data;
  const ownerToken = await apiToken(url, group, client, owner.email, owner.password);
  const user = { email: `uma@${name}.test`, password: 'Us3r!pass' };
  const account = await call(`${url}/api/${group}/account`, {
    json: { email: user.email, username: user.email, password: user.password },
    token: ownerToken,
  });
  const userToken = await apiToken(url, group, client, user.email, user.password);
  return { url, group, issuer: `${url}/${group}`, rootToken, owner, ownerToken, user: { ...user, id: account.data.id }, userToken };
}

/** The tenant that start.mjs prepared, from the environment. */
export function tenantFromEnvironment() {
  const { UEAUTH_TENANT } = process.env;
  if (!UEAUTH_TENANT) throw new Error('UEAUTH_TENANT is not set: run the tests through start.mjs (make test does)');
  return JSON.parse(UEAUTH_TENANT);
}

/** A single-use token that lets one client register. */
export async function initialAccessToken({ url, group, ownerToken }) {
  const token = await call(`${url}/${group}/token/initial-access`, { json: {}, token: ownerToken, expect: 200 });
  return token.jti;
}
