//! How a server is reached, as plain values.

use std::path::PathBuf;

use super::secret::SecretText;

/// The values of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransportType {
    Stdio,
    Sse,
    StreamableHttp,
    Socket,
    Gateway,
}

/// Every spelling of a type, in any case; the first of each is its name.
pub(super) const TRANSPORT_TYPES: [(&str, TransportType); 8] = [
    ("stdio", TransportType::Stdio),
    ("sse", TransportType::Sse),
    ("streamable-http", TransportType::StreamableHttp),
    ("streamable_http", TransportType::StreamableHttp),
    ("streamablehttp", TransportType::StreamableHttp),
    ("http", TransportType::StreamableHttp),
    ("socket", TransportType::Socket),
    ("gateway", TransportType::Gateway),
];

/// How the gateway reaches one server.
#[derive(Debug, Clone, PartialEq)]
pub enum TransportConfig {
    Stdio(StdioConfig),
    StreamableHttp(HttpConfig),
    Sse(HttpConfig),
    /// Streamable HTTP or SSE, whichever the server speaks.
    Http(HttpConfig),
    Socket(SocketConfig),
    /// The gateway's own tools (list, search, describe and call tools), served in the process.
    Gateway,
}

impl TransportConfig {
    /// The name of the transport in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::StreamableHttp(_) => "streamable-http",
            Self::Sse(_) => "sse",
            Self::Http(_) => "http",
            Self::Socket(_) => "socket",
            Self::Gateway => "gateway",
        }
    }

    /// The remote server, when it is reached over HTTP.
    pub fn http(&self) -> Option<&HttpConfig> {
        match self {
            Self::StreamableHttp(http) | Self::Sse(http) | Self::Http(http) => Some(http),
            Self::Stdio(_) | Self::Socket(_) | Self::Gateway => None,
        }
    }

    /// How many addresses there are to choose from.
    pub fn address_count(&self) -> usize {
        self.http().map_or(1, |http| http.urls().count())
    }

    /// Whether requests and answers share one channel, which the server reads in order.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Self::Stdio(_) | Self::Socket(_))
    }
}

/// A child process that speaks newline-delimited JSON-RPC.
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub struct StdioConfig {
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<(String, SecretText)>,
    /// A dotenv file, read each time the server is started; weaker than `pass_env` and `env`.
    pub env_file: Option<PathBuf>,
    /// Variables of the gateway's own environment that the child gets besides the short allow-list.
    pub pass_env: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// Variables of `-e` and `--env-path` for every child; weaker than `env_file`, `pass_env` and `env`.
    pub given_env: Vec<(String, SecretText)>,
}

/// A remote server.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    pub url: SecretText,
    /// Further addresses of the same server, in the order in which they are tried.
    pub other_urls: Vec<SecretText>,
    pub headers: Vec<(String, SecretText)>,
    /// How the gateway gets tokens for the server, when it signs in by OAuth.
    pub oauth: Option<OAuthConfig>,
}

impl HttpConfig {
    /// Its addresses, in the order in which they are tried.
    pub fn urls(&self) -> impl Iterator<Item = &SecretText> {
        std::iter::once(&self.url).chain(&self.other_urls)
    }

    /// Every text that may refer to secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretText> {
        let proofs =
            self.oauth.iter().flat_map(|oauth| [&oauth.client_secret, &oauth.private_key, &oauth.assertion]);
        let provider = self.oauth.iter().filter_map(|oauth| oauth.identity_provider.as_ref());
        let provider = provider.flat_map(|provider| [&provider.client_secret, &provider.private_key]);
        let headers = self.headers.iter().map(|(_, value)| value);
        self.urls().chain(headers).chain(proofs.chain(provider).flatten())
    }
}

/// OAuth 2.1 towards one remote server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OAuthConfig {
    pub grant: OAuthGrant,
    /// A client that was registered by hand; without one the gateway registers itself.
    pub client_id: Option<String>,
    pub client_secret: Option<SecretText>,
    /// A private key in PEM (PKCS#8) that authenticates the client, in place of a secret.
    pub private_key: Option<SecretText>,
    /// The token that is exchanged for one of the server; read anew each time.
    pub assertion: Option<SecretText>,
    /// The type of the token that is exchanged (RFC 8693, section 3); `None` where the grant knows it.
    pub subject_type: Option<String>,
    /// The name that the authorization server knows the server by, for a token exchange.
    pub audience: Option<String>,
    /// Where the grant `id_jag` gets its assertions.
    pub identity_provider: Option<IdentityProviderConfig>,
    /// Each user of the gateway has tokens of its own, and so a session of its own at the server.
    pub per_user: bool,
    /// Scopes to ask for; empty asks for those that the server names.
    pub scopes: Vec<String>,
    /// Where the document stands that describes the gateway as a client (client-id metadata).
    pub client_metadata_url: Option<String>,
    /// The only authorization server that may be used.
    pub issuer: Option<String>,
    /// Whether an authorization server without announced PKCE is taken to have it.
    pub assume_pkce: bool,
    /// Whether tokens are bound to a key of the gateway (DPoP); `None` leaves it to the server.
    pub dpop: Option<bool>,
}

/// The identity provider that vouches for users at other authorization servers.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityProviderConfig {
    pub issuer: String,
    /// The gateway as its client.
    pub client_id: String,
    pub client_secret: Option<SecretText>,
    pub private_key: Option<SecretText>,
}

/// The grant by which a token is obtained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OAuthGrant {
    #[default]
    /// A person signs in with a browser; the token then serves all callers of the gateway.
    AuthorizationCode,
    /// The gateway signs in as itself.
    ClientCredentials,
    /// The gateway presents an assertion about its workload (RFC 7523, section 2.1).
    JwtBearer,
    /// The gateway exchanges another token (RFC 8693), such as the caller's own.
    TokenExchange,
    /// The gateway has an identity provider vouch for a user (enterprise-managed authorization).
    IdJag,
}

/// Every spelling of a grant.
pub(super) const GRANTS: [(&str, OAuthGrant); 7] = [
    ("authorization_code", OAuthGrant::AuthorizationCode),
    ("client_credentials", OAuthGrant::ClientCredentials),
    ("jwt_bearer", OAuthGrant::JwtBearer),
    ("urn:ietf:params:oauth:grant-type:jwt-bearer", OAuthGrant::JwtBearer),
    ("token_exchange", OAuthGrant::TokenExchange),
    ("urn:ietf:params:oauth:grant-type:token-exchange", OAuthGrant::TokenExchange),
    ("id_jag", OAuthGrant::IdJag),
];

/// A Unix socket that speaks the framing of stdio.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketConfig {
    pub path: PathBuf,
}
