//! Names and values that the MCP specification defines, each once.

pub mod error_code;
pub mod header;
pub mod json_rpc;
pub mod media_type;
pub mod meta;
pub mod method;
pub mod notification;
pub mod revision;

pub use revision::Era;
