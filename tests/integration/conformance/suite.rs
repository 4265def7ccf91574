//! Runs of the official conformance suite, and what they told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::provisioned;

/// A run ends by itself; this is for a suite that hangs.
const PATIENCE: Duration = Duration::from_secs(150);

/// One released form of the suite.
#[derive(Debug, Clone)]
pub struct Suite {
    version: &'static str,
    program: PathBuf,
    node: PathBuf,
    revisions: &'static [&'static str],
}

/// What a scenario's check came to; of several of one name the worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It tells something, or does not apply.
    Told,
    Passed,
    Failed(String),
}

/// By scenario and check.
pub type Verdicts = BTreeMap<(String, String), Verdict>;

/// One run of a suite.
#[derive(Debug, Clone)]
pub struct Run {
    pub suite: Suite,
    /// The revision that the suite speaks; none for extensions.
    pub revision: Option<String>,
    /// What is tested.
    pub target: String,
    arguments: Vec<String>,
}

impl Suite {
    pub fn both() -> Option<[Self; 2]> {
        let folder = provisioned::conformance()?;
        let node = provisioned::newer_node()?;
        let suite = |version, name: &str, revisions| Self {
            version,
            program: folder.join(name).join("dist/index.js"),
            node: node.clone(),
            revisions,
        };
        let newest: &[_] = &["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
        Some([
            suite("0.2.0-alpha.12", "@modelcontextprotocol/conformance", newest),
            suite("0.1.16", "conformance-0.1", &["2025-06-18", "2025-11-25"]),
        ])
    }

    /// The revisions of one era that it has server scenarios for.
    pub fn revisions(&self, stateless: bool) -> impl Iterator<Item = &'static str> {
        self.revisions.iter().copied().filter(move |revision| (*revision == "2026-07-28") == stateless)
    }

    /// The scenarios for clients, with each revision that they apply to, but for those of authorization.
    pub fn client_scenarios(&self) -> Vec<(String, Option<String>)> {
        let mut command = std::process::Command::new(&self.node);
        let output = command.arg(&self.program).args(["list", "--client"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut scenarios = Vec::new();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("- ")) {
            let (name, revisions) = line.split_once(' ').unwrap_or((line, "[]"));
            if name.starts_with("auth/") {
                continue;
            }
            for revision in revisions.trim_matches(['[', ']']).split(',') {
                let dated = revision.starts_with("20");
                scenarios.push((name.to_owned(), dated.then(|| revision.to_owned())));
            }
        }
        scenarios
    }
}

impl Verdict {
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }

    pub fn failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    pub fn message(&self) -> String {
        match self {
            Self::Told => "not checked".to_owned(),
            Self::Passed => "passed".to_owned(),
            Self::Failed(message) => message.clone(),
        }
    }

    fn of(check: &Value) -> Self {
        match check["status"].as_str() {
            Some("SUCCESS") => Self::Passed,
            Some("FAILURE" | "WARNING") => {
                let message = check["errorMessage"].as_str().or(check["details"]["message"].as_str());
                Self::Failed(message.or(check["description"].as_str()).unwrap_or_default().to_owned())
            }
            _ => Self::Told,
        }
    }
}

impl Run {
    /// All server scenarios of a revision.
    pub fn server(suite: &Suite, revision: &str, target: &str, url: &str) -> Self {
        let words = ["server", "--url", url, "--suite", "all", "--spec-version", revision];
        let arguments = words.map(str::to_owned).to_vec();
        let (suite, target) = (suite.clone(), target.to_owned());
        Self { suite, revision: Some(revision.to_owned()), target, arguments }
    }

    /// One client scenario; the suite starts `command` and appends the URL of its server.
    pub fn client(suite: &Suite, scenario: &str, revision: Option<&str>, command: &str) -> Self {
        let mut words = vec!["client", "--command", command, "--scenario", scenario, "--timeout", "60000"];
        if let Some(revision) = revision {
            words.extend(["--spec-version", revision]);
        }
        let arguments = words.into_iter().map(str::to_owned).collect();
        let (suite, target) = (suite.clone(), scenario.to_owned());
        Self { suite, revision: revision.map(str::to_owned), target, arguments }
    }

    /// Whether both run the same scenarios.
    pub fn is_at(&self, other: &Self) -> bool {
        self.suite.version == other.suite.version && self.revision == other.revision
    }

    pub fn name(&self) -> String {
        let revision = self.revision.as_deref().unwrap_or("extension");
        format!("{} {revision} {}", self.suite.version, self.target)
    }

    async fn verdicts(&self) -> Verdicts {
        let folder = TempDir::with_prefix("mcpo-conformance-").unwrap();
        let mut command = Command::new(&self.suite.node);
        command.arg(&self.suite.program).args(&self.arguments).arg("-o").arg(folder.path());
        // Its servers and ours are on the loopback, and so is its working folder's rubbish in the temporary one.
        command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("{} hangs", self.name())).unwrap();
        let mut verdicts = read(folder.path());
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!verdicts.is_empty(), "{} told nothing:\n{text}", self.name());
        // The client of a scenario may fail while no check does.
        let alone = self.arguments[0] == "client" && !verdicts.values().any(Verdict::failed);
        if alone && !output.status.success() {
            let tail: Vec<_> = text.lines().rev().take(40).collect();
            let message = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            verdicts.insert((self.target.clone(), "client-exit".to_owned()), Verdict::Failed(message));
        }
        verdicts
    }
}

/// Does the runs, two at a time.
pub async fn all(runs: Vec<Run>) -> Vec<(Run, Verdicts)> {
    let places = Arc::new(Semaphore::new(2));
    let mut tasks = JoinSet::new();
    for run in runs {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire_owned().await.expect("it is never closed");
            let verdicts = run.verdicts().await;
            (run, verdicts)
        });
    }
    tasks.join_all().await
}

/// Reads what a run left: a folder for each scenario, `[server-]NAME-DATE`.
fn read(folder: &Path) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(path.join("checks.json")) else {
            continue;
        };
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.strip_prefix("server-").unwrap_or(name);
        // 2026-11-24T09-17-21-777Z
        let scenario = &name[..name.len() - 25];
        let checks: Vec<Value> = serde_json::from_str(&text).unwrap();
        for check in checks {
            let key = (scenario.to_owned(), check["id"].as_str().unwrap().to_owned());
            let worst = verdicts.entry(key).or_insert(Verdict::Told);
            *worst = worst.clone().max(Verdict::of(&check));
        }
    }
    verdicts
}
