//! From a raw request path to what it asks for: pure, so that a table can test it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::http::mount::Prefixes;

/// What a path asks for. Names are percent-decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/`
    Page,
    /// The path prefix without its slash; the page is at `to`, relative to it.
    Moved { to: String },
    /// `/assets/page/{file}`
    File { name: Cow<'a, str> },
    /// `/servers/{server}/tools`
    Tools { server: Cow<'a, str> },
    /// `/servers/lobechat.json`, or `/servers/{server}/lobechat.json`
    Manifest { server: Option<Cow<'a, str>> },
}

impl<'a> Place<'a> {
    /// What a raw path asks of this face, if anything. The prefix is optional, as for all that belongs to the
    /// whole gateway.
    pub fn of(raw: &'a str, prefixes: &Prefixes) -> Option<Self> {
        let path = prefixes.within_root(raw);
        if !prefixes.prefix().is_empty() && path == prefixes.prefix() {
            let last = path.rsplit('/').next().unwrap_or_default();
            return Some(Self::Moved { to: format!("{last}/") });
        }
        Self::within(path).or_else(|| Self::within(prefixes.within_prefix(path)?))
    }

    fn within(path: &'a str) -> Option<Self> {
        if path == "/" {
            return Some(Self::Page);
        }
        if let Some(name) = path.strip_prefix("/assets/page/") {
            return Some(Self::File { name: decode(name)? });
        }
        match path.strip_prefix("/servers/")?.split_once('/') {
            None => (path == "/servers/lobechat.json").then_some(Self::Manifest { server: None }),
            Some((server, "tools")) => Some(Self::Tools { server: decode(server)? }),
            Some((server, "lobechat.json")) => Some(Self::Manifest { server: Some(decode(server)?) }),
            Some(_) => None,
        }
    }

    /// The route as a template that holds nothing of the path itself.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Page | Self::Moved { .. } => "/",
            Self::File { .. } => "/assets/page/{file}",
            Self::Tools { .. } => "/servers/{server}/tools",
            Self::Manifest { server: None } => "/servers/lobechat.json",
            Self::Manifest { server: Some(_) } => "/servers/{server}/lobechat.json",
        }
    }
}

/// `None` when the bytes are no UTF-8.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenConfig;

    fn prefixes(prefix: &str, root_path: &str) -> Prefixes {
        Prefixes::new(&ListenConfig {
            path_prefix: prefix.to_owned(),
            root_path: root_path.to_owned(),
            ..ListenConfig::default()
        })
    }

    #[test]
    fn the_page_and_what_belongs_to_it_are_found_and_nothing_else() {
        let plain = prefixes("/", "");
        let server = || Cow::from("a/b");
        for (path, place) in [
            ("/", Some(Place::Page)),
            ("/assets/page/page.css", Some(Place::File { name: "page.css".into() })),
            ("/servers/a%2Fb/tools", Some(Place::Tools { server: server() })),
            ("/servers/a%2Fb/lobechat.json", Some(Place::Manifest { server: Some(server()) })),
            ("/servers/lobechat.json", Some(Place::Manifest { server: None })),
            ("/servers/%FF/tools", None),
            ("/servers", None),
            ("/servers/plan", None),
            ("/servers/tools", None),
            ("/servers/s/tools/", None),
            ("/assets/swagger/x.css", None),
            ("/s/tools", None),
            ("//", None),
            ("", None),
        ] {
            assert_eq!(Place::of(path, &plain), place, "{path}");
        }
    }

    #[test]
    fn a_prefix_is_optional_and_a_root_path_may_have_been_stripped() {
        let both = prefixes("/pre/fix/", "/api");
        for path in ["/", "/pre/fix/", "/api/", "/api/pre/fix/"] {
            assert_eq!(Place::of(path, &both), Some(Place::Page), "{path}");
        }
        for path in ["/pre/fix", "/api/pre/fix"] {
            assert_eq!(Place::of(path, &both), Some(Place::Moved { to: "fix/".into() }), "{path}");
        }
        assert_eq!(Place::of("/pre/", &both), None);
        let file = Place::File { name: "page.js".into() };
        assert_eq!(Place::of("/api/pre/fix/assets/page/page.js", &both), Some(file));
    }
}
