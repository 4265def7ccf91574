//! Why a request is refused, in the codes of OAuth.

use crate::seal::SealError;
use crate::shared_store::StoreAway;

/// Why a client gets no registration or no tokens. `Display` is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("the client is not known here, or its registration has ended; register it anew")]
    InvalidClient,
    #[error("{0}")]
    InvalidGrant(&'static str),
    #[error("`grant_type` must be authorization_code or refresh_token")]
    UnsupportedGrantType,
    #[error("`resource` must be the address of this gateway or of one of its endpoints")]
    InvalidTarget,
    #[error("{0}")]
    InvalidRedirectUri(&'static str),
    #[error("{0}")]
    InvalidClientMetadata(&'static str),
    #[error("the gateway has no random numbers")]
    Server,
    #[error(
        "the store that the replicas of this gateway share is away, and without it a sign-in could be used twice; try again in \
         a moment"
    )]
    StoreAway,
}

impl GrantError {
    /// The code of RFC 6749 section 5.2, RFC 7591 section 3.2.2 or RFC 8707 section 2.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRedirectUri(_) => "invalid_redirect_uri",
            Self::InvalidClientMetadata(_) => "invalid_client_metadata",
            Self::Server => "server_error",
            Self::StoreAway => "temporarily_unavailable",
        }
    }
}

impl From<SealError> for GrantError {
    fn from(_: SealError) -> Self {
        Self::Server
    }
}

impl From<StoreAway> for GrantError {
    fn from(_: StoreAway) -> Self {
        Self::StoreAway
    }
}

/// Why a sign-in cannot begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFault {
    /// The client or its address is not known, so the browser must be led nowhere.
    Untrusted(&'static str),
    /// The client did something wrong, and may be told so at `back`.
    Client { why: &'static str, back: String },
}
