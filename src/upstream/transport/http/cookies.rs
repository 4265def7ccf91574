//! Cookies that a server sets, kept for its exact origin as long as the connection (RFC 6265): balancers keep a client at
//! one of several replicas by them, and only that one knows its session.

use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Uri};

/// Cookies that are kept, and the bytes of each; the oldest give way.
const MOST: usize = 32;
const LONGEST: usize = 4 << 10;

/// The cookies of one origin, the oldest first. They are sent to that origin only.
#[derive(Debug, Default)]
pub struct Cookies(ArcSwap<Vec<Cookie>>);

#[derive(Clone, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    is_secure: bool,
    expires: Option<SystemTime>,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cookie").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cookies {
    /// Takes what an answer from `url` sets.
    pub fn take(&self, url: &Uri, headers: &HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let now = SystemTime::now();
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(|text| Cookie::parse(text, url, now)) else {
                continue;
            };
            if self.0.load().contains(&cookie) {
                continue;
            }
            self.0.rcu(|known| {
                let is_other = |known: &&Cookie| (&known.name, &known.path) != (&cookie.name, &cookie.path);
                let mut cookies: Vec<Cookie> = known.iter().filter(is_other).cloned().collect();
                if cookie.is_alive(now) {
                    cookies.push(cookie.clone());
                }
                let surplus = cookies.len().saturating_sub(MOST);
                cookies.split_off(surplus)
            });
        }
    }

    /// The `Cookie` header for a request to `url`, behind `fixed`; `None` without cookies.
    pub fn header(&self, url: &Uri, fixed: Option<&HeaderValue>) -> Option<HeaderValue> {
        let cookies = self.0.load();
        if cookies.is_empty() {
            return None;
        }
        let now = SystemTime::now();
        let sent = cookies.iter().filter(|cookie| cookie.is_for(url) && cookie.is_alive(now));
        let pairs = sent.map(|Cookie { name, value, .. }| format!("{name}={value}"));
        let pairs = pairs.collect::<Vec<_>>().join("; ");
        if pairs.is_empty() {
            return None;
        }
        let all = match fixed.and_then(|fixed| fixed.to_str().ok()) {
            Some(fixed) => format!("{fixed}; {pairs}"),
            None => pairs,
        };
        let mut value = HeaderValue::from_str(&all).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Cookie {
    /// A cookie that `url` may set; `None` when it is invalid or for another host.
    fn parse(text: &str, url: &Uri, now: SystemTime) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > LONGEST {
            return None;
        }
        let (mut path, mut is_secure, mut until, mut lives) = (None, false, None, None);
        for part in parts {
            let (attribute, given) = part.split_once('=').unwrap_or((part, ""));
            let given = given.trim();
            match attribute.trim().to_ascii_lowercase().as_str() {
                "path" if given.starts_with('/') && given.len() <= LONGEST => path = Some(given.to_owned()),
                "secure" => is_secure = true,
                "domain" if !is_domain_of(given, url.host()?) => return None,
                "expires" => until = moment(given),
                "max-age" => lives = given.parse::<i64>().ok(),
                _ => {}
            }
        }
        // A secure cookie is not taken over plain HTTP, where anyone on the way could write it.
        if is_secure && url.scheme_str() != Some("https") {
            return None;
        }
        let expires = match lives {
            Some(seconds) => now.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            None => until,
        };
        let path = path.unwrap_or_else(|| default_path(url.path()).to_owned());
        Some(Self { name: name.to_owned(), value: value.to_owned(), path, is_secure, expires })
    }

    fn is_alive(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    /// RFC 6265, section 5.1.4.
    fn is_for(&self, url: &Uri) -> bool {
        let Some(rest) = url.path().strip_prefix(&self.path) else { return false };
        let is_below = rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/');
        is_below && (!self.is_secure || url.scheme_str() == Some("https"))
    }
}

/// Whether `host` may set cookies of `domain`.
fn is_domain_of(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let is_parent = || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
    domain.is_empty() || host == domain || is_parent()
}

/// Up to the last slash of a path (RFC 6265, section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

/// A date as RFC 9110 has it, or with hyphens as older servers write it.
fn moment(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).or_else(|_| httpdate::parse_http_date(&text.replace('-', " "))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &[&str], from: &str, to: &str) -> Option<String> {
        let cookies = Cookies::default();
        let mut headers = HeaderMap::new();
        for text in set {
            headers.append(SET_COOKIE, HeaderValue::from_str(text).unwrap());
        }
        cookies.take(&from.parse().unwrap(), &headers);
        cookies.header(&to.parse().unwrap(), None).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_back_where_they_belong() {
        let (mcp, tls) = ("http://a.test:81/mcp", "https://a.test/mcp");
        for (set, url, wanted) in [
            (&["AWSALB=1; Expires=Sun, 06 Dec 2099 12:00:00 GMT; Path=/"][..], mcp, Some("AWSALB=1")),
            (&["a=1; Path=/mcp; HttpOnly; SameSite=None", "b=2; Path=/elsewhere"], mcp, Some("a=1")),
            (&["a=1", "a=2", "b=x=y"], mcp, Some("a=2; b=x=y")),
            (&["a=1; Path=/mc"], mcp, None),
            (&["a=1; Max-Age=0"], mcp, None),
            (&["a=1", "a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], mcp, None),
            (&["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], mcp, Some("a=1")),
            (&["a=1; Secure"], mcp, None),
            (&["a=1; Secure"], tls, Some("a=1")),
            (&["a=1; Domain=.test"], mcp, Some("a=1")),
            (&["a=1; Domain=b.test", "c=1; Domain=xa.test"], mcp, None),
            (&["nothing", "=x"], mcp, None),
        ] {
            assert_eq!(sent(set, url, url).as_deref(), wanted, "{set:?}");
        }
    }

    #[test]
    fn cookies_are_bounded_and_stand_behind_fixed_ones() {
        let (cookies, url) = (Cookies::default(), Uri::from_static("http://a.test/mcp"));
        for number in 0..100 {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, HeaderValue::from_str(&format!("c{number}=1")).unwrap());
            headers.append(SET_COOKIE, HeaderValue::from_str(&format!("d={}", "x".repeat(LONGEST))).unwrap());
            cookies.take(&url, &headers);
        }
        let header = cookies.header(&url, Some(&HeaderValue::from_static("own=1"))).unwrap();
        let header = header.to_str().unwrap();
        assert!(header.starts_with("own=1; c68=1; ") && header.ends_with("; c99=1"), "{header}");
        assert_eq!(header.split("; ").count(), 1 + MOST);
    }
}
