//! HTTP load on kept connections that checks every answer's status and body.
//!
//! `bench-load --url U --body B --expect TEXT` posts the same body again and again on every connection; with
//! `--mcp-tool T` the URL is an MCP streamable HTTP endpoint instead and the body is the tool's arguments: each
//! connection opens a session of its own and ends it, or, with `--mcp-stateless`, each call declares itself
//! (revision 2026-07-28). Prints one JSON object.

use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::Parser;
use memchr::memmem;
use url::Url;

#[path = "http_client.rs"]
mod http_client;
#[path = "mcp_calls.rs"]
mod mcp_calls;
#[path = "samples.rs"]
mod samples;

use http_client::{Connection, Outcome};
use mcp_calls::Caller;
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
    /// Speak MCP without sessions: revision 2026-07-28, declared in each call's `_meta` and headers.
    #[arg(long, requires = "mcp_tool")]
    mcp_stateless: bool,
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
    let mut caller = match &options.mcp_tool {
        Some(tool) => Some(Caller::open(options, tool, &mut connection).await?),
        None => None,
    };
    let expected = memmem::Finder::new(&options.expect);
    let fixed = request(options, "POST", "", &options.body);
    loop {
        let next = caller.as_mut().map_or(&*fixed, Caller::next_call);
        let sent = Instant::now();
        let answer = connection.exchange(next).await?;
        let is_good = answer.status == 200
            && expected.find(answer.body).is_some()
            && caller.as_ref().is_none_or(|caller| caller.is_result(answer.body));
        if is_good {
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
    if let Some(caller) = caller {
        caller.close(options, &mut connection).await?;
    }
    Ok(())
}

/// A whole request; `more` holds further headers, each with its line's end.
fn request(options: &Options, method: &str, more: &str, body: &str) -> Vec<u8> {
    let url = &options.url;
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{more}",
        url.path(),
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default(),
        body.len(),
    );
    for header in &options.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}
