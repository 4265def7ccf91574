//! API keys, users and client profiles, as plain values.

use std::time::Duration;

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
    /// The issuers whose users may call.
    pub issuers: Vec<IssuerConfig>,
    /// The gateway's own authorization server, where API keys are typed in.
    pub key_sign_in: Option<KeySignInConfig>,
}

/// The gateway's own authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySignInConfig {
    /// How long an access token lasts.
    pub token_lifetime: Duration,
}

impl AuthConfig {
    /// Whether calls need neither a key nor a user, because none are configured.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.issuers.is_empty()
    }

    /// The rights of the keys and the users, one for each entry.
    pub fn rights(&self) -> impl Iterator<Item = &RightsConfig> {
        let behind_keys = self.keys.iter().filter_map(|key| Some(&key.open_webui.as_ref()?.users));
        let users = self.issuers.iter().map(|issuer| &issuer.users).chain(behind_keys).flatten();
        self.keys.iter().map(|key| &key.rights).chain(users.map(|user| &user.rights))
    }
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
    pub rights: RightsConfig,
    /// The users behind it, when it is the key of an Open WebUI.
    pub open_webui: Option<OpenWebUiConfig>,
}

/// The users of an Open WebUI, which it names in a signed header.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenWebUiConfig {
    /// Its `FORWARD_USER_INFO_HEADER_JWT_SECRET`.
    pub secret: SecretText,
    /// The first entry that matches a user gives its rights.
    pub users: Vec<UserConfig>,
}

/// An authorization server outside whose access tokens are accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerConfig {
    /// Its identifier, as it stands in `iss` of its tokens.
    pub issuer: String,
    /// The values of which a token's `aud` must hold one; empty accepts the gateway's own addresses.
    pub audience: Vec<String>,
    /// The client that asks about opaque tokens; without it they are refused.
    pub client: Option<IntrospectionClient>,
    /// The first entry that matches a user gives its rights.
    pub users: Vec<UserConfig>,
}

/// The gateway as a client of an issuer, for token introspection (RFC 7662).
#[derive(Debug, Clone, PartialEq)]
pub struct IntrospectionClient {
    pub id: String,
    pub secret: SecretText,
}

/// The users that hold these claims, and what they open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserConfig {
    /// All of them must be there, written as text; none matches every user. A list in a token must hold the value.
    pub claims: Vec<(String, String)>,
    pub rights: RightsConfig,
}

/// The rights of an API key or a user, and their rates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RightsConfig {
    /// Server names or globs; `None` opens all servers.
    pub servers: Option<Vec<String>>,
    /// Globs over `SERVER_TOOL`, both names in full; `None` opens all tools of the servers.
    pub tools: Option<Vec<String>>,
    /// The name of the profile that holds for every request.
    pub profile: Option<String>,
    /// Only tools that are read-only (their `readOnlyHint`, or the server entry's `readOnlyTools`).
    pub read_only: bool,
    /// Sees URLs, stderr tails and full reasons in `/servers`.
    pub admin: bool,
    /// Reads `/metrics`, which name every server and tool, also those that are not opened. A caller to whom all are open
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
        Self { name: name.to_owned(), key, rights: RightsConfig::default(), open_webui: None }
    }
}
