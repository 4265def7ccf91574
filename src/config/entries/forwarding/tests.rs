use std::path::Path;

use http::HeaderName;

use super::super::super::json_tree;
use super::super::super::schema::tests::agrees;
use super::super::super::server::ServerConfig;
use super::super::super::sources::Purpose;
use super::super::collect;
use super::super::tests::context;
use super::*;

/// The server of an entry with these members beside its `url`, and all problems.
fn read(members: &str, keyed: bool, purpose: Purpose) -> (ServerConfig, String) {
    let url = r#""type": "http", "url": "http://h/mcp", "headers": {"X-Fixed": "1"}"#;
    let entry = if members.contains("\"command\"") || members.contains("\"socket\"") { "" } else { url };
    let text = format!(
        r#"{{"mcpServers": {{"a": {{{entry}{} {members}}}}}}}"#,
        if entry.is_empty() { "" } else { "," }
    );
    let mut problems = Problems::new(purpose);
    let path = Path::new("/etc/mcpo/c.json");
    let root = json_tree::parse(path, &text, &mut problems).expect("the test writes good JSON");
    let fields = Fields::new(&root, Location::file(path), &mut problems).expect("the root is an object");
    let server = collect(&[fields], &context(keyed), &mut problems).pop().expect("the entry is a server");
    let problems = problems.into_sorted();
    if purpose == Purpose::Serve {
        agrees(&text, &problems);
    }
    (server, problems.iter().map(|problem| format!("{problem}\n")).collect())
}

fn allows(server: &ServerConfig, name: &str) -> bool {
    let name = HeaderName::try_from(name).unwrap();
    server.forwarding.as_ref().is_some_and(|forwarding| forwarding.allows(&name))
}

#[test]
fn both_spellings_let_through_what_they_name() {
    for members in [
        r#""forwardHeaders": ["X-User-*", "X-Tenant"]"#,
        r#""forward_headers": ["x-user-*", "x-tenant"]"#,
        r#""client_header_forwarding": {"enabled": true, "whitelist": ["X-User-*", "x-tenant"]}"#,
        r#""clientHeaderForwarding": {"enabled": true, "whitelist": ["X-User-*", "x-tenant"], "blacklist": ["X-Other"]}"#,
        r#""forwardHeaders": ["X-Tenant"], "client_header_forwarding": {"enabled": true, "whitelist": ["X-User-*"]}"#,
    ] {
        let (server, problems) = read(members, true, Purpose::Check);
        assert_eq!(problems, "", "{members}");
        assert!(allows(&server, "X-User-Id") && allows(&server, "X-Tenant"), "{members}");
        assert!(!allows(&server, "X-Other") && !allows(&server, "X-Fixed"), "{members}");
    }
}

#[test]
fn a_blacklist_wins_over_the_whitelist() {
    let members = r#""client_header_forwarding":
        {"enabled": true, "whitelist": ["X-User-*"], "blacklist": ["x-user-email"]}"#;
    let (server, problems) = read(members, true, Purpose::Check);
    assert_eq!(problems, "");
    assert!(allows(&server, "X-User-Id") && !allows(&server, "X-User-Email"));
}

#[test]
fn what_is_switched_off_or_empty_forwards_nothing() {
    for (members, said) in [
        (r#""forwardHeaders": []"#, ""),
        (r#""client_header_forwarding": {"enabled": false, "whitelist": ["X-Tenant"]}"#, ""),
        (r#""client_header_forwarding": {"whitelist": ["X-Tenant"]}"#, ""),
        (r#""client_header_forwarding": {"enabled": true}"#, "without a `whitelist` forwards nothing"),
        (r#""client_header_forwarding": {"enabled": true, "whitelist": []}"#, "forwards nothing"),
    ] {
        let (server, problems) = read(members, true, Purpose::Check);
        assert_eq!(server.forwarding, None, "{members}");
        assert_eq!(problems.is_empty(), said.is_empty(), "{members}: {problems}");
        assert!(problems.contains(said) && !problems.contains("error"), "{members}: {problems}");
    }
}

#[test]
fn what_can_never_go_along_is_a_slip_that_says_why() {
    for (members, keyed, why) in [
        (r#""forwardHeaders": ["Cookie"]"#, false, "it is a browser's"),
        (r#""forwardHeaders": ["Mcp-*"]"#, false, "the gateway speaks MCP with the server itself"),
        (r#""forwardHeaders": ["X-Request-Id"]"#, false, "it differs with each call"),
        (r#""forwardHeaders": ["x-fixed"]"#, false, "a fixed value for this header"),
        (r#""forwardHeaders": ["authorization"]"#, true, "the gateway's own API key"),
        (r#""command": "x", "forwardHeaders": ["X-Tenant"]"#, false, "not reached over HTTP"),
        (r#""socket": "/run/a", "forwardHeaders": ["X-Tenant"]"#, false, "not reached over HTTP"),
        (
            r#""command": "x", "client_header_forwarding": {"enabled": true, "whitelist": ["X-Tenant"]}"#,
            false,
            "not reached over HTTP",
        ),
    ] {
        for (purpose, severity) in [(Purpose::Check, "error"), (Purpose::Serve, "warning")] {
            let (server, problems) = read(members, keyed, purpose);
            assert!(problems.starts_with(severity) && problems.contains(why), "{members}: {problems}");
            assert_eq!(server.forwarding, None, "{members}");
        }
    }
}

#[test]
fn what_is_daring_is_warned_about_and_done() {
    for (members, name, warning) in [
        (r#""forwardHeaders": ["Authorization"]"#, "Authorization", "the credentials of every caller"),
        (r#""forwardHeaders": ["*"]"#, "X-Anything", "nearly everything that callers send"),
        (r#""forwardHeaders": ["Auth*"]"#, "Auth-User", "name `Authorization` in full"),
    ] {
        let (server, problems) = read(members, false, Purpose::Check);
        assert!(problems.starts_with("warning") && problems.contains(warning), "{members}: {problems}");
        assert!(allows(&server, name), "{members}");
    }
    let members = r#""forwardHeaders": ["X-T"], "client_header_forwarding": {"debug_headers": true}"#;
    let (_, problems) = read(members, false, Purpose::Check);
    assert!(problems.contains("headers of callers are never logged"), "{problems}");
}

#[test]
fn a_name_that_cannot_be_one_is_an_error_with_its_place() {
    let mut problems = Problems::new(Purpose::Serve);
    let text = r#"{"url": "http://h", "forwardHeaders": ["X-Good", "X Bad", 5]}"#;
    let root = json_tree::parse(Path::new("c.json"), text, &mut problems).unwrap();
    let fields = Fields::new(&root, Location::file(Path::new("c.json")), &mut problems).unwrap();
    patterns(&fields, "forwardHeaders", &mut problems);
    let problems: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("forwardHeaders[1]") && problems[0].contains("no pattern"), "{problems:?}");
    assert!(problems[1].contains("forwardHeaders[2]") && problems[1].contains("must be a string"));
}
