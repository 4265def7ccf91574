# A real MCP server at the port of athena, which refuses whoever lacks the bearer token of the file. Its tools are
# invented: athena itself is private.
{ lib, pkgs, ... }:

{
  systemd.services.athena = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = pkgs.writeShellScript "athena" ''
        exec ${lib.getExe pkgs.python3} ${../../../tests/servers/http_server.py} \
          --port 22461 --token "$(cat "$CREDENTIALS_DIRECTORY/token")"
      '';
      LoadCredential = "token:/run/secrets/athena";
      Restart = "always";
      RestartSec = 1;
    };
    startLimitIntervalSec = 0;
  };
}
