# What the units are denied. The sets are in ./hardening.json, which `mcpo units` reads too (src/cli/units), so that a
# unit is denied the same everywhere:
#
# - `everywhere`: what nothing here needs. `SystemCallErrorNumber`, since Node probes for calls that the filter lacks:
#   it must be told no, and dies when it is killed instead.
# - `gateway` and `server`: what differs. Node's compiler needs memory that it writes and then executes, so a server
#   has no `MemoryDenyWriteExecute`. `LimitCORE`, since a dump of the memory would hold secrets.
# - `network.all`: programs list this machine's addresses by netlink before they resolve a name.
# - `network.internet`: neither this machine nor private networks, nor the addresses where clouds hand out credentials.
# - `network.none`: three walls, since a drop-in of a container image may take one down.
#
# What an operator says of a unit comes before all of it.
{ lib }:

let
  sets = builtins.fromJSON (builtins.readFile ./hardening.json);
  denied = builtins.mapAttrs (_: lib.mkDefault);
in
{
  # It opens no port but its own, where systemd could not.
  gateway =
    { port }:
    denied (
      sets.everywhere
      // sets.gateway
      // {
        SocketBindAllow = "tcp:${toString port}";
        SocketBindDeny = "any";
      }
    );
  server =
    { network }:
    let
      set =
        if network == "internet" then
          "internet"
        else if network then
          "all"
        else
          "none";
    in
    denied (sets.everywhere // sets.server // sets.network.${set});
}
