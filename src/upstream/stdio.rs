//! The transports that speak lines: a child process (stdio) and a Unix socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::era_cache::EraCache;
use super::error::{EndReason, LinkError};
use super::intake::Bounds;
use super::lines::{self, Connection, Lines};
use super::link::{End, Link, Opened, Outgoing};
use super::message::Reply;
use super::messages::Receiver;
use super::process::Process;
use super::progress::Progress;
use super::request::Request;
use super::stderr::{StderrRate, StderrTail};
use crate::config::{ServerName, SocketConfig, StdioConfig};

/// A process that ends closes its output at the same moment; how long either may lag behind.
const EXIT_FOLLOWS: Duration = Duration::from_millis(100);

/// A connection by lines, with the task that serves it and, for stdio, the process behind it.
struct Served {
    lines: Lines,
    /// Joined by `close`, so that no process outlives its connection.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Starts the command and connects to its pipes; `rate` is that of its stderr in the log.
pub async fn open(
    server: &ServerName,
    config: &StdioConfig,
    rate: Arc<StderrRate>,
    bounds: &Bounds,
) -> Result<(Opened, StderrTail), EndReason> {
    let (process, pipes) = Process::spawn(server, config, rate).await?;
    let tail = process.tail();
    let (lines, connection, inbox) = lines::connect(server, pipes.stdout, pipes.stdin, bounds);
    let task = tokio::spawn(serve_process(server.clone(), connection, process, lines.end_handle()));
    Ok((opened(lines, task, inbox), tail))
}

async fn serve_process(
    server: ServerName,
    mut connection: Connection<ChildStdout, ChildStdin>,
    process: Process,
    end: Arc<End>,
) {
    tokio::select! {
        outcome = connection.serve() => {
            if let Err(error) = outcome {
                tracing::debug!(mcp_server = %server, %error, "{server}: its output cannot be read");
            }
        }
        () = process.exited() => {
            // Its last answers may still be in the pipe; a process that it left behind may hold it open.
            let _pipe_is_held_open = timeout(EXIT_FOLLOWS, connection.serve()).await;
        }
        () = end.token().cancelled() => {
            let _does_not_read = timeout(EXIT_FOLLOWS, connection.write_last()).await;
        }
    }
    connection.close_writer();
    if timeout(EXIT_FOLLOWS, process.exited()).await.is_err() {
        // It lives on without an output: callers need not wait until it is made to end.
        let reason = EndReason::OutputClosed { stderr: process.tail().lines() };
        end.set(reason.or_words(connection.first_stray().words()));
        connection.fail_open_requests();
    }
    end.set(process.end().await.or_words(connection.first_stray().words()));
    connection.fail_open_requests();
}

/// What a server wrote last, for the reason of a try that failed: the lines of its stderr, after the first of what stands
/// among its messages and is none.
pub fn last_words(link: &dyn Link, tail: Option<&StderrTail>) -> Arc<[String]> {
    let lines = tail.map(StderrTail::lines).unwrap_or_default();
    match link.stray_words() {
        Some(stray) => std::iter::once(stray).chain(lines.iter().cloned()).collect(),
        None => lines,
    }
}

/// Connects to a Unix socket that speaks the framing of stdio.
pub async fn open_socket(
    server: &ServerName,
    config: &SocketConfig,
    bounds: &Bounds,
) -> Result<Opened, EndReason> {
    let address = config.path.display().to_string();
    let stream = UnixStream::connect(&config.path)
        .await
        .map_err(|error| EndReason::Connect { address, error: error.to_string() })?;
    let (reader, writer) = stream.into_split();
    let (lines, connection, inbox) = lines::connect(server, reader, writer, bounds);
    let end = lines.end_handle();
    let task = tokio::spawn(async move {
        let mut connection = connection;
        tokio::select! {
            outcome = connection.serve() => end.set(match outcome {
                Ok(()) => EndReason::Broken("the server closed the socket".into()),
                Err(error) => EndReason::Broken(error.to_string()),
            }),
            () = end.token().cancelled() => {}
        }
        connection.fail_open_requests();
    });
    Ok(opened(lines, task, inbox))
}

fn opened(lines: Lines, task: JoinHandle<()>, inbox: Receiver) -> Opened {
    Opened { link: Arc::new(Served { lines, task: Mutex::new(Some(task)) }), inbox }
}

impl Link for Served {
    fn send(&self, message: Outgoing) -> BoxFuture<'static, Result<(), LinkError>> {
        self.lines.send(message)
    }

    fn tell(&self, answer: Bytes) {
        self.lines.tell(answer);
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, LinkError>> {
        self.lines.request(request, progress)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.lines.end().set(EndReason::Stopping);
            if let Some(task) = self.task.lock().await.take()
                && let Err(error) = task.await
            {
                tracing::error!(%error, "the task of a connection failed");
            }
        })
    }

    fn end(&self) -> &End {
        self.lines.end()
    }

    fn era(&self) -> &EraCache {
        self.lines.era()
    }

    fn stray_words(&self) -> Option<String> {
        self.lines.stray_words()
    }
}
