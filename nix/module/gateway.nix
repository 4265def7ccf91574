# mcpo.service: the gateway. It executes nothing, and holds the secrets of callers and of remote servers.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };
  hardening = import ./hardening.nix { inherit lib; };

  localServers = lib.filterAttrs (_: names.isLocal) cfg.servers;
  credentials = import ./credentials.nix { inherit cfg lib; };
  load = credential: "${credential.id}:${toString credential.file}";

  sockets = map (name: "${names.unit name}.socket") (builtins.attrNames localServers);

  # A switch leaves the sockets that it knows as they are, so that another address is another unit.
  ownSocket = "mcpo-${names.sanitize cfg.host}-${toString cfg.port}";
  address =
    if cfg.host == "localhost" then
      "127.0.0.1"
    else if lib.hasInfix ":" cfg.host then
      "[${cfg.host}]"
    else
      cfg.host;
  # What systemd has had since 253: `systemctl reload` waits for the end of the reload.
  notifiesReload = lib.versionAtLeast config.systemd.package.version "253";
  underVarLib = lib.hasPrefix "/var/lib/" (toString cfg.stateDir);
  # Above the gateway's own deadlines: to leave, none unless it is set, and for calls in flight, 20 seconds.
  stopAfter =
    let
      seconds = value: default: builtins.ceil (if value == null then default else value);
    in
    seconds cfg.settings.limits.leave 0 + seconds cfg.settings.limits.drain 20 + 10;
in
{
  config = lib.mkIf cfg.enable {
    users.users = lib.mkIf (cfg.user == "mcpo") {
      mcpo = {
        isSystemUser = true;
        inherit (cfg) group;
        description = "MCP gateway";
      };
    };
    users.groups = lib.mkIf (cfg.group == "mcpo") { mcpo = { }; };

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];

    systemd.tmpfiles.settings.mcpo = lib.mkIf (!underVarLib) {
      ${toString cfg.stateDir}.d = {
        mode = "0750";
        inherit (cfg) user group;
      };
    };

    environment.systemPackages = [ cfg.package ];

    # systemd holds the port, so that callers wait while the gateway restarts, and ports below 1024 need no privilege.
    systemd.sockets.${ownSocket} = {
      description = "Port of the MCP gateway";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ "${address}:${toString cfg.port}" ];
      socketConfig = {
        Service = "mcpo.service";
        # It is made before the machine has its addresses.
        FreeBind = true;
      };
    };

    systemd.services.mcpo = {
      description = "MCP gateway";
      wantedBy = [ "multi-user.target" ];
      # Wanted and not required: with the port in use, each further start of the gateway tries again.
      wants = [ "${ownSocket}.socket" ] ++ sockets;
      after = [
        "network.target"
        "${ownSocket}.socket"
      ]
      ++ sockets;
      # Its sockets stay, and calls in flight are answered.
      stopIfChanged = false;

      # A changed configuration is reloaded: only servers whose entry changed are touched.
      reloadTriggers = [ cfg.configFile ];
      # A reload leaves these as they were when the gateway started (its plan says so): they are worth a restart.
      restartTriggers = [
        (builtins.toJSON {
          inherit (cfg)
            host
            port
            replica
            shared
            stateDir
            ;
          tls = cfg.configData ? tls;
          audit = cfg.configData.audit or null;
          log = cfg.settings.log or null;
        })
      ];

      # It never gives up: a key that comes late, or a port that gets free, heals it, and the reason is in
      # the journal at every try.
      startLimitIntervalSec = 0;

      serviceConfig = {
        Type = if notifiesReload then "notify-reload" else "notify";
        NotifyAccess = "main";
        ExecStart = "${lib.getExe' cfg.package "mcpo"} --config /etc/mcpo/config.json";
        Restart = "always";
        RestartSec = 3;
        WatchdogSec = 30;
        KillMode = "mixed";
        TimeoutStopSec = stopAfter;

        User = cfg.user;
        Group = cfg.group;
        SyslogIdentifier = "mcpo";
        LimitNOFILE = 16384;

        LoadCredential = map load (credentials.own ++ credentials.ofServers);
        # One server's missing secret must not keep the others from starting: an empty text stands in, and
        # that server says what is missing. The gateway's own keys have no stand-in.
        SetCredential = map (credential: "${credential.id}:\\n") credentials.ofServers;
      }
      // (
        if underVarLib then
          {
            StateDirectory = lib.removePrefix "/var/lib/" (toString cfg.stateDir);
            StateDirectoryMode = "0750";
            WorkingDirectory = toString cfg.stateDir;
          }
        else
          {
            ReadWritePaths = toString cfg.stateDir;
            WorkingDirectory = toString cfg.stateDir;
          }
      )
      # journald drops entries of a unit that writes more than 10,000 in 30 s.
      // lib.optionalAttrs (cfg.audit.to == "journal") { LogRateLimitIntervalSec = 0; }
      // lib.optionalAttrs (cfg.audit.to == "file") {
        LogsDirectory = "mcpo";
        LogsDirectoryMode = "0750";
      }
      // lib.optionalAttrs (!notifiesReload) {
        ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
      }
      // hardening.gateway { inherit (cfg) port; };
    };
  };
}
