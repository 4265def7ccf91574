//! Entries with a `url`: a server reached over HTTP.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::super::fields::{Fields, lenient_text, secret};
use super::super::location::Location;
use super::super::problem::Problems;
use super::super::secret::SecretText;
use super::super::transport::HttpConfig;
use super::context::{object, warn_unused};

/// The address and headers of an entry; `name` is its type, for messages.
pub(super) fn http_config(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<HttpConfig> {
    if fields.get("command").is_none() {
        warn_unused(
            fields,
            &["args", "env", "envFile", "passEnv", "cwd", "unit"],
            "a remote server",
            problems,
        );
    }
    let address = match fields.text("url", problems) {
        Some((written, location)) => address(written, &location, problems),
        None => {
            if fields.get("url").is_none() {
                problems.error(
                    &fields.location,
                    format!("a server of type `{name}` needs a `url`"),
                    "add `\"url\": \"http://...\"`",
                );
            }
            None
        }
    };
    let headers = headers(fields, problems);
    Some(HttpConfig { url: address?, headers, oauth: None })
}

/// Reads what an entry has of a remote server, for the problems in it.
pub(super) fn check_members(fields: &Fields<'_>, problems: &mut Problems) {
    if let Some((written, location)) = fields.text("url", problems) {
        address(written, &location, problems);
    }
    headers(fields, problems);
}

fn headers(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, SecretText)> {
    let mut headers: Vec<(String, SecretText)> = Vec::new();
    if let Some(members) = object(fields, "headers", problems) {
        for (name, node, location) in members.iter() {
            let Some(text) = lenient_text(node, &location, problems) else { continue };
            let Some(parsed) = header(name, &text, &location, problems) else { continue };
            if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                problems.slip(
                    &location,
                    format!("the header `{name}` stands here twice"),
                    "keep one; upper and lower case do not matter",
                );
            }
            headers.push(parsed);
        }
    }
    headers
}

/// The URL; one with references can only be checked when those are read.
pub(super) fn address(written: &str, location: &Location, problems: &mut Problems) -> Option<SecretText> {
    let text = secret(written, location, problems)?;
    let Some(literal) = text.as_literal() else { return Some(text) };
    let good =
        Url::parse(literal).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !good {
        problems.error(
            location,
            "this is no http or https URL",
            "write one such as http://localhost:25531/mcp",
        );
        return None;
    }
    Some(text)
}

/// A header whose name and value can be sent.
pub(super) fn header(
    name: &str,
    value: &str,
    location: &Location,
    problems: &mut Problems,
) -> Option<(String, SecretText)> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        problems.error(
            location,
            format!("{name:?} cannot be the name of a header"),
            "use letters, digits and `-`",
        );
        return None;
    }
    let text = secret(value, location, problems)?;
    if text.as_literal().is_some_and(|literal| HeaderValue::from_str(literal).is_err()) {
        let message = format!("the value of `{name}` cannot stand in a header");
        problems.error(location, message, "remove line breaks and control characters");
        return None;
    }
    Some((name.to_owned(), text))
}
