# The type of options that name a secret file on the machine. It takes more than it should: assertions.nix refuses
# paths in the store with a message that tells why, which a type cannot.
{ lib }:

lib.types.either lib.types.path lib.types.str
// {
  description = "absolute path of a file on the machine, outside the store";
}
