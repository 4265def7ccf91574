//! The `auth/*` client scenarios of the official conformance suite, each at every revision that the suite has it for, with
//! the gateway as the client and `tests/conformance/auth_client.mjs` as the person who signs in.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::provisioned;
use crate::support::starter::Starter;

/// What does not pass, and why. A line that is no longer needed fails the test, too.
const REMAINING: &[(&str, &str)] = &[];

/// Scenarios that run at one time.
const AT_ONCE: usize = 3;

struct Suite {
    node: PathBuf,
    program: PathBuf,
}

impl Suite {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.node);
        command.arg(&self.program).args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The scenarios with the revisions that they are for; none for an extension.
    fn scenarios(&self) -> Vec<(String, Vec<String>)> {
        let listed = self.run(&["list", "--client"]);
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("- auth/")?.split_once(" ["));
        let scenario = |(name, revisions): (&str, &str)| {
            let revisions = revisions.trim_end_matches(']').split(',').filter(|text| text.starts_with("20"));
            (format!("auth/{name}"), revisions.map(str::to_owned).collect())
        };
        lines.map(scenario).collect()
    }

    /// Runs one scenario; gives whether everything in it passed, and what was told.
    fn passes(&self, scenario: &str, revision: Option<&str>) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let driver = provisioned::root().join("tests/conformance/auth_client.mjs");
        let starter = Starter::of(&[&self.node, &driver, env!("CARGO_BIN_EXE_mcpo").as_ref()]);
        let command = starter.command();
        let folder = folder.path().to_str().unwrap();
        let words =
            ["client", "--command", &command, "--scenario", scenario, "--timeout", "60000", "-o", folder];
        let revision = revision.map(|revision| ["--spec-version", revision]);
        let output = self.run(&[&words[..], revision.as_ref().map_or(&[], |words| &words[..])].concat());
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), told.concat())
    }
}

#[tokio::test]
async fn the_gateway_signs_in_as_the_suite_asks_but_for_what_remains() {
    let (Some(node), Some(folder)) = (provisioned::newer_node(), provisioned::conformance()) else { return };
    let program = folder.join("@modelcontextprotocol/conformance/dist/index.js");
    let suite = Arc::new(Suite { node, program });
    let scenarios = suite.scenarios();
    assert!(scenarios.len() > 25, "{scenarios:?}");
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (scenario, revisions) in &scenarios {
        let at = revisions.iter().cloned().map(Some).chain(revisions.is_empty().then_some(None));
        for revision in at {
            let (suite, turns, scenario) = (suite.clone(), turns.clone(), scenario.clone());
            runs.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                let run = move || (suite.passes(&scenario, revision.as_deref()), scenario, revision);
                tokio::task::spawn_blocking(run).await.unwrap()
            });
        }
    }
    assert!(runs.len() > 45, "{} runs of {scenarios:?}", runs.len());
    let mut wrong = Vec::new();
    while let Some(run) = runs.join_next().await {
        let ((passes, told), scenario, revision) = run.unwrap();
        let known = REMAINING.iter().any(|(name, _)| *name == scenario);
        match (passes, known) {
            (true, true) => {
                wrong.push(format!("{scenario} passes now: take it from the list of what remains"))
            }
            (false, false) => wrong.push(format!("{scenario} of {revision:?} does not pass:\n{told}")),
            _ => {}
        }
    }
    for (name, _) in REMAINING {
        assert!(scenarios.iter().any(|(scenario, _)| scenario == name), "the suite has no scenario {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
