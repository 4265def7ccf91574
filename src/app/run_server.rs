//! `mcpo run-server`: one stdio server behind a socket that a service manager has accepted for it.
//!
//! The socket is our input and becomes the server's input and output, so no message passes through here. This
//! process gives the server the secrets that its unit was given, logs its stderr, ends it with everything that
//! it started when the gateway closes the socket, and says last how it ended ([`ExitNotice`]), and which limit of
//! its unit did it, if one did.

mod control_group;
mod isolation;

use std::borrow::Cow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::config::{ServerName, StdioConfig, defaults};
use crate::shutdown::{Shutdown, Signals};
use crate::upstream::exit_notice::ExitNotice;
use crate::upstream::transport::child::stderr::StderrRate;
use crate::upstream::transport::child::{Process, caller_directories};
use crate::upstream::{CloseReason, caller_notice};
use control_group::ControlGroup;
pub use isolation::Isolation;

/// How long the exit notice may take: a gateway that does not read must not keep the unit.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the name of the caller may take, which the gateway sends at once.
const CALLER_TIMEOUT: Duration = Duration::from_secs(10);

/// The server to run, and the isolation it needs.
#[derive(Debug)]
pub struct Assignment {
    /// For the log.
    pub name: ServerName,
    pub command: StdioConfig,
    /// Files of secrets that the server reads itself; each must be there.
    pub secret_files: Vec<PathBuf>,
    /// The gateway names the caller first, whom the command is for.
    pub is_for_one_caller: bool,
    pub isolation: Isolation,
}

/// Runs the server until it ends or the socket is closed. `false` when it was not started or did not end well.
pub async fn run(assignment: Assignment) -> bool {
    let name = &assignment.name;
    let socket = match own_socket() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(mcp_server = %name, "{name}: the standard input is no connected Unix socket ({error}); `mcpo run-server` stands in a unit with `StandardInput=socket`, behind a socket unit with `Accept=yes`");
            return false;
        }
    };
    let group = ControlGroup::own();
    let mut notice = match serve(&assignment, &socket, &group).await {
        Ok(reason) => ExitNotice::from(reason),
        Err(refusal) => ExitNotice::Refused(refusal),
    };
    let well = matches!(&notice, ExitNotice::Ended { status, .. } if status == "exited with status 0");
    if let ExitNotice::Ended { status, .. } = &mut notice {
        *status = group.explain(status);
    }
    match &notice {
        ExitNotice::Refused(reason) => tracing::error!(mcp_server = %name, "{name} is not started: {reason}"),
        ExitNotice::Ended { status, .. } => {
            tracing::info!(mcp_server = %name, "{name}: the process {status}")
        }
    }
    if let Err(error) = say(&socket, &notice) {
        tracing::debug!(mcp_server = %name, %error, "the gateway could not be told how the server ended");
    }
    well
}

/// The connection on our standard input, as a descriptor that outlives it.
fn own_socket() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    // Fails for anything but a connected socket.
    rustix::net::getpeername(&socket)?;
    Ok(socket)
}

async fn serve(
    assignment: &Assignment,
    socket: &OwnedFd,
    group: &ControlGroup,
) -> Result<CloseReason, String> {
    let Assignment { name, command, secret_files, is_for_one_caller, isolation } = assignment;
    isolation.check(socket).map_err(|missing| missing.to_string())?;
    secret_files.iter().try_for_each(|file| holds_a_secret(file))?;
    let copy = || socket.try_clone().map_err(|error| error.to_string());
    let signals = Signals::catch().map_err(|error| format!("signals cannot be caught: {error}"))?;
    let rate = Arc::new(StderrRate::new(defaults::STDERR_LINES));
    let hung_up = hang_up(copy()?).map_err(|error| format!("the socket cannot be watched: {error}"))?;
    let shutdown = Shutdown::new();
    let signalled = tokio::spawn(signals.forward(shutdown.clone(), Arc::new(Notify::new())));
    // Files of secrets may take their time, and the end does not wait for them.
    let socket = copy()?;
    let starting = async {
        let mut command = Cow::Borrowed(command);
        if *is_for_one_caller {
            let caller = named_caller(&socket).await?;
            command = Cow::Owned(
                caller_directories::command_for(&command, &caller).await.map_err(|error| explain(&error))?,
            );
        }
        Process::spawn_on(name, &command, rate, socket).await.map_err(|error| explain(&error))
    };
    let starting = shutdown.token().run_until_cancelled(starting);
    let Some(started) = starting.await else {
        return Err("it was told to end before it was started".to_owned());
    };
    let process = started?;
    tokio::select! {
        () = process.exited() => {}
        _ = hung_up.wait() => tracing::debug!(mcp_server = %name, "the gateway closed the connection"),
        () = shutdown.requested() => {}
        () = group.tell_of_refused_processes(name) => {}
    }
    let reason = process.end().await;
    signalled.abort();
    Ok(reason)
}

/// The caller that the gateway names in its first message, which is taken off the socket and nothing behind it.
async fn named_caller(socket: &OwnedFd) -> Result<String, String> {
    let unread = |error: &dyn std::fmt::Display| format!("the caller cannot be read: {error}");
    set_socket_timeout(socket, Timeout::Recv, Some(CALLER_TIMEOUT)).map_err(|error| unread(&error))?;
    let socket = socket.try_clone().map_err(|error| unread(&error))?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = Vec::new();
        let mut byte = [0_u8];
        while line.len() < caller_notice::LONGEST && !line.ends_with(b"\n") {
            // A byte at a time: what follows is for the server.
            if rustix::net::recv(&socket, &mut byte, rustix::net::RecvFlags::empty())?.0 == 0 {
                break;
            }
            line.push(byte[0]);
        }
        set_socket_timeout(&socket, Timeout::Recv, None)?;
        Ok::<_, rustix::io::Errno>(line)
    });
    let line = reading.await.map_err(|error| unread(&error))?.map_err(|error| unread(&error))?;
    let caller = caller_notice::parse(&line).map(str::to_owned);
    caller.ok_or_else(|| {
        "the gateway does not say for which caller it is; `isolation` of its entry and `--isolated` of this unit go \
         together"
            .to_owned()
    })
}

/// A descriptor that becomes ready when the other end is closed, and not with every message: those are read by
/// the server itself.
#[expect(deprecated, reason = "its successor is `unsafe`, and an owned descriptor meets its conditions")]
fn hang_up(socket: OwnedFd) -> std::io::Result<HangUp> {
    AsyncFd::with_interest(socket, Interest::PRIORITY).map(HangUp)
}

struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    async fn wait(&self) {
        loop {
            match self.0.ready(Interest::PRIORITY).await {
                Ok(ready) if ready.ready().is_read_closed() => return,
                Ok(mut ready) => ready.clear_ready(),
                Err(error) => {
                    tracing::error!(%error, "the socket cannot be watched; the server ends with its unit");
                    return std::future::pending().await;
                }
            }
        }
    }
}

fn explain(error: &CloseReason) -> String {
    match error {
        CloseReason::Secret(_) => format!("{error}; {CREDENTIALS}"),
        other => other.to_string(),
    }
}

const CREDENTIALS: &str = "the unit must hold it as `LoadCredential=`. Where a drop-in takes credentials away from \
    units (as in containers of Incus and LXC), set `security.nesting=true` on the container, and mask the drop-in \
    for this unit";

/// Units put a blank in the place of a credential that is missing, so that the server can be told from the others.
fn holds_a_secret(file: &Path) -> Result<(), String> {
    let refused = |reason: &str| format!("the secret file {} {reason}; {CREDENTIALS}", file.display());
    let content = std::fs::read(file).map_err(|error| refused(&format!("cannot be read: {error}")))?;
    if content.trim_ascii().is_empty() { Err(refused("is empty")) } else { Ok(()) }
}

fn say(socket: &OwnedFd, notice: &ExitNotice) -> rustix::io::Result<()> {
    set_socket_timeout(socket, Timeout::Send, Some(NOTICE_TIMEOUT))?;
    let message = notice.encode();
    let mut rest = message.as_slice();
    while !rest.is_empty() {
        let sent = rustix::net::send(socket, rest, rustix::net::SendFlags::NOSIGNAL)?;
        rest = &rest[sent..];
    }
    Ok(())
}
