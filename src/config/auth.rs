//! API keys and client profiles, as plain values.

use super::rate::RateConfig;
use super::secret::SecretText;

/// API keys and what they protect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuthConfig {
    /// Empty: everything is open, on loopback.
    pub keys: Vec<ApiKeyConfig>,
    /// Documents and pages need a key too.
    pub strict: bool,
    /// Parts of the servers and tools that a client may choose to see; in the order of the file.
    pub profiles: Vec<ProfileConfig>,
}

/// A client profile: a part of the servers and tools for one kind of client.
/// Clients bear only so many tools.
/// A profile is no right: it never opens more than the key does.
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
    /// Reads `/metrics`, which name every server and tool, also those that the key does not open. A key that opens all of them
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
