//! The catalog: servers, their tools, and the documents and lists made of them, as one immutable snapshot.
//!
//! A snapshot is built when a server's tools change, and swapped in whole ([`builder`]); a call reads it without a lock.

pub mod arguments;
pub mod builder;
pub mod definition;
pub mod drift;
pub mod earlier_drafts;
pub mod exposed_names;
pub mod functions;
mod json_text;
mod list_cache;
pub mod namespace;
pub mod openapi;
pub mod operation_id;
pub mod progress;
pub mod resource_uri;
pub mod scope;
pub mod server;
pub mod snapshot;
pub mod subschemas;
pub mod tagged_json;
pub mod tool;
mod tool_list;
pub mod weight;

pub use crate::upstream::ServerInfo;
pub use builder::{CatalogBuilder, GatewayTools};
pub use exposed_names::ExposedNames;
pub use functions::{FunctionForm, FunctionList};
pub use namespace::Namespace;
pub use openapi::OpenApiSettings;
pub use scope::{Caller, CallerLimits, Fingerprint, Scope, SignInEnd, User};
pub use server::{CatalogServer, ServerSource};
pub use snapshot::{Catalog, CatalogEntry};
pub use tagged_json::TaggedJson;
pub use tool::CatalogTool;
