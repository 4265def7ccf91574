//! An axum handler that answers every call with one constant: the floor for what a small call may cost.
//!
//! It reads the request's body as the gateway does and sends an answer of the same size, with as many headers. It has the
//! gateway's HTTP library and its kind of runtime, and none of its work: no key, no checks, no server behind it.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::{CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::routing::{get, post};
use bytes::Bytes;
use clap::Parser;

/// An HTTP server with one constant answer.
#[derive(Debug, Parser)]
struct Options {
    /// The loopback port to serve on.
    #[arg(long)]
    port: u16,
    /// The body of every answer, JSON.
    #[arg(long)]
    answer: String,
    /// The time that each answer occupies its core besides, in nanoseconds.
    #[arg(long, default_value_t = 0)]
    work: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let answer = Bytes::from(options.answer);
    let work = Duration::from_nanos(options.work);
    let handler = post(move |_body: Bytes| {
        let start = Instant::now();
        while start.elapsed() < work {
            std::hint::spin_loop();
        }
        let head = [
            (CONTENT_TYPE, "application/json"),
            (HeaderName::from_static("x-request-id"), "00000000-1"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let answer = answer.clone();
        async move { (head, answer) }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port)).await?;
    // A balancer before it asks whether it is there.
    let router = Router::new().route("/{server}/{tool}", handler).route("/ready", get(async || ()));
    axum::serve(listener, router).await?;
    Ok(())
}
