"""What the benchmark needs before it can run: release builds, the real servers, Python mcpo's own venv, and other proxies."""

import pathlib
import subprocess
import sys

from .contenders import EXAMPLES, NODE, PROFILE, ROOT, TARGET, TIME, WORK
from .proxies import FastMcp, McpProxy

REQUIREMENTS = pathlib.Path(__file__).resolve().parents[1] / "mcpo-0.0.20-requirements.txt"
GATEWAY = TARGET / "mcpo"
MCPO = WORK / "mcpo" / "bin" / "mcpo"
MCP_PROXY_VERSION = "0.6.0"
MCP_PROXY = WORK / f"mcp-proxy-{MCP_PROXY_VERSION}" / "bin" / "mcp-proxy"
FASTMCP = WORK / "fastmcp" / "bin" / "fastmcp"


def run(*command):
    print("+", *command, file=sys.stderr, flush=True)
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=sys.stderr)


def build(gateway):
    """Two builds: the examples' dependencies would add features to a gateway built beside them."""
    profile = ("--release",) if PROFILE == "release" else ()
    run("cargo", "build", *profile, "--locked", "--examples")
    if gateway:
        run("cargo", "build", *profile, "--locked", "--bin", "mcpo")


def mcpo():
    """The Python mcpo in the versions that still start, in a venv of its own."""
    if not MCPO.exists():
        venv = WORK / "mcpo"
        run(sys.executable, "-m", "venv", venv)
        run(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS)
    return MCPO


def servers():
    """The real servers, by the scripts that provision them for the tests."""
    needed = [pathlib.Path(TIME.command[0]), pathlib.Path(NODE.command[1])]
    if not all(path.exists() for path in needed):
        for script in sorted((ROOT / "tests" / "provision").glob("*")):
            if script.is_file() and script.stat().st_mode & 0o100:
                run(script)
    missing = [str(path) for path in [*needed, EXAMPLES / "echo-server"] if not path.exists()]
    if missing:
        raise SystemExit(f"the benchmark needs {', '.join(missing)}: run tests/run first, which provides them")


def proxies(may_build):
    """The other MCP proxies that are here. `mcp-proxy` is built at first, which takes ten minutes; fastmcp is what
    the tests have."""
    if may_build and not MCP_PROXY.exists():
        # Its smallest form: what its features would add is work that this gateway has no part in.
        run("cargo", "install", "--quiet", "--locked", "--no-default-features", "--version", MCP_PROXY_VERSION,
            "--root", MCP_PROXY.parents[1], "mcp-proxy")  # fmt: skip
    if may_build and not FASTMCP.exists():
        run(ROOT / "tests" / "run", "--provision")
    found = []
    for path, proxy in (
        (MCP_PROXY, McpProxy(f"mcp-proxy {MCP_PROXY_VERSION}", MCP_PROXY)),
        (FASTMCP, FastMcp(f"fastmcp {fastmcp_version()}", FASTMCP)),
    ):
        if path.exists():
            found.append(proxy)
        else:
            where = path.relative_to(ROOT)
            print(f"SKIP {proxy.label}: {where} is missing; tests/bench/run provides it", file=sys.stderr)
    return found


def fastmcp_version():
    requirements = (ROOT / "tests" / "provision" / "fastmcp" / "requirements.txt").read_text()
    return next(line.partition("==")[2] for line in requirements.splitlines() if line.startswith("fastmcp=="))
