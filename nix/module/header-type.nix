# The type of one header for a remote server: text, or a secret in a file. A header that carries a secret is no text.
{ lib }:

let
  inherit (lib) mkOption types;
  inherit (import ./narrow.nix { inherit lib; }) named;
  secretPath = import ./secret-path.nix { inherit lib; };

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
named
  "text that may stand in the world-readable store, or `{ prefix = \"Bearer \"; file = \"/run/secrets/NAME\"; }`"
  (
    name: value:
    !builtins.isString value
    || !builtins.elem (lib.toLower name) [
      "authorization"
      "proxy-authorization"
      "cookie"
      "x-api-key"
      "api-key"
    ]
  )
  (types.either types.str secretHeader)
