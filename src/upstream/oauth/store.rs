//! rmcp's view of a [`Vault`].

use std::sync::Arc;

use oauth2::TokenResponse as _;
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};

use super::vault::{Client, Vault};

/// See the module.
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
        Ok(self.vault.credentials())
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        let granted = credentials.token_response.as_ref();
        if granted.is_some_and(|granted| !granted.token_type().as_ref().eq_ignore_ascii_case("bearer")) {
            let text = "the authorization server gives out another kind of token than `Bearer`";
            return Err(AuthError::TokenExchangeFailed(text.to_owned()));
        }
        self.vault.keep(credentials, self.brought.clone()).await;
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        let token = self.vault.token().clone();
        self.vault.forget(token.as_deref(), false).await;
        Ok(())
    }
}
