# The options of one entry of `services.mcpo.servers`.
{
  json,
  rate,
  secretPath,
}:
{ lib, ... }:

let
  inherit (lib) literalExpression mkOption types;

  secretHeader = types.submodule {
    options = {
      prefix = mkOption {
        type = types.str;
        default = "";
        example = "Bearer ";
        description = "Text before the secret.";
      };
      file = mkOption {
        type = secretPath;
        example = "/run/secrets/github";
        description = ''
          File that holds the rest of the value. systemd reads it as root and hands it to the gateway
          alone. A changed secret counts after `systemctl restart mcpo`.
        '';
      };
    };
  };
in
{
  options = {
    command = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = literalExpression ''"''${pkgs.uv}/bin/uvx"'';
      description = "Absolute path of the program of a server that speaks MCP over standard input and output.";
    };

    package = mkOption {
      type = types.nullOr types.package;
      default = null;
      example = literalExpression "pkgs.mcp-server-time";
      description = "Package of such a server: its main program is run. Instead of `command`.";
    };

    args = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--local-timezone=UTC" ];
      description = "Arguments of the program. They can be read by every user of the machine.";
    };

    env = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        LOG_LEVEL = "warn";
      };
      description = "Environment variables of the server that are no secrets.";
    };

    secrets = mkOption {
      type = types.attrsOf secretPath;
      default = { };
      example = {
        GITEA_ACCESS_TOKEN = "/run/secrets/gitea-mcp";
      };
      description = ''
        Environment variables whose values are the contents of files. systemd reads each file as root and hands it to
        this server alone; neither the gateway nor another server can read it. A changed secret counts from the
        server's next start on, at the latest after `systemctl restart mcpo`.
      '';
    };

    network = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the server may use the network. Without it the server sees neither the internet nor this machine's
        own ports.
      '';
    };

    state = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the server has a directory of its own that lasts (`/var/lib/mcpo-server-NAME`, its HOME).";
    };

    cache = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the server has a cache of its own that lasts (`/var/cache/mcpo-server-NAME`), as `npx` and `uvx` want
        it. What those fetch is neither locked nor reviewed, the first start takes as long as the download, and a
        server that needs the registry to start does not start while the registry is down; a package from nixpkgs
        has none of these faults.
      '';
    };

    memoryMax = mkOption {
      type = types.str;
      default = "512M";
      example = "2G";
      description = "Memory of one instance of the server, as systemd writes it; above it the instance is ended and started anew.";
    };

    tasksMax = mkOption {
      type = types.ints.positive;
      default = 128;
      description = "Processes and threads of one instance of the server.";
    };

    maxConnections = mkOption {
      type = types.ints.positive;
      default = 16;
      description = ''
        Instances at one time. There is one for all ordinary calls, and one more for each caller that needs a
        server of its own.
      '';
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://huggingface.co/mcp";
      description = "Address of a remote server.";
    };

    transport = mkOption {
      type = types.enum [
        "streamable-http"
        "sse"
      ];
      default = "streamable-http";
      description = "What the remote server speaks; `sse` is the older HTTP+SSE.";
    };

    headers = mkOption {
      type = types.attrsOf (types.either types.str secretHeader);
      default = { };
      example = literalExpression ''{ Authorization = { prefix = "Bearer "; file = "/run/secrets/github"; }; }'';
      description = "Headers for the remote server: text that is no secret, or `prefix` and `file`.";
    };

    oauth = mkOption {
      type = types.nullOr (types.submodule (import ./oauth-options.nix { inherit secretPath; }));
      default = null;
      example = literalExpression ''{ grant = "client_credentials"; clientId = "mcpo"; clientSecret.file = "/run/secrets/github-oauth"; }'';
      description = ''
        That the remote server wants a sign-in, and how the gateway does it; `{ }` has somebody sign in once in a
        browser, for all callers. Tokens are kept under `stateDir` with mode 0600.
      '';
    };

    rate = mkOption {
      type = rate;
      default = null;
      example = "5/s";
      description = ''
        How many calls the server gets in how much time, of all callers together: text such as `60/min` (`/s`, `/h`,
        `/day`), or `calls`, `per` and `burst`. Over it a call is refused with 429 and `Retry-After`. `null` sets no
        limit.
      '';
    };

    concurrency = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 4;
      description = "Calls to the server that run at one time; further ones wait. `null` leaves it at `limits.concurrency` (64).";
    };

    settings = mkOption {
      type = types.submodule { freeformType = json.type; };
      default = { };
      example = {
        required = true;
        timeout = 20;
        disabledTools = [ "delete_*" ];
      };
      description = ''
        Further keys of this server's entry in the gateway's configuration: `required`, `disabled`, `timeout` (seconds),
        `enabledTools`, `disabledTools`, `readOnlyTools`, `tools`, `forwardHeaders` and `protocol`.
      '';
    };
  };
}
