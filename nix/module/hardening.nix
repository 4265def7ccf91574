# What the units are denied. Three sets: what nothing here needs, then what differs.
{ lib }:

let
  # This machine, private networks, and where clouds answer with credentials.
  notTheInternet = [
    "localhost"
    "link-local"
    "multicast"
    "0.0.0.0/8"
    "10.0.0.0/8"
    "100.64.0.0/10"
    "168.63.129.16"
    "172.16.0.0/12"
    "192.168.0.0/16"
    "fc00::/7"
  ];

  nothingNeeds = {
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    NoNewPrivileges = true;
    LockPersonality = true;
    KeyringMode = "private";
    # A dump of the memory would hold secrets.
    LimitCORE = 0;
    DevicePolicy = "closed";
    PrivateDevices = true;
    PrivateTmp = true;
    PrivateUsers = true;
    PrivateIPC = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    # No port is opened, but the gateway's own where systemd could not.
    SocketBindDeny = "any";
    # Node probes for calls that the filter lacks: it must be told no, and dies when it is killed instead.
    SystemCallErrorNumber = "EPERM";
    UMask = "0077";
  };
  # What an operator says of a unit comes before it.
  denied = builtins.mapAttrs (_: lib.mkDefault);
in
{
  gateway =
    { port }:
    denied (
      nothingNeeds
      // {
        SocketBindAllow = "tcp:${toString port}";
        MemoryDenyWriteExecute = true;
        ProcSubset = "pid";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
      }
    );

  # Node's compiler needs memory that it writes and then executes, so MemoryDenyWriteExecute stays off.
  server =
    { network }:
    denied (
      nothingNeeds
      // {
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      }
      // (
        if network != false then
          {
            # Programs list this machine's addresses by netlink before they resolve a name.
            RestrictAddressFamilies = [
              "AF_UNIX"
              "AF_INET"
              "AF_INET6"
              "AF_NETLINK"
            ];
          }
          // lib.optionalAttrs (network == "internet") { IPAddressDeny = notTheInternet; }
        else
          {
            # Three walls, since a drop-in of a container image may take one down.
            PrivateNetwork = true;
            IPAddressDeny = "any";
            RestrictAddressFamilies = "AF_UNIX";
          }
      )
    );
}
