//! The authorizer of one server: its tokens, its authorization server, and the sign-in that it waits for.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwapOption, Guard};
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, StoredAuthorizationState,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify, OnceCell, Semaphore};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::{HttpConfig, OAuthConfig, OAuthGrant, ServerConfig, ServerName, TransportConfig};
use crate::seal::SealSecrets;
use crate::shared_store::{SealedValues, SharedStore};
use crate::upstream::changes::Changes;
use crate::upstream::error::{CloseReason, chain};
use crate::upstream::http_client::HttpClients;
use crate::upstream::oauth::metadata_client::MetadataClient;
use crate::upstream::oauth::pending::PendingBrowsers;
use crate::upstream::oauth::token_store::record::ClientRegistration;
use crate::upstream::oauth::token_store::registry::TokenStores;
use crate::upstream::oauth::token_store::shared::TOKENS;
use crate::upstream::oauth::token_store::store::TokenStore;
use crate::upstream::oauth::token_store::token::Token;
use crate::upstream::state_file::{FileLock, StateFile};

/// The path below `publicUrl` that authorization servers send browsers back to.
pub const CALLBACK: &str = "/oauth/callback";

/// How long all of one renewal may take.
pub(super) const REFRESH_LIMIT: Duration = Duration::from_secs(60);

/// The clients, tokens and sign-ins that all authorizers share.
#[derive(Debug, Default)]
pub struct OAuth {
    pub(super) clients: Arc<HttpClients>,
    /// Where tokens are kept; without it they end with the gateway.
    directory: Option<PathBuf>,
    lock: FileLock,
    /// `publicUrl`, without a slash at its end.
    public_url: ArcSwapOption<String>,
    pub(super) sign_ins: SignIns,
    stores: TokenStores,
    /// The tokens that replicas share.
    shared: OnceLock<Arc<SealedValues>>,
    /// Renewals under way: they go on when the call that began them is given up, since a refresh token that was sent
    /// may be void and its successor must not be lost.
    pub(super) tasks: TaskTracker,
}

impl OAuth {
    pub fn new(clients: Arc<HttpClients>, state_dir: Option<PathBuf>, lock: FileLock) -> Self {
        let directory = state_dir.map(|directory| directory.join("oauth"));
        Self { clients, directory, lock, ..Self::default() }
    }

    /// Has tokens and sign-ins in `store`, too, sealed with `secrets`. To be called before there is an authorizer.
    pub fn share(&self, store: &Arc<SharedStore>, secrets: &SealSecrets) {
        self.shared.get_or_init(|| Arc::new(SealedValues::new(store, secrets, TOKENS)));
        self.sign_ins.0.share(SealedValues::new(store, secrets, "sign-in"));
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

    /// The file of a server's tokens.
    pub(super) fn file_of(&self, server: &ServerName) -> Option<StateFile> {
        let directory = self.directory.as_deref()?;
        Some(StateFile::new(directory, server, self.lock.clone()))
    }

    /// Waits for the renewals under way.
    pub async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Gets and keeps the tokens of one server.
pub struct Authorizer {
    pub(super) server: ServerName,
    pub(super) http: HttpConfig,
    pub(super) config: OAuthConfig,
    pub(super) oauth: Arc<OAuth>,
    pub(super) store: Arc<TokenStore>,
    /// The user whose tokens these are, as a digest; `None` where they serve all callers.
    pub(super) user: Option<Arc<str>>,
    /// The number of the sign-in that was noticed last.
    pub(super) sign_in: AtomicU64,
    /// The newest token of that user, where it is exchanged.
    pub(super) subject: ArcSwapOption<SecretString>,
    /// The server's address, once it was read.
    pub(super) url: OnceCell<Url>,
    pub(super) refresh_state: Mutex<RefreshState>,
    /// The scopes that the token lacks, of the sign-in that the server waits for; empty when there is no token.
    pub(super) wanted: ArcSwapOption<Vec<String>>,
    /// Permits one refresh ahead of time.
    pub(super) renewing: Arc<Semaphore>,
    /// Notified when the tokens are lost because no refresh is possible.
    pub(super) lost: Notify,
    pub(super) changes: Arc<Changes>,
}

/// The state that refreshes and sign-ins work on, one at a time.
#[derive(Default)]
pub(super) struct RefreshState {
    /// The authorization server, once it is known.
    pub(super) found: Option<AuthorizationServer>,
    /// The `WWW-Authenticate` of the last refusal: it says where to sign in, and for what.
    pub(super) challenge: Option<String>,
    /// When the last renewal failed.
    pub(super) failed: Option<Instant>,
    /// The scopes of the last request, and those that the server asked for later.
    pub(super) asked: Vec<String>,
    pub(super) more: Vec<String>,
    /// A sign-in was begun and has not come back: perhaps the authorization server no longer knows the client.
    pub(super) unreturned: bool,
}

/// An authorization server, with rmcp's machine that speaks to it.
pub struct AuthorizationServer {
    pub manager: AuthorizationManager,
    pub metadata: AuthorizationMetadata,
    pub http: Arc<MetadataClient>,
    /// The resource that tokens are for (RFC 8707).
    pub resource: String,
}

impl AuthorizationServer {
    /// Whether the metadata list `value` under `key`; `None` without such a list.
    pub fn supports(&self, key: &str, value: &str) -> Option<bool> {
        let listed = self.metadata.additional_fields.get(key)?.as_array()?;
        Some(listed.iter().any(|listed| listed.as_str() == Some(value)))
    }
}

/// The sign-ins under way, by their state.
#[derive(Debug, Default)]
pub struct SignIns(pub(super) PendingBrowsers<PendingSignIn>);

/// A sign-in that waits for its browser. Another replica goes on without the parts that are not kept.
#[derive(Serialize, Deserialize)]
pub(super) struct PendingSignIn {
    #[serde(skip)]
    pub(super) authorizer: Weak<Authorizer>,
    #[serde(skip)]
    pub(super) found: Option<Box<AuthorizationServer>>,
    /// The client, when the gateway registered itself.
    pub(super) client: Option<ClientRegistration>,
    pub(super) server: String,
    pub(super) user: Option<String>,
    /// The entry that it belongs to.
    pub(super) entry: String,
    pub(super) client_id: String,
    pub(super) challenge: Option<String>,
    /// The verifier of PKCE, and the issuer that was asked.
    pub(super) state: Option<StoredAuthorizationState>,
    /// The key that the tokens will be bound to.
    pub(super) dpop: Option<String>,
}

impl std::fmt::Debug for PendingSignIn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PendingSignIn").finish_non_exhaustive()
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
    #[error("a sign-in is needed")]
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

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authorizer").field("server", &self.server).finish_non_exhaustive()
    }
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
        Some(Self::of_http(&entry.name, http, http.oauth.clone()?, None, oauth, changes))
    }

    /// The authorizer of the server `name`, or of one `user` of it.
    pub(super) fn of_http(
        name: &ServerName,
        http: &HttpConfig,
        mut config: OAuthConfig,
        user: Option<Arc<str>>,
        oauth: &Arc<OAuth>,
        changes: Arc<Changes>,
    ) -> Arc<Self> {
        if config.per_user && user.is_none() && config.grant == OAuthGrant::TokenExchange {
            // The list of tools is read as the gateway itself.
            config.grant = OAuthGrant::ClientCredentials;
        }
        // Without a user such an authorizer only finds out where users sign in.
        let is_for_people = config.grant == OAuthGrant::AuthorizationCode;
        let is_kept = is_for_people && (!config.per_user || user.is_some());
        let directory = oauth.directory.as_deref().filter(|_| is_kept);
        let shared = oauth.shared.get().filter(|_| is_for_people);
        let store = TokenStore::new(directory, name, user.as_deref(), http, oauth.lock.clone(), shared);
        // Tokens without a person are not kept, and are of the entry's own secret and scopes.
        let store = if is_kept { oauth.stores.shared(store) } else { Arc::new(store) };
        Arc::new(Self {
            server: name.clone(),
            http: http.clone(),
            config,
            oauth: oauth.clone(),
            store,
            user,
            sign_in: AtomicU64::new(0),
            subject: ArcSwapOption::empty(),
            url: OnceCell::new(),
            refresh_state: Mutex::default(),
            wanted: ArcSwapOption::empty(),
            renewing: Arc::new(Semaphore::new(1)),
            lost: Notify::new(),
            changes,
        })
    }

    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// The user whose tokens these are, as a digest; `None` where they serve all callers.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Where an administrator begins the sign-in that the server waits for; `None` when it waits for none.
    pub fn sign_in_link(&self) -> Option<String> {
        self.wanted.load().as_ref()?;
        self.link()
    }

    /// Whether it can send a token along, or get one without a person.
    pub fn has_tokens(&self) -> bool {
        !self.is_for_people() || self.store.has_tokens()
    }

    /// Where a person signs in.
    pub fn link(&self) -> Option<String> {
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
    /// A setting is missing.
    pub async fn prepare(&self) -> Result<(), CloseReason> {
        if self.is_for_people() && self.oauth.public(CALLBACK).is_none() {
            return Err(CloseReason::OAuth(OAuthError::NoPublicUrl.to_string()));
        }
        self.load().await;
        Ok(())
    }

    /// Reads the tokens that an earlier run kept, once.
    pub async fn load(&self) {
        self.store.load().await;
    }

    /// The better reason for a failed start: the sign-in that the server waits for, if there is one.
    pub fn explained(&self, reason: CloseReason) -> CloseReason {
        match reason {
            CloseReason::Status(_) | CloseReason::Handshake { .. } if self.wanted.load().is_some() => {
                self.waits_for_sign_in()
            }
            other => other,
        }
    }

    /// The reason of a server that waits for a sign-in.
    pub(super) fn waits_for_sign_in(&self) -> CloseReason {
        match self.link() {
            Some(link) if self.config.per_user => CloseReason::UserSignIn { link },
            Some(link) => CloseReason::SignIn { link },
            None => CloseReason::OAuth(OAuthError::NoPublicUrl.to_string()),
        }
    }

    pub(super) fn reason(&self, error: OAuthError) -> CloseReason {
        match error {
            OAuthError::SignIn if self.is_for_people() => self.waits_for_sign_in(),
            OAuthError::Secret(text) => CloseReason::Secret(text),
            OAuthError::Url(text) => CloseReason::Url(text),
            other => CloseReason::OAuth(other.to_string()),
        }
    }

    /// Requests a sign-in; `scopes` are those that the token lacks.
    pub(super) fn want_sign_in(&self, scopes: Vec<String>) {
        if self.is_for_people() {
            self.wanted.store(Some(Arc::new(scopes)));
            self.changes.signal();
        }
    }

    /// When the current token ends; `None` without a token or a lifetime.
    pub fn token_ends(&self) -> Option<SystemTime> {
        self.token().as_ref()?.ends()
    }

    pub(super) fn token(&self) -> Guard<Option<Arc<Token>>> {
        self.store.token()
    }
}
