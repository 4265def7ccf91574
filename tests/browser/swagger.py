#!/usr/bin/env python3
"""Drives a Swagger UI page in headless Chromium up to an executed call.

    swagger.py BASE_URL DOCS_PATH OPERATION_ID [--body JSON] [--key KEY] [--document NAME]
               [--expect TEXT] [--title TEXT] [--insecure]

Loads BASE_URL + DOCS_PATH, opens the operation, presses Execute, and waits for the answer. Exits 0 when the
answer is 200 (and holds TEXT) and the browser's console holds no error, a violation of the
Content-Security-Policy among them; else 1, saying what was wrong. Needs `chromium` and `chromedriver`
(Debian: `apt-get install chromium chromium-driver`) and nothing but Python's standard library.
"""

import argparse
import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """The few commands of the WebDriver protocol that are needed here."""

    def __init__(self, profile, insecure, more=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.log = open(os.path.join(profile, "chromedriver.log"), "w+")
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=self.log, stderr=subprocess.STDOUT
        )
        self.session = None
        until(lambda: self.ready(), "chromedriver is ready")
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,2400", f"--user-data-dir={profile}/data",
        ]
        if insecure:
            arguments.append("--ignore-certificate-errors")
        arguments += more
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = self.send("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = answer["sessionId"]

    def ready(self):
        try:
            return self.send("GET", "/status")["ready"]
        except OSError:
            return False

    def send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:2000]}") from None

    def command(self, method, path, body=None):
        return self.send(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.command("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.command("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        found = self.command("POST", "/elements", {"using": "css selector", "value": selector})
        return found[0][ELEMENT] if found else None

    def wait_for(self, selector):
        return until(lambda: self.find(selector), f"`{selector}` is on the page")

    def click(self, selector):
        self.command("POST", f"/element/{self.wait_for(selector)}/click", {})

    def type(self, selector, text):
        element = self.wait_for(selector)
        self.command("POST", f"/element/{element}/clear", {})
        self.command("POST", f"/element/{element}/value", {"text": text})

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e && e.textContent", selector)

    def console(self):
        return self.command("POST", "/se/log", {"type": "browser"})

    def screenshot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.command("GET", "/screenshot")))

    def close(self):
        try:
            if self.session:
                self.command("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.log.close()


def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise RuntimeError(f"not within {seconds} s: {what}")


def drive(browser, options):
    """Walks through the page; returns what is wrong with it."""
    wrong = []
    browser.open(options.base + options.path)
    if options.title:
        title = browser.command("GET", "/title")
        if title != options.title:
            wrong.append(f"the title is {title!r}, not {options.title!r}")
    if options.document:
        browser.wait_for("#select option")
        chosen = browser.run(
            """const select = document.querySelector('#select');
            const option = [...select.options].find(o => o.text === arguments[0]);
            if (!option) return [...select.options].map(o => o.text);
            const set = Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value').set;
            set.call(select, option.value);
            select.dispatchEvent(new Event('change', { bubbles: true }));
            return null""",
            options.document,
        )
        if chosen is not None:
            return [f"the selector has no document {options.document!r}, but {chosen}"]
    operation = f"[id$='-{options.operation}']"
    browser.wait_for(operation)
    if options.key:
        browser.click(".auth-wrapper .authorize")
        browser.type(".auth-container input[type=text], .auth-container input[type=password]", options.key)
        browser.click(".auth-btn-wrapper .authorize")
        browser.click(".auth-btn-wrapper .btn-done")
    if not browser.find(f"{operation}.is-open"):
        browser.click(f"{operation} .opblock-summary-control")
    if options.body is not None:
        # A React text area: the setter of its prototype is what React listens to.
        browser.wait_for(f"{operation} textarea.body-param__text")
        browser.run(
            """const area = document.querySelector(arguments[0]);
            const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;
            set.call(area, arguments[1]);
            area.dispatchEvent(new Event('input', { bubbles: true }));
            area.dispatchEvent(new Event('change', { bubbles: true }));""",
            f"{operation} textarea.body-param__text",
            options.body,
        )
    browser.click(f"{operation} button.execute")
    live = f"{operation} .live-responses-table"
    status = until(lambda: browser.text(f"{live} tbody .response-col_status"), "the call is answered").strip()
    answer = browser.text(f"{live} tbody .response-col_description") or ""
    if not status.startswith("200"):
        wrong.append(f"the call was answered {status}: {answer[:500]}")
    elif options.expect and options.expect not in answer:
        wrong.append(f"the answer lacks {options.expect!r}: {answer[:500]}")
    else:
        print(f"{options.operation}: {status}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("base", metavar="BASE_URL")
    parser.add_argument("path", metavar="DOCS_PATH")
    parser.add_argument("operation", metavar="OPERATION_ID")
    parser.add_argument("--body", help="the request body to send instead of the example")
    parser.add_argument("--key", help="the API key to give to the Authorize button")
    parser.add_argument("--document", help="the document to choose in the selector first")
    parser.add_argument("--expect", help="text that the answer must hold")
    parser.add_argument("--title", help="the page's title")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--screenshot", help="where to save a picture of the page (PNG)")
    options = parser.parse_args()
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            print(f"{program} is not installed: apt-get install chromium chromium-driver", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="mcpo-browser-", ignore_cleanup_errors=True) as profile:
        browser = None
        wrong = []
        try:
            browser = Browser(profile, options.insecure)
            wrong += drive(browser, options)
        except RuntimeError as error:
            wrong.append(str(error))
        finally:
            if browser:
                if browser.session:
                    console = browser.console()
                    bad = [entry for entry in console if entry["level"] in ("SEVERE", "WARNING")]
                    wrong += [f"console: {entry['level']}: {entry['message']}" for entry in bad]
                    if options.screenshot:
                        browser.screenshot(options.screenshot)
                browser.close()
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
