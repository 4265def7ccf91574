# The gateway with the runtimes of servers that a configuration starts by `npx`, `uvx` or `python3`. The
# runtimes come last in PATH: whoever has their own keeps it.
{
  lib,
  makeWrapper,
  mcpo-gateway,
  nodejs,
  python3,
  symlinkJoin,
  uv,
}:

symlinkJoin {
  name = "mcpo-${mcpo-gateway.version}";
  inherit (mcpo-gateway) version;
  paths = [ mcpo-gateway ];
  nativeBuildInputs = [ makeWrapper ];
  postBuild = ''
    wrapProgram $out/bin/mcpo --suffix PATH : ${
      lib.makeBinPath [
        nodejs
        python3
        uv
      ]
    }
  '';
  passthru.unwrapped = mcpo-gateway;
  meta = mcpo-gateway.meta // {
    description = "${mcpo-gateway.meta.description}; with Node, Python and uv for its servers";
  };
}
