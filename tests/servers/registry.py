#!/usr/bin/env python3
"""Registries of npm and PyPI, on the loopback, with one package each, which is made here: `npm pack` of the folder
fetched/, and a wheel of the module in it. Standard library only; npm must be in PATH.

Usage: registry.py --port PORT --folder FOLDER
"""
import argparse
import base64
import hashlib
import json
import subprocess
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "fetched"
NAME, VERSION = "mcpo-test-server", "1.0.0"

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--folder", type=Path, required=True)
options = parser.parse_args()


def npm_package():
    """The answers of the npm registry, by path."""
    packed = subprocess.run(
        ["npm", "pack", "--json", "--offline", f"--cache={options.folder}/npm", f"--pack-destination={options.folder}", SOURCE],
        check=True, stdout=subprocess.PIPE,
    )
    [told] = json.loads(packed.stdout)
    archive = f"/-/{told['filename']}"
    manifest = json.loads((SOURCE / "package.json").read_text())
    # Where a package has one program, npm's registry names it.
    manifest["bin"] = {NAME: manifest["bin"]}
    manifest["dist"] = {
        "tarball": f"http://127.0.0.1:{options.port}{archive}", "integrity": told["integrity"], "shasum": told["shasum"],
    }
    document = {"name": NAME, "dist-tags": {"latest": VERSION}, "versions": {VERSION: manifest}}
    return {
        f"/{NAME}": ("application/json", json.dumps(document).encode()),
        archive: ("application/octet-stream", (options.folder / told["filename"]).read_bytes()),
    }


def wheel():
    """The answers of PyPI's simple index, by path."""
    module = NAME.replace("-", "_")
    information = f"{module}-{VERSION}.dist-info"
    members = {
        f"{module}.py": (SOURCE / f"{module}.py").read_text(),
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[console_scripts]\n{NAME} = {module}:main\n",
    }
    record = "".join(f"{name},sha256={encoded(text)},{len(text.encode())}\n" for name, text in members.items())
    file = options.folder / f"{module}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {**members, f"{information}/RECORD": f"{record}{information}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    content = file.read_bytes()
    link = f'<a href="/files/{file.name}#sha256={hashlib.sha256(content).hexdigest()}">{file.name}</a>'
    return {
        f"/simple/{NAME}/": ("text/html", f"<!DOCTYPE html><html><body>{link}</body></html>".encode()),
        f"/files/{file.name}": ("application/zip", content),
    }


def encoded(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Registry(BaseHTTPRequestHandler):
    def do_GET(self):
        self.wfile.write(self.head())

    def do_HEAD(self):
        self.head()

    def head(self):
        kind, content = ANSWERS.get(self.path, (None, b"no such package"))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content


ANSWERS = {**npm_package(), **wheel()}
ThreadingHTTPServer(("127.0.0.1", options.port), Registry).serve_forever()
