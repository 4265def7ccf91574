//! Sign-ins: a browser is sent to the authorization server, and comes back with a code.
//!
//! One person can neither finish the sign-in of another, nor have another person's browser finish theirs (`pending`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::transport::auth::{AuthError, OAuthClientConfig};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::seal::random;
use crate::upstream::changes::ChangeKind;
use crate::upstream::oauth::authorizer::{
    AuthorizationServer, Authorizer, CALLBACK, OAuthError, PendingSignIn, REFRESH_LIMIT, SignIns,
};
use crate::upstream::oauth::kept_state::KeptState;
use crate::upstream::oauth::pending::NotPending;
use crate::upstream::oauth::token_store::credential_store::RmcpCredentialStore;
use crate::upstream::oauth::token_store::record::ClientRegistration;

/// A sign-in that has begun, as the browser needs it.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// Where the browser goes.
    pub url: String,
    /// The cookie that this browser alone has.
    pub cookie: String,
    pub secret: String,
}

/// The parameters that a browser brings back.
#[derive(Debug, Default)]
pub struct AuthorizationCallback {
    pub state: String,
    pub code: Option<String>,
    pub issuer: Option<String>,
    /// The code of an error, in place of a code.
    pub error: Option<String>,
}

impl AuthorizationCallback {
    /// The parameters in a query.
    pub fn of(query: Option<&str>) -> Self {
        let mut returned = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "state" => returned.state = value.into_owned(),
                "code" => returned.code = Some(value.into_owned()),
                "iss" => returned.issuer = Some(value.into_owned()),
                "error" => returned.error = Some(value.into_owned()),
                _ => {}
            }
        }
        returned
    }
}

/// Why a sign-in came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(
        "this sign-in is not under way: it was finished already, took longer than ten minutes, or was never begun"
    )]
    Unknown,
    #[error("this sign-in was begun in another browser")]
    OtherBrowser,
    #[error(
        "the store that the replicas of this gateway share is away, and this sign-in began at another one; reload this page in a \
         moment"
    )]
    StoreAway,
    #[error("the server's entry has changed meanwhile")]
    Gone,
    #[error("the authorization server gave no access: {0}")]
    Denied(String),
    #[error("the answer is not from the authorization server that was asked")]
    OtherIssuer,
    #[error("{0}")]
    Failed(#[from] OAuthError),
}

impl From<NotPending> for SignInError {
    fn from(why: NotPending) -> Self {
        match why {
            NotPending::Unknown => Self::Unknown,
            NotPending::OtherBrowser => Self::OtherBrowser,
            NotPending::StoreAway => Self::StoreAway,
        }
    }
}

/// The name of the cookie that belongs to `state`. It reveals nothing about it.
pub fn cookie_name(state: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(state).into();
    format!("mcpo-sign-in-{}", URL_SAFE_NO_PAD.encode(&digest[..9]))
}

impl SignIns {
    /// Ends the sign-in that a browser came back from; `secret` is its cookie of [`cookie_name`]. Gives the authorizer
    /// that has a token now. `find` gives that of a server and a user, for a sign-in that began at another replica.
    ///
    /// # Errors
    ///
    /// [`SignInError`]; the sign-in is over then, unless it was another browser's.
    pub async fn finish(
        &self,
        returned: AuthorizationCallback,
        secret: Option<&str>,
        find: impl Fn(&str, Option<&str>) -> Option<Arc<Authorizer>>,
    ) -> Result<Arc<Authorizer>, SignInError> {
        let open = self.0.take(&returned.state, secret).await?;
        let authorizer = match &open.found {
            Some(_) => open.authorizer.upgrade(),
            None => find(&open.server, open.user.as_deref()),
        };
        let authorizer = authorizer.ok_or(SignInError::Gone)?;
        let this = authorizer.clone();
        // The code is spent by its exchange, which so goes on to its end though the browser may leave.
        let exchanging = async move {
            let PendingSignIn { found, client, .. } = match open.found {
                Some(_) => open,
                None => this.found_again(open).await?,
            };
            this.returned(*found.ok_or(SignInError::Gone)?, client, returned).await
        };
        let exchanged = authorizer.oauth.tasks.spawn(exchanging).await;
        exchanged
            .map_err(|error| OAuthError::Protocol(format!("the task of a sign-in failed: {error}")))??;
        Ok(authorizer)
    }
}

impl Authorizer {
    /// Begins a sign-in and returns the address that the browser goes to. Finds the authorization server, and
    /// registers the gateway there if needed.
    ///
    /// # Errors
    ///
    /// [`OAuthError`]; nothing has begun then.
    pub async fn begin(self: &Arc<Self>) -> Result<AuthorizationRequest, OAuthError> {
        let begun = tokio::time::timeout(REFRESH_LIMIT, self.begin_at_leisure()).await;
        begun.unwrap_or_else(|_| {
            let seconds = REFRESH_LIMIT.as_secs();
            Err(OAuthError::Protocol(format!("the authorization server was not found within {seconds} s")))
        })
    }

    async fn begin_at_leisure(self: &Arc<Self>) -> Result<AuthorizationRequest, OAuthError> {
        let redirect_uri = self.oauth.public(CALLBACK).ok_or(OAuthError::NoPublicUrl)?;
        let mut state = self.refresh_state.lock().await;
        let mut found = self.discover(state.challenge.as_deref()).await?;
        self.check_pkce(&found)?;
        let scopes = self.scopes_to_ask(&found).await;
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let trusted = !std::mem::replace(&mut state.unreturned, true);
        let client = self.become_client(&mut found, &redirect_uri, &scopes, trusted).await?;
        let challenge = state.challenge.clone();
        drop(state);
        let kept = KeptState::default();
        found.manager.set_state_store(kept.clone());
        let mut url = Url::parse(&found.manager.get_authorization_url(&scopes).await?)
            .map_err(|error| OAuthError::Protocol(error.to_string()))?;
        found.http.check(&url).map_err(OAuthError::Protocol)?;
        if scopes.contains(&"offline_access") {
            // Without it OpenID Connect gives no refresh token (Core, section 11).
            url.query_pairs_mut().append_pair("prompt", "consent");
        }
        if let Some(thumbprint) = found.http.thumbprint() {
            // The code is good for the key alone, too (RFC 9449, section 10).
            url.query_pairs_mut().append_pair("dpop_jkt", &thumbprint);
        }
        keep_ours(&mut url, |resource| found.http.published(resource));
        let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
        let state = state.ok_or_else(|| OAuthError::Protocol("a sign-in without a state".into()))?;
        let secret =
            random::<32>().map_err(|_| OAuthError::Protocol("the system gives no random numbers".into()))?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let cookie = cookie_name(&state);
        let client_id = url.query_pairs().find(|(name, _)| name == "client_id");
        let sign_in = PendingSignIn {
            authorizer: Arc::downgrade(self),
            client,
            server: self.server.to_string(),
            user: self.user.as_deref().map(str::to_owned),
            entry: self.store.entry(),
            client_id: client_id.map(|(_, id)| id.into_owned()).unwrap_or_default(),
            challenge,
            state: kept.get(),
            dpop: self.store.key_text().filter(|_| found.http.thumbprint().is_some()),
            found: Some(Box::new(found)),
        };
        self.oauth.sign_ins.0.add(state, &secret, self.user.as_deref(), sign_in).await;
        Ok(AuthorizationRequest { url: url.into(), cookie, secret })
    }

    /// Holds the authorization server to PKCE, without which a code that is intercepted opens the server to others; one
    /// that lists other methods alone is refused by rmcp (2025-11-25, authorization, "Authorization Code Protection").
    fn check_pkce(&self, found: &AuthorizationServer) -> Result<(), OAuthError> {
        if found.metadata.code_challenge_methods_supported.is_some() || self.config.assume_pkce {
            return Ok(());
        }
        let text = "the authorization server does not announce PKCE (`code_challenge_methods_supported` with `S256`), which \
                    keeps a sign-in from being intercepted; if it has it all the same, set \"oauth\": {\"pkce\": \"assume\"} \
                    at the server's entry";
        Err(OAuthError::Protocol(text.to_owned()))
    }

    /// The scopes of the entry, or those that the server names. After a refusal for lack of scopes: the granted ones
    /// and the missing ones.
    async fn scopes_to_ask(&self, found: &AuthorizationServer) -> Vec<String> {
        let lacking = self.wanted.load().as_deref().cloned().unwrap_or_default();
        let mut scopes = match (self.config.scopes.is_empty(), lacking.is_empty()) {
            (false, _) => self.config.scopes.clone(),
            (true, false) => self.store.credentials().map(|kept| kept.granted_scopes).unwrap_or_default(),
            (true, true) => found.manager.select_initial_scopes(&[]).await,
        };
        scopes.extend(lacking);
        // Without this scope some authorization servers give out no refresh token.
        let offline = "offline_access".to_owned();
        let is_offered = found.metadata.scopes_supported.as_ref().is_some_and(|all| all.contains(&offline));
        if !scopes.is_empty() && is_offered {
            scopes.push(offline);
        }
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes
    }

    /// Makes the manager the client that the authorization server knows: one that was registered by hand, the document
    /// at the gateway's own address, an earlier registration that is still `trusted`, or a new one.
    async fn become_client(
        &self,
        found: &mut AuthorizationServer,
        redirect_uri: &str,
        scopes: &[&str],
        trusted: bool,
    ) -> Result<Option<ClientRegistration>, OAuthError> {
        let with = |id: &str, secret: Option<String>| {
            let config = OAuthClientConfig::new(id, redirect_uri);
            with_secret(config, secret).with_application_type(application(redirect_uri))
        };
        if let Some(id) = &self.config.client_id {
            let secret = self.secret_of(self.config.client_secret.as_ref()).await?;
            found.manager.configure_client(with(id, secret))?;
            return Ok(None);
        }
        let documents = found.metadata.additional_fields.get("client_id_metadata_document_supported");
        if documents.and_then(serde_json::Value::as_bool) == Some(true)
            && let Some(document) = self.client_document(found)
        {
            found.manager.configure_client(with(&document, None))?;
            return Ok(None);
        }
        let kept = self.store.client().filter(|client| {
            trusted && client.redirect_uri == redirect_uri && self.store.issuer() == found.metadata.issuer
        });
        if let Some(client) = kept {
            found.manager.configure_client(with(&client.id, client.secret.clone()))?;
            return Ok(Some(client));
        }
        if found.metadata.registration_endpoint.is_none() {
            let text = "the authorization server registers no clients by itself: register the gateway there by hand, \
                        and give what it hands out as `oauth.clientId` and `oauth.clientSecret`";
            return Err(OAuthError::Protocol(format!("{text}; its redirect URI is {redirect_uri}")));
        }
        // rmcp takes the kind of application from the client before.
        found.manager.configure_client(with("unregistered", None))?;
        let registered = found.manager.register_client("mcpo", redirect_uri, scopes).await?;
        Ok(Some(ClientRegistration {
            id: registered.client_id,
            secret: registered.client_secret,
            redirect_uri: redirect_uri.to_owned(),
        }))
    }

    /// The address of the document that describes the gateway: as configured, or the gateway's own where nothing else
    /// is left.
    fn client_document(&self, found: &AuthorizationServer) -> Option<String> {
        let configured = self.config.client_metadata_url.clone();
        configured.or_else(|| {
            let own = self.oauth.public(CLIENT_DOCUMENT)?;
            (found.metadata.registration_endpoint.is_none() && own.starts_with("https://")).then_some(own)
        })
    }

    /// Exchanges the code that came back.
    async fn returned(
        &self,
        mut found: AuthorizationServer,
        client: Option<ClientRegistration>,
        returned: AuthorizationCallback,
    ) -> Result<(), SignInError> {
        self.refresh_state.lock().await.unreturned = false;
        if let Some(error) = returned.error {
            return Err(SignInError::Denied(error));
        }
        let code = returned.code.ok_or_else(|| SignInError::Denied("it gave no code".into()))?;
        let store =
            RmcpCredentialStore::for_sign_in(self.store.clone(), found.metadata.issuer.clone(), client);
        found.manager.set_credential_store(store);
        let issuer = returned.issuer.as_deref();
        let sole = self.store.one_refresh().await;
        let exchanged =
            found.manager.exchange_code_for_token_with_issuer(&code, &returned.state, issuer).await;
        drop(sole);
        match exchanged {
            Ok(_) => {}
            Err(
                AuthError::AuthorizationServerMismatch { .. }
                | AuthError::AuthorizationServerMissingIssuer { .. },
            ) => return Err(SignInError::OtherIssuer),
            Err(error) => return Err(SignInError::Failed(error.into())),
        }
        found.manager.set_credential_store(RmcpCredentialStore::of(self.store.clone()));
        let mut state = self.refresh_state.lock().await;
        state.found = Some(found);
        state.challenge = None;
        state.failed = None;
        self.wanted.store(None);
        let whom = if self.user.is_some() { "one user" } else { "all callers of the gateway" };
        tracing::info!(mcp_server = %self.server, "{}: signed in, for {whom}", self.server);
        self.changes.signal();
        if let Some(user) = &self.user {
            self.changes.announce(&self.server, ChangeKind::SignedIn(user.clone()));
        }
        Ok(())
    }
}

/// The client `config`, which proves itself by `secret` if it has one.
pub(super) fn with_secret(config: OAuthClientConfig, secret: Option<String>) -> OAuthClientConfig {
    match secret {
        Some(secret) => config.with_client_secret(secret),
        None => config,
    }
}

/// The query parameters that the gateway itself sets in the address of a sign-in.
const OURS: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
];

/// Of a repeated parameter the last one counts, which is the gateway's: the authorization endpoint may have a query of
/// its own, and must choose neither the `state` nor where the browser comes back to (RFC 6749, section 3.1).
///
/// The `resource` becomes the one that is `published`.
fn keep_ours(url: &mut Url, published: impl Fn(String) -> String) {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let is_said_again = |place: usize, name: &str| pairs[place + 1..].iter().any(|(other, _)| other == name);
    let kept = pairs.iter().enumerate();
    let kept =
        kept.filter(|(place, (name, _))| !OURS.contains(&name.as_str()) || !is_said_again(*place, name));
    let kept = kept.map(|(_, (name, value))| match name.as_str() {
        "resource" => (name, published(value.clone())),
        _ => (name, value.clone()),
    });
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
    url.set_query(Some(&query));
}

/// The path below `publicUrl` of the document that describes the gateway as a client.
pub const CLIENT_DOCUMENT: &str = "/oauth/client-metadata.json";

/// The kind of application that may have this redirect URI (OpenID Connect Registration, section 2).
pub fn application(redirect_uri: &str) -> &'static str {
    let url = Url::parse(redirect_uri).ok();
    let local = url.as_ref().is_some_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    });
    if local && url.is_some_and(|url| url.scheme() == "http") { "native" } else { "web" }
}

#[cfg(test)]
mod tests;
