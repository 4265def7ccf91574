//! An axum handler that answers every call with one constant: the floor for what a small call may cost.
//!
//! It reads the request's body as the gateway does and sends an answer of the same size. It has the gateway's HTTP
//! library and its kind of runtime, and none of its work: no key, no checks, no server behind it.

use std::error::Error;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
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
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let answer = Bytes::from(options.answer);
    let handler = post(move |_body: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port)).await?;
    // A balancer before it asks whether it is there.
    let router = Router::new().route("/{server}/{tool}", handler).route("/ready", get(async || ()));
    axum::serve(listener, router).await?;
    Ok(())
}
