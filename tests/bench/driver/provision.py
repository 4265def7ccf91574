"""What the benchmark needs before it can run: release builds, the real servers, and Python mcpo's own venv."""

import pathlib
import subprocess
import sys

from .contenders import EXAMPLES, NODE, PROFILE, ROOT, TARGET, TIME, WORK

REQUIREMENTS = pathlib.Path(__file__).resolve().parents[1] / "mcpo-0.0.20-requirements.txt"
GATEWAY = TARGET / "mcpo"
MCPO = WORK / "mcpo" / "bin" / "mcpo"


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
