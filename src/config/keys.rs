//! The table of keys: every setting of the gateway, one line each, and beside it the keys of servers, API keys and profiles.
//!
//! A new setting is a new row here: the field, its default, the variable, the messages about unknown keys, `mcpo schema`
//! and the tables of the README follow from it. For the keys of `listen`, `limits` and each API key that is all; others
//! are also read in `load.rs`, kept in `gateway.rs` and named in `plan.rs`. A test writes the tables and the schema anew
//! with `MCPO_TESTS_WRITE=1`. [`entry`] is the table of an entry of `mcpServers`.

pub(super) mod entry;
pub(super) mod nested;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit::AuditTarget;
use super::defaults;
use super::key::{ConfigKey, Effect, NAMED, Stability, ValueShape};
use super::layers::Layers;
use super::lock::DriftPolicy;
use super::log::LogFormat;
use super::problem::Problems;
use super::reader::{
    AUDIT_ARGUMENTS, AUDIT_TARGET, COUNT, DRIFT, HOST, HOST_PATTERNS, KEY_PREFIX, LENGTH, LOG_FORMAT,
    LOG_LEVEL, ORIGINS, PATH, PATH_PREFIX, PORT, PUBLIC_URL, ROOT_PATH, SECONDS, SECRET, SECRETS, SOME_COUNT,
    STORE, SWITCH, TEXT,
};
use super::replica::{REPLICA_NAME, REPLICA_URL};
use super::secret::SecretText;
use super::section::{SettingChange, SettingGroup, section};
use super::tls::TlsConfig;

section! {
    /// Where and how the one port is opened.
    pub struct ListenConfig {
        // Loopback: without an API key everything is open, so only this machine may reach it unless asked for. (mcpo
        // listens on every address.)
        host: String = "127.0.0.1".to_owned(), "host" HOST Restart Stable
            "Address to listen on, or `unix:` and the absolute path of a socket (mode 0660)";
        // As mcpo.
        port: u16 = 8000, "port" PORT Restart Stable
            "Port to listen on";
        cors_allow_origins: Vec<String> = vec!["*".to_owned()], "corsAllowOrigins" ORIGINS AtOnce Stable
            "Origins of pages that may call; `*` counts with an API key only";
        allowed_hosts: Vec<String> = Vec::new(), "allowedHosts" HOST_PATTERNS AtOnce Stable
            "Further host names (with `*` and `?`) that are served while no API key is configured";
        public_url: Option<String> = None, "publicUrl" PUBLIC_URL AtOnce Stable
            "Address that users type, for links, sign-ins and the rule for hosts";
        path_prefix: String = "/".to_owned(), "pathPrefix" PATH_PREFIX AtOnce Stable
            "Path under which the servers are; documents of the whole gateway answer both with and without it";
        root_path: String = String::new(), "rootPath" ROOT_PATH AtOnce Stable
            "Path that a reverse proxy strips";
    }
    also {
        /// `tls`, when both files are named.
        tls: Option<TlsConfig> = None;
    }
}

impl ListenConfig {
    /// The path of the Unix socket to listen on, when `host` names one in place of an address.
    pub fn unix_path(&self) -> Option<&Path> {
        self.host.strip_prefix("unix:").map(Path::new)
    }
}

section! {
    /// The PEM files of `tls`.
    pub(super) struct TlsSettings {
        certificate: Option<PathBuf> = None, "tls.certificate" PATH AtOnce Stable
            "PEM file of the certificate chain; `tls` itself counts only after a restart";
        key: Option<PathBuf> = None, "tls.key" PATH AtOnce Stable
            "PEM file of the private key";
    }
}

section! {
    /// The one API key, and what it protects.
    pub(super) struct AccessSettings {
        api_key: Option<SecretText> = None, "apiKey" SECRET AtOnce Stable
            "One API key that opens everything; `apiKeys` has named ones";
        strict: bool = false, "strictAuth" SWITCH AtOnce Stable
            "Documents and pages need a key, too";
    }
}

section! {
    /// What is kept, and what is shown of tools.
    pub(super) struct ToolSettings {
        state_dir: Option<PathBuf> = None, "stateDir" PATH Restart Stable
            "Directory of tool lists, tokens and sessions; empty for none [default: the user's or the unit's]";
        session_keys: Vec<SecretText> = Vec::new(), "sessionKey" SECRETS Restart Stable
            "Secret that seals the sessions of MCP clients, or a list: the first seals, all open [default: one in `stateDir`]";
        exposed_name_length: usize = defaults::EXPOSED_NAME_LENGTH, "exposedNameLength" LENGTH AtOnce Unstable
            "Longest name of a tool among those of all servers, in bytes, from 32 to 64";
    }
}

section! {
    /// The store that replicas share.
    pub(super) struct SharedSettings {
        address: Option<SecretText> = None, "shared" STORE Restart Stable
            "Redis that all replicas of this gateway share, `redis://` or `rediss://` with TLS: limits, tokens, sign-ins and ended sessions are those of all";
        prefix: String = "mcpo:".to_owned(), "sharedPrefix" KEY_PREFIX Restart Stable
            "What the keys there begin with; gateways that are no replicas of each other need different ones";
    }
}

section! {
    /// This gateway among its replicas.
    pub struct ReplicaConfig {
        name: Option<String> = None, "replica.name" REPLICA_NAME Restart Stable
            "Name of this replica, which no other has [default: host name and port]";
        url: Option<String> = None, "replica.url" REPLICA_URL Restart Stable
            "Where the other replicas reach this one, past any balancer [default: where it listens]";
    }
}

section! {
    /// Bounds on size, number and time.
    pub struct LimitsConfig {
        // Open WebUI and the MCP SDKs give a call five minutes too.
        call_timeout: Duration = Duration::from_secs(300), "timeout" SECONDS AtOnce Stable
            "How long a call may take without progress, unless its server has its own `timeout`";
        // Arguments are JSON written by a model or a program; files in base64 of some megabytes still fit.
        body_bytes: usize = 10 << 20, "limits.bodyBytes" COUNT AtOnce Stable
            "Largest request body, in bytes; above it 413";
        // Screenshots and whole documents come back in results; above this a server has lost its way.
        result_bytes: usize = 64 << 20, "limits.resultBytes" COUNT NextServerStart Stable
            "Largest single message accepted from a server, in bytes; above it 502";
        // Two of the largest at one time, or hundreds of documents; the rest of 512 MB is for bodies and computations.
        results_bytes: usize = 128 << 20, "limits.resultsBytes" COUNT AtOnce Unstable
            "All results over 64 KB together until their clients have them, one key half of it; then they wait, then 503";
        // A first start through a package runner downloads the server.
        start_timeout: Duration = Duration::from_secs(60), "limits.startTimeout" SECONDS NextServerStart Stable
            "How long a server may take from its start to its tool list";
        // Below the 1024 descriptors of a plain shell the system's limit decides; above, this one.
        connections: usize = 4096, "limits.connections" COUNT AtOnce Stable
            "Open client connections at one time";
        // A request head is one packet; ten seconds forgive any link and starve out a slow attack.
        header_timeout: Duration = Duration::from_secs(10), "limits.headerTimeout" SECONDS AtOnce Stable
            "How long a client may take to send its request head";
        // Four of the largest with what becomes of them; the machine that this runs on has other work, too.
        bodies_bytes: usize = 128 << 20, "limits.bodiesBytes" COUNT AtOnce Unstable
            "All bodies over 64 KB together, three times their length, one key half of it; then they wait, then 503";
        // Longer than any client pauses in the middle of its arguments.
        body_timeout: Duration = Duration::from_secs(30), "limits.bodyTimeout" SECONDS AtOnce Stable
            "How long a client may send nothing of its body, and may take for a small one whole";
        // Longer than the clients' pools keep their connections (aiohttp 15 s, httpx 5 s, undici 4 s), so that the client
        // closes, and no request is lost to a close that crosses it.
        idle_timeout: Duration = Duration::from_secs(75), "limits.idleTimeout" SECONDS AtOnce Stable
            "How long a connection may rest between requests, or take nothing of an answer, at least";
        // Below the 90 seconds after which systemd kills, and what most calls need.
        drain: Duration = Duration::from_secs(20), "limits.drain" SECONDS AtOnce Stable
            "How long calls in flight may go on after the gateway was told to stop";
        // A balancer that asks each second and wants three refusals needs three.
        leave: Duration = Duration::ZERO, "limits.leave" SECONDS AtOnce Stable
            "How long `/ready` says no before the port closes, after the gateway was told to stop";
        // A session costs a kilobyte; a client that lost its own opens another in one round trip.
        sessions: usize = 10_000, "limits.sessions" COUNT AtOnce Stable
            "MCP sessions of clients at one time; beyond it one of the caller with most ends, the one that rested longest";
        // An editor that is left open over lunch keeps its session.
        session_idle: Duration = Duration::from_secs(3600), "limits.sessionIdle" SECONDS AtOnce Stable
            "How long an MCP session of a client may rest";
        processes: usize = defaults::PROCESSES, "limits.processes" COUNT AtOnce Unstable
            "Processes that serve one caller each, of all servers";
        // One that waits holds its head and its body, each up to 64 KB, and over HTTP/2 a connection brings hundreds.
        calls: usize = 3000, "limits.calls" COUNT AtOnce Stable
            "Calls at one time, of all servers, those that wait for their turn included";
        // As many as there can be connections, about, since HTTP/1.1 needs one for each.
        listeners: usize = 4000, "limits.listeners" COUNT AtOnce Unstable
            "Streams that wait for changes";
        // Each is asked of its server once, and again over each new connection.
        followed: usize = 8192, "limits.followed" COUNT AtOnce Unstable
            "Resources that clients follow";
        stderr_lines: usize = defaults::STDERR_LINES, "limits.stderrLines" COUNT NextServerStart Unstable
            "Lines of one server's stderr that are logged in a second; ten seconds' worth may come at once";
    }
    also {
        /// The part that one key may hold of these, of the identities and of the calls in flight of each server.
        per_key: PerKeyConfig = PerKeyConfig::default();
    }
}

section! {
    /// The settings `limits.NAMEPerKey`. Where one is not set, several keys share by the default, and one key has all.
    pub struct PerKeyConfig {
        sessions: Option<usize> = None, "limits.sessionsPerKey" SOME_COUNT AtOnce Unstable
            "MCP sessions of one key [of several keys: 1000]";
        identities: Option<usize> = None, "limits.identitiesPerKey" SOME_COUNT AtOnce Unstable
            "Connections to one server that serve one caller each, of one key [of several keys: 64]";
        processes: Option<usize> = None, "limits.processesPerKey" SOME_COUNT AtOnce Unstable
            "Processes that serve one caller each, of one key [of several keys: 16]";
        concurrency: Option<usize> = None, "limits.concurrencyPerKey" SOME_COUNT AtOnce Unstable
            "Calls in flight to one server, of one key [of several keys: three quarters of the server's]";
        calls: Option<usize> = None, "limits.callsPerKey" SOME_COUNT AtOnce Unstable
            "Calls at one time, of one key [of several keys: 1000]";
        listeners: Option<usize> = None, "limits.listenersPerKey" SOME_COUNT AtOnce Unstable
            "Streams that wait for changes, of one key [of several keys: 1000]";
        followed: Option<usize> = None, "limits.followedPerKey" SOME_COUNT AtOnce Unstable
            "Resources that clients follow, of one key [of several keys: 2048]";
    }
}

section! {
    /// The defaults of an entry of `mcpServers`.
    pub(super) struct ServerDefaults {
        concurrency: usize = defaults::CONCURRENCY, "limits.concurrency" COUNT AtOnce Stable
            "Calls in flight to a server that does not say otherwise";
        identities: usize = defaults::IDENTITIES, "limits.identities" COUNT AtOnce Unstable
            "Connections to one server that serve one caller each";
        identity_idle: Duration = defaults::IDENTITY_IDLE, "limits.identityIdle" SECONDS AtOnce Unstable
            "How long such a connection is kept without a call";
        sockets: Option<PathBuf> = None, "serverSockets" PATH AtOnce Unstable
            "Directory of the sockets of the units that `mcpo units` writes; the gateway then starts no `command` itself";
    }
}

section! {
    /// The lock of tools and what happens to a tool that differs from it.
    pub(super) struct LockSettings {
        file: Option<PathBuf> = None, "lock.file" PATH AtOnce Stable
            "Lock of tools, written by `mcpo lock`";
        drift: Option<DriftPolicy> = None, "lock.drift" DRIFT AtOnce Stable
            "What happens to a tool that differs from the lock: `warn`, or `quarantine` (neither listed nor called)";
    }
}

section! {
    /// How much is logged, and in which form.
    pub struct LogConfig {
        // Every server and call at one line each, nothing of our inner workings.
        level: String = "info".to_owned(), "log.level" LOG_LEVEL Restart Stable
            "`error`, `warning`, `info`, `debug`, `trace`, or a filter such as `info,mcpo=debug`; also `LOG_LEVEL`";
        format: LogFormat = LogFormat::Auto, "log.format" LOG_FORMAT Restart Stable
            "`auto` (the journal's own protocol under systemd, else text), `text`, `json` or `journald`";
    }
}

section! {
    /// The audit trail as it is written in the file.
    pub(super) struct AuditSettings {
        to: Option<AuditTarget> = None, "audit.to" AUDIT_TARGET Restart Stable
            "Where one record a call goes: `journal` or `file`";
        file: Option<PathBuf> = None, "audit.file" PATH Restart Stable
            "File of the audit trail";
        digests: Option<bool> = None, "audit.arguments" AUDIT_ARGUMENTS Restart Stable
            "What a record says of the arguments: `none` or `digest`";
        secret: Option<SecretText> = None, "audit.secret" SECRET Restart Stable
            "Key that makes the digest an HMAC, so that arguments cannot be tried out on it";
    }
}

section! {
    /// The head of the combined document.
    pub struct DocumentConfig {
        // All as mcpo.
        name: String = "MCP OpenAPI Proxy".to_owned(), "name" TEXT AtOnce Stable
            "Title of the combined document";
        description: String = "Automatically generated API from MCP Tool Schemas".to_owned(), "description" TEXT AtOnce Stable
            "Description of the combined document";
        version: String = "1.0".to_owned(), "version" TEXT AtOnce Stable
            "Version of the combined document";
    }
}

/// Keys that hold objects by name; they cannot be set by a variable or a flag.
pub(super) const MAPS: &[ConfigKey] = &[
    ConfigKey::new("mcpServers", ValueShape::Servers, Effect::AtOnce, "The servers by name"),
    ConfigKey::new("servers", ValueShape::Servers, Effect::AtOnce, "").spelling_of("mcpServers"),
    ConfigKey::new(
        "apiKeys",
        ValueShape::Map(
            &[NAMED],
            &ValueShape::Either(&[nested::API_KEY_TEXT, ValueShape::Object(nested::API_KEY, &["key"])]),
        ),
        Effect::AtOnce,
        "API keys by name: the key alone, or an object with what it opens",
    ),
    ConfigKey::new(
        "signIn",
        ValueShape::Object(nested::SIGN_IN, &[]),
        Effect::AtOnce,
        "Users who sign in at an authorization server instead of showing an API key",
    ),
    ConfigKey::new(
        "profiles",
        ValueShape::Map(&[NAMED], &ValueShape::Object(nested::PROFILE, &[])),
        Effect::AtOnce,
        "Client profiles by name: what a client is shown that names the profile in its request, or by its key",
    ),
];

/// Groups of settings, which are objects in a file.
pub(super) const GROUPS: &[(&str, &str)] = &[
    ("tls", "TLS of the one port"),
    ("replica", "This gateway among its replicas"),
    ("limits", "Bounds on size, number and time"),
    ("lock", "The lock that tools are held to"),
    ("log", "The log"),
    ("audit", "The audit trail"),
];

/// Top-level keys that other clients write into the same file.
pub(super) const FOREIGN: &[&str] = &["inputs", "globalShortcut", "preferences", "theme"];

/// Every setting, in the order of the documentation. Each may stand in a file, in a variable, or behind a flag.
pub(super) fn settings() -> Vec<ConfigKey> {
    [
        ListenConfig::KEYS,
        AccessSettings::KEYS,
        TlsSettings::KEYS,
        ToolSettings::KEYS,
        SharedSettings::KEYS,
        ReplicaConfig::KEYS,
        LimitsConfig::KEYS,
        PerKeyConfig::KEYS,
        ServerDefaults::KEYS,
        LockSettings::KEYS,
        LogConfig::KEYS,
        AuditSettings::KEYS,
        DocumentConfig::KEYS,
    ]
    .concat()
}

/// The names of all top-level keys.
pub(super) fn top_level() -> Vec<&'static str> {
    let settings = settings();
    let settings = settings.iter().map(|key| key.parts().0.unwrap_or(key.name));
    let mut names = Vec::new();
    for name in MAPS.iter().map(|key| key.name).chain(settings) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
