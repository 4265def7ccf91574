use std::fs;

use tempfile::TempDir;

use super::super::schema::tests::agrees;
use super::*;
use crate::config::{LogFormat, Purpose, ServerConfig, SingleServer, TransportConfig};

mod settings;

/// Sources in a directory of their own; the first file is `a.json`, the second `b.json`.
struct Fixture {
    directory: TempDir,
    sources: Sources,
}

impl Fixture {
    fn new(files: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut sources = Sources::default();
        for (name, text) in ["a.json", "b.json"].iter().zip(files) {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            sources.files.push(path);
        }
        Self { directory, sources }
    }

    fn environment(mut self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.sources.environment = variables.collect();
        self
    }

    fn load(&self) -> Result<Loaded, String> {
        let outcome = load(&self.sources);
        if let ([file], true) = (&self.sources.files[..], self.sources.environment.is_empty()) {
            let problems = outcome.as_ref().map_or_else(Vec::as_slice, |loaded| &loaded.warnings);
            if self.sources.purpose == Purpose::Serve
                && let Ok(text) = fs::read_to_string(file)
            {
                agrees(&text, problems);
            }
        }
        outcome.map_err(|problems| self.shown(&problems))
    }

    fn checked(mut self) -> String {
        self.sources.purpose = Purpose::Check;
        self.load().map_or_else(|problems| problems, |loaded| self.shown(&loaded.warnings))
    }

    fn shown(&self, problems: &[ConfigProblem]) -> String {
        let blocks: Vec<String> = problems.iter().map(ToString::to_string).collect();
        blocks.join("\n").replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn loaded(text: &str) -> Loaded {
    Fixture::new(&[text]).load().unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn refused(text: &str) -> String {
    Fixture::new(&[text]).load().err().unwrap_or_else(|| panic!("accepted: {text}"))
}

/// The server of `{"mcpServers": {"a": entry}}`, with the warnings.
fn server(entry: &str) -> (ServerConfig, String) {
    let fixture = Fixture::new(&[&format!(r#"{{"mcpServers": {{"a": {entry}}}}}"#)]);
    let loaded = fixture.load().unwrap_or_else(|problems| panic!("{entry}\n{problems}"));
    (loaded.config.servers[0].clone(), fixture.shown(&loaded.warnings))
}

const TIME: &str = r#""mcpServers": {"time": {"command": "t"}}"#;

#[test]
fn what_mcpo_refuses_is_refused_with_the_key_at_fault() {
    for (entry, key, message) in [
        ("{}", "a", "neither `command`"),
        (r#"{"command": ["x"]}"#, "a.command", "must be a string, but it is a list"),
        (r#"{"command": "x", "args": "y"}"#, "a.args", "must be a list of strings, but it is a string"),
        (r#"{"type": "sse"}"#, "a", "type `sse` needs a `url`"),
        (r#"{"type": "bogus", "url": "http://127.0.0.1:1"}"#, "a.type", "`bogus` is not a type"),
        (r#"{"command": "x", "disabledTools": "x"}"#, "a.disabledTools", "must be a list of strings"),
        (r#"{"command": "x", "disabledTools": [1]}"#, "a.disabledTools[0]", "must be a string"),
        (r#"{"command": "x", "client_header_forwarding": "x"}"#, "a.client_header_forwarding", "an object"),
        (
            r#"{"command": "x", "client_header_forwarding": {"enabled": "yes"}}"#,
            "a.client_header_forwarding.enabled",
            "true or false",
        ),
        (
            r#"{"command": "x", "client_header_forwarding": {"enabled": true, "whitelist": "x"}}"#,
            "a.client_header_forwarding.whitelist",
            "a list of strings",
        ),
    ] {
        let problem = refused(&format!("{{\"mcpServers\": {{\n\"a\": {entry}}}}}"));
        assert!(problem.contains("error: a.json:2:"), "{problem}");
        assert!(problem.contains(&format!(": mcpServers.{key}\n")), "{problem}");
        assert!(problem.contains(message) && !problem.contains("no server is configured"), "{problem}");
    }
    for (text, message) in [("{}", "no `mcpServers` found"), ("[]", "must be an object, but it is a list")] {
        assert!(refused(text).contains(message), "{text}");
    }
    let mut missing = Fixture::new(&[]);
    missing.sources.files.push(missing.directory.path().join("none.json"));
    assert!(missing.load().unwrap_err().contains("error: none.json\n  the file cannot be read"));
}

#[test]
fn what_mcpo_starts_with_is_accepted_and_what_it_refused_needlessly_too() {
    for (entry, warning) in [
        (r#"{"type": "stdio", "command": "x", "args": ["a"]}"#, ""),
        (r#"{"type": "http", "url": "http://127.0.0.1:1/mcp"}"#, ""),
        (r#"{"command": "x", "env": {"X": 1}}"#, "mcpServers.a.env.X\n  this is a number and is passed on"),
        (
            r#"{"command": "x", "args": ["b", 5]}"#,
            "mcpServers.a.args[1]\n  this is a number and is passed on",
        ),
        (r#"{"command": "x", "oauth": {}}"#, ""),
        (r#"{"command": "x", "autoApprove": [], "alwaysAllow": ["*"], "description": "d"}"#, ""),
        (r#"{"command": "x", "_note": 1, "//": "why"}"#, ""),
        (r#"{"command": "x", "nonsense": 1}"#, "`nonsense` is not a setting of a server and is ignored"),
        (r#"{"command": "x", "url": "http://127.0.0.1:1/sse"}"#, "`command` and `url`; `url` wins"),
    ] {
        let warnings = server(entry).1;
        assert_eq!(warnings.is_empty(), warning.is_empty(), "{entry}: {warnings}");
        assert!(warnings.contains(warning), "{entry}: {warnings}");
        assert!(!warnings.contains("error:"), "{warnings}");
    }
    let empty = loaded(r#"{"mcpServers": {}}"#);
    assert!(empty.config.servers.is_empty());
    assert!(empty.warnings[0].message.contains("no server is configured"));
    assert_eq!(
        loaded("\u{feff}{ // c\n\"servers\": {\"b\": {\"command\": \"x\"},},}").config.servers.len(),
        1
    );
    assert!(loaded(&format!(r#"{{{TIME}, "x": 1}}"#)).warnings[0].message.contains("`x` is not a setting"));
}

#[test]
fn order_is_that_of_the_file_and_a_later_file_replaces_in_place() {
    let fixture = Fixture::new(&[
        r#"{"mcpServers": {"z": {"command": "z"}, "a": {"command": "a"}, "A": {"command": "A"}}}"#,
        r#"{"servers": {"a": {"command": "new"}, "m": {"command": "m"}}}"#,
    ]);
    let config = fixture.load().unwrap().config;
    let commands: Vec<(&str, &str)> = config
        .servers
        .iter()
        .map(|server| match &server.transport {
            TransportConfig::Stdio(stdio) => (server.name.as_str(), stdio.command.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(commands, [("z", "z"), ("a", "new"), ("A", "A"), ("m", "m")]);
}

#[test]
fn slips_are_warnings_when_serving_and_errors_when_checking() {
    for (text, message) in [
        (r#"{"mcpServers": {"a": {"command": "x", "comand": 1}}}"#, "fix: write `command` if that was meant"),
        (r#"{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}"#, "`a` stands here twice"),
        (r#"{"mcpServers": {"a": {"command": "x"}}, "prot": 1}"#, "fix: write `port` if that was meant"),
        (r#"{"mcpServers": {}, "corsAllowOrigins": ["https://a.example/"]}"#, "is no origin"),
        (r#"{"mcpServers": {}, "limits": {"body": 1}}"#, "`body` is not a setting of `limits`"),
    ] {
        let fixture = Fixture::new(&[text]);
        let served = fixture.shown(&fixture.load().unwrap().warnings);
        assert!(served.contains("warning: ") && served.contains(message), "{served}");
        let checked = fixture.checked();
        assert!(checked.contains("error: ") && checked.contains(message), "{checked}");
    }
}

#[test]
fn a_later_layer_wins_over_an_earlier_one() {
    let mut fixture = Fixture::new(&[
        &format!(r#"{{{TIME}, "port": 1, "host": "127.0.0.2", "name": "a", "log": {{"level": "debug"}}}}"#),
        r#"{"mcpServers": {}, "port": 2, "name": "b", "log": {"format": "json"}}"#,
    ])
    .environment(&[
        ("MCPO_PORT", "3"),
        ("MCPO_NAME", ""),
        ("LOG_LEVEL", "WARNING"),
        ("MCPO_STRICT_AUTH", "1"),
    ]);
    let config = fixture.load().unwrap().config;
    assert_eq!((config.listen.port, config.listen.host.as_str()), (3, "127.0.0.2"));
    assert_eq!(config.document.name, "b");
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", LogFormat::Json));
    assert!(config.auth.strict);
    fixture.sources.environment.push(("MCPO_LOG_LEVEL".to_owned(), "error".to_owned()));
    fixture.sources.overrides.set("port", "--port", Some(4_u16));
    let config = fixture.load().unwrap().config;
    assert_eq!((config.listen.port, config.log.level.as_str()), (4, "error"));
}

#[test]
fn without_anything_the_built_in_server_is_served_on_loopback() {
    let loaded = load(&Sources::default()).unwrap();
    assert!(loaded.warnings.is_empty());
    let config = loaded.config;
    assert_eq!((config.listen.host.as_str(), config.listen.port, config.single), ("127.0.0.1", 8000, false));
    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[0].name.as_str(), "gateway");
    assert!(matches!(config.servers[0].transport, TransportConfig::Gateway));
}

#[test]
fn the_command_line_gives_one_server_and_files_win_over_it() {
    let single = |transport: Option<&str>, command: &[&str]| Sources {
        single: Some(SingleServer {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            transport: transport.map(str::to_owned),
            headers: vec![("X-Key".to_owned(), "${env:KEY}".to_owned())],
        }),
        ..Sources::default()
    };
    let config = load(&single(None, &["/bin/t", "-x"])).unwrap().config;
    assert!(config.single);
    assert_eq!(config.servers[0].name.as_str(), "t");
    let TransportConfig::Stdio(stdio) = &config.servers[0].transport else { panic!("stdio was asked for") };
    assert_eq!((stdio.command.as_str(), stdio.args.as_slice()), ("/bin/t", ["-x".to_owned()].as_slice()));
    for (name, is_sse) in
        [("sse", true), ("streamable-http", false), ("streamable_http", false), ("http", false)]
    {
        let config = load(&single(Some(name), &["http://h/mcp"])).unwrap().config;
        let (TransportConfig::Sse(http) | TransportConfig::StreamableHttp(http)) =
            &config.servers[0].transport
        else {
            panic!("a remote server was asked for")
        };
        assert_eq!(matches!(config.servers[0].transport, TransportConfig::Sse(_)), is_sse, "{name}");
        assert_eq!(format!("{:?}", http.headers), r#"[("X-Key", ${env:KEY})]"#);
    }
    for (transport, command) in [("ssee", "http://h"), ("sse", "not a url")] {
        assert_eq!(load(&single(Some(transport), &[command])).unwrap_err().len(), 1);
    }
    let mut fixture = Fixture::new(&[&format!("{{{TIME}}}")]);
    fixture.sources.single = single(None, &["other"]).single;
    let loaded = fixture.load().unwrap();
    assert!(!loaded.config.single);
    assert_eq!(loaded.config.servers[0].name.as_str(), "time");
    assert!(loaded.warnings[0].message.contains("ignored"));
}

#[test]
fn every_child_gets_the_given_variables_and_flags_win_over_the_file() {
    let mut fixture = Fixture::new(&[&format!("{{{TIME}}}")]).environment(&[("B", "os")]);
    let path = fixture.directory.path().join(".env");
    fs::write(&path, "A=file\nB=file\nC=file\nMCPO_API_KEY=secret\n").unwrap();
    fixture.sources.env_path = Some(path);
    fixture.sources.given_env = vec![("C".to_owned(), "fl${ag}".to_owned())];
    let config = fixture.load().unwrap().config;
    let TransportConfig::Stdio(stdio) = &config.servers[0].transport else { panic!("stdio was configured") };
    let given: Vec<(&str, &str)> =
        stdio.given_env.iter().map(|(name, value)| (name.as_str(), value.as_literal().unwrap())).collect();
    assert_eq!(given, [("A", "file"), ("B", "os"), ("C", "file"), ("C", "fl${ag}")]);
    assert!(!format!("{config:?}").contains("fl$"));
}

#[test]
fn hot_reload_is_honest_about_itself() {
    let loaded = load(&Sources { hot_reload: true, ..Sources::default() }).unwrap();
    assert_eq!(loaded.warnings[0].key_path, "--hot-reload");
}
