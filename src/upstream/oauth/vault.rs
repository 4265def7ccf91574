//! What is kept of one server's sign-in: the client that the gateway is to its authorization server, and the tokens.
//!
//! One file a server under `oauth/` in the state directory, mode 0600, written anew in one rename. What it holds is
//! bound to one authorization server by its issuer: another one never sees it.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwapOption, Guard};
use http::HeaderValue;
use oauth2::TokenResponse as _;
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, OnceCell};

use crate::config::{HttpConfig, OAuthGrant, ServerName};
use crate::upstream::kept::Turn;

/// A token is renewed when so much of its life is left, or a quarter of it if that is less.
const EARLY: Duration = Duration::from_secs(60);

/// An access token, ready to be sent.
pub struct Token {
    pub header: HeaderValue,
    /// When to renew it, and when it ends; `None` when nobody said.
    due: Option<SystemTime>,
    ends: Option<SystemTime>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Token {
    /// A token that was received at `since` for `lifetime`; `None` when it cannot stand in a header.
    pub fn new(secret: &str, since: SystemTime, lifetime: Option<Duration>) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        header.set_sensitive(true);
        let ends = lifetime.and_then(|lifetime| since.checked_add(lifetime));
        let due = lifetime.and_then(|lifetime| since.checked_add(lifetime - EARLY.min(lifetime / 4)));
        Some(Self { header, due, ends })
    }

    /// Whether it is time for another one.
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= SystemTime::now())
    }

    /// When to renew it though nobody asks for it: somewhat before it is due, as `jitter` in 0..1 says, so that the tokens
    /// of many servers are not renewed together, and that a call hardly ever finds one due.
    pub fn renewal(&self, jitter: f64) -> Option<SystemTime> {
        let (due, ends) = (self.due?, self.ends?);
        let margin = ends.duration_since(due).unwrap_or_default();
        due.checked_sub(margin.mul_f64(jitter.clamp(0.0, 1.0) / 2.0))
    }

    pub fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= SystemTime::now())
    }
}

/// The gateway as a client of one authorization server.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What the registration says; another address needs another registration.
    pub redirect_uri: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Record {
    /// The entry that this belongs to.
    entry: String,
    issuer: Option<String>,
    /// Only of a client that the gateway registered itself.
    client: Option<Client>,
    credentials: Option<StoredCredentials>,
}

/// Where one server's sign-in is kept.
pub struct Vault {
    server: ServerName,
    file: Option<PathBuf>,
    turn: Turn,
    loaded: OnceCell<()>,
    record: Mutex<Record>,
    token: ArcSwapOption<Token>,
    /// The token is another one; for the one task that renews it ahead of time.
    changed: Notify,
}

impl Vault {
    pub fn new(directory: Option<&Path>, server: &ServerName, http: &HttpConfig, turn: Turn) -> Self {
        let name = server.as_str();
        let clean: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .take(40)
            .collect();
        let file = directory.map(|directory| directory.join(format!("{clean}-{}.json", &digest(name)[..12])));
        let oauth = http.oauth.as_ref();
        let entry = digest(&format!(
            "{:?} {:?} {:?} {:?}",
            http.url,
            http.url.as_literal(),
            oauth.map(|oauth| oauth.grant != OAuthGrant::AuthorizationCode),
            oauth.map(|oauth| (&oauth.client_id, &oauth.issuer)),
        ));
        let record = Mutex::new(Record { entry, ..Record::default() });
        Self {
            server: server.clone(),
            file,
            turn,
            loaded: OnceCell::new(),
            record,
            token: ArcSwapOption::empty(),
            changed: Notify::new(),
        }
    }

    /// The access token. Takes no lock.
    pub fn token(&self) -> Guard<Option<Arc<Token>>> {
        self.token.load()
    }

    /// Reads what an earlier run kept for this very entry, once.
    pub async fn load(&self) {
        self.loaded.get_or_init(|| self.read()).await;
    }

    async fn read(&self) {
        let Some(file) = &self.file else { return };
        let _turn = self.turn.lock().await;
        let bytes = match tokio::fs::read(file).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(mcp_server = %self.server, file = %file.display(), %error, "{}: its kept sign-in cannot be read", self.server);
                return;
            }
        };
        // The error's own text could quote a token.
        let Ok(kept) = serde_json::from_slice::<Record>(&bytes) else {
            tracing::warn!(mcp_server = %self.server, file = %file.display(), "{}: its kept sign-in is damaged and ignored", self.server);
            return;
        };
        let mut record = self.record();
        if kept.entry == record.entry {
            self.publish(kept.credentials.as_ref());
            *record = kept;
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, credentials: Option<&StoredCredentials>) {
        let token = credentials.and_then(|stored| {
            let answer = stored.token_response.as_ref()?;
            let received = stored.token_received_at.unwrap_or_default();
            let since = SystemTime::UNIX_EPOCH + Duration::from_secs(received);
            Token::new(answer.access_token().secret(), since, answer.expires_in())
        });
        self.replace(token.map(Arc::new));
    }

    fn replace(&self, token: Option<Arc<Token>>) {
        self.token.store(token);
        self.changed.notify_one();
    }

    /// Waits until there is another token, or none any more.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Puts a token into use that is not worth keeping: another one can be had at any time.
    pub fn use_token(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.replace(Some(token.clone()));
        token
    }

    /// The authorization server that all this belongs to.
    pub fn issuer(&self) -> Option<String> {
        self.record().issuer.clone()
    }

    /// The client that the gateway is registered as.
    pub fn client(&self) -> Option<Client> {
        self.record().client.clone()
    }

    /// The scopes that were granted.
    pub fn granted(&self) -> Vec<String> {
        self.record().credentials.as_ref().map(|stored| stored.granted_scopes.clone()).unwrap_or_default()
    }

    pub fn has_tokens(&self) -> bool {
        self.record().credentials.is_some()
    }

    /// The client that the tokens were issued to.
    pub fn client_id(&self) -> Option<String> {
        self.record().credentials.as_ref().map(|stored| stored.client_id.clone())
    }

    pub fn can_refresh(&self) -> bool {
        let record = self.record();
        let answer = record.credentials.as_ref().and_then(|stored| stored.token_response.as_ref());
        answer.is_some_and(|answer| answer.refresh_token().is_some())
    }

    /// Forgets the tokens, and the registration if `client` says so.
    pub async fn forget(&self, client: bool) {
        {
            let mut record = self.record();
            record.credentials = None;
            if client {
                record.client = None;
            }
            self.replace(None);
        }
        self.write().await;
    }

    /// A failure costs a sign-in after the next restart and nothing now.
    async fn write(&self) {
        let Some(file) = self.file.clone() else { return };
        let _turn = self.turn.lock().await;
        let bytes = serde_json::to_vec(&*self.record());
        let written =
            tokio::task::spawn_blocking(move || write_private(&file, &bytes.map_err(io::Error::other)?));
        let error = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(mcp_server = %self.server, error, "{}: its sign-in cannot be kept, so that it is lost with the next restart; check the state directory: {error}", self.server);
    }
}

/// rmcp's view of it.
pub struct Store {
    vault: Arc<Vault>,
    /// A sign-in brings the issuer and the client that its tokens belong to.
    brought: Option<(Option<String>, Option<Client>)>,
}

impl Store {
    pub fn of(vault: Arc<Vault>) -> Self {
        Self { vault, brought: None }
    }

    /// A store for the tokens of a sign-in at `issuer`, of a `client` that the gateway registered itself.
    pub fn for_sign_in(vault: Arc<Vault>, issuer: Option<String>, client: Option<Client>) -> Self {
        Self { vault, brought: Some((issuer, client)) }
    }
}

#[async_trait::async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.vault.record().credentials.clone())
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.vault.publish(Some(&credentials));
        {
            let mut record = self.vault.record();
            if let Some((issuer, client)) = &self.brought {
                record.issuer.clone_from(issuer);
                record.client.clone_from(client);
            }
            record.credentials = Some(credentials);
        }
        self.vault.write().await;
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.vault.forget(false).await;
        Ok(())
    }
}

/// Writes a file that nobody else may read, in a directory that nobody else may enter.
fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = file.parent().expect("the file lies in `oauth/`");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let draft = file.with_extension("json.new");
    // A draft that a crash left behind may have other rights.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(bytes)?;
    // A refresh token that was exchanged is void: its successor must survive a loss of power.
    out.sync_all()?;
    std::fs::rename(&draft, file)
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_due_a_minute_before_its_end_or_after_three_quarters_of_a_short_life() {
        let token = |age: u64, lifetime: u64| {
            let since = SystemTime::now() - Duration::from_secs(age);
            let token = Token::new("t", since, Some(Duration::from_secs(lifetime))).unwrap();
            [token.is_due(), token.has_ended()]
        };
        assert_eq!(token(3500, 3600), [false, false]);
        assert_eq!(token(3550, 3600), [true, false]);
        assert_eq!(token(4, 8), [false, false]);
        assert_eq!(token(7, 8), [true, false]);
        assert_eq!(token(9, 8), [true, true]);
        let endless = Token::new("t", SystemTime::UNIX_EPOCH, None).unwrap();
        assert!(!endless.is_due() && !endless.has_ended() && endless.renewal(0.5).is_none());
    }

    #[test]
    fn a_token_is_renewed_before_it_is_due_and_never_long_before() {
        let renewal = |lifetime: u64, jitter: f64| {
            let token = Token::new("t", SystemTime::UNIX_EPOCH, Some(Duration::from_secs(lifetime))).unwrap();
            token.renewal(jitter).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
        };
        assert_eq!([renewal(3600, 0.0), renewal(3600, 0.5), renewal(3600, 1.0)], [3540.0, 3525.0, 3510.0]);
        assert_eq!([renewal(8, 0.0), renewal(8, 1.0), renewal(0, 1.0)], [6.0, 5.0, 0.0]);
    }

    #[test]
    fn a_kept_file_is_private_even_when_a_draft_of_it_was_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("oauth/a.json");
        std::fs::create_dir(directory.path().join("oauth")).unwrap();
        std::fs::write(file.with_extension("json.new"), "left by a crash").unwrap();
        for text in ["one", "two"] {
            write_private(&file, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
