prospero.wait_for_open_port(3100)
miranda.wait_for_unit("alloy.service")
miranda.succeed(post("/time/get_current_time", NOW, operator))
query = (
    "curl -sfG http://prospero.incus:3100/loki/api/v1/query_range"
    """ --data-urlencode 'query={hostname="miranda.incus", job="mcpo"}'"""
)
for unit in ["mcpo.service", "mcpo-server-time@"]:
    miranda.wait_until_succeeds(f"{query} | grep -qF {unit}")
