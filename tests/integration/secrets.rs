//! Every place that may hold a secret holds one of its own, and none is found where it was not given.
//!
//! A secret is allowed where its owner put it: the operator's in the gateway's environment and command line, a
//! child's in that child's, a caller's in the answer to that caller. A child that writes its secret to its stderr has
//! published it: it stands in the log as that child's own words, in the line that says why that child is away, and in
//! the reason that keys with the `admin` right see. Nowhere else.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::servers::{Running, script};
use crate::support::{Answer, Ask, Gateway, free_port, servers};

/// The places; each one's secret is [`secret`] of its name.
const PLACES: &[&str] = &[
    "KeyLiteral",
    "KeyEnv",
    "KeyFile",
    "KeyFlag",
    "KeyVariable",
    "EnvLiteral",
    "EnvEnv",
    "EnvFile",
    "EnvCredential",
    "EnvironmentFile",
    "EnvironmentFileBroken",
    "Passed",
    "GivenByFlag",
    "GivenByPath",
    "Argument",
    "HeaderEnv",
    "HeaderLiteral",
    "HeaderCredential",
    "HeaderBroken",
    "UrlPassword",
    "UrlPath",
    "UrlQuery",
    "AwayPassword",
    "AwayPath",
    "AwayQuery",
    "BadUrlPassword",
    "BadUrlPath",
    "Unused",
    "UnusedCredential",
    "Stderr",
    "CallArgument",
    "CallBroken",
    "CallerKey",
    "CallerPassword",
    "CallerCookie",
    "CallerHeader",
    "CallerQuery",
];

/// Letters and digits only, so that no escaping or percent-encoding hides it.
fn secret(place: &str) -> String {
    assert!(PLACES.contains(&place), "{place} is not in the list");
    format!("Zq{place}8w7")
}

/// The places whose secrets stand in `text`, in whatever case or in Base64.
fn found(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    let holds = |place: &str| {
        let secret = secret(place);
        let encoded = ["", "user:", "any:"].map(|user| BASE64_STANDARD.encode(format!("{user}{secret}")));
        lower.contains(&secret.to_lowercase())
            || encoded.iter().any(|form| text.contains(form.trim_end_matches('=')))
    };
    PLACES.iter().copied().filter(|place| holds(place)).collect()
}

/// Fails when `text` holds a secret that is not one of `allowed`.
#[track_caller]
fn assert_clean(what: &str, text: &str, allowed: &[&str]) {
    let leaked: Vec<&str> = found(text).into_iter().filter(|place| !allowed.contains(place)).collect();
    assert!(leaked.is_empty(), "{what} holds the secrets of {leaked:?}:\n{text}");
}

/// Files with secrets, and the servers that run beside the gateway.
struct Scene {
    folder: TempDir,
    config: Value,
    _running: Vec<Running>,
}

const ON_EACH_CHILD: &[&str] = &["GivenByFlag", "GivenByPath"];
const ON_THE_COMMAND_LINE: &[&str] = &["KeyFlag", "GivenByFlag"];
const IN_THE_ENVIRONMENT: &[&str] = &[
    "KeyEnv",
    "KeyVariable",
    "EnvEnv",
    "Passed",
    "HeaderEnv",
    "HeaderBroken",
    "BadUrlPassword",
    "BadUrlPath",
    "Unused",
];
/// Servers that come up.
const GOOD: &[&str] = &["given", "bare", "quirk", "remote", "addressed"];
/// Servers that do not.
const BROKEN: &[&str] = &["shouter", "away", "badurl", "badheader", "badfile", "unauthorized"];

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let key_file = file("key", &secret("KeyFile"));
        let env_file = file("env", &secret("EnvFile"));
        let dotenv = file("dotenv", &format!("FILED={}\n", secret("EnvironmentFile")));
        let bad_dotenv = file("bad", &format!("A=1\n{}\n", secret("EnvironmentFileBroken")));
        file("given", &format!("GIVEN_BY_PATH={}\n", secret("GivenByPath")));
        file("credentials/env", &secret("EnvCredential"));
        file("credentials/header", &secret("HeaderCredential"));
        file("credentials/unused", &secret("UnusedCredential"));

        let path = script("http_server.py");
        let ports = [free_port(), free_port(), free_port()];
        let mut running = Vec::new();
        for (port, status) in [(ports[0], None), (ports[1], None), (ports[2], Some("401"))] {
            let number = port.to_string();
            let mut command = vec!["python3", path.to_str().unwrap(), "--port", &number];
            command.extend(status.iter().flat_map(|status| ["--status", status]));
            running.push(Running::on_port(&command, &[], port).await);
        }
        let url = |port: u16, place: &str| {
            let part = |what: &str| secret(&format!("{place}{what}"));
            format!(
                "http://user:{}@127.0.0.1:{port}/{}?key={}",
                part("Password"),
                part("Path"),
                part("Query")
            )
        };
        let mut given = servers::scripted(&[]);
        given["env"] = json!({
            "LITERAL": secret("EnvLiteral"), "ENV": "${env:ENV_ENV}", "FILE": format!("${{file:{env_file}}}"),
            "CREDENTIAL": "${credential:env}",
        });
        given["envFile"] = json!(dotenv);
        given["passEnv"] = json!(["PASSED"]);
        let shout = "import os, sys; sys.exit('the token is ' + os.environ['SHOUTED'])";
        let mut bad_file = servers::scripted(&[]);
        bad_file["envFile"] = json!(bad_dotenv);
        let remote = |port: u16| format!("http://127.0.0.1:{port}/mcp");
        let config = json!({
            "mcpServers": {
                "given": given,
                "bare": servers::scripted(&[]),
                "quirk": servers::quirk(&["behave", "errors", &format!("--token={}", secret("Argument"))]),
                "remote": { "type": "streamable-http", "url": remote(ports[0]), "headers": {
                    "Authorization": "Bearer ${env:HEADER_ENV}", "X-Literal": secret("HeaderLiteral"),
                    "X-Credential": "${credential:header}",
                } },
                "addressed": { "type": "streamable-http", "url": url(ports[1], "Url") },
                "away": { "type": "streamable-http", "url": url(free_port(), "Away") },
                "badurl": { "type": "streamable-http", "url": "${env:BAD_URL}" },
                "badheader": {
                    "type": "streamable-http", "url": remote(ports[0]), "headers": { "X-Bad": "${env:HEADER_BROKEN}" },
                },
                "badfile": bad_file,
                "unauthorized": {
                    "type": "streamable-http", "url": remote(ports[2]), "headers": { "X-Key": "${env:HEADER_ENV}" },
                },
                "shouter": { "command": "python3", "args": ["-c", shout], "env": { "SHOUTED": secret("Stderr") } },
            },
            "apiKeys": {
                "literal": secret("KeyLiteral"),
                "environment": { "key": "${env:KEY_ENV}", "servers": ["given", "away"] },
                "file": { "key": format!("${{file:{key_file}}}"), "admin": true },
            },
            "limits": { "bodyBytes": 10_000 },
        });
        Self { folder, config, _running: running }
    }

    async fn start(&self, level: &str, form: &str) -> Gateway {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let gateway = Gateway::with(self.config.clone())
            .state(&self.folder.path().join("state"))
            .flag("--log-level", level)
            .flag("--log-format", form)
            .flag("--api-key", &secret("KeyFlag"))
            .flag("-e", &format!("GIVEN={}", secret("GivenByFlag")))
            .flag("--env-path", &path("given"))
            .environment("MCPO_API_KEY", &secret("KeyVariable"))
            .environment("KEY_ENV", &secret("KeyEnv"))
            .environment("ENV_ENV", &secret("EnvEnv"))
            .environment("PASSED", &secret("Passed"))
            .environment("HEADER_ENV", &secret("HeaderEnv"))
            .environment("HEADER_BROKEN", &format!("{}\nX: y", secret("HeaderBroken")))
            .environment(
                "BAD_URL",
                &format!("http://u:{}@a:99999/{}", secret("BadUrlPassword"), secret("BadUrlPath")),
            )
            .environment("AN_UNUSED_TOKEN", &secret("Unused"))
            .environment("CREDENTIALS_DIRECTORY", &path("credentials"))
            .start()
            .await;
        gateway.listed(GOOD).await;
        for name in BROKEN {
            gateway.in_state(name, "unavailable").await;
        }
        gateway
    }
}

fn with_key(ask: Ask, place: &str) -> Ask {
    ask.header("Authorization", &format!("Bearer {}", secret(place)))
}

/// Status, headers and body as one text.
fn whole(answer: &Answer) -> String {
    format!("{} {:?}\n{}", answer.status, answer.headers, answer.text())
}

/// Calls that succeed, fail, are refused, or reach nobody; their answers may hold what their caller sent.
async fn call_in_every_way(gateway: &Gateway) {
    let argument = secret("CallArgument");
    let body = json!({ "value": argument, "k": "GIVEN", "a": argument });
    for key in ["KeyLiteral", "KeyEnv", "KeyFile", "KeyFlag"] {
        for server in GOOD.iter().chain(BROKEN) {
            for tool in ["echo", "missing"] {
                let ask = with_key(gateway.ask("POST", &format!("/{server}/{tool}")), key);
                let answer = ask.json(&body).send().await;
                let limited = key == "KeyEnv" && !["given", "away"].contains(server);
                let good = !limited && GOOD.contains(server) && tool == "echo";
                assert_eq!(answer.status == 200, good, "{server}/{tool} as {key}: {}", answer.text());
                let own = if answer.status == 200 { &["CallArgument"][..] } else { &[] };
                assert_clean(&format!("/{server}/{tool}"), &whole(&answer), own);
            }
        }
    }
    // What a tool tells of its own secrets is its result.
    let result = gateway.post("/given/environment", &json!({})).await;
    let given = ["EnvLiteral", "EnvEnv", "EnvFile", "EnvCredential", "EnvironmentFile", "Passed"];
    assert_eq!(found(&result.text()).len(), given.len() + ON_EACH_CHILD.len(), "{}", result.text());
    for (path, body) in [
        ("/quirk/iserr_text", body.to_string()),
        ("/quirk/e_params", body.to_string()),
        ("/quirk/env", json!({ "k": { "not text": argument } }).to_string()),
        ("/quirk/echo", format!("{{\"a\": {}", secret("CallBroken"))),
        ("/quirk/echo", format!("[\"{}\"]", secret("CallBroken"))),
        ("/quirk/echo", secret("CallBroken").repeat(1000)),
    ] {
        let answer = gateway.keyed(gateway.ask("POST", path)).body(body).send().await;
        assert!(answer.status >= 400, "{path}: {}", answer.text());
        assert_clean(path, &whole(&answer), &["CallArgument", "CallBroken"]);
    }
    let basic = BASE64_STANDARD.encode(format!("any:{}", secret("CallerPassword")));
    let wrong = format!("Bearer {}", secret("CallerKey"));
    for authorization in
        [wrong, format!("Basic {basic}"), format!("Digest {}", secret("CallerKey")), secret("CallerKey")]
    {
        let ask = gateway.ask("POST", &format!("/given/echo?token={}", secret("CallerQuery")));
        let ask = ask.header("Authorization", &authorization).header("Cookie", &secret("CallerCookie"));
        let ask = ask.header("X-Secret", &secret("CallerHeader")).header("X-Request-Id", "a b");
        let answer = ask.json(&body).send().await;
        assert!([401, 403].contains(&answer.status), "{authorization}: {}", answer.status);
        assert_clean("a refusal", &whole(&answer), &[]);
    }
    let slow = gateway.keyed(gateway.ask("POST", "/given/wait")).json(&body);
    let abandoned = tokio::time::timeout(std::time::Duration::from_millis(200), slow.send()).await;
    assert!(abandoned.is_err(), "the tool never answers");
}

/// Documents and pages, as every kind of caller sees them.
async fn read_everything(gateway: &Gateway) {
    let mut paths: Vec<String> = [
        "/",
        "/openapi.json",
        "/docs",
        "/docs/swagger-initializer.js",
        "/servers",
        "/ready",
        "/health",
        "/metrics",
    ]
    .map(str::to_owned)
    .to_vec();
    for server in GOOD.iter().chain(BROKEN) {
        let pages = ["openapi.json", "docs", "docs/swagger-initializer.js", ""];
        paths.extend(pages.map(|page| format!("/{server}/{page}")));
    }
    for key in [Some("KeyLiteral"), Some("KeyEnv"), Some("KeyFile"), Some("CallerKey"), None] {
        for path in &paths {
            let ask = gateway.ask("GET", path);
            let answer = match key {
                Some(key) => with_key(ask, key).send().await,
                None => ask.send().await,
            };
            let admin = key == Some("KeyFile") && path == "/servers";
            let published = if admin { &["Stderr"][..] } else { &[] };
            assert_clean(&format!("{path} as {key:?}"), &whole(&answer), published);
            if admin {
                assert_eq!(found(&answer.text()), ["Stderr"], "the reason for admins lacks the last words");
            }
        }
    }
}

fn process_file(process: u64, name: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/{name}")).unwrap();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

fn children(of: u64) -> Vec<u64> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u64>().ok()?;
        (parent == of).then_some(process)
    });
    processes.collect()
}

async fn look_into_processes(gateway: &Gateway) {
    let own = u64::from(gateway.id());
    let environment = process_file(own, "environ");
    assert_clean("the gateway's environment", &environment, IN_THE_ENVIRONMENT);
    assert_clean("the gateway's command line", &process_file(own, "cmdline"), ON_THE_COMMAND_LINE);
    assert_eq!(found(&environment).len(), IN_THE_ENVIRONMENT.len(), "the scene lacks secrets");
    let given = ["EnvLiteral", "EnvEnv", "EnvFile", "EnvCredential", "EnvironmentFile", "Passed"];
    let given = [&given[..], ON_EACH_CHILD].concat();
    let mut known = Vec::new();
    for (server, in_environment, in_arguments) in [
        ("given", given.as_slice(), &[][..]),
        ("bare", ON_EACH_CHILD, &[]),
        ("quirk", ON_EACH_CHILD, &["Argument"]),
    ] {
        let process = gateway.post(&format!("/{server}/pid"), &json!({})).await.ok().as_u64().unwrap();
        known.push(process);
        for (file, allowed) in [("environ", in_environment), ("cmdline", in_arguments)] {
            let text = process_file(process, file);
            assert_clean(&format!("{file} of {server}"), &text, allowed);
            assert_eq!(found(&text).len(), allowed.len(), "{server} was not given what it should be: {text}");
        }
    }
    // What else runs at this moment is a try to start a broken server.
    for process in children(own).into_iter().filter(|process| !known.contains(process)) {
        if let Ok(environment) = std::fs::read(format!("/proc/{process}/environ")) {
            let allowed = [&["Stderr"], ON_EACH_CHILD].concat();
            assert_clean("another child", &String::from_utf8_lossy(&environment), &allowed);
        }
    }
}

fn look_into_files(folder: &Path) {
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look_into_files(&path);
        } else {
            read += 1;
            assert_clean(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap(), &[]);
        }
    }
    assert!(read > 0 || folder.join("tools").is_dir(), "nothing is kept in {}", folder.display());
}

/// Whether the line may hold what `shouter` wrote to its stderr.
fn is_word_of_the_shouter(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => {
            let fields = &line["fields"];
            let message = fields["message"].as_str().unwrap();
            let is_reason = message.starts_with("shouter is ") && message.contains("; its last words: ");
            fields["mcp_server"] == "shouter" && (fields["mcp_stream"] == "stderr" || is_reason)
        }
        Err(_) => line.contains("shouter: the token is") || line.contains("shouter is unavailable: "),
    }
}

async fn nothing_leaks_at(level: &str, form: &str) {
    let scene = Scene::new().await;
    let mut gateway = scene.start(level, form).await;
    call_in_every_way(&gateway).await;
    read_everything(&gateway).await;
    look_into_processes(&gateway).await;
    assert!(gateway.stop().await.success());
    look_into_files(&scene.folder.path().join("state"));
    let log = gateway.log();
    for line in log.lines() {
        assert_clean("the log", line, if is_word_of_the_shouter(line) { &["Stderr"] } else { &[] });
    }
    for expected in
        ["shouter: the token is", "given/echo ok", "wrong_key", "away is unavailable", "cancelled"]
    {
        assert!(log.contains(expected), "the log does not even tell of {expected:?}:\n{log}");
    }
}

#[tokio::test]
async fn no_secret_is_found_outside_its_place_with_the_log_at_info() {
    nothing_leaks_at("info", "text").await;
}

#[tokio::test]
async fn no_secret_is_found_outside_its_place_with_the_log_at_debug() {
    nothing_leaks_at("debug", "json").await;
}

#[tokio::test]
async fn no_secret_is_found_outside_its_place_with_the_log_at_trace() {
    nothing_leaks_at("trace", "json").await;
}

#[test]
fn a_secret_is_found_in_any_case_and_in_base64() {
    assert_eq!(
        found(&format!("x{}y {}", secret("KeyEnv"), secret("KeyFile").to_lowercase())),
        ["KeyEnv", "KeyFile"]
    );
    let basic = BASE64_STANDARD.encode(format!("user:{}", secret("UrlPassword")));
    assert_eq!(found(&basic), ["UrlPassword"]);
    assert!(found("KeyEnv and Zq8w7").is_empty());
}
