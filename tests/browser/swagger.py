#!/usr/bin/env python3
"""Drives a Swagger UI page in headless Chromium up to an executed call.

    swagger.py BASE_URL DOCS_PATH OPERATION_ID [--body JSON] [--key KEY] [--document NAME]
               [--expect TEXT] [--title TEXT] [--insecure] [--password KEY]

Loads BASE_URL + DOCS_PATH, opens the operation, presses Execute, and waits for the answer. Exits 0 when the
answer is 200 (and holds TEXT) and the browser's console holds no error, a violation of the
Content-Security-Policy among them; else 1, saying what was wrong. Needs `chromium` and `chromedriver`
(Debian: `apt-get install chromium chromium-driver`) and nothing but Python's standard library.
"""

import argparse
import sys
import urllib.parse

sys.dont_write_bytecode = True
from chromium import run, until  # noqa: E402


def drive(browser, options):
    """Walks through the page; returns what is wrong with it."""
    wrong = []
    if options.password:
        # The browser answers with it when it would ask somebody, and from then on by itself.
        named = options.base.replace("://", f"://anybody:{urllib.parse.quote(options.password, safe='')}@")
        browser.open(named + "/openapi.json")
        # A page of JSON names no icon.
        browser.expected.append("/favicon.ico - Failed to load resource")
        if '"openapi"' not in (browser.text("body") or ""):
            return [f"the browser asked for no password: {browser.text('body')!r}"]
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
    parser.add_argument("--password", help="the API key to give when the browser asks for a password")
    parser.add_argument("--document", help="the document to choose in the selector first")
    parser.add_argument("--expect", help="text that the answer must hold")
    parser.add_argument("--title", help="the page's title")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--screenshot", help="where to save a picture of the page (PNG)")
    options = parser.parse_args()

    def driven(browser):
        try:
            return drive(browser, options)
        finally:
            if options.screenshot:
                browser.screenshot(options.screenshot)

    return run(driven, insecure=options.insecure)


if __name__ == "__main__":
    sys.exit(main())
