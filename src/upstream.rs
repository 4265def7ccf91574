//! The live connections to the servers: one supervisor each, so that no server delays or harms another.
//!
//! [`Upstream`] is one server to the rest of the gateway: its state, its tools, and [`Upstream::ready`],
//! which gives the connection for a call.
//!
//! Imports go one way: `supervisor`, `connector`, `server`, `pool` and `handshake`, each above the next; `connector` above
//! `transport`, which is above `oauth` and `http_client`; and all of them above messages, requests, tools and errors.

mod address_choice;
mod availability;
mod backoff;
mod call_queue;
pub(crate) mod caller_notice;
mod changes;
pub(crate) mod connection;
pub(crate) mod connector;
mod debounce;
mod era_cache;
pub(crate) mod error;
pub(crate) mod error_text;
pub(crate) mod exit_notice;
mod handshake;
pub(crate) mod http_client;
pub(crate) mod identity;
mod info;
pub(crate) mod isolation;
mod malformed;
pub mod message;
pub(crate) mod message_queue;
pub(crate) mod oauth;
pub(crate) mod pool;
pub(crate) mod progress;
mod question;
pub(crate) mod request;
mod server;
mod server_messages;
mod state_file;
mod subscription_sync;
mod subscriptions;
pub(crate) mod supervisor;
mod surrogates;
pub(crate) mod tools;
pub mod transport;
mod transport_detection;

pub use availability::{NoConnection, Phase, Unavailable, UpstreamState};
pub use changes::{ChangeKind, Changes, News};
pub use connection::Connection;
pub use error::{CloseReason, RequestError};
pub use http_client::HttpClients;
pub use http_client::proxy::Proxies;
pub use identity::{CallerHeaders, ClientSide, Identity};
pub use info::{Definition, Freshness, SIGN_IN_TOOL, ServerInfo, ToolList};
pub use isolation::CallerSession;
pub use message::{Reply, RpcError};
pub use oauth::{Authorizer, OAuth};
pub use pool::{CallerHolding, Lease};
pub use progress::Progress;
pub use question::{ANSWERED_WITHIN, Asking, Question};
pub use request::{Request, RequestMeta};
pub use server::{CallConnection, Upstream};
pub use server_messages::{MessageHandler, Relay};
pub use state_file::FileLock;
pub use subscriptions::Subscriptions;
pub use tools::cache::ToolCache;
pub use transport::header_value;
