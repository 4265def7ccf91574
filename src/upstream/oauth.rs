//! OAuth 2.1 towards servers (specification 2026-07-28, "Authorization"): tokens are got, kept, renewed and given
//! along, and people are sent to sign in where that needs them.
//!
//! rmcp's `auth` carries the protocol: discovery (RFC 9728, RFC 8414, OpenID Connect), the choice of scopes, dynamic
//! registration, PKCE, the check of `iss`, the exchange of codes and refresh tokens. Ours are the parts around it: the
//! HTTP client with its bounds ([`http`]), what real servers answer otherwise ([`answers`]), what is kept on disk ([`vault`]), one renewal for all who wait for it
//! ([`renewal`]), also across reloads ([`vaults`]), and the schedule by which tokens are renewed though nobody calls
//! ([`ahead`]), sign-ins that are bound to a browser ([`sign_in`]), and client credentials ([`credentials`]), whose proof by
//! a private key rmcp would bring a second cryptographic library for.
//!
//! A server's requests ask [`Authorizer::authorization`] for the header, and bring a refusal to
//! [`Authorizer::refused`]. Nothing here is logged but names, addresses and the codes of errors.

mod ahead;
mod answers;
mod assertion;
mod credentials;
mod discovery;
mod http;
mod renewal;
pub mod sign_in;
mod store;
mod token;
mod vault;
mod vaults;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ::http::HeaderValue;
use arc_swap::{ArcSwapOption, Guard};
use rmcp::transport::auth::AuthError;
use tokio::sync::{Mutex, Notify, OnceCell, Semaphore};
use tokio_util::task::TaskTracker;
use url::Url;

use super::Changes;
use super::error::EndReason;
use super::http_client::HttpClients;
use super::kept::Turn;
use crate::config::{HttpConfig, OAuthConfig, OAuthGrant, ServerConfig, ServerName, TransportConfig};
use discovery::Found;
use sign_in::SignIns;
use token::Token;
use vault::Vault;
use vaults::Vaults;

/// The path below `publicUrl` that authorization servers send browsers back to.
pub const CALLBACK: &str = "/oauth/callback";

/// How long all of one renewal may take.
const RENEWAL_LIMIT: Duration = Duration::from_secs(60);

/// What all authorizers share.
#[derive(Debug, Default)]
pub struct OAuth {
    clients: Arc<HttpClients>,
    /// Where tokens are kept; without it they end with the gateway.
    directory: Option<PathBuf>,
    turn: Turn,
    /// `publicUrl`, without a slash at its end.
    public_url: ArcSwapOption<String>,
    sign_ins: SignIns,
    vaults: Vaults,
    /// Renewals under way: they go on when the call that began them is given up, since a refresh token that was sent
    /// may be void and its successor must not be lost.
    tasks: TaskTracker,
}

impl OAuth {
    pub fn new(clients: Arc<HttpClients>, state_dir: Option<PathBuf>, turn: Turn) -> Self {
        let directory = state_dir.map(|directory| directory.join("oauth"));
        Self { clients, directory, turn, ..Self::default() }
    }

    /// `url` is the gateway's own address from now on.
    pub fn set_public_url(&self, url: Option<&str>) {
        self.public_url.store(url.map(|url| Arc::new(url.trim_end_matches('/').to_owned())));
    }

    /// The sign-ins that were begun and not ended.
    pub fn sign_ins(&self) -> &SignIns {
        &self.sign_ins
    }

    /// `path` below the gateway's own address.
    pub fn public(&self, path: &str) -> Option<String> {
        self.public_url.load().as_ref().map(|url| format!("{url}{path}"))
    }

    /// Waits for the renewals under way.
    pub async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Gets and keeps the tokens of one server.
pub struct Authorizer {
    server: ServerName,
    http: HttpConfig,
    config: OAuthConfig,
    oauth: Arc<OAuth>,
    vault: Arc<Vault>,
    /// The server's address, once it was read.
    url: OnceCell<Url>,
    desk: Mutex<Desk>,
    /// What the server wants somebody to sign in for.
    wanted: ArcSwapOption<Wanted>,
    /// The turn of the one renewal ahead of time.
    renewing: Arc<Semaphore>,
    /// The tokens are forgotten, since they cannot be renewed any more.
    lost: Notify,
    changes: Arc<Changes>,
}

/// What a renewal and a sign-in work with; one of them at a time.
#[derive(Default)]
struct Desk {
    /// The authorization server, once it is known.
    found: Option<Found>,
    /// The `WWW-Authenticate` of the last refusal: it says where to sign in, and for what.
    challenge: Option<String>,
    /// When the last renewal failed.
    failed: Option<Instant>,
    /// Scopes that the last token was asked with, and those that the server wanted beyond its first ones.
    asked: Vec<String>,
    more: Vec<String>,
    /// A sign-in was begun and has not come back: perhaps the authorization server no longer knows the client.
    unreturned: bool,
}

/// What a sign-in has to bring.
#[derive(Debug, Default)]
struct Wanted {
    /// Scopes that the token lacks; empty when there is no token.
    scopes: Vec<String>,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authorizer").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why OAuth got no further. The text is for administrators; it holds no token, code or secret.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    #[error(
        "`publicUrl` is not set, and people sign in through the gateway's own address: set it to the address that \
             their browsers reach the gateway by, such as https://mcp.example.org"
    )]
    NoPublicUrl,
    #[error("{0}")]
    Secret(String),
    #[error("{0}")]
    Url(String),
    #[error("the authorization server `{found}` is not the one that `oauth.issuer` names, `{wanted}`")]
    OtherIssuer { wanted: String, found: String },
    #[error("{0}")]
    Protocol(String),
    /// Nothing that can be had without a person.
    #[error("somebody has to sign in")]
    SignIn,
}

impl From<AuthError> for OAuthError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_) => Self::SignIn,
            other => Self::Protocol(chain(&other)),
        }
    }
}

/// The error with its causes: rmcp's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

impl Authorizer {
    /// The authorizer of an entry that asks for one.
    pub fn of(entry: &ServerConfig, oauth: &Arc<OAuth>, changes: Arc<Changes>) -> Option<Arc<Self>> {
        let (TransportConfig::StreamableHttp(http)
        | TransportConfig::Sse(http)
        | TransportConfig::Http(http)) = &entry.transport
        else {
            return None;
        };
        let config = http.oauth.clone()?;
        let vault = Vault::new(oauth.directory.as_deref(), &entry.name, http, oauth.turn.clone());
        // Tokens without a person are not kept, and are of the entry's own secret and scopes.
        let vault = match config.grant {
            OAuthGrant::AuthorizationCode => oauth.vaults.shared(vault),
            OAuthGrant::ClientCredentials | OAuthGrant::JwtBearer => Arc::new(vault),
        };
        Some(Arc::new(Self {
            server: entry.name.clone(),
            http: http.clone(),
            config,
            oauth: oauth.clone(),
            vault,
            url: OnceCell::new(),
            desk: Mutex::default(),
            wanted: ArcSwapOption::empty(),
            renewing: Arc::new(Semaphore::new(1)),
            lost: Notify::new(),
            changes,
        }))
    }

    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// Where an administrator begins the sign-in that the server waits for; `None` when it waits for none.
    pub fn sign_in_link(&self) -> Option<String> {
        self.wanted.load().as_ref()?;
        self.link()
    }

    fn link(&self) -> Option<String> {
        let segment =
            percent_encoding::utf8_percent_encode(self.server.as_str(), percent_encoding::NON_ALPHANUMERIC);
        self.oauth.public(&format!("/oauth/{segment}/start"))
    }

    /// Whether people have to sign in for this server, now and then.
    pub fn is_for_people(&self) -> bool {
        self.config.grant == OAuthGrant::AuthorizationCode
    }

    /// Prepares for the first request.
    ///
    /// # Errors
    ///
    /// What is missing in the configuration.
    pub async fn prepare(&self) -> Result<(), EndReason> {
        if self.is_for_people() && self.oauth.public(CALLBACK).is_none() {
            return Err(EndReason::OAuth(OAuthError::NoPublicUrl.to_string()));
        }
        self.vault.load().await;
        Ok(())
    }

    /// The header for the next request; `None` while there is no token, when a request without one finds out where
    /// to get it. Takes no lock and waits for nothing but a token that is about to expire.
    ///
    /// # Errors
    ///
    /// The token has expired and no other could be got.
    pub async fn authorization(self: &Arc<Self>) -> Result<Option<HeaderValue>, EndReason> {
        let Some(token) = &*self.vault.token() else { return Ok(None) };
        if !token.is_due() {
            return Ok(Some(token.header.clone()));
        }
        self.renewed_before_expiry(token).await.map(|token| Some(token.header.clone()))
    }

    /// What to do about a server that refused `used` with `status` and `challenge`: the header to try again with, or
    /// `None` when the refusal stands.
    ///
    /// # Errors
    ///
    /// Nobody but a person can get a token, or none can be got.
    pub async fn refused(
        self: &Arc<Self>,
        status: ::http::StatusCode,
        challenges: Vec<String>,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, EndReason> {
        self.renewed_after_refusal(status, challenges, used).await
    }

    /// The better reason for a failed start: a sign-in that is waited for says more than the refusal that asked for it.
    pub fn explained(&self, reason: EndReason) -> EndReason {
        match reason {
            EndReason::Status(_) | EndReason::Handshake { .. } if self.wanted.load().is_some() => {
                self.waits_for_sign_in()
            }
            other => other,
        }
    }

    /// The reason of a server that waits for somebody to sign in.
    fn waits_for_sign_in(&self) -> EndReason {
        match self.link() {
            Some(link) => EndReason::SignIn { link },
            None => EndReason::OAuth(OAuthError::NoPublicUrl.to_string()),
        }
    }

    fn reason(&self, error: OAuthError) -> EndReason {
        match error {
            OAuthError::SignIn if self.is_for_people() => self.waits_for_sign_in(),
            OAuthError::Secret(text) => EndReason::Secret(text),
            OAuthError::Url(text) => EndReason::Url(text),
            other => EndReason::OAuth(other.to_string()),
        }
    }

    /// Somebody has to sign in; `scopes` are those that the token lacks.
    fn want_sign_in(&self, scopes: Vec<String>) {
        if self.is_for_people() {
            self.wanted.store(Some(Arc::new(Wanted { scopes })));
            self.changes.tell();
        }
    }

    /// When the token ends that is in use; `None` without one, or when nobody said.
    pub fn token_ends(&self) -> Option<SystemTime> {
        self.token().as_ref()?.ends()
    }

    fn token(&self) -> Guard<Option<Arc<Token>>> {
        self.vault.token()
    }
}
