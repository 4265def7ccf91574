//! HTTP load on kept connections that checks every answer's status and body.
//!
//! `bench-load --url U --body B --expect TEXT` posts the same body again and again on every connection; with
//! `--mcp-tool T` the URL is an MCP streamable HTTP endpoint instead: each connection opens a session of its own
//! and the body is the tool's arguments. Prints one JSON object.

use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::Parser;
use memchr::memmem;
use url::Url;

#[path = "http_client.rs"]
mod http_client;
#[path = "samples.rs"]
mod samples;

use http_client::{Connection, Outcome};
use samples::Samples;

/// How long an answer may be missing after the end of the measurement before that is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// HTTP load with checked answers.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The address, `http://` only.
    #[arg(long)]
    url: Url,
    /// The body of every request.
    #[arg(long)]
    body: String,
    /// What every answer's body must contain; its status must be 200.
    #[arg(long)]
    expect: String,
    /// Kept connections, each with one call in flight.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Further headers, as `Name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Speak MCP: initialise a session, then call this tool.
    #[arg(long)]
    mcp_tool: Option<String>,
    /// Wait this long between the calls of a connection.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    let start = Instant::now();
    let until = start + Duration::from_secs_f64(options.seconds);
    let tasks: Vec<_> =
        (0..options.connections).map(|_| tokio::spawn(drive(options.clone(), until))).collect();
    let mut samples = Vec::new();
    for task in tasks {
        samples.push(task.await?);
    }
    let report = Samples::report(samples, start.elapsed());
    Ok(writeln!(std::io::stdout(), "{report}")?)
}

/// One connection's calls until the end; a failed one is counted and the connection opened anew.
async fn drive(options: Options, until: Instant) -> Samples {
    let mut samples = Samples::default();
    let end = tokio::time::Instant::from_std(until + PATIENCE);
    let calls = async {
        while Instant::now() < until {
            if let Err(error) = calls(&options, until, &mut samples).await {
                samples.bad(error);
                // So that a server that is down is asked, not hammered.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    if tokio::time::timeout_at(end, calls).await.is_err() {
        samples.bad("an answer was missing 10 s after the end of the measurement");
    }
    samples
}

async fn calls(options: &Options, until: Instant, samples: &mut Samples) -> Outcome<()> {
    let authority = options.url.socket_addrs(|| None)?;
    let authority = authority.first().ok_or("the URL names no address")?;
    let mut connection = Connection::open(&authority.to_string()).await?;
    let session = match &options.mcp_tool {
        Some(_) => Some(open_session(options, &mut connection).await?),
        None => None,
    };
    let expected = memmem::Finder::new(&options.expect);
    let fixed = request(options, session.as_deref(), &options.body);
    for id in 1_u64.. {
        let numbered = options.mcp_tool.as_ref().map(|tool| {
            let arguments = &options.body;
            let body = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}}}}}"
            );
            request(options, session.as_deref(), &body)
        });
        let sent = Instant::now();
        let answer = connection.exchange(numbered.as_deref().unwrap_or(&fixed)).await?;
        if answer.status == 200 && expected.find(answer.body).is_some() {
            samples.good(sent.elapsed());
        } else {
            let body = String::from_utf8_lossy(answer.body);
            samples.bad(format_args!("status {}: {body}", answer.status));
        }
        // Asked after the call: on a crowded machine the time may be over before the first one.
        if Instant::now() >= until {
            break;
        }
        if options.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(options.pause_ms)).await;
        }
    }
    Ok(())
}

/// The handshake of MCP; a server without sessions gives an empty id.
async fn open_session(options: &Options, connection: &mut Connection) -> Outcome<String> {
    const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench-load","version":"1"}}}"#;
    const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = connection.exchange(&request(options, None, HELLO)).await?;
    if answer.status != 200 {
        return Err(format!("initialize was answered with status {}", answer.status).into());
    }
    let session = answer.session.unwrap_or_default();
    connection.exchange(&request(options, Some(&session), READY)).await?;
    Ok(session)
}

fn request(options: &Options, session: Option<&str>, body: &str) -> Vec<u8> {
    let url = &options.url;
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        url.path(),
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default(),
        body.len(),
    );
    if options.mcp_tool.is_some() {
        head.push_str("Accept: application/json, text/event-stream\r\n");
    }
    if let Some(session) = session.filter(|session| !session.is_empty()) {
        head.push_str(&format!("Mcp-Session-Id: {session}\r\nMcp-Protocol-Version: 2025-06-18\r\n"));
    }
    for header in &options.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}
