//! All that is offered, as one immutable snapshot: servers, their tools, and the prebuilt documents.
//!
//! A snapshot is built when a server's tools or state change, and swapped in whole; a call reads it
//! without a lock.

pub mod scope;
pub mod tool;

pub use scope::{Caller, Scope};
pub use tool::CatalogTool;

pub use crate::upstream::ServerInfo;
