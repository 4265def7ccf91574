//! Names of things among those of all servers: `{server}_{thing}` in `[A-Za-z0-9_-]`, which MCP allows (2026-07-28,
//! server/tools, "Tool Names") and models' interfaces take.
//!
//! A name is a function of its server, its thing and the set of configured servers, never of what another server offers
//! or of whether that server is there. It has one of two forms:
//!
//! - A plain name is the server's and the thing's as they are. It must be short enough, and readable in one way alone: it
//!   begins with the name of no other server that is longer (their cleaned names count, too), and it does not end as a
//!   name of the other form does.
//! - A hashed name is what fits of the two, cleaned, and sixteen digits of SHA-256: eight of the server's name, then
//!   eight of the thing's. No two servers have the same eight, so that a hashed name tells whose it is, and whatever
//!   a server calls its things, it can only make its own hashed names meet. Those are kept apart by further hashing.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::operation_id::{clean, is_word};
use super::tagged_json::hash_prefix;
use crate::config::{Config, ServerName, defaults};

/// OpenAI and the clients after it accept no longer function name.
const LONGEST_OPERATION_ID: usize = 64;
/// Of a server, and of a thing.
const DIGITS: usize = 8;

/// The names of all configured servers, and the rules for the names of their things.
#[derive(Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Servers by what a text begins with that means one of their things: their names, and these cleaned. `None` where
    /// several names clean to the same and none is it.
    heads: HashMap<String, Option<ServerName>>,
    /// In bytes.
    longest_head: usize,
    /// The digits of each server in its hashed names.
    digits: HashMap<ServerName, String>,
    by_digits: HashMap<String, ServerName>,
    exposed_name_length: usize,
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new([], defaults::EXPOSED_NAME_LENGTH)
    }
}

impl Namespace {
    /// The namespace of the servers of `config`.
    pub fn of(config: &Config) -> Self {
        let servers = config.servers.iter().map(|server| server.name.clone());
        Self::new(servers, config.exposed_name_length)
    }

    /// The namespace of `servers`, in which clients are shown names of at most `exposed_name_length` bytes.
    pub fn new(servers: impl IntoIterator<Item = ServerName>, exposed_name_length: usize) -> Self {
        let servers: BTreeSet<ServerName> = servers.into_iter().collect();
        let mut heads: HashMap<String, Option<ServerName>> = HashMap::with_capacity(servers.len());
        for server in &servers {
            let cleaned = heads.entry(clean(server.as_str(), fits));
            cleaned.and_modify(|owner| *owner = None).or_insert_with(|| Some(server.clone()));
        }
        // A name as it is configured stands for its own server, even where another server's name is cleaned to it.
        heads.extend(servers.iter().map(|server| (server.to_string(), Some(server.clone()))));
        let mut by_digits: HashMap<String, ServerName> = HashMap::with_capacity(servers.len());
        for server in &servers {
            let free = hashes(server.as_str()).find(|digits| !by_digits.contains_key(digits));
            by_digits.extend(free.map(|digits| (digits, server.clone())));
        }
        Self {
            longest_head: heads.keys().map(String::len).max().unwrap_or_default(),
            heads,
            digits: by_digits.iter().map(|(digits, server)| (server.clone(), digits.clone())).collect(),
            by_digits,
            exposed_name_length,
        }
    }

    /// The exposed names of `things` of `server`, in their order; no two are the same.
    pub fn exposed_names<'a>(
        &self,
        server: &ServerName,
        things: impl IntoIterator<Item = &'a str>,
    ) -> Vec<String> {
        self.names(server, things.into_iter().collect(), self.exposed_name_length)
    }

    /// The operation ids of `tools` of `server` in the combined document, in their order.
    ///
    /// No two are the same.
    pub fn operation_ids<'a>(
        &self,
        server: &ServerName,
        tools: impl IntoIterator<Item = &'a str>,
    ) -> Vec<String> {
        self.names(server, tools.into_iter().collect(), LONGEST_OPERATION_ID)
    }

    /// The one server that can have something called `name`.
    pub fn server_of(&self, name: &str) -> Option<&ServerName> {
        self.hashed_by(name).or_else(|| self.head(name).map(|(server, _)| server))
    }

    /// The server that `text`, read as `{server}_{thing}`, names, and where the thing begins.
    ///
    /// That is the server with the longest name that `text` begins with.
    pub(super) fn head(&self, text: &str) -> Option<(&ServerName, usize)> {
        let longest = text.len().min(self.longest_head + 1);
        let mut ends = memchr::memrchr_iter(b'_', &text.as_bytes()[..longest]);
        let (server, end) = ends.find_map(|end| Some((self.heads.get(&text[..end])?, end)))?;
        Some((server.as_ref()?, end + 1))
    }

    fn names(&self, server: &ServerName, things: Vec<&str>, longest: usize) -> Vec<String> {
        let mut names = vec![String::new(); things.len()];
        let mut hashed = Vec::new();
        for (index, thing) in things.iter().enumerate() {
            match self.plain(server, thing, longest) {
                Some(name) => names[index] = name,
                None => hashed.push(index),
            }
        }
        // Sorted, so that their order does not matter where hashes meet.
        hashed.sort_unstable_by_key(|&index| things[index]);
        let own_digits = self.digits.get(server).map_or("", String::as_str);
        let mut taken = HashSet::with_capacity(hashed.len());
        for index in hashed {
            let mut stem = format!("{}_{}", clean(server.as_str(), fits), clean(things[index], fits));
            stem.truncate(longest - 1 - 2 * DIGITS);
            let mut all = hashes(things[index]).map(|digits| format!("{stem}_{own_digits}{digits}"));
            names[index] = all.find(|name| taken.insert(name.clone())).unwrap_or_default();
        }
        names
    }

    /// The name as it is, if that is short enough and can be read in one way alone.
    fn plain(&self, server: &ServerName, thing: &str, longest: usize) -> Option<String> {
        let length = server.as_str().len() + 1 + thing.len();
        if length > longest || !server.as_str().chars().chain(thing.chars()).all(fits) {
            return None;
        }
        let name = format!("{server}_{thing}");
        let (read_as, _) = self.head(&name)?;
        (read_as == server && self.hashed_by(&name).is_none()).then_some(name)
    }

    /// The server whose digits stand where those of a hashed name do.
    fn hashed_by(&self, name: &str) -> Option<&ServerName> {
        let (rest, digits) = name.as_bytes().split_last_chunk::<{ 2 * DIGITS }>()?;
        let is_hash = rest.ends_with(b"_") && digits.iter().all(u8::is_ascii_hexdigit);
        self.by_digits.get(name.get(rest.len()..rest.len() + DIGITS).filter(|_| is_hash)?)
    }
}

/// Digits for `text`, one after the other: those of its hash, and more for where these are taken.
fn hashes(text: &str) -> impl Iterator<Item = String> {
    let first = hash_prefix(text.as_bytes(), DIGITS);
    let further = (1_u32..).map(move |turn| hash_prefix(format!("{text}\0{turn}").as_bytes(), DIGITS));
    std::iter::once(first).chain(further)
}

/// Whether a character may stand in a name.
pub(super) fn fits(character: char) -> bool {
    is_word(character) || character == '-'
}

#[cfg(test)]
mod tests;
