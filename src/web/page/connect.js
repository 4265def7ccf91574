// How to wire each client to the gateway or to one server: texts to copy, made from the page's own address.
//
// A key is never among them, only a place for it.

import { element, plural, show, snippet } from "./elements.js";
import * as gateway from "./gateway.js";
import { exampleArguments } from "./schema.js";

const PLACEHOLDER = "YOUR_API_KEY";

/** A word of a shell's command line, whatever it holds. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** JSON without characters that a terminal or an editor would obey or hide. */
function json(value, indent) {
  const text = JSON.stringify(value, null, indent);
  return text.replace(/[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A call as a command. */
export function curl(server, tool, args) {
  const lines = [`curl -sS -X POST ${quoted(`${gateway.publicBase()}${gateway.serverPath(server)}/${gateway.segment(tool)}`)}`, "-H 'Content-Type: application/json'"];
  if (gateway.listing.gateway.keys) lines.push(`-H 'Authorization: Bearer ${PLACEHOLDER}'`);
  lines.push(`-d ${quoted(json(args))}`);
  return lines.join(" \\\n  ");
}

/** What the snippets are about: one server, or (`server` is null) all of them at once. */
function target(server) {
  const { gateway: about } = gateway.listing;
  // With the path prefix, too: Open WebUI puts this before the paths of the document that it finds here.
  const base = gateway.publicBase() + (server === null ? about.pathPrefix.replace(/\/$/, "") : gateway.serverPath(server));
  const name = server ?? "mcpo";
  return { base, name, mcp: `${base}/mcp`, keys: about.keys, about: server === null ? `All tools of ${about.name}` : `${server}, through ${about.name}` };
}

/** A name in the letters that model providers take in names of tools; one that had to be changed has a trace of the whole. */
function identifier(name) {
  const plain = name.replace(/[^A-Za-z0-9_-]+/g, "-");
  if (plain === name) return name;
  let trace = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) trace = Math.imul(trace ^ byte, 0x01000193) >>> 0;
  return `${plain}-${trace.toString(16).padStart(8, "0")}`;
}

function openWebUi({ base, name, mcp, keys, about }) {
  // Its admin page fails on an entry without one of `path`, `spec_type` and `spec`, also where they mean nothing.
  const common = { spec_type: "url", spec: "", path: "openapi.json", auth_type: keys ? "bearer" : "none", key: keys ? PLACEHOLDER : "", config: { enable: true, access_grants: [] }, info: { id: identifier(name), name, description: about } };
  const openapi = { type: "openapi", url: base, ...common };
  return [
    loopback(base) ? `Does Open WebUI run in a container? There, 127.0.0.1 is the container itself: start the gateway with --host 0.0.0.0${keys ? "" : " and an API key (--api-key)"}, and write host.docker.internal in place of ${new URL(base).hostname} (on Linux, run the container with --add-host=host.docker.internal:host-gateway).` : null,
    "Settings → Admin → Integrations → External Tool Servers → Add Connection: leave the type OpenAPI, give this as URL" + (keys ? ", and your key as Bearer" : ", and choose no authentication") + "; the path under Advanced stays openapi.json. Only administrators may use it until Access Control names others.",
    ["openwebui-url", "Base URL", base],
    "Instead, if you would rather have MCP: turn the type OpenAPI into MCP (Streamable HTTP) by a click, with this URL:",
    ["openwebui-mcp-url", "URL (MCP)", mcp],
    "Either of them as JSON, to import in that form or for the variable TOOL_SERVER_CONNECTIONS:",
    ["openwebui", "OpenAPI connection", json([openapi], 2)],
    ["openwebui-mcp", "MCP connection", json([{ type: "mcp", url: mcp, ...common }], 2)],
  ];
}

function lobeChat({ name, mcp, keys }, server) {
  const manifest = `${gateway.publicBase()}/servers/${server === null ? "" : `${gateway.segment(server)}/`}lobechat.json`;
  const open = gateway.listing.gateway.openDocuments;
  return [
    "Plugin store → Custom plugin → MCP → Streamable HTTP: give this URL" + (keys ? ", and the key as API key." : "."),
    ["lobechat-url", "URL (MCP)", mcp],
    "Or Quick import:",
    ["lobechat", "JSON", json({ mcpServers: { [name]: { url: mcp, ...(keys ? { headers: { Authorization: `Bearer ${PLACEHOLDER}` } } : {}) } } }, 2)],
    open ? "Or as a plugin with OpenAPI, by its manifest:" : "Its plugins with OpenAPI read the manifest without a key, which this gateway does not allow: use MCP.",
    open ? ["lobechat-manifest", "Manifest", manifest] : null,
  ];
}

function vsCode({ name, mcp, keys }) {
  const entry = { type: "http", url: mcp };
  const file = { servers: { [name]: entry } };
  if (keys) {
    entry.headers = { Authorization: "Bearer ${input:mcpo-key}" };
    file.inputs = [{ type: "promptString", id: "mcpo-key", description: "API key of mcpo", password: true }];
  }
  return ["Put this into .vscode/mcp.json of a folder (or run “MCP: Open User Configuration”)" + (keys ? "; VS Code asks for the key once." : "."), ["vscode", ".vscode/mcp.json", json(file, 2)]];
}

function claude({ name, mcp, keys }) {
  const plain = name.replace(/[^A-Za-z0-9_-]+/g, "-");
  const header = keys ? ` \\\n  --header ${quoted(`Authorization: Bearer ${PLACEHOLDER}`)}` : "";
  const args = ["-y", "mcp-remote", mcp];
  if (mcp.startsWith("http:") && !loopback(mcp)) args.push("--allow-http");
  // The blank comes from the variable: some versions break arguments at blanks.
  if (keys) args.push("--header", "Authorization:${AUTHORIZATION}");
  const desktop = { mcpServers: { [name]: { command: "npx", args, ...(keys ? { env: { AUTHORIZATION: `Bearer ${PLACEHOLDER}` } } : {}) } } };
  return [
    "Claude Code, in a terminal:",
    ["claude-code", "Command", `claude mcp add --transport http ${quoted(plain)} ${quoted(mcp)}${header}`],
    "Claude Desktop, in claude_desktop_config.json (Settings → Developer → Edit Config; needs Node.js):",
    ["claude-desktop", "claude_desktop_config.json", json(desktop, 2)],
  ];
}

/** Servers that have a command of their own when all stand together. */
const MOST_COMMANDS = 4;

async function curlBlocks({ keys }, server) {
  const { servers } = gateway.listing;
  const able = servers.filter((entry) => (server === null || entry.name === server) && entry.tools.length);
  const ready = able.filter((entry) => entry.state === "ready");
  const shown = (ready.length ? ready : able).slice(0, server === null ? MOST_COMMANDS : 1);
  const blocks = keys ? [`Put your key in place of ${PLACEHOLDER}.`] : [];
  if (server === null) {
    const header = keys ? ` \\\n  -H 'Authorization: Bearer ${PLACEHOLDER}'` : "";
    blocks.push("See what is there:", ["curl-servers", "Command", `curl -sS ${quoted(`${gateway.publicBase()}/servers`)}${header}`]);
  }
  if (!shown.length) return [...blocks, "There is no tool to call yet."];
  const examples = await Promise.all(shown.map(async (entry) => ({ entry, tool: example(await gateway.tools(entry)) })));
  examples.forEach(({ entry, tool }, index) => {
    const args = exampleArguments(tool.definition.inputSchema ?? {});
    const whose = server === null ? ` of ${entry.name}` : "";
    const own = Object.keys(args).length ? ", with arguments of your own" : "";
    blocks.push(`Call ${tool.name}${whose}${own}:`, [index ? `curl-${index + 1}` : "curl", "Command", curl(entry.name, tool.name, args)]);
  });
  const total = able.reduce((sum, entry) => sum + entry.tools.length, 0);
  if (total > examples.length) blocks.push(`Each of the ${plural(total, "tool")} has such a command: open ${server === null ? "its server, then the tool" : "the tool"}, and press “Copy as curl”.`);
  return blocks;
}

/** A tool to begin with: a read-only one with few required arguments, but some. A tool without any often returns
 * everything it has. */
function example(tools) {
  const needs = (tool) => (tool.definition.inputSchema?.required ?? []).length || Number.MAX_SAFE_INTEGER;
  return [...tools].sort((one, other) => other.readOnly - one.readOnly || needs(one) - needs(other))[0];
}

function loopback(url) {
  return /^https?:\/\/(localhost|127\.|\[::1\])/.test(url);
}

const CLIENTS = [
  ["Open WebUI", openWebUi],
  ["VS Code", vsCode],
  ["Claude", claude],
  ["LobeChat", lobeChat],
  ["curl", curlBlocks],
];

let chosen = 0;

/** The box with a tab for each client. `server`: its name, or null for one to choose. */
export class Connect {
  constructor(server) {
    this.server = server;
    this.fixed = server !== null;
    this.panel = element("div", { class: "panel", role: "tabpanel", id: "connect-panel", tabindex: "0" });
    this.tabs = CLIENTS.map(([label], index) =>
      element("button", { type: "button", role: "tab", id: `connect-${index}`, "aria-controls": "connect-panel", on: { click: () => this.choose(index), keydown: (event) => this.move(event, index) } }, label),
    );
    this.select = element("select", { id: "connect-server", on: { change: () => this.chooseServer() } });
    const choice = element("div", { class: "choice", hidden: this.fixed }, element("label", { for: "connect-server" }, "Use"), this.select);
    this.node = element(
      "section",
      { class: "card connect", "aria-labelledby": "connect" },
      element("div", { class: "connect-head" }, element("h2", { id: "connect" }, "Connect a client"), choice),
      element("div", { class: "tabs", role: "tablist", "aria-label": "Client" }, this.tabs),
      this.panel,
    );
    this.mark();
  }

  update(listing) {
    const names = listing.servers.map((server) => server.name);
    const signature = JSON.stringify([names, listing.gateway, listing.servers.map((server) => [server.tools, server.state === "ready"])]);
    if (signature === this.signature) return;
    this.signature = signature;
    if (!this.fixed) {
      if (this.server !== null && !names.includes(this.server)) this.server = null;
      const option = (name, label) => element("option", { value: name === null ? "" : `=${name}`, selected: name === this.server }, label);
      this.select.replaceChildren(option(null, "all servers together"), ...names.map((name) => option(name, `only ${name}`)));
      show(this.select.parentElement, !listing.gateway.single);
    }
    this.render();
  }

  chooseServer() {
    this.server = this.select.value ? this.select.value.slice(1) : null;
    this.render();
  }

  choose(index) {
    chosen = index;
    this.mark();
    this.render();
  }

  mark() {
    this.tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", index === chosen);
      tab.tabIndex = index === chosen ? 0 : -1;
    });
    this.panel.setAttribute("aria-labelledby", `connect-${chosen}`);
  }

  move(event, index) {
    const last = CLIENTS.length - 1;
    const to = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index === 0 ? last : index - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(to);
    this.tabs[to].focus();
  }

  async render() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    let blocks;
    try {
      blocks = await CLIENTS[chosen][1](target(this.server), this.server);
    } catch (error) {
      blocks = [`The tools cannot be read: ${error.message}`];
    }
    const signature = JSON.stringify(blocks);
    // What stays the same keeps its place, the focus and what is selected in it.
    if (turn !== this.turn || signature === this.rendered) return;
    this.rendered = signature;
    const nodes = blocks.filter((block) => block !== null).map((block) => (typeof block === "string" ? element("p", {}, block) : snippet(...block)));
    this.panel.replaceChildren(...nodes);
  }
}
