# What no type can say, since it is of several options: names that would be one. Each message names the options, the reason
# and the fix.
{
  config,
  lib,
  ...
}:

let
  inherit (lib)
    attrNames
    attrValues
    concatStringsSep
    filterAttrs
    groupBy
    mapAttrsToList
    ;
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };
  credentials = import ./credentials.nix { inherit cfg lib; };

  # `group` are the options that would all be `what`.
  single = what: group: {
    assertion = builtins.length group == 1;
    message = "${concatStringsSep " and " group} would both be ${what}, because characters other than letters, digits, `_`, `.` and `-` become `-`, which also joins a server and its header. Rename one of them.";
  };

  # Types refuse when a value is asked for, and of what is out of place nothing is made.
  asked = builtins.all (value: builtins.seq value true) (
    builtins.concatMap attrValues (
      [
        cfg.audit
        cfg.lock
        cfg.settings
        cfg.tls
      ]
      ++ builtins.concatMap (server: [
        server
        server.settings
      ]) (attrValues cfg.servers)
    )
  );
in
{
  config.assertions = lib.optionals (cfg.enable && asked) (
    mapAttrsToList (unit: group: single "`${unit}`" (map names.option group)) (
      groupBy names.unit (attrNames (filterAttrs (_: names.isLocal) cfg.servers))
    )
    ++ mapAttrsToList (id: group: single "the credential `${id}`" (map (secret: secret.option) group)) (
      groupBy (secret: secret.id) (credentials.own ++ credentials.ofServers)
    )
  );
}
