//! `unit` of an entry: the resources of the server's unit, and the socket of that unit in place of the command.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::super::fields::Fields;
use super::super::key;
use super::super::keys::nested;
use super::super::name::ServerName;
use super::super::problem::Problems;
use super::super::server::UnitConfig;
use super::super::transport::{SocketConfig, TransportConfig};

/// The resources that the unit of an entry may use.
pub(super) fn of_entry(fields: &Fields<'_>, problems: &mut Problems) -> UnitConfig {
    let mut unit = UnitConfig::default();
    let Some((node, location)) = fields.get("unit") else { return unit };
    let Some(members) = Fields::new(node, location, problems) else { return unit };
    members.report_unknown("a unit", &key::names(nested::UNIT), &[], problems);
    unit.network = members.boolean("network", problems);
    unit.cache = members.boolean("cache", problems);
    unit.state = members.boolean("state", problems).unwrap_or(false);
    if let Some((memory, location)) = members.text("memoryMax", problems) {
        if !is_memory(memory) {
            let message = format!("`{memory}` is no amount of memory, and systemd would set no limit");
            let fix = "write a size such as \"512M\" or \"1.5G\", a part of the machine's memory such as \"25%\", or \"infinity\"";
            problems.error(&location, message, fix);
        }
        unit.memory_max = memory.to_owned();
    }
    unit.tasks_max = members.count("tasksMax", problems).unwrap_or(unit.tasks_max);
    unit
}

/// Whether systemd reads `text` as a limit of memory. The schema has the same as a pattern (`MEMORY`).
fn is_memory(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_whole = |text: &str| is_digits(text) && !text.starts_with('0');
    if let Some(percent) = text.strip_suffix('%') {
        return is_whole(percent) && percent.parse().is_ok_and(|percent: u8| percent <= 100);
    }
    match text.strip_suffix(['K', 'M', 'G', 'T']).map(|size| size.split_once('.').unwrap_or((size, "0"))) {
        Some((whole, fraction)) => is_whole(whole) && is_digits(fraction),
        None => text == "infinity" || is_whole(text),
    }
}

/// Puts the socket of the server's unit in place of its command. A change of the unit then shows in `revision` alone.
pub(super) fn behind_socket(
    name: &ServerName,
    transport: &mut TransportConfig,
    revision: &mut Option<String>,
    unit: &UnitConfig,
    sockets: &Path,
) {
    let TransportConfig::Stdio(stdio) = transport else { return };
    let mut hasher = DefaultHasher::new();
    (&*stdio, unit, &*revision).hash(&mut hasher);
    *revision = Some(format!("{:016x}", hasher.finish()));
    *transport =
        TransportConfig::Socket(SocketConfig { path: sockets.join(format!("{}.sock", name.in_units())) });
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[test]
    fn a_limit_of_memory_is_what_systemd_reads() {
        let read =
            |memory: &str| read(&format!(r#"{{"command": "x", "unit": {{"memoryMax": "{memory}"}}}}"#));
        for memory in ["512M", "1.5G", "25%", "100%", "infinity", "536870912", "2T"] {
            let (server, problems) = read(memory);
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(server.unwrap().unit.memory_max, memory);
        }
        for memory in
            ["", "lots", "0", "0M", "101%", "%", "1.5", "1.M", ".5G", "12 M", "1GB", "Infinity", "-1"]
        {
            let (_, problems) = read(memory);
            assert!(problems.len() == 1, "{memory}: {problems:?}");
            let named = format!("mcpServers.a.unit.memoryMax\n  `{memory}` is no amount of memory");
            assert!(problems[0].contains(&named), "{problems:?}");
        }
    }
}
