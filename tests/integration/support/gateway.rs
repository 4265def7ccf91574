//! The gateway under test: its own process, port, configuration file and state directory.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Ask, free_port, until};

/// Node servers on two busy cores need long to come up.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// The Python mcpo, when the recordings are to be replayed against it (`MCPO_TESTS_ORIGINAL=/path/to/mcpo`):
/// that shows whether the recordings and the fixtures still hold, not whether the gateway does. It opens its port
/// last, and knows neither a state directory nor `/servers`.
pub fn original() -> Option<PathBuf> {
    std::env::var_os("MCPO_TESTS_ORIGINAL").map(PathBuf::from)
}

/// A gateway that is not started yet.
#[derive(Debug)]
pub struct Setup {
    config: Option<Value>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    state: Option<PathBuf>,
    port: Option<u16>,
    command: Vec<String>,
    shell: Option<String>,
}

/// A running gateway; its process ends with the value.
#[derive(Debug)]
pub struct Gateway {
    pub address: SocketAddr,
    /// When the process was started.
    pub started: Instant,
    child: Child,
    folder: TempDir,
    key: Option<String>,
}

impl Setup {
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub fn switch(mut self, name: &str) -> Self {
        self.flags.push(name.to_owned());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the state in `folder` instead of one that ends with the gateway; with an empty path, where the file says.
    pub fn state(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    /// Listens on this port instead of any.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// `mcpo ... -- command`, in place of a configuration file.
    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts it by a shell that first does this, such as `ulimit -n 64`, and then becomes the gateway.
    pub fn after(mut self, shell: &str) -> Self {
        self.shell = Some(shell.to_owned());
        self
    }

    /// Starts the process and waits until its port answers, which no server may delay.
    pub async fn start(self) -> Gateway {
        let folder = TempDir::with_prefix("mcpo-test-").unwrap();
        let port = self.port.unwrap_or_else(free_port);
        let mut child = self.spawn(folder.path(), port);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let started = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", log_of(folder.path()));
            }
            if started.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                panic!("the gateway opened no port within 20 s:\n{}", log_of(folder.path()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let key = self.flags.iter().position(|flag| flag == "--api-key").map(|at| self.flags[at + 1].clone());
        Gateway { address, started, child, folder, key }
    }

    /// Runs the process to its end, for what must not start; gives the exit code and what it wrote.
    pub async fn fail(self, port: u16) -> (Option<i32>, String) {
        let folder = TempDir::with_prefix("mcpo-test-").unwrap();
        let mut child = self.spawn(folder.path(), port);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                panic!("the gateway runs though it must not:\n{}", log_of(folder.path()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        (status.code(), log_of(folder.path()))
    }

    fn spawn(&self, folder: &Path, port: u16) -> Child {
        let original = original();
        let program = original.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_mcpo")));
        let mut command = match &self.shell {
            None => Command::new(program),
            Some(first) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{first}\nexec \"$0\" \"$@\"")).arg(program);
                command
            }
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPO_") || name == "LOG_LEVEL")
        {
            command.env_remove(name);
        }
        command.args(["--port", &port.to_string()]);
        let state = self.state.clone().unwrap_or(folder.join("state"));
        if original.is_none() && !state.as_os_str().is_empty() {
            command.arg("--state-dir").arg(state);
        }
        if let Some(config) = &self.config {
            let path = folder.join("config.json");
            std::fs::write(&path, serde_json::to_vec_pretty(config).unwrap()).unwrap();
            command.arg("--config").arg(path);
        }
        command.args(&self.flags);
        if !self.command.is_empty() {
            command.arg("--").args(&self.command);
        }
        command.current_dir(folder).envs(self.environment.iter().cloned());
        let log = File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }
}

impl Gateway {
    /// With this configuration file.
    pub fn with(config: Value) -> Setup {
        Setup { config: Some(config), ..Self::bare() }
    }

    /// With these servers.
    pub fn serving(servers: Value) -> Setup {
        Self::with(json!({ "mcpServers": servers }))
    }

    /// Without a configuration file.
    pub fn bare() -> Setup {
        Setup {
            config: None,
            flags: Vec::new(),
            environment: Vec::new(),
            state: None,
            port: None,
            command: Vec::new(),
            shell: None,
        }
    }

    /// A request without the key.
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self.address, method, path)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.keyed(self.ask("GET", path)).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.keyed(self.ask("POST", path)).json(body).send().await
    }

    /// The key that the gateway was started with, if any.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// `ask` with the key that the gateway was started with, if any.
    pub fn keyed(&self, ask: Ask) -> Ask {
        match &self.key {
            Some(key) => ask.header("Authorization", &format!("Bearer {key}")),
            None => ask,
        }
    }

    /// The entry of every server in `GET /servers`, by its name.
    pub async fn servers(&self) -> Vec<Value> {
        let answer = self.get("/servers").await.ok();
        let list = answer.get("servers").cloned().unwrap_or(answer);
        list.as_array().unwrap_or_else(|| panic!("/servers is no list: {list}")).clone()
    }

    pub async fn server(&self, name: &str) -> Value {
        let servers = self.servers().await;
        let found = servers.iter().find(|server| server["name"] == name);
        found.unwrap_or_else(|| panic!("no server {name} in /servers")).clone()
    }

    /// Waits until every named server is ready.
    pub async fn ready(&self, names: &[&str]) -> &Self {
        for name in names {
            if original().is_none() {
                self.in_state(name, "ready").await;
            }
        }
        self
    }

    /// Waits until the server is in the state; gives its entry.
    pub async fn in_state(&self, name: &str, state: &str) -> Value {
        let start = Instant::now();
        loop {
            let server = self.server(name).await;
            if server["state"] == state {
                return server;
            }
            assert!(
                start.elapsed() < READY_LIMIT,
                "{name} is not {state} within {READY_LIMIT:?}: {server}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every named server is ready and its tools are listed, which is a moment later.
    pub async fn listed(&self, names: &[&str]) -> &Self {
        self.ready(names).await;
        for name in names {
            until(READY_LIMIT, &format!("{name} has tools in /servers"), async || {
                (self.server(name).await["tools"] != json!([])).then_some(())
            })
            .await;
        }
        self
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The configuration file, if the gateway has one.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    /// Writes the configuration file anew, in one rename as editors do.
    pub fn rewrite(&self, text: &str) {
        let draft = self.folder.path().join("config.json.new");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, self.config_file()).unwrap();
    }

    /// What `/servers` says of the configuration.
    pub async fn configuration(&self) -> Value {
        self.get("/servers").await.ok()["configuration"].clone()
    }

    /// Asks for a reload with this file, and waits until its configuration is served.
    pub async fn reload(&self, config: &Value) {
        let before = self.configuration().await["revision"].clone();
        self.rewrite(&config.to_string());
        signal(&self.child, Signal::SIGHUP);
        until(Duration::from_secs(20), "the new configuration to be served", async || {
            (self.configuration().await["revision"] != before).then_some(())
        })
        .await;
    }

    /// Asks for a reload.
    pub fn hang_up(&self) {
        signal(&self.child, Signal::SIGHUP);
    }

    /// Everything that the process wrote until now.
    pub fn log(&self) -> String {
        log_of(self.folder.path())
    }

    /// Waits until the log holds the text.
    pub async fn logged(&self, text: &str) {
        until(Duration::from_secs(20), &format!("{text:?} in the log"), async || {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Sends the process a signal.
    pub fn signal(&self, number: Signal) {
        signal(&self.child, number);
    }

    /// Asks the process to stop and waits for its end.
    pub async fn stop(&mut self) -> ExitStatus {
        signal(&self.child, Signal::SIGTERM);
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "SIGTERM did not end it:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            eprintln!(
                "--- the gateway's log\n{}",
                log.chars().skip(log.chars().count().saturating_sub(8000)).collect::<String>()
            );
        }
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // Told first, so that it can end its own children; killed when it does not listen.
        signal(&self.child, Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(8) {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn signal(child: &Child, signal: Signal) {
    let _already_gone = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal);
}

fn log_of(folder: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(folder.join("log")).unwrap_or_default()).into_owned()
}
