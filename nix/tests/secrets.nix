# Secrets are where they belong and nowhere else.
import ./layouts/isolation.nix
