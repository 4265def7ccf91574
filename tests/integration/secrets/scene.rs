//! The scene of the search for secrets: where they are planted, and how one is recognized.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, servers};

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
pub fn secret(place: &str) -> String {
    assert!(PLACES.contains(&place), "{place} is not in the list");
    format!("Zq{place}8w7")
}

/// The places whose secrets stand in `text`, in whatever case or in Base64.
pub fn found(text: &str) -> Vec<&'static str> {
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
pub fn assert_clean(what: &str, text: &str, allowed: &[&str]) {
    let leaked: Vec<&str> = found(text).into_iter().filter(|place| !allowed.contains(place)).collect();
    assert!(leaked.is_empty(), "{what} holds the secrets of {leaked:?}:\n{text}");
}

/// Files with secrets, and the servers that run beside the gateway.
pub struct Scene {
    pub folder: TempDir,
    config: Value,
    _running: Vec<Running>,
}

pub const ON_EACH_CHILD: &[&str] = &["GivenByFlag", "GivenByPath"];
pub const ON_THE_COMMAND_LINE: &[&str] = &["KeyFlag", "GivenByFlag"];
pub const IN_THE_ENVIRONMENT: &[&str] = &[
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
pub const GOOD: &[&str] = &["given", "bare", "quirk", "remote", "addressed"];
/// Servers that do not.
pub const BROKEN: &[&str] = &["shouter", "away", "badurl", "badheader", "badfile", "unauthorized"];

impl Scene {
    pub async fn new() -> Self {
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

    pub async fn start(&self, level: &str, form: &str) -> Gateway {
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
