// What the page knows of the gateway: the list of servers, asked for again and again, and the tools of each.
//
// The key is kept for this tab only, and goes nowhere but into the Authorization header of requests to the
// gateway that served the page. Nothing is cached, and remembered passwords are never sent along. Where the gateway signs
// browsers in, it also gives a cookie for the key, which opens what the page reads, in other tabs, too, and no call. No
// script sees that cookie; the browser only remembers until when it has one.

const KEY = "mcpo-key";
const SIGNED_IN = "mcpo-signed-in-until";
const SIGNED_IN_FOR = 12 * 3600 * 1000;
const PAUSE = 2000;
const LONGEST_PAUSE = 10_000;
const PATIENCE = 10_000;

/** The folder that the page is in: the gateway's root, or that of its path prefix. */
const here = new URL(".", location.href);

let listeners;
let etag = null;
let timer;
let failures = 0;
let asking = false;
let again = false;

/** The newest list, as `GET /servers` has it. */
export let listing = null;

const access = document.documentElement.dataset.keys;
export const needsKey = access !== "none";
export const signsIn = access === "sign-in";

export function key() {
  return sessionStorage.getItem(KEY);
}

/** Begins to poll. The listeners are `onListing`, `onKey(problem)` and `onTrouble(text)`. */
export function start(all) {
  listeners = all;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (key() || !needsKey || isSignedIn())) refresh();
  });
  if (needsKey && !key() && !isSignedIn()) listeners.onKey("");
  else refresh();
}

export async function useKey(text) {
  sessionStorage.setItem(KEY, text);
  forgetAll();
  if (signsIn) await signIn(text);
  refresh();
}

function isSignedIn() {
  return signsIn && Number(localStorage.getItem(SIGNED_IN)) > Date.now();
}

/** What goes wrong here the next question tells, too. */
async function signIn(text) {
  const until = Date.now() + SIGNED_IN_FOR;
  const answer = await session("POST", { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key: text }) });
  if (answer?.ok) localStorage.setItem(SIGNED_IN, String(until));
}

function session(method, options = {}) {
  return fetch(new URL("oauth/page", here), { ...options, method, credentials: "same-origin", cache: "no-store", redirect: "error", keepalive: true }).catch(() => null);
}

export function forgetKey() {
  if (isSignedIn()) session("DELETE");
  localStorage.removeItem(SIGNED_IN);
  sessionStorage.removeItem(KEY);
  forgetAll();
  clearTimeout(timer);
  listeners.onKey("");
}

function forgetAll() {
  listing = null;
  etag = null;
  toolLists.clear();
}

/** Asks now, and polls for as long as the page is visible. */
export async function refresh() {
  clearTimeout(timer);
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  let goOn = true;
  try {
    goOn = await once();
  } finally {
    asking = false;
    clearTimeout(timer);
    const pause = again ? 0 : Math.min(PAUSE * 2 ** Math.min(failures, 3), LONGEST_PAUSE);
    if (again || goOn) timer = setTimeout(() => document.hidden || refresh(), pause);
    again = false;
  }
}

/** One question; gives whether to ask again. */
async function once() {
  const asked = key();
  let response;
  let body;
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    response = await send(new URL("servers", here), { headers, signal: AbortSignal.timeout(PATIENCE) });
    body = response.status === 304 ? null : await response.text();
  } catch {
    failures += 1;
    listeners.onTrouble("The gateway does not answer. What you see may be old; trying again.");
    return true;
  }
  if (asked !== key()) {
    // Another key has come meanwhile, or none is left.
    again = key() !== null;
    return false;
  }
  if (response.status === 401 || response.status === 403) {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(SIGNED_IN);
    forgetAll();
    listeners.onKey(asked ? `The gateway does not take this key: ${sentence(body)}.` : "");
    return false;
  }
  if (body !== null && !response.ok) {
    failures += 1;
    listeners.onTrouble(`The gateway answers ${response.status}: ${sentence(body)}. What you see may be old; trying again.`);
    return true;
  }
  failures = 0;
  listeners.onTrouble(null);
  if (body !== null) {
    listing = JSON.parse(body);
    etag = response.headers.get("ETag");
    listeners.onListing(listing);
  }
  return true;
}

function send(url, options = {}) {
  const headers = new Headers(options.headers);
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  return fetch(url, { ...options, headers, credentials: isSignedIn() ? "same-origin" : "omit", cache: "no-store", redirect: "error" });
}

/** What an error's body says. */
function sentence(body) {
  try {
    const { detail } = JSON.parse(body);
    return typeof detail === "string" ? detail : (detail?.message ?? body);
  } catch {
    return body.slice(0, 300);
  }
}

const toolLists = new Map();

/** The tools of a server with their definitions; asked for once for each list of names that the server has had. */
export function tools(server) {
  const version = JSON.stringify([server.tools, server.version, server.state === "ready" && server.since]);
  const known = toolLists.get(server.name);
  if (known?.version === version) return known.list;
  const list = send(new URL(`servers/${segment(server.name)}/tools`, here)).then(async (response) => {
    const body = await response.text();
    if (!response.ok) throw new Error(sentence(body));
    return JSON.parse(body).tools;
  });
  toolLists.set(server.name, { version, list });
  list.catch(() => toolLists.delete(server.name));
  return list;
}

/** Calls a tool as any client does. Gives the status, how long it took, the content's type, and its text. */
export async function call(server, tool, args, signal) {
  if (signsIn && !key()) throw new Error("A call needs the key in this tab: sign out above, and type it in.");
  const began = performance.now();
  const response = await send(pageBase() + serverPath(server) + `/${segment(tool)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(args),
    signal,
  });
  const text = await response.text();
  const took = performance.now() - began;
  refresh();
  return { status: response.status, took, type: response.headers.get("Content-Type") ?? "", text };
}

/** Begins the sign-in at `start`, an address of this very gateway; gives where the browser goes for it. */
export async function beginSignIn(start) {
  const headers = new Headers({ Accept: "application/json" });
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  // The cookie that comes along lets this browser alone finish what it begins here.
  const response = await fetch(start, { method: "POST", headers, credentials: "same-origin", cache: "no-store", redirect: "error" });
  const body = await response.text();
  if (!response.ok) throw new Error(sentence(body));
  const target = new URL(JSON.parse(body).authorizationUrl);
  if (!isWeb(target)) throw new Error(`${target.protocol} is no address of a web page`);
  return target.href;
}

export function isWeb(url) {
  return ["http:", "https:"].includes(url.protocol);
}

/** A name as one segment of a path, safe within single quotes, too. */
export function segment(name) {
  return encodeURIComponent(name).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The gateway's root as this browser reaches it, without a slash at its end. */
export function pageBase() {
  const prefix = listing.gateway.pathPrefix;
  const path = here.pathname;
  const root = prefix !== "/" && path.endsWith(prefix) ? path.slice(0, 1 - prefix.length) : path;
  return here.origin + root.replace(/\/$/, "");
}

/** The gateway's root as clients are to reach it: `publicUrl` where the operator has set one. */
export function publicBase() {
  return listing.gateway.publicUrl?.replace(/\/+$/, "") ?? pageBase();
}

/** What stands between the root and a tool's name. */
export function serverPath(server) {
  return listing.gateway.single ? "" : `${listing.gateway.pathPrefix}${segment(server)}`;
}
