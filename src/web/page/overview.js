// All servers at a glance, the search over their tools, and how to connect a client.

import { ago, count, duration, element, exactly, plural, setAttribute, setText, show, snippet } from "./elements.js";
import { Connect } from "./connect.js";
import * as gateway from "./gateway.js";
import { Replicas } from "./replicas.js";

const MOST_RESULTS = 60;
const FIRST = `{
  "mcpServers": {
    "time": { "command": "uvx", "args": ["mcp-server-time"] }
  }
}`;
const COLUMNS = ["Tools", "Calls", "Failed", "Latency", "Since"];

/** The state to show. A try after others that failed is no news: the server stays what it was until it is there. */
export function shownState(server) {
  return server.state === "starting" && server.failures > 0 ? "unavailable" : server.state;
}

/** The word for a state; a server that waits for a sign-in says so. */
export function stateWord(server) {
  if (server.signIn) return "Waits for sign-in";
  return { ready: "Ready", starting: "Starting", unavailable: "Unavailable", disabled: "Off" }[shownState(server)] ?? server.state;
}

/** When a server that is not there is tried next. */
export function nextTry(server) {
  if (server.nextRetryAt == null) return shownState(server) === "unavailable" ? "Trying again…" : "";
  const seconds = Math.ceil(server.nextRetryAt - Date.now() / 1000);
  return seconds > 0 ? `Next try in ${seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`}.` : "Trying again…";
}

/** A server's reason. As the gateway words it, it begins small, since the log has it in the middle of a line, and names
 * the address of a sign-in, which is a button here. */
export function reasonOf({ reason = "", signIn }) {
  const shown = signIn ? reason.replace(`: open ${signIn}`, ".") : reason;
  return shown.charAt(0).toUpperCase() + shown.slice(1);
}

/** What is not as it was locked, in few words. */
export function driftWords(drift) {
  return `${plural(drift.length, "tool")} ${drift.length === 1 ? "differs" : "differ"} from the lock`;
}

export function latency(calls) {
  return calls.meanMs == null ? "–" : duration(calls.meanMs);
}

export function latencyInFull(calls) {
  return calls.meanMs == null ? "no answer yet" : `mean ${duration(calls.meanMs)}, 95 % within about ${duration(calls.p95Ms)}`;
}

/** One server's line. It is made once, and only what changes in it is written again. */
class Row {
  constructor(name) {
    this.state = element("span", { class: "state" });
    this.link = element("a", { href: `#/${encodeURIComponent(name)}` }, name);
    this.required = element("span", { class: "badge", hidden: true }, "required");
    this.drifted = element("span", { class: "badge bad", hidden: true });
    this.version = element("span", { class: "version" });
    this.reason = element("p", { class: "reason", hidden: true });
    this.next = element("p", { class: "next", hidden: true });
    this.facts = {};
    const facts = COLUMNS.map((label) => {
      this.facts[label] = element("dd");
      return element("div", {}, element("dt", {}, label), this.facts[label]);
    });
    this.node = element(
      "li",
      { class: "server", "data-server": name },
      element("div", { class: "who" }, this.state, element("h2", {}, this.link), element("div", { class: "marks" }, this.required, this.drifted, this.version), this.reason, this.next),
      element("dl", { class: "facts" }, facts),
    );
  }

  update(server) {
    this.server = server;
    setAttribute(this.node, "data-state", shownState(server));
    setText(this.state, stateWord(server));
    show(this.required, server.required && server.state !== "ready");
    show(this.drifted, Boolean(server.drift?.length));
    setText(this.drifted, server.drift?.length ? driftWords(server.drift) : "");
    setText(this.version, [server.version, server.protocol && `MCP ${server.protocol}`].filter(Boolean).join(" · "));
    setText(this.facts.Tools, count(server.tools.length));
    setText(this.facts.Calls, count(server.calls.total));
    setText(this.facts.Failed, count(server.calls.failed));
    setAttribute(this.facts.Tools, "class", server.tools.length ? null : "none");
    setAttribute(this.facts.Calls, "class", server.calls.total ? null : "none");
    setAttribute(this.facts.Failed, "class", server.calls.failed ? "some" : "none");
    setAttribute(this.facts.Latency, "class", server.calls.meanMs == null ? "none" : null);
    setText(this.facts.Latency, latency(server.calls));
    setAttribute(this.facts.Latency, "title", latencyInFull(server.calls));
    setAttribute(this.facts.Since, "title", exactly(server.since));
    this.tick();
  }

  tick() {
    setText(this.facts.Since, ago(this.server.since));
    const [reason, next] = [reasonOf(this.server), nextTry(this.server)];
    show(this.reason, reason !== "");
    setText(this.reason, reason);
    show(this.next, next !== "");
    setText(this.next, next);
  }
}

export class Overview {
  constructor() {
    this.rows = new Map();
    this.heading = element("h1", { tabindex: "-1" });
    this.summary = element("p", { class: "summary" });
    this.configuration = element("div", { class: "notice bad", hidden: true });
    this.search = element("input", {
      type: "search", id: "search", placeholder: "Search servers and tools", autocomplete: "off", spellcheck: "false",
      "aria-describedby": "found", on: { input: () => this.find(), keydown: (event) => this.leaveSearch(event) },
    });
    this.found = element("p", { id: "found", class: "found", role: "status" });
    this.results = element("ul", { class: "results", "aria-label": "Search results", hidden: true });
    this.list = element("ul", { class: "servers", "aria-label": "Servers" });
    // Each row names its columns, too: for screen readers, and for narrow screens with one column.
    const columns = element("div", { class: "columns", "aria-hidden": "true" }, element("span", {}, "Server"), element("div", {}, COLUMNS.map((label) => element("span", {}, label))));
    this.card = element("div", { class: "servers-card" }, columns, this.list);
    this.replicas = new Replicas();
    this.connect = new Connect(null);
    this.first = element(
      "section",
      { class: "card", id: "first-server", hidden: true },
      element("h2", {}, "Add the first server"),
      element("p", {}, "Save this as config.json. The mcpServers of Claude Desktop, Cursor or VS Code can be pasted in as they are."),
      snippet("first-file", "config.json", FIRST),
      element("p", {}, "Start the gateway with that file; with --hot-reload, later changes of it count by themselves."),
      snippet("first-command", "Command", "mcpo --config config.json --hot-reload"),
    );
    this.node = element(
      "div",
      { class: "overview" },
      element("div", { class: "hero" }, this.heading, this.summary),
      this.configuration,
      this.first,
      element("div", { class: "search" }, element("label", { for: "search", class: "unseen" }, "Search servers and tools"), this.search, element("kbd", { "aria-hidden": "true" }, "/")),
      this.found,
      this.results,
      this.card,
      this.replicas.node,
      this.connect.node,
    );
  }

  update(listing) {
    this.listing = listing;
    const { servers, configuration } = listing;
    const enabled = servers.filter((server) => server.state !== "disabled");
    const ready = enabled.filter((server) => server.state === "ready");
    setText(this.heading, headline(enabled.length, ready.length));
    setText(this.summary, summary(listing));
    // The gateway was started without a configuration.
    show(this.first, servers.length > 0 && servers.every((server) => server.transport === "gateway"));
    show(this.configuration, Boolean(configuration.problems?.length));
    setText(this.configuration, configuration.problems?.length ? `The configuration file has changed, but was not taken over; the one before still runs.\n${configuration.problems.join("\n")}` : "");
    for (const [name, row] of this.rows) {
      if (servers.some((server) => server.name === name)) continue;
      row.node.remove();
      this.rows.delete(name);
    }
    servers.forEach((server, index) => {
      let row = this.rows.get(server.name);
      if (!row) this.rows.set(server.name, (row = new Row(server.name)));
      if (this.list.children[index] !== row.node) this.list.insertBefore(row.node, this.list.children[index] ?? null);
      row.update(server);
    });
    this.replicas.update(listing);
    this.connect.update(listing);
  }

  tick() {
    for (const row of this.rows.values()) row.tick();
    this.replicas.tick();
  }

  leaveSearch(event) {
    if (event.key === "Escape" && this.search.value) {
      event.preventDefault();
      this.search.value = "";
      this.find();
    }
  }

  /** Shows the servers and tools that hold every word that was typed, in place of the list. */
  async find() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    if (!words.length) {
      show(this.card, true);
      show(this.results, false);
      setText(this.found, "");
      return;
    }
    const { servers } = this.listing;
    const lists = await Promise.allSettled(servers.map((server) => (server.tools.length ? gateway.tools(server) : [])));
    if (turn !== this.turn) return;
    const holds = (...texts) => words.every((word) => texts.some((text) => text?.toLowerCase().includes(word)));
    const found = [];
    const rest = [];
    servers.forEach((server, index) => {
      if (holds(server.name)) found.push(result(`#/${encodeURIComponent(server.name)}`, server.name, "server", server.reason ?? plural(server.tools.length, "tool")));
      for (const { name, definition } of lists[index].value ?? []) {
        if (!holds(name, server.name, text(definition.title), text(definition.description))) continue;
        const target = `#/${encodeURIComponent(server.name)}/${encodeURIComponent(name)}`;
        // Those that are called so come first.
        (holds(name, server.name) ? found : rest).push(result(target, name, server.name, text(definition.description) ?? ""));
      }
    });
    found.push(...rest);
    const failed = lists.filter((list) => list.status === "rejected").length;
    const more = found.length > MOST_RESULTS ? `; the first ${MOST_RESULTS} are shown` : "";
    const missing = failed ? ` (the tools of ${plural(failed, "server")} could not be read)` : "";
    setText(this.found, found.length ? `${plural(found.length, "match", "matches")}${more}${missing}` : `Nothing matches “${this.search.value.trim()}”${missing}`);
    this.results.replaceChildren(...found.slice(0, MOST_RESULTS));
    show(this.card, false);
    show(this.results, true);
  }
}

function headline(enabled, ready) {
  if (enabled === 0) return "No server yet";
  if (ready === enabled) return enabled === 1 ? "The server is ready" : enabled === 2 ? "Both servers are ready" : `All ${enabled} servers are ready`;
  return `${ready} of ${plural(enabled, "server")} ready`;
}

function summary({ gateway: about, servers }) {
  const tools = servers.reduce((sum, server) => sum + server.tools.length, 0);
  const seen = about.keys ? `, seen with the key “${about.key}”` : "";
  if (!servers.length) return about.keys ? `Nothing is open to the key “${about.key}”.` : "Put servers into the configuration file, and they appear here.";
  return `${plural(tools, "tool")} behind one address${seen}.`;
}

/** A server may send anything where a text belongs. */
export function text(value) {
  return typeof value === "string" ? value : undefined;
}

function result(target, name, kind, about) {
  return element("li", {}, element("a", { href: target }, element("strong", {}, name), element("span", { class: "badge" }, kind), element("span", { class: "about" }, about.slice(0, 300))));
}
