#!/usr/bin/env python3
"""Drives the status page in headless Chromium.

    status.py servers BASE_URL --down FILE   real servers, one that dies and comes back, search, a call, hostile names
    status.py snippets BASE_URL [--key KEY]  prints what the page gives to copy, as {"SERVER or ''": {NAME: TEXT}}
    status.py key BASE_URL --key KEY --limited KEY
                                             nothing before the key, and each key's own scope after it
    status.py drift BASE_URL                 the tools of `shop` that are not as they were locked, and what differs
    status.py keyboard BASE_URL              from the address bar to an answered call without a mouse
    status.py sign-in BASE_URL --key KEY --limited KEY --name NAME
                                             from a server that waits for a sign-in to a call of it, by the page's button
    status.py replicas BASE_URL --key KEY   three replicas, of which this one is `a`, and a server of `c` is down
    status.py page-sign-in BASE_URL --key KEY
                                             signed in for reading in other tabs and in Swagger UI, and out again
    status.py phone BASE_URL                 nothing wider than 360 pixels, and contrast as WCAG AA has it, light and dark

`servers` wants the servers `time` (mcp-server-time), `broken` (ends with `no licence`), `hostile` (a tool named as markup,
one with a quote), and `mortal` (scripted_server.py --unless FILE). `key` wants `time` and `hidden`, of which the limited key
sees the first. `sign-in` wants the server `person`, and a limited key without the right `admin`. `page-sign-in` wants a gateway with `signIn.apiKeys`, and the server `two`. Exits 0 when all holds and the browser's console has no complaint, a violation of the
Content-Security-Policy among them; else 1, saying what was wrong.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import urllib.request

sys.dont_write_bytecode = True
import sign_in as authorization  # noqa: E402
from chromium import run, until  # noqa: E402

HOSTILE = "<img src=x onerror=alert(1)>"


def state_of(browser, server):
    return browser.text(f"[data-server='{server}'] .state")


def in_state(browser, server, state):
    until(lambda: state_of(browser, server) == state, f"{server} is shown as {state}")


def text_of(browser, selector, part):
    """Waits until the element's text holds `part`; gives the text."""
    return until(lambda: (text := browser.text(selector)) and part in text and text, f"{part!r} in `{selector}`")


def post(base, path):
    request = urllib.request.Request(base + path, b"{}", {"Content-Type": "application/json"}, method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return json.load(response)


def use_key(browser, key):
    browser.type("#key", key)
    browser.press("Enter")


def servers(browser, options):
    wrong = []
    browser.open(options.base + "/")
    for server in ("time", "hostile", "mortal"):
        in_state(browser, server, "Ready")
    in_state(browser, "broken", "Unavailable")
    reason = text_of(browser, "[data-server=broken] .reason", "no licence")
    if "status 7" not in reason:
        wrong.append(f"the reason of `broken` lacks its exit status: {reason}")
    text_of(browser, "#view h1", "3 of 4 servers ready")

    # Live: the row is the very same element, and only its words change.
    browser.run("document.querySelector('[data-server=mortal]').mark = 'same'; window.told = ''")
    browser.run(
        """new MutationObserver(() => { window.told += document.getElementById('announcement').textContent + ';' })
        .observe(document.getElementById('announcement'), { childList: true, characterData: true, subtree: true })"""
    )
    pathlib.Path(options.down).touch()
    pid = post(options.base, "/mortal/pid")
    os.kill(int(pid if not isinstance(pid, dict) else pid["pid"]), signal.SIGKILL)
    in_state(browser, "mortal", "Unavailable")
    text_of(browser, "[data-server=mortal] .next", "try")
    pathlib.Path(options.down).unlink()
    in_state(browser, "mortal", "Ready")
    if browser.run("return document.querySelector('[data-server=mortal]').mark") != "same":
        wrong.append("the row of `mortal` was made anew")
    told = browser.run("return window.told")
    if "mortal is unavailable" not in told or "mortal is ready" not in told:
        wrong.append(f"screen readers were not told: {told!r}")

    # The search finds a tool by its description, and leads to its form.
    browser.type("#search", "current timezone")
    text_of(browser, ".results", "get_current_time")
    browser.click(".results a")
    field = ".tool[open] .try input"
    text_of(browser, ".tool[open] table", "IANA timezone name")
    cells = browser.run("return [...document.querySelectorAll('.tool[open] table tbody tr:first-child > *')].map(e => e.textContent)")
    if cells[:2] != ["timezonerequired", "string"]:
        wrong.append(f"the table of arguments says {cells}")
    browser.type(field, "Asia/Tokyo")
    browser.click(".tool[open] .try button[type=submit]")
    text_of(browser, ".tool[open] .status", "Answered: 200")
    answer = browser.text(".tool[open] [data-result]")
    if json.loads(answer)["timezone"] != "Asia/Tokyo":
        wrong.append(f"the time server's answer is shown as {answer}")
    until(lambda: browser.run("return [...document.querySelectorAll('.facts div')].some(d => d.textContent.startsWith('Calls') && !d.textContent.endsWith('0'))"), "the call is counted on the page")
    # A tool's own error is shown as its sentence.
    browser.type(field, "Mars/Olympus")
    browser.click(".tool[open] .try button[type=submit]")
    text_of(browser, ".tool[open] .status", "The tool answered with an error: 500")
    text_of(browser, ".tool[open] [data-result]", "Mars/Olympus")
    browser.expected.append("/time/get_current_time - Failed to load resource: the server responded with a status of 500")

    # What a server calls its tools is text, and stays text.
    browser.open(options.base + "/#/hostile")
    text_of(browser, ".tools", HOSTILE)
    browser.run("for (const tool of document.querySelectorAll('.tool')) tool.open = true")
    until(lambda: browser.run("return [...document.querySelectorAll('.tool')].every(tool => tool.children.length === 2)"), "every tool is shown")
    intruders = browser.run("return [...document.querySelectorAll('#view img, #view script, #view iframe, #view [onerror]')].length")
    if intruders:
        wrong.append(f"{intruders} elements came out of a tool's name")
    print("servers: all seen")
    return wrong


def snippets(browser, options):
    browser.open(options.base + "/")
    if options.key:
        use_key(browser, options.key)
    browser.wait_for("#connect-server option:nth-child(2)")
    names = browser.run("return [...document.querySelectorAll('#connect-server option')].map(o => o.value)")
    found = {}
    for name in names:
        browser.run("const s = document.getElementById('connect-server'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))", name)
        texts = found[name.removeprefix("=")] = {}
        for index in range(5):
            browser.click(f"[role=tab]:nth-child({index + 1})")
            # The texts of curl wait for the tools.
            wanted = ["openwebui", "vscode", "claude-code", "lobechat", "curl"][index]
            browser.wait_for(f"[data-snippet={wanted}]")
            texts.update(browser.run("return Object.fromEntries([...document.querySelectorAll('[data-snippet]')].map(e => [e.dataset.snippet, e.textContent]))"))
    print(json.dumps(found))
    return []


def key(browser, options):
    wrong = []
    # The refusals that are provoked here, of the list and of nothing else.
    browser.expected.append("/servers - Failed to load resource: the server responded with a status of 403")
    browser.open(options.base + "/")
    browser.wait_for("#key-form:not([hidden]) #key:focus")
    shown = browser.text("body")
    for name in ("time", "hidden"):
        if name in shown:
            wrong.append(f"the page speaks of `{name}` before it has a key")
    requests = "return performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"
    asked = [path for path in browser.run(requests) if not path.startswith("/assets/page/")]
    if asked:
        wrong.append(f"the page asks for {asked} without a key")
    use_key(browser, "no such key")
    text_of(browser, "#key-problem", "does not take this key")
    for secret, visible, absent in ((options.limited, ["time"], ["hidden"]), (options.key, ["time", "hidden"], [])):
        use_key(browser, secret)
        in_state(browser, "time", "Ready")
        names = browser.run("return [...document.querySelectorAll('.servers > *')].map(e => e.dataset.server)")
        if names != visible or any(name in browser.text("body") for name in absent):
            wrong.append(f"this key shows {names}, not {visible}")
        if secret in browser.run("return document.documentElement.outerHTML + JSON.stringify(localStorage) + document.cookie + location.href"):
            wrong.append("the key is somewhere else than in the storage of the tab")
        until(lambda: browser.find("[data-snippet=openwebui]"), "the texts to copy are there")
        if secret in browser.text(".connect") or "YOUR_API_KEY" not in browser.text(".connect"):
            wrong.append("the texts to copy hold the key, or no place for it")
        # The key goes along with a call.
        browser.click("[data-server=time] h2 a")
        browser.click(".tool[data-tool=get_current_time] summary")
        browser.type(".tool[open] .try input", "UTC")
        browser.press("Enter")
        text_of(browser, ".tool[open] .status", "Answered: 200")
        browser.click(".back")
        browser.wait_for(".servers")
        browser.click("#forget")
        browser.wait_for("#key-form:not([hidden])")
        if browser.run("return sessionStorage.length") or "time" in browser.text("#view"):
            wrong.append("a forgotten key leaves something behind")
    print("key: all seen")
    return wrong


def sign_in(browser, options):
    wrong = []
    # The authorization server's own pages want a font from the internet, and name no icon.
    browser.expected += ["fonts.g", "/favicon.ico - Failed to load resource"]
    browser.open(options.base + "/")
    # Who may not sign in learns whom to ask, and gets no button.
    use_key(browser, options.limited)
    in_state(browser, "person", "Unavailable")
    text_of(browser, "[data-server=person] .reason", "waits for an administrator of the gateway to sign in")
    browser.click("[data-server=person] h2 a")
    text_of(browser, ".one .reason", "waits for an administrator")
    if browser.run("return document.querySelector('.sign-in').checkVisibility()"):
        wrong.append("a key without the right to sign in has a button for it")
    browser.click(".back")
    browser.click("#forget")

    use_key(browser, options.key)
    in_state(browser, "person", "Waits for sign-in")
    browser.click("[data-server=person] h2 a")
    text_of(browser, ".sign-in", "serve all callers of the gateway")
    browser.click(".sign-in button")
    authorization.sign_in(browser, options.name)
    if not browser.find("#done"):
        wrong.append(f"the gateway is not signed in: {browser.text('main')}")
    text_of(browser, "main", "This sign-in serves all callers of the gateway")
    browser.click("#home")
    text_of(browser, ".one .state", "Ready")
    if browser.run("return document.querySelector('.sign-in').checkVisibility()"):
        wrong.append("the page still asks for a sign-in")
    browser.click(".tool[data-tool=who] summary")
    browser.click(".tool[open] .try button[type=submit]")
    text_of(browser, ".tool[open] [data-result]", options.name)
    browser.click(".back")
    in_state(browser, "person", "Ready")
    print("sign-in: all seen")
    return wrong


def drift(browser, options):
    wrong = []
    browser.open(options.base + "/")
    in_state(browser, "shop", "Ready")
    text_of(browser, "[data-server=shop] .badge.bad", "4 tools differ from the lock")
    text_of(browser, "[data-server=shop] .version", "2.0 · MCP ")
    browser.click("[data-server=shop] h2 a")
    text_of(browser, ".drift", "Held back are 3 of them: neither listed nor called")
    told = browser.run("return [...document.querySelectorAll('.drift > :nth-child(n+3) > summary, .drift > p:nth-child(n+3)')].map(e => e.textContent)")
    if told != ["find has changed", "new is new", "old is gone", "order has changed"]:
        wrong.append(f"the page says of the lock: {told}")
    browser.click(".drift details:nth-of-type(1) summary")
    text_of(browser, ".drift details[open] pre", "- annotations.readOnlyHint: true")
    print("drift: all seen")
    return wrong


def keyboard(browser, options):
    wrong = []
    browser.open(options.base + "/")
    in_state(browser, "time", "Ready")
    browser.press("/")
    browser.press(*"get_current")
    text_of(browser, ".results", "get_current_time")
    browser.press("Tab", "Enter")
    until(lambda: browser.run("return document.activeElement.closest('.tool')?.dataset.tool") == "get_current_time", "the focus is on the tool")
    if not browser.run("return document.activeElement.matches(':focus-visible')"):
        wrong.append("the focus cannot be seen")
    for _ in range(10):
        browser.press("Tab")
        if browser.run("return document.activeElement.matches('.try input')"):
            break
    browser.press(*"UTC", "Enter")
    text_of(browser, ".tool[open] .status", "Answered: 200")
    for _ in range(40):
        browser.press("Tab")
        if browser.run("return document.activeElement.matches('[role=tab]')"):
            break
    browser.press("Right")
    text_of(browser, ".panel", ".vscode/mcp.json")
    browser.press("Tab", "Tab", "Enter")
    if browser.run("return document.activeElement.className") != "copy":
        wrong.append("the button to copy is not where the keys lead")
    text_of(browser, ".panel", "Copied")
    unnamed = browser.run(
        """return [...document.querySelectorAll('button, a, input, select, textarea')].filter(e => e.checkVisibility()).filter(e =>
        !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    )
    if unnamed:
        wrong.append(f"controls without a name: {unnamed}")
    headings = browser.run("return [...document.querySelectorAll('h1, h2, h3')].filter(e => e.checkVisibility()).map(e => Number(e.tagName[1]))")
    if headings.count(1) != 1 or any(later - earlier > 1 for earlier, later in zip(headings, headings[1:])):
        wrong.append(f"the levels of the headings are {headings}")
    print("keyboard: all seen")
    return wrong


CONTRAST = """
const channel = value => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4 };
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const ground = node => {
  for (; node; node = node.parentElement) {
    const colour = numbers(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = new Set();
let seen = 0;
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
  if (!own && !node.placeholder || !node.checkVisibility() || node.closest('.unseen, .skip')) continue;
  seen += 1;
  const style = getComputedStyle(node);
  const [light, dark] = [luminance(numbers(style.color)), luminance(ground(node))].sort((a, b) => b - a);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < needed) poor.add(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
}
return seen > 20 ? [...poor] : ['hardly any text was looked at'];
"""


def phone(browser, options):
    wrong = []
    browser.look(360, 740)
    for place in ("/", "/#/time/convert_time", "/#/hostile", "/#/broken"):
        browser.open("about:blank")
        browser.open(options.base + place)
        browser.wait_for("[data-snippet]")
        if "convert" in place:
            browser.wait_for(".tool[open] .try")
        for tab in range(5):
            browser.click(f"[role=tab]:nth-child({tab + 1})")
            width = browser.run("return document.documentElement.scrollWidth")
            if width > 360:
                wrong.append(f"{place} is {width} pixels wide with tab {tab}")
        for scheme in ("light", "dark"):
            browser.look(360, 740, scheme)
            wrong += [f"{place} in {scheme}: too little contrast: {text}" for text in browser.run(CONTRAST)]
        small = browser.run(
            """return [...document.querySelectorAll('button, input, select')].filter(e => e.checkVisibility()).filter(e =>
            e.getBoundingClientRect().height < 24).map(e => e.outerHTML)"""
        )
        if small:
            wrong.append(f"{place}: too small for a finger: {small}")
    print("phone: all seen")
    return wrong


def page_sign_in(browser, options):
    wrong = []
    browser.open(options.base + "/")
    browser.wait_for("#key-form:not([hidden]) #key:focus")
    text_of(browser, "#open", "Sign in")
    use_key(browser, options.key)
    in_state(browser, "two", "Ready")
    text_of(browser, "#forget", "Sign out")
    until(lambda: browser.run("return localStorage.length"), "the browser is signed in")
    if browser.run("return document.cookie"):
        wrong.append("a script sees the cookie")
    if options.key in browser.run("return JSON.stringify(localStorage)"):
        wrong.append("the key is kept for all tabs")
    # As in another tab, which has a storage of its own.
    browser.run("sessionStorage.clear()")
    browser.open(options.base + "/")
    in_state(browser, "two", "Ready")
    browser.open(options.base + "/docs")
    text_of(browser, "#swagger-ui", "/two/t")
    browser.expected.append("/servers - Failed to load resource: the server responded with a status of 401")
    browser.open(options.base + "/")
    in_state(browser, "two", "Ready")
    browser.click("#forget")
    browser.wait_for("#key-form:not([hidden])")
    browser.open(options.base + "/")
    browser.wait_for("#key-form:not([hidden])")
    asked = "return fetch('servers').then((answer) => answer.status)"
    until(lambda: browser.run(asked) == 401, "the browser is signed out")
    return wrong


def replicas(browser, options):
    wrong = []
    browser.open(options.base + "/")
    browser.wait_for("#key-form:not([hidden]) #key:focus")
    use_key(browser, options.key)
    text_of(browser, "[data-replica=a]", "this one")
    text_of(browser, "[data-replica=b]", "2 of 2 servers ready")
    text_of(browser, "[data-replica=c] .reason", "s: ")
    text_of(browser, "#version", "\u00b7 a")
    if "silent" in browser.text(".replicas"):
        wrong.append("a replica that speaks is shown as silent")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    scenes = {"servers": servers, "snippets": snippets, "key": key, "sign-in": sign_in, "page-sign-in": page_sign_in, "replicas": replicas, "drift": drift, "keyboard": keyboard, "phone": phone}
    parser.add_argument("scene", choices=scenes)
    parser.add_argument("base", metavar="BASE_URL")
    parser.add_argument("--down", help="while this file exists, `mortal` cannot start")
    parser.add_argument("--key")
    parser.add_argument("--limited", help="a key with fewer rights")
    parser.add_argument("--name", help="the account at the authorization server")
    options = parser.parse_args()
    return run(lambda browser: scenes[options.scene](browser, options))


if __name__ == "__main__":
    sys.exit(main())
