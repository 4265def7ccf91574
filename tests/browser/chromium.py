"""Headless Chromium by the WebDriver protocol, as far as the page tests need it; Python's standard library only."""

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
KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013", "Right": "\ue014",
    "Down": "\ue015",
}


class Browser:
    """The few commands of the WebDriver protocol that are needed here."""

    def __init__(self, profile, insecure=False):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.log = open(os.path.join(profile, "chromedriver.log"), "w+")
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=self.log, stderr=subprocess.STDOUT
        )
        self.session = None
        # Parts of messages that a test provokes on the console.
        self.expected = []
        until(lambda: self.ready(), "chromedriver is ready")
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,2400", f"--user-data-dir={profile}/data",
        ]
        if insecure:
            arguments.append("--ignore-certificate-errors")
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

    def press(self, *keys):
        """Presses keys one after the other, wherever the focus is; names are those of KEYS."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.command("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def devtools(self, command, **parameters):
        return self.command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width, height, scheme="light", scale=1):
        """The size of the window's inside in CSS pixels, and what it prefers: `light` or `dark`."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

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


def run(drive, **options):
    """Opens a browser, has `drive(browser)` give what is wrong, adds what the console complains of, and gives the exit
    status. Violations of the Content-Security-Policy are on the console."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            print(f"{program} is not installed: apt-get install chromium chromium-driver", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="mcpo-browser-", ignore_cleanup_errors=True) as profile:
        browser = None
        wrong = []
        try:
            browser = Browser(profile, **options)
            wrong += drive(browser)
        except RuntimeError as error:
            wrong.append(str(error))
        finally:
            if browser:
                if browser.session:
                    console = browser.console()
                    bad = [entry for entry in console if entry["level"] in ("SEVERE", "WARNING")]
                    bad = [entry for entry in bad if not any(text in entry["message"] for text in browser.expected)]
                    wrong += [f"console: {entry['level']}: {entry['message']}" for entry in bad]
                browser.close()
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0
