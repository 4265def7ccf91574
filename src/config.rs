//! What the operator asked for, as plain values: no I/O happens here except in [`load`], [`secret`] and
//! [`environment`], which are the only readers of files and of `std::env`.
//!
//! Parse, validate, resolve secrets, build and bind are five separate steps. This module holds the outcome
//! of the first two: [`Config`] may still refer to secrets that nobody has read yet ([`SecretText`]).
//! [`load`] goes from [`Sources`] to a [`Config`] or to all [`Problem`]s: files become trees that know
//! their lines, the gateway's settings are merged in layers, and servers and keys are read from the trees.

mod audit;
pub mod defaults;
mod document;
mod dotenv;
pub mod environment;
mod fields;
pub mod forwarding;
mod keys;
mod layers;
mod load;
pub mod lock;
pub mod name;
pub mod plan;
pub mod problem;
mod profiles;
pub mod rate;
pub mod secret;
mod servers;
mod settings;
mod shares;
mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use audit::AuditConfig;
pub use forwarding::{ForwardingConfig, HeaderPattern};
pub use load::{Loaded, load};
pub use lock::{DriftPolicy, LockConfig};
pub use name::{NameError, ServerName};
pub use plan::Plan;
pub use problem::{Problem, Severity};
pub use rate::RateConfig;
pub use secret::{SecretError, SecretSyntaxError, SecretText, SecretsDigest};
pub use shares::{PerKeyConfig, Shares};
pub use sources::{Overrides, Purpose, SingleServer, Sources};

/// Everything one run of the gateway needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: ListenConfig,
    pub auth: AuthConfig,
    pub limits: LimitsConfig,
    pub document: DocumentConfig,
    pub log: LogConfig,
    /// `None` without an audit trail.
    pub audit: Option<AuditConfig>,
    /// Where tool lists are kept across restarts; [`environment::state_directory`] unless it was set.
    /// `None` (no home, or set to nothing) keeps them in memory only.
    pub state_dir: Option<PathBuf>,
    /// The longest name that a tool or a prompt has among those of all servers, in bytes; 32 to 64.
    pub exposed_name_length: usize,
    /// The file that tools are held to, when there is one; its content stands in [`ServerConfig::lock`].
    pub lock_file: Option<PathBuf>,
    /// `mcpo -- command`: one server, its tools at `POST /{tool}` (contract section 2.1).
    pub single: bool,
    /// Servers in the order of the file.
    pub servers: Vec<ServerConfig>,
}

/// Where and how the one port is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenConfig {
    /// Host name or address, or `unix:` with the path of a socket; `127.0.0.1` unless told otherwise.
    pub host: String,
    pub port: u16,
    pub tls: Option<TlsConfig>,
    /// Starts and ends with `/`; `/` alone means none. Servers are mounted under it; documents of the
    /// whole gateway answer both with and without it.
    pub path_prefix: String,
    /// What a reverse proxy strips (FastAPI's `root_path`); empty or starting with `/`, no `/` at the end.
    pub root_path: String,
    /// `["*"]` allows every origin.
    pub cors_allow_origins: Vec<String>,
    /// Further `Host` values served when no key is configured.
    pub allowed_hosts: Vec<String>,
    /// The address that users type, for the Host rule and for links.
    pub public_url: Option<String>,
}

impl ListenConfig {
    /// The path of the Unix socket to listen on, when `host` names one in place of an address.
    pub fn unix_path(&self) -> Option<&Path> {
        self.host.strip_prefix("unix:").map(Path::new)
    }
}

/// PEM files of the listener's certificate chain and key.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Who may call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuthConfig {
    /// Empty: everything is open, on loopback.
    pub keys: Vec<ApiKeyConfig>,
    /// Documents and pages need a key too.
    pub strict: bool,
    /// What clients may ask to be shown in place of everything; in the order of the file.
    pub profiles: Vec<ProfileConfig>,
}

/// A client profile: the part of what a key opens that one kind of client is shown, since clients bear only so many
/// tools. It is no right of its own: it never opens what the key does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileConfig {
    pub name: String,
    /// Server names or globs; `None` shows all servers.
    pub servers: Option<Vec<String>>,
    /// Globs over `SERVER_TOOL`, both names in full; `None` shows all tools of the servers.
    pub tools: Option<Vec<String>>,
}

/// One named API key and what it opens.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKeyConfig {
    pub name: String,
    pub key: SecretText,
    /// Server names or globs; `None` opens all servers.
    pub servers: Option<Vec<String>>,
    /// The name of the profile that holds for every request of the key.
    pub profile: Option<String>,
    /// Only tools that are read-only (their `readOnlyHint`, or the server entry's `readOnlyTools`).
    pub read_only: bool,
    /// Sees URLs, stderr tails and full reasons in `/servers`.
    pub admin: bool,
    /// Reads `/metrics`, which name every server and tool, whatever servers it opens. A key that opens all of them
    /// needs no such right.
    pub metrics: bool,
    /// How often it may call.
    pub rate: Option<RateConfig>,
    /// Calls in flight at one time; a further one is refused.
    pub concurrency: Option<usize>,
}

impl ApiKeyConfig {
    /// The key called `name` that opens every server to calls alone, without limits.
    pub fn new(name: &str, key: SecretText) -> Self {
        Self {
            name: name.to_owned(),
            key,
            servers: None,
            profile: None,
            read_only: false,
            admin: false,
            metrics: false,
            rate: None,
            concurrency: None,
        }
    }
}

/// Bounds on size, number and time.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsConfig {
    /// Largest request body, in bytes; above it 413.
    pub body_bytes: usize,
    /// Largest single message accepted from a server, in bytes; above it 502.
    pub result_bytes: usize,
    /// What the results of all calls over 64 KB may take together, in bytes, until their clients have them; further ones
    /// wait, then 503. Those of one key may take half of it.
    pub results_bytes: usize,
    /// How long a call may take without progress, unless the server entry has its own `timeout`.
    pub call_timeout: Duration,
    /// How long a server may take from its start to its tool list.
    pub start_timeout: Duration,
    /// Open client connections at one time.
    pub connections: usize,
    /// How long a client may take to send its request head.
    pub header_timeout: Duration,
    /// How long a client may send nothing of its body, and may take for a small one whole.
    pub body_timeout: Duration,
    /// What becomes of the bodies of all requests over 64 KB, three times their length, in bytes; further ones wait, then
    /// 503. Those of one key may take half of it.
    pub bodies_bytes: usize,
    /// How long a connection may rest between requests, or take nothing of an answer, at least.
    pub idle_timeout: Duration,
    /// How long calls in flight may go on after the gateway was told to stop.
    pub drain: Duration,
    /// MCP sessions of clients at one time; beyond it one of the caller that has most ends, which rested longest.
    pub sessions: usize,
    /// How long an MCP session of a client may rest.
    pub session_idle: Duration,
    /// Processes that serve one caller each, of all servers.
    pub processes: usize,
    /// Calls at one time, of all servers, those that wait for their turn included.
    pub calls: usize,
    /// Streams that wait for changes.
    pub listeners: usize,
    /// Resources that clients follow.
    pub followed: usize,
    /// What one key may hold of these, of the identities and of the calls in flight of each server.
    pub per_key: PerKeyConfig,
    /// Lines of one server's stderr that are logged in a second; ten seconds' worth may come at once.
    pub stderr_lines: usize,
}

/// What the combined document says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentConfig {
    pub name: String,
    pub description: String,
    pub version: String,
}

/// How much is logged, and in which form.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A `tracing` filter directive such as `info` or `debug`.
    pub level: String,
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's native protocol when stderr is the journal, lines of text otherwise.
    Auto,
    Text,
    Json,
    Journald,
}

/// One entry of `mcpServers`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    pub name: ServerName,
    pub transport: TransportConfig,
    /// Globs over tool names; empty allows all.
    pub enabled_tools: Vec<String>,
    /// Globs over tool names; wins over `enabled_tools`.
    pub disabled_tools: Vec<String>,
    /// Globs over tool names that are read-only whatever the server's hints say.
    pub read_only_tools: Option<Vec<String>>,
    /// Other names and descriptions, by the server's own names of tools.
    pub overrides: BTreeMap<String, ToolOverride>,
    /// What its tools are held to.
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
    /// Any text that stands for what the entry does not show, such as the program behind a `socket`: when it
    /// differs, a reload connects anew.
    pub revision: Option<String>,
    /// Bounds the connections that serve one caller each.
    pub dedicated: DedicatedConfig,
    /// Headers of callers that go along, when there are any; only of servers that are reached over HTTP.
    pub forwarding: Option<ForwardingConfig>,
}

/// Connections for callers that a server must not mix up with others: those whose headers it is sent, and those that it
/// may ask something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedicatedConfig {
    /// How many such callers one server has at one time (`limits.identities`).
    pub most: usize,
    /// How long such a connection is kept without a call (`limits.identityIdle`).
    pub idle: Duration,
}

/// What is shown of one tool in place of what its server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolOverride {
    pub name: Option<String>,
    pub description: Option<String>,
    pub title: Option<String>,
}

/// How the gateway reaches one server.
#[derive(Debug, Clone, PartialEq)]
pub enum TransportConfig {
    Stdio(StdioConfig),
    StreamableHttp(HttpConfig),
    Sse(HttpConfig),
    /// Either of the two, which is found out.
    Http(HttpConfig),
    Socket(SocketConfig),
    /// The gateway's own tools (list, search, describe and call tools), served in the process.
    Gateway,
}

impl TransportConfig {
    /// Whether requests and answers share one channel, in which a server reads what comes first, first.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Self::Stdio(_) | Self::Socket(_))
    }
}

/// A child process that speaks newline-delimited JSON-RPC.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StdioConfig {
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<(String, SecretText)>,
    /// A dotenv file, read each time the server is started; weaker than `pass_env` and `env`.
    pub env_file: Option<PathBuf>,
    /// Variables of the gateway's own environment that the child gets besides the short allow-list.
    pub pass_env: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// What `-e` and `--env-path` give to every child; weaker than `env_file`, `pass_env` and `env`.
    pub given_env: Vec<(String, SecretText)>,
}

/// A remote server.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    pub url: SecretText,
    pub headers: Vec<(String, SecretText)>,
    /// How the gateway gets tokens for the server, when it signs in by OAuth.
    pub oauth: Option<OAuthConfig>,
}

/// OAuth 2.1 towards one remote server.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuthConfig {
    pub grant: OAuthGrant,
    /// A client that was registered by hand; without one the gateway registers itself.
    pub client_id: Option<String>,
    pub client_secret: Option<SecretText>,
    /// A private key in PEM (PKCS#8) that proves who the client is, in place of a secret.
    pub private_key: Option<SecretText>,
    /// The token of this workload that is exchanged for one of the server; read anew each time.
    pub assertion: Option<SecretText>,
    /// Scopes to ask for; empty asks for those that the server names.
    pub scopes: Vec<String>,
    /// Where the document stands that describes the gateway as a client (client-id metadata).
    pub client_metadata_url: Option<String>,
    /// The only authorization server that may be used.
    pub issuer: Option<String>,
    /// An authorization server that does not say whether it has PKCE is taken to have it.
    pub assume_pkce: bool,
}

/// How a token is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthGrant {
    /// Somebody signs in with a browser; the token then serves all callers of the gateway.
    AuthorizationCode,
    /// The gateway signs in as itself.
    ClientCredentials,
    /// The gateway shows what vouches for the workload that it is (RFC 7523, section 2.1).
    JwtBearer,
}

/// A Unix socket that speaks the framing of stdio.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketConfig {
    pub path: PathBuf,
}
