# How miranda gathers logs: the configuration of Alloy, and the syslog ports that its containers send to.
let
  inherit
    (import ./evaluate.nix [
      ../../nix/hosts/miranda.nix
      { system.stateVersion = "26.05"; }
    ])
    config
    ;
  portOf = option: builtins.match "--log-opt=syslog-address=.*:([0-9]+)" option;
in
{
  alloy = config.environment.etc."alloy/config.alloy".text;
  syslog = builtins.concatMap (
    container:
    builtins.concatMap (
      option: if portOf option == null then [ ] else portOf option
    ) container.extraOptions
  ) (builtins.attrValues config.virtualisation.oci-containers.containers);
}
