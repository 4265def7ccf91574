# Part of tests/packages/run: the images are made from nothing and run, each in a network of its own.

MCPO_TEST_TIME=$(sed -n 's/^mcp-server-time==//p' tests/provision/python/requirements.txt)
[[ -x tests/.work/python/bin/python && -d tests/.work/node ]] || { echo "SKIP packages: tests/.work is not provisioned"; exit 0; }

# What follows needs it.
must() { check "$@"; ((failures == 0)) || exit 1; }
container=''
# `--ignore`: it may be gone already.
remove() { [[ -z $container ]] || podman rm --force --ignore "$container" >/dev/null; }
trap 'remove; rm -rf "$scratch"' EXIT
inside() { nsenter --target "$(podman inspect --format '{{.State.Pid}}' "$container")" --net -- "$@"; }
until_true() { # command...
  local end=$((SECONDS + 90))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { "$@"; podman logs "$container"; return 1; }
    sleep 0.2
  done
}
# runc, since crun refuses control groups of two versions. Without the limits podman raises them, which root in a container may not.
run=(--runtime runc run --network none --ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
start() { # image, podman's arguments...
  local name=$1
  shift
  podman "${run[@]}" --detach --name "$container" "$@" \
    --volume "$scratch/$name.json:/etc/mcpo/config.json:ro" --env MCPO_API_KEY=key "$name"
}
serves() { inside curl -sS --fail --max-time 5 http://127.0.0.1:8000/docs; }
tells_the_time() {
  inside curl -sS --fail --max-time 20 -H 'Authorization: Bearer key' -H 'Content-Type: application/json' -d '{"timezone": "UTC"}' \
    http://127.0.0.1:8000/time/get_current_time | grep -F '"timezone": "UTC"'
}
runs_without_privileges() { podman exec "$container" id -u | grep -x 990; }
stops_at_once() {
  podman stop --time 20 "$container"
  [[ $(podman inspect --format '{{.State.ExitCode}}' "$container") == 0 ]] || { podman logs "$container"; return 1; }
  remove
}

# --- with Node, Python and uv: servers that npx and uvx start, from what is at hand

must "the image is made from nothing" nix/debian/image --binary "$binary"
wheels_are_here() {
  local version
  version=$(podman "${run[@]}" --rm --entrypoint python3 mcpo -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  tests/.work/python/bin/python -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version "$version" \
    --dest "$scratch/wheels" "mcp-server-time==$MCPO_TEST_TIME"
  chmod -R a+rX "$scratch"
}
check "wheels for its Python are here" wheels_are_here
cat >"$scratch/mcpo.json" <<TEXT
{ "mcpServers": {
  "time": { "command": "uvx", "args": ["--no-index", "--find-links", "/wheels", "mcp-server-time==$MCPO_TEST_TIME"] },
  "everything": { "command": "npx", "args": ["--no", "mcp-server-everything", "stdio"], "cwd": "/node" }
} }
TEXT
container=mcpo-test-$$
must "it starts" start mcpo --volume "$scratch/wheels:/wheels:ro" --volume "$PWD/tests/.work/node/:/node:ro"
check "its port answers /docs with 200" until_true serves
check "uvx starts the time server, which is called" until_true tells_the_time
an_echo() {
  inside curl -sS --fail --max-time 20 -H 'Authorization: Bearer key' -H 'Content-Type: application/json' -d '{"message": "hello"}' \
    http://127.0.0.1:8000/everything/echo | grep -F hello
}
check "npx starts a server of Node, which is called" until_true an_echo
check "nothing runs as root" runs_without_privileges
check "it stops when it is told to" stops_at_once

# --- without them: the time server is elsewhere, behind a gateway of this machine in the same network

must "the image without them is made from nothing" nix/debian/image --bare --binary "$binary"
echo '{ "mcpServers": { "time": { "url": "http://127.0.0.1:9000/time/mcp" } } }' >"$scratch/mcpo-bare.json"
echo "{ \"mcpServers\": { \"time\": { \"command\": \"$PWD/tests/.work/python/bin/mcp-server-time\" } } }" >"$scratch/elsewhere.json"
container=mcpo-test-$$-bare
must "it starts" start mcpo-bare
# Not by `inside`: a function in the background has a shell between, which alone would be ended.
nsenter --target "$(podman inspect --format '{{.State.Pid}}' "$container")" --net -- "$binary" --host 127.0.0.1 --port 9000 --config "$scratch/elsewhere.json" >"$scratch/elsewhere.log" 2>&1 &
elsewhere=$!
check "its port answers /docs with 200" until_true serves
check "a remote time server is called" until_true tells_the_time
check "it has neither Node nor Python nor uv" podman exec "$container" sh -c 'for name in node npx python3 uv; do ! command -v $name || exit 1; done'
kill "$elsewhere"
check "it stops when it is told to" stops_at_once
podman images --format '     {{.Repository}} {{.Size}}' | grep mcpo
