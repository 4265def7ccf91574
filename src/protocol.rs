//! Names and values that the MCP specification defines, each once.

pub mod revision;

pub use revision::Era;
