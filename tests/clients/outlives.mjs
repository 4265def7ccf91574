#!/usr/bin/env node
// The official TypeScript SDK 1.x: what `outlives.py` does.
//
//     outlives.mjs URL TOOL ARGUMENTS TOKEN
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const [url, tool, given, token] = process.argv.slice(2);
const requestInit = { headers: { Authorization: `Bearer ${token}` } };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
const client = new Client({ name: "test", version: "1.0.0" });
// Of the stream that is gone with the gateway.
client.onerror = () => {};
await client.connect(transport);

async function use() {
  let found;
  try {
    const { tools } = await client.listTools();
    const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
    found = { tools: tools.map((each) => each.name), text: result.content[0].text };
  } catch (error) {
    found = { error: String(error) };
  }
  console.log(JSON.stringify({ session: transport.sessionId, ...found }));
}

await use();
for await (const _ of createInterface({ input: process.stdin })) await use();
process.exit(0);
