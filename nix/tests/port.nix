# systemd holds the port: callers wait while the gateway is not there, and ports below 1024 can be had.
import ./layouts/isolation.nix
