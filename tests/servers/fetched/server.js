#!/usr/bin/env node
// An MCP server over standard input and output with one tool, which tells where it runs.
const tools = [{ name: "where", description: "Where this runs", inputSchema: { type: "object" } }];
const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: "fetched by npx", version: "1.0.0" },
  }),
  "tools/list": () => ({ tools }),
  "tools/call": () => {
    const told = { runtime: `node ${process.version}`, path: process.env.PATH, program: __filename };
    return { content: [{ type: "text", text: JSON.stringify(told) }] };
  },
};

require("node:readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    const answer = methods[method]
      ? { result: methods[method](params ?? {}) }
      : { error: { code: -32601, message: `no method ${method}` } };
    process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, ...answer }) + "\n");
  });
