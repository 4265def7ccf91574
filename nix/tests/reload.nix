# A changed configuration is reloaded: unchanged servers keep their processes, and no call is lost.
import ./layouts/isolation.nix
