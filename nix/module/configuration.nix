# The gateway's configuration file: rendered without a secret, checked by the gateway itself when the system is
# built, linked at /etc/mcpo/config.json, from where a reload reads it.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mapAttrs;
  cfg = config.services.mcpo;
  names = import ./names.nix { inherit lib; };

  header =
    server: name: value:
    if builtins.isString value then
      # A `$` that the operator wrote is a `$`.
      builtins.replaceStrings [ "\${" ] [ "$\${" ] value
    else
      "${value.prefix}\${credential:${names.headerCredential server name}}";

  entry =
    name: server:
    (
      if names.isLocal server then
        {
          socket = names.socket name;
          # The entry is only a socket; a new program or environment behind it shows here, and a reload then
          # connects anew.
          revision = builtins.hashString "sha256" config.systemd.units."${names.unit name}@.service".text;
        }
      else
        {
          type = server.transport;
          inherit (server) url;
        }
        // lib.optionalAttrs (server.headers != { }) { headers = mapAttrs (header name) server.headers; }
    )
    // server.settings;

  apiKey =
    name: key:
    {
      key = "\${credential:${names.keyCredential name}}";
      inherit (key) readOnly admin metrics;
    }
    // lib.optionalAttrs (key.servers != null) { inherit (key) servers; }
    // lib.optionalAttrs (key.profile != null) { inherit (key) profile; };

  unchecked = (pkgs.formats.json { }).generate "mcpo-unchecked.json" cfg.configData;
in
{
  config = lib.mkIf cfg.enable {
    services.mcpo.configData =
      cfg.settings
      // {
        inherit (cfg) host port stateDir;
        mcpServers = mapAttrs entry cfg.servers;
      }
      // lib.optionalAttrs (cfg.apiKeys != { }) { apiKeys = mapAttrs apiKey cfg.apiKeys; };

    # `mcpo check` needs no secret. The program of the machine that builds is the one of the machine that runs,
    # unless this is a cross build, which then goes unchecked.
    services.mcpo.configFile = pkgs.runCommand "mcpo-config.json" { } (
      lib.optionalString (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) ''
        ${lib.getExe' cfg.package "mcpo"} check --config ${unchecked}
      ''
      + ''
        cp ${unchecked} $out
      ''
    );

    environment.etc."mcpo/config.json".source = cfg.configFile;
  };
}
