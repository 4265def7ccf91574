"""From the journal alone: who called what, when, for how long, and how it ended."""

configure(
    {"time": real_time(), "fragile": scripted()},
    apiKeys={"alice": "key-of-alice", "bob": "key-of-bob"},
)
machine.succeed(f"systemctl start {UNIT}")
machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep '2 of 2 servers ready'")

began = int(machine.succeed("date +%s%6N"))
call("/time/get_current_time", {"timezone": "UTC"}, key="key-of-alice")
call("/time/get_current_time", {"timezone": "Nowhere/AtAll"}, key="key-of-bob", expect=500)
call("/time/get_current_time", {"timezone": 5}, key="key-of-bob", expect=422)
call("/fragile/slow", {"seconds": 0.3}, key="key-of-bob")
call("/time/get_current_time", {"timezone": "UTC"}, key="key-of-mallory", expect=403)
call("/fragile/complain", {}, key="key-of-alice", expect=502)
ended = int(machine.succeed("date +%s%6N"))

with subtest("each call is one entry with its fields"):
    calls = [entry for entry in entries() if "MCP_TOOL" in entry and "OUTCOME" in entry]
    told = [(entry["API_KEY_NAME"], entry["MCP_SERVER"], entry["MCP_TOOL"], entry["OUTCOME"]) for entry in calls]
    clock = ("time", "get_current_time")
    check(
        told == [
            ("alice", *clock, "ok"), ("bob", *clock, "tool_error"), ("bob", *clock, "bad_arguments"),
            ("bob", "fragile", "slow", "ok"), ("alice", "fragile", "complain", "connection_lost"),
        ],
        told,
    )

with subtest("when, for how long, from whom and how grave"):
    for entry in calls:
        # The log's thread collects for 20 ms before it writes.
        check(began <= int(entry["_SOURCE_REALTIME_TIMESTAMP"]) <= ended + 1_000_000, entry)
        check(entry["PRIORITY"] == "6" and entry["SYSLOG_IDENTIFIER"] == "mcpo", entry)
        check(entry["_SYSTEMD_UNIT"] == UNIT, entry)
        for text in (entry["MCP_SERVER"], entry["MCP_TOOL"], entry["API_KEY_NAME"]):
            check(text in entry["MESSAGE"], entry)
    check(300 <= float(calls[3]["DURATION_MS"]) < 5000, calls[3])
    identifiers = [entry["REQUEST_ID"] for entry in calls]
    check(len(set(identifiers)) == len(identifiers), identifiers)

with subtest("a refusal is an entry without a key's name"):
    refusals = [entry for entry in entries() if entry.get("STATUS") == "403"]
    check(len(refusals) == 1 and refusals[0]["PRIORITY"] == "6", refusals)
    check("/time/get_current_time" in refusals[0]["MESSAGE"], refusals[0])

with subtest("what a dying server said is tagged with its name"):
    words = [entry for entry in entries() if "the disk is on fire" in entry["MESSAGE"]]
    check(any(entry.get("MCP_SERVER") == "fragile" for entry in words), words)

with subtest("filters of journalctl do what they promise"):
    grave = entries("--priority=warning")
    check(grave and all(int(entry["PRIORITY"]) <= 4 for entry in grave), grave)
    check(not any("MCP_TOOL" in entry and "OUTCOME" in entry for entry in grave), "a call counts as a warning")
    filtered = entries("MCP_SERVER=time")
    check(len(filtered) >= 3 and all(entry["MCP_SERVER"] == "time" for entry in filtered), filtered)
    check(len(entries("OUTCOME=tool_error")) == 1, "OUTCOME= does not filter")

with subtest("no key is in the journal"):
    check("key-of-" not in json.dumps(entries()), "a key was logged")
