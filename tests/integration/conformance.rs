//! The official conformance suite: what passes against a server passes through the gateway in front of it, and what the
//! suite asks of a client the gateway does as one.
//!
//! Both released forms of the suite run at every revision that they know, against `tests/conformance/upstream.mjs` in both
//! eras, over HTTP and over stdio. What does not pass is `tests/conformance/remaining.json`: a line that is missing there
//! fails, and so does one that is no longer needed.

mod header_params;
mod remaining;
mod suite;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::mcp::stateless_able;
use crate::support::starter::Starter;
use crate::support::{Gateway, provisioned};
use remaining::{Lost, Remaining};
use suite::{Run, Suite, all};

const STATELESS: &str = "2026-07-28";

#[tokio::test]
async fn what_passes_with_sessions_at_a_server_with_sessions_passes_at_the_gateway() {
    compare("sessions", "legacy").await;
}

#[tokio::test]
async fn what_passes_with_sessions_passes_at_the_gateway_before_a_stateless_server() {
    compare("sessions", "modern").await;
}

#[tokio::test]
async fn what_passes_stateless_passes_at_the_gateway_before_a_server_with_sessions() {
    compare(STATELESS, "legacy").await;
}

#[tokio::test]
async fn what_passes_stateless_at_a_stateless_server_passes_at_the_gateway() {
    compare(STATELESS, "modern").await;
}

#[tokio::test]
async fn the_gateway_is_the_client_that_the_suite_asks_for_when_its_own_client_has_a_session() {
    client_scenarios("sessions").await;
}

#[tokio::test]
async fn the_gateway_is_the_client_that_the_suite_asks_for_when_its_own_client_is_stateless() {
    client_scenarios(STATELESS).await;
}

/// The upstream of the tests as a process that serves HTTP; killed with the value.
pub struct Upstream {
    child: Child,
    pub url: String,
}

impl Upstream {
    pub fn start(era: &str) -> Option<Self> {
        let mut command = Command::new(provisioned::newer_node()?);
        command.arg(program("upstream.mjs")).args([era, "http"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http"), "{} {era} ended at once", program("upstream.mjs").display());
        Some(Self { child, url: url.trim().to_owned() })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn program(name: &str) -> PathBuf {
    provisioned::root().join("tests/conformance").join(name)
}

/// The upstream of the tests as a child of the gateway.
fn over_stdio(era: &str) -> Option<Value> {
    Some(json!({ "command": provisioned::newer_node()?, "args": [program("upstream.mjs"), era, "stdio"] }))
}

/// Runs all server scenarios of one era of clients directly against the upstream of that era, and through the gateway against
/// the upstream of `era`, over HTTP and over stdio.
async fn compare(client: &str, era: &str) {
    let own = if client == STATELESS { "modern" } else { "legacy" };
    let (Some(upstream), Some(direct), Some(stdio)) =
        (Upstream::start(era), Upstream::start(own), over_stdio(era))
    else {
        return;
    };
    let http = json!({ "type": "streamable-http", "url": upstream.url });
    let gateway = Gateway::serving(json!({ "http": http, "stdio": stdio })).start().await;
    gateway.ready(&["http", "stdio"]).await;
    if client == STATELESS {
        // A client that can be asked gets a process of its own before a server with sessions, which takes Node most of
        // the 600 ms that the suite waits for the first word of one of its calls. Clients that declare the same share it.
        let params = json!({ "name": "test_simple_text", "arguments": {} });
        let able = json!({ "elicitation": {} });
        let ask = gateway.ask("POST", "/stdio/mcp");
        let answer = stateless_able(ask, &able, "tools/call", &params).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    let mut runs = Vec::new();
    for suite in Suite::both().unwrap() {
        for revision in suite.revisions(client == STATELESS) {
            for target in ["direct", "http", "stdio"] {
                let url = match target {
                    "direct" => direct.url.clone(),
                    name => format!("http://{}/{name}/mcp", gateway.address),
                };
                runs.push(Run::server(&suite, revision, target, &url));
            }
        }
    }
    let results = all(runs).await;

    let mut lost = Vec::new();
    let mut passed = 0;
    for (run, verdicts) in &results {
        if run.target == "direct" {
            passed += verdicts.values().filter(|verdict| verdict.passed()).count();
            continue;
        }
        let (_, wanted) = results
            .iter()
            .find(|(other, _)| other.target == "direct" && other.is_at(run))
            .expect("each pair of suite and revision runs directly, too");
        for ((scenario, check), _) in wanted.iter().filter(|(_, verdict)| verdict.passed()) {
            let got = verdicts.get(&(scenario.clone(), check.clone()));
            if got.is_none_or(|verdict| !verdict.passed()) {
                let told = got.map_or_else(|| told_instead(verdicts, scenario), |verdict| verdict.message());
                lost.push(Lost::new(run, scenario, check, &told));
            }
        }
    }
    assert!(passed > 50, "only {passed} checks pass directly: the upstream of the tests is broken");
    Remaining::read("server").settle(&[("client", client), ("upstream", era)], &lost);
}

/// What failed in a scenario in which a check was never reached.
fn told_instead(verdicts: &suite::Verdicts, scenario: &str) -> String {
    let failed = verdicts.iter().filter(|((name, _), verdict)| name == scenario && verdict.failed());
    let told: Vec<_> =
        failed.map(|((_, check), verdict)| format!("{check}: {}", verdict.message())).collect();
    format!("never reached; {}", told.join("; "))
}

#[test]
fn a_client_in_a_folder_with_blanks_is_started_by_a_command_that_is_split_at_them() {
    let folder = tempfile::Builder::new().prefix("it's a ").tempdir().unwrap();
    let script = folder.path().join("say.sh");
    std::fs::write(&script, "printf '[%s]' \"$0\" \"$@\"").unwrap();
    let starter = Starter::of(&["sh".as_ref(), &script, "b  c".as_ref()]);
    let command = starter.command();
    let words: Vec<_> = command.split(' ').chain(["http://server"]).collect();
    let said = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
    let expected = format!("[{}][b  c][http://server]", script.display());
    assert_eq!(String::from_utf8(said.stdout).unwrap(), expected);
}

async fn client_scenarios(client: &str) {
    let Some(node) = provisioned::newer_node() else { return };
    let mode = if client == STATELESS { STATELESS } else { "legacy" };
    let words = [node.as_path(), &program("client.mjs"), env!("CARGO_BIN_EXE_mcpo").as_ref(), mode.as_ref()];
    let starter = Starter::of(&words);
    let mut runs = Vec::new();
    for suite in Suite::both().unwrap() {
        for (scenario, revision) in suite.client_scenarios() {
            runs.push(Run::client(&suite, &scenario, revision.as_deref(), &starter.command()));
        }
    }
    assert!(runs.len() > 10, "the suites name only {} client scenarios", runs.len());

    let mut lost = Vec::new();
    for (run, verdicts) in &all(runs).await {
        assert!(!verdicts.is_empty(), "{run:?} told nothing");
        for ((scenario, check), verdict) in verdicts.iter().filter(|(_, verdict)| verdict.failed()) {
            lost.push(Lost::new(run, scenario, check, &verdict.message()));
        }
    }
    Remaining::read("client").settle(&[("client", client)], &lost);
}
