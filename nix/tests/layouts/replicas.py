PORT = 80
start_all()
replicas = [one, two, three]
keys = {name: f"key-of-{name}" for name in ["client", "limited", "replicas"]}
shared = {"redis": "password-of-redis", "session-key": "the same secret at each of the replicas"}
give(stateful, keys)
give(balancer, shared)
stateful.succeed("systemctl restart mcpo.service")
stateful.wait_until_succeeds(ready(2))
for replica in replicas:
    give(replica, {**keys, **shared})
    replica.succeed("systemctl restart mcpo.service")
for replica in replicas:
    replica.wait_until_succeeds(ready(2))
