// One server: its state and facts, its tools with their arguments and a form to try them, and how to connect.

import { ago, announce, copyButton, count, duration, element, exactly, plural, setAttribute, setText, show } from "./elements.js";
import { Connect, curl } from "./connect.js";
import * as gateway from "./gateway.js";
import { driftWords, latency, nextTry, reasonOf, shownState, stateWord, text } from "./overview.js";
import { exampleArguments, field, rows } from "./schema.js";

const LONGEST_RESULT = 100_000;
/** From here on a server's tools can be filtered. */
const MANY_TOOLS = 8;

const transports = { stdio: "stdio", "streamable-http": "Streamable HTTP", sse: "HTTP with SSE", socket: "Unix socket", gateway: "built in" };

export class ServerView {
  constructor(server) {
    this.heading = element("h1", { tabindex: "-1" }, server.name);
    this.state = element("span", { class: "state" });
    this.since = element("span", { class: "since" });
    this.reason = element("p", { class: "reason" });
    this.next = element("p", { class: "next" });
    this.signIn = element("div", { class: "sign-in", hidden: true });
    this.notice = element("div", { class: "notice", hidden: true }, this.reason, this.next, this.signIn);
    this.drift = element("section", { class: "notice drift", hidden: true });
    this.holders = element("details", { class: "raw holders", hidden: true });
    this.facts = element("dl", { class: "facts" });
    this.factValues = new Map();
    this.links = element("div", { class: "addresses" });
    this.toolsHeading = element("h2", { id: "tools" }, "Tools");
    this.filter = element("input", { type: "search", placeholder: "Filter these tools", "aria-label": "Filter these tools", autocomplete: "off", spellcheck: "false", on: { input: () => this.applyFilter() } });
    this.filterBox = element("div", { class: "search", hidden: true }, this.filter, element("kbd", { "aria-hidden": "true" }, "/"));
    this.found = element("p", { class: "found", role: "status" });
    this.tools = element("div", { class: "tools" });
    this.items = new Map();
    this.connect = new Connect(server.name);
    this.node = element(
      "div",
      { class: "one", "data-server": server.name },
      element("p", {}, element("a", { href: "#/", class: "back" }, "All servers")),
      element("div", { class: "hero" }, element("div", { class: "title" }, this.heading, this.state, this.since)),
      this.notice,
      this.drift,
      this.facts,
      this.holders,
      this.links,
      element("section", { "aria-labelledby": "tools" }, this.toolsHeading, this.filterBox, this.found, this.tools),
      this.connect.node,
    );
  }

  update(listing) {
    const server = listing.servers.find((server) => server.name === this.node.dataset.server);
    // The gateway's next list leads away from here.
    if (!server) return;
    this.server = server;
    setAttribute(this.node, "data-state", shownState(server));
    setText(this.state, stateWord(server));
    setAttribute(this.since, "title", exactly(server.since));
    setAttribute(this.notice, "class", shownState(server) === "unavailable" ? "notice bad" : "notice");
    this.updateSignIn(server);
    this.updateDrift(server.drift ?? []);
    this.fact("Version", server.version ?? "–");
    this.fact("Protocol", server.protocol ?? "–");
    this.fact("Transport", transports[server.transport] ?? server.transport);
    this.fact("Calls", count(server.calls.total));
    this.fact("Failed", failures(server.calls));
    this.fact("Latency, mean", latency(server.calls));
    this.fact("95 % within", server.calls.p95Ms == null ? "–" : duration(server.calls.p95Ms));
    if (server.isolation) this.fact("Of their own", `${plural(server.isolated, ...apart(server))}, one for each ${server.isolation}`, "long");
    this.updateHolders(server.holders ?? []);
    if (server.required) this.fact("Required", "yes: /ready waits for it", "long");
    if (server.location) this.fact(server.transport === "stdio" ? "Command" : "Address", server.location, "long");
    this.updateLinks(server);
    this.connect.update(listing);
    this.updateTools(server);
    this.tick();
  }

  tick() {
    const passed = ago(this.server.since);
    setText(this.since, passed === "just now" ? passed : `for ${passed}`);
    const [reason, next] = [reasonOf(this.server), nextTry(this.server)];
    setText(this.reason, reason);
    setText(this.next, next);
    show(this.notice, reason + next !== "" || Boolean(this.server.signIn));
  }

  fact(label, value, kind) {
    let node = this.factValues.get(label);
    if (!node) {
      this.factValues.set(label, (node = element("dd")));
      this.facts.append(element("div", { class: kind }, element("dt", {}, label), node));
    }
    setText(node, value);
  }

  updateSignIn(server) {
    show(this.signIn, Boolean(server.signIn));
    if (!server.signIn || this.signIn.dataset.target === server.signIn) return;
    this.signIn.dataset.target = server.signIn;
    const start = new URL(server.signIn, location.href);
    const whose = server.ownSignIn ? "Your sign-in will serve you alone: these tools then act with the rights of the account that you sign in with." : "Your sign-in will serve all callers of the gateway: every caller of these tools acts with the rights of the account that you sign in with.";
    const explained = element("p", {}, whose);
    const problem = element("p", { class: "status bad", role: "status" });
    // At another address of the gateway, that page asks first, and for the key.
    const here = start.origin === location.origin;
    const button = here ? element("button", { type: "button", class: "primary", on: { click: () => begin(start, button, problem) } }, "Sign in") : gateway.isWeb(start) && element("a", { class: "button primary", href: start.href, rel: "noopener" }, "Sign in");
    this.signIn.replaceChildren(...[explained, button, problem].filter(Boolean));
  }

  /** The callers of an isolated server that have a process or session now. */
  updateHolders(holders) {
    const signature = JSON.stringify(holders);
    if (signature === this.holdersOf) return;
    this.holdersOf = signature;
    show(this.holders, holders.length > 0);
    const line = ({ caller, key, user, connections }) => {
      const names = [user && `user ${user}`, key && `key ${key}`].filter(Boolean).join(", ") || "callers without a key";
      return element("p", {}, `${names}${connections > 1 ? ` (${count(connections)})` : ""}: `, element("code", {}, caller));
    };
    this.holders.replaceChildren(element("summary", {}, "Held by"), ...holders.map(line));
  }

  /** The tools that are not as they were locked, each with what differs. */
  updateDrift(drift) {
    const signature = JSON.stringify(drift);
    if (signature === this.driftOf) return;
    this.driftOf = signature;
    show(this.drift, drift.length > 0);
    if (!drift.length) return;
    const held = drift.filter((one) => one.quarantined).length;
    const meaning = held
      ? `${held === drift.length ? "Held back" : `Held back ${held === 1 ? "is" : "are"} ${count(held)} of them`}: neither listed nor called, until the operator has reviewed the difference and accepts it with mcpo lock.`
      : "Nothing is held back.";
    const line = ({ tool, change, diff = [] }) => {
      const words = { changed: "has changed", new: "is new", missing: "is gone" }[change] ?? change;
      const title = [element("code", {}, tool), ` ${words}`];
      if (!diff.length) return element("p", {}, title);
      return element("details", { class: "raw" }, element("summary", {}, title), element("pre", { tabindex: "0" }, element("code", {}, diff.join("\n"))));
    };
    this.drift.replaceChildren(element("h2", {}, driftWords(drift)), element("p", {}, meaning), ...drift.map(line));
  }

  updateLinks(server) {
    const base = gateway.publicBase() + gateway.serverPath(server.name);
    const here = gateway.pageBase() + gateway.serverPath(server.name);
    const signature = `${base} ${here}`;
    if (this.linksOf === signature) return;
    this.linksOf = signature;
    const row = (label, path, link) => {
      const address = element("code", { tabindex: "0" }, base + path);
      const name = link ? element("a", { href: here + path }, label) : element("span", {}, label);
      return element("div", {}, name, address, copyButton(`the address of ${label}`, () => base + path, address));
    };
    this.links.replaceChildren(row("Docs", "/docs", true), row("OpenAPI", "/openapi.json", gateway.listing.gateway.openDocuments), row("MCP", "/mcp", false));
  }

  async updateTools(server) {
    setText(this.toolsHeading, server.tools.length ? plural(server.tools.length, "tool") : "No tools yet");
    show(this.filterBox, server.tools.length >= MANY_TOOLS);
    const asked = gateway.tools(server);
    if (asked === this.asked) return;
    this.asked = asked;
    let list;
    try {
      list = await asked;
    } catch (error) {
      if (asked === this.asked) {
        setText(this.found, `The tools cannot be shown: ${error.message}`);
        this.asked = null;
      }
      return;
    }
    if (asked !== this.asked) return;
    const items = new Map();
    for (const tool of list) {
      const known = this.items.get(tool.name);
      const signature = JSON.stringify(tool);
      items.set(tool.name, known?.signature === signature ? known : toolItem(server.name, tool, signature));
    }
    this.items = items;
    const nodes = [...items.values()].map((item) => item.node);
    // Nodes that stay where they are keep the focus and what was typed into them.
    if (nodes.length !== this.tools.children.length || nodes.some((node, index) => this.tools.children[index] !== node)) this.tools.replaceChildren(...nodes);
    this.applyFilter();
    if (this.wanted) this.openTool(this.wanted);
  }

  applyFilter() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { node, searched } of this.items.values()) {
      const fits = words.every((word) => searched.includes(word));
      shown += fits;
      show(node, fits);
    }
    setText(this.found, words.length ? plural(shown, "match", "matches") : "");
  }

  /** Opens a tool, once it is there, and moves to it. */
  openTool(name) {
    if (this.opened === name) return;
    this.wanted = name;
    const item = this.items.get(name);
    if (!item) return;
    this.wanted = null;
    this.opened = name;
    item.node.open = true;
    item.node.querySelector("summary").focus();
    item.node.scrollIntoView({ block: "start" });
  }
}

/** What an isolated server has for each of its callers. */
function apart(server) {
  return ["stdio", "socket"].includes(server.transport) ? ["process", "processes"] : ["session"];
}

/** Leads to the authorization server, or says why not. */
async function begin(start, button, problem) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  setText(problem, "");
  try {
    location.assign(await gateway.beginSignIn(start));
  } catch (error) {
    setText(problem, `The sign-in cannot begin: ${error.message}`);
    button.removeAttribute("aria-disabled");
  }
}

function failures(calls) {
  const kinds = Object.entries(calls.failures ?? {}).map(([kind, times]) => `${count(times)} ${kind.replaceAll("_", " ")}`);
  return kinds.length ? `${count(calls.failed)} (${kinds.join(", ")})` : count(calls.failed);
}

function toolItem(server, tool, signature) {
  const { definition, readOnly } = tool;
  const about = text(definition.description) ?? "";
  const title = text(definition.title) ?? text(definition.annotations?.title);
  const hints = definition.annotations ?? {};
  const badge = readOnly ? element("span", { class: "badge calm" }, "read-only") : hints.destructiveHint === true ? element("span", { class: "badge bad" }, "may destroy") : null;
  const line = about.split("\n")[0] || (title ?? "");
  const summary = element("summary", {}, element("span", { class: "tool-name" }, tool.name), badge, element("span", { class: "about" }, line === tool.name ? "" : line));
  const node = element("details", { class: "tool", "data-tool": tool.name }, summary);
  // Made when it is opened: thousands of forms would be slow.
  node.addEventListener("toggle", () => {
    if (node.open && node.children.length === 1) node.append(toolBody(server, tool, about));
  });
  return { node, signature, searched: `${tool.name} ${title ?? ""} ${about}`.toLowerCase() };
}

function toolBody(server, tool, about) {
  const schema = tool.definition.inputSchema ?? {};
  const output = tool.definition.outputSchema;
  return element(
    "div",
    { class: "tool-body" },
    about ? element("p", { class: "description" }, about) : null,
    argumentsTable(schema, "Arguments"),
    output ? element("details", { class: "raw" }, element("summary", {}, "What it returns"), argumentsTable(output, "Result")) : null,
    element("details", { class: "raw" }, element("summary", {}, "Definition as JSON"), element("pre", { tabindex: "0" }, element("code", {}, JSON.stringify(tool.definition, null, 2)))),
    // As its server would refuse it.
    tool.definition.execution?.taskSupport === "required" ? element("p", { class: "quiet" }, "It runs as a task alone, which the gateway does not pass on: it cannot be called here.") : tryForm(server, tool, schema),
  );
}

function argumentsTable(schema, caption) {
  const list = rows(schema);
  if (!list.length) return element("p", { class: "quiet" }, caption === "Arguments" ? "It takes no arguments." : "Its result has no fixed fields.");
  const line = (row) =>
    element(
      "tr",
      { role: "row" },
      element("th", { scope: "row", role: "rowheader" }, element("code", { class: `depth-${row.depth}` }, row.name), row.required && caption === "Arguments" ? element("span", { class: "required" }, "required") : null),
      element("td", { role: "cell" }, row.type),
      element(
        "td",
        { role: "cell" },
        row.meaning,
        row.choices.length ? element("span", { class: "detail" }, "one of ", row.choices.flatMap((choice, index) => [index ? ", " : null, element("code", {}, choice)])) : null,
        row.limits.length ? element("span", { class: "detail" }, row.limits.join("; ")) : null,
        row.standard !== null ? element("span", { class: "detail" }, "default ", element("code", {}, row.standard)) : null,
      ),
    );
  const head = ["Name", "Type", "Meaning"].map((label) => element("th", { scope: "col", role: "columnheader" }, label));
  // The roles are named, since phones show rows as blocks, which takes the table's own meaning from it.
  return element("div", { class: "table" }, element("table", { role: "table" }, element("caption", {}, caption), element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, head)), element("tbody", { role: "rowgroup" }, list.map(line))));
}

let formCount = 0;

function tryForm(server, tool, schema) {
  const prefix = `try-${(formCount += 1)}`;
  const properties = Object.entries(schema.properties && typeof schema.properties === "object" ? schema.properties : {});
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields = properties.map(([name, inner], index) => field(`${prefix}-${index}`, name, inner, schema, required.includes(name)));
  const grid = element("div", { class: "fields" }, fields.map(({ label, control }) => element("div", {}, label, control)));
  const asJson = element("textarea", { id: `${prefix}-json`, class: "code", rows: 6, spellcheck: "false" });
  const jsonBox = element("div", { class: "fields", hidden: true }, element("div", {}, element("label", { for: `${prefix}-json` }, "Arguments as JSON"), asJson));
  const toggle = element("button", { type: "button", class: "quiet", "aria-pressed": "false" }, "Write JSON instead");
  const run = element("button", { type: "submit", class: "primary" }, "Call the tool");
  const cancel = element("button", { type: "button", hidden: true }, "Cancel");
  const curlCopy = copyButton("as curl", () => curl(server, tool.name, readSafely()), null, "Copy as curl");
  const status = element("p", { class: "status", role: "status" });
  const output = element("code", { "data-result": "" });
  const box = element("pre", { class: "result", tabindex: "0", hidden: true }, output);

  function read() {
    if (!jsonBox.hidden) {
      let value;
      try {
        value = JSON.parse(asJson.value || "{}");
      } catch (error) {
        throw new Error(`The arguments are no JSON: ${error.message}`);
      }
      if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("The arguments are no JSON object: write { … }");
      return value;
    }
    return Object.fromEntries(fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined));
  }
  function readSafely() {
    let typed = {};
    try {
      typed = read();
    } catch {
      // What was typed so far cannot be sent; the example can.
    }
    return { ...exampleArguments(schema), ...typed };
  }

  toggle.addEventListener("click", () => {
    const toJson = jsonBox.hidden;
    if (toJson) asJson.value = JSON.stringify(readSafely(), null, 2);
    show(jsonBox, toJson);
    show(grid, !toJson);
    setText(toggle, toJson ? "Back to the form" : "Write JSON instead");
    toggle.setAttribute("aria-pressed", toJson);
  });
  if (!fields.length && schema.additionalProperties !== false && Object.keys(schema).some((word) => !["type", "properties", "$schema", "title"].includes(word))) {
    show(jsonBox, true);
    show(grid, false);
    show(toggle, false);
    asJson.value = "{}";
  }
  show(toggle, !toggle.hidden && fields.length > 0);

  let stop = null;
  cancel.addEventListener("click", () => stop?.abort());
  const form = element("form", { class: "try", "aria-label": `Try ${tool.name}`, novalidate: !properties.length }, element("h3", {}, "Try it"), grid, jsonBox, element("div", { class: "buttons" }, run, cancel, toggle, curlCopy), status, box);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (stop) return;
    let args;
    try {
      args = read();
    } catch (error) {
      setAttribute(status, "class", "status bad");
      setText(status, error.message);
      return;
    }
    stop = new AbortController();
    run.setAttribute("aria-disabled", "true");
    show(cancel, true);
    setAttribute(status, "class", "status");
    setText(status, "Calling…");
    try {
      const answer = await gateway.call(server, tool.name, args, stop.signal);
      const good = answer.status < 400;
      setAttribute(status, "class", good ? "status good" : "status bad");
      // What REST says with 500 is the tool's own word.
      const outcome = good ? "Answered" : answer.status === 500 ? "The tool answered with an error" : "Failed";
      setText(status, `${outcome}: ${answer.status} in ${duration(answer.took)}`);
      setText(output, readable(answer));
      show(box, true);
    } catch (error) {
      setAttribute(status, "class", "status bad");
      setText(status, error.name === "AbortError" ? "Cancelled." : "The gateway did not answer.");
      announce(status.textContent);
    }
    stop = null;
    run.removeAttribute("aria-disabled");
    show(cancel, false);
  });
  // JSON is what it is: the form's own rules do not hold for it.
  form.addEventListener("click", () => (form.noValidate = !jsonBox.hidden), true);
  return form;
}

/** An answer's body as people read it: text as it is, JSON with its lines, an error as its sentence. */
function readable({ text: body, type }) {
  let shown = body;
  if (type.startsWith("application/json")) {
    try {
      const value = JSON.parse(body);
      const sentence = value?.detail?.message ?? value?.detail;
      shown = typeof value === "string" ? value : typeof sentence === "string" ? sentence : JSON.stringify(value, null, 2);
    } catch {
      // Shown as it came.
    }
  }
  return shown.length > LONGEST_RESULT ? `${shown.slice(0, LONGEST_RESULT)}\n… (${count(shown.length - LONGEST_RESULT)} more characters)` : shown;
}
