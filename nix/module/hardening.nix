# What the units are denied. The sets are in ./hardening.json, which `mcpo units` reads too (src/cli/units), so that a
# unit is denied the same everywhere:
#
# - `everywhere`: what nothing here needs. `SystemCallErrorNumber`, since Node probes for calls that the filter lacks:
#   it must be told no, and dies when it is killed instead.
# - `gateway` and `server`: what differs. Node's compiler needs memory that it writes and then executes, so a server
#   has no `MemoryDenyWriteExecute`.
# - `network.all`: programs list this machine's addresses by netlink before they resolve a name.
# - `network.none`: three walls, since a drop-in of a container image may take one down.
{ }:

let
  sets = builtins.fromJSON (builtins.readFile ./hardening.json);
in
{
  gateway = sets.everywhere // sets.gateway;
  server =
    { network }:
    sets.everywhere // sets.server // (if network then sets.network.all else sets.network.none);
}
