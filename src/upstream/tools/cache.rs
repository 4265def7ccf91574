//! Tool lists kept across restarts of the gateway, so that documents are whole while a server is down.
//!
//! One file a server under `tools/` in the state directory, written anew in one rename. A list counts only
//! while the server's entry in the configuration is the same.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{SecretText, ServerConfig, ServerName, TransportConfig};
use crate::upstream::info::{Definition, ServerInfo, ToolList};
use crate::upstream::state_file::{FileLock, StateFile, digest};
use crate::{compute, file};

/// No list that is served is longer; what lies there may be anything. In bytes.
const LONGEST: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct CachedTools {
    /// Digest of the entry that the list belongs to.
    entry: String,
    info: ServerInfo,
    tools: Vec<Definition>,
}

/// Where one server's list is kept.
#[derive(Debug, Clone)]
pub struct ToolCache {
    server: ServerName,
    file: StateFile,
    entry: String,
}

impl ToolCache {
    pub fn new(state_dir: &Path, server: &ServerConfig, lock: FileLock) -> Self {
        let file = StateFile::new(&state_dir.join("tools"), &server.name, lock);
        Self { server: server.name.clone(), file, entry: digest(entry_text(server)) }
    }

    /// The list of an earlier run; `None` without one for this very entry.
    pub async fn load(&self) -> Option<ToolList> {
        let bytes = self.file.read("tool list", LONGEST).await?;
        let size = bytes.len();
        let parsed = compute::run_sized(self.server.as_str(), size, move || {
            serde_json::from_slice::<CachedTools>(&bytes)
        });
        match parsed.await {
            Ok(kept) if kept.entry == self.entry => {
                Some(ToolList { info: kept.info, tools: kept.tools, revision: 0 })
            }
            Ok(_other_entry) => None,
            Err(error) => {
                tracing::warn!(mcp_server = %self.server, file = %self.file.path.display(), line = error.line(), "{}: its kept tool list is damaged and ignored", self.server);
                None
            }
        }
    }

    /// Keeps `list`. A failure costs only completeness after a restart, so it is a warning.
    pub async fn store(&self, list: Arc<ToolList>) {
        let _locked = self.file.lock.lock().await;
        let this = self.clone();
        let stored = file::apart(move || {
            let kept = CachedTools { entry: this.entry, info: list.info.clone(), tools: list.tools.clone() };
            let bytes = serde_json::to_vec(&kept).map_err(io::Error::other)?;
            match bytes.len() as u64 <= LONGEST {
                true => file::replace(&this.file.path, &bytes),
                false => Err(io::Error::other(format!("it is longer than {LONGEST} bytes"))),
            }
        });
        if let Err(error) = stored.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(mcp_server = %self.server, file = %self.file.path.display(), %error, "{}: its tool list cannot be kept; check the state directory", self.server);
        }
    }
}

/// The parts of the entry that the list depends on: references to secrets, never their values, and literal texts only
/// inside the digest.
fn entry_text(server: &ServerConfig) -> String {
    let texts = |texts: &[(String, SecretText)]| -> Vec<String> {
        texts.iter().map(|(name, text)| format!("{name}={text:?}{:?}", text.as_literal())).collect()
    };
    let transport = match &server.transport {
        TransportConfig::Stdio(config) => {
            format!("{:?} {:?} {:?} {:?}", config.command, config.args, texts(&config.env), config.cwd)
        }
        TransportConfig::StreamableHttp(config)
        | TransportConfig::Sse(config)
        | TransportConfig::Http(config) => {
            format!("{:?} {:?} {:?}", config.url, config.url.as_literal(), texts(&config.headers))
        }
        TransportConfig::Socket(config) => format!("{:?}", config.path),
        TransportConfig::Gateway => String::new(),
    };
    format!("{transport} {:?}", server.protocol)
}
