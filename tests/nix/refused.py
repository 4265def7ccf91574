#!/usr/bin/env python3
"""Evaluates each mistake of tests/nix/misuse.nix that a type has to refuse, and tells those that were taken, or refused
with other words than the table has. Further arguments go to nix.

    tests/nix/refused.py [--arg NAME EXPRESSION ...]
"""
import concurrent.futures, json, pathlib, subprocess, sys

TABLE = pathlib.Path(__file__).parent / "misuse.nix"


def evaluate(attribute):
    command = ["nix-instantiate", "--eval", "--strict", "--json", *sys.argv[1:], TABLE, "-A", attribute]
    return subprocess.run(command, capture_output=True, text=True)


def wrong(case, says):
    done = evaluate(f'thrown."{case}"')
    if done.returncode == 0:
        return f"{case}: was taken"
    return None if says in done.stderr else f"{case}: does not say\n{says}\nbut\n{done.stderr[-800:]}"


table = evaluate("says")
if table.returncode != 0:
    sys.exit(table.stderr)
says = json.loads(table.stdout)
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    faults = [fault for fault in pool.map(wrong, says, says.values()) if fault]
print(f"{len(says)} mistakes, {len(faults)} not refused as they should be", *faults, sep="\n")
sys.exit(bool(faults) or len(says) < 60)
