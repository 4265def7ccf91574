//! `unit` of an entry: what the unit of a server may use, and the socket of that unit in place of the command.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::super::fields::Fields;
use super::super::key;
use super::super::keys::nested;
use super::super::name::ServerName;
use super::super::problem::Problems;
use super::super::server::UnitConfig;
use super::super::transport::{SocketConfig, TransportConfig};

/// What the unit of an entry may use.
pub(super) fn of_entry(fields: &Fields<'_>, problems: &mut Problems) -> UnitConfig {
    let mut unit = UnitConfig::default();
    let Some((node, location)) = fields.get("unit") else { return unit };
    let Some(members) = Fields::new(node, location, problems) else { return unit };
    members.report_unknown("a unit", &key::names(nested::UNIT), &[], problems);
    unit.network = members.boolean("network", problems);
    unit.cache = members.boolean("cache", problems);
    unit.state = members.boolean("state", problems).unwrap_or(false);
    if let Some((memory, location)) = members.text("memoryMax", problems) {
        let digits = memory.trim_end_matches(['K', 'M', 'G', 'T']);
        if memory.len() - digits.len() > 1 || digits.starts_with('0') || !is_number(digits) {
            let message = format!("`{memory}` is no amount of memory, and systemd would set no limit");
            problems.error(&location, message, "write a number of bytes, such as \"512M\" or \"2G\"");
        }
        unit.memory_max = memory.to_owned();
    }
    unit.tasks_max = members.count("tasksMax", problems).unwrap_or(unit.tasks_max);
    unit
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// Puts the socket of the server's unit in place of its command. What the unit runs then shows in `revision` alone.
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
