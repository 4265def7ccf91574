with subtest("people find the documentation page"):
    machine.succeed(curl("/docs") + " | grep -qi swagger")

with subtest("the local server answers"):
    assert "UTC" in machine.succeed(post("/time/get_current_time", NOW))

with subtest("the remote server answers who bears the secret"):
    assert "github get_me" in machine.succeed(post("/github/get_me"))
    assert internet.succeed("cat /run/stand-in-internet/github") == "Bearer token-of-github\n"

with subtest("nobody else can reach the gateway"):
    internet.fail("curl -sS --max-time 5 http://machine.incus:8000/health")
