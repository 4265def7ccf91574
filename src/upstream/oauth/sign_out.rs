//! The end of a user's sign-in: the tokens are withdrawn at the authorization server (RFC 7009) and removed here.

use oauth2::TokenResponse as _;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::upstream::oauth::authorizer::{Authorizer, OAuthError};
use crate::upstream::oauth::client_credentials::basic_header;

impl Authorizer {
    /// Ends the sign-in. The authorization server may be away: then the tokens last there until their end.
    ///
    /// # Errors
    ///
    /// The tokens are gone from memory, and still in their file.
    pub async fn sign_out(&self) -> std::io::Result<()> {
        let mut state = self.refresh_state.lock().await;
        let _alone = self.store.one_refresh().await;
        if let Err(error) = self.withdraw().await {
            tracing::warn!(mcp_server = %self.server, "{}: the tokens of one user could not be withdrawn: {error}", self.server);
        }
        state.found = None;
        let erased = self.store.erase().await;
        tracing::info!(mcp_server = %self.server, "{}: one user has signed out", self.server);
        self.want_sign_in(Vec::new());
        self.lost.notify_one();
        erased
    }

    async fn withdraw(&self) -> Result<(), OAuthError> {
        let kept = self.store.credentials();
        let Some(tokens) = kept.as_ref().and_then(|kept| kept.token_response.as_ref()) else { return Ok(()) };
        let found = self.discover(None).await?;
        let endpoint =
            found.metadata.additional_fields.get("revocation_endpoint").and_then(|value| value.as_str());
        let Some(endpoint) = endpoint else { return Ok(()) };
        let endpoint = Url::parse(endpoint).map_err(|error| OAuthError::Protocol(error.to_string()))?;
        let client = self.kept_client().await?;
        let authorization = client.client_secret.map(|secret| basic_header(&client.client_id, &secret));
        let form = {
            let mut form = Serializer::new(String::new());
            match tokens.refresh_token() {
                Some(token) => {
                    form.append_pair("token", token.secret()).append_pair("token_type_hint", "refresh_token")
                }
                None => form.append_pair("token", tokens.access_token().secret()),
            };
            if authorization.is_none() {
                form.append_pair("client_id", &client.client_id);
            }
            form.finish()
        };
        let answer = found.http.post_form(&endpoint, form, authorization).await;
        let answer = answer.map_err(|error| OAuthError::Protocol(error.to_string()))?;
        match answer.status().is_success() {
            true => Ok(()),
            false => {
                Err(OAuthError::Protocol(format!("the authorization server answered {}", answer.status())))
            }
        }
    }
}
