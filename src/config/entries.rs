//! The entries of `mcpServers` (Claude Desktop, mcpo) and `servers` (VS Code), in the order of the file.

mod context;
mod forwarding;
mod isolation;
mod known;
mod oauth;
mod overrides;
mod placeholders;
mod remote;
mod stdio;
mod transport;
mod unit;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use globset::Glob;

use super::fields::Fields;
use super::json_tree::JsonValue;
use super::name::ServerName;
use super::nearest::nearest;
use super::problem::Problems;
use super::rate;
use super::secret::SecretText;
use super::server::{DedicatedConfig, ServerConfig};
use super::sources::SingleServer;
use super::transport::{StdioConfig, TransportConfig};
use crate::protocol::revision;
pub(super) use context::EntryContext;

/// Reads the entries of all `documents`; an entry of a later file replaces the one of that name.
pub(super) fn collect(
    documents: &[Fields<'_>],
    context: &EntryContext,
    problems: &mut Problems,
) -> Vec<ServerConfig> {
    let mut servers: Vec<ServerConfig> = Vec::new();
    let mut indices: HashMap<ServerName, usize> = HashMap::new();
    let mut found = false;
    let check = problems.is_check();
    for document in documents {
        let mut names: HashSet<&str> = HashSet::new();
        for key in ["mcpServers", "servers"] {
            let Some((node, location)) = document.get(key) else { continue };
            found = true;
            let Some(entries) = Fields::new(node, location, problems) else { continue };
            // A gateway that starts has no use for an entry that another one replaces.
            for (name, node, location) in entries.replaced().filter(|_| check) {
                if let Some(fields) = Fields::new(node, location, problems) {
                    entry(name, &fields, context, problems);
                }
            }
            for (name, node, location) in entries.iter() {
                if !names.insert(name) {
                    problems.slip(
                        &location,
                        format!("`{name}` stands under `mcpServers` too"),
                        "keep one of the two; without that this one counts",
                    );
                }
                let Some(fields) = Fields::new(node, location, problems) else { continue };
                let Some(server) = entry(name, &fields, context, problems) else { continue };
                match indices.entry(server.name.clone()) {
                    Entry::Occupied(index) => servers[*index.get()] = server,
                    Entry::Vacant(index) => {
                        index.insert(servers.len());
                        servers.push(server);
                    }
                }
            }
        }
    }
    let Some(first) = documents.first() else { return servers };
    if !found {
        problems.error(
            &first.location,
            "no `mcpServers` found, so there is nothing to serve",
            "add `\"mcpServers\": { \"name\": { \"command\": \"...\" } }`, as Claude Desktop has it",
        );
    } else if names(documents).is_empty() {
        problems.warning(&first.location, "no server is configured", "add an entry to `mcpServers`");
    }
    servers
}

/// The names of all entries, also of those that cannot be used.
pub(super) fn names(documents: &[Fields<'_>]) -> Vec<String> {
    let maps = documents.iter().flat_map(|document| ["mcpServers", "servers"].map(|key| document.get(key)));
    let mut names = Vec::new();
    for (node, _) in maps.flatten() {
        if let JsonValue::Object(members) = &node.value {
            names.extend(members.iter().map(|member| member.name.clone()));
        }
    }
    names
}

/// The one server of `mcpo -- command` or `mcpo --type sse -- URL`.
pub(super) fn single(
    server: &SingleServer,
    context: &EntryContext,
    problems: &mut Problems,
) -> Option<ServerConfig> {
    let transport = transport::of_command_line(server, problems)?;
    let spoken = match &transport {
        TransportConfig::Stdio(stdio) => {
            Path::new(&stdio.command).file_name().map(|name| name.to_string_lossy().into_owned())
        }
        _ => None,
    };
    // Only logs and the state directory see this name; the tools are at the root.
    let name = ServerName::new(&spoken.unwrap_or_default())
        .or_else(|_| ServerName::new("server"))
        .expect("`server` is not reserved");
    let mut server = ServerConfig::new(name, transport);
    server.concurrency = context.defaults.concurrency;
    Some(server)
}

/// Puts the values of `-e` and `--env-path` into every child process.
pub(super) fn give_environment(servers: &mut [ServerConfig], given: &[(String, SecretText)]) {
    for server in servers {
        if let TransportConfig::Stdio(StdioConfig { given_env, .. }) = &mut server.transport {
            *given_env = given.to_vec();
        }
    }
}

fn entry(
    name: &str,
    fields: &Fields<'_>,
    context: &EntryContext,
    problems: &mut Problems,
) -> Option<ServerConfig> {
    let name = ServerName::new(name)
        .map_err(|error| {
            let fix = if name.is_empty() {
                "give the server a name".to_owned()
            } else {
                format!("rename it, for instance to `{name}-server`")
            };
            problems.error(&fields.location, error.to_string(), fix);
        })
        .ok();
    known::report_others(fields, problems);
    let mut transport = transport::of_entry(fields, context.home.as_deref(), problems);
    oauth::of_entry(fields, transport.as_mut(), problems);
    let enabled_tools = patterns(fields, &["enabledTools", "enabled_tools"], problems).unwrap_or_default();
    let disabled_tools = patterns(fields, &["disabledTools", "disabled_tools"], problems).unwrap_or_default();
    let read_only_tools = patterns(fields, &["readOnlyTools"], problems);
    let overrides = overrides::of_entry(fields, problems);
    let timeout = fields.seconds("timeout", problems);
    warn_of_milliseconds(fields, timeout, problems);
    let required = fields.boolean("required", problems).unwrap_or(false);
    let enabled = fields.boolean("enabled", problems).unwrap_or(true);
    let disabled = fields.boolean("disabled", problems).unwrap_or(!enabled);
    let concurrency = fields.count("concurrency", problems).unwrap_or(context.defaults.concurrency);
    let rate = rate::of_entry(fields, problems);
    let protocol = protocol(fields, transport.as_ref(), problems);
    let revision = fields.text("revision", problems).map(|(text, _)| text.to_owned());
    let isolation = isolation::of_entry(fields, transport.as_ref(), problems);
    let unit = unit::of_entry(fields, problems);
    let forwarding = forwarding::of_entry(fields, transport.as_ref(), context, problems);
    if required && disabled {
        problems.slip(
            &fields.location,
            "the server is both required and disabled, so `/ready` would never answer 200",
            "remove one of `required` and `disabled`",
        );
    }
    let (name, mut transport, mut revision) = (name?, transport?, revision);
    if let Some(sockets) = context.defaults.sockets.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        unit::behind_socket(&name, &mut transport, &mut revision, &unit, sockets);
    }
    Some(ServerConfig {
        name,
        transport,
        enabled_tools,
        disabled_tools,
        read_only_tools,
        overrides,
        lock: None,
        timeout,
        required,
        disabled,
        concurrency,
        rate,
        protocol,
        revision,
        isolation,
        unit,
        dedicated: DedicatedConfig {
            most: context.defaults.identities,
            idle: context.defaults.identity_idle,
        },
        forwarding,
    })
}

/// Most other clients have `timeout` in milliseconds. More than a day is reported already.
fn warn_of_milliseconds(fields: &Fields<'_>, timeout: Option<Duration>, problems: &mut Problems) {
    const HOUR: Duration = Duration::from_secs(3600);
    let Some((_, location)) = fields.get("timeout") else { return };
    if timeout.is_some_and(|timeout| timeout > HOUR && timeout <= 24 * HOUR) {
        problems.warning(
            &location,
            "this is more than an hour, which looks like milliseconds",
            "write the time in seconds, as all times here are",
        );
    }
}

/// The globs under any of `names`, which are spellings of one key.
fn patterns(fields: &Fields<'_>, names: &[&str], problems: &mut Problems) -> Option<Vec<String>> {
    let mut all = None;
    for name in names {
        let Some(texts) = fields.texts(name, problems) else { continue };
        let list: &mut Vec<String> = all.get_or_insert_default();
        for (text, location) in texts {
            if let Err(error) = Glob::new(&text) {
                problems.error(
                    &location,
                    format!("this is no pattern over tool names: {}", error.kind()),
                    "write a tool's name, with `*` and `?` as wildcards and `\\` before a literal one",
                );
            }
            list.push(text);
        }
    }
    all
}

fn protocol(
    fields: &Fields<'_>,
    transport: Option<&TransportConfig>,
    problems: &mut Problems,
) -> Option<String> {
    let (pin, location) = fields.text("protocol", problems)?;
    if revision::all().any(|known| known == pin) {
        if pin == revision::STATELESS && matches!(transport, Some(TransportConfig::Sse(_))) {
            let message = format!("the transport `sse` has no revision {pin}");
            problems.error(&location, message, "leave the setting out, or set `type` to `streamable-http`");
            return None;
        }
        return Some(pin.to_owned());
    }
    let fix = match nearest(pin, revision::all()) {
        Some(candidate) => format!("write `{candidate}`, or leave the setting out to have it negotiated"),
        None => "leave the setting out to have the revision negotiated".to_owned(),
    };
    let known = revision::all().collect::<Vec<_>>().join(", ");
    let message = format!("this is not a revision that can be agreed upon with a server; those are {known}");
    problems.error(&location, message, fix);
    None
}

#[cfg(test)]
mod tests;
