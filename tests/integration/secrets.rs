//! Every place that may hold a secret holds one of its own, and none is found where it was not given.
//!
//! A secret is allowed where its owner put it: the operator's in the gateway's environment and command line, a
//! child's in that child's, a caller's in the answer to that caller. A child that writes its secret to its stderr has
//! published it: it stands in the log as that child's own words, in the line that says why that child is away, and in
//! the reason that keys with the `admin` right see. Nowhere else.

mod scene;

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, Gateway};
use scene::{
    BROKEN, GOOD, IN_THE_ENVIRONMENT, ON_EACH_CHILD, ON_THE_COMMAND_LINE, Scene, assert_clean, found, secret,
};

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
    let own = u64::from(gateway.pid().as_raw().unsigned_abs());
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
            let kept = std::fs::read(&path).unwrap();
            assert_clean(path.to_str().unwrap(), &String::from_utf8_lossy(&kept), &[]);
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
