# A socket and a service for every server that this machine runs. A connection of the gateway starts an instance
# of the service, which ends with the connection; the instance has a user, credentials and limits of its own.
{
  config,
  lib,
  ...
}:

let
  inherit (lib)
    concatStringsSep
    mapAttrs'
    mapAttrsToList
    nameValuePair
    ;
  cfg = config.services.mcpo;
  names = import ./names.nix { inherit lib; };
  hardening = import ./hardening.nix { };

  localServers = lib.filterAttrs (_: names.isLocal) cfg.servers;

  program = server: if server.package != null then lib.getExe server.package else server.command;

  command =
    name: server:
    concatStringsSep " " (
      [
        "${lib.getExe' cfg.package "mcpo"} run-server --name ${names.escapeArgument name} --require-isolation"
      ]
      ++ lib.optional (!server.network) "--no-network"
      ++ map (variable: "--secret ${names.escapeArgument "${variable}=${variable}"}") (
        builtins.attrNames server.secrets
      )
      ++ [ "--" ]
      ++ map names.escapeArgument ([ (program server) ] ++ server.args)
    );

  socket = name: server: {
    description = "Socket of the MCP server ${name}";
    wantedBy = [ "sockets.target" ];
    before = [ "mcpo.service" ];
    # It makes the directory; without it the directory would be closed to the gateway too.
    after = [
      "systemd-tmpfiles-setup.service"
      "systemd-tmpfiles-resetup.service"
    ];
    listenStreams = [ (names.socket name) ];
    socketConfig = {
      Accept = true;
      SocketUser = cfg.user;
      SocketGroup = cfg.group;
      SocketMode = "0600";
      DirectoryMode = "0750";
      RemoveOnStop = true;
      MaxConnections = server.maxConnections;
      # A server that dies at once is started at each try of the gateway, which slows down by itself. The
      # limit would close the socket for good.
      TriggerLimitIntervalSec = 0;
    };
  };

  service = name: server: {
    description = "MCP server ${name}";
    # An instance in use goes on with the program that it was started with.
    restartIfChanged = false;
    stopIfChanged = false;
    environment = {
      # The home of a dynamic user does not exist.
      HOME = if server.state then "/var/lib/${names.unit name}" else "/tmp";
    }
    // lib.optionalAttrs server.cache {
      XDG_CACHE_HOME = "/var/cache/${names.unit name}";
      npm_config_cache = "/var/cache/${names.unit name}/npm";
    }
    // lib.mapAttrs (_: names.escapeVariable) server.env;
    # Failed instances would pile up: each has a name of its own.
    unitConfig.CollectMode = "inactive-or-failed";
    serviceConfig = {
      ExecStart = command name server;
      StandardInput = "socket";
      StandardOutput = "socket";
      StandardError = "journal";
      SyslogIdentifier = names.unit name;
      DynamicUser = true;
      LoadCredential = mapAttrsToList (variable: file: "${variable}:${toString file}") server.secrets;
      # So that a missing file is told to the gateway as the reason, which a unit that fails before its program
      # runs could not do.
      SetCredential = map (variable: "${variable}:\\n") (builtins.attrNames server.secrets);
      MemoryMax = server.memoryMax;
      MemorySwapMax = 0;
      TasksMax = server.tasksMax;
      OOMPolicy = "kill";
      OOMScoreAdjust = 500;
      KillMode = "mixed";
      TimeoutStopSec = 15;
      WorkingDirectory = if server.state then "/var/lib/${names.unit name}" else "/tmp";
    }
    // lib.optionalAttrs server.state {
      StateDirectory = names.unit name;
      StateDirectoryMode = "0700";
    }
    // lib.optionalAttrs server.cache {
      CacheDirectory = names.unit name;
      CacheDirectoryMode = "0700";
    }
    // hardening.server { inherit (server) network; };
  };
in
{
  config = lib.mkIf (cfg.enable && localServers != { }) {
    systemd.tmpfiles.rules = [ "d ${names.socketDirectory} 0750 root ${cfg.group} -" ];
    systemd.sockets = mapAttrs' (
      name: server: nameValuePair (names.unit name) (socket name server)
    ) localServers;
    systemd.services = mapAttrs' (
      name: server: nameValuePair "${names.unit name}@" (service name server)
    ) localServers;
  };
}
