//! A server as a child process: started in a group of its own, its stderr logged, and ended with everything that it
//! started. `local` ends it ([`Process::end`]) when its connection is closed; `launch` makes it end with a killed gateway.

pub mod caller_directories;
pub mod launch;
pub mod stderr;

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::config::{ServerName, StdioConfig};
use crate::upstream::error::CloseReason;
use crate::upstream::transport::child::stderr::{StderrRate, StderrTail};

/// How long a process may take to end after its input was closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Room in the pipe from the child, in bytes. A megabyte is the most that an unprivileged process may ask for; but the
/// kernel spins for the pipe while the server fills it, so that more room costs more time than it saves turns.
const PIPE_SIZE: usize = 512 << 10;

/// A running child.
#[derive(Debug)]
pub struct Process {
    server: ServerName,
    /// The program, as it was configured.
    command: String,
    child: Child,
    group: Pid,
    /// Readable once the child has exited; until it is reaped its id, and so its group's, stays taken.
    exit: AsyncFd<OwnedFd>,
    stderr: tokio::task::JoinHandle<()>,
    tail: StderrTail,
}

impl Process {
    /// Starts the command of `config` with a cleared environment plus what it was given.
    ///
    /// It ends with this process, see [`launch`]. Its stderr is logged at `rate`. Returns its output and its input, too.
    pub async fn spawn(
        server: &ServerName,
        config: &StdioConfig,
        rate: Arc<StderrRate>,
    ) -> Result<(Self, (ChildStdout, ChildStdin)), CloseReason> {
        let command = launch::command(&config.command, &config.args, config.cwd.as_deref());
        let mut process = Self::start(server, config, command, rate, Stdio::piped(), Stdio::piped()).await?;
        let stdin = process.child.stdin.take().expect("stdin is piped");
        let stdout = process.child.stdout.take().expect("stdout is piped");
        // A megabyte of result then takes a few turns of the two processes instead of dozens. Where the
        // system has no more such memory to give, the usual pipe does.
        let _usual_size = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_SIZE);
        Ok((process, (stdout, stdin)))
    }

    /// As [`Process::spawn`], with the command's input and output connected to `stream`.
    pub async fn spawn_on(
        server: &ServerName,
        config: &StdioConfig,
        rate: Arc<StderrRate>,
        stream: OwnedFd,
    ) -> Result<Self, CloseReason> {
        let input = stream.try_clone().map_err(|error| CloseReason::Broken(error.to_string()))?;
        let command = launch::command(&config.command, &config.args, config.cwd.as_deref());
        Self::start(server, config, command, rate, Stdio::from(input), Stdio::from(stream)).await
    }

    async fn start(
        server: &ServerName,
        config: &StdioConfig,
        mut command: Command,
        rate: Arc<StderrRate>,
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<Self, CloseReason> {
        let environment = config.environment().await;
        let environment = environment.map_err(|error| CloseReason::Secret(error.to_string()))?;
        let failed = |error: std::io::Error| CloseReason::Spawn {
            command: config.command.clone(),
            error: match config.cwd.as_deref().filter(|directory| !directory.is_dir()) {
                Some(directory) => launch::explain_directory(directory, error),
                None => launch::explain(&config.command, &error),
            },
        };
        command.env_clear().envs(environment);
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = launch::start(command).await.map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = group.expect("a child that was not waited for has an id");
        let exit = rustix::process::pidfd_open(group, PidfdFlags::NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(watch)
            .map_err(failed)?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let tail = StderrTail::default();
        let stderr = tokio::spawn(stderr::log(server.clone(), stderr, rate, tail.clone()));
        Ok(Self { server: server.clone(), command: config.command.clone(), child, group, exit, stderr, tail })
    }

    pub fn tail(&self) -> StderrTail {
        self.tail.clone()
    }

    /// Waits until the child itself has exited; it is not reaped yet, so its group can be signalled.
    pub async fn exited(&self) {
        if let Err(error) = self.exit.readable().await.map(|mut ready| ready.retain_ready()) {
            let server = &self.server;
            tracing::debug!(mcp_server = %server, %error, "{server}: its exit cannot be watched");
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process and everything in its group. Its input must be closed already: the process is
    /// given time to end by itself, then SIGTERM, then SIGKILL.
    pub async fn end(mut self) -> CloseReason {
        if timeout(GRACE, self.exited()).await.is_err() {
            self.signal(Signal::TERM);
            if timeout(GRACE, self.exited()).await.is_err() {
                self.signal(Signal::KILL);
                self.exited().await;
            }
        }
        // The child is a zombie now, so the group's id is still its own: the rest of the group (started by `npx` or a
        // shell) is killed.
        self.signal(Signal::KILL);
        let peeked = rustix::process::waitid(
            WaitId::Pid(self.group),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
        );
        tracing::trace!(mcp_server = %self.server, ?peeked, "{}: its process ended", self.server);
        let (code, status) = match self.child.wait().await {
            Ok(status) => (status.code(), describe(status)),
            Err(error) => (None, format!("ended, and its status cannot be read: {error}")),
        };
        // A process that left the group may hold stderr open; its lines are not worth waiting for.
        if timeout(Duration::from_millis(200), &mut self.stderr).await.is_err() {
            self.stderr.abort();
        }
        let stderr = self.tail.lines();
        match launch::failure(code, &stderr) {
            Some(error) => CloseReason::Spawn { command: self.command, error: error.to_owned() },
            None => CloseReason::Exited { status, stderr },
        }
    }

    fn signal(&self, signal: Signal) {
        match rustix::process::kill_process_group(self.group, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                let (server, group) = (&self.server, self.group.as_raw_nonzero());
                tracing::warn!(mcp_server = %server, %error, group, "{server}: its processes cannot be signalled")
            }
        }
    }
}

#[expect(deprecated, reason = "its successor is `unsafe`, and an owned descriptor meets its conditions")]
fn watch(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
