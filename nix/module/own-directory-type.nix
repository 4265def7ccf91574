# A directory that can be the gateway's own. Its owner and mode are set at each boot, which one that others use would not
# survive; and what the unit does not see, or a boot empties, holds no state.
{ lib }:

let
  inherit (lib) types;
  closed = [
    "boot"
    "dev"
    "etc"
    "home"
    "nix"
    "proc"
    "root"
    "run"
    "sys"
    "tmp"
    "usr"
  ];
  parts =
    directory:
    builtins.filter (part: builtins.isString part && part != "") (
      builtins.split "/+" (toString directory)
    );
in
types.addCheck types.path (
  directory:
  let
    found = parts directory;
  in
  builtins.length found >= 2
  && !builtins.elem (builtins.head found) closed
  && !(builtins.head found == "var" && builtins.length found == 2)
  && !builtins.elem ".." found
)
// {
  description = "directory of the gateway alone, such as /var/lib/mcpo or /srv/mcpo";
}
