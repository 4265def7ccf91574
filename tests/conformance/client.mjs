#!/usr/bin/env node
// The gateway as the client of a scenario of the official conformance suite.
//
//     client.mjs GATEWAY MODE URL
//
// Started by the suite, which appends the URL of its server. Starts the gateway program with that server as its only
// upstream, opens the gateway's endpoint for it with the official TypeScript SDK in MODE (`legacy` or `2026-07-28`), does once
// everything that can be done there, and ends the gateway. Environment: MCP_CONFORMANCE_CONTEXT, the scenario's own calls.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const { Client, ProtocolError, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const PATIENCE = 20_000;
// What a tool is called with that takes arguments.
const ARGUMENTS = { add_numbers: { a: 5, b: 3 }, valid_tool: { region: "us-west1" }, lookup_user: { id: "someone" } };
const FILLINGS = { string: "x", integer: 1, number: 1.5, boolean: true, object: {}, array: [], null: null };

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

// Waits until the upstream is ready or was given up once, whichever the scenario's server lets happen.
async function settled(port, gateway) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    if (gateway.exitCode !== null) throw new Error(`the gateway ended with ${gateway.exitCode}`);
    const answer = await fetch(`http://127.0.0.1:${port}/servers`).catch(() => null);
    const state = answer && (await answer.json()).servers[0].state;
    if (state && state !== "starting") return state;
    await pause(20);
  }
  throw new Error(`the upstream is not settled within ${PATIENCE} ms`);
}

// Does one thing; what the other side refuses is told and does not keep the rest from being done.
async function attempt(what, action) {
  try {
    const result = await action();
    console.error(`${what}: ${JSON.stringify(result)}`);
    return result;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    console.error(`${what}: ${error.message}`);
    return undefined;
  }
}

const filled = (properties = {}) =>
  Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, each.default ?? FILLINGS[each.type]]));

function argumentsFor(tool, tools) {
  if (tool.name === "json_schema_echo") {
    return { schema: tools.find((each) => each.name === "json_schema_2020_12_tool").inputSchema };
  }
  const required = tool.inputSchema.required ?? [];
  const properties = Object.entries(tool.inputSchema.properties ?? {}).filter(([name]) => required.includes(name));
  return ARGUMENTS[tool.name] ?? filled(Object.fromEntries(properties));
}

async function use(url, mode, own) {
  const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };
  const versionNegotiation = { mode: mode === "legacy" ? mode : { pin: mode } };
  const client = new Client({ name: "test", version: "1.0.0" }, { capabilities, versionNegotiation });
  client.setRequestHandler("elicitation/create", async ({ params }) => ({
    action: "accept",
    content: filled(params.requestedSchema.properties),
  }));
  client.setRequestHandler("sampling/createMessage", async () => ({
    role: "assistant",
    content: { type: "text", text: "sampled" },
    model: "none",
  }));
  client.setRequestHandler("roots/list", async () => ({ roots: [] }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const offered = client.getServerCapabilities() ?? {};
  const tools = (await attempt("tools/list", () => client.listTools()))?.tools ?? [];
  const planned = tools.filter((tool) => !own.some((call) => call.name === tool.name));
  const calls = [...own, ...planned.map((tool) => ({ name: tool.name, arguments: argumentsFor(tool, tools) }))];
  for (const call of calls) await attempt(`tools/call ${call.name}`, () => client.callTool(call));
  const { resources = [] } = (offered.resources && (await attempt("resources/list", () => client.listResources()))) || {};
  for (const { uri } of resources) await attempt(`resources/read ${uri}`, () => client.readResource({ uri }));
  const { prompts = [] } = (offered.prompts && (await attempt("prompts/list", () => client.listPrompts()))) || {};
  for (const { name } of prompts) await attempt(`prompts/get ${name}`, () => client.getPrompt({ name }));
  await client.close();
}

const [program, mode, upstream] = process.argv.slice(2);
const { toolCalls = [] } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const folder = mkdtempSync(join(tmpdir(), "mcpo-conformance-"));
const config = join(folder, "config.json");
writeFileSync(config, JSON.stringify({ mcpServers: { upstream: { type: "streamable-http", url: upstream } } }));
const port = await freePort();
const options = ["--port", String(port), "--config", config, "--state-dir", join(folder, "state")];
const gateway = spawn(program, options, { stdio: ["ignore", "inherit", "inherit"] });
try {
  console.error(`upstream: ${await settled(port, gateway)}`);
  await use(`http://127.0.0.1:${port}/upstream/mcp`, mode, toolCalls);
} finally {
  if (gateway.exitCode === null) {
    gateway.kill("SIGTERM");
    await once(gateway, "exit");
  }
  rmSync(folder, { recursive: true });
}
