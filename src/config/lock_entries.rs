//! Gives each server its part of the lock of tools.

use std::sync::Arc;

use super::keys::LockSettings;
use super::location::Location;
use super::lock::{LockConfig, ToolsLock};
use super::problem::Problems;
use super::server::ServerConfig;
use super::transport::TransportConfig;

/// Reads the file of `settings`, and gives each server its part.
pub(super) fn give(
    servers: &mut [ServerConfig],
    settings: &LockSettings,
    location: &Location,
    problems: &mut Problems,
) {
    let Some(file) = &settings.file else { return };
    let mut lock = match ToolsLock::read(file) {
        Ok(lock) => lock,
        Err(error) => {
            problems.error(
                location,
                format!("{}: {error}", file.display()),
                "write the file with `mcpo lock --config FILE` once the tools are what they are to be",
            );
            return;
        }
    };
    for server in servers.iter_mut() {
        if !matches!(server.transport, TransportConfig::Gateway) {
            let lock = Arc::new(lock.servers.remove(server.name.as_str()).unwrap_or_default());
            server.lock = Some(LockConfig { drift: settings.drift.unwrap_or_default(), lock });
        }
    }
}
