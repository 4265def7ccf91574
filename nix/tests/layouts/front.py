PORT = 80
start_all()
give(machine, {"caller": "key-of-caller"})
machine.succeed("systemctl restart mcpo.service")
machine.wait_until_succeeds(ready(2))
machine.wait_for_open_port(80)
