//! Drop-ins of the gateway's own units: the sockets of its servers, its credentials, its address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use super::lines::credential;
use crate::config::{Config, HttpConfig, ListenConfig, SecretText};

/// Seconds that the gateway's end may take after its last call.
const AFTER_DRAIN: u64 = 10;

/// The units that the gateway starts with: `sockets`, with blanks between.
pub(super) fn dependencies(sockets: &str) -> String {
    match sockets.is_empty() {
        true => "[Unit]\n".to_owned(),
        false => format!("[Unit]\nWants={sockets}\nAfter={sockets}\n"),
    }
}

/// The limits and credentials of the gateway's service.
pub(super) fn service(config: &Config, credentials: &Path) -> String {
    let until_last_call = (config.limits.leave + config.limits.drain).as_secs();
    let mut text = format!("[Service]\nTimeoutStopSec={}\n", until_last_call + AFTER_DRAIN);
    let own = config.auth.keys.iter().map(|key| &key.key);
    let own =
        own.chain(&config.session_keys).chain(config.audit.iter().filter_map(|audit| audit.secret.as_ref()));
    let own = own.chain(config.shared.iter().map(|shared| &shared.address));
    // By name: whether the gateway needs it to start. One server's missing secret must not keep the others from
    // starting; an empty text takes its place, and that server's error names the missing file.
    let mut names: BTreeMap<&str, bool> = BTreeMap::new();
    let remote = config.servers.iter().filter(|server| !server.disabled);
    let of_servers = remote.filter_map(|server| server.transport.http()).flat_map(HttpConfig::secrets);
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
