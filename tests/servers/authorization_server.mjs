// A real authorization server (oidc-provider) for the tests: anybody may sign in under any name, clients register
// themselves, and resources are whatever MCP server a client names. Tokens name the user's group and address.
//
// Usage: node authorization_server.mjs PORT [--lifetime SECONDS] [--store FILE] [--quiet] [--kind KIND] [--query QUERY] [--jwt]
//        [--dpop] [--redirect URL]
//
// --lifetime N   access tokens live N seconds (default 3600)
// --quiet        does not announce PKCE
// --kind KIND    gives out tokens of this kind in place of Bearer
// --query QUERY  the authorization endpoint has this query of its own
// --dpop         tokens may be bound to a key, and each proof needs a nonce
// --redirect URL the client `gateway` (secret `gateway-secret`) has users signed in, who come back to URL
// --jwt          access tokens are JWTs (RFC 9068), signed with another key after each start
// --store FILE   keeps clients, grants and tokens there across restarts; without it all is forgotten
//
// For tests alone: `GET /test/renewals` counts the refresh tokens that were exchanged and refused, and
// `POST /test/forget-access-tokens` makes all access tokens void.
//
// Known clients: `robot` (secret `robot-secret`), `key-robot` (its public key in KEY_ROBOT_JWKS), and
// `resource` (secret `resource-secret`), which may ask whether tokens are good, and `exchanger` (secret
// `exchanger-secret`), which may exchange the token of a user for one of another server (RFC 8693).
import crypto from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../.work/authorization");
const require = createRequire(path.join(root, "package.json"));
const { default: Provider, errors } = await import(pathToFileURL(require.resolve("oidc-provider")));

const shared = path.join(path.dirname(require.resolve("oidc-provider")), "shared/check_resource.js");
const { default: checkResource } = await import(pathToFileURL(shared));

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    lifetime: { type: "string", default: "3600" },
    store: { type: "string" },
    quiet: { type: "boolean" },
    kind: { type: "string" },
    query: { type: "string" },
    jwt: { type: "boolean" },
    dpop: { type: "boolean" },
    redirect: { type: "string" },
  },
});
const port = Number(positionals[0]);
const issuer = `http://localhost:${port}`;
const lifetime = Number(values.lifetime);

const kept = values.store && fs.existsSync(values.store) ? JSON.parse(fs.readFileSync(values.store)) : {};

class Adapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  write() {
    if (values.store) fs.writeFileSync(values.store, JSON.stringify(kept));
  }

  async upsert(id, payload) {
    kept[this.key(id)] = payload;
    this.write();
  }

  async find(id) {
    return kept[this.key(id)];
  }

  async findByUid(uid) {
    return Object.entries(kept).find(([key, value]) => key.startsWith(`${this.model}:`) && value.uid === uid)?.[1];
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    kept[this.key(id)].consumed = Math.floor(Date.now() / 1000);
    this.write();
  }

  async destroy(id) {
    delete kept[this.key(id)];
    this.write();
  }

  async revokeByGrantId(grantId) {
    for (const [key, value] of Object.entries(kept)) if (value.grantId === grantId) delete kept[key];
    this.write();
  }
}

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const machine = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };
const clients = [
  { client_id: "robot", client_secret: "robot-secret", ...machine },
  { client_id: "resource", client_secret: "resource-secret", ...machine },
  {
    client_id: "exchanger",
    client_secret: "exchanger-secret",
    ...machine,
    grant_types: ["client_credentials", EXCHANGE],
  },
];
if (process.env.KEY_ROBOT_JWKS) {
  clients.push({
    client_id: "key-robot",
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
    jwks: JSON.parse(process.env.KEY_ROBOT_JWKS),
    ...machine,
  });
}

if (values.redirect) {
  clients.push({ client_id: "gateway", client_secret: "gateway-secret", redirect_uris: [values.redirect] });
}

function newKey() {
  const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: crypto.randomUUID(), use: "sig", alg: "RS256" };
}

const provider = new Provider(issuer, {
  adapter: Adapter,
  clients,
  cookies: { keys: ["a key of a test"] },
  scopes: ["openid", "offline_access", "read", "write"],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: lifetime, ClientCredentials: lifetime, RefreshToken: 86400, Grant: 86400, Session: 86400 },
  ...(values.jwt && { jwks: { keys: [newKey()] } }),
  // The user `ops-ann` is in the group `ops`.
  extraTokenClaims: (_context, token) =>
    token.accountId && { groups: [token.accountId.split("-")[0]], email: `${token.accountId}@example.test` },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    ...(values.dpop && { dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true } }),
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => {
        if (!resource.endsWith("/mcp")) throw new errors.InvalidTarget();
        return { scope: "read write", audience: resource, accessTokenFormat: values.jwt ? "jwt" : "opaque", accessTokenTTL: lifetime };
      },
    },
  },
});
// The token of a user becomes one of the same user for the resource that is asked for.
async function exchange(context, next) {
  const { params, client } = context.oidc;
  const subject = await provider.AccessToken.find(params.subject_token ?? "");
  if (!subject || params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidGrant("no such token");
  await checkResource(context, () => {});
  const [resourceServer] = Object.values(context.oidc.resourceServers);
  if (!resourceServer) throw new errors.InvalidTarget("a resource is needed");
  const grant = new provider.Grant({ accountId: subject.accountId, clientId: client.clientId });
  grant.addResourceScope(resourceServer.identifier(), "read");
  const token = new provider.AccessToken({
    accountId: subject.accountId,
    client,
    grantId: await grant.save(),
    gty: "token_exchange",
    scope: "read",
  });
  token.resourceServer = resourceServer;
  context.oidc.entity("AccessToken", token);
  const value = await token.save();
  context.body = { access_token: value, issued_token_type: ACCESS_TOKEN, token_type: "Bearer", expires_in: token.expiration };
  await next();
}
provider.registerGrantType(EXCHANGE, exchange, ["audience", "requested_token_type", "resource", "scope", "subject_token", "subject_token_type"]);
const renewals = { renewed: 0, refused: 0 };
const isRenewal = (context) => context.oidc?.params?.grant_type === "refresh_token";
provider.on("grant.success", (context) => (renewals.renewed += isRenewal(context)));
provider.on("grant.error", (context) => (renewals.refused += isRenewal(context)));
provider.use(async (context, next) => {
  if (context.path === "/test/renewals") {
    context.body = renewals;
    return;
  }
  if (context.path === "/test/forget-access-tokens") {
    for (const key of Object.keys(kept)) if (key.startsWith("AccessToken:")) delete kept[key];
    context.body = {};
    return;
  }
  await next();
  if (context.path.startsWith("/.well-known/")) {
    if (values.quiet) delete context.body.code_challenge_methods_supported;
    if (values.query) context.body.authorization_endpoint += `?${values.query}`;
  }
  if (values.kind && context.body?.token_type) context.body.token_type = values.kind;
});
provider.listen(port, "127.0.0.1");
