//! What is said at the start: the address, and then what became of the servers.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::config::{Config, TransportConfig};
use crate::http::Listener;
use crate::upstream::{Phase, Upstream, UpstreamState};

/// Says where the gateway listens, loudly when anybody may call.
pub fn address(config: &Config, listener: &Listener) {
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    let Ok(address) = listener.local_address() else { return };
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("mcpo {version} listens on {scheme}://{address}; its page is {scheme}://{address}/docs");
    let enabled = config.servers.iter().filter(|server| !server.disabled);
    let starting: Vec<&str> = enabled
        .filter(|server| !matches!(server.transport, TransportConfig::Gateway))
        .map(|server| server.name.as_str())
        .collect();
    match starting.as_slice() {
        [] => {}
        [only] => tracing::info!("starting {only}"),
        several => tracing::info!("starting {} servers: {}", several.len(), several.join(", ")),
    }
    if config.auth.keys.is_empty() && !address.ip().is_loopback() {
        tracing::warn!(
            "ANYBODY who reaches {address} can call every tool: no API key is configured. Set --api-key (or \
             `apiKeys` in the file), or listen on 127.0.0.1"
        );
    }
}

/// Sums up, once the first try of every server has ended, well or not.
pub async fn servers(upstreams: Vec<Arc<Upstream>>, stop: CancellationToken) {
    let began = Instant::now();
    let outcomes = async {
        for upstream in &upstreams {
            let mut state = upstream.watch();
            // The sender lives in the upstream, which is held here.
            let _never_closed = state.wait_for(|state| state.is_settled()).await;
        }
    };
    if upstreams.is_empty() || stop.run_until_cancelled(outcomes).await.is_none() {
        return;
    }
    let states: Vec<_> = upstreams.iter().map(|upstream| (upstream.name(), upstream.state())).collect();
    let is_disabled = |state: &UpstreamState| matches!(state.phase, Phase::Disabled);
    let disabled = states.iter().filter(|(_, state)| is_disabled(state)).count();
    let ready = states.iter().filter(|(_, state)| state.is_ready()).count();
    let others: Vec<String> = states
        .iter()
        .filter(|(_, state)| !state.is_ready() && !is_disabled(state))
        .map(|(name, state)| match state.reason() {
            // The whole reason stands in the line of that server; it may hold its own words.
            Some(reason) => format!("{name} is {}: {}", state.name(), reason.public()),
            None => format!("{name} is {}", state.name()),
        })
        .collect();
    let seconds = began.elapsed().as_secs_f32();
    let off = if disabled > 0 { format!(", {disabled} disabled") } else { String::new() };
    let summary =
        format!("{ready} of {} servers ready, {seconds:.1} s after the start{off}", states.len() - disabled);
    match others.is_empty() {
        true => tracing::info!("{summary}"),
        false => tracing::warn!("{summary}; {}", others.join("; ")),
    }
}
