//! What the gateway's own units are told: the sockets of its servers, its credentials, its address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use super::lines::credential;
use crate::config::{Config, HttpConfig, ListenConfig, SecretText, TransportConfig};

/// How much longer than the calls in flight the gateway's end may take, in seconds.
const AFTER_DRAIN: u64 = 10;

/// The units that the gateway starts with.
pub(super) fn dependencies(sockets: &[&str]) -> String {
    let sockets = sockets.join(" ");
    match sockets.is_empty() {
        true => "[Unit]\n".to_owned(),
        false => format!("[Unit]\nWants={sockets}\nAfter={sockets}\n"),
    }
}

/// What the service is given.
pub(super) fn service(config: &Config, credentials: &Path) -> String {
    let mut text = format!("[Service]\nTimeoutStopSec={}\n", config.limits.drain.as_secs() + AFTER_DRAIN);
    let own = config.auth.keys.iter().map(|key| &key.key);
    let own = own.chain(config.audit.iter().filter_map(|audit| audit.secret.as_ref()));
    // By name: whether the gateway cannot do without it. One server's missing secret must not keep the others from
    // starting; an empty text stands in, and that server says what is missing.
    let mut names: BTreeMap<&str, bool> = BTreeMap::new();
    let of_servers =
        config.servers.iter().filter(|server| !server.disabled).flat_map(|server| secrets(&server.transport));
    names.extend(of_servers.flat_map(SecretText::credential_names).map(|name| (name, false)));
    names.extend(own.flat_map(SecretText::credential_names).map(|name| (name, true)));
    for (name, needed) in names {
        text.push_str(&credential(name, name, credentials));
        if !needed {
            let _ = writeln!(text, "SetCredential={name}:\\n");
        }
    }
    if let Some(directory) = &config.state_dir {
        let _ = writeln!(text, "ReadWritePaths={0}\nWorkingDirectory={0}", directory.display());
    }
    if config.audit.as_ref().is_some_and(|audit| audit.file.is_none()) {
        // journald drops entries of a unit that writes more than 10,000 in 30 s.
        text.push_str("LogRateLimitIntervalSec=0\n");
    }
    text
}

/// The secrets of a remote server.
fn secrets(transport: &TransportConfig) -> Vec<&SecretText> {
    let (TransportConfig::StreamableHttp(http) | TransportConfig::Sse(http) | TransportConfig::Http(http)) =
        transport
    else {
        return Vec::new();
    };
    let HttpConfig { url, headers, oauth } = http;
    let proofs = oauth.iter().flat_map(|oauth| [&oauth.client_secret, &oauth.private_key, &oauth.assertion]);
    std::iter::once(url).chain(headers.iter().map(|(_, value)| value)).chain(proofs.flatten()).collect()
}

/// Where the gateway's socket listens.
///
/// # Errors
///
/// When `host` is no address: systemd resolves no names.
pub(super) fn listen(listen: &ListenConfig) -> Result<String, String> {
    if let Some(path) = listen.unix_path() {
        return Ok(format!("[Socket]\nListenStream=\nListenStream={}\nSocketMode=0660\n", path.display()));
    }
    let host = listen.host.trim_start_matches('[').trim_end_matches(']');
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let address: IpAddr = host.parse().map_err(|_| {
        format!(
            "host: `{}` is no address, and systemd resolves no names; write the address, or 0.0.0.0",
            listen.host
        )
    })?;
    Ok(format!(
        "[Socket]\nListenStream=\nListenStream={}\n",
        std::net::SocketAddr::from((address, listen.port))
    ))
}
