//! What a reload would do: the difference between two configurations, as the operator is told it.
//!
//! Pure. The plan names servers and keys and never a value, since any value may be a secret. Keys that were
//! added to the types must be sorted in here: every struct is taken apart by name.

mod opening;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::{
    AuthConfig, Config, HttpConfig, LimitsConfig, ListenConfig, PerKeyConfig, ServerConfig, ServerName,
    SocketConfig, StdioConfig, TlsConfig, TransportConfig,
};

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

/// What happens to one server.
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

/// A setting of the gateway itself that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    pub key: &'static str,
    pub effect: Effect,
}

/// When a changed setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// For every request from the reload on.
    AtOnce,
    /// For each server from its next start on.
    NextServerStart,
    /// Not before the gateway itself is started again.
    Restart,
}

impl Plan {
    /// What it takes to come from `running` to `wanted`. `rotated` are running servers whose secrets have
    /// other values now, though their entries may read the same.
    pub fn between(running: &Config, wanted: &Config, rotated: &[ServerName]) -> Self {
        let refused = opening::refusal(&running.auth, &wanted.auth);
        let mut plan = Self { settings: settings(running, wanted, refused), refused, ..Self::default() };
        let (known, kept) = (by_name(running), by_name(wanted));
        for server in &wanted.servers {
            let changed = known.get(&server.name).map(|known| {
                let mut changed = changed_keys(known, server);
                if rotated.contains(&server.name) {
                    changed.connection.push(ROTATED);
                }
                changed
            });
            match changed {
                None => plan.add(server, Action::Add, Vec::new()),
                Some(Changed { connection, rules }) if connection.is_empty() => match rules.is_empty() {
                    true => plan.unchanged += 1,
                    false => plan.add(server, Action::Update, rules),
                },
                Some(Changed { mut connection, rules }) => {
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

    /// What happens to the server `name`; `None` for one that stays as it is.
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
            match effect {
                Effect::AtOnce => writeln!(formatter, "~ {key}: counts at once")?,
                Effect::NextServerStart => writeln!(formatter, "~ {key}: counts from a server's next start")?,
                Effect::Restart => {
                    writeln!(formatter, "! {key}: counts only after the gateway is restarted")?;
                }
            }
        }
        if let Some(why) = self.refused {
            writeln!(formatter, "! a reload is refused: {why}")?;
        }
        write!(formatter, "= {}", self.staying())
    }
}

impl Config {
    /// This configuration as a running gateway can take it up: what needs a restart stays as in `running`,
    /// so that the next plan says again that it is outstanding.
    pub fn without_restart(mut self, running: &Self) -> Self {
        self.listen.host.clone_from(&running.listen.host);
        self.listen.port = running.listen.port;
        if is_switched(self.listen.tls.as_ref(), running.listen.tls.as_ref()) {
            self.listen.tls.clone_from(&running.listen.tls);
        }
        self.log.clone_from(&running.log);
        self.audit.clone_from(&running.audit);
        self.state_dir.clone_from(&running.state_dir);
        self
    }
}

/// Whether TLS is spoken in one of the two alone, which the port cannot change; other files can be read at any time.
fn is_switched(wanted: Option<&TlsConfig>, running: Option<&TlsConfig>) -> bool {
    wanted.is_some() != running.is_some()
}

/// The keys of an entry that differ: those that its connection was made with, and the gateway's own rules.
struct Changed {
    connection: Vec<&'static str>,
    rules: Vec<&'static str>,
}

fn changed_keys(old: &ServerConfig, new: &ServerConfig) -> Changed {
    let ServerConfig {
        name: _,
        transport,
        enabled_tools,
        disabled_tools,
        read_only_tools,
        overrides,
        lock,
        timeout,
        required,
        disabled,
        concurrency,
        rate,
        protocol,
        revision,
        dedicated,
        forwarding,
    } = new;
    let mut connection = transport_keys(&old.transport, transport);
    connection.extend(differing([
        ("disabled", old.disabled == *disabled),
        ("protocol", old.protocol == *protocol),
        ("revision", old.revision == *revision),
    ]));
    let rules = differing([
        ("enabledTools", old.enabled_tools == *enabled_tools),
        ("disabledTools", old.disabled_tools == *disabled_tools),
        ("readOnlyTools", old.read_only_tools == *read_only_tools),
        ("tools", old.overrides == *overrides),
        ("tools in the lock", old.lock == *lock),
        ("timeout", old.timeout == *timeout),
        ("required", old.required == *required),
        ("concurrency", old.concurrency == *concurrency),
        ("rate", old.rate == *rate),
        ("limits.identities or limits.identityIdle", old.dedicated == *dedicated),
        ("forwardHeaders", old.forwarding == *forwarding),
    ]);
    Changed { connection, rules: rules.collect() }
}

fn transport_keys(old: &TransportConfig, new: &TransportConfig) -> Vec<&'static str> {
    match (old, new) {
        (TransportConfig::Stdio(old), TransportConfig::Stdio(new)) => {
            let StdioConfig { command, args, env, env_file, pass_env, cwd, given_env } = new;
            differing([
                ("command", old.command == *command),
                ("args", old.args == *args),
                ("env", old.env == *env),
                ("envFile", old.env_file == *env_file),
                ("passEnv", old.pass_env == *pass_env),
                ("cwd", old.cwd == *cwd),
                ("--env-path", old.given_env == *given_env),
            ])
            .collect()
        }
        (TransportConfig::StreamableHttp(old), TransportConfig::StreamableHttp(new))
        | (TransportConfig::Sse(old), TransportConfig::Sse(new))
        | (TransportConfig::Http(old), TransportConfig::Http(new)) => {
            let HttpConfig { url, headers, oauth } = new;
            differing([
                ("url", old.url == *url),
                ("headers", old.headers == *headers),
                ("oauth", old.oauth == *oauth),
            ])
            .collect()
        }
        (TransportConfig::Socket(old), TransportConfig::Socket(new)) => {
            let SocketConfig { path } = new;
            differing([("socket", old.path == *path)]).collect()
        }
        (TransportConfig::Gateway, TransportConfig::Gateway) => Vec::new(),
        _ => vec!["type"],
    }
}

fn by_name(config: &Config) -> HashMap<&ServerName, &ServerConfig> {
    config.servers.iter().map(|server| (&server.name, server)).collect()
}

fn settings(old: &Config, new: &Config, refused: Option<&str>) -> Vec<SettingChange> {
    let Config {
        listen,
        auth,
        limits,
        document,
        log,
        audit,
        state_dir,
        exposed_name_length,
        lock_file,
        single: _,
        servers: _,
    } = new;
    let ListenConfig {
        host,
        port,
        tls,
        path_prefix,
        root_path,
        cors_allow_origins,
        allowed_hosts,
        public_url,
    } = listen;
    let AuthConfig { keys, strict, profiles } = auth;
    let LimitsConfig {
        body_bytes,
        result_bytes,
        results_bytes,
        call_timeout,
        start_timeout,
        connections,
        header_timeout,
        body_timeout,
        bodies_bytes,
        idle_timeout,
        drain,
        sessions,
        session_idle,
        processes,
        calls,
        listeners,
        followed,
        per_key,
        stderr_lines,
    } = limits;
    let PerKeyConfig {
        sessions: sessions_per_key,
        identities: identities_per_key,
        processes: processes_per_key,
        concurrency: concurrency_per_key,
        calls: calls_per_key,
        listeners: listeners_per_key,
        followed: followed_per_key,
    } = per_key;
    let was_per_key = &old.limits.per_key;
    let tls_switched = is_switched(tls.as_ref(), old.listen.tls.as_ref());
    let at_once = differing([
        ("tls.certificate or tls.key", old.listen.tls == *tls || tls_switched),
        ("pathPrefix", old.listen.path_prefix == *path_prefix),
        ("rootPath", old.listen.root_path == *root_path),
        ("corsAllowOrigins", old.listen.cors_allow_origins == *cors_allow_origins),
        ("allowedHosts", old.listen.allowed_hosts == *allowed_hosts),
        ("publicUrl", old.listen.public_url == *public_url),
        ("apiKeys", old.auth.keys == *keys || refused.is_some()),
        ("profiles", old.auth.profiles == *profiles),
        ("strictAuth", old.auth.strict == *strict),
        ("limits.bodyBytes", old.limits.body_bytes == *body_bytes),
        ("timeout", old.limits.call_timeout == *call_timeout),
        ("limits.connections", old.limits.connections == *connections),
        ("limits.headerTimeout", old.limits.header_timeout == *header_timeout),
        ("limits.resultsBytes", old.limits.results_bytes == *results_bytes),
        ("limits.bodiesBytes", old.limits.bodies_bytes == *bodies_bytes),
        ("limits.bodyTimeout", old.limits.body_timeout == *body_timeout),
        ("limits.idleTimeout", old.limits.idle_timeout == *idle_timeout),
        ("limits.drain", old.limits.drain == *drain),
        ("limits.sessions", old.limits.sessions == *sessions),
        ("limits.sessionIdle", old.limits.session_idle == *session_idle),
        ("limits.processes", old.limits.processes == *processes),
        ("limits.calls", old.limits.calls == *calls),
        ("limits.callsPerKey", was_per_key.calls == *calls_per_key),
        ("limits.listeners", old.limits.listeners == *listeners),
        ("limits.followed", old.limits.followed == *followed),
        ("limits.sessionsPerKey", was_per_key.sessions == *sessions_per_key),
        ("limits.identitiesPerKey", was_per_key.identities == *identities_per_key),
        ("limits.processesPerKey", was_per_key.processes == *processes_per_key),
        ("limits.concurrencyPerKey", was_per_key.concurrency == *concurrency_per_key),
        ("limits.listenersPerKey", was_per_key.listeners == *listeners_per_key),
        ("limits.followedPerKey", was_per_key.followed == *followed_per_key),
        ("name, description or version", old.document == *document),
        ("exposedNameLength", old.exposed_name_length == *exposed_name_length),
        ("lock.file", old.lock_file == *lock_file),
    ]);
    let next_start = differing([
        ("limits.resultBytes", old.limits.result_bytes == *result_bytes),
        ("limits.startTimeout", old.limits.start_timeout == *start_timeout),
        ("limits.stderrLines", old.limits.stderr_lines == *stderr_lines),
    ]);
    let restart = differing([
        ("host", old.listen.host == *host),
        ("port", old.listen.port == *port),
        ("tls", !tls_switched),
        ("apiKeys", refused.is_none()),
        ("log", old.log == *log),
        ("audit", old.audit == *audit),
        ("stateDir", old.state_dir == *state_dir),
    ]);
    let change = |effect| move |key| SettingChange { key, effect };
    at_once
        .map(change(Effect::AtOnce))
        .chain(next_start.map(change(Effect::NextServerStart)))
        .chain(restart.map(change(Effect::Restart)))
        .collect()
}

/// The keys whose values are not the same.
fn differing<const N: usize>(keys: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    keys.into_iter().filter_map(|(key, same)| (!same).then_some(key))
}

#[cfg(test)]
mod tests;
