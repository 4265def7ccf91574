//! A sign-in that began at another replica and ends at this one.

use rmcp::transport::auth::OAuthClientConfig;

use crate::upstream::oauth::authorizer::{Authorizer, CALLBACK, OAuthError, PendingSignIn};
use crate::upstream::oauth::kept_state::KeptState;
use crate::upstream::oauth::sign_in::{SignInError, application, with_secret};

impl Authorizer {
    /// Goes on with a sign-in that began at another replica: finds the same authorization server, as the same client.
    ///
    /// # Errors
    ///
    /// The entry is another one there, or the authorization server is.
    pub(super) async fn found_again(&self, mut pending: PendingSignIn) -> Result<PendingSignIn, SignInError> {
        self.load().await;
        if pending.entry != self.store.entry() {
            return Err(SignInError::Gone);
        }
        if let Some(key) = &pending.dpop {
            self.store.set_key(key);
        }
        let mut found = self.discover(pending.challenge.as_deref()).await?;
        let state = pending.state.take().ok_or(SignInError::Unknown)?;
        if state.expected_issuer != found.metadata.issuer {
            return Err(SignInError::OtherIssuer);
        }
        let redirect_uri = self.oauth.public(CALLBACK).ok_or(OAuthError::NoPublicUrl)?;
        let secret = match &self.config.client_id {
            Some(_) => self.secret_of(self.config.client_secret.as_ref()).await?,
            None => pending.client.as_ref().and_then(|client| client.secret.clone()),
        };
        let client =
            with_secret(OAuthClientConfig::new(pending.client_id.clone(), redirect_uri.clone()), secret);
        let client = client.with_application_type(application(&redirect_uri));
        found.manager.configure_client(client).map_err(OAuthError::from)?;
        found.manager.set_state_store(KeptState::of(state));
        pending.found = Some(Box::new(found));
        Ok(pending)
    }
}
