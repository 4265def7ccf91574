mod oauth;

use std::path::PathBuf;
use std::time::Duration;

use super::super::json_tree;
use super::super::keys::ServerDefaults;
use super::super::location::Location;
use super::super::schema::tests::agrees;
use super::super::sources::Purpose;
use super::*;

/// What stands beside the entries of a test; `keyed` when callers need an API key.
pub(super) fn context(keyed: bool) -> EntryContext {
    let defaults = ServerDefaults { concurrency: 7, identities: 5, ..ServerDefaults::default() };
    let defaults = ServerDefaults { identity_idle: Duration::from_secs(9), ..defaults };
    EntryContext { defaults, keyed, home: Some("/home/me".to_owned()) }
}

/// Reads `{"mcpServers": {"a": entry}}` of `/etc/mcpo/c.json`.
pub(super) fn read(entry: &str) -> (Option<ServerConfig>, Vec<String>) {
    let mut problems = Problems::new(Purpose::Serve);
    let path = Path::new("/etc/mcpo/c.json");
    let text = format!(r#"{{"mcpServers": {{"a": {entry}}}}}"#);
    let root = json_tree::parse(path, &text, &mut problems).expect("the test writes good JSON");
    let fields = Fields::new(&root, Location::file(path), &mut problems).expect("the root is an object");
    let server = collect(&[fields], &context(false), &mut problems).pop();
    let problems = problems.into_sorted();
    agrees(&text, &problems);
    (server, problems.iter().map(ToString::to_string).collect())
}

fn accepted(entry: &str) -> ServerConfig {
    let (server, problems) = read(entry);
    assert_eq!(problems, Vec::<String>::new(), "{entry}");
    server.unwrap()
}

fn kind(transport: &TransportConfig) -> &'static str {
    match transport {
        TransportConfig::Stdio(_) => "stdio",
        TransportConfig::StreamableHttp(_) => "http",
        TransportConfig::Sse(_) => "sse",
        TransportConfig::Http(_) => "either",
        TransportConfig::Socket(_) => "socket",
        TransportConfig::Gateway => "gateway",
    }
}

#[test]
fn the_transport_follows_type_and_keys() {
    for (entry, expected) in [
        (r#"{"command": "x"}"#, "stdio"),
        (r#"{"type": "stdio", "command": "x"}"#, "stdio"),
        (r#"{"type": "http", "url": "http://h/mcp"}"#, "http"),
        (r#"{"type": "streamable-http", "url": "https://h/mcp"}"#, "http"),
        (r#"{"type": "streamable_http", "url": "http://h/mcp"}"#, "http"),
        (r#"{"type": "streamableHttp", "url": "http://h/mcp"}"#, "http"),
        (r#"{"type": "sse", "url": "http://h/sse"}"#, "sse"),
        (r#"{"url": "http://h/mcp"}"#, "either"),
        (r#"{"url": ["http://h/mcp", "http://i/${env:X}"]}"#, "either"),
        (r#"{"type": "http", "url": "${env:URL}"}"#, "http"),
        (r#"{"socket": "/run/a.sock"}"#, "socket"),
        (r#"{"type": "socket", "socket": "/run/a.sock"}"#, "socket"),
        (r#"{"type": "gateway"}"#, "gateway"),
        (r#"{"builtin": "gateway"}"#, "gateway"),
    ] {
        assert_eq!(kind(&accepted(entry).transport), expected, "{entry}");
    }
}

#[test]
fn ambiguous_transports_are_decided_with_a_warning_that_names_the_fix() {
    for (entry, expected, warning) in [
        (r#"{"command": "x", "url": "http://h/sse"}"#, "either", "`url` wins"),
        (r#"{"type": "http", "command": "x", "url": "http://h/mcp"}"#, "http", "`url` wins"),
        (r#"{"type": "stdio", "command": "x", "url": "http://h/mcp"}"#, "stdio", "`command` wins"),
        (r#"{"command": "x", "headers": {"A": "b"}}"#, "stdio", "`headers` means nothing to a stdio server"),
        (
            r#"{"type": "sse", "url": "http://h", "envFile": "e"}"#,
            "sse",
            "`envFile` means nothing to a remote server",
        ),
        (r#"{"socket": "/s", "envFile": "e"}"#, "socket", "`envFile` means nothing to a socket"),
        (
            r#"{"command": "x", "envFile": "${workspaceFolder}/.env"}"#,
            "stdio",
            "`${...}` in it is not replaced",
        ),
        (r#"{"type": "sse", "url": "http://h", "env": {}}"#, "sse", "`env` means nothing to a remote server"),
    ] {
        let (server, problems) = read(entry);
        assert_eq!(kind(&server.unwrap().transport), expected, "{entry}");
        assert!(problems.iter().any(|problem| problem.contains(warning)), "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("warning: ")), "{problems:?}");
    }
}

#[test]
fn wrong_entries_are_refused_with_their_key() {
    for (entry, expected) in [
        (r#"{"command": ""}"#, "mcpServers.a.command\n  the command is empty"),
        (r#"{"type": "stdio"}"#, "mcpServers.a\n  a server of type `stdio` needs a `command`"),
        (r#"{"type": "stdio", "url": "http://h"}"#, "a server of type `stdio` needs a `command`"),
        (r#"{"type": "http"}"#, "a server of type `streamable-http` needs a `url`"),
        (r#"{"type": "socket"}"#, "a server of type `socket` needs a `socket`"),
        (r#"{"type": "htp", "url": "http://h"}"#, "`htp` is not a type of server\n  fix: write `http`"),
        (r#"{"type": 5, "url": "http://h"}"#, "mcpServers.a.type\n  this must be a string"),
        (r#"{"builtin": "other"}"#, "there is no built-in server `other`"),
        (r#"{"socket": "/s", "command": "x"}"#, "`socket` stands beside"),
        (r#"{"socket": ""}"#, "a socket's path has 1 to 107 bytes"),
        (r#"{"type": "http", "url": "localhost:8000"}"#, "mcpServers.a.url\n  this is no http or https URL"),
        (r#"{"type": "http", "url": "ftp://h"}"#, "this is no http or https URL"),
        (r#"{"url": ["http://h", "h:1"]}"#, "mcpServers.a.url[1]\n  this is no http or https URL"),
        (r#"{"url": []}"#, "this list of addresses is empty"),
        (r#"{"url": 5}"#, "mcpServers.a.url\n  this must be a string or a list of strings"),
        (r#"{"url": ["https://h", "http://h"]}"#, "do not all begin alike"),
        (r#"{"url": ["${env:A}", "${env:B}"]}"#, "do not all begin alike"),
        (r#"{"url": ["http://h", "http://i"], "oauth": true}"#, "the tokens of `oauth` are for one address"),
        (r#"{"type": "http", "url": "http://h/${X}"}"#, "`${X}` is not a reference"),
        (r#"{"type": "http", "url": "http://h", "headers": {"a b": "c"}}"#, "cannot be the name of a header"),
        (r#"{"type": "http", "url": "http://h", "headers": {"a": "b\nc"}}"#, "cannot stand in a header"),
        (
            r#"{"type": "http", "url": "http://h", "headers": []}"#,
            "headers\n  this must be an object of strings",
        ),
        (r#"{"command": "x", "env": []}"#, "mcpServers.a.env\n  this must be an object of strings"),
        (r#"{"command": "x", "env": {"A=B": "c"}}"#, "this cannot be the name of a variable"),
        (r#"{"command": "x", "env": {"A": "${file:}"}}"#, "mcpServers.a.env.A\n  `${file:}` names nothing"),
        (r#"{"command": "x", "env": {"A": ["b"]}}"#, "mcpServers.a.env.A\n  this must be a string"),
        (
            r#"{"command": "x", "args": [{}]}"#,
            "mcpServers.a.args[0]\n  this must be a string, but it is an object",
        ),
        (
            r#"{"command": "x", "passEnv": ["MCPO_API_KEY"]}"#,
            "mcpServers.a.passEnv[0]\n  `MCPO_API_KEY` belongs",
        ),
        (r#"{"command": "x", "passEnv": ["CREDENTIALS_DIRECTORY"]}"#, "is never passed on"),
        (
            r#"{"command": "x", "enabledTools": ["[a"]}"#,
            "enabledTools[0]\n  this is no pattern over tool names",
        ),
        (r#"{"command": "x", "timeout": 0}"#, "mcpServers.a.timeout\n  this must be more than 0"),
        (r#"{"command": "x", "timeout": "5"}"#, "mcpServers.a.timeout\n  this must be a number of seconds"),
        (r#"{"command": "x", "timeout": 1e300}"#, "this must be more than 0 and at most"),
        (r#"{"command": "x", "concurrency": 0}"#, "concurrency\n  this must be a whole number of at least 1"),
        (r#"{"command": "x", "concurrency": 1.5}"#, "this must be a whole number of at least 1"),
        (r#"{"command": "x", "required": "yes"}"#, "mcpServers.a.required\n  this must be true or false"),
        (
            r#"{"command": "x", "protocol": "draft"}"#,
            "2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28\n",
        ),
        (
            r#"{"url": "http://a", "type": "sse", "protocol": "2026-07-28"}"#,
            "`sse` has no revision 2026-07-28",
        ),
        (r#"{"command": "x", "protocol": 2025}"#, "mcpServers.a.protocol\n  this must be a string"),
        (r#"{"command": "x", "envFile": ""}"#, "mcpServers.a.envFile\n  the path is empty"),
        (r#"{"command": "x", "envFile": ["a"]}"#, "mcpServers.a.envFile\n  this must be a string"),
        (r#"{"command": "x", "protocol": "2025-06-81"}"#, "fix: write `2025-06-18`"),
        (
            r#"{"type": "http", "url": "http://h", "oauth": 1}"#,
            "mcpServers.a.oauth\n  this must be true, false or",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "password"}}"#,
            "is no grant that a gateway can use",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "client_credential"}}"#,
            "write `client_credentials`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "client_credentials", "clientId": "x"}}"#,
            "needs a `clientId`, and a `clientSecret` or a `privateKey`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"clientSecret": "x"}}"#,
            "says nothing without its `clientId`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "jwt_bearer", "clientId": "x"}}"#,
            "the grant `jwt_bearer` needs an `assertion`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "jwt_bearer", "assertion": "x", "privateKey": "y"}}"#,
            "says nothing without its `clientId`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"assertion": "x"}}"#,
            "`assertion` is for the grants `jwt_bearer`, `token_exchange` and `id_jag`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"privateKey": "x"}}"#,
            "for the grant `client_credentials` alone",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"clientId": "x", "clientSecret": "${file:}"}}"#,
            "oauth.clientSecret",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"scopes": ["a b"]}}"#,
            "oauth.scopes[0]\n  a scope has no spaces",
        ),
        (r#"{"type": "http", "url": "http://h", "oauth": {"issuer": "idp"}}"#, "this cannot be the `issuer`"),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"clientMetadataUrl": "http://h/c.json"}}"#,
            "this cannot be the `clientMetadataUrl`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"pkce": "none"}}"#,
            "oauth.pkce\n  `none` says nothing about PKCE",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": true, "headers": {"authorization": "Bearer x"}}"#,
            "a fixed `Authorization` beside `oauth`",
        ),
        (r#""x""#, "mcpServers.a\n  this must be an object, but it is a string"),
    ] {
        let errors: Vec<String> =
            read(entry).1.into_iter().filter(|problem| problem.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(expected), "{entry}: {errors:?}");
    }
}

#[test]
fn an_entry_of_which_nobody_can_tell_what_it_is_shows_its_other_problems_too() {
    for (entry, expected) in [
        (r#"{"type": "htp", "socket": 7}"#, ["`htp` is not a type", "a.socket\n  this must be a string"]),
        (r#"{"type": 5, "socket": ""}"#, ["a.type\n  this must be", "a socket's path has 1 to 107 bytes"]),
        (r#"{"type": "htp", "envFile": 7}"#, ["`htp` is not a type", "a.envFile\n  this must be a string"]),
        (r#"{"socket": 7, "command": "x"}"#, ["`socket` stands beside", "a.socket\n  this must be a string"]),
    ] {
        let (server, problems) = read(entry);
        assert!(server.is_none() && problems.len() == 2, "{entry}: {problems:?}");
        for part in expected {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{entry}: {problems:?}");
        }
    }
}

#[test]
fn every_revision_with_initialize_can_be_pinned() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let server = accepted(&format!(r#"{{"command": "x", "protocol": "{revision}"}}"#));
        assert_eq!(server.protocol.as_deref(), Some(revision));
    }
}

#[test]
fn reserved_and_empty_names_are_refused_with_a_better_one() {
    let mut problems = Problems::new(Purpose::Serve);
    let path = Path::new("c.json");
    let text =
        r#"{"mcpServers": {"docs": {"command": "x"}, "": {"command": "x"}, "Docs": {"command": "x"}}}"#;
    let root = json_tree::parse(path, text, &mut problems).unwrap();
    let fields = Fields::new(&root, Location::file(path), &mut problems).unwrap();
    let servers = collect(&[fields], &context(false), &mut problems);
    assert_eq!(servers.len(), 1);
    let problems = problems.into_sorted();
    assert_eq!(problems[0].fix, "rename it, for instance to `docs-server`");
    assert_eq!(problems[1].message, "a server name must not be empty");
    assert_eq!(problems.len(), 2);
}

#[test]
fn every_key_of_an_entry_is_taken_over() {
    let server = accepted(
        r#"{"command": "x", "args": ["-y", "p"], "env": {"T": "${env:T}", "U": "u"}, "passEnv": ["V"], "cwd": "work",
            "envFile": "work/.env",
            "enabledTools": ["get_*"], "disabledTools": ["get_a"], "disabled_tools": ["get_b"],
            "readOnlyTools": ["get_c"], "timeout": 1.5, "required": true, "concurrency": 2,
            "protocol": "2025-06-18", "client_header_forwarding": {"enabled": false, "blacklist": []}}"#,
    );
    let TransportConfig::Stdio(stdio) = &server.transport else { panic!("a command was given") };
    assert_eq!((stdio.command.as_str(), stdio.args.join(" ").as_str()), ("x", "-y p"));
    assert_eq!(format!("{:?}", stdio.env), r#"[("T", ${env:T}), ("U", [redacted])]"#);
    assert_eq!(stdio.pass_env, ["V"]);
    assert_eq!(stdio.cwd, Some(PathBuf::from("/etc/mcpo/work")));
    assert_eq!(stdio.env_file, Some(PathBuf::from("/etc/mcpo/work/.env")));
    assert_eq!(server.enabled_tools, ["get_*"]);
    assert_eq!(server.disabled_tools, ["get_a", "get_b"]);
    assert_eq!(server.read_only_tools, Some(vec!["get_c".to_owned()]));
    assert_eq!(server.timeout, Some(Duration::from_millis(1500)));
    assert_eq!((server.required, server.disabled, server.concurrency), (true, false, 2));
    assert_eq!(server.protocol.as_deref(), Some("2025-06-18"));
    let plain = accepted(r#"{"command": "x", "args": null}"#);
    assert_eq!((plain.concurrency, plain.required, plain.read_only_tools), (7, false, None));
}

#[test]
fn a_server_is_switched_off_in_either_spelling() {
    for (entry, disabled) in [
        (r#"{"command": "x", "disabled": true}"#, true),
        (r#"{"command": "x", "enabled": false}"#, true),
        (r#"{"command": "x", "enabled": true}"#, false),
        (r#"{"command": "x", "disabled": false}"#, false),
    ] {
        assert_eq!(accepted(entry).disabled, disabled, "{entry}");
    }
}

#[test]
fn what_means_nothing_here_is_accepted_and_said() {
    for (entry, warning) in [
        (r#"{"command": "x", "oauth": true}"#, "is ignored here"),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"scope": ["a"]}}"#,
            "`scope` is not a setting of `oauth`",
        ),
        (r#"{"command": "x", "timeout": 120000}"#, "looks like milliseconds"),
    ] {
        let (server, problems) = read(entry);
        assert!(server.is_some(), "{entry}");
        assert!(problems.len() == 1 && problems[0].contains(warning), "{problems:?}");
    }
}

#[test]
fn what_other_clients_write_is_known_or_told_with_the_word_for_it() {
    accepted(
        r#"{"command": "x", "watchPaths": [], "alwaysAllow": ["t"], "logoUrl": "", "dev": {}, "timeout": 3600}"#,
    );
    for (members, expected) in [
        (r#""timeout": 30000"#, "a.timeout\n  this is more than an hour, which looks like milliseconds"),
        (r#""timeout": 300000"#, "this is more than a day, which looks like milliseconds"),
        (
            r#""httpUrl": "http://h/mcp""#,
            "a.httpUrl\n  `httpUrl` is a setting of another client, and is ignored",
        ),
        (r#""serverUrl": "http://h/mcp""#, "fix: write `\"type\": \"http\"` and `url` instead"),
        (r#""isActive": true"#, "fix: write `enabled` instead"),
        (r#""environment": {}"#, "fix: write `env` instead"),
        (r#""args": ["${workspaceFolder}"]"#, "a.args[0]\n  `${workspaceFolder}` is not replaced"),
        (r#""cwd": "${env:HOME}""#, "fix: put it into `env`, and have the server take it from that variable"),
        (r#""cwd": "~/x""#, "a.cwd\n  `~/` is the home directory"),
    ] {
        let (server, problems) = read(&format!(r#"{{"command": "x", {members}}}"#));
        assert!(server.is_some() && problems.len() == 1, "{members}: {problems:?}");
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let (server, problems) = read(r#"{"command": "~/bin/x", "args": ["${userHome}/y"], "cwd": "~/z"}"#);
    assert_eq!(problems.len(), 3, "{problems:?}");
    let TransportConfig::Stdio(stdio) = server.unwrap().transport else { panic!("stdio") };
    assert_eq!(
        (stdio.command.as_str(), stdio.args.as_slice()),
        ("/home/me/bin/x", &["/home/me/y".to_owned()][..])
    );
    assert_eq!(stdio.cwd.as_deref(), Some(Path::new("/home/me/z")));
}

#[test]
fn overrides_are_taken_over_and_what_cannot_be_meant_is_told() {
    let server = accepted(
        r#"{"command": "x", "tools": {"a": {"name": "b", "description": "d"}, "c": {"title": "T"}}}"#,
    );
    let a = &server.overrides["a"];
    assert_eq!(
        (a.name.as_deref(), a.description.as_deref(), a.title.as_deref()),
        (Some("b"), Some("d"), None)
    );
    assert_eq!(server.overrides["c"].title.as_deref(), Some("T"));
    for (tools, expected) in [
        (r#"{"a": {"name": "x"}, "b": {"name": "x"}}"#, "tools.b.name\n  `x` is the new name of `a`, too"),
        (r#"{"a": {"name": ""}}"#, "tools.a.name\n  a tool's name must not be empty"),
        (r#"{"a": {"description": 7}}"#, "tools.a.description\n  this must be a string"),
        (r#"{"a": "b"}"#, "tools.a\n  this must be an object"),
        (r#"{"a": {}}"#, "this override changes nothing"),
        (r#"{"a": {"descripton": "d"}}"#, "write `description` if that was meant"),
        (r#"["*"]"#, "choose tools with `enabledTools`"),
        ("true", "a.tools\n  this must be an object"),
    ] {
        let (_, problems) = read(&format!(r#"{{"command": "x", "tools": {tools}}}"#));
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{tools}: {problems:?}");
    }
}
