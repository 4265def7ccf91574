//! OpenAPI 3.1 documents of one server and of all servers: pure functions of what the catalog holds. The texts of tools are
//! made once for a list of them ([`section`]), and put together when a document is asked for.
//!
//! Tool schemas go in losslessly; what readers look for elsewhere is said there, too ([`readable`]). A schema that is invalid, or that refers outside itself, becomes a permissive
//! object with the original under `x-mcp-input-schema` (`x-mcp-output-schema`), so that the tool still works and
//! the document stays valid; one that is valid by an earlier draft is respelled, with the original beside it. What OpenAPI has no place for (title, annotations, `_meta`, icons, vendor keys, and
//! the schema of a tool without arguments) stands under the operation's `x-mcp`.

mod component;
mod hoist;
mod keyword;
mod legacy;
mod operation;
mod path;
mod readable;
pub mod section;
mod skeleton;

use self::hoist::MOST_STEPS;
use self::section::Chosen;
use self::skeleton::Head;
use super::ServerInfo;
use crate::config::{DocumentConfig, ServerName};

pub use self::path::{mount_path, path_segment};
pub use self::section::{Sections, Wording, Writing};

/// What the document of one server is made of, beside its tools.
#[derive(Debug, Clone, Copy)]
pub struct ServerDocument<'a> {
    pub name: &'a ServerName,
    /// `None` while the server has never connected.
    pub info: Option<&'a ServerInfo>,
    /// Where the tools' paths start (see [`mount_path`]), already encoded; `None` in single-server mode.
    pub mount: Option<&'a str>,
    /// Whether calls need an API key.
    pub secured: bool,
    /// What a single-server gateway says of itself as long as its server has never connected.
    pub document: &'a DocumentConfig,
}

/// What the document of all servers is made of, beside their tools.
#[derive(Debug, Clone, Copy)]
pub struct CombinedDocument<'a> {
    /// In the order in which they are to be listed.
    pub servers: &'a [(&'a ServerName, Option<&'a ServerInfo>)],
    /// Root path and path prefix under which servers are mounted; starts and ends with `/`.
    pub prefix: &'a str,
    pub secured: bool,
    pub document: &'a DocumentConfig,
}

/// The document at `/{server}/openapi.json` (contract section 2.2): paths without prefix, ids `tool_{name}_post`.
pub fn server_document(server: &ServerDocument<'_>, tools: &Chosen<'_>) -> Vec<u8> {
    let own_description = |name: &str| format!("{name} MCP Server");
    let (title, version, description) = match (server.info, server.mount) {
        (Some(info), _) => {
            let instructions = info.instructions.clone().filter(|text| !text.is_empty());
            let description = instructions.unwrap_or_else(|| own_description(&info.name));
            (info.name.as_str(), info.version.as_str(), description)
        }
        (None, Some(_)) => (server.name.as_str(), "1.0", own_description(server.name.as_str())),
        (None, None) => {
            let document = server.document;
            (document.name.as_str(), document.version.as_str(), document.description.clone())
        }
    };
    let head = Head {
        title,
        description: &description,
        version,
        url: server.mount,
        tags: Vec::new(),
        secured: server.secured,
    };
    skeleton::document(head, tools)
}

/// The document at `/openapi.json`: all tools of all servers, paths `/{server}/{tool}`, ids `{server}_{tool}`.
pub fn combined_document(combined: &CombinedDocument<'_>, tools: &Chosen<'_>) -> Vec<u8> {
    let tags = combined.servers.iter().map(|(name, info)| {
        let text = info.map(|info| format!("{} {}", info.name, info.version));
        (name.as_str(), text)
    });
    let url = combined.prefix.trim_end_matches('/');
    let head = Head {
        title: &combined.document.name,
        description: &listing(combined),
        version: &combined.document.version,
        url: (!url.is_empty()).then_some(url),
        tags: tags.collect(),
        secured: combined.secured,
    };
    skeleton::document(head, tools)
}

/// The configured description and the contract's list of links to each server's page.
fn listing(combined: &CombinedDocument<'_>) -> String {
    let mut text = combined.document.description.clone();
    if !combined.servers.is_empty() {
        text.push_str("\n\n- **available tools**：");
    }
    for (name, _) in combined.servers {
        let label = name.as_str().replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
        text.push_str(&format!("\n    - [{label}]({}/docs)", mount_path(combined.prefix, name)));
    }
    text
}

#[cfg(test)]
mod tests;
