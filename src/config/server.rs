//! One server of the gateway, as plain values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::defaults;
use super::forwarding::ForwardingConfig;
use super::isolation::CallerIsolation;
use super::lock::LockConfig;
use super::name::ServerName;
use super::rate::RateConfig;
use super::transport::{OAuthGrant, TransportConfig};

/// One entry of `mcpServers`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    pub name: ServerName,
    pub transport: TransportConfig,
    /// Globs over tool names; empty allows all.
    pub enabled_tools: Vec<String>,
    /// Globs over tool names; wins over `enabled_tools`.
    pub disabled_tools: Vec<String>,
    /// Globs over names of tools that count as read-only; the server's hints do not count then.
    pub read_only_tools: Option<Vec<String>>,
    /// Other names and descriptions, by the server's own names of tools.
    pub overrides: BTreeMap<String, ToolOverride>,
    /// The lock that its tools are held to.
    pub lock: Option<LockConfig>,
    /// How long a call may take without progress.
    pub timeout: Option<Duration>,
    /// `/ready` answers 503 while this server is not ready.
    pub required: bool,
    pub disabled: bool,
    /// Calls in flight at one time; more wait within their deadline.
    pub concurrency: usize,
    /// How often it may be called, by all callers together.
    pub rate: Option<RateConfig>,
    /// The protocol revision, when pinned: one to offer in `initialize`, or 2026-07-28, which has none.
    pub protocol: Option<String>,
    /// Any text that stands for what the entry does not show, such as the program behind a `socket`. When it differs, a
    /// reload connects anew.
    pub revision: Option<String>,
    /// Which callers share its process or session.
    pub isolation: CallerIsolation,
    /// The limits of its unit, where it has one.
    pub unit: UnitConfig,
    /// Bounds the connections that serve one caller each.
    pub dedicated: DedicatedConfig,
    /// Headers of callers that go along, when there are any; only of servers that are reached over HTTP.
    pub forwarding: Option<ForwardingConfig>,
}

impl ServerConfig {
    /// The same entry without what it says of the server's tools.
    pub fn without_tool_rules(&self) -> Self {
        Self {
            enabled_tools: Vec::new(),
            disabled_tools: Vec::new(),
            read_only_tools: None,
            overrides: BTreeMap::new(),
            lock: None,
            ..self.clone()
        }
    }
}

/// The limits of the unit of a server with a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitConfig {
    /// The network; `None` when the command decides.
    pub network: Option<bool>,
    /// A cache that lasts; `None` when the command decides.
    pub cache: Option<bool>,
    /// A home that lasts.
    pub state: bool,
    /// Memory of one instance, as systemd reads it.
    pub memory_max: String,
    /// Processes and threads of one instance.
    pub tasks_max: usize,
}

impl Default for UnitConfig {
    fn default() -> Self {
        let memory_max = defaults::MEMORY_MAX.to_owned();
        Self { network: None, cache: None, state: false, memory_max, tasks_max: defaults::TASKS_MAX }
    }
}

/// Bounds on connections that serve one caller each. Such callers have forwarded headers, or can be asked by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedicatedConfig {
    /// Such connections of one server at one time (`limits.identities`).
    pub most: usize,
    /// How long such a connection is kept without a call (`limits.identityIdle`).
    pub idle: Duration,
}

/// Texts of one tool that replace those of its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolOverride {
    pub name: Option<String>,
    pub description: Option<String>,
    pub title: Option<String>,
}

impl ServerConfig {
    /// Whether the token of a caller's user is exchanged for one of this server.
    pub fn exchanges_tokens(&self) -> bool {
        let oauth = self.transport.http().and_then(|http| http.oauth.as_ref());
        oauth.is_some_and(|oauth| oauth.per_user && oauth.grant == OAuthGrant::TokenExchange)
    }

    /// A server reached by `transport`, with the default for everything else.
    pub fn new(name: ServerName, transport: TransportConfig) -> Self {
        Self {
            name,
            transport,
            enabled_tools: Vec::new(),
            disabled_tools: Vec::new(),
            read_only_tools: None,
            overrides: BTreeMap::new(),
            lock: None,
            timeout: None,
            required: false,
            disabled: false,
            concurrency: defaults::CONCURRENCY,
            rate: None,
            protocol: None,
            revision: None,
            isolation: CallerIsolation::default(),
            unit: UnitConfig::default(),
            dedicated: DedicatedConfig { most: defaults::IDENTITIES, idle: defaults::IDENTITY_IDLE },
            forwarding: None,
        }
    }
}
