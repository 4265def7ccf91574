use super::*;
use crate::config::ListenConfig;

fn listen() -> ListenConfig {
    ListenConfig {
        cors_allow_origins: ["*", "null", "https://chat.example"].map(str::to_owned).to_vec(),
        allowed_hosts: vec!["gate.example".to_owned(), "*.lan".to_owned()],
        public_url: Some("https://mcp.example.org/tools".to_owned()),
        ..ListenConfig::default()
    }
}

/// Some process on the other end of a TCP connection.
fn over_tcp() -> Peer {
    Peer::tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 1)))
}

fn ask(rule: &HostRule, uri: &str, headers: &[(&'static str, &str)]) -> u16 {
    ask_from(over_tcp(), rule, uri, headers)
}

fn ask_from(peer: Peer, rule: &HostRule, uri: &str, headers: &[(&'static str, &str)]) -> u16 {
    // Without a Host it is of HTTP/1.0, or of HTTP/2 when the URI names one.
    let version = match headers.iter().any(|(name, _)| *name == "host") {
        true => Version::HTTP_11,
        false if uri.starts_with('/') => Version::HTTP_10,
        false => Version::HTTP_2,
    };
    ask_over(version, peer, rule, uri, headers)
}

fn ask_over(
    version: Version,
    peer: Peer,
    rule: &HostRule,
    uri: &str,
    headers: &[(&'static str, &str)],
) -> u16 {
    let mut request = Request::builder().uri(uri).version(version).body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    rule.check(&request, peer).map_or_else(|problem| problem.status().as_u16(), |()| 200)
}

#[test]
fn without_a_key_known_hosts_are_served() {
    let rule = HostRule::new(&listen(), true).unwrap();
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for host in [
        "127.0.0.1:8000",
        "localhost",
        "LOCALHOST:8000",
        "app.localhost:1",
        "[::1]:8000",
        "192.168.1.7:25530",
        "localhost.",
        "gate.example:25530",
        "Box.LAN:25530",
        "mcp.example.org",
        own.as_str(),
    ] {
        assert_eq!(ask(&rule, "/a", &[("host", host)]), 200, "{host}");
    }
    assert_eq!(ask(&rule, "/a", &[]), 200, "HTTP/1.0 without a Host");
}

#[test]
fn without_a_key_a_rebound_host_is_refused() {
    let rule = HostRule::new(&listen(), true).unwrap();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "lan",
        "gate.example.evil",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "",
        "a b",
        "[::1].evil.example",
        "[::1]evil.example:80",
        "[::1]:80@evil.example",
        "[evil.example]",
    ] {
        assert_eq!(ask(&rule, "/a", &[("host", host)]), 421, "{host}");
    }
}

#[test]
fn a_request_says_once_whom_it_is_for_with_and_without_keys() {
    for keyless in [true, false] {
        let rule = HostRule::new(&listen(), keyless).unwrap();
        let over = |version, uri, headers: &[_]| ask_over(version, over_tcp(), &rule, uri, headers);
        let (one, two) = ([("host", "localhost")], [("host", "localhost"), ("host", "localhost")]);
        assert_eq!(over(Version::HTTP_11, "/a", &one), 200);
        assert_eq!(over(Version::HTTP_11, "/a", &[]), 400);
        assert_eq!(over(Version::HTTP_10, "/a", &[]), 200, "before HTTP/1.1 there is none");
        assert_eq!(over(Version::HTTP_2, "https://localhost/a", &[]), 200);
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(over(version, "https://localhost/a", &two), 400, "{version:?}");
        }
    }
}

#[test]
fn the_authority_of_http2_is_judged_too() {
    let rule = HostRule::new(&listen(), true).unwrap();
    assert_eq!(ask(&rule, "https://localhost:8000/a", &[]), 200);
    assert_eq!(ask(&rule, "https://evil.example/a", &[]), 421);
    assert_eq!(ask(&rule, "https://evil.example/a", &[("host", "localhost")]), 421);
    assert_eq!(ask(&rule, "https://localhost/a", &[("host", "evil.example")]), 421);
}

#[test]
fn without_a_key_pages_of_listed_and_own_origins_may_ask() {
    let rule = HostRule::new(&listen(), true).unwrap();
    for (host, origin) in [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("gate.example", "https://gate.example"),
        ("gate.example:443", "https://gate.example"),
        ("gate.example", "http://gate.example:80"),
        ("127.0.0.1:8000", "https://chat.example"),
        ("127.0.0.1:8000", "https://mcp.example.org"),
    ] {
        assert_eq!(ask(&rule, "/a", &[("host", host), ("origin", origin)]), 200, "{origin} at {host}");
    }
    assert_eq!(ask(&rule, "https://gate.example/a", &[("origin", "https://gate.example")]), 200, "HTTP/2");
}

#[test]
fn without_a_key_pages_of_other_origins_may_not_ask_whatever_the_star_says() {
    let rule = HostRule::new(&listen(), true).unwrap();
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9000",
        "http://localhost:8000",
        "http://chat.example",
        "https://chat.example.evil",
        "file://",
        "*",
    ] {
        let headers = [("host", "127.0.0.1:8000"), ("origin", origin)];
        assert_eq!(ask(&rule, "/a", &headers), 403, "{origin}");
    }
}

#[test]
fn with_a_key_any_host_and_origin_is_served() {
    let rule = HostRule::new(&listen(), false).unwrap();
    let bearer = ("authorization", "Bearer s");
    assert_eq!(ask(&rule, "/a", &[("host", "evil.example"), ("origin", "http://x"), bearer]), 200);
}

#[test]
fn with_a_key_a_foreign_page_cannot_ride_on_remembered_credentials() {
    let rule = HostRule::new(&listen(), false).unwrap();
    let basic = ("authorization", "basic YW55OnM=");
    let host = ("host", "gate.example");
    assert_eq!(ask(&rule, "/a", &[host, basic, ("origin", "http://evil.example")]), 403);
    assert_eq!(ask(&rule, "/a", &[host, basic, ("origin", "https://chat.example")]), 200);
    assert_eq!(ask(&rule, "/a", &[host, basic, ("origin", "https://gate.example")]), 200);
    assert_eq!(ask(&rule, "/a", &[host, basic]), 200);
}

#[test]
fn the_refusals_name_the_setting() {
    let rule = HostRule::new(&listen(), true).unwrap();
    let mut request = Request::new(());
    request.headers_mut().insert("host", "evil.example".parse().unwrap());
    let problem = rule.check(&request, over_tcp()).unwrap_err();
    assert!(problem.detail().contains("`allowedHosts`"), "{}", problem.detail());
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    request.headers_mut().insert("origin", "null".parse().unwrap());
    let problem = rule.check(&request, over_tcp()).unwrap_err();
    assert!(problem.detail().contains("`corsAllowOrigins`"), "{}", problem.detail());
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let bad_pattern = ListenConfig { allowed_hosts: vec!["a[".to_owned()], ..listen() };
    assert!(HostRule::new(&bad_pattern, true).unwrap_err().to_string().contains("`allowedHosts`"));
    let bad_url = ListenConfig { public_url: Some("mailto:x".to_owned()), ..listen() };
    assert!(HostRule::new(&bad_url, true).unwrap_err().to_string().contains("`publicUrl`"));
}

#[test]
fn on_a_unix_socket_any_host_is_served_and_a_browser_behind_a_proxy_is_judged_as_on_a_port() {
    let rule = HostRule::new(&listen(), true).unwrap();
    let unix = Peer::Unix { user: None };
    let ask = |headers: &[(&'static str, &str)]| ask_from(unix, &rule, "/a", headers);
    assert_eq!(ask(&[("host", "mcpo")]), 200);
    assert_eq!(ask(&[("host", "evil.example")]), 200);
    let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
    assert_eq!(ask(&rebound), 421);
    assert_eq!(ask(&[("host", "localhost"), ("origin", "http://evil.example")]), 403);
    assert_eq!(ask(&[("host", "localhost"), ("origin", "https://chat.example")]), 200);
}
