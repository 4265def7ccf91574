# The freeform type of `settings`: JSON, where nothing that is named like a secret is one, since it ends up in the
# world-readable store, and where the keys in `taken` are not, since they have an option.
{ lib, taken }:

let
  inherit (lib) types;
  inherit (import ./narrow.nix { inherit lib; }) named;

  secret = [
    "apiKey"
    "assertion"
    "clientSecret"
    "client_secret"
    "password"
    "privateKey"
    "sessionKey"
    "token"
  ];
  text =
    named
      "text that may stand in the world-readable store (a secret is a file, named in services.mcpo-gateway.credentials.NAME and written here as \"\${credential:NAME}\")"
      (name: value: !builtins.elem name secret || lib.hasInfix "\${" value)
      types.str;

  value =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        text
        types.path
        (types.attrsOf value)
        (types.listOf value)
      ]
    )
    // {
      description = "JSON value";
    };
in
types.attrsOf (
  named
    "key without an option of its own beside `settings`, as there is for ${lib.concatStringsSep ", " taken}"
    (name: _: !builtins.elem name taken)
    value
)
