//! OpenAPI 3.1 documents of one server and of all servers.
//!
//! The texts of tools are made once for a list of them ([`section`]), and put together when a document is requested
//! ([`frame`]); each scope keeps the documents that it was asked for ([`per_scope`]). [`component`] makes the schemas of a
//! tool, and [`hoist`] moves what they define into the document's own components.
//!
//! Tool schemas go in losslessly; keywords that readers expect elsewhere stand there, too ([`readable`]). A schema that is
//! invalid, or that refers outside itself, becomes a permissive object with the original under `x-mcp-input-schema`
//! (`x-mcp-output-schema`), so that the tool still works and the document stays valid; one that is valid by an earlier
//! draft is respelled, with the original beside it. Members without a place in OpenAPI (title, annotations, `_meta`,
//! icons, vendor keys, and the schema of a tool without arguments) stand under the operation's `x-mcp`.

mod component;
mod frame;
mod hoist;
mod keyword;
mod legacy;
mod operation;
mod path;
pub mod per_scope;
mod readable;
pub mod section;
mod shared;

pub use frame::{CombinedDocument, ServerDocument, combined_document, server_document};
pub use path::{mount_path, path_segment};
pub use per_scope::OpenApiSettings;
pub use section::{Sections, Wording, Writing};

#[cfg(test)]
mod tests;
