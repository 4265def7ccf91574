//! The log lines of the start: the address, and then the outcome of every server.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::status_line::StatusLine;
use super::upstream_set::settled;
use crate::config::{Config, TransportConfig};
use crate::http::Listener;
use crate::upstream::Upstream;

/// A first configuration, in the form that other clients have, too.
const FIRST: &str = r#"{ "mcpServers": { "time": { "command": "uvx", "args": ["mcp-server-time"] } } }"#;

/// Logs where the gateway listens, with a warning when it needs no key. `activated`: a service manager opened the port.
pub fn address(config: &Config, listener: &Listener, activated: bool) {
    let version = env!("CARGO_PKG_VERSION");
    let places = listener.places();
    let page = places.iter().find(|place| place.starts_with("http"));
    let page = page.map(|place| format!("; its page is {place}/")).unwrap_or_default();
    let origin = if activated { ", as the service manager passed it" } else { "" };
    tracing::info!("mcpo {version} listens on {}{origin}{page}", places.join(" and "));
    let enabled = config.servers.iter().filter(|server| !server.disabled);
    let starting: Vec<&str> = enabled
        .filter(|server| !matches!(server.transport, TransportConfig::Gateway))
        .map(|server| server.name.as_str())
        .collect();
    match starting.as_slice() {
        [] if config.servers.iter().any(|server| matches!(server.transport, TransportConfig::Gateway)) => {
            tracing::info!("no server of your own yet. To add the first one, write {FIRST} into config.json");
            tracing::info!("then start: mcpo --config config.json");
        }
        [] => {}
        [only] => tracing::info!("starting {only}"),
        several => tracing::info!("starting {} servers: {}", several.len(), several.join(", ")),
    }
    if !config.auth.is_open() {
        return;
    }
    for address in listener.tcp_addresses().iter().filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(
            "ANYBODY who reaches {address} can call every tool: no API key is configured. Set --api-key (or \
             `apiKeys` in the file), or listen on 127.0.0.1"
        );
    }
}

/// Logs a summary once the first try of every server has ended, well or not.
pub async fn servers(upstreams: Vec<Arc<Upstream>>, stop: CancellationToken) {
    let began = Instant::now();
    if upstreams.is_empty() || stop.run_until_cancelled(settled(&upstreams)).await.is_none() {
        return;
    }
    let line =
        StatusLine::of(&upstreams, Some(format!("{:.1} s after the start", began.elapsed().as_secs_f32())));
    match line.troubles.is_empty() {
        true => tracing::info!("{line}"),
        false => tracing::warn!("{line}"),
    }
}
