# A socket and a service for every server that this machine runs. A connection of the gateway starts an instance
# of the service, which ends with the connection; the instance has a user, credentials and limits of its own.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    concatStringsSep
    mapAttrs'
    mapAttrsToList
    nameValuePair
    ;
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };
  hardening = import ./hardening.nix { inherit lib; };

  localServers = lib.filterAttrs (_: names.isLocal) cfg.servers;

  # What is run, and the programs that it starts by their names: npm runs what it fetched through `sh`.
  program =
    server:
    if server.npx != null then
      {
        line = [
          (lib.getExe' pkgs.nodejs "npx")
          "--yes"
          server.npx
        ];
        path = [
          pkgs.nodejs
          pkgs.bash
        ];
        # It asks the registry for the package and nothing else, and once: the gateway tries again by itself. A version
        # that is in the cache needs no registry.
        environment = {
          npm_config_audit = "false";
          npm_config_fetch_retries = "0";
          npm_config_fund = "false";
          npm_config_prefer_offline = "true";
          npm_config_update_notifier = "false";
        };
      }
    else if server.uvx != null then
      {
        line = [
          (lib.getExe' pkgs.uv "uvx")
          server.uvx
        ];
        path = [
          pkgs.uv
          pkgs.python3
        ];
        # An interpreter that uv fetched is for other systems than NixOS, and would not run.
        environment.UV_PYTHON_DOWNLOADS = "never";
      }
    else
      {
        line = [ (if server.package != null then lib.getExe server.package else server.command) ];
        path = [ ];
        environment = { };
      };

  command =
    name: server:
    concatStringsSep " " (
      [
        "${lib.getExe' cfg.package "mcpo"} run-server --name ${names.escapeArgument name} --require-isolation"
      ]
      ++ lib.optional (server.isolation != "shared") "--isolated"
      ++ lib.optional (server.network == false) "--no-network"
      ++ lib.optional (server.network == "internet") "--internet-only"
      ++ map (variable: "--secret ${names.escapeArgument "${variable}=${variable}"}") (
        builtins.attrNames server.secrets
      )
      # %d is where systemd puts the credentials of the unit.
      ++ map (variable: ''--secret-file "${variable}=%d/${variable}"'') (
        builtins.attrNames server.secretFiles
      )
      ++ [ "--" ]
      ++ map names.escapeArgument ((program server).line ++ server.args)
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
      MaxConnections =
        if server.maxConnections != null then server.maxConnections else names.connections cfg.settings;
      # A server that dies at once is started at each try of the gateway, which slows down by itself. The
      # limit would close the socket for good.
      TriggerLimitIntervalSec = 0;
    };
  };

  service =
    name: server:
    let
      secrets = server.secrets // server.secretFiles;
    in
    {
      description = "MCP server ${name}";
      # An instance in use goes on with the program that it was started with.
      restartIfChanged = false;
      stopIfChanged = false;
      path = (program server).path ++ server.path;
      environment = {
        # The home of a dynamic user does not exist.
        HOME = if server.state then "/var/lib/${names.unit name}" else "/tmp";
      }
      // lib.optionalAttrs server.cache {
        XDG_CACHE_HOME = "/var/cache/${names.unit name}";
        npm_config_cache = "/var/cache/${names.unit name}/npm";
      }
      // (program server).environment
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
        LoadCredential = mapAttrsToList (variable: file: "${variable}:${toString file}") secrets;
        # So that a missing file is told to the gateway as the reason, which a unit that fails before its program
        # runs could not do.
        SetCredential = map (variable: "${variable}:\\n") (builtins.attrNames secrets);
        Slice = names.slice;
        MemoryMax = server.memoryMax;
        MemorySwapMax = 0;
        TasksMax = server.tasksMax;
        # The kernel ends the process that grew, and `run-server` tells the gateway why its server is gone.
        OOMPolicy = "continue";
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
    # The servers together, beside the gateway and the other services of this machine.
    systemd.slices.${lib.removeSuffix ".slice" names.slice} = {
      description = "MCP servers";
      sliceConfig = {
        MemoryMax = cfg.allServers.memoryMax;
        TasksMax = cfg.allServers.tasksMax;
        CPUWeight = cfg.allServers.cpuWeight;
      };
    };
    systemd.tmpfiles.settings.mcpo.${names.socketDirectory}.d = {
      mode = "0750";
      user = "root";
      inherit (cfg) group;
    };
    systemd.sockets = mapAttrs' (
      name: server: nameValuePair (names.unit name) (socket name server)
    ) localServers;
    systemd.services = mapAttrs' (
      name: server: nameValuePair "${names.unit name}@" (service name server)
    ) localServers;
  };
}
