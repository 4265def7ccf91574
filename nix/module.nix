# `services.mcpo`: the gateway, and a socket-activated unit for every server that speaks over standard input and
# output. Each file below has one concern; start reading at ./module/options.nix.
{
  imports = [
    ./module/options.nix
    ./module/service-options.nix
    ./module/assertions.nix
    ./module/service-assertions.nix
    ./module/configuration.nix
    ./module/gateway.nix
    ./module/tls.nix
    ./module/servers.nix
    ./module/nested-container.nix
  ];
}
