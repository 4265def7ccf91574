//! The MCP endpoints as protected resources of OAuth (RFC 9728): their addresses, and where their metadata is.

use http::uri::Authority;
use http::{HeaderMap, header};
use url::Url;

use super::path_prefix::PathPrefix;
use crate::config::ListenConfig;

/// Where the metadata of a resource is, before the path of the resource.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The addresses of one configuration.
#[derive(Debug)]
pub struct ProtectedResources {
    paths: PathPrefix,
    public_url: Option<String>,
    is_secure: bool,
    is_single: bool,
}

impl ProtectedResources {
    pub fn new(listen: &ListenConfig, is_single: bool) -> Self {
        Self {
            paths: PathPrefix::new(listen),
            public_url: listen.public_url.clone(),
            is_secure: listen.tls.is_some(),
            is_single,
        }
    }

    /// The address of the metadata of the endpoint at the raw `path`.
    pub fn metadata(&self, path: &str, headers: &HeaderMap) -> String {
        let path = self.paths.within_root(path).trim_end_matches('/');
        format!("{}{WELL_KNOWN}{path}", self.base(headers))
    }

    /// The resource that the metadata at the raw `path` describes: all endpoints, or that of one path.
    ///
    /// It does not depend on the servers that there are, which strangers must not learn.
    pub fn resource(&self, path: &str, headers: &HeaderMap) -> Option<String> {
        let path = self.paths.within_root(path).strip_prefix(WELL_KNOWN)?;
        let path = self.paths.within_root(path).trim_end_matches('/');
        let is_resource = match self.paths.mcp_endpoint(path) {
            Some(server) => server.is_none() || !self.is_single,
            None => path.is_empty(),
        };
        is_resource.then(|| format!("{}{path}", self.base(headers)))
    }

    /// Whether `address` is the gateway's own, or one below it.
    pub fn is_own(&self, address: &str, headers: &HeaderMap) -> bool {
        let (Ok(address), Ok(base)) = (Url::parse(address), Url::parse(&self.base(headers))) else {
            return false;
        };
        let path = address.path().strip_prefix(base.path().trim_end_matches('/'));
        address.origin() == base.origin()
            && path.is_some_and(|path| path.is_empty() || path.starts_with('/'))
            && address.fragment().is_none()
    }

    /// The gateway's own address: `publicUrl`, else the one that the client used.
    pub fn base(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.is_secure { "https" } else { "http" };
        let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        format!("{scheme}://{}", host.as_ref().map_or("localhost", Authority::as_str))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn endpoints_are_resources_under_the_public_address_and_nothing_else_is() {
        let listen = ListenConfig {
            public_url: Some("https://a.test/root".to_owned()),
            path_prefix: "/tools/".to_owned(),
            root_path: "/root".to_owned(),
            ..ListenConfig::default()
        };
        let resources = ProtectedResources::new(&listen, false);
        let none = HeaderMap::new();
        let resource = |path: &str| resources.resource(&format!("{WELL_KNOWN}{path}"), &none);
        for path in ["", "/mcp", "/tools/mcp", "/tools/time/mcp", "/root/tools/time/mcp"] {
            let own = path.strip_prefix("/root").unwrap_or(path);
            assert_eq!(resource(path), Some(format!("https://a.test/root{own}")), "{path}");
        }
        for path in ["/time/mcp", "/tools/time/docs", "/tools/a/b/mcp", "/tools//mcp", "s", "/tools"] {
            assert_eq!(resource(path), None, "{path}");
        }
        let local = ProtectedResources::new(&ListenConfig::default(), false);
        for (host, base) in [("a.test:8000", "http://a.test:8000"), ("a\", error=\"", "http://localhost")] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(local.resource(WELL_KNOWN, &headers).as_deref(), Some(base));
        }
        for (address, is_own) in [
            ("https://a.test/root", true),
            ("https://A.test:443/root/", true),
            ("https://a.test/root/tools/time/mcp?profile=x", true),
            ("https://a.test/rooted", false),
            ("http://a.test/root", false),
            ("https://a.test.evil.test/root", false),
            ("https://a.test/root#x", false),
            ("mcp", false),
        ] {
            assert_eq!(resources.is_own(address, &none), is_own, "{address}");
        }
        let metadata = format!("https://a.test/root{WELL_KNOWN}/tools/time/mcp");
        assert_eq!(resources.metadata("/root/tools/time/mcp/", &none), metadata);
    }
}
