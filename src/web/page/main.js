// The page as a whole: the key, the choice of view, and announcements of changes.

import { announce, element, setText, show } from "./elements.js";
import * as gateway from "./gateway.js";
import { Overview, shownState } from "./overview.js";
import { ServerView } from "./server.js";

const main = document.getElementById("main");
const place = document.getElementById("view");
const keyForm = document.getElementById("key-form");
const trouble = document.getElementById("trouble");

/** What is shown now: an overview or a server. Each has `node`, `heading`, `update(listing)` and `tick()`. */
let view = null;
let shown = null;
const states = new Map();

/** `#/name/tool`, decoded; what cannot be decoded is no name. */
function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  try {
    const [server, tool] = parts.map(decodeURIComponent);
    return { server, tool };
  } catch {
    return {};
  }
}

function open(moveFocus) {
  const listing = gateway.listing;
  if (!listing) return;
  const { server: name, tool } = route();
  const server = listing.servers.find((server) => server.name === name);
  const wanted = server ? `server ${name}` : "overview";
  if (wanted !== shown) {
    view = server ? new ServerView(server) : new Overview();
    shown = wanted;
    place.replaceChildren(view.node);
    scrollTo(0, 0);
  }
  view.update(listing);
  document.title = server ? `${name} · ${listing.gateway.name}` : listing.gateway.name;
  if (server && tool) view.openTool(tool);
  else if (moveFocus) view.heading.focus({ preventScroll: true });
}

function close() {
  view = null;
  shown = null;
  states.clear();
  place.replaceChildren();
  document.title = "mcpo";
  setText(document.getElementById("version"), "");
  show(document.getElementById("links"), false);
}

function tellChanges(servers) {
  const words = { ready: "is ready", starting: "is starting", unavailable: "is unavailable", disabled: "is off" };
  const changes = [];
  for (const server of servers) {
    const before = states.get(server.name);
    const state = shownState(server);
    if (before && before !== state) changes.push(`${server.name} ${words[state] ?? state}`);
    states.set(server.name, state);
  }
  for (const name of states.keys()) {
    if (servers.some((server) => server.name === name)) continue;
    states.delete(name);
    changes.push(`${name} is gone`);
  }
  if (changes.length) announce(changes.join(". "));
}

if (gateway.signsIn) {
  setText(document.getElementById("forget"), "Sign out");
  setText(document.getElementById("open"), "Sign in");
  setText(document.getElementById("key-help"), "This browser may then read for twelve hours. For calls, the key stays in this tab until you close it. It is sent to this gateway only.");
}

gateway.start({
  onListing(listing) {
    show(keyForm, false);
    setText(document.getElementById("version"), [listing.gateway.name, listing.gateway.version, listing.shared && listing.gateway.replica].filter(Boolean).join(" · "));
    show(document.getElementById("links"), true);
    show(document.getElementById("document"), listing.gateway.openDocuments);
    show(document.getElementById("forget"), listing.gateway.keys);
    tellChanges(listing.servers);
    open(false);
  },
  onKey(problem) {
    close();
    show(trouble, false);
    show(keyForm, true);
    setText(document.getElementById("key-problem"), problem);
    document.getElementById("key").focus();
  },
  onTrouble(text) {
    show(trouble, text !== null);
    setText(trouble, text ?? "");
    main.classList.toggle("old", text !== null);
  },
});

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("key");
  const text = field.value.trim();
  // What no header can hold cannot be a key, and the browser would refuse to send it.
  if (!text || /[^\x20-\x7e]/.test(text)) {
    setText(document.getElementById("key-problem"), "A key is made of letters, digits and signs of ASCII.");
    return;
  }
  field.value = "";
  gateway.useKey(text);
});

document.getElementById("forget").addEventListener("click", gateway.forgetKey);
// The way past the header leads to no other view.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => open(true));
setInterval(() => view?.tick(), 1000);

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

// Answers that take long get a word, quick ones no flicker.
setTimeout(() => {
  if (!gateway.listing && keyForm.hidden && !place.hasChildNodes()) {
    place.replaceChildren(element("p", { class: "wait" }, "Asking the gateway…"));
  }
}, 600);
