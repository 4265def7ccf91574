//! The way through the proxies that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tower::Service;

use crate::config::environment::ProxyVariables;
use crate::upstream::http_client::quick_ack::{QuickAckConnector, QuickAckStream};
use crate::upstream::http_client::resolver::{AddressScope, Resolver};

type ConnectFailure = Box<dyn std::error::Error + Send + Sync>;

/// Which proxy a request goes through; none by default.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Proxies").field(&self.0.is_some()).finish()
    }
}

impl Proxies {
    pub fn new(variables: &ProxyVariables) -> Self {
        let ProxyVariables { http, https, all, no } = variables;
        if http.is_empty() && https.is_empty() && all.is_empty() {
            return Self::default();
        }
        let matcher = Matcher::builder()
            .http(http.as_str())
            .https(https.as_str())
            .all(all.as_str())
            .no(no.as_str())
            .build();
        Self(Some(Arc::new(matcher)))
    }

    /// The proxy for `url`. This machine is never asked for through one: there it would be another machine.
    fn intercept(&self, url: &Uri) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        let host = url.host()?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let is_here = match literal {
            Some(address) => AddressScope::of(address) == Some(AddressScope::Loopback),
            None => {
                host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
            }
        };
        if is_here { None } else { matcher.intercept(url) }
    }

    /// The proxy credentials that a request to `url` itself carries; a tunnel carries none.
    pub fn authorization(&self, url: &Uri) -> Option<HeaderValue> {
        if self.0.is_none() || url.scheme_str() != Some("http") {
            return None;
        }
        self.intercept(url)?.basic_auth().cloned()
    }
}

/// Connects directly, or through a proxy.
#[derive(Debug, Clone)]
pub struct ProxyConnector {
    direct: QuickAckConnector,
    /// The operator names the proxies, wherever they are.
    to_proxy: QuickAckConnector,
    resolver: Resolver,
    proxies: Proxies,
}

impl ProxyConnector {
    /// Connects to the addresses that `resolver` gives, or through `proxies`.
    pub fn new(resolver: Resolver, proxies: Proxies) -> Self {
        Self {
            direct: QuickAckConnector::new(resolver.clone()),
            to_proxy: QuickAckConnector::new(Resolver::new(None)),
            resolver,
            proxies,
        }
    }
}

/// A connection that a proxy stands in the way of.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}")]
struct ThroughProxy {
    proxy: String,
    #[source]
    error: ConnectFailure,
}

impl Service<Uri> for ProxyConnector {
    type Response = QuickAckStream;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<QuickAckStream, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.intercept(&url) else {
            let mut direct = self.direct.clone();
            return Box::pin(async move { direct.call(url).await.map_err(Into::into) });
        };
        let (to_proxy, resolver) = (self.to_proxy.clone(), self.resolver.clone());
        Box::pin(async move {
            resolver.check_for_proxy(url.host().unwrap_or_default()).await?;
            let shown = address(proxy.uri());
            through(&proxy, to_proxy, url).await.map_err(|error| ThroughProxy { proxy: shown, error }.into())
        })
    }
}

async fn through(
    proxy: &Intercept,
    mut to_proxy: QuickAckConnector,
    url: Uri,
) -> Result<QuickAckStream, ConnectFailure> {
    let place = proxy.uri().clone();
    let named = proxy.raw_auth();
    match place.scheme_str() {
        Some("socks5" | "socks5h") => {
            let mut socks =
                SocksV5::new(place, to_proxy).local_dns(proxy.uri().scheme_str() == Some("socks5"));
            if let Some((user, password)) = named {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            Ok(socks.call(url).await?)
        }
        Some("socks4" | "socks4a") => {
            let local = proxy.uri().scheme_str() == Some("socks4");
            Ok(SocksV4::new(place, to_proxy).local_dns(local).call(url).await?)
        }
        Some("https") => {
            Err("proxies that are spoken to over TLS are not supported; name one with http://".into())
        }
        _ if url.scheme_str() == Some("http") => Ok(to_proxy.call(place).await?.of_a_proxy()),
        _ => {
            let mut tunnel = Tunnel::new(place, to_proxy);
            if let Some(credentials) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            Ok(tunnel.call(url).await?)
        }
    }
}

/// Scheme, host and port: what may be logged of an address (paths and queries can hold secrets).
pub fn address(url: &Uri) -> String {
    let authority = url.authority().map(|authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_user, host)| host)
    });
    format!("{}://{}", url.scheme_str().unwrap_or("http"), authority.unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_asked_for_what_it_is_meant_for() {
        let variables = ProxyVariables {
            http: "http://me:p%40ss@proxy.test:3128".to_owned(),
            https: String::new(),
            all: "socks5h://all.test:1080".to_owned(),
            no: "inner.test, 10.0.0.0/8".to_owned(),
        };
        let proxies = Proxies::new(&variables);
        let asked = |url: &'static str| {
            proxies
                .intercept(&Uri::from_static(url))
                .map(|proxy| proxy.uri().authority().unwrap().to_string())
        };
        for (url, proxy) in [
            ("http://mcp.test/mcp", Some("proxy.test:3128")),
            ("https://mcp.test/mcp", Some("all.test:1080")),
            ("http://deep.inner.test/mcp", None),
            ("http://10.1.2.3/mcp", None),
            ("http://localhost:1/mcp", None),
            ("http://127.0.0.9/mcp", None),
            ("http://[::1]:9/mcp", None),
        ] {
            assert_eq!(asked(url).as_deref(), proxy, "{url}");
        }
        let credentials = |url| proxies.authorization(&Uri::from_static(url));
        assert_eq!(credentials("http://mcp.test/").unwrap(), "Basic bWU6cEBzcw==");
        assert_eq!(credentials("https://mcp.test/"), None);
        assert!(!format!("{variables:?}").contains("p%40ss"));
        assert!(
            Proxies::new(&ProxyVariables::default())
                .intercept(&Uri::from_static("http://mcp.test/"))
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_proxy_may_be_in_the_house_and_leads_no_further_inside() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // By name: only names are resolved, and so held to a scope.
        let http = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let proxies = Proxies::new(&ProxyVariables { http, ..ProxyVariables::default() });
        let mut connector = ProxyConnector::new(Resolver::new(Some(AddressScope::Public)), proxies);
        let mut connect = async |url: &'static str| connector.call(Uri::from_static(url)).await;
        assert!(connect("http://no-such-name.invalid/").await.is_ok(), "the proxy may know the name");
        // The system's resolver takes it for 127.0.0.1, and a proxy on this machine would do the same.
        let refused = connect("http://127.1/").await.unwrap_err().to_string();
        assert!(refused.contains("lies further inside"), "{refused}");
        let mut unbounded = ProxyConnector { resolver: Resolver::new(None), ..connector.clone() };
        assert!(unbounded.call(Uri::from_static("http://127.1/")).await.is_ok(), "the operator named it");
    }
}
