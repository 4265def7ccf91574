#!/usr/bin/env node
// The official TypeScript SDK 1.x as a client that knows nothing but an address: what `mcp_sdk_oauth.py` does.
//
//     mcp_sdk_oauth.mjs URL TOOL ARGUMENTS USER
import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const [url, tool, given, user] = process.argv.slice(2);
const callback = "http://localhost:1/callback";
let signIns = 0;
let code;
const kept = { renewals: 0 };

async function signIn(address) {
  signIns += 1;
  address.searchParams.set("prompt", "consent"); // without it there is no refresh token
  const cookies = new Map();
  let next = address.toString();
  for (let step = 0; step < 12; step += 1) {
    if (next.startsWith(callback)) {
      code = new URL(next).searchParams.get("code");
      return;
    }
    const ask = async (body) => {
      const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
      const answer = await fetch(next, { redirect: "manual", headers, ...(body && { method: "POST", body: new URLSearchParams(body) }) });
      for (const cookie of answer.headers.getSetCookie()) {
        const [name, value] = cookie.split(";")[0].split("=");
        if (value) cookies.set(name, value);
        else cookies.delete(name);
      }
      return answer;
    };
    let answer = await ask();
    if (answer.status === 200) {
      const page = await answer.text();
      const request = /name="request" value="([^"]*)"/.exec(page)?.[1]; // the gateway's own page
      if (request) next = new URL("authorize", next).toString();
      const login = page.includes('name="login"');
      answer = await ask(request ? { request, key: user } : login ? { prompt: "login", login: user, password: "any" } : { prompt: "consent" });
      if (answer.status === 403) {
        console.log(JSON.stringify({ sign_ins: signIns, refused: answer.status }));
        process.exit();
      }
    }
    next = new URL(answer.headers.get("location"), next).toString();
  }
  throw new Error(`the sign-in did not end: ${next}`);
}

const authProvider = {
  redirectUrl: callback,
  clientMetadata: { redirect_uris: [callback], client_name: "test", scope: "read offline_access", grant_types: ["authorization_code", "refresh_token"] },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens(tokens) {
    kept.renewals += kept.tokens ? 1 : 0;
    kept.tokens = tokens;
  },
  invalidateCredentials: (what) => void (what === "tokens" && delete kept.tokens),
  redirectToAuthorization: signIn,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
};

async function connected() {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  const client = new Client({ name: "test", version: "1.0.0" });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!code) throw error;
    await transport.finishAuth(code);
    code = undefined;
    return connected();
  }
}

const client = await connected();
const { tools } = await client.listTools();
for await (const _line of readline.createInterface({ input: process.stdin })) {
  const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
  const text = result.content.filter((block) => block.type === "text").map((block) => block.text);
  console.log(JSON.stringify({ sign_ins: signIns, renewals: kept.renewals, tools: tools.map((each) => each.name), text }));
}
await client.close();
process.exit();
