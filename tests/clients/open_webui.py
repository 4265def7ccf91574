#!/usr/bin/env python3
"""Derives tools from OpenAPI documents with Open WebUI's own conversion code.

Usage: open_webui.py TOOLS_PY DOCUMENT...
TOOLS_PY is `open_webui/utils/tools.py` of the published wheel; importing it would want the whole application, so the
functions that derive tools are taken out of it by their syntax tree and run as they are.
Prints one JSON line a document: [{"name", "description", "properties", "required", "path"}], where `path` is the route that
Open WebUI would call for the name: the first operation that has it as its id.
"""
import ast
import copy
import json
import sys

WANTED = {"resolve_schema", "convert_openapi_to_tool_payload", "clean_properties", "clean_openai_tool_schema", "OPENAPI_HTTP_METHODS"}


def conversion(path):
    with open(path) as source:
        tree = ast.parse(source.read())
    taken = []
    for node in tree.body:
        names = [node.name] if isinstance(node, ast.FunctionDef) else [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        if WANTED & set(names):
            taken.append(node)
    space = {"copy": copy}
    exec(compile(ast.Module(body=taken, type_ignores=[]), path, "exec"), space)
    missing = WANTED - set(space)
    if missing:
        sys.exit(f"{path}: no {', '.join(sorted(missing))} in it; is this another version of Open WebUI?")
    return space


def derive(space, document):
    tools = []
    for spec in space["convert_openapi_to_tool_payload"](document):
        cleaned = space["clean_openai_tool_schema"](copy.deepcopy(spec))
        routes = [
            route
            for route, methods in document["paths"].items()
            for method, operation in methods.items()
            if method in space["OPENAPI_HTTP_METHODS"] and operation.get("operationId") == spec["name"]
        ]
        parameters = cleaned["parameters"]
        tools.append({
            "name": spec["name"],
            "description": cleaned.get("description"),
            "properties": sorted(parameters.get("properties") or {}),
            "required": sorted(parameters.get("required") or []),
            "path": routes[0],
        })
    return tools


space = conversion(sys.argv[1])
for name in sys.argv[2:]:
    with open(name) as source:
        print(json.dumps(derive(space, json.load(source))))
