# Every node is also known as NAME.incus, as on the real network.
{ lib, nodes, ... }:

{
  networking.extraHosts = lib.concatStrings (
    lib.mapAttrsToList (name: node: ''
      ${node.networking.primaryIPAddress} ${name}.incus
    '') nodes
  );
}
