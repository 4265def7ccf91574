//! Why a token is not accepted.

/// Why a token is not accepted. `Display` is for the log and for the client; it quotes nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is not an API key, and no issuer of `signIn` made it")]
    Unknown,
    #[error("it is a JWT that cannot be read")]
    Malformed,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet (`nbf`); compare the clocks of the gateway and its issuer")]
    NotYet,
    #[error("it is for another audience: `aud` must hold one of {0}")]
    Audience(String),
    #[error("the algorithm {0} is not accepted; a token must be signed with RS, PS, ES or EdDSA")]
    Algorithm(String),
    #[error("its signature is wrong")]
    Signature,
    #[error("its issuer publishes no key with this `kid`")]
    UnknownKey,
    #[error("it is no access token (`typ` or its claims say so)")]
    NotAccess,
    #[error("the claim `{0}` is missing or has another form than the specification says")]
    Claim(String),
    #[error("its sign-in has ended: the client signed out, or its API key is gone or has another value")]
    Ended,
    #[error("its issuer says that it is not active")]
    Inactive,
    /// Nothing is wrong with the token as far as is known.
    #[error("its issuer {issuer} cannot be asked: {reason}")]
    Unreachable { issuer: String, reason: String },
}
