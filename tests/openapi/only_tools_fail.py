"""A check for schemathesis: an answer of 500 is a tool's own error, in its own words; no other 5xx may come.

In place of `not_a_server_error`, since a tool that fails answers 500 (as mcpo does).
"""

import schemathesis


@schemathesis.check
def only_tools_fail(ctx, response, case):
    if response.status_code < 500:
        return
    code = response.headers.get("x-mcpo-error")
    if response.status_code != 500 or code:
        raise AssertionError(f"a fault of the gateway: {response.status_code} {code} {response.text}")
    message = response.json().get("detail", {}).get("message")
    if not isinstance(message, str) or not message:
        raise AssertionError(f"an error without a tool's message: {response.text}")
