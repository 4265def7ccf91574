# What the units are denied. Three sets: what nothing here needs, then what differs.
{ }:

let
  nothingNeeds = {
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    NoNewPrivileges = true;
    LockPersonality = true;
    KeyringMode = "private";
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
    # Node probes for calls that the filter lacks: it must be told no, and dies when it is killed instead.
    SystemCallErrorNumber = "EPERM";
    UMask = "0077";
  };
in
{
  gateway = nothingNeeds // {
    DevicePolicy = "closed";
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
  };

  # Node's compiler needs memory that it writes and then executes, so MemoryDenyWriteExecute stays off.
  server =
    { network }:
    nothingNeeds
    // {
      DevicePolicy = "closed";
      SystemCallFilter = [
        "@system-service"
        "~@privileged"
      ];
    }
    // (
      if network then
        {
          # Programs list this machine's addresses by netlink before they resolve a name.
          RestrictAddressFamilies = [
            "AF_UNIX"
            "AF_INET"
            "AF_INET6"
            "AF_NETLINK"
          ];
        }
      else
        {
          # Three walls, since a drop-in of a container image may take one down.
          PrivateNetwork = true;
          IPAddressDeny = "any";
          RestrictAddressFamilies = "AF_UNIX";
        }
    );
}
