//! One document: the frame that utoipa builds, and in it the texts of tools.

use std::collections::BTreeMap;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder, Server};

use super::path::mount_path;
use super::section::SelectedTexts;
use super::shared::{BEARER, FAULT, SCHEMAS, fault};
use crate::catalog::json_text::{json, member};
use crate::config::{DocumentConfig, ServerName};
use crate::upstream::ServerInfo;

/// The parts of the document of one server, beside its tools.
#[derive(Debug, Clone, Copy)]
pub struct ServerDocument<'a> {
    pub name: &'a ServerName,
    /// `None` while the server has never connected.
    pub info: Option<&'a ServerInfo>,
    /// Where the tools' paths start (see [`mount_path`]), already encoded; `None` in single-server mode.
    pub mount: Option<&'a str>,
    /// Whether calls need an API key.
    pub secured: bool,
    /// The head of a single-server gateway's document as long as its server has never connected.
    pub document: &'a DocumentConfig,
}

/// The parts of the document of all servers, beside their tools.
#[derive(Debug, Clone, Copy)]
pub struct CombinedDocument<'a> {
    /// In the order in which they are to be listed.
    pub servers: &'a [(&'a ServerName, Option<&'a ServerInfo>)],
    /// Root path and path prefix under which servers are mounted; starts and ends with `/`.
    pub prefix: &'a str,
    pub secured: bool,
    pub document: &'a DocumentConfig,
}

/// The differences between the frames of documents.
struct DocumentHead<'a> {
    title: &'a str,
    description: &'a str,
    version: &'a str,
    /// The one entry of `servers`; `None` leaves `servers` out.
    url: Option<&'a str>,
    /// Name and description.
    tags: Vec<(&'a str, Option<String>)>,
    secured: bool,
}

/// The document at `/{server}/openapi.json` (as in mcpo 0.0.20).
///
/// Paths have no prefix, and ids are `tool_{name}_post`.
pub fn server_document(server: &ServerDocument<'_>, tools: &SelectedTexts<'_>) -> Vec<u8> {
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
    let head = DocumentHead {
        title,
        description: &description,
        version,
        url: server.mount,
        tags: Vec::new(),
        secured: server.secured,
    };
    document(head, tools)
}

/// The document at `/openapi.json`, of all tools of all servers.
///
/// Paths are `/{server}/{tool}`, and ids `{server}_{tool}`.
pub fn combined_document(combined: &CombinedDocument<'_>, tools: &SelectedTexts<'_>) -> Vec<u8> {
    let tags = combined.servers.iter().map(|(name, info)| {
        let text = info.map(|info| format!("{} {}", info.name, info.version));
        (name.as_str(), text)
    });
    let url = combined.prefix.trim_end_matches('/');
    let head = DocumentHead {
        title: &combined.document.name,
        description: &listing(combined),
        version: &combined.document.version,
        url: (!url.is_empty()).then_some(url),
        tags: tags.collect(),
        secured: combined.secured,
    };
    document(head, tools)
}

/// The configured description and mcpo's list of links to each server's page.
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

/// The text of a whole document.
///
/// utoipa builds all but the components: no schema type of utoipa's keeps all of JSON Schema 2020-12, and the texts of
/// tools, which are written once for all documents, would have to be read again for it.
fn document(head: DocumentHead<'_>, tools: &SelectedTexts<'_>) -> Vec<u8> {
    let description = (!head.description.is_empty()).then_some(head.description);
    let info = InfoBuilder::new().title(head.title).description(description).version(head.version).build();
    let tag = |(name, text)| TagBuilder::new().name::<&str>(name).description(text).build();
    let tags: Vec<_> = head.tags.into_iter().map(tag).collect();
    let frame = OpenApiBuilder::new()
        .info(info)
        .servers(head.url.map(|url| [Server::new(url)]))
        .tags((!tags.is_empty()).then_some(tags))
        .build();
    let frame = serde_json::to_string(&frame).expect("utoipa's types have only string keys");
    // Nothing else in it reads so: quotes inside of strings are escaped.
    let (before, after) = frame.split_once(r#""paths":{}"#).expect("utoipa writes empty paths");
    let mut text = before.as_bytes().to_vec();
    text.extend_from_slice(br#""paths":{"#);
    tools.write_paths(&mut text);
    text.extend_from_slice(br#"},"components":"#);
    write_components(&mut text, head.secured, tools);
    text.extend_from_slice(after.as_bytes());
    text
}

fn write_components(text: &mut Vec<u8>, is_secured: bool, tools: &SelectedTexts<'_>) {
    text.push(b'{');
    if is_secured {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        member(text, "securitySchemes");
        json(text, &BTreeMap::from([(BEARER, scheme)]));
    }
    member(text, "schemas");
    text.push(b'{');
    for (key, schema) in SCHEMAS.iter() {
        member(text, key);
        json(text, schema);
    }
    tools.write_schemas(text);
    text.push(b'}');
    member(text, "responses");
    json(text, &BTreeMap::from([(FAULT, fault())]));
    text.push(b'}');
}
