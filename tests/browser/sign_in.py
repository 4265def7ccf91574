#!/usr/bin/env python3
"""Signs in to a server of the gateway with headless Chromium, as a person does.

    sign_in.py START_URL --name NAME [--key KEY] [--resolve HOST=ADDRESS] [--screenshot FILE]

Opens START_URL (with KEY as the password that the browser is asked for), presses the button, signs in at the
authorization server as NAME, consents, and waits for the gateway's own page. Prints the address and the text of that
page; exits 0 when it says that the gateway is signed in, else 1, saying what was wrong.
"""

import argparse
import sys
import tempfile
import urllib.parse

from chromium import Browser, until


def with_key(url, key):
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=f"admin:{urllib.parse.quote(key, safe='')}@{parts.netloc}").geturl()


def sign_in(browser, name):
    """At the authorization server, as NAME; until the gateway's own page is there."""
    browser.type("input[name=login]", name)
    browser.type("input[name=password]", "any")
    browser.click("button[type=submit]")
    until(lambda: not browser.find("input[name=login]"), "the name is taken")
    browser.click("button[type=submit]")
    browser.wait_for("#done, #failed")


def drive(browser, options):
    browser.open(with_key(options.start, options.key) if options.key else options.start)
    text = browser.text("main") or ""
    if "serve all callers" not in text:
        raise RuntimeError(f"the page does not say whom the sign-in serves: {text!r}")
    browser.click("#sign-in")
    sign_in(browser, options.name)
    print(browser.command("GET", "/url"))
    print(browser.text("main"))
    if not browser.find("#done"):
        raise RuntimeError("the gateway is not signed in")
    # The authorization server's pages want fonts from the internet; ours must want nothing.
    own = urllib.parse.urlsplit(options.start).netloc
    console = [entry["message"] for entry in browser.console() if own in entry["message"]]
    if any("favicon" not in message for message in console if "401 (Unauthorized)" not in message):
        raise RuntimeError(f"console: {console}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("start", metavar="START_URL")
    parser.add_argument("--name", required=True, help="the account at the authorization server")
    parser.add_argument("--key", help="an API key of the gateway with the admin right")
    parser.add_argument("--resolve", help="an address for a name, as HOST=ADDRESS")
    parser.add_argument("--screenshot", help="where to save a picture of the last page (PNG)")
    options = parser.parse_args()
    more = []
    if options.resolve:
        host, address = options.resolve.split("=")
        more.append(f"--host-resolver-rules=MAP {host} {address}")
    with tempfile.TemporaryDirectory(prefix="mcpo-browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile, False, more)
        try:
            drive(browser, options)
        except RuntimeError as error:
            where = browser.command("GET", "/url")
            print(f"{error}\nat {where}: {browser.text('body')}", file=sys.stderr)
            return 1
        finally:
            if options.screenshot:
                browser.screenshot(options.screenshot)
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
