//! Why OAuth got no further.

use rmcp::transport::auth::AuthError;

use crate::upstream::error::chain;

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
