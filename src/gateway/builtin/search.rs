//! `search_tools`: the tools that a caller may call, the likeliest first.

use std::cmp::Reverse;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::{Caller, Catalog, CatalogServer, CatalogTool, ServerSource};

/// Tools that one search answers with, unless the caller asks for another number; the default in `tools.json`.
const SEARCH_LIMIT: usize = 20;
/// Words of a query that count: each is looked for in all texts of all tools.
const MOST_WORDS: usize = 32;

/// The arguments.
#[derive(Deserialize)]
pub struct SearchArguments {
    #[serde(default)]
    query: String,
    server: Option<String>,
    limit: Option<usize>,
    /// Whether the input schemas are to come along.
    #[serde(default)]
    schemas: bool,
}

/// The tools of other servers that hold all words of the query. The place of a word decides the order: the tool's
/// name, then its title or its server's name, then its description. Equal tools keep the servers' order.
pub fn search(catalog: &Catalog, caller: &Caller, search: &SearchArguments) -> Value {
    let words = words(&search.query);
    let servers = catalog.servers.iter().filter(|server| {
        matches!(server.source, ServerSource::Upstream(_))
            && search.server.as_deref().is_none_or(|wanted| wanted == server.name.as_str())
    });
    let mut matches: Vec<(u32, &CatalogServer, &CatalogTool)> = servers
        .flat_map(|server| server.tools.iter().map(move |tool| (&**server, &**tool)))
        .filter(|(server, tool)| caller.scope.allows(server, tool))
        .filter_map(|(server, tool)| Some((likeness(server, tool, &words)?, server, tool)))
        .collect();
    matches.sort_by_key(|(likeness, ..)| Reverse(*likeness));
    let shown: Vec<Value> = matches
        .iter()
        .take(search.limit.unwrap_or(SEARCH_LIMIT))
        .map(|(_, server, tool)| {
            let mut entry = json!({
                "server": server.name.as_str(),
                "tool": &*tool.exposed_name,
                "description": tool.description().unwrap_or_default(),
            });
            if search.schemas {
                entry["inputSchema"] = tool.definition.get("inputSchema").cloned().unwrap_or_default();
            }
            entry
        })
        .collect();
    json!({ "tools": shown, "matches": matches.len() })
}

fn words(query: &str) -> Vec<String> {
    query.split_whitespace().take(MOST_WORDS).map(str::to_lowercase).collect()
}

/// How well the tool fits the words; `None` when one of them stands nowhere.
fn likeness(server: &CatalogServer, tool: &CatalogTool, words: &[String]) -> Option<u32> {
    if words.is_empty() {
        return Some(0);
    }
    let name = tool.exposed_name.to_lowercase();
    let texts = [
        (3, tool.title().unwrap_or_default().to_lowercase()),
        (3, server.name.as_str().to_lowercase()),
        (1, tool.description().unwrap_or_default().to_lowercase()),
    ];
    let mut sum = 0;
    for word in words {
        let in_name = in_name(&name, word);
        let elsewhere =
            texts.iter().filter(|(_, text)| text.contains(word.as_str())).map(|(weight, _)| *weight);
        sum += elsewhere.chain(in_name).max()?;
    }
    Some(sum)
}

/// The whole name counts most, then a word of it, then a part of one.
fn in_name(name: &str, word: &str) -> Option<u32> {
    if name == word {
        return Some(16);
    }
    if name.split(|character: char| !character.is_alphanumeric()).any(|part| part == word) {
        return Some(9);
    }
    name.contains(word).then_some(6)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::catalog::ServerInfo;
    use crate::config::{ServerConfig, ServerName, TransportConfig};

    fn order(query: &str, tools: &[(&str, &str)]) -> Vec<String> {
        let definitions: Vec<_> = tools
            .iter()
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .map(|tool| Arc::new(tool.as_object().unwrap().clone()))
            .collect();
        let config = ServerConfig::new(ServerName::new("files").unwrap(), TransportConfig::Gateway);
        let server = CatalogServer::of_gateway(&config, ServerInfo::default(), &definitions);
        let words = words(query);
        let mut found: Vec<_> = server
            .tools
            .iter()
            .filter_map(|tool| Some((likeness(&server, tool, &words)?, tool.name.to_string())))
            .collect();
        found.sort_by_key(|(likeness, _)| Reverse(*likeness));
        found.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn names_come_before_descriptions_and_whole_names_before_parts() {
        let tools = [
            ("make", "write a new file"),
            ("rewrite", ""),
            ("write-all", ""),
            ("write", ""),
            ("read", "nothing of the kind"),
        ];
        assert_eq!(order("WRITE", &tools), ["write", "write-all", "rewrite", "make"]);
    }

    #[test]
    fn each_word_must_stand_somewhere_be_it_in_the_servers_name() {
        let tools = [("search", "find text"), ("find", "search for names"), ("text", "")];
        assert_eq!(order("find search", &tools), ["search", "find"]);
        assert_eq!(order("files text", &tools), ["text", "search"]);
        assert!(order("find nowhere", &tools).is_empty());
        assert_eq!(order("", &tools), ["search", "find", "text"]);
    }

    #[test]
    fn words_of_a_query_count_up_to_a_bound() {
        let query = format!("{}nowhere", "find ".repeat(MOST_WORDS));
        assert_eq!(order(&query, &[("find", "")]), ["find"]);
        assert!(order("find nowhere", &[("find", "")]).is_empty());
    }
}
