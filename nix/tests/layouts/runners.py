# The configuration names no port, and no key.
PORT = 8000
start_all()
machine.wait_for_unit("mcpo.service")
