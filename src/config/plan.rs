//! The effects of a reload: the difference between two configurations, in words for the operator.
//!
//! Pure. The plan names servers and keys and never a value, since any value may be a secret. What a reload does
//! about a key stands in the table of keys; those that the plan names together are listed here.

mod opening;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::auth::AuthConfig;
use super::gateway::Config;
use super::key::Effect;
use super::keys;
use super::keys::entry::{BESIDE, ENTRY};
use super::name::ServerName;
use super::section::{SettingChange, SettingGroup as _};
use super::server::ServerConfig;

/// Stands among the keys for a secret that has another value now.
const ROTATED: &str = "a secret's value";

/// The difference between a running configuration and another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In the order of the new configuration, removed ones last. Unchanged servers are not listed.
    pub servers: Vec<ServerChange>,
    pub settings: Vec<SettingChange>,
    /// Servers that nothing happens to.
    pub unchanged: usize,
    /// Why a reload would not do any of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
}

/// The change of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerChange {
    pub name: String,
    pub action: Action,
    /// The keys of its entry that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<&'static str>,
}

/// How a server is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new, and is started.
    Add,
    /// It is started anew beside the old one, which ends after its last call.
    Replace,
    /// Only the gateway's own rules for it differ; its connection and process stay as they are.
    Update,
    /// It ends after its last call.
    Remove,
}

impl Plan {
    /// The changes from `running` to `wanted`. `rotated` are running servers whose secrets have
    /// other values now, though their entries may read the same.
    pub fn between(running: &Config, wanted: &Config, rotated: &[ServerName]) -> Self {
        let refused = opening::refusal(&running.auth, &wanted.auth);
        let mut plan = Self { settings: settings(running, wanted, refused), refused, ..Self::default() };
        let (known, kept) = (by_name(running), by_name(wanted));
        for server in &wanted.servers {
            let Some(known) = known.get(&server.name) else {
                plan.add(server, Action::Add, Vec::new());
                continue;
            };
            let (mut connection, rules) = changed_keys(known, server);
            if rotated.contains(&server.name) {
                connection.push(ROTATED);
            }
            match (connection.is_empty(), rules.is_empty()) {
                (true, true) => plan.unchanged += 1,
                (true, false) => plan.add(server, Action::Update, rules),
                (false, _) => {
                    connection.extend(rules);
                    plan.add(server, Action::Replace, connection);
                }
            }
        }
        let gone = |server: &&ServerConfig| !kept.contains_key(&server.name);
        for server in running.servers.iter().filter(gone) {
            plan.add(server, Action::Remove, Vec::new());
        }
        plan
    }

    /// Whether nothing would happen.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.settings.is_empty()
    }

    /// The change of the server `name`; `None` for one that stays as it is.
    pub fn action(&self, name: &ServerName) -> Option<Action> {
        self.servers.iter().find(|change| change.name == name.as_str()).map(|change| change.action)
    }

    fn staying(&self) -> String {
        match self.unchanged {
            1 => "1 server stays as it is".to_owned(),
            count => format!("{count} servers stay as they are"),
        }
    }

    fn add(&mut self, server: &ServerConfig, action: Action, keys: Vec<&'static str>) {
        self.servers.push(ServerChange { name: server.name.to_string(), action, keys });
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(formatter, "no change: {}", self.staying());
        }
        for change in &self.servers {
            let keys = change.keys.join(", ");
            match change.action {
                Action::Add => writeln!(formatter, "+ {}: is started", change.name)?,
                Action::Remove => writeln!(formatter, "- {}: ends after its last call", change.name)?,
                Action::Replace => writeln!(
                    formatter,
                    "~ {}: is replaced, the old one ends after its last call ({keys})",
                    change.name
                )?,
                Action::Update => {
                    writeln!(formatter, "~ {}: new rules, its connection stays ({keys})", change.name)?;
                }
            }
        }
        for SettingChange { key, effect } in &self.settings {
            let mark = if *effect == Effect::Restart { '!' } else { '~' };
            writeln!(formatter, "{mark} {key}: {}", effect.sentence())?;
        }
        if let Some(why) = self.refused {
            writeln!(formatter, "! a reload is refused: {why}")?;
        }
        write!(formatter, "= {}", self.staying())
    }
}

impl Config {
    /// This configuration as a running gateway can take it up. What needs a restart stays as in `running`, so that the next
    /// plan shows again that it is outstanding.
    pub fn without_restart(mut self, running: &Self) -> Self {
        self.listen.keep_until_restart(&running.listen);
        if is_switched(&self, running) {
            self.listen.tls.clone_from(&running.listen.tls);
        }
        self.limits.keep_until_restart(&running.limits);
        self.limits.per_key.keep_until_restart(&running.limits.per_key);
        self.document.keep_until_restart(&running.document);
        self.log.keep_until_restart(&running.log);
        self.audit.clone_from(&running.audit);
        self.shared.clone_from(&running.shared);
        self.replica.keep_until_restart(&running.replica);
        self.state_dir.clone_from(&running.state_dir);
        self.session_keys.clone_from(&running.session_keys);
        self
    }
}

/// Whether TLS is spoken in one of the two alone, which the port cannot change; other files can be read at any time.
fn is_switched(old: &Config, new: &Config) -> bool {
    old.listen.tls.is_some() != new.listen.tls.is_some()
}

/// The keys of an entry that differ: those that its connection was made with, and the gateway's own rules.
fn changed_keys(old: &ServerConfig, new: &ServerConfig) -> (Vec<&'static str>, Vec<&'static str>) {
    // Taken apart by name, so that a new part is not forgotten in the tables.
    let ServerConfig {
        name: _,
        transport: _,
        enabled_tools: _,
        disabled_tools: _,
        read_only_tools: _,
        overrides: _,
        lock: _,
        timeout: _,
        required: _,
        disabled: _,
        concurrency: _,
        rate: _,
        protocol: _,
        revision: _,
        isolation: _,
        unit: _,
        dedicated: _,
        forwarding: _,
    } = new;
    let (mut connection, mut rules) = (Vec::new(), Vec::new());
    let keys = ENTRY.iter().map(|(key, differs)| (key.name, key.effect, *differs));
    for (name, effect, differs) in keys.chain(BESIDE.iter().copied()) {
        if differs(old, new) {
            let changed = if effect == Effect::ServerReplaced { &mut connection } else { &mut rules };
            changed.push(name);
        }
    }
    (connection, rules)
}

fn by_name(config: &Config) -> HashMap<&ServerName, &ServerConfig> {
    config.servers.iter().map(|server| (&server.name, server)).collect()
}

/// The settings that differ, those that count first come first.
fn settings(old: &Config, new: &Config, refused: Option<&str>) -> Vec<SettingChange> {
    // The members that have one name in the plan for several keys, or are no settings; taken apart by name, so that nothing new is
    // forgotten.
    let Config {
        listen,
        auth: AuthConfig { keys, strict, profiles, issuers, key_sign_in },
        limits,
        document,
        log,
        audit,
        shared,
        replica,
        state_dir,
        session_keys,
        exposed_name_length,
        lock_file,
        single: _,
        servers: _,
    } = new;
    let keys_effect = if refused.is_some() { Effect::Restart } else { Effect::AtOnce };
    let (tls, tls_effect) = match is_switched(old, new) {
        true => ("tls", Effect::Restart),
        false => ("tls.certificate or tls.key", Effect::AtOnce),
    };
    let rows = keys::settings();
    let of = |key: &str| rows.iter().find(|row| row.name == key).expect("a row of the table of keys").effect;
    let others = [
        (tls, tls_effect, old.listen.tls != listen.tls),
        ("apiKeys", keys_effect, old.auth.keys != *keys),
        ("signIn", keys_effect, old.auth.issuers != *issuers || old.auth.key_sign_in != *key_sign_in),
        ("profiles", Effect::AtOnce, old.auth.profiles != *profiles),
        ("strictAuth", of("strictAuth"), old.auth.strict != *strict),
        ("exposedNameLength", of("exposedNameLength"), old.exposed_name_length != *exposed_name_length),
        ("name, description or version", of("name"), old.document != *document),
        ("lock.file", of("lock.file"), old.lock_file != *lock_file),
        ("log", of("log.level"), old.log != *log),
        ("audit", of("audit.to"), old.audit != *audit),
        ("shared", of("shared"), old.shared != *shared),
        ("stateDir", of("stateDir"), old.state_dir != *state_dir),
        ("sessionKey", of("sessionKey"), old.session_keys != *session_keys),
    ];
    let others = others.into_iter().filter(|(.., differs)| *differs);
    let mut changes: Vec<SettingChange> =
        others.map(|(key, effect, _)| SettingChange { key, effect }).collect();
    changes.extend(old.listen.changes(listen));
    changes.extend(old.replica.changes(replica));
    changes.extend(old.limits.changes(limits));
    changes.extend(old.limits.per_key.changes(&limits.per_key));
    changes.sort_by_key(|change| change.effect);
    changes
}

#[cfg(test)]
mod tests;
