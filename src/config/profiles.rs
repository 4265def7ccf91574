//! Client profiles: which servers and tools a client is shown, by the name that a key or a query gives
//! (`profiles`).

use globset::Glob;

use super::fields::Fields;
use super::problem::{Place, Problems, nearest};
use super::{ProfileConfig, servers};

/// All profiles, in the order of the files; of two with one name the later counts.
pub(super) fn collect(documents: &[Fields<'_>], problems: &mut Problems) -> Vec<ProfileConfig> {
    let names = servers::names(documents);
    let mut profiles: Vec<ProfileConfig> = Vec::new();
    for document in documents {
        let Some((node, place)) = document.get("profiles") else { continue };
        let Some(entries) = Fields::new(node, place, problems) else { continue };
        for (name, node, place) in entries.iter() {
            if name.is_empty() {
                problems.error(
                    &place,
                    "a profile needs a name",
                    "name the profile after the client it is for",
                );
            }
            let Some(fields) = Fields::new(node, place, problems) else { continue };
            let profile = profile(name, &fields, &names, problems);
            profiles.retain(|known| known.name != profile.name);
            profiles.push(profile);
        }
    }
    profiles
}

fn profile(name: &str, fields: &Fields<'_>, names: &[String], problems: &mut Problems) -> ProfileConfig {
    fields.report_unknown("a profile", &["servers", "tools"], &["description"], problems);
    let tools = fields.texts("tools", problems);
    for (pattern, place) in tools.iter().flatten() {
        if let Err(error) = Glob::new(pattern) {
            let message = format!("this is no pattern over tool names: {}", error.kind());
            problems.error(
                place,
                message,
                "write SERVER_TOOL, both names in full, with `*` and `?` as wildcards",
            );
        }
    }
    ProfileConfig {
        name: name.to_owned(),
        servers: server_patterns(fields, names, problems),
        tools: tools.map(|list| list.into_iter().map(|(pattern, _)| pattern).collect()),
    }
}

/// The list `servers` of a key or a profile: patterns, each of which is to match one of `names`.
pub(super) fn server_patterns(
    fields: &Fields<'_>,
    names: &[String],
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let scope = fields.texts("servers", problems)?;
    for (pattern, place) in &scope {
        match Glob::new(pattern) {
            Err(error) => {
                let message = format!("this is no pattern over server names: {}", error.kind());
                problems.error(place, message, "write a server's name, with `*` and `?` as wildcards");
            }
            Ok(glob) => {
                let matcher = glob.compile_matcher();
                if !names.iter().any(|name| matcher.is_match(name)) {
                    let fix = match nearest(pattern, names.iter().map(String::as_str)) {
                        Some(candidate) => format!("write `{candidate}` if that was meant, or remove it"),
                        None => "name a server of `mcpServers`, or remove it".to_owned(),
                    };
                    problems.warning(place, format!("no server is called `{pattern}`"), fix);
                }
            }
        }
    }
    Some(scope.into_iter().map(|(pattern, _)| pattern).collect())
}

/// The member `profile` of a key, which must be the name of a profile: without one, the key would show more than
/// was meant.
pub(super) fn of_key(
    fields: &Fields<'_>,
    profiles: &[ProfileConfig],
    problems: &mut Problems,
) -> Option<String> {
    let (name, place) = fields.text("profile", problems)?;
    if !profiles.iter().any(|profile| profile.name == name) {
        unknown(name, &place, profiles, problems);
        return None;
    }
    Some(name.to_owned())
}

fn unknown(name: &str, place: &Place, profiles: &[ProfileConfig], problems: &mut Problems) {
    let fix = match nearest(name, profiles.iter().map(|profile| profile.name.as_str())) {
        Some(candidate) => format!("write `{candidate}` if that was meant, or add it to `profiles`"),
        None => "add it to `profiles`, or remove it".to_owned(),
    };
    problems.error(place, format!("there is no profile `{name}`"), fix);
}
