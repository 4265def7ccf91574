# Modules of the test machines: a service that stands in for a server of the site (tests/servers/stand_in.py).
let
  program =
    pkgs:
    pkgs.writeShellApplication {
      name = "mcpo-stand-in";
      runtimeInputs = [ (pkgs.python3.withPackages (packages: [ packages.mcp ])) ];
      text = ''exec python3 ${../../../tests/servers/stand_in.py} "$@"'';
    };

  # Keys and certificates of the stand-in internet, made anew in each build.
  certificates =
    pkgs:
    pkgs.runCommand "mcpo-stand-in-certificates" {
      nativeBuildInputs = [ pkgs.openssl ];
    } "bash ${./certificates.sh} $out";

  service =
    name: port: arguments: extra:
    { lib, pkgs, ... }:
    {
      systemd.services."stand-in-${name}" = {
        wantedBy = [ "multi-user.target" ];
        # A token that comes late heals it.
        startLimitIntervalSec = 0;
        serviceConfig = {
          ExecStart = lib.concatStringsSep " " (
            [ "${lib.getExe (program pkgs)} --port ${toString port} --seen %t/stand-in-${name}" ]
            ++ arguments pkgs
          );
          RuntimeDirectory = "stand-in-${name}";
          Restart = "always";
          RestartSec = 1;
        }
        // extra;
      };
      networking.firewall.allowedTCPPorts = [ port ];
    };
in
{
  # `server` at `port`, for everybody.
  open = server: port: service server port (_: [ server ]) { };

  # `server` at `port`, for those who bear the token in `file`.
  guarded =
    server: port: file:
    service server port (_: [ "--token-file ${server}=%d/token ${server}" ]) {
      LoadCredential = "token:${file}";
    };

  # All of `servers` (an attribute set of token files) behind one port with TLS, chosen by their host names.
  internet =
    servers:
    let
      names = builtins.attrNames servers;
    in
    service "internet" 443
      (
        pkgs:
        map (name: "--token-file ${name}=%d/${name}") names
        ++ [
          "--certificate ${certificates pkgs}/certificate.pem --key ${certificates pkgs}/key.pem"
        ]
        ++ names
      )
      {
        LoadCredential = map (name: "${name}:${servers.${name}}") names;
      };

  # Registries of npm and PyPI on the loopback, with the packages that it makes (tests/servers/registry.py).
  registry =
    port:
    { lib, pkgs, ... }:
    {
      systemd.services.stand-in-registry = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          ExecStart = "${
            lib.getExe (
              pkgs.writeShellApplication {
                name = "mcpo-stand-in-registry";
                runtimeInputs = [
                  pkgs.nodejs
                  pkgs.python3
                ];
                text = ''exec python3 ${../../../tests/servers}/registry.py "$@"'';
              }
            )
          } --port ${toString port} --folder %t/stand-in-registry";
          RuntimeDirectory = "stand-in-registry";
          # npm creates the home directory if it is missing.
          Environment = "HOME=%t/stand-in-registry";
        };
      };
    };

  # The authority that signed the certificates is trusted.
  trust =
    { pkgs, ... }:
    {
      security.pki.certificateFiles = [ "${certificates pkgs}/authority.pem" ];
    };
}
