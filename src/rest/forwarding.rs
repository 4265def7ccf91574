//! Which headers of a request are taken along for the servers that it may reach.

use arc_swap::Guard;
use http::HeaderMap;

use super::Rest;
use crate::catalog::ServerSource;
use crate::config::ForwardingConfig;
use crate::gateway::Target;
use crate::upstream::CallerHeaders;

/// The headers that go along with a call of `target`: what its server lets through, or for the gateway's own
/// tools, which may call any server for the caller, what some server does. Never the gateway's own keys.
pub fn headers(rest: &Rest, headers: &HeaderMap, target: &Target) -> CallerHeaders {
    match &target.server.source {
        ServerSource::Upstream(upstream) => match &upstream.config().forwarding {
            None => CallerHeaders::default(),
            Some(rules) => collect(rest, headers, &[rules]),
        },
        ServerSource::Gateway => {
            let catalog = rest.gateway.keeper().catalog();
            let upstreams = catalog.servers.iter().filter_map(|server| server.upstream());
            let entries: Vec<_> = upstreams.map(|upstream| Guard::into_inner(upstream.config())).collect();
            let rules: Vec<_> = entries.iter().filter_map(|entry| entry.forwarding.as_ref()).collect();
            collect(rest, headers, &rules)
        }
    }
}

fn collect(rest: &Rest, headers: &HeaderMap, rules: &[&ForwardingConfig]) -> CallerHeaders {
    if rules.is_empty() {
        return CallerHeaders::default();
    }
    CallerHeaders::collect(headers, |name, value| {
        rules.iter().any(|rules| rules.allows(name)) && !rest.keys.is_own(name, value)
    })
}
