//! The gateway's own authorization server, at which an API key is the sign-in (OAuth 2.1, as MCP asks for it).
//!
//! Almost all that it hands out is sealed and carries its own content: the id of a client its registration, a form its
//! request, a code and a token what they stand for. So registrations take no memory however many there are, and a token is
//! checked without a disk. Only the sign-ins themselves are kept, in one small file.
//!
//! It knows no HTTP: `signin` has its endpoints and its page.

mod client;
mod client_document;
mod code;
mod error;
mod grant_table;
mod grants;
mod holder;
mod key_guesses;
mod metadata;
mod page_session;
mod parameters;
mod replicated_grants;
mod request;
mod server;
mod shared_grants;
mod token;

pub use client::{OAuthClient, RegistrationRequest, host_of};
pub use client_document::ClientDocuments;
pub use error::{GrantError, RequestFault};
pub use holder::KeyIdentity;
pub use key_guesses::{Guess, KeyGuesses};
pub use metadata::{ServerPaths, openid_metadata, server_metadata};
pub use page_session::{PAGE_COOKIE, PAGE_FOR};
pub use parameters::Parameters;
pub use request::{PENDING_FOR, PendingPage, SignInRequest};
pub use server::SignInServer;
pub use token::{ACCESS_PREFIX, AcceptedAccess, AccessEnd, TokenAnswer};
