//! A [`TokenStore`] as rmcp uses it.

use std::sync::Arc;

use oauth2::TokenResponse as _;
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};

use crate::upstream::oauth::token_store::record::ClientRegistration;
use crate::upstream::oauth::token_store::store::TokenStore;

/// A token store as rmcp uses it.
pub struct RmcpCredentialStore {
    store: Arc<TokenStore>,
    /// A sign-in brings the issuer and the client that its tokens belong to.
    brought: Option<(Option<String>, Option<ClientRegistration>)>,
}

impl RmcpCredentialStore {
    pub fn of(store: Arc<TokenStore>) -> Self {
        Self { store, brought: None }
    }

    /// A store for the tokens of a sign-in at `issuer`, of a `client` that the gateway registered itself.
    pub fn for_sign_in(
        store: Arc<TokenStore>,
        issuer: Option<String>,
        client: Option<ClientRegistration>,
    ) -> Self {
        Self { store, brought: Some((issuer, client)) }
    }
}

#[async_trait::async_trait]
impl CredentialStore for RmcpCredentialStore {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.store.credentials())
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        let granted = credentials.token_response.as_ref();
        if granted.is_some_and(|granted| !self.store.can_use(granted.token_type().as_ref())) {
            return Err(AuthError::TokenExchangeFailed(self.store.wanted_type().to_owned()));
        }
        self.store.keep(credentials, self.brought.clone()).await;
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        let token = self.store.token().clone();
        self.store.forget(token.as_deref(), false).await;
        Ok(())
    }
}
