// Elements without markup: whatever a server calls its tools, it becomes a text node or an attribute's value.

/**
 * An element. Properties are attributes, but for `on`, which maps events to listeners. Children are nodes or
 * texts; null and undefined are left out.
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value != null) {
      node.setAttribute(name, value);
    }
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

/** Writes a text only where it differs, so that nothing that stays is painted or read out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same for an attribute; null takes it away. */
export function setAttribute(node, name, value) {
  if (value == null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/** Says something to screen readers without moving anything on the page. */
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}

/** A button that copies what `text()` gives at that moment; `source`, where there is one, is selected if that fails. */
export function copyButton(label, text, source, caption = "Copy") {
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy ${label}` }, caption);
  let timer;
  button.addEventListener("click", async () => {
    const copied = await copy(text(), source);
    button.textContent = copied ? "Copied" : source ? "Press Ctrl+C" : "Not allowed";
    announce(copied ? `Copied: ${label}` : source ? "Selected; press Ctrl+C to copy" : "The browser does not allow to copy");
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = caption), 2000);
  });
  return button;
}

// Browsers give the clipboard to pages over https and on the loopback only; elsewhere the older way does.
async function copy(text, source) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Not allowed here; the older way may be.
  }
  const focused = document.activeElement;
  const field = element("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  if (!copied && source) getSelection().selectAllChildren(source);
  return copied;
}

/** A text to copy, with its label and its button. */
export function snippet(id, label, text) {
  const code = element("code", { "data-snippet": id, tabindex: "0" }, text);
  const head = element("div", { class: "snippet-head" }, element("span", {}, label), copyButton(label, () => code.textContent, code));
  return element("div", { class: text.includes("\n") ? "snippet" : "snippet line" }, head, element("pre", {}, code));
}

const number = new Intl.NumberFormat("en");

export function count(value) {
  return number.format(value);
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function duration(milliseconds) {
  if (milliseconds < 1) return "< 1 ms";
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`;
}

/** How long ago a moment was, coarse enough to be read in peace. */
export function ago(seconds) {
  const passed = Date.now() / 1000 - seconds;
  if (passed < 60) return "just now";
  if (passed < 3600) return `${Math.floor(passed / 60)} min`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h`;
  return plural(Math.floor(passed / 86_400), "day");
}

export function exactly(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}
