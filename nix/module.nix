# `services.mcpo`: the gateway, and a socket-activated unit for every server that speaks over standard input and
# output. Each file below has one concern; start reading at ./module/options.nix.
{
  imports = [
    ./module/options.nix
    ./module/assertions.nix
    ./module/configuration.nix
    ./module/gateway.nix
    ./module/servers.nix
    ./module/nested-container.nix
  ];
}
