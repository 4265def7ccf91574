//! All that is offered, as one immutable snapshot: servers, their tools, and the prebuilt documents.
//!
//! A snapshot is built when a server's tools or state change, and swapped in whole; a call reads it
//! without a lock.

pub mod document;
pub mod openapi;
pub mod operation_id;
pub mod scope;
pub mod tool;

pub use document::Document;
pub use scope::{Caller, Scope};
pub use tool::CatalogTool;

/// What a server says of itself in `initialize`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ServerInfo {
    /// `serverInfo.name`.
    pub name: String,
    /// `serverInfo.version`.
    pub version: String,
    /// The whole text of `instructions`.
    pub instructions: Option<String>,
    /// The protocol revision agreed on.
    pub protocol: String,
}
