//! The Rust MCP server that the benchmark calls: over stdio, or over streamable HTTP with or without
//! Nagle's algorithm.
//!
//! Tools: `echo {message}` answers its message, `structured {rows}` answers that many rows of about 100
//! bytes as `structuredContent` with a one-line text, and with `--tools N` further copies of `echo` under the
//! names `tool_00002` and on, until there are N tools.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use clap::Parser;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::{Value, json};

/// An MCP echo server for measurements.
#[derive(Debug, Parser)]
struct Options {
    /// How many tools to offer; at least the two that always exist.
    #[arg(long, default_value_t = 2)]
    tools: usize,
    /// Serve streamable HTTP on this loopback port at /mcp, with sockets as `axum::serve` leaves them: Nagle on.
    #[arg(long)]
    http: Option<u16>,
    /// The same with TCP_NODELAY.
    #[arg(long, conflicts_with = "http")]
    http_nodelay: Option<u16>,
    /// Over HTTP: no sessions, and plain JSON answers instead of event streams.
    #[arg(long)]
    json: bool,
    /// Sleep this long before anything else, as a server that is slow to start.
    #[arg(long, default_value_t = 0)]
    start_delay_ms: u64,
}

/// One thread, as a small server would use: the benchmark is about the gateway before it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tokio::time::sleep(Duration::from_millis(options.start_delay_ms)).await;
    let server = EchoServer::new(options.tools);
    match (options.http, options.http_nodelay) {
        (None, None) => {
            let running = server.serve(rmcp::transport::stdio_pipes()).await?;
            running.waiting().await?;
        }
        (Some(port), _) => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
            axum::serve(listener, router(server, options.json)).await?;
        }
        (None, Some(port)) => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
            let listener = listener.tap_io(|stream| {
                // A socket that refuses the option still serves; the measurement would show it.
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router(server, options.json)).await?;
        }
    }
    Ok(())
}

fn router(server: EchoServer, json: bool) -> axum::Router {
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = !json;
    config.json_response = json;
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    axum::Router::new().nest_service("/mcp", service)
}

#[derive(Debug, Clone)]
struct EchoServer {
    tools: Arc<Vec<Tool>>,
}

impl EchoServer {
    fn new(count: usize) -> Self {
        let message = schema("message", "string", "The text to answer with");
        let rows = schema("rows", "integer", "How many rows of about 100 bytes to answer");
        let mut tools = vec![
            Tool::new("echo", "Answers its message", Arc::clone(&message)),
            Tool::new("structured", "Answers rows as structured content", rows),
        ];
        tools.extend((tools.len()..count).map(|number| {
            let name = format!("tool_{number:05}");
            Tool::new(name, "Answers its message, as echo does", Arc::clone(&message))
        }));
        Self { tools: Arc::new(tools) }
    }
}

impl ServerHandler for EchoServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let argument = |name: &str| request.arguments.as_ref().and_then(|map| map.get(name));
        if request.name == "structured" {
            let rows = argument("rows").and_then(Value::as_u64).unwrap_or(10);
            return Ok(structured(rows).into());
        }
        match argument("message") {
            Some(Value::String(message)) => {
                let text = ContentBlock::text(message.clone());
                Ok(CallToolResult::success(vec![text]).into())
            }
            _ => Err(ErrorData::invalid_params("message must be a string", None)),
        }
    }
}

/// Rows of mixed values, as a database server would answer: numbers, floats, text, nulls, nesting.
fn structured(rows: u64) -> CallToolResult {
    let rows: Vec<Value> = (0..rows)
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
    let text = ContentBlock::text(format!("{} rows", rows.len()));
    let mut result = CallToolResult::success(vec![text]);
    result.structured_content = Some(json!({ "rows": rows }));
    result
}

fn schema(name: &str, kind: &str, description: &str) -> Arc<JsonObject> {
    let schema = json!({
        "type": "object",
        "properties": { name: { "type": kind, "description": description } },
        "required": [name],
    });
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => unreachable!("the literal above is an object"),
    }
}
