# Replicas share limits and sessions, reach the one server that has state, and lose nothing when one of them is lost.
import ./layouts/replicas.nix
