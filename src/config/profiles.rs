//! Client profiles: which servers and tools a client is shown, by the name that a key or a query gives
//! (`profiles`).

use std::collections::{HashMap, HashSet};

use globset::Glob;

use super::auth::ProfileConfig;
use super::entries;
use super::fields::Fields;
use super::key;
use super::keys::nested;
use super::location::Location;
use super::problem::Problems;

/// All profiles, in the order of the files; of two with one name the later counts.
pub(super) fn collect(documents: &[Fields<'_>], problems: &mut Problems) -> Vec<ProfileConfig> {
    let mut names = ConfiguredNames::new(documents);
    let mut profiles: Vec<Option<ProfileConfig>> = Vec::new();
    let mut indices: HashMap<String, usize> = HashMap::new();
    for document in documents {
        let Some((node, location)) = document.get("profiles") else { continue };
        let Some(entries) = Fields::new(node, location, problems) else { continue };
        for (name, node, location) in entries.iter() {
            if name.is_empty() {
                problems.error(
                    &location,
                    "a profile needs a name",
                    "name the profile after the client it is for",
                );
            }
            let Some(fields) = Fields::new(node, location, problems) else { continue };
            let profile = profile(name, &fields, &mut names, problems);
            if let Some(earlier) = indices.insert(profile.name.clone(), profiles.len()) {
                profiles[earlier] = None;
            }
            profiles.push(Some(profile));
        }
    }
    profiles.into_iter().flatten().collect()
}

fn profile(
    name: &str,
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    problems: &mut Problems,
) -> ProfileConfig {
    fields.report_unknown("a profile", &key::names(nested::PROFILE), &["description"], problems);
    ProfileConfig {
        name: name.to_owned(),
        servers: server_patterns(fields, names, problems),
        tools: tool_patterns(fields, problems),
    }
}

/// The list `tools` of a profile, a key or a user.
pub(super) fn tool_patterns(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let tools = fields.texts("tools", problems)?;
    for (pattern, location) in &tools {
        if let Err(error) = Glob::new(pattern) {
            let message = format!("this is no pattern over tool names: {}", error.kind());
            problems.error(
                location,
                message,
                "write SERVER_TOOL, both names in full, with `*` and `?` as wildcards",
            );
        }
    }
    Some(tools.into_iter().map(|(pattern, _)| pattern).collect())
}

/// The list `servers` of a key or a profile: patterns, each of which is to match one of `names`.
pub(super) fn server_patterns(
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let scope = fields.texts("servers", problems)?;
    for (pattern, location) in &scope {
        match Glob::new(pattern) {
            Err(error) => {
                let message = format!("this is no pattern over server names: {}", error.kind());
                problems.error(location, message, "write a server's name, with `*` and `?` as wildcards");
            }
            Ok(glob) if names.has_none(&glob) => {
                let fix = match problems.nearest(pattern, names.sorted.iter().map(String::as_str)) {
                    Some(candidate) => format!("write `{candidate}` if that was meant, or remove it"),
                    // Only the gateway without a configuration has it by itself.
                    None if pattern == "gateway" => {
                        "add the built-in server to `mcpServers`: `\"gateway\": { \"builtin\": \"gateway\" }`"
                            .to_owned()
                    }
                    None => "name a server of `mcpServers`, or remove it".to_owned(),
                };
                problems.warning(location, format!("no server is called `{pattern}`"), fix);
            }
            Ok(_) => {}
        }
    }
    Some(scope.into_iter().map(|(pattern, _)| pattern).collect())
}

/// The names of all entries, for patterns that must match one of them.
pub(super) struct ConfiguredNames {
    sorted: Vec<String>,
    /// Names that patterns may still be compared with.
    comparisons: usize,
}

/// Comparisons of patterns with names in all. A pattern beyond is not looked up, and so is not called a slip.
const COMPARISONS: usize = 1_000_000;
/// The cost to prepare a pattern for comparisons, in comparisons.
const PREPARATION: usize = 1_000;

impl ConfiguredNames {
    pub fn new(documents: &[Fields<'_>]) -> Self {
        let mut sorted = entries::names(documents);
        sorted.sort_unstable();
        sorted.dedup();
        Self { sorted, comparisons: COMPARISONS }
    }

    /// Whether no name matches the pattern, as far as that was looked up.
    fn has_none(&mut self, pattern: &Glob) -> bool {
        let text = pattern.glob();
        let plain = text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len());
        let (plain, rest) = text.split_at(plain);
        let from = self.sorted.partition_point(|name| name.as_str() < plain);
        let like = self.sorted[from..].partition_point(|name| name.starts_with(plain));
        let like = &self.sorted[from..from + like];
        match rest {
            "" => like.first().is_none_or(|first| first != plain),
            "*" => like.is_empty(),
            _ => match self.comparisons.checked_sub(PREPARATION + like.len()) {
                None => false,
                Some(left) => {
                    self.comparisons = left;
                    let matcher = pattern.compile_matcher();
                    !like.iter().any(|name| matcher.is_match(name))
                }
            },
        }
    }
}

/// The member `profile` of a key, which must be the name of a profile: without one, the key would show more than
/// was meant.
pub(super) fn of_key(
    fields: &Fields<'_>,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Option<String> {
    let (name, location) = fields.text("profile", problems)?;
    if !profiles.contains(name) {
        unknown(name, &location, profiles, problems);
        return None;
    }
    Some(name.to_owned())
}

fn unknown(name: &str, location: &Location, profiles: &HashSet<&str>, problems: &mut Problems) {
    let fix = match problems.nearest(name, profiles.iter().copied()) {
        Some(candidate) => format!("write `{candidate}` if that was meant, or add it to `profiles`"),
        None => "add it to `profiles`, or remove it".to_owned(),
    };
    problems.error(location, format!("there is no profile `{name}`"), fix);
}
