start_all()
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name in ["operator", "reader", "time", "context7", "athena"]:
    miranda.succeed(f"umask 077; echo value-of-{name} > /run/secrets/{name}")
prospero.wait_for_open_port(3100)
miranda.wait_for_unit("mcpo.service")
miranda.wait_for_unit("alloy.service")
miranda.wait_until_succeeds(
    "curl -sf -H 'Content-Type: application/json' -H 'Authorization: Bearer value-of-operator'"
    """ http://127.0.0.1:25530/time/get_current_time -d '{"timezone": "UTC"}'"""
)
query = (
    "curl -sfG http://prospero.incus:3100/loki/api/v1/query_range"
    """ --data-urlencode 'query={hostname="miranda.incus", job="mcpo"}'"""
)
for unit in ["mcpo.service", "mcpo-server-time@"]:
    miranda.wait_until_succeeds(f"{query} | grep -qF {unit}")
