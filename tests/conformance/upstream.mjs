#!/usr/bin/env node
// An upstream that offers what the scenarios of the official conformance suite ask for, written with the official
// TypeScript SDK: one program, two eras.
//
//     upstream.mjs legacy|modern http|stdio
//
// `legacy` knows sessions only (up to 2025-11-25), `modern` knows 2026-07-28 only. Over HTTP it listens on a free port of the
// loopback and prints its URL as the first line of standard output. The tools that need the client's answers return
// `input_required` results; in the era of sessions the SDK itself turns these into requests to the client.
import { randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(new URL("../.work/conformance/", import.meta.url));
const sdk = require("@modelcontextprotocol/server");
const { StdioServerTransport, serveStdio } = require("@modelcontextprotocol/server/stdio");
const { NodeStreamableHTTPServerTransport, localhostHostValidation, toNodeHandler } = require("@modelcontextprotocol/node");
const { McpServer, ResourceTemplate, acceptedContent, createMcpHandler, createRequestStateCodec, fromJsonSchema, inputRequired } = sdk;

const [era, transport] = process.argv.slice(2);
if (!["legacy", "modern"].includes(era) || !["http", "stdio"].includes(transport)) {
  console.error("usage: upstream.mjs legacy|modern http|stdio");
  process.exit(2);
}

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const states = createRequestStateCodec({ key: randomBytes(32) });
// What tells open `subscriptions/listen` streams of a change; set where there are such.
let publish = { toolsChanged() {}, promptsChanged() {} };
// How often the lists were changed: the changing tool and prompt carry it in their names, so that no two lists are equal.
const changes = { tools: 0, prompts: 0 };
// The servers that outlive a request: one for each session, one over stdio. All have the same lists, and each tells its client
// of a change; a server of one request has no time for that, and the next request finds the new lists.
const lasting = new Set();

const text = (...parts) => ({ content: parts.map((part) => ({ type: "text", text: part })) });
const resource = (uri, mimeType, body) => ({ type: "resource", resource: { uri, mimeType, text: body } });
const object = (properties = {}, required = []) => ({ type: "object", properties, required });
const string = (description) => ({ type: "string", description });
const form = (message, requestedSchema) => inputRequired.elicit({ message, requestedSchema });
const named = object({ name: { type: "string" } }, ["name"]);
const confirmed = object({ ok: { type: "boolean" } }, ["ok"]);
const moving = object({ place: { ...string("Mirrored"), "x-mcp-header": "Before" } });
const sample = (prompt, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: { type: "text", text: prompt } }], maxTokens });

// Each entry: description, input schema or nothing, and what it does with (arguments, context, server).
const tools = {
  test_simple_text: ["Answers with text", null, () => text("This is a simple text response for testing.")],
  test_image_content: ["Answers with an image", null, () => ({ content: [{ type: "image", data: PIXEL, mimeType: "image/png" }] })],
  test_audio_content: ["Answers with sound", null, () => ({ content: [{ type: "audio", data: SOUND, mimeType: "audio/wav" }] })],
  test_embedded_resource: [
    "Answers with a resource",
    null,
    () => ({ content: [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")] }),
  ],
  test_multiple_content_types: [
    "Answers with text, an image and a resource",
    null,
    () => ({
      content: [
        ...text("Multiple content types test:").content,
        { type: "image", data: PIXEL, mimeType: "image/png" },
        resource("test://mixed-content-resource", "application/json", JSON.stringify({ test: "data", value: 123 })),
      ],
    }),
  ],
  test_tool_with_logging: [
    "Sends three log messages",
    object(),
    async (_, context) => {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await context.mcpReq.log("info", data);
        await pause(50);
      }
      return text("Tool with logging executed successfully");
    },
  ],
  test_tool_with_progress: [
    "Reports its progress",
    object(),
    async (_, context) => {
      const progressToken = context.mcpReq._meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        const params = { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` };
        await context.mcpReq.notify({ method: "notifications/progress", params });
        await pause(50);
      }
      return text(String(progressToken));
    },
  ],
  test_error_handling: [
    "Fails",
    null,
    () => {
      throw new Error("This tool intentionally returns an error for testing");
    },
  ],
  test_sampling: [
    "Asks the client's model",
    object({ prompt: string("What to ask") }, ["prompt"]),
    ({ prompt }, context) => {
      const answer = context.mcpReq.inputResponses?.answer;
      if (!answer) return inputRequired({ inputRequests: { answer: sample(prompt, 100) } });
      return text(`LLM response: ${answer.content?.text}`);
    },
  ],
  test_elicitation: [
    "Asks the user",
    object({ message: string("What to ask") }, ["message"]),
    ({ message }, context) => {
      const answer = context.mcpReq.inputResponses?.answer;
      if (!answer) {
        const schema = object({ response: string("User's response") }, ["response"]);
        return inputRequired({ inputRequests: { answer: form(message, schema) } });
      }
      return text(`User response: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
    },
  ],
  test_elicitation_sep1034_defaults: asking("Please review the defaults", {
    name: { type: "string", description: "User name", default: "John Doe" },
    age: { type: "integer", description: "User age", default: 30 },
    score: { type: "number", description: "User score", default: 95.5 },
    status: { type: "string", description: "User status", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", description: "Verification status", default: true },
  }),
  test_elicitation_sep1330_enums: asking("Please choose", {
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: { type: "string", oneOf: titled("First Option", "Second Option", "Third Option") },
    legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option One", "Option Two", "Option Three"] },
    untitledMulti: { type: "array", minItems: 1, items: { type: "string", enum: ["option1", "option2", "option3"] } },
    titledMulti: { type: "array", minItems: 1, items: { anyOf: titled("First Choice", "Second Choice", "Third Choice") } },
  }),
  test_reconnection: [
    "Closes its stream before it answers",
    object(),
    async (_, context) => {
      context.http?.closeSSE?.();
      await pause(100);
      return text("Reconnection test completed successfully.");
    },
  ],
  json_schema_2020_12_tool: [
    "Has a schema with the keywords of JSON Schema 2020-12",
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: {
        address: { $anchor: "addressDef", type: "object", properties: { street: { type: "string" }, city: { type: "string" } } },
      },
      properties: {
        name: { type: "string" },
        address: { $ref: "#/$defs/address" },
        contactMethod: { type: "string", enum: ["phone", "email"] },
        phone: { type: "string" },
        email: { type: "string" },
      },
      allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
      if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
      then: { required: ["phone"] },
      else: { required: ["email"] },
      additionalProperties: false,
    },
    (given) => text(JSON.stringify(given)),
  ],
  test_x_mcp_header: [
    "Has an argument that is mirrored into a header",
    object({ region: { ...string("Mirrored"), "x-mcp-header": "Region" }, level: { type: "integer" } }),
    ({ region }) => text(`region=${region ?? "none"}`),
  ],
  test_moving_header: ["Has an argument whose header test_move_header renames", moving, ({ place }) => text(`place=${place}`)],
  test_move_header: [
    "Renames the header of test_moving_header and does not say so",
    object(),
    () => {
      moving.properties.place["x-mcp-header"] = "After";
      return text("moved");
    },
  ],
  test_missing_capability: [
    "Needs the client's model",
    object(),
    (_, context) => {
      const answer = context.mcpReq.inputResponses?.answer;
      return answer ? text("asked") : inputRequired({ inputRequests: { answer: sample("Reply with one word", 16) } });
    },
  ],
  test_streaming_elicitation: ["Answers without any request of its own", object(), () => text("no requests here")],
  test_logging_tool: [
    "Logs as far as the request allows",
    object(),
    async (_, context) => {
      await context.mcpReq.log("info", "test_logging_tool ran");
      return text("logged");
    },
  ],
  test_trigger_tool_change: [
    "Changes the list of tools and says so",
    object(),
    () => {
      changes.tools += 1;
      for (const one of lasting) changingTool(one, changes.tools);
      publish.toolsChanged();
      return text("changed");
    },
  ],
  test_trigger_prompt_change: [
    "Changes the list of prompts and says so",
    object(),
    () => {
      changes.prompts += 1;
      for (const one of lasting) changingPrompt(one, changes.prompts);
      publish.promptsChanged();
      return text("changed");
    },
  ],
  test_input_required_result_elicitation: [
    "Asks for a name",
    object(),
    (_, context) => {
      const name = acceptedContent(context.mcpReq.inputResponses, "user_name")?.name;
      if (typeof name !== "string") return inputRequired({ inputRequests: { user_name: form("What is your name?", named) } });
      return text(`Hello, ${name}!`);
    },
  ],
  test_input_required_result_sampling: [
    "Asks the client's model for a capital",
    object(),
    (_, context) => {
      const answer = context.mcpReq.inputResponses?.capital_question;
      if (!answer) return inputRequired({ inputRequests: { capital_question: sample("What is the capital of France?", 100) } });
      return text(`Model said: ${answer.content?.text}`);
    },
  ],
  test_input_required_result_list_roots: [
    "Asks for the client's roots",
    object(),
    (_, context) => {
      const roots = context.mcpReq.inputResponses?.client_roots?.roots;
      if (!Array.isArray(roots)) return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
      return text(`Roots: ${roots.map((root) => root.uri).join(", ")}`);
    },
  ],
  test_input_required_result_request_state: [
    "Asks for a confirmation and keeps its state with the client",
    object(),
    async (_, context) => {
      const state = context.mcpReq.requestState();
      if (state && acceptedContent(context.mcpReq.inputResponses, "confirm")) return text("state-ok");
      const requestState = await states.mint({ nonce: randomUUID() });
      return inputRequired({ inputRequests: { confirm: form("Please confirm", confirmed) }, requestState });
    },
  ],
  test_input_required_result_multiple_inputs: [
    "Asks for three things at once",
    object(),
    async (_, context) => {
      const { user_name, greeting, client_roots } = context.mcpReq.inputResponses ?? {};
      if (user_name && greeting && client_roots) return text("All inputs received.");
      const inputRequests = {
        user_name: form("What is your name?", named),
        greeting: sample("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      };
      return inputRequired({ inputRequests, requestState: await states.mint({ nonce: randomUUID() }) });
    },
  ],
  test_input_required_result_multi_round: [
    "Asks twice, the second time for what the first answer needs",
    object(),
    async (_, context) => {
      const state = context.mcpReq.requestState() ?? { round: 0 };
      const first = acceptedContent(context.mcpReq.inputResponses, "step1");
      const second = acceptedContent(context.mcpReq.inputResponses, "step2");
      if (state.round === 2 && second) return text(`${state.name} likes ${second.color}.`);
      if (state.round === 1 && first) {
        const schema = object({ color: { type: "string" } }, ["color"]);
        const requestState = await states.mint({ round: 2, name: first.name, nonce: randomUUID() });
        return inputRequired({ inputRequests: { step2: form("Step 2: What is your favorite color?", schema) }, requestState });
      }
      const requestState = await states.mint({ round: 1, nonce: randomUUID() });
      return inputRequired({ inputRequests: { step1: form("Step 1: What is your name?", named) }, requestState });
    },
  ],
  test_input_required_result_tampered_state: [
    "Refuses a state that it did not mint",
    object(),
    async (_, context) => {
      const { inputResponses } = context.mcpReq;
      if (context.mcpReq.requestState() && acceptedContent(inputResponses, "confirm")) return text("integrity-ok");
      const requestState = await states.mint({ nonce: randomUUID() });
      return inputRequired({ inputRequests: { confirm: form("Please confirm", confirmed) }, requestState });
    },
  ],
  test_input_required_result_capabilities: [
    "Asks only for what the client said it can give",
    object(),
    (_, context, server) => {
      if (context.mcpReq.inputResponses) return text("given");
      const declared = context.mcpReq.envelope?.[sdk.CLIENT_CAPABILITIES_META_KEY] ?? server.server.getClientCapabilities() ?? {};
      const inputRequests = {};
      if (declared.elicitation) inputRequests.user_name = form("What is your name?", named);
      if (declared.sampling) inputRequests.greeting = sample("Generate a greeting", 50);
      if (declared.roots) inputRequests.client_roots = inputRequired.listRoots();
      return Object.keys(inputRequests).length ? inputRequired({ inputRequests }) : text("nothing to ask for");
    },
  ],
};

function asking(message, properties) {
  const ask = (_, context) => {
    const answer = context.mcpReq.inputResponses?.answer;
    if (!answer) return inputRequired({ inputRequests: { answer: form(message, object(properties)) } });
    return text(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
  };
  return [message, object(), ask];
}

function titled(...titles) {
  return titles.map((title, index) => ({ const: `value${index + 1}`, title }));
}

const read = (uri, mimeType, body) => ({ contents: [{ uri: String(uri), mimeType, ...body }] });
const resources = {
  "static-text": ["test://static-text", "text/plain", { text: "This is the content of the static text resource." }],
  "static-binary": ["test://static-binary", "image/png", { blob: PIXEL }],
  "watched-resource": ["test://watched-resource", "text/plain", { text: "Watched resource content" }],
};

const say = (...contents) => ({ messages: contents.map((content) => ({ role: "user", content })) });
const words = (body) => ({ type: "text", text: body });
const prompts = {
  test_simple_prompt: [[], () => say(words("This is a simple prompt for testing."))],
  test_prompt_with_arguments: [
    ["arg1", "arg2"],
    ({ arg1, arg2 }) => say(words(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  ],
  test_prompt_with_embedded_resource: [
    ["resourceUri"],
    ({ resourceUri }) =>
      say(
        resource(resourceUri, "text/plain", "Embedded resource content for testing."),
        words("Please process the embedded resource above."),
      ),
  ],
  test_prompt_with_image: [
    [],
    () => say({ type: "image", data: PIXEL, mimeType: "image/png" }, words("Please analyze the image above.")),
  ],
  test_input_required_result_prompt: [
    [],
    (_, context) => {
      const given = acceptedContent(context.mcpReq.inputResponses, "user_context")?.context;
      if (typeof given === "string") return say(words(`Use the following context: ${given}`));
      const schema = object({ context: { type: "string" } }, ["context"]);
      return inputRequired({ inputRequests: { user_context: form("What context should the prompt use?", schema) } });
    },
  ],
};

function changingTool(server, number) {
  server.registerTool(`test_changing_tool_${number}`, { description: "Is new" }, async () => text("new"));
}

function changingPrompt(server, number) {
  server.registerPrompt(`test_changing_prompt_${number}`, { description: "Is new" }, async () => say(words("new")));
}

function build() {
  const listed = { listChanged: true };
  const capabilities = { tools: listed, prompts: listed, resources: { ...listed, subscribe: true }, logging: {}, completions: {} };
  const cacheHints = {
    "tools/list": { ttlMs: 60000, cacheScope: "public" },
    "prompts/list": { ttlMs: 45000, cacheScope: "public" },
    "resources/list": { ttlMs: 30000, cacheScope: "private" },
  };
  const server = new McpServer(
    { name: "conformance-upstream", version: "1.0.0" },
    { capabilities, cacheHints, requestState: { verify: states.verify } },
  );
  for (const [name, [description, schema, run]] of Object.entries(tools)) {
    const config = schema ? { description, inputSchema: fromJsonSchema(schema) } : { description };
    const call = schema ? (given, context) => run(given, context, server) : (context) => run({}, context, server);
    server.registerTool(name, config, async (...given) => call(...given));
  }
  for (const [name, [uri, mimeType, body]] of Object.entries(resources)) {
    const metadata = { title: `A ${name}`, description: `The ${name} of the tests`, mimeType };
    server.registerResource(name, uri, metadata, async () => read(uri, mimeType, body));
  }
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  const described = { title: "A template", description: "A resource for each id", mimeType: "application/json" };
  server.registerResource("template", template, described, async (uri, { id }) =>
    read(uri, "application/json", { text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }),
  );
  for (const [name, [needed, get]] of Object.entries(prompts)) {
    const properties = Object.fromEntries(needed.map((key) => [key, string(`The argument ${key}`)]));
    const described = { title: name, description: `The prompt ${name}` };
    if (needed.length) {
      const argsSchema = fromJsonSchema(object(properties, needed));
      server.registerPrompt(name, { ...described, argsSchema }, async (given, context) => get(given, context));
    } else {
      server.registerPrompt(name, described, async (context) => get({}, context));
    }
  }
  for (let number = 1; number <= changes.tools; number += 1) changingTool(server, number);
  for (let number = 1; number <= changes.prompts; number += 1) changingPrompt(server, number);
  if (era === "legacy" || transport === "stdio") {
    lasting.add(server);
    server.server.onclose = () => lasting.delete(server);
  }
  server.server.setRequestHandler("completion/complete", async ({ params }) => {
    const values = ["testing", "tested", "other"].filter((word) => word.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  if (era === "legacy") {
    const watched = new Set();
    server.server.setRequestHandler("resources/subscribe", async ({ params }) => (watched.add(params.uri), {}));
    server.server.setRequestHandler("resources/unsubscribe", async ({ params }) => (watched.delete(params.uri), {}));
  }
  return server;
}

// Events of one session, in order, so that a stream that broke can be taken up again.
class Events {
  #events = [];

  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return String(this.#events.length - 1);
  }

  async getStreamIdForEventId(eventId) {
    return this.#events[Number(eventId)]?.streamId;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const last = Number(lastEventId);
    const { streamId } = this.#events[last];
    for (const [index, event] of this.#events.entries()) {
      if (index > last && event.streamId === streamId && event.message?.jsonrpc) await send(String(index), event.message);
    }
    return streamId;
  }
}

const sessions = new Map();

async function withSession(request, response) {
  const id = request.headers["mcp-session-id"];
  let session = sessions.get(id);
  if (id !== undefined && !session) {
    response.writeHead(404, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } }));
    return;
  }
  if (!session) {
    session = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: 500,
      onsessioninitialized: (opened) => void sessions.set(opened, session),
      onsessionclosed: (closed) => void sessions.delete(closed),
    });
    await build().connect(session);
  }
  await session.handleRequest(request, response);
}

if (transport === "stdio") {
  if (era === "legacy") await build().connect(new StdioServerTransport());
  else serveStdio(build, { legacy: "reject", onerror: (error) => console.error(error.message) });
} else {
  let answer = withSession;
  if (era === "modern") {
    const handler = createMcpHandler(build, { legacy: "reject", onerror: (error) => console.error(error.message) });
    publish = handler.notify;
    answer = toNodeHandler(handler);
  }
  const known = localhostHostValidation();
  const server = createServer((request, response) => {
    if (!known(request, response)) return;
    Promise.resolve(answer(request, response)).catch((error) => {
      console.error(error);
      response.destroy(error);
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
}
