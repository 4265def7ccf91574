//! What holds when the operator says nothing, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    AuthConfig, Config, DedicatedConfig, DocumentConfig, LimitsConfig, ListenConfig, LogConfig, LogFormat,
    PerKeyConfig, ServerConfig, ServerName, TransportConfig,
};

/// Loopback: without an API key everything is open, so nobody else may reach it unless asked for.
/// (mcpo listens on every address.)
pub const HOST: &str = "127.0.0.1";
/// As mcpo.
pub const PORT: u16 = 8000;
/// As mcpo.
pub const NAME: &str = "MCP OpenAPI Proxy";
/// As mcpo.
pub const DESCRIPTION: &str = "Automatically generated API from MCP Tool Schemas";
/// As mcpo.
pub const VERSION: &str = "1.0";
/// Every server and call at one line each, nothing of our inner workings.
pub const LOG_LEVEL: &str = "info";
/// Arguments are JSON written by a model or a program; files in base64 of some megabytes still fit.
pub const BODY_BYTES: usize = 10 * 1024 * 1024;
/// Four of the largest with what becomes of them; the machine that this runs on has other work, too.
pub const BODIES_BYTES: usize = 128 * 1024 * 1024;
/// Screenshots and whole documents come back in results; above this a server has lost its way.
pub const RESULT_BYTES: usize = 64 * 1024 * 1024;
/// Two of the largest at one time, or hundreds of documents; the rest of 512 MB is for bodies and computations.
pub const RESULTS_BYTES: usize = 128 * 1024 * 1024;
/// Without progress. Open WebUI and the MCP SDKs give a call five minutes too.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(300);
/// A first start through a package runner downloads the server.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Below the 1024 descriptors of a plain shell the system's limit decides; above, this one.
pub const CONNECTIONS: usize = 4096;
/// A request head is one packet; ten seconds forgive any link and starve out a slow attack.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any client pauses in the middle of its arguments.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the clients' pools keep their connections (aiohttp 15 s, httpx 5 s, undici 4 s), so that it is
/// they who close, and no request is lost to a close that crosses it.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Below the 90 seconds after which systemd kills, and what most calls need.
pub const DRAIN: Duration = Duration::from_secs(20);
/// A session costs a kilobyte; a client that lost its own opens another in one round trip.
pub const SESSIONS: usize = 10_000;
/// Of one of several keys: more than a team's editors and agents have open.
pub const SESSIONS_PER_KEY: usize = 1000;
/// An editor that is left open over lunch keeps its session.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);
/// What a talkative server says while it works; ten seconds of it may come at once, for a long trace.
pub const STDERR_LINES: usize = 100;
/// Calls in flight per server: more than any model asks for at once, few enough for a small server.
pub const CONCURRENCY: usize = 64;
/// One of several keys leaves one turn in so many to the others.
pub const CONCURRENCY_LEFT: usize = 4;
/// Callers with forwarded headers that have a connection to one server at one time: each costs the server a
/// session, and a few teams are smaller than this.
pub const IDENTITIES: usize = 256;
/// Of one of several keys: a household or a team is smaller than this.
pub const IDENTITIES_PER_KEY: usize = 64;
/// Processes that serve one caller each, of all servers: each takes as much memory as the server itself.
pub const PROCESSES: usize = 64;
/// Of one of several keys: some conversations at a time, at some servers each.
pub const PROCESSES_PER_KEY: usize = 16;
/// Calls at one time, of all servers. One that waits holds its head and its body, each up to 64 KB, and over HTTP/2 a
/// connection brings hundreds.
pub const CALLS: usize = 3000;
/// Of one of several keys: more than any of them can use, and a few such keys leave some to others.
pub const CALLS_PER_KEY: usize = 1000;
/// Streams that wait for changes: as many as there can be connections, about, since HTTP/1.1 needs one for each.
pub const LISTENERS: usize = 4000;
/// Of one of several keys: one for each of its sessions.
pub const LISTENERS_PER_KEY: usize = 1000;
/// Resources that are followed: each is asked of its server once, and again over each new connection.
pub const FOLLOWED: usize = 8192;
/// Of one of several keys: two sessions that follow all that they may.
pub const FOLLOWED_PER_KEY: usize = 2048;
/// Conversations pause for minutes; a session that is opened anew costs one round trip or two.
pub const IDENTITY_IDLE: Duration = Duration::from_secs(300);
/// Names of tools and prompts at `/mcp` and `/v1`: clients put their own before them (Claude Code makes
/// `mcp__gateway__NAME`), and models' interfaces take 64 characters of it all.
pub const EXPOSED_NAME_LENGTH: usize = 50;
/// The name of the built-in server when nothing is configured.
pub const BUILTIN_NAME: &str = "gateway";

impl Default for Config {
    /// What `mcpo` without arguments serves: the built-in server alone, open, on loopback.
    fn default() -> Self {
        let name = ServerName::new(BUILTIN_NAME).expect("the built-in server's name is not reserved");
        Self {
            listen: ListenConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            document: DocumentConfig::default(),
            log: LogConfig::default(),
            audit: None,
            state_dir: None,
            exposed_name_length: EXPOSED_NAME_LENGTH,
            lock_file: None,
            single: false,
            servers: vec![ServerConfig::new(name, TransportConfig::Gateway)],
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            host: HOST.to_owned(),
            port: PORT,
            tls: None,
            path_prefix: "/".to_owned(),
            root_path: String::new(),
            cors_allow_origins: vec!["*".to_owned()],
            allowed_hosts: Vec::new(),
            public_url: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES,
            result_bytes: RESULT_BYTES,
            results_bytes: RESULTS_BYTES,
            call_timeout: CALL_TIMEOUT,
            start_timeout: START_TIMEOUT,
            connections: CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            bodies_bytes: BODIES_BYTES,
            idle_timeout: IDLE_TIMEOUT,
            drain: DRAIN,
            sessions: SESSIONS,
            session_idle: SESSION_IDLE,
            processes: PROCESSES,
            calls: CALLS,
            listeners: LISTENERS,
            followed: FOLLOWED,
            per_key: PerKeyConfig::default(),
            stderr_lines: STDERR_LINES,
        }
    }
}

impl Default for DocumentConfig {
    fn default() -> Self {
        Self { name: NAME.to_owned(), description: DESCRIPTION.to_owned(), version: VERSION.to_owned() }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LOG_LEVEL.to_owned(), format: LogFormat::Auto }
    }
}

impl ServerConfig {
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
            concurrency: CONCURRENCY,
            rate: None,
            protocol: None,
            revision: None,
            dedicated: DedicatedConfig { most: IDENTITIES, idle: IDENTITY_IDLE },
            forwarding: None,
        }
    }
}
