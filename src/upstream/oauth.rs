//! OAuth 2.1 towards servers (specification 2026-07-28, "Authorization"): tokens are requested, stored, refreshed and
//! sent along, and people are sent to sign in where a server needs that.
//!
//! rmcp's `auth` carries the protocol: discovery (RFC 9728, RFC 8414, OpenID Connect), the choice of scopes, dynamic
//! registration, PKCE, the check of `iss`, the exchange of codes and refresh tokens. The parts around it stand here:
//! the HTTP client with its bounds (`metadata_client`), deviations of real servers (`answers`), tokens on disk
//! (`token_store`), one refresh for all callers that wait for it (`refresh`), also across reloads, the schedule of
//! proactive refreshes (`proactive_refresh`), what replicas have in common (`replicas`), sign-ins that are bound to a browser ([`sign_in`]), and client
//! credentials (`client_credentials`), for whose proof by a private key rmcp would bring a second cryptographic
//! library.
//!
//! A server's requests ask [`Authorizer::authorization`] for the header, and bring a refusal to
//! [`Authorizer::refused`]. Nothing here is logged but names, addresses and the codes of errors.

mod answers;
mod assertion;
pub mod authorizer;
mod client_credentials;
mod discovery;
pub mod dpop;
mod identity_assertion;
mod kept_state;
mod metadata_client;
pub mod pending;
mod proactive_refresh;
mod refresh;
mod replicas;
mod resumed_sign_in;
pub mod sign_in;
mod sign_out;
pub mod token_store;
pub mod users;

pub use authorizer::{Authorizer, CALLBACK, OAuth, OAuthError};
