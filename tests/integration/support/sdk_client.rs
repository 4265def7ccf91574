//! Clients of the official SDKs that know nothing but the address of an endpoint.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::provisioned;

/// A client of an SDK that is led to sign in.
#[derive(Debug)]
pub struct SdkClient {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl SdkClient {
    pub fn start(program: &Path, script: &str, words: &[&str]) -> Self {
        let script = provisioned::root().join("tests/clients").join(script);
        let mut command = Command::new(program);
        command.arg(script).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take().unwrap(), output, _child: child }
    }

    /// Has it call the tool once more.
    pub async fn call(&mut self) -> Value {
        self.say().await;
        self.told().await
    }

    /// Has it go on.
    pub async fn say(&mut self) {
        self.input.write_all(b"\n").await.unwrap();
    }

    /// The next message with this method that it prints.
    pub async fn told_of(&mut self, method: &str) -> Value {
        loop {
            let told = self.told().await;
            if told["method"] == method {
                return told;
            }
        }
    }

    /// What it prints next.
    pub async fn told(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.output.next_line()).await;
        serde_json::from_str(&line.expect("it answers in time").unwrap().expect("it prints its result"))
            .unwrap()
    }
}
