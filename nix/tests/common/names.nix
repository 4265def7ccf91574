# Every node is known as NAME.incus, as on the real network, and by the names in `aliases`.
let
  aliases = {
    korax = [ "korax.helu.ca" ];
    internet = [
      "api.githubcopilot.com"
      "huggingface.co"
    ];
  };
  namesOf = name: [ "${name}.incus" ] ++ aliases.${name} or [ ];
in
{
  inherit namesOf;

  module =
    { lib, nodes, ... }:
    {
      networking.extraHosts = lib.concatStrings (
        lib.mapAttrsToList (name: node: ''
          ${node.networking.primaryIPAddress} ${toString (namesOf name)}
        '') nodes
      );
    };
}
