#!/usr/bin/env node
// The gateway as the client of an `auth/*` scenario of the official conformance suite, with a person at its side.
//
//     auth_client.mjs GATEWAY URL
//
// Started by the suite, which appends the URL of its server. Starts the gateway program with that server as its only
// upstream, and signs in whenever the gateway says that it waits for that: it follows the redirects of the authorization
// server as a browser does. Then calls every tool. A person signs in three times at most. Environment:
// MCP_CONFORMANCE_SCENARIO, the scenario's name; MCP_CONFORMANCE_CONTEXT, what its authorization server has given out.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const PATIENCE = 15_000;
const SIGN_INS = 3;
const REDIRECTS = 5;

const [program, url] = process.argv.slice(2);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? "";
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const folder = mkdtempSync(join(tmpdir(), "mcpo-conformance-"));

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

function oauth() {
  if (scenario.startsWith("auth/client-credentials")) {
    const own = { grant: "client_credentials", clientId: context.client_id };
    if (!context.private_key_pem) return { ...own, clientSecret: context.client_secret };
    writeFileSync(join(folder, "key.pem"), context.private_key_pem, { mode: 0o600 });
    return { ...own, privateKey: "${file:key.pem}" };
  }
  if (context.idp_id_token) {
    writeFileSync(join(folder, "id.jwt"), context.idp_id_token, { mode: 0o600 });
    const identityProvider = { issuer: context.idp_issuer, clientId: context.idp_client_id };
    const own = { clientId: context.client_id, clientSecret: context.client_secret };
    return { grant: "id_jag", ...own, identityProvider, assertion: "${file:id.jwt}" };
  }
  if (context.valid_jwt) {
    writeFileSync(join(folder, "workload.jwt"), `${context.valid_jwt}\n`, { mode: 0o600 });
    return { grant: "jwt_bearer", clientId: context.client_id, assertion: "${file:workload.jwt}" };
  }
  const document = { clientMetadataUrl: "https://conformance-test.local/client-metadata.json" };
  // Without metadata nothing announces PKCE.
  if (scenario === "auth/2025-03-26-oauth-endpoint-fallback") document.pkce = "assume";
  if (!context.client_id) return document;
  return { ...document, clientId: context.client_id, clientSecret: context.client_secret };
}

// Begins a sign-in and goes where it leads, as far as the gateway's own page.
async function signIn(start) {
  const begun = await fetch(start, { method: "POST", headers: { Accept: "application/json" } });
  const told = await begun.json();
  console.error(`sign-in: ${begun.status} ${JSON.stringify(told)}`);
  if (!begun.ok) return;
  const cookie = begun.headers.get("set-cookie").split(";")[0];
  let at = told.authorizationUrl;
  for (let step = 0; step < REDIRECTS && !at.startsWith(new URL("/oauth/callback", start).href); step++) {
    const answer = await fetch(at, { redirect: "manual" });
    const location = answer.headers.get("location");
    if (!location) throw new Error(`${at}: ${answer.status} ${await answer.text()}`);
    at = new URL(location, at).href;
  }
  const page = await fetch(at, { headers: { Cookie: cookie } });
  console.error(`callback: ${page.status} ${(await page.text()).replace(/<[^>]*>/g, " ")}`);
}

async function until(what, probe) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    const found = await probe();
    if (found) return found;
    await pause(20);
  }
  throw new Error(`not within ${PATIENCE} ms: ${what}`);
}

async function use(base) {
  const state = async () => {
    const answer = await fetch(`${base}/servers`).catch(() => null);
    return answer && (await answer.json()).servers[0];
  };
  // Ready with its tools, or unavailable, and not just what it was before.
  const settled = (since) =>
    until("the server is settled", async () => {
      const server = await state();
      return server && server.state !== "starting" && (server.state === "ready" || server.failures > since) && server;
    });
  let signIns = 0;
  let server = await settled(0);
  while (server.signIn && server.state !== "ready" && signIns < SIGN_INS) {
    signIns += 1;
    const { failures } = server;
    await signIn(server.signIn);
    await fetch(`${base}/server/none`, { method: "POST" });
    server = await settled(failures);
  }
  console.error(`${server.state}: ${server.reason ?? server.tools.join(", ")}`);
  for (const tool of server.tools) {
    for (;;) {
      const answer = await fetch(`${base}/server/${tool}`, { method: "POST" });
      console.error(`${tool}: ${answer.status} ${await answer.text()}`);
      const { signIn: start } = await state();
      if (!start || signIns === SIGN_INS) break;
      signIns += 1;
      await signIn(start);
    }
  }
  return server.state === "ready";
}

const port = await freePort();
const base = `http://localhost:${port}`;
const config = join(folder, "config.json");
const entry = { type: "http", url, oauth: oauth() };
writeFileSync(config, JSON.stringify({ publicUrl: base, mcpServers: { server: entry } }));
const gateway = spawn(program, ["--config", config, "--port", String(port), "--state-dir", join(folder, "state")], {
  stdio: ["ignore", "inherit", "inherit"],
});
try {
  process.exitCode = (await use(base)) ? 0 : 1;
} finally {
  gateway.kill();
  await once(gateway, "exit");
  rmSync(folder, { recursive: true });
}
