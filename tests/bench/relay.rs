//! A relay that does nothing but move bytes: the floor for what a big result may cost.
//!
//! For every HTTP request on a kept connection it writes one fixed `tools/call` to a stdio server and sends the
//! server's line back as the body, unread. It shares the gateway's runtime and its kinds of system calls, and
//! none of its work: no parsing, no checks, no routing. One call at a time.

use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;

use clap::Parser;
use memchr::memmem;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A plain byte relay before one stdio server.
#[derive(Debug, Parser)]
struct Options {
    /// The loopback port to serve on.
    #[arg(long)]
    port: u16,
    /// The tool that every request calls.
    #[arg(long)]
    tool: String,
    /// Its arguments, a JSON object.
    #[arg(long)]
    arguments: String,
    /// The server's command and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Debug)]
struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
}

/// The runtime that the gateway has, so that both pay the same for waking up.
#[tokio::main]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    let (program, arguments) = options.command.split_first().ok_or("no server command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut pipes = Pipes {
        input: child.stdin.take().ok_or("the child has no input pipe")?,
        output: BufReader::with_capacity(
            64 * 1024,
            child.stdout.take().ok_or("the child has no output pipe")?,
        ),
        line: Vec::new(),
    };
    pipes.exchange(br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench-relay","version":"1"}}}
"#).await?;
    pipes.input.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").await?;

    let call: Arc<str> = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"{}\",\"arguments\":{}}}}}\n",
        options.tool, options.arguments
    )
    .into();
    let pipes = Arc::new(Mutex::new(pipes));
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (pipes, call) = (Arc::clone(&pipes), Arc::clone(&call));
        tokio::spawn(async move {
            // A connection that fails is over; the load counts what it missed.
            let _ = serve(stream, &pipes, call.as_bytes()).await;
        });
    }
}

impl Pipes {
    async fn exchange(&mut self, message: &[u8]) -> Outcome<&[u8]> {
        self.input.write_all(message).await?;
        self.line.clear();
        match self.output.read_until(b'\n', &mut self.line).await? {
            0 => Err("the server closed its output".into()),
            _ => Ok(&self.line),
        }
    }
}

async fn serve(mut stream: TcpStream, pipes: &Mutex<Pipes>, call: &[u8]) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    loop {
        let whole = loop {
            if let Some(end) = memmem::find(&received, b"\r\n\r\n") {
                break end + 4 + content_length(&received[..end])?;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        while received.len() < whole {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        received.drain(..whole);
        let mut pipes = pipes.lock().await;
        let line = pipes.exchange(call).await?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(line).await?;
    }
}

fn content_length(head: &[u8]) -> Outcome<usize> {
    let head = std::str::from_utf8(head)?;
    let length = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or("0", |(_, value)| value.trim());
    Ok(length.parse()?)
}
