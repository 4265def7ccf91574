//! Finds a server's authorization server, and the client that the gateway is to it.

use std::sync::Arc;

use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, AuthorizationMetadataResolution,
    AuthorizationMetadataSource, OAuthClientConfig,
};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::config::SecretText;
use crate::upstream::oauth::authorizer::{AuthorizationServer, Authorizer, CALLBACK, OAuthError};
use crate::upstream::oauth::dpop;
use crate::upstream::oauth::metadata_client::{MetadataClient, RmcpHttpClient};
use crate::upstream::oauth::sign_in::with_secret;
use crate::upstream::oauth::token_store::credential_store::RmcpCredentialStore;

impl Authorizer {
    /// The server's address.
    pub(super) async fn address(&self) -> Result<&Url, OAuthError> {
        let read = || async {
            let text = self.secret(&self.http.url).await?;
            Url::parse(&text).map_err(|error| OAuthError::Url(error.to_string()))
        };
        self.url.get_or_try_init(read).await
    }

    pub(super) async fn secret(&self, text: &SecretText) -> Result<String, OAuthError> {
        let secret = text.resolve().await.map_err(|error| OAuthError::Secret(error.to_string()))?;
        Ok(secret.expose_secret().to_owned())
    }

    /// The secret of an optional setting.
    pub(super) async fn secret_of(&self, text: Option<&SecretText>) -> Result<Option<String>, OAuthError> {
        match text {
            Some(text) => Ok(Some(self.secret(text).await?)),
            None => Ok(None),
        }
    }

    /// Asks the server, starting from the `challenge` of its refusal, which authorization server it trusts.
    ///
    /// # Errors
    ///
    /// No authorization server was found, it is not the one of `oauth.issuer`, or it did not answer.
    pub(super) async fn discover(&self, challenge: Option<&str>) -> Result<AuthorizationServer, OAuthError> {
        let url = self.address().await?;
        let http = Arc::new(MetadataClient::new(self.oauth.clients.clone(), url).await);
        let mut manager = self.manager(url, &http).await?;
        let resolved = resolve(&manager, &http, challenge).await;
        let metadata = match (&self.config.issuer, resolved) {
            (None, resolved) => resolved?.metadata,
            (Some(wanted), Ok(resolution)) if resolution.source.is_discovered() => {
                let found = resolution.metadata.issuer.clone().unwrap_or_default();
                if !same_issuer(&found, wanted) {
                    return Err(OAuthError::OtherIssuer { wanted: wanted.clone(), found });
                }
                resolution.metadata
            }
            // The server does not say, or not in a way that can be used; the entry does.
            (Some(wanted), _) => self.metadata_of(wanted, &http).await?,
        };
        let is_challenged = challenge.is_some_and(dpop::is_challenge);
        let bound = is_challenged || http.wants_bound() || self.store.is_bound();
        if self.config.dpop.unwrap_or(bound) {
            http.bind_to(self.store.key().map_err(OAuthError::Protocol)?);
        }
        manager.set_metadata(metadata.clone());
        let resource = http.published(resource(&mut manager, url).await);
        let found = AuthorizationServer { manager, metadata, http, resource };
        if found.http.thumbprint().is_some()
            && found.supports("dpop_signing_alg_values_supported", dpop::ALGORITHM) == Some(false)
        {
            let text = "the authorization server takes no proofs with ES256 (`dpop_signing_alg_values_supported`), so that \
                        tokens cannot be bound to a key (`oauth.dpop`)";
            return Err(OAuthError::Protocol(text.to_owned()));
        }
        Ok(found)
    }

    /// The metadata that `issuer` publishes.
    pub(super) async fn metadata_of(
        &self,
        issuer: &str,
        http: &Arc<MetadataClient>,
    ) -> Result<AuthorizationMetadata, OAuthError> {
        let url = Url::parse(issuer).map_err(|error| OAuthError::Url(error.to_string()))?;
        let found = self.manager(&url, http).await?.resolve_metadata().await?;
        if !found.source.is_discovered() {
            let message = format!("`{issuer}` publishes no metadata of an authorization server");
            return Err(OAuthError::Protocol(message));
        }
        Ok(found.metadata)
    }

    async fn manager(
        &self,
        url: &Url,
        http: &Arc<MetadataClient>,
    ) -> Result<AuthorizationManager, OAuthError> {
        let client = Arc::new(RmcpHttpClient(http.clone()));
        let mut manager = AuthorizationManager::new_with_oauth_http_client(url.as_str(), client).await?;
        manager.set_credential_store(RmcpCredentialStore::of(self.store.clone()));
        Ok(manager)
    }

    /// The client that got the tokens which are kept.
    pub(super) async fn kept_client(&self) -> Result<OAuthClientConfig, OAuthError> {
        let redirect_uri = self.oauth.public(CALLBACK).ok_or(OAuthError::NoPublicUrl)?;
        let id = self.store.credentials().ok_or(OAuthError::SignIn)?.client_id;
        let secret = match &self.config.client_secret {
            Some(secret) if self.config.client_id.as_ref() == Some(&id) => Some(self.secret(secret).await?),
            _ => self.store.client().filter(|client| client.id == id).and_then(|client| client.secret),
        };
        Ok(with_secret(OAuthClientConfig::new(id, redirect_uri), secret))
    }
}

/// Resolves as rmcp does, but passes over a document of another resource or issuer where there are further places to
/// look.
async fn resolve(
    manager: &AuthorizationManager,
    http: &MetadataClient,
    challenge: Option<&str>,
) -> Result<AuthorizationMetadataResolution, AuthError> {
    let mut first = None;
    loop {
        match (manager.resolve_metadata_from_challenge(challenge).await, first) {
            // A server that declares another resource is not signed in to by its origin's metadata; and a guess
            // explains less than a document that was found and refused.
            (Ok(resolution), Some(error)) if !makes_up_for(&error, resolution.source) => return Err(error),
            (Ok(resolution), _) => return Ok(resolution),
            (Err(error), earlier) if is_anothers(&error) && http.pass_over_last() => {
                first = earlier.or(Some(error));
            }
            (Err(error), earlier) => return Err(earlier.unwrap_or(error)),
        }
    }
}

/// Whether what was found at a further place stands for the document that was passed over with `error`.
fn makes_up_for(error: &AuthError, found: AuthorizationMetadataSource) -> bool {
    match error {
        AuthError::ProtectedResourceMetadataInvalid { .. } => {
            matches!(found, AuthorizationMetadataSource::ProtectedResourceMetadata)
        }
        _ => found.is_discovered(),
    }
}

/// Whether a document was found that is of another server or another authorization server.
fn is_anothers(error: &AuthError) -> bool {
    matches!(
        error,
        AuthError::AuthorizationServerMismatch { .. }
            | AuthError::AuthorizationServerMissingIssuer { .. }
            | AuthError::ProtectedResourceMetadataInvalid { .. }
    )
}

/// The resource that `manager` has discovered. Only the address of a sign-in reveals it; without a sign-in endpoint
/// the server's own address counts.
async fn resource(manager: &mut AuthorizationManager, url: &Url) -> String {
    let aside = OAuthClientConfig::new("nobody", url.as_str());
    let address = match manager.configure_client(aside) {
        Ok(()) => manager.get_authorization_url(&[]).await.ok(),
        Err(_) => None,
    };
    let address = address.and_then(|address| Url::parse(&address).ok());
    let pair = |address: Url| {
        address.query_pairs().find(|(name, _)| name == "resource").map(|(_, value)| value.into_owned())
    };
    address.and_then(pair).unwrap_or_else(|| url.to_string())
}

/// Issuers are compared as they are, but for the slash that a URL without a path may end with.
pub(super) fn same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}
