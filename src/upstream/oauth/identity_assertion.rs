//! Has an identity provider vouch for a user at another authorization server: an ID token is exchanged for an
//! assertion (ID-JAG), which that server takes as a grant (MCP's extension "Enterprise-Managed Authorization").

use std::sync::Arc;

use oauth2::ClientSecret;
use rmcp::transport::auth::enterprise::{
    EmaAuthorizationServer, EmaClientAssertion, EmaClientAssertionProvider, EmaClientAuthentication,
    EmaError, EmaExchangeRequest,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::IdentityProviderConfig;
use crate::upstream::oauth::assertion;
use crate::upstream::oauth::authorizer::{AuthorizationServer, Authorizer, OAuthError};
use crate::upstream::oauth::discovery::same_issuer;
use crate::upstream::oauth::metadata_client::{MetadataClient, RmcpHttpClient};

/// Signs the proof of the client at the identity provider.
struct SigningClient(SecretString);

#[async_trait::async_trait]
impl EmaClientAssertionProvider for SigningClient {
    async fn create_assertion(
        &self,
        server: &EmaAuthorizationServer,
    ) -> Result<EmaClientAssertion, Box<dyn std::error::Error + Send + Sync>> {
        Ok(EmaClientAssertion::new(assertion::sign(
            self.0.expose_secret(),
            &server.client_id,
            &server.issuer,
        )?))
    }
}

impl Authorizer {
    /// The assertion of the identity provider for the authorization server that was `found`. rmcp checks that it is for
    /// that server, client and resource, and for no more than `scopes`.
    pub(super) async fn identity_assertion(
        &self,
        found: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<String, OAuthError> {
        let failed = |text: String| OAuthError::Protocol(text);
        let provider = self.config.identity_provider.as_ref();
        let provider = provider.ok_or_else(|| failed("`oauth.identityProvider` is missing".into()))?;
        let url = Url::parse(&provider.issuer).map_err(|error| OAuthError::Url(error.to_string()))?;
        let http = Arc::new(MetadataClient::new(self.oauth.clients.clone(), &url).await);
        let metadata = self.metadata_of(&provider.issuer, &http).await?;
        let issuer = metadata.issuer.clone().unwrap_or_default();
        if !same_issuer(&issuer, &provider.issuer) {
            return Err(OAuthError::OtherIssuer { wanted: provider.issuer.clone(), found: issuer });
        }
        let token = self.secret_of(self.config.assertion.as_ref()).await?.unwrap_or_default();
        let idp = EmaAuthorizationServer::new(issuer, &metadata.token_endpoint, &provider.client_id)
            .with_client_authentication(self.client_at(provider).await?);
        let id = self.config.client_id.clone().unwrap_or_default();
        let issuer = found.metadata.issuer.clone().unwrap_or_default();
        let server = EmaAuthorizationServer::new(issuer, &found.metadata.token_endpoint, id);
        let asked = EmaExchangeRequest::new_with_id_token(idp, server, &found.resource, &token);
        // The identity provider may not know the scopes that the server itself names.
        let asked =
            if self.config.scopes.is_empty() { asked } else { asked.with_scopes(scopes.iter().cloned()) };
        let granted = asked.exchange_id_jag(&RmcpHttpClient(http)).await;
        let granted = granted.map_err(|error| {
            let why = match error {
                EmaError::InvalidRequest(_) | EmaError::InvalidResponse { .. } => {
                    "it gave nothing that can be used"
                }
                _ => "it refused",
            };
            failed(format!(
                "the identity provider {} does not vouch for the user, {why}: {error}",
                provider.issuer
            ))
        })?;
        Ok(granted.assertion().secret().clone())
    }

    async fn client_at(
        &self,
        provider: &IdentityProviderConfig,
    ) -> Result<EmaClientAuthentication, OAuthError> {
        if let Some(key) = self.secret_of(provider.private_key.as_ref()).await? {
            return Ok(EmaClientAuthentication::JwtAssertion(Arc::new(SigningClient(key.into()))));
        }
        let secret = self.secret_of(provider.client_secret.as_ref()).await?;
        Ok(secret.map_or(EmaClientAuthentication::None, |secret| {
            EmaClientAuthentication::ClientSecretBasic(ClientSecret::new(secret))
        }))
    }
}
