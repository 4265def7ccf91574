start_all()
keys = {f"mcpo-{name}": f"key-of-{name}" for name in ["open-webui", "lobechat", "prometheus", "operator"]}
tokens = {
    "athena-mcp": "token-of-athena",
    "github-personal-access-token": "token-of-github",
    "huggingface-mcp-token": "token-of-huggingface",
}
caller, operator = keys["mcpo-open-webui"], keys["mcpo-operator"]
give(miranda, {**keys, **tokens})
give(puck, {"athena-mcp": tokens["athena-mcp"]})
give(internet, {name: tokens[name] for name in ["github-personal-access-token", "huggingface-mcp-token"]})
give(prospero, {"mcpo-prometheus": keys["mcpo-prometheus"]})
# Prometheus reads it as a user of its own.
prospero.succeed("chmod 0711 /run/secrets; chmod 0644 /run/secrets/mcpo-prometheus")
# It is a container, which its configuration knows (`nestedContainer`).
in_incus(miranda)
# Not at its next try by itself.
miranda.succeed("systemctl restart mcpo.service")
# Servers that came up after their first try are tried again by the gateway itself, at growing intervals.
miranda.wait_until_succeeds(ready(13))
