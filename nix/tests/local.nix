# `nix run`: without an argument a gateway on the loopback with two servers, for whoever starts it.
import ./layouts/local.nix
