# nginx in front passes calls and streams as they come.
import ./layouts/front.nix
