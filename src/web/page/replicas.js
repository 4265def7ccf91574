// The replicas that share a store with the gateway that served the page, as each last said of itself.

import { ago, element, exactly, plural, show } from "./elements.js";

/** The box with a line for each replica. Without a store it is hidden. */
export class Replicas {
  constructor() {
    this.problem = element("p", { class: "reason", hidden: true });
    this.list = element("ul", { class: "replicas" });
    this.node = element("section", { class: "card", "aria-labelledby": "replicas", hidden: true }, element("h2", { id: "replicas" }, "Replicas"), this.problem, this.list);
  }

  update({ shared }) {
    const signature = JSON.stringify(shared);
    if (signature === this.signature) return;
    this.signature = signature;
    this.shared = shared;
    show(this.node, Boolean(shared?.replicas?.length));
    show(this.problem, shared?.state === "unavailable");
    this.problem.textContent = `The shared store is away, so this may be old: ${shared?.reason}`;
    this.tick();
  }

  tick() {
    this.list.replaceChildren(...(this.shared?.replicas ?? []).map(line));
  }
}

function line(replica) {
  const { name, own, silent, saidAt, problem, version, since, ready, servers, callsInFlight, notReady = [] } = replica;
  const facts = version && [`${ready} of ${plural(servers, "server")} ready`, `${plural(callsInFlight, "call")} in flight`, version];
  return element(
    "li",
    { "data-replica": name, "data-state": silent || problem ? "unavailable" : ready < servers ? "starting" : "ready" },
    element("strong", {}, name),
    own ? element("span", { class: "badge" }, "this one") : null,
    silent ? element("span", { class: "badge bad", title: exactly(saidAt) }, `silent for ${ago(saidAt)}`) : null,
    facts ? element("span", { class: "version", title: `since ${exactly(since)}` }, [...facts, `up ${ago(since)}`].join(" · ")) : null,
    problem ? element("p", { class: "reason" }, problem) : null,
    notReady.map(({ name: server, state, reason }) => element("p", { class: "reason" }, `${server}: ${reason ?? state}`)),
  );
}
