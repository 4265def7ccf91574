#!/usr/bin/env python3
"""The gateway as the client of a scenario of the official conformance suite.

    client.py GATEWAY MODE URL

Started by the suite, which appends the URL of its server. Starts the gateway program with that server as its only upstream,
opens the gateway's endpoint for it with the official Python SDK in MODE (`legacy` or `2026-07-28`), does everything that can
be done there once, and ends the gateway. Environment: MCP_CONFORMANCE_CONTEXT, the scenario's own tool calls.
"""
import asyncio
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import CreateMessageResult, ElicitResult, ListRootsResult, TextContent

PATIENCE = 20
# What a tool is called with that takes arguments.
ARGUMENTS = {"add_numbers": {"a": 5, "b": 3}, "valid_tool": {"region": "us-west1"}, "lookup_user": {"id": "someone"}}
FILLINGS = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "object": {}, "array": [], "null": None}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def settled(port, process):
    """Waits until the upstream is ready or was given up once, whichever the scenario's server lets happen."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the gateway ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/servers") as answer:
                state = json.load(answer)["servers"][0]["state"]
                if state != "starting":
                    return state
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.02)
    raise SystemExit(f"the upstream is not settled within {PATIENCE} s")


def defaults(schema):
    """A form's answer with what the server proposed, and something of the right type where it proposed nothing."""
    properties = schema.get("properties", {})
    return {name: each.get("default", FILLINGS.get(each.get("type"))) for name, each in properties.items()}


async def elicit(_context, params):
    return ElicitResult(action="accept", content=defaults(params.requested_schema))


async def sample(_context, _params):
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="sampled"), model="none")


async def roots(_context):
    return ListRootsResult(roots=[])


async def attempt(what, action):
    """Does one thing; what fails is told and does not keep the others from being done."""
    try:
        return await action
    except MCPError as error:
        print(f"{what}: {error}", file=sys.stderr)
        return None


def arguments_for(tool, schemas):
    if tool.name == "json_schema_echo":
        return {"schema": schemas["json_schema_2020_12_tool"]}
    if tool.name in ARGUMENTS:
        return ARGUMENTS[tool.name]
    return {
        name: FILLINGS.get(each.get("type"), "x")
        for name, each in tool.input_schema.get("properties", {}).items()
        if name in tool.input_schema.get("required", [])
    }


async def use(url, mode, calls):
    async with Client(
        url, mode=mode, elicitation_callback=elicit, sampling_callback=sample, list_roots_callback=roots
    ) as client:
        tools = (await attempt("tools/list", client.list_tools())) or None
        tools = tools.tools if tools else []
        schemas = {tool.name: tool.input_schema for tool in tools}
        own = {call["name"] for call in calls}
        planned = [(call["name"], call["arguments"]) for call in calls]
        planned += [(tool.name, arguments_for(tool, schemas)) for tool in tools if tool.name not in own]
        for name, arguments in planned:
            result = await attempt(f"tools/call {name}", client.call_tool(name, arguments))
            print(f"{name}: {result and result.model_dump_json(exclude_none=True)}")
        offered = client.server_capabilities
        resources = await attempt("resources/list", client.list_resources()) if offered.resources else None
        for resource in resources.resources if resources else []:
            await attempt(f"resources/read {resource.uri}", client.read_resource(str(resource.uri)))
        prompts = await attempt("prompts/list", client.list_prompts()) if offered.prompts else None
        for prompt in prompts.prompts if prompts else []:
            await attempt(f"prompts/get {prompt.name}", client.get_prompt(prompt.name))


def main(gateway, mode, upstream):
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mcpo-conformance-") as folder:
        config = pathlib.Path(folder, "config.json")
        config.write_text(json.dumps({"mcpServers": {"upstream": {"type": "streamable-http", "url": upstream}}}))
        command = [gateway, "--port", str(port), "--config", str(config), "--state-dir", str(pathlib.Path(folder, "state"))]
        process = subprocess.Popen(command, stdout=sys.stderr)
        try:
            print(f"upstream: {settled(port, process)}", file=sys.stderr)
            asyncio.run(use(f"http://127.0.0.1:{port}/upstream/mcp", mode, context.get("toolCalls", [])))
        finally:
            process.terminate()
            process.wait(PATIENCE)


main(*sys.argv[1:])
