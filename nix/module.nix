# `services.mcpo-gateway`: the gateway, and a socket-activated unit for every server that speaks over standard input and
# output. Each file below has one concern, with its options; start reading at ./module/options.nix.
{
  imports = [
    ./module/options.nix
    ./module/replicas.nix
    ./module/assertions.nix
    ./module/profiles.nix
    ./module/lock.nix
    ./module/audit.nix
    ./module/configuration.nix
    ./module/gateway.nix
    ./module/tls.nix
    ./module/nginx.nix
    ./module/monitoring.nix
    ./module/servers.nix
    ./module/nested-container.nix
  ];
}
