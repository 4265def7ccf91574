# The options of one entry of `services.mcpo-gateway.apiKeys`.
{ gateway }:
{ lib, ... }:

let
  inherit (lib) mkOption types;
  rate = import ./rate-type.nix { inherit lib; };
  secretPath = import ./secret-path.nix { inherit lib; };
in
{
  options = {
    file = mkOption {
      type = secretPath;
      example = "/run/secrets/mcpo-open-webui";
      description = ''
        File that holds the key, and at most one newline after it. systemd reads it as root and hands it to the
        gateway alone, so it can be readable by root only. A changed key counts after
        `systemctl restart mcpo`.
      '';
    };
    openWebUi = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            secret.file = mkOption {
              type = secretPath;
              example = "/run/secrets/open-webui-jwt";
              description = "File with the value that Open WebUI has as `FORWARD_USER_INFO_HEADER_JWT_SECRET`.";
            };
            users = mkOption {
              type = types.listOf (types.attrsOf types.anything);
              default = [ ];
              example = [
                { claims.role = "admin"; }
                {
                  claims.role = "user";
                  rate = "60/min";
                }
              ];
              description = ''
                What its users open: the first entry whose `claims` a user has counts; beside them, as in a key,
                `servers`, `tools`, `profile`, `readOnly`, `admin`, `metrics`, `rate` and `concurrency`.
              '';
            };
          };
        }
      );
      default = null;
      description = "The users of the Open WebUI whose key it is, in place of the key's own rights.";
    };
    servers = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = null;
      example = [
        "time"
        "git*"
      ];
      description = "Servers that the key opens, as names with `*` and `?`; `null` opens all of them.";
    };
    profile = mkOption {
      type = types.nullOr (types.enum (builtins.attrNames gateway.profiles)) // {
        description = "null or name of one of `profiles`";
      };
      default = null;
      example = "vscode";
      description = "Profile of `profiles` that holds for the key: what of its servers and tools is shown.";
    };
    readOnly = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the key opens only tools that say that they change nothing.";
    };
    admin = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the key shows addresses, reasons in full and the last lines of a server's stderr.";
    };
    metrics = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the key reads `/metrics`, which name every server and tool, although `servers` or `readOnly` limit it.
      '';
    };
    rate = mkOption {
      type = rate;
      default = null;
      example = "60/min";
      description = ''
        How many calls the key may make in how much time: text such as `60/min` (`/s`, `/h`, `/day`), or `calls`,
        `per` and `burst`. Over it a call is refused with 429 and `Retry-After`. `null` sets no limit.
      '';
    };
    concurrency = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 4;
      description = "Calls of the key that may run at one time; further ones are refused with 429. `null` sets no limit.";
    };
  };
}
