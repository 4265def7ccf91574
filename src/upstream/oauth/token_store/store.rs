//! The tokens of one server's sign-in, and the client that the gateway is to its authorization server.
//!
//! One file a server under `oauth/` in the state directory, mode 0600, replaced in one rename. Its content is bound
//! to one authorization server by its issuer: another one never sees it.
//!
//! A reload makes a server anew beside the old one. While both belong to the same sign-in they share one store
//! ([`TokenStores`](super::registry::TokenStores)): a refresh token is good for one exchange, and many authorization
//! servers take a second exchange for theft and void all tokens.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwapOption, Guard};
use oauth2::TokenResponse as _;
use rmcp::transport::auth::StoredCredentials;
use tokio::sync::{OnceCell, watch};

use crate::config::{HttpConfig, OAuthGrant, ServerName};
use crate::file;
use crate::shared_store::SealedValues;
use crate::sync::lock;

use crate::upstream::oauth::dpop::{self, DpopKey, Prover};
use crate::upstream::oauth::token_store::record::{ClientRegistration, StoredSignIn, is_bound};
use crate::upstream::oauth::token_store::shared::SharedTokens;
use crate::upstream::oauth::token_store::token::Token;
use crate::upstream::state_file::{FileLock, StateFile, digest};

/// Tokens and a registration are a few thousand bytes; what lies there may be anything.
const LONGEST: u64 = 1 << 20;

/// The tokens of one server, in memory, on disk, and in the store that replicas share.
pub struct TokenStore {
    pub(super) server: ServerName,
    /// The one whose tokens these are; `None` where they serve all callers.
    pub(super) user: Option<Box<str>>,
    file: Option<StateFile>,
    /// The place of the store that wrote the file last.
    owner: Arc<AtomicU64>,
    /// Its place among the stores of the same file.
    place: AtomicU64,
    loaded: OnceCell<()>,
    pub(super) record: Mutex<StoredSignIn>,
    token: ArcSwapOption<Token>,
    /// Makes the proofs of tokens that are bound to the key of the record.
    prover: ArcSwapOption<Prover>,
    /// Whether tokens must be bound, or must not; `None` leaves it to the server.
    dpop: Option<bool>,
    /// Permits one refresh at a time.
    pub(super) refreshing: tokio::sync::Mutex<()>,
    /// Its place in the store; `None` without replicas.
    pub(super) shared: Option<SharedTokens>,
    /// Signals each change of the token; holds the number of the current refresh lease.
    lease_number: watch::Sender<u64>,
}

/// The lease to refresh a token ahead of its end.
pub struct RefreshLease {
    number: u64,
    lease_number: watch::Receiver<u64>,
}

impl RefreshLease {
    /// Whether no later lease has taken over.
    pub fn is_held(&self) -> bool {
        *self.lease_number.borrow() == self.number
    }

    /// Waits until the token changes, or a later lease takes over.
    pub async fn changed(&mut self) {
        self.lease_number.changed().await.expect("the store outlives its leases");
    }
}

impl TokenStore {
    /// The store of `server`, or of one `user` of it, which is a digest.
    pub fn new(
        directory: Option<&Path>,
        server: &ServerName,
        user: Option<&str>,
        http: &HttpConfig,
        lock: FileLock,
        values: Option<&Arc<SealedValues>>,
    ) -> Self {
        let file = directory.map(|directory| StateFile::new(directory, server, lock));
        let file = file.map(|file| match user {
            Some(user) => file.of_user(user),
            None => file,
        });
        let oauth = http.oauth.as_ref();
        let dpop = oauth.and_then(|oauth| oauth.dpop);
        let mut entry = format!(
            "{:?} {:?} {:?} {:?}",
            http.url,
            http.url.as_literal(),
            oauth.map(|oauth| oauth.grant != OAuthGrant::AuthorizationCode),
            oauth.map(|oauth| (&oauth.client_id, &oauth.issuer)),
        );
        if let Some(dpop) = dpop {
            entry.push_str(&format!(" dpop {dpop}"));
        }
        let entry = digest(entry);
        let shared = values.map(|values| SharedTokens::new(values, server, &entry, user));
        let record = Mutex::new(StoredSignIn { entry, ..StoredSignIn::default() });
        Self {
            server: server.clone(),
            user: user.map(Box::from),
            file,
            owner: Arc::default(),
            place: AtomicU64::new(0),
            loaded: OnceCell::new(),
            record,
            token: ArcSwapOption::empty(),
            prover: ArcSwapOption::empty(),
            dpop,
            refreshing: tokio::sync::Mutex::default(),
            shared,
            lease_number: watch::Sender::new(0),
        }
    }

    /// The access token. Takes no lock.
    pub fn token(&self) -> Guard<Option<Arc<Token>>> {
        self.token.load()
    }

    /// Reads what an earlier run or another replica kept for this very entry, once.
    pub async fn load(&self) {
        let read = || async {
            self.read().await;
            if let Some(shared) = &self.shared {
                let _said_by_the_store = self.adopt(shared).await;
            }
        };
        self.loaded.get_or_init(read).await;
    }

    async fn read(&self) {
        let Some(file) = &self.file else { return };
        let Some(bytes) = file.read("sign-in", LONGEST).await else { return };
        // The error's own text could quote a token.
        let Ok(kept) = serde_json::from_slice::<StoredSignIn>(&bytes) else {
            tracing::warn!(mcp_server = %self.server, file = %file.path.display(), "{}: its kept sign-in is damaged and ignored", self.server);
            return;
        };
        self.take_up(kept.of_file());
    }

    /// Takes `other` up, if it is of this entry and newer. Says whether it did.
    pub(super) fn take_up(&self, other: StoredSignIn) -> bool {
        let mut record = lock(&self.record);
        if other.entry != record.entry || other.changed <= record.changed {
            return false;
        }
        if let Some(key) = other.dpop.as_deref().and_then(DpopKey::from_text) {
            self.prover.store(Some(Arc::new(Prover::new(Arc::new(key)))));
        }
        *record = other;
        self.publish(record.credentials.as_ref());
        true
    }

    fn publish(&self, credentials: Option<&StoredCredentials>) {
        let token = credentials.and_then(|stored| {
            let answer = stored.token_response.as_ref()?;
            let received = stored.token_received_at.unwrap_or_default();
            // A file that is damaged may name any time.
            let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(received));
            let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
            let prover = if is_bound(stored) { Some(self.prover.load_full()?) } else { None };
            Token::new(answer.access_token().secret(), since, answer.expires_in(), prover)
        });
        self.replace(token.map(Arc::new));
    }

    fn replace(&self, token: Option<Arc<Token>>) {
        self.token.store(token);
        self.lease_number.send_modify(|_| {});
    }

    /// Takes the lease: from now on only the caller refreshes ahead of time.
    pub fn refresh_ahead(&self) -> RefreshLease {
        let mut number = 0;
        self.lease_number.send_modify(|current| {
            *current += 1;
            number = *current;
        });
        RefreshLease { number, lease_number: self.lease_number.subscribe() }
    }

    /// Whether both are of the same entry under the same name.
    pub fn belongs_with(&self, other: &Self) -> bool {
        self.shares_file_with(other) && lock(&self.record).entry == lock(&other.record).entry
    }

    /// Makes this store the owner of the file from its next change on, before stores with a lower place.
    pub fn take_place(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// This store beside `other`, which is of another entry and writes the same file.
    #[must_use]
    pub fn sharing_file_with(self, other: &Self) -> Self {
        Self { owner: other.owner.clone(), ..self }
    }

    /// Whether both are of the same server and the same user.
    pub fn shares_file_with(&self, other: &Self) -> bool {
        self.server == other.server && self.user == other.user
    }

    /// Uses a token that is not worth keeping: another one can be had at any time.
    pub fn use_token(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.replace(Some(token.clone()));
        token
    }

    /// Stands for the entry that all this belongs to.
    pub fn entry(&self) -> String {
        lock(&self.record).entry.clone()
    }

    /// The authorization server that all this belongs to.
    pub fn issuer(&self) -> Option<String> {
        lock(&self.record).issuer.clone()
    }

    /// The client that the gateway is registered as.
    pub fn client(&self) -> Option<ClientRegistration> {
        lock(&self.record).client.clone()
    }

    pub fn has_tokens(&self) -> bool {
        lock(&self.record).credentials.is_some()
    }

    /// The number of the sign-in that the tokens are of; 0 without any.
    pub fn sign_in(&self) -> u64 {
        let record = lock(&self.record);
        record.credentials.as_ref().map_or(0, |_| record.signed_in)
    }

    pub fn can_refresh(&self) -> bool {
        let record = lock(&self.record);
        let answer = record.credentials.as_ref().and_then(|stored| stored.token_response.as_ref());
        answer.is_some_and(|answer| answer.refresh_token().is_some())
    }

    pub fn credentials(&self) -> Option<StoredCredentials> {
        lock(&self.record).credentials.clone()
    }

    /// Makes the proofs of tokens; `None` before [`TokenStore::key`].
    pub fn prover(&self) -> Option<Arc<Prover>> {
        self.prover.load_full()
    }

    /// The key that tokens are bound to, which is kept with the next tokens.
    ///
    /// # Errors
    ///
    /// None can be made.
    pub fn key(&self) -> Result<Arc<DpopKey>, String> {
        let mut record = lock(&self.record);
        if let Some(prover) = self.prover() {
            return Ok(prover.shared_key());
        }
        let key = Arc::new(DpopKey::generate()?);
        record.dpop = Some(key.to_text());
        self.prover.store(Some(Arc::new(Prover::new(key.clone()))));
        Ok(key)
    }

    /// The key as a text, once there is one.
    pub fn key_text(&self) -> Option<String> {
        lock(&self.record).dpop.clone()
    }

    /// Takes the key that another replica made.
    pub fn set_key(&self, text: &str) {
        let mut record = lock(&self.record);
        if let Some(key) = DpopKey::from_text(text) {
            record.dpop = Some(text.to_owned());
            self.prover.store(Some(Arc::new(Prover::new(Arc::new(key)))));
        }
    }

    /// Whether the kept tokens are bound to the key.
    pub fn is_bound(&self) -> bool {
        lock(&self.record).credentials.as_ref().is_some_and(is_bound)
    }

    /// Whether a token of this type can be used.
    pub fn can_use(&self, token_type: &str) -> bool {
        match token_type.eq_ignore_ascii_case(dpop::SCHEME) {
            true => self.prover.load().is_some(),
            false => token_type.eq_ignore_ascii_case("bearer") && self.dpop != Some(true),
        }
    }

    /// Why a token cannot be used for its type.
    pub fn wanted_type(&self) -> &'static str {
        match self.dpop {
            Some(true) => {
                "the authorization server gives out another kind of token than `DPoP`, which `oauth.dpop` wants"
            }
            Some(false) | None => "the authorization server gives out another kind of token than `Bearer`",
        }
    }

    /// Keeps new tokens, with the issuer and the client that they belong to if a sign-in `brought` them.
    pub async fn keep(
        &self,
        credentials: StoredCredentials,
        brought: Option<(Option<String>, Option<ClientRegistration>)>,
    ) {
        {
            let mut record = lock(&self.record);
            record.change();
            if let Some((issuer, client)) = brought {
                record.issuer = issuer;
                record.client = client;
                record.signed_in = record.changed;
            }
            let credentials = record.credentials.insert(credentials);
            // A listener that sees the new token may look into the record at once.
            self.publish(Some(credentials));
        }
        self.write().await;
        self.share().await;
    }

    /// Forgets the tokens of `used`, and the registration if `client` says so. Returns `false` when other tokens came
    /// meanwhile, which stay.
    pub async fn forget(&self, used: Option<&Token>, client: bool) -> bool {
        {
            let mut record = lock(&self.record);
            if self.token().as_ref().map(|token| &token.header) != used.map(|used| &used.header) {
                return false;
            }
            // Another replica may have renewed alone while the store was away, and its tokens are to stay.
            if self.shared.as_ref().is_none_or(|shared| lock(&shared.held).is_some()) {
                record.change();
            }
            record.credentials = None;
            if client {
                record.client = None;
            }
            self.replace(None);
        }
        self.write().await;
        self.share().await;
        true
    }

    /// Forgets all of one user, and removes the file.
    ///
    /// # Errors
    ///
    /// The file is still there.
    pub async fn erase(&self) -> io::Result<()> {
        {
            let mut record = lock(&self.record);
            let (entry, changed) = (std::mem::take(&mut record.entry), record.changed);
            *record = StoredSignIn { entry, changed, ..StoredSignIn::default() };
            record.change();
            self.prover.store(None);
            self.replace(None);
        }
        let removed = match &self.file {
            Some(file) => file.remove().await,
            None => Ok(()),
        };
        self.share().await;
        removed
    }

    /// A failure costs a sign-in after the next restart and nothing now.
    pub(super) async fn write(&self) {
        let Some(file) = &self.file else { return };
        let _locked = file.lock.lock().await;
        let place = self.place.load(Ordering::Relaxed);
        if self.owner.fetch_max(place, Ordering::Relaxed) > place {
            tracing::debug!(mcp_server = %self.server, "{}: its file holds the sign-in of its newer entry and stays", self.server);
            return;
        }
        let bytes = serde_json::to_vec(&*lock(&self.record));
        let path = file.path.clone();
        let written = file::apart(move || file::replace_durably(&path, &bytes.map_err(io::Error::other)?));
        let Err(error) = written.await.unwrap_or_else(|error| Err(io::Error::other(error))) else { return };
        tracing::error!(mcp_server = %self.server, %error, "{}: its sign-in cannot be kept, so that it is lost with the next restart; check the state directory", self.server);
    }
}

#[cfg(test)]
mod tests;
