//! The `auth/*` client scenarios of the official conformance suite, with the gateway as the client and
//! `tests/conformance/auth_client.mjs` as the person who signs in.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::provisioned;

/// What does not pass, and why. A line that is no longer needed fails the test, too.
const REMAINING: &[(&str, &str)] = &[
    (
        "auth/enterprise-managed-authorization",
        "an extension: it exchanges the identity token of a person's own session, and a sign-in of the gateway serves \
         all its callers",
    ),
    (
        "auth/dpop",
        "an extension: tokens are bearer tokens here, and rmcp makes no proofs of possession either",
    ),
    ("auth/dpop-nonce", "the same extension, with a nonce of the server"),
    (
        "auth/wif-jwt-bearer",
        "an extension: it wants the token of a cloud's workload identity, and where one is a gateway proves itself by \
         a private key instead",
    ),
];

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

    fn scenarios(&self) -> Vec<String> {
        let listed = self.run(&["list", "--client"]);
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(' ').next());
        names.filter(|name| name.starts_with("auth/")).map(str::to_owned).collect()
    }

    /// Runs one scenario; gives whether everything in it passed, and what was told.
    fn passes(&self, scenario: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let driver = provisioned::root().join("tests/conformance/auth_client.mjs");
        let command = format!("{} {} {}", self.node.display(), driver.display(), env!("CARGO_BIN_EXE_mcpo"));
        let folder = folder.path().to_str().unwrap();
        let output = self.run(&[
            "client",
            "--command",
            &command,
            "--scenario",
            scenario,
            "--timeout",
            "60000",
            "-o",
            folder,
        ]);
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
    for scenario in scenarios.clone() {
        let (suite, turns) = (suite.clone(), turns.clone());
        runs.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            let run = tokio::task::spawn_blocking(move || (suite.passes(&scenario), scenario));
            run.await.unwrap()
        });
    }
    let mut wrong = Vec::new();
    while let Some(run) = runs.join_next().await {
        let ((passes, told), scenario) = run.unwrap();
        let known = REMAINING.iter().any(|(name, _)| *name == scenario);
        match (passes, known) {
            (true, true) => {
                wrong.push(format!("{scenario} passes now: take it from the list of what remains"))
            }
            (false, false) => wrong.push(format!("{scenario} does not pass:\n{told}")),
            _ => {}
        }
    }
    for (name, _) in REMAINING {
        assert!(scenarios.iter().any(|scenario| scenario == name), "the suite has no scenario {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
