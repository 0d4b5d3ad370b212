// The provider that the benchmark measures beside ours: npm's oidc-provider, one process, everything in memory.
//   node server.mjs [PORT]
// Prints one line of JSON when it listens: where it is, a client, and tokens to introspect and to read userinfo with.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const port = Number(process.argv[2] ?? 0);
const client = { client_id: 'bench', client_secret: randomBytes(64).toString('base64url') };
const AUDIENCES = { 'https://rs256.api.test': 'RS256', 'https://es256.api.test': 'ES256' };
const TOKEN_SECONDS = 3600;

const key = (type, options) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig' });

// The adapter's own storage forgets all but the last thousand entries, among them the tokens below.
MemoryAdapter.setStorage(new Map());

const server = createServer();
await new Promise((resolve) => { server.listen(port, '127.0.0.1', resolve); });
const issuer = `http://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    ...client,
    redirect_uris: ['https://app.test/cb'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  cookies: { keys: [randomBytes(16).toString('hex')] },
  jwks: { keys: [key('rsa', { modulusLength: 2048 }), key('ec', { namedCurve: 'P-256' })] },
  scopes: ['openid', 'offline_access', 'api:read'],
  claims: { openid: ['sub', 'group'], email: ['email', 'verified'] },
  findAccount: async (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub, group: 'bench', email: 'bench@example.com', verified: true }) }),
  extraTokenClaims: async () => ({ group: 'bench' }),
  ttl: { AccessToken: TOKEN_SECONDS, ClientCredentials: TOKEN_SECONDS, Grant: TOKEN_SECONDS },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async (ctx, audience) => ({
        scope: 'api:read', audience, accessTokenFormat: 'jwt', accessTokenTTL: TOKEN_SECONDS, jwt: { sign: { alg: AUDIENCES[audience] } },
      }),
    },
  },
});
server.on('request', provider.callback());

const owner = await provider.Client.find(client.client_id);
const grant = new provider.Grant({ accountId: 'user', clientId: client.client_id });
grant.addOIDCScope('openid email');
const grantId = await grant.save();
const access = new provider.AccessToken({ accountId: 'user', client: owner, grantId, gty: 'authorization_code', scope: 'openid email', claims: {} });
const service = new provider.ClientCredentials({ client: owner, scope: 'api:read' });

console.log(JSON.stringify({
  issuer,
  ...client,
  audiences: Object.keys(AUDIENCES),
  userToken: await access.save(),
  serviceToken: await service.save(),
}));
