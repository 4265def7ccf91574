# The options of `services.mcpo` beside its servers and keys: what callers see of it, and what is held to and written
# down.
{ lib, ... }:

let
  inherit (lib) literalExpression mkOption types;
  secretPath = import ./secret-path.nix { inherit lib; };

  profile = types.submodule {
    options = {
      servers = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [
          "time"
          "git*"
        ];
        description = "Servers that are shown, as names with `*` and `?`; `null` shows all that the key opens.";
      };
      tools = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [ "time_*" ];
        description = "Tools that are shown, as `/mcp` names them (`SERVER_TOOL`), with `*` and `?`; `null` shows all.";
      };
    };
  };
in
{
  options.services.mcpo = {
    publicUrl = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://mcp.example.org";
      description = ''
        Address under which people and clients reach the gateway, through a proxy too. Sign-ins to servers come back
        to it, and it stands in what the gateway hands out for Open WebUI, VS Code and LobeChat.
      '';
    };

    profiles = mkOption {
      type = types.attrsOf profile;
      default = { };
      example = {
        vscode = {
          servers = [
            "time"
            "git*"
          ];
          tools = [ "time_*" ];
        };
      };
      description = ''
        What MCP clients are shown of the servers that their key opens, by name: chosen by `/mcp?profile=NAME`, or by
        `apiKeys.NAME.profile`. A profile narrows what a key opens, and never widens it.
      '';
    };

    tls = {
      certificate = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/srv/tls/mcp.example.org.pem";
        description = ''
          File with the certificate chain (PEM) that the gateway speaks TLS with, itself. The gateway reads it, and
          reads it again at `systemctl reload mcpo`: new connections get the new certificate, open ones keep theirs.
        '';
      };
      key = mkOption {
        type = types.nullOr secretPath;
        default = null;
        example = "/srv/tls/mcp.example.org-key.pem";
        description = ''
          File with the certificate's private key (PEM). The gateway reads it itself, at each reload too, so its user
          or group must be able to (mode 0640 and group `mcpo`, in a directory that the group can enter).
        '';
      };
      useACMEHost = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "mcp.example.org";
        description = ''
          Certificate of `security.acme.certs` to use in place of two files. The gateway joins the group that may read
          it, starts after it, and is reloaded when it was renewed.
        '';
      };
    };

    lock = {
      file = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = literalExpression "./tools.lock";
        description = ''
          File that `mcpo lock` wrote, beside the configuration in git: what each tool said of itself when somebody
          looked. It holds no secret and is copied into the store. `null` holds no server to anything.
        '';
      };
      drift = mkOption {
        type = types.enum [
          "warn"
          "quarantine"
        ];
        default = "warn";
        example = "quarantine";
        description = ''
          What becomes of a tool that is new or not as it was locked: the log says so (`warn`), or it is also neither
          listed nor called until it is locked anew (`quarantine`).
        '';
      };
    };

    audit = {
      to = mkOption {
        type = types.nullOr (
          types.enum [
            "journal"
            "file"
          ]
        );
        default = null;
        example = "journal";
        description = ''
          Where one record of each call goes: who called what, from where, how it ended and after how long. `null`
          keeps no trail beside the log.
        '';
      };
      file = mkOption {
        type = types.str;
        default = "/var/log/mcpo/audit.jsonl";
        description = ''
          File of the trail with `to = "file"`, a line of JSON each record, mode 0600, in `/var/log/mcpo`. It is opened
          anew at `systemctl reload mcpo`, after it was rotated.
        '';
      };
      arguments = mkOption {
        type = types.enum [
          "none"
          "digest"
        ];
        default = "none";
        example = "digest";
        description = ''
          What a record says of a call's arguments: nothing, or their SHA-256, from which short arguments can be guessed
          unless there is a `secret`. It is of the bytes as the caller sent them: other white space or another order of
          keys is another digest.
        '';
      };
      secret.file = mkOption {
        type = types.nullOr secretPath;
        default = null;
        example = "/run/secrets/mcpo-audit";
        description = ''
          File that holds the key of the digests, which are HMACs then. systemd reads it as root and hands it to the
          gateway alone. A changed one counts after `systemctl restart mcpo`.
        '';
      };
    };
  };
}
