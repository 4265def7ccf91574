# What `nix run` starts. Without arguments a gateway on the loopback whose two servers are locked in nixpkgs, so
# that nothing is downloaded when they start; with arguments plain `mcpo`.
{
  context7-mcp,
  formats,
  lib,
  mcp-server-time,
  mcpo,
  writeShellApplication,
}:

let
  configuration = (formats.json { }).generate "mcpo-local.json" {
    mcpServers = {
      time.command = lib.getExe mcp-server-time;
      context7.command = lib.getExe context7-mcp;
    };
  };
in
writeShellApplication {
  name = "mcpo-local";
  runtimeInputs = [ mcpo ];
  text = ''
    if (($# == 0)); then
      exec mcpo --config ${configuration}
    fi
    exec mcpo "$@"
  '';
  meta.description = "The gateway on the loopback; without arguments with the servers time and context7";
}
// {
  inherit configuration;
}
