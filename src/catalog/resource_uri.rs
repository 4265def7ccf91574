//! The URIs of resources, unique among all servers.
//!
//! | of a server | here |
//! |---|---|
//! | `ui://REST`, the page of an App | `ui://{server}/REST` |
//! | any other URI, or template of URIs | `mcpo://{server}/URI` |
//!
//! Hosts of Apps take no other scheme for their pages.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

const SCHEME: &str = "mcpo://";
/// Of the pages of Apps.
pub const APP_SCHEME: &str = "ui://";
/// The characters that a host holds unencoded (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Members of a tool's `_meta` that name the page of its App: of the extension's first draft, and of ChatGPT.
const FLAT_PAGES: [&str; 2] = ["ui/resourceUri", "openai/outputTemplate"];

/// The URI, or the template of URIs, under the name of its server.
pub fn joined(server: &str, own: &str) -> String {
    let server = utf8_percent_encode(server, ENCODED);
    match own.strip_prefix(APP_SCHEME) {
        Some(rest) => format!("{APP_SCHEME}{server}/{rest}"),
        None => format!("{SCHEME}{server}/{own}"),
    }
}

/// The server and its own URI; `None` for what [`joined`] did not make.
pub fn parted(uri: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (rest, scheme) = match uri.strip_prefix(SCHEME) {
        Some(rest) => (rest, ""),
        None => (uri.strip_prefix(APP_SCHEME)?, APP_SCHEME),
    };
    let (server, own) = rest.split_once('/')?;
    let own = if scheme.is_empty() { Cow::Borrowed(own) } else { Cow::Owned(format!("{scheme}{own}")) };
    Some((percent_decode_str(server).decode_utf8().ok()?, own))
}

/// The pages of an App that the `_meta` of its tool names.
pub fn pages(meta: &Value) -> impl Iterator<Item = &str> {
    let flat = FLAT_PAGES.iter().map(|key| meta.get(*key));
    let named = flat.chain([meta.get("ui").and_then(|ui| ui.get("resourceUri"))]);
    named.filter_map(|page| page?.as_str()).filter(|page| page.starts_with(APP_SCHEME))
}

/// The `_meta` of a tool with its App pages under the name of `server`; `None` without pages.
pub fn with_joined_pages(server: &str, meta: &Value) -> Option<Value> {
    pages(meta).next()?;
    let mut meta = meta.clone();
    let join = |page: Option<&mut Value>| {
        if let Some(page) = page
            && let Some(own) = page.as_str().filter(|own| own.starts_with(APP_SCHEME))
        {
            *page = joined(server, own).into();
        }
    };
    join(meta.get_mut("ui").and_then(|ui| ui.get_mut("resourceUri")));
    FLAT_PAGES.iter().for_each(|key| join(meta.get_mut(*key)));
    Some(meta)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_uri_goes_out_under_its_server_and_comes_back_as_it_was() {
        for (server, own, whole) in [
            ("time", "demo://x/1?q=a#f", "mcpo://time/demo://x/1?q=a#f"),
            ("a b/c", "file:///tmp/{+path}{?x*}", "mcpo://a%20b%2Fc/file:///tmp/{+path}{?x*}"),
            ("日", "urn:isbn:1", "mcpo://%E6%97%A5/urn:isbn:1"),
            ("s", "", "mcpo://s/"),
            ("s", "ui://", "ui://s/"),
            ("a b", "ui://clock/page.html", "ui://a%20b/clock/page.html"),
            ("s", "UI://clock", "mcpo://s/UI://clock"),
        ] {
            assert_eq!(joined(server, own), whole);
            assert_eq!(parted(whole), Some((server.into(), own.into())));
        }
        for foreign in
            ["demo://x", "mcpo://time", "mcpo:/time/x", "MCPO://time/x", "mcpo://%FF/x", "ui://x", ""]
        {
            assert_eq!(parted(foreign), None, "{foreign}");
        }
        assert_eq!(
            parted("mcpo://s/ui://x/y"),
            Some(("s".into(), "ui://x/y".into())),
            "as it was called before"
        );
    }

    #[test]
    fn pages_of_apps_are_named_under_their_server_wherever_meta_names_them() {
        let meta = json!({
            "ui": {"resourceUri": "ui://clock/page.html", "visibility": ["model"]},
            "ui/resourceUri": "ui://clock/page.html",
            "openai/outputTemplate": "ui://widget.html",
            "x": "ui://clock/page.html",
        });
        let here = json!({
            "ui": {"resourceUri": "ui://time/clock/page.html", "visibility": ["model"]},
            "ui/resourceUri": "ui://time/clock/page.html",
            "openai/outputTemplate": "ui://time/widget.html",
            "x": "ui://clock/page.html",
        });
        assert_eq!(with_joined_pages("time", &meta), Some(here));
        for other in
            [json!({"ui": {"resourceUri": 5}}), json!({"ui": "ui://x"}), json!({"ui": {}}), json!(null)]
        {
            assert_eq!(with_joined_pages("time", &other), None);
        }
    }
}
