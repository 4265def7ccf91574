# The container image of ./Containerfile, made by nix: the gateway, and with `runtimes` Node, Python and uv for servers that
# npx and uvx fetch. Servers with a `command` are children of the gateway, since there is no systemd in it.
{
  cacert,
  coreutils,
  dockerTools,
  lib,
  mcpo-gateway,
  nodejs,
  python3,
  tzdata,
  uv,
  writeTextDir,
  runtimes ? true,
}:

let
  state = "/var/lib/mcpo";
  # What it serves until a configuration is mounted there.
  configuration = writeTextDir "etc/mcpo/config.json" (
    builtins.toJSON { mcpServers.gateway.builtin = "gateway"; } + "\n"
  );
in
dockerTools.buildLayeredImage {
  name = if runtimes then "mcpo" else "mcpo-bare";
  tag = mcpo-gateway.version;
  contents = [
    configuration
    mcpo-gateway
    (dockerTools.fakeNss.override {
      extraPasswdLines = [ "mcpo:x:990:990:MCP gateway:${state}:/usr/sbin/nologin" ];
      extraGroupLines = [ "mcpo:x:990:" ];
    })
  ]
  # npm runs what it fetched through `sh`, and scripts begin with `/usr/bin/env`.
  ++ lib.optionals runtimes [
    coreutils
    dockerTools.binSh
    dockerTools.usrBinEnv
    nodejs
    python3
    uv
  ];
  fakeRootCommands = ''
    mkdir -p .${state} tmp
    chown 990:990 .${state}
    chmod 1777 tmp
  '';
  config = {
    Entrypoint = [ (lib.getExe' mcpo-gateway "mcpo") ];
    Cmd = [
      "--config"
      "/etc/mcpo/config.json"
    ];
    Env = [
      "PATH=/bin"
      "HOME=${state}"
      "XDG_STATE_HOME=${state}"
      "MCPO_HOST=0.0.0.0"
      "UV_PYTHON_DOWNLOADS=never"
      "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
      "TZDIR=${tzdata}/share/zoneinfo"
    ];
    User = "990:990";
    WorkingDir = state;
    Volumes.${state} = { };
    ExposedPorts."8000/tcp" = { };
  };
}
