//! Authorization servers whose access tokens open the gateway: their metadata, their keys, and what a token says.
//!
//! An issuer is asked when a token needs it, never before. Its keys are kept while it is away. A token that is a JWT
//! (RFC 9068) is checked here; another one is shown to the issuer (RFC 7662).

mod error;
mod server;
mod signature;
mod token;

pub use error::TokenError;
pub use server::{Issuer, IssuerRegistry};
pub use token::{
    AcceptedToken, Audience, Claims, IntrospectionSecret, SharedSecret, claims_by_secret, issuer_of,
};
