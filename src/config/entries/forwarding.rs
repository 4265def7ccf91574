//! `forwardHeaders`, and mcpo's `client_header_forwarding` (as in mcpo 0.0.20), which mcpo itself reads and
//! then never acts on.

use super::super::fields::{Fields, mismatch};
use super::super::forwarding::{ClaimText, ForwardingConfig, HeaderPattern};
use super::super::json_tree::{JsonNode, JsonValue};
use super::super::key;
use super::super::keys::nested;
use super::super::location::Location;
use super::super::problem::Problems;
use super::super::transport::TransportConfig;
use super::context::EntryContext;

/// The rules of all spellings in one entry.
#[derive(Debug, Default)]
struct ForwardingRules {
    allowed: Vec<(HeaderPattern, Location)>,
    withheld: Vec<HeaderPattern>,
    /// Where something is asked for, also when it comes to nothing.
    at: Option<Location>,
}

/// The rules of an entry; `None` when no header of a caller can go along.
pub(super) fn of_entry(
    fields: &Fields<'_>,
    transport: Option<&TransportConfig>,
    context: &EntryContext,
    problems: &mut Problems,
) -> Option<ForwardingConfig> {
    let mut rules = ForwardingRules::default();
    let mut claims = Vec::new();
    for name in ["forwardHeaders", "forward_headers"] {
        if let Some((node, location)) = fields.get(name)
            && let JsonValue::Object(_) = node.value
        {
            claims.extend(of_claims(node, location.clone(), problems));
            rules.at.get_or_insert(location);
            continue;
        }
        let Some(patterns) = patterns(fields, name, problems) else { continue };
        rules.at = rules.at.or_else(|| fields.get(name).map(|(_, location)| location));
        rules.allowed.extend(patterns);
    }
    for name in ["client_header_forwarding", "clientHeaderForwarding"] {
        form_of_mcpo(fields, name, &mut rules, problems);
    }
    let (at, transport) = (rules.at?, transport?);
    let Some(http) = transport.http() else {
        problems.slip(
            &at,
            "this server is not reached over HTTP, so there are no headers in which anything could go along",
            "remove it; only servers of type `http` and `sse` get headers of callers",
        );
        return None;
    };
    let fixed: Vec<HeaderPattern> =
        http.headers.iter().filter_map(|(name, _)| HeaderPattern::parse(name)).collect();
    let mut allowed = rules.allowed;
    allowed.retain(|(pattern, location)| is_useful(pattern, location, &fixed, context, problems));
    claims.retain(|(pattern, _, location)| is_useful(pattern, location, &fixed, context, problems));
    if allowed.is_empty() && claims.is_empty() {
        return None;
    }
    let mut withheld = rules.withheld;
    withheld.extend(fixed);
    withheld.extend(claims.iter().map(|(pattern, ..)| pattern.clone()));
    let claims = claims.into_iter().filter_map(|(pattern, text, _)| Some((pattern.name()?, text)));
    let allowed = allowed.into_iter().map(|(pattern, _)| pattern).collect();
    Some(ForwardingConfig { allowed, withheld, claims: claims.collect() })
}

/// Headers from claims of the user, by their names.
fn of_claims(
    node: &JsonNode,
    location: Location,
    problems: &mut Problems,
) -> Vec<(HeaderPattern, ClaimText, Location)> {
    let Some(members) = Fields::new(node, location, problems) else { return Vec::new() };
    let headers = members.iter().filter_map(|(name, node, location)| {
        let JsonValue::Text(text) = &node.value else {
            return mismatch(&location, "a string", node, problems);
        };
        let Some(pattern) = HeaderPattern::parse(name).filter(|pattern| pattern.name().is_some()) else {
            problems.error(&location, "this is no name of a header", "write one such as X-User");
            return None;
        };
        let Some(claims) = ClaimText::parse(text) else {
            let fix = "write a claim such as `${user.email}`; a fixed text belongs in `headers`";
            problems.error(&location, "this names no claim of a user", fix);
            return None;
        };
        Some((pattern, claims, location))
    });
    headers.collect()
}

fn form_of_mcpo(fields: &Fields<'_>, name: &str, rules: &mut ForwardingRules, problems: &mut Problems) {
    let Some((node, location)) = fields.get(name) else { return };
    let Some(members) = Fields::new(node, location.clone(), problems) else { return };
    members.report_unknown(&format!("`{name}`"), &key::names(nested::FORWARDING), &[], problems);
    let enabled = members.boolean("enabled", problems).unwrap_or(false);
    let whitelist = patterns(&members, "whitelist", problems);
    let blacklist = patterns(&members, "blacklist", problems);
    if members.boolean("debug_headers", problems) == Some(true)
        && let Some((_, location)) = members.get("debug_headers")
    {
        problems.warning(&location, "headers of callers are never logged, so this does nothing", "remove it");
    }
    if !enabled {
        return;
    }
    let named = whitelist.unwrap_or_default();
    if named.is_empty() {
        problems.warning(
            &location,
            "`enabled` without a `whitelist` forwards nothing: what no list names stays here",
            "name the headers in `whitelist`, such as \"X-OpenWebUI-User-*\", or set `enabled` to false",
        );
        return;
    }
    rules.allowed.extend(named);
    rules.withheld.extend(blacklist.into_iter().flatten().map(|(pattern, _)| pattern));
    rules.at.get_or_insert(location);
}

fn patterns(
    fields: &Fields<'_>,
    name: &str,
    problems: &mut Problems,
) -> Option<Vec<(HeaderPattern, Location)>> {
    let texts = fields.texts(name, problems)?.into_iter();
    let patterns = texts.filter_map(|(text, location)| match HeaderPattern::parse(&text) {
        Some(pattern) => Some((pattern, location)),
        None => {
            problems.error(
                &location,
                "this is no pattern over names of headers",
                "write a header's name, with `*` for any characters, such as X-OpenWebUI-User-*",
            );
            None
        }
    });
    Some(patterns.collect())
}

/// Whether a pattern can let anything through, with a word on what it does not do or should not.
fn is_useful(
    pattern: &HeaderPattern,
    location: &Location,
    fixed: &[HeaderPattern],
    context: &EntryContext,
    problems: &mut Problems,
) -> bool {
    if let Some(why) = pattern.refusal() {
        let message = format!("nothing that this names is ever forwarded: {why}");
        problems.slip(
            location,
            message,
            "remove it; name headers that identify the caller, such as X-Tenant",
        );
        return false;
    }
    if fixed.contains(pattern) {
        let message = "`headers` of this entry has a fixed value for this header, which wins";
        problems.slip(location, message, "remove it here, or there");
        return false;
    }
    if pattern.is("authorization") && context.keyed {
        problems.slip(
            location,
            "callers present the gateway's own API key in `Authorization`, so it is never forwarded",
            "give the server's credentials in `headers`, have callers send theirs in a header of its own \
             that is named here, or run without API keys behind a proxy that signs callers in",
        );
        return false;
    }
    if pattern.is("authorization") {
        problems.warning(
            location,
            "the credentials of every caller go to this server, which can then act as that caller elsewhere",
            "keep it only if callers hold credentials that were issued for this very server",
        );
    }
    if pattern.misses_authorization() {
        let message = "a pattern never takes in `Authorization`";
        problems.warning(location, message, "name `Authorization` in full if it is meant");
    }
    if pattern.is_everything() {
        problems.warning(
            location,
            "this forwards nearly everything that callers send, and each different set of values costs the \
             server a session of its own",
            "name the headers that identify the caller, such as X-OpenWebUI-User-*",
        );
    }
    true
}

#[cfg(test)]
mod tests;
