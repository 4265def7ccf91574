//! Patterns over tools, as a profile has them: each stands for `{server}_{tool}`, both names in full.
//!
//! The two names may hold `_` themselves, so one text can mean tools of several servers, and one of them may be called
//! so on purpose. A pattern shows no tool of one server for that of another:
//!
//! - One that begins with the name of a server (as it is, or cleaned) and `_`, before its first wildcard, is over the tools
//!   of that server alone, the one with the longest such name: with the servers `git` and `git_hub`, `git_*` shows all
//!   tools of the one, and `git_hub_*` all of the other.
//! - Any other one is over the tools of all servers. Where the text of a tool could be read as that of a server with a
//!   longer name, only `*` may stand for the `_` between its server's name and its own.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::catalog::namespace::{Namespace, fits};
use crate::catalog::operation_id::clean;
use crate::config::ServerName;

/// The characters that may stand for others. The part of a pattern before the first of them is matched literally.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];
/// Stands for a `_` that only `*` may be taken for: two characters, since `?` is one.
const APART: &str = "\0\0";

/// The tools that one profile shows.
#[derive(Debug, Clone)]
pub struct ToolPatterns {
    /// Over the tools of one server.
    of_servers: HashMap<ServerName, GlobSet>,
    of_all: GlobSet,
    /// The beginnings of those over all tools, before their first wildcards.
    heads: Vec<String>,
    namespace: Arc<Namespace>,
}

impl ToolPatterns {
    /// Reads `patterns` as ones over the things of `namespace`.
    ///
    /// # Errors
    ///
    /// A text that is no pattern.
    pub fn new(patterns: &[String], namespace: Arc<Namespace>) -> Result<Self, globset::Error> {
        let mut of_servers: HashMap<ServerName, GlobSetBuilder> = HashMap::new();
        let (mut of_all, mut heads) = (GlobSetBuilder::new(), Vec::new());
        for pattern in patterns {
            let (said, ends) = head(pattern);
            match parted(pattern, &said, &ends, &namespace) {
                Some((server, tools)) => {
                    let patterns = of_servers.entry(server.clone()).or_insert_with(GlobSetBuilder::new);
                    patterns.add(Glob::new(tools)?);
                }
                None => {
                    of_all.add(Glob::new(pattern)?);
                    heads.push(said);
                }
            }
        }
        let built = of_servers.into_iter().map(|(server, patterns)| Ok((server, patterns.build()?)));
        Ok(Self { of_servers: built.collect::<Result<_, _>>()?, of_all: of_all.build()?, heads, namespace })
    }

    /// Whether a pattern can match a tool of `server`; the name of the tool is left open.
    pub fn can_hold(&self, server: &ServerName) -> bool {
        let begins = |server_text: &str| {
            let text = format!("{server_text}_");
            self.heads.iter().any(|head| text.starts_with(head.as_str()))
        };
        self.of_servers.contains_key(server)
            || begins(server.as_str())
            || begins(&clean(server.as_str(), fits))
    }

    /// Whether one of them holds for the tool that `server` exposes as `tool`.
    pub fn hold(&self, server: &ServerName, tool: &str) -> bool {
        if self.of_servers.get(server).is_some_and(|tools| tools.is_match(tool)) {
            return true;
        }
        if self.of_all.is_empty() {
            return false;
        }
        let holds = |server_text: &str| {
            let text = format!("{server_text}_{tool}");
            if self.namespace.head(&text).is_some_and(|(read_as, _)| read_as == server) {
                return self.of_all.is_match(text);
            }
            let apart = self.of_all.matches(format!("{server_text}{APART}{tool}"));
            self.of_all.matches(text).iter().any(|pattern| apart.contains(pattern))
        };
        let cleaned = clean(server.as_str(), fits);
        holds(server.as_str()) || cleaned != server.as_str() && holds(&cleaned)
    }
}

/// The text of `pattern` before its first wildcard, and for each of its characters where it ends there and in the pattern.
fn head(pattern: &str) -> (String, Vec<(usize, usize)>) {
    let mut said = String::with_capacity(pattern.len());
    let mut ends = Vec::with_capacity(pattern.len());
    let mut characters = pattern.char_indices();
    while let Some((start, character)) = characters.next() {
        let (start, character) = match character {
            '\\' => match characters.next() {
                Some(escaped) => escaped,
                None => break,
            },
            wildcard if WILDCARDS.contains(&wildcard) => break,
            plain => (start, plain),
        };
        said.push(character);
        ends.push((said.len(), start + character.len_utf8()));
    }
    (said, ends)
}

/// The server that the [`head`] of `pattern` names, and the rest of the pattern, which is over its tools.
fn parted<'a, 'b>(
    pattern: &'a str,
    said: &str,
    ends: &[(usize, usize)],
    namespace: &'b Namespace,
) -> Option<(&'b ServerName, &'a str)> {
    let (server, thing) = namespace.head(said)?;
    let (_, rest) = ends.iter().find(|(end, _)| *end == thing)?;
    Some((server, &pattern[*rest..]))
}

#[cfg(test)]
mod tests;
