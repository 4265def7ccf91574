//! `mcpo check`: all problems of a file at once, without a secret, with the exit codes of the contract.

use std::fs;
use std::process::Command;

/// Exit code, standard output and standard error of `mcpo check` on a file of `text`, run where the
/// environment holds nothing.
fn check(text: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(directory.path().join("config.json"), text).expect("the directory can be written");
    mcpo(&directory, &["check", "--config", "config.json"])
}

fn mcpo(directory: &tempfile::TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mcpo"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .expect("the binary can be run");
    let text = |bytes| String::from_utf8(bytes).expect("all output is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let (code, verdict, problems) = check(
        r#"{
  // a file with everything wrong
  "port": "8000",
  "corsAlowOrigins": ["*"],
  "mcpServers": {
    "docs": { "command": "x" },
    "time": { "comand": "uvx", "args": "mcp-server-time" },
    "memory": { "command": "npx", "args": "-y", "passEnv": ["MCPO_API_KEY"] },
    "memory": { "command": "npx", "env": { "KEY": "${KEY}", "N": 1 }, "timeout": "5" },
    "athena": { "type": "htp", "url": "http://puck.incus:22461/mcp" },
    "github": { "url": "https://api.githubcopilot.com/mcp/" },
  },
  "apiKeys": { "chat": { "key": "hunter2", "servers": ["memry"] } },
}
"#,
    );
    assert_eq!(code, Some(64));
    assert_eq!(verdict, "");
    assert!(!problems.contains("hunter2"));
    insta::assert_snapshot!(problems, @r#"
    error: config.json:3:3: port
      this must be a port number from 0 to 65535, but it is a string
      fix: write a port number from 0 to 65535, without quotes around it
    error: config.json:4:3: corsAlowOrigins
      `corsAlowOrigins` is not a setting of the configuration and is ignored
      fix: write `corsAllowOrigins` if that was meant, or remove it
    error: config.json:6:5: mcpServers.docs
      `docs` is a path of the gateway itself and cannot name a server
      fix: rename it, for instance to `docs-server`
    error: config.json:7:5: mcpServers.time
      the entry says neither `command` (stdio) nor `type` and `url` (remote) nor `socket`
      fix: add `"command": "..."`, or `"type": "http", "url": "..."`
    error: config.json:7:15: mcpServers.time.comand
      `comand` is not a setting of a server and is ignored
      fix: write `command` if that was meant, or remove it
    error: config.json:7:32: mcpServers.time.args
      this must be a list of strings, but it is a string
      fix: put the string in square brackets: ["..."]
    error: config.json:8:35: mcpServers.memory.args
      this must be a list of strings, but it is a string
      fix: put the string in square brackets: ["..."]
    error: config.json:8:61: mcpServers.memory.passEnv[0]
      `MCPO_API_KEY` belongs to the gateway itself and is never passed on
      fix: remove it; give the server its own value in `env`
    error: config.json:9:5: mcpServers.memory
      `memory` stands here twice; the first is in line 8
      fix: rename or remove one of the two; without that the last one counts
    error: config.json:9:44: mcpServers.memory.env.KEY
      `${KEY}` is not a reference that this gateway knows
      fix: write `${env:KEY}` for that variable, or `$${KEY}` for the literal text
    warning: config.json:9:61: mcpServers.memory.env.N
      this is a number and is passed on as the text that stands here
      fix: put it in double quotes
    error: config.json:9:71: mcpServers.memory.timeout
      this must be a number of seconds, but it is a string
      fix: write a number of seconds, without quotes around it
    error: config.json:10:17: mcpServers.athena.type
      `htp` is not a type of server
      fix: write `http`
    warning: config.json:13:56: apiKeys.chat.servers[0]
      no server is called `memry`
      fix: write `memory` if that was meant, or remove it
    12 errors, 2 warnings
    "#);
}

#[test]
fn a_good_file_with_secrets_that_are_not_there_is_clean() {
    let (code, verdict, problems) = check(
        r#"{
  "host": "0.0.0.0", "port": 25530, "apiKey": "${credential:api-key}",
  "mcpServers": {
    "time": { "command": "mcp-server-time", "env": { "A": "${env:NOT_SET}" } },
    "athena": { "type": "http", "url": "http://puck.incus:22461/mcp",
                "headers": { "Authorization": "Bearer ${file:/not/there}" } },
    "old": { "type": "sse", "url": "http://localhost:1/sse", "disabled": true },
  },
}"#,
    );
    assert_eq!((code, problems.as_str()), (Some(0), ""));
    assert_eq!(verdict, "ok: 3 servers: time (stdio), athena (streamable-http), old (sse, disabled)\n");
}

#[test]
fn warnings_alone_are_printed_and_do_not_fail_the_check() {
    let (code, verdict, problems) = check(
        r#"{"mcpServers": {"a": {"url": "http://localhost:1/mcp", "command": "x"}, "b": {"url": "http://localhost:1/"}}}"#,
    );
    assert_eq!(code, Some(0));
    // A `url` without `type` is found out, and no reason to warn.
    assert_eq!(verdict, "ok: 2 servers: a (http), b (http)\n");
    insta::assert_snapshot!(problems, @r#"
    warning: config.json:1:56: mcpServers.a.command
      the entry has `command` and `url`; `url` wins
      fix: keep the one that is meant
    "#);
}

#[test]
fn tokens_that_vs_code_renews_all_the_time_are_warned_of() {
    for (lifetime, is_warned_of) in [(359, true), (360, false)] {
        let (code, _, problems) = check(&format!(
            r#"{{"mcpServers": {{"a": {{"command": "x"}}}}, "apiKeys": {{"k": "secret"}}, "publicUrl": "https://mcp.example.org",
                "stateDir": "state", "signIn": {{"apiKeys": true, "tokenLifetime": {lifetime}}}}}"#
        ));
        assert_eq!(code, Some(0), "{problems}");
        assert_eq!(problems.contains("signIn.tokenLifetime\n  VS Code renews"), is_warned_of, "{problems}");
    }
}

#[test]
fn broken_json_and_a_missing_file_are_configuration_errors() {
    let (code, _, problems) = check("{\n  \"mcpServers\": {\n    \"a\": { \"command\": \"x\"\n}\n");
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(problems, @r#"
    error: config.json:2:17
      the JSON is broken: unterminated object
      fix: correct the JSON around here; comments and trailing commas are allowed
    1 error, 0 warnings
    "#);
    let directory = tempfile::tempdir().unwrap();
    let (code, _, problems) = mcpo(&directory, &["check", "--config", "none.json"]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(problems, @r#"
    error: none.json
      the file cannot be read: No such file or directory (os error 2)
      fix: check the path given to --config
    1 error, 0 warnings
    "#);
}

#[test]
fn a_gateway_refuses_a_bad_configuration_with_the_same_code_and_a_bad_command_line_with_two() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), "[]").unwrap();
    let (code, _, problems) = mcpo(&directory, &["--config", "config.json"]);
    assert_eq!(code, Some(64));
    assert!(problems.starts_with("error: config.json:1:1\n  this must be an object"), "{problems}");
    for arguments in [["check"].as_slice(), &["--"], &["--no-such-flag"], &["--port", "x"]] {
        assert_eq!(mcpo(&directory, arguments).0, Some(2), "{arguments:?}");
    }
    let (code, help, _) = mcpo(&directory, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("mcpo check --config"), "{help}");
}

#[test]
fn a_bad_host_rule_is_found_by_the_check_and_before_anything_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    // A gateway that binds before it judges fails for the port, with another code.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (rule, problem) in [
        (r#""allowedHosts": ["[bad"]"#, "allowedHosts\n  `[bad` is no pattern over host names"),
        (r#""publicUrl": "mcp.example.org""#, "publicUrl\n  this is no http or https URL"),
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {{"command": "x"}}}}, "port": {port}, {rule}}}"#);
        fs::write(directory.path().join("config.json"), text).unwrap();
        for arguments in [["check", "--config", "config.json"].as_slice(), &["--config", "config.json"]] {
            let (code, _, problems) = mcpo(&directory, arguments);
            assert_eq!(code, Some(64), "{arguments:?}: {problems}");
            assert!(problems.contains(problem), "{problems}");
        }
    }
    let (code, _, problems) = check(
        r#"{"mcpServers": {"a": {"command": "x", "envFile": "not-there.env"}},
            "allowedHosts": ["*.example.org"], "publicUrl": "https://mcp.example.org"}"#,
    );
    assert_eq!((code, problems.as_str()), (Some(0), ""));
}

/// Where the check is meant to judge otherwise than mcpo does at its start, and why.
const WANTED_DIFFERENCES: &[(&str, &str)] = &[
    ("empty", "a gateway without servers is odd, not broken: it warns and serves"),
    ("type http", "`http` is how most clients spell streamable HTTP"),
    ("servers (vscode key)", "VS Code's `servers` means the same as `mcpServers`"),
    ("unknown keys", "`x` is surely a slip: the check refuses it, a gateway starts with a warning"),
];

#[test]
fn what_mcpo_refuses_is_refused_and_what_it_accepts_passes() {
    let recording: serde_json::Value =
        serde_json::from_str(include_str!("../oracle/recordings/config-validation.json")).unwrap();
    let cases = recording["cases"].as_array().unwrap();
    let mut compared = 0;
    let mut differing = Vec::new();
    // The cases without `config` are about files that are no plain JSON.
    for case in cases.iter().filter(|case| case.get("config").is_some()) {
        let accepted = case["ready"].as_bool().unwrap();
        let (code, _, problems) = check(&case["config"].to_string());
        assert!(matches!(code, Some(0 | 64)), "{case}: {code:?} {problems}");
        if (code == Some(0)) != accepted {
            differing.push(case["case"].as_str().unwrap());
        }
        compared += 1;
    }
    assert!(compared > 15, "only {compared} cases were compared");
    differing.sort_unstable();
    let mut wanted: Vec<&str> = WANTED_DIFFERENCES.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    assert_eq!(differing, wanted);
}

/// A configuration on one line, in which `count` servers, profiles and keys are wrong in one way each.
fn wrong_in_all(count: usize) -> String {
    let entries = |entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(",");
    let servers = entries(&|n| format!(r#""server-{n}":{{"command":"x","comand":"y"}}"#));
    let profiles = entries(&|n| format!(r#""profile-{n}":{{"servers":["sever-{n}","*-x{n}"]}}"#));
    let keys = entries(&|n| {
        format!(r#""key-{n}":{{"key":"k{n}","servers":["server_{n}"],"profile":"profil-{n}"}}"#)
    });
    let twice = servers.replace("server-", "twice-");
    format!(
        r#"{{"mcpServers":{{{servers},{twice},{twice}}},"profiles":{{{profiles}}},"apiKeys":{{{keys}}}}}"#
    )
}

#[test]
fn a_configuration_of_thousands_takes_as_long_as_its_length_and_not_its_square() {
    let (few, many) = (500, 10_000);
    let took = |count| {
        let text = wrong_in_all(count);
        let began = std::time::Instant::now();
        let (code, _, problems) = check(&text);
        let took = began.elapsed();
        assert_eq!(code, Some(64));
        // A slip in each server, replaced or not, and its duplicate; two patterns of each profile; two names of each key.
        let found = problems.lines().filter(|line| line.starts_with(['e', 'w'])).count();
        assert!(found > 6 * count, "{found} problems");
        took
    };
    let (short, long) = (took(few), took(many));
    let ratio = u32::try_from(many / few).unwrap();
    assert!(long < 3 * ratio * short, "{few}: {short:?}, {many}: {long:?}");
}
