#!/usr/bin/env python3
"""Holds OpenAPI documents to the specification: check_documents.py FILE...

Needs the package pinned in requirements.txt beside this file. Each file must be a valid OpenAPI 3.1 document
whose operations have ids that models accept as function names. Prints a line for each fault and exits 1 if
there is any; a document may hold no operation at all (a server that never connected).
"""

import json
import re
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing.exceptions import PointerToNowhere

FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
COMPONENT_KEY = re.compile(r"[A-Za-z0-9._-]+\Z")


def references(node):
    """Every reference that a reader which knows no JSON Schema would follow, but those in set-aside originals."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif not key.startswith("x-") and key not in ("const", "default", "enum", "example", "examples"):
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def leads_somewhere(document, reference):
    if not reference.startswith("#/components/"):
        return False
    node = document
    for token in reference[2:].split("/"):
        if not isinstance(node, dict) or token not in node:
            return False
        node = node[token]
    return True


def faults(document):
    if document.get("openapi") != "3.1.0":
        yield f"openapi is {document.get('openapi')!r}, not '3.1.0'"
    try:
        for error in OpenAPIV31SpecValidator(document).iter_errors():
            yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
    except (PointerToNowhere, RecursionError) as error:
        yield f"the validator cannot follow the references: {str(error)[:100]}"
    seen = set()
    for path, item in document["paths"].items():
        operation_id = item["post"]["operationId"]
        if not FUNCTION_NAME.match(operation_id):
            yield f"{path}: operationId {operation_id!r} is no function name"
        if operation_id in seen:
            yield f"{path}: operationId {operation_id!r} appears twice"
        seen.add(operation_id)
        if "{" in path:
            yield f"{path}: is a template"
    for key in document["components"]["schemas"]:
        if not COMPONENT_KEY.match(key):
            yield f"components/schemas/{key}: is no component key"
    for reference in set(references(document)):
        if not leads_somewhere(document, reference):
            yield f"{reference}: leads nowhere"


def main(files):
    if not files:
        sys.exit("usage: check_documents.py FILE...")
    failed = False
    for file in files:
        with open(file, encoding="utf-8") as source:
            document = json.load(source)
        for fault in faults(document):
            failed = True
            print(f"{file}: {fault}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
