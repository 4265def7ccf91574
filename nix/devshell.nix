# Everything that tests/run wants, and the tools for the files in nix/.
{
  cargo,
  cargo-nextest,
  chromedriver,
  chromium,
  clippy,
  deadnix,
  mkShell,
  nixfmt,
  nodejs,
  python3,
  rust-analyzer,
  rustc,
  rustfmt,
  uv,
}:

mkShell {
  packages = [
    cargo
    cargo-nextest
    chromedriver
    chromium
    clippy
    deadnix
    nixfmt
    nodejs
    python3
    rust-analyzer
    rustc
    rustfmt
    uv
  ];
}
