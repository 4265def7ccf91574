//! Entries with a `url`: a server reached over HTTP.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::super::fields::{Fields, lenient_text, mismatch, secret};
use super::super::json_tree::JsonValue;
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
    if fields.get("url").is_none() {
        problems.error(
            &fields.location,
            format!("a server of type `{name}` needs a `url`"),
            "add `\"url\": \"http://...\"`",
        );
    }
    let urls = addresses(fields, problems);
    let headers = headers(fields, problems);
    let mut urls = urls?.into_iter();
    Some(HttpConfig { url: urls.next()?, other_urls: urls.collect(), headers, oauth: None })
}

/// Reads what an entry has of a remote server, for the problems in it.
pub(super) fn check_members(fields: &Fields<'_>, problems: &mut Problems) {
    addresses(fields, problems);
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

/// The addresses of `url`, one or a list.
fn addresses(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<SecretText>> {
    let (node, location) = fields.get("url")?;
    let written = match &node.value {
        JsonValue::Text(text) => return Some(vec![address(text, &location, problems)?]),
        JsonValue::List(_) => fields.texts("url", problems)?,
        _ => return mismatch(&location, "a string or a list of strings", node, problems),
    };
    if written.is_empty() {
        problems.error(&location, "this list of addresses is empty", "write at least one");
    }
    for (index, (text, location)) in written.iter().enumerate() {
        if written[..index].iter().any(|(earlier, _)| earlier == text) {
            problems.slip(location, "this address stands here twice", "keep the first");
        }
    }
    let urls: Vec<SecretText> =
        written.iter().filter_map(|(text, location)| address(text, location, problems)).collect();
    if urls.len() != written.len() || urls.len() < 2 {
        return Some(urls).filter(|urls| urls.len() == written.len());
    }
    // The headers, which may be secrets, go to each address: none of them may be less safe than the first.
    let scheme = |url: &SecretText| {
        let text = url.with_placeholders("").trim_start().to_ascii_lowercase();
        ["http:", "https:"].into_iter().find(|scheme| text.starts_with(scheme))
    };
    if scheme(&urls[0]).is_none() || urls.iter().any(|url| scheme(url) != scheme(&urls[0])) {
        problems.error(
            &location,
            "the addresses of one server do not all begin alike, so that its headers could go out without TLS",
            "write all of them with https:// or all with http://, each of them outside of references",
        );
    }
    if fields.get("oauth").is_some_and(|(node, _)| !matches!(node.value, JsonValue::Boolean(false))) {
        problems.error(
            &location,
            "the tokens of `oauth` are for one address, and would be shown to the others",
            "keep one address, such as that of a balancer before the others",
        );
    }
    Some(urls)
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
