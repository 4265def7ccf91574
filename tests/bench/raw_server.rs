//! A stdio MCP server written by hand, for big results: it answers from prebuilt bytes.
//!
//! A server that builds and serialises a megabyte for every call spends tens of milliseconds on it and hides what
//! the gateway adds. This one costs next to nothing, so that the rest is the gateway's. Tools as in the echo
//! server: `echo {message}` and `structured {rows}`. One thread, one call after the other.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(default)]
    params: Value,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut built: HashMap<u64, String> = HashMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let request: Request<'_> = serde_json::from_str(&line)?;
        let Some(id) = request.id else { continue };
        let small;
        let outcome = match (request.method, request.params["name"].as_str()) {
            ("tools/call", Some("structured")) => {
                let rows = request.params["arguments"]["rows"].as_u64().unwrap_or(10);
                built.entry(rows).or_insert_with(|| structured(rows))
            }
            (method, _) => {
                small = answer(method, &request.params);
                &small
            }
        };
        write!(output, "{{\"jsonrpc\":\"2.0\",\"id\":{id},")?;
        output.write_all(outcome.as_bytes())?;
        output.write_all(b"}\n")?;
        output.flush()?;
    }
}

/// The `result` or `error` member of the answer to everything small.
fn answer(method: &str, params: &Value) -> String {
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "raw-server", "version": "1" },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [
            tool("echo", "message", "string"),
            tool("structured", "rows", "integer"),
        ]}),
        "tools/call" => json!({
            "content": [{ "type": "text", "text": params["arguments"]["message"] }],
        }),
        _ => return r#""error":{"code":-32601,"message":"method not found"}"#.to_owned(),
    };
    format!("\"result\":{result}")
}

fn tool(name: &str, argument: &str, kind: &str) -> Value {
    json!({
        "name": name,
        "description": "Answers for the benchmark",
        "inputSchema": {
            "type": "object",
            "properties": { argument: { "type": kind } },
            "required": [argument],
        },
    })
}

/// Rows of mixed values, as a database server would answer: numbers, floats, text, nulls, nesting.
fn structured(rows: u64) -> String {
    let values: Vec<Value> = (0..rows)
        .map(|id| {
            json!({
                "id": id,
                "name": format!("row number {id}"),
                "score": id as f64 / 7.0,
                "active": id % 2 == 0,
                "note": null,
                "tags": ["alpha", "beta"],
            })
        })
        .collect();
    let result = json!({
        "content": [{ "type": "text", "text": format!("{rows} rows") }],
        "structuredContent": { "rows": values },
    });
    format!("\"result\":{result}")
}
