# The README's configuration names no port, and no key.
PORT = 8000
start_all()
give(machine, {"github": "token-of-github"})
give(internet, {"github": "token-of-github"})
# What came after its start counts from the next one on.
machine.succeed("systemctl restart mcpo.service")
machine.wait_until_succeeds(ready(2))
