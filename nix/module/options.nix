# The options of `services.mcpo-gateway`. What NixOS need not know goes into the freeform `settings`, which the gateway
# itself checks when the system is built.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    types
    ;
  cfg = config.services.mcpo-gateway;
  json = pkgs.formats.json { };
  inherit (import ./narrow.nix { inherit lib; }) named;
  names = import ./names.nix { inherit lib; };
  secretPath = import ./secret-path.nix { inherit lib; };
  apiKey = types.submodule (import ./key-options.nix { gateway = cfg; });
in
{
  options.services.mcpo-gateway = {
    enable = mkEnableOption "mcpo, a gateway that puts many MCP servers behind one HTTP port";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../package.nix { };
      defaultText = literalExpression "mcpo-gateway of the flake";
      description = ''
        The gateway. The variant without runtimes is enough here: the gateway starts no process, and each server
        brings its own.
      '';
    };

    host = mkOption {
      type = types.strMatching "localhost|[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*" // {
        description = "IP address or localhost";
      };
      default = "127.0.0.1";
      example = "0.0.0.0";
      description = ''
        Address to listen on. Anything but the loopback wants `apiKeys`. systemd holds it
        (`mcpo-HOST-PORT.socket`): while the gateway restarts, callers wait. Further addresses, also Unix sockets, are units of
        your own beside it:
        `systemd.sockets.mcpo-local = { wantedBy = [ "sockets.target" ]; listenStreams = [ "/run/mcpo.sock" ]; socketConfig.Service = "mcpo.service"; }`.
      '';
    };

    port = mkOption {
      type = types.port;
      default = 8000;
      example = 25530;
      description = "TCP port to listen on; one below 1024 too, since systemd opens it.";
    };

    publicUrl = mkOption {
      type = types.nullOr (
        types.strMatching "https?://[^/]+.*" // { description = "http or https address"; }
      );
      default = null;
      example = "https://mcp.example.org";
      description = ''
        Address under which people and clients reach the gateway, through a proxy too. Sign-ins to servers come back
        to it, and it stands in what the gateway hands out for Open WebUI, VS Code and LobeChat.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open `port` in the firewall of this machine.";
    };

    user = mkOption {
      type = types.str;
      default = "mcpo";
      description = "User that runs the gateway, and nothing else. It is made when it is `mcpo`.";
    };

    group = mkOption {
      type = types.str;
      default = "mcpo";
      description = "Group of the gateway. It is made when it is `mcpo`. Keep people and services out of it: it can enter the directory of the servers' sockets.";
    };

    stateDir = mkOption {
      type = import ./own-directory-type.nix { inherit lib; };
      default = "/var/lib/mcpo";
      example = "/srv/mcpo";
      description = "Directory of the gateway's state: the last known tools of every server, the tokens of sign-ins, and the key of sessions with their last use.";
    };

    nestedContainer = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether this machine is an Incus or LXC container with `security.nesting=true`. NixOS has a drop-in in
        containers (`zzz-lxc-service.conf`) that takes credentials and isolation from all services, by now even where
        the container may nest; this keeps it from the gateway and its servers, which do not run without them. In a
        container without nesting systemd cannot start them then.
      '';
    };

    servers = mkOption {
      type = types.attrsOf (
        named
          "server, whose name is no path of the gateway itself (${lib.concatStringsSep ", " names.reserved})"
          (name: _: name != "" && !builtins.elem name names.reserved)
          (types.submodule (import ./server-options.nix { gateway = cfg; }))
      );
      default = { };
      example = literalExpression ''
        {
          time.package = pkgs.mcp-server-time;
          github = {
            url = "https://api.githubcopilot.com/mcp/";
            headers.Authorization = {
              prefix = "Bearer ";
              file = "/run/secrets/github";
            };
          };
        }
      '';
      description = ''
        The servers behind the gateway, by name: either one that this machine runs (`package`, `command`, `npx` or
        `uvx`), in a unit of its own, or a remote one (`url`).
      '';
    };

    allServers = {
      memoryMax = mkOption {
        type = import ./size-type.nix { inherit lib; };
        default = "75%";
        example = "4G";
        description = "Memory of all servers of this machine together. Above it the kernel ends one of their processes, and no other of the machine.";
      };
      tasksMax = mkOption {
        type = types.ints.positive;
        default = 4096;
        description = "Processes and threads of all servers of this machine together.";
      };
      cpuWeight = mkOption {
        type = types.ints.positive;
        default = 50;
        description = "Share of the processors that all servers together get when there is not enough for all: the gateway, as every other service, has 100.";
      };
    };

    apiKeys = mkOption {
      type = types.attrsOf apiKey;
      default = { };
      example = literalExpression ''{ open-webui = { file = "/run/secrets/mcpo-open-webui"; servers = [ "time" ]; }; }'';
      description = ''
        Keys that callers must show, by the name that the log gives them. Without any, everything is open to whoever
        reaches the port.
      '';
    };

    credentials = mkOption {
      type = types.attrsOf (
        named "${secretPath.description}, by a name of letters, digits, `_`, `.` and `-`" (
          name: _: name == names.sanitize name
        ) secretPath
      );
      default = { };
      example = {
        proxy-password = "/run/secrets/proxy-password";
      };
      description = ''
        Further secret files for the gateway itself, by name. `settings` refers to them as `''${credential:NAME}`,
        or, where a path is wanted, as `/run/credentials/mcpo.service/NAME`.
      '';
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = import ./settings-type.nix {
          inherit lib;
          taken = [
            "apiKey"
            "apiKeys"
            "audit"
            "host"
            "lock"
            "mcpServers"
            "port"
            "profiles"
            "publicUrl"
            "replica"
            "servers"
            "sessionKey"
            "shared"
            "stateDir"
            "tls"
          ];
        };
        # What the units hang on, too.
        options.limits = mkOption {
          type = types.submodule {
            freeformType = json.type;
            options = {
              drain = mkOption {
                type = types.nullOr types.numbers.nonnegative;
                default = null;
                example = 60;
                description = "Seconds that calls in flight have when the gateway ends; `null` leaves it at 20.";
              };
              leave = mkOption {
                type = types.nullOr types.numbers.nonnegative;
                default = null;
                example = 3;
                description = "Seconds that `/ready` says no before the port closes when the gateway ends, for a balancer in front; `null` leaves it at 0.";
              };
              identities = mkOption {
                type = types.nullOr types.ints.unsigned;
                default = null;
                example = 14;
                description = "Instances of one server for callers that need one of their own; `null` leaves it at 256.";
              };
            };
          };
          default = { };
          description = "Limits of the gateway. Those without an option here: the README of src/config.";
        };
      };
      default = { };
      example = {
        limits.drain = 20;
        log.level = "info";
        allowedHosts = [ "mcp.example.org" ];
      };
      description = ''
        The gateway's own settings that have no option here, as they stand beside `mcpServers` in its configuration
        file: `signIn`, `limits`, `timeout` (seconds), `log`, `allowedHosts`, `corsAllowOrigins`, `strictAuth`,
        `exposedNameLength`, `sharedPrefix`, `pathPrefix`, `rootPath`, `name`, `description` and `version`. They end up in the
        world-readable store, so secrets are only referred to. `mcpo check` reads them when the system is built, and an unknown setting fails the build with the
        nearest known one.
      '';
    };

    configFile = mkOption {
      type = types.package;
      internal = true;
      readOnly = true;
      description = "The checked configuration, linked at `/etc/mcpo/config.json`.";
    };

    configData = mkOption {
      type = json.type;
      internal = true;
      readOnly = true;
      description = "What stands in the configuration.";
    };
  };

  config = lib.mkIf cfg.enable {
    warnings =
      lib.optional
        (
          cfg.apiKeys == { }
          && !(cfg.settings ? signIn)
          && (
            cfg.nginx.virtualHost != null
            || !builtins.elem cfg.host [
              "127.0.0.1"
              "::1"
              "localhost"
            ]
          )
        )
        ''
          services.mcpo-gateway.apiKeys is empty: anyone who reaches ${
            if cfg.nginx.virtualHost != null then
              cfg.nginx.virtualHost
            else
              "port ${toString cfg.port} of ${cfg.host}"
          } can call every tool. Give services.mcpo-gateway.apiKeys.NAME.file, or listen on 127.0.0.1 alone.
        '';
  };
}
