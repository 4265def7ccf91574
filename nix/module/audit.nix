# The audit trail.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;
  cfg = config.services.mcpo-gateway;
  inherit (import ./narrow.nix { inherit lib; }) onlyWhere;
  secretPath = import ./secret-path.nix { inherit lib; };
  inherit (cfg) audit;
in
{
  options.services.mcpo-gateway = {
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
        type = types.strMatching "/var/log/mcpo/.+" // {
          description = "path in /var/log/mcpo, the one directory that the gateway can write logs in";
        };
        default = "/var/log/mcpo/audit.jsonl";
        description = ''
          File of the trail with `to = "file"`, a line of JSON each record, mode 0600, in `/var/log/mcpo`. It is opened
          anew at `systemctl reload mcpo`, after it was rotated.
        '';
      };
      arguments = mkOption {
        type = onlyWhere (audit.to != null) "where `audit.to` says that there is a trail" "none" (
          types.enum [
            "none"
            "digest"
          ]
        );
        default = "none";
        example = "digest";
        description = ''
          What a record says of a call's arguments: nothing, or their SHA-256, from which short arguments can be guessed
          unless there is a `secret`. It is of the bytes as the caller sent them: other white space or another order of
          keys is another digest.
        '';
      };
      secret.file = mkOption {
        type = onlyWhere (audit.arguments == "digest") "where `audit.arguments` is `digest`" null (
          types.nullOr secretPath
        );
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
