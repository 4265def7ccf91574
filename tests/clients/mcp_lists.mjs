#!/usr/bin/env node
// The official TypeScript SDK reads every list of an endpoint.
//
//     mcp_lists.mjs URL MODE
//
// MODE is as for `mcp_sdk.mjs`. Prints one object: by list the names in it, or what the SDK says against it.
import { createRequire } from "node:module";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const [url, mode] = process.argv.slice(2);
const introduction = { name: "test", version: "1.0.0" };

function connection() {
  if (mode === "first") {
    const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return [new Client(introduction), new StreamableHTTPClientTransport(new URL(url))];
  }
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const versionNegotiation = { mode: mode === "legacy" ? mode : { pin: mode } };
  return [new Client(introduction, { versionNegotiation }), new StreamableHTTPClientTransport(new URL(url))];
}

async function namesOf(list, member) {
  try {
    return (await list())[member].map((each) => each.name);
  } catch (error) {
    return String(error.message ?? error).slice(0, 2000);
  }
}

const [client, transport] = connection();
await client.connect(transport);
const found = {
  tools: await namesOf(() => client.listTools(), "tools"),
  prompts: await namesOf(() => client.listPrompts(), "prompts"),
  resources: await namesOf(() => client.listResources(), "resources"),
  resourceTemplates: await namesOf(() => client.listResourceTemplates(), "resourceTemplates"),
};
await client.close();
console.log(JSON.stringify(found));
