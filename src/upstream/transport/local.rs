//! The transports on this machine, which both speak lines: a child process (stdio) and a Unix socket.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::config::{ServerName, SocketConfig, StdioConfig};
use crate::upstream::caller_notice;
use crate::upstream::connection::{CloseSignal, Connection, Opened};
use crate::upstream::error::CloseReason;
use crate::upstream::transport::child::stderr::{StderrRate, StderrTail};
use crate::upstream::transport::child::{Process, caller_directories};
use crate::upstream::transport::intake::MessageBounds;
use crate::upstream::transport::ndjson;
use crate::upstream::transport::ndjson::driver::LineDriver;

/// A process that ends closes its output at the same moment; how long either may lag behind.
const EXIT_FOLLOWS: Duration = Duration::from_millis(100);

/// Starts the command and connects to its pipes.
///
/// An isolated server is started for `caller`; `rate` is that of its stderr in the log.
pub async fn open_process(
    server: &ServerName,
    config: &StdioConfig,
    caller: Option<&str>,
    rate: Arc<StderrRate>,
    bounds: &MessageBounds,
) -> Result<(Opened, StderrTail), CloseReason> {
    let config = match caller {
        Some(caller) => Cow::Owned(caller_directories::command_for(config, caller).await?),
        None => Cow::Borrowed(config),
    };
    let (process, pipes) = Process::spawn(server, &config, rate).await?;
    let tail = process.tail();
    let serve = |driver, end| serve_process(server.clone(), driver, process, end);
    Ok((ndjson::open(server, pipes, bounds, serve), tail))
}

async fn serve_process(
    server: ServerName,
    mut driver: LineDriver<ChildStdout, ChildStdin>,
    process: Process,
    end: Arc<CloseSignal>,
) {
    tokio::select! {
        outcome = driver.serve() => {
            if let Err(error) = outcome {
                tracing::debug!(mcp_server = %server, %error, "{server}: its output cannot be read");
            }
        }
        () = process.exited() => {
            // Its last answers may still be in the pipe; a process that it left behind may hold it open.
            let _pipe_is_held_open = timeout(EXIT_FOLLOWS, driver.serve()).await;
        }
        () = end.token().cancelled() => {
            let _does_not_read = timeout(EXIT_FOLLOWS, driver.write_last()).await;
        }
    }
    driver.close_writer();
    if timeout(EXIT_FOLLOWS, process.exited()).await.is_err() {
        // It lives on without an output: callers need not wait until it is made to end.
        let reason = CloseReason::OutputClosed { stderr: process.tail().lines() };
        end.set(reason.or_words(driver.first_malformed().get().cloned()));
        driver.fail_open_requests();
    }
    end.set(process.end().await.or_words(driver.first_malformed().get().cloned()));
    driver.fail_open_requests();
}

/// The last words of a server, for the reason of a failed try. The first line of its output that was not a message,
/// then its last stderr lines.
pub fn last_words(connection: &dyn Connection, tail: Option<&StderrTail>) -> Arc<[String]> {
    let lines = tail.map(StderrTail::lines).unwrap_or_default();
    match connection.first_malformed_line() {
        Some(line) => std::iter::once(line).chain(lines.iter().cloned()).collect(),
        None => lines,
    }
}

/// Connects to a Unix socket that speaks the framing of stdio.
///
/// The first line names the `caller` of an isolated server.
pub async fn open_socket(
    server: &ServerName,
    config: &SocketConfig,
    caller: Option<&str>,
    bounds: &MessageBounds,
) -> Result<Opened, CloseReason> {
    let address = config.path.display().to_string();
    let failed = |error: io::Error| CloseReason::Connect { address, error: error.to_string() };
    let connecting = async {
        let mut stream = UnixStream::connect(&config.path).await?;
        if let Some(caller) = caller {
            stream.write_all(caller_notice::encode(caller).as_bytes()).await?;
        }
        Ok(stream)
    };
    let stream = connecting.await.map_err(failed)?;
    let serve = |mut driver: LineDriver<_, _>, end: Arc<CloseSignal>| async move {
        tokio::select! {
            outcome = driver.serve() => end.set(match outcome {
                Ok(()) => CloseReason::Broken("the server closed the socket".into()),
                Err(error) => CloseReason::Broken(error.to_string()),
            }),
            () = end.token().cancelled() => {}
        }
        driver.fail_open_requests();
    };
    Ok(ndjson::open(server, stream.into_split(), bounds, serve))
}
