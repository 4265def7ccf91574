# The type of options that name a secret file on the machine.
{ lib }:

lib.types.addCheck lib.types.externalPath (
  # systemd ends a credential's path at the first one.
  file: !lib.hasInfix ":" (toString file)
)
// {
  description = "absolute path, without `:` and outside the Nix store, of a file on the machine that holds the secret";
}
