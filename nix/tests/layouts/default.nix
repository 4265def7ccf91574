# The machines that tests run on. Each test names one of these layouts; its `prelude` is what their scripts have in
# common: the secrets are written and the gateway is up.
{
  example = import ./example.nix;
  front = import ./front.nix;
  isolation = import ./isolation.nix;
  local = import ./local.nix;
  ouranos = import ./ouranos.nix;
  replicas = import ./replicas.nix;
  runners = import ./runners.nix;
}
