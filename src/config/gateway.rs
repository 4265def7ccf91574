//! The whole configuration of one run, as plain values.

use std::path::PathBuf;

use super::audit::AuditConfig;
use super::auth::AuthConfig;
use super::defaults;
use super::keys::{DocumentConfig, LimitsConfig, ListenConfig, LogConfig, ReplicaConfig};
use super::name::ServerName;
use super::secret::SecretText;
use super::server::ServerConfig;
use super::shared::SharedConfig;
use super::transport::TransportConfig;

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
    /// `None` for a gateway that has no replicas, or whose replicas share nothing.
    pub shared: Option<SharedConfig>,
    pub replica: ReplicaConfig,
    /// Where tool lists are kept across restarts; [`environment::state_directory`] unless it was set.
    /// `None` (no home, or set to nothing) keeps them in memory only.
    pub state_dir: Option<PathBuf>,
    /// The secrets that seal sessions, the first for new ones; empty: one in the state directory.
    pub session_keys: Vec<SecretText>,
    /// The longest name that a tool or a prompt has among those of all servers, in bytes; 32 to 64.
    pub exposed_name_length: usize,
    /// The file that tools are held to, when there is one; its content stands in [`ServerConfig::lock`].
    pub lock_file: Option<PathBuf>,
    /// `mcpo -- command`: one server, its tools at `POST /{tool}` (as in mcpo 0.0.20).
    pub single: bool,
    /// Servers in the order of the file.
    pub servers: Vec<ServerConfig>,
}

impl Default for Config {
    /// The configuration of `mcpo` without arguments: the built-in server alone, open, on loopback.
    fn default() -> Self {
        let name =
            ServerName::new(defaults::BUILTIN_NAME).expect("the built-in server's name is not reserved");
        Self {
            listen: ListenConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            document: DocumentConfig::default(),
            log: LogConfig::default(),
            audit: None,
            shared: None,
            replica: ReplicaConfig::default(),
            state_dir: None,
            session_keys: Vec::new(),
            exposed_name_length: defaults::EXPOSED_NAME_LENGTH,
            lock_file: None,
            single: false,
            servers: vec![ServerConfig::new(name, TransportConfig::Gateway)],
        }
    }
}
