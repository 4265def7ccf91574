#!/usr/bin/env node
// The official TypeScript SDK as a client: what `mcp_sdk.py` does.
//
//     mcp_sdk.mjs URL MODE TOOL ARGUMENTS [TOKEN]
//
// MODE is `first` (the SDK 1.x, which knows sessions only), `auto` (the SDK's own choice), `legacy` (sessions) or `2026-07-28`.
import { createRequire } from "node:module";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const [url, mode, tool, given, token] = process.argv.slice(2);
const requestInit = { headers: token ? { Authorization: `Bearer ${token}` } : {} };
const introduction = { name: "test", version: "1.0.0" };

function connection() {
  if (mode === "first") {
    const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return [new Client(introduction), new StreamableHTTPClientTransport(new URL(url), { requestInit })];
  }
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const versionNegotiation = { mode: ["auto", "legacy"].includes(mode) ? mode : { pin: mode } };
  return [new Client(introduction, { versionNegotiation }), new StreamableHTTPClientTransport(new URL(url), { requestInit })];
}

const [client, transport] = connection();
await client.connect(transport);
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
const found = {
  protocol: mode === "first" ? transport.protocolVersion : client.getNegotiatedProtocolVersion(),
  tools: tools.map((each) => each.name),
  is_error: result.isError ?? false,
  text: result.content.filter((block) => block.type === "text").map((block) => block.text),
};
await client.close();
console.log(JSON.stringify(found));
