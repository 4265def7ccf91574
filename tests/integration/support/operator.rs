//! An operator at a prompt: `mcpo` with these words, in an environment that holds nothing.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{Gateway, provisioned};

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// What was written, of a command that must have gone well and silently.
    pub fn ok(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        &self.out
    }

    /// As [`Done::ok`], as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// What was said on the standard error by a command that failed with `code` and wrote nothing.
    pub fn failed(&self, code: i32) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        &self.err
    }
}

/// `mcpo` with `words`, not started yet. Only the search path is in its environment.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpo"));
    command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).current_dir(provisioned::root());
    command
}

/// Runs `command` to its end, without holding up the test's other tasks.
pub async fn run(mut command: Command) -> Done {
    let output = tokio::task::spawn_blocking(move || command.output());
    let Output { status, stdout, stderr } = output.await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs `mcpo` with these words.
pub async fn mcpo(words: &[&str]) -> Done {
    run(command(words)).await
}

impl Gateway {
    /// Runs `mcpo` with these words on this gateway, with its key.
    pub async fn operator(&self, words: &[&str]) -> Done {
        let mut command = command(words);
        command.env("MCPO_URL", format!("http://{}", self.address));
        command.envs(self.key().map(|key| ("MCPO_API_KEY", key)));
        run(command).await
    }
}

/// Writes a configuration file with these servers.
pub fn configuration(folder: &Path, servers: &Value) -> String {
    let path = folder.join("servers.json");
    std::fs::write(&path, serde_json::json!({ "mcpServers": servers }).to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}
