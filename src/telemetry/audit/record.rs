//! One record of the trail, and its line.

use serde::Serialize;

use crate::telemetry::clock;
use crate::telemetry::text::visible_json;

/// One call.
#[derive(Debug, Serialize)]
pub struct AuditRecord<'a> {
    pub request_id: &'a str,
    pub api_key_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    pub peer: Option<String>,
    pub trace_id: Option<&'a str>,
    pub mcp_server: &'a str,
    pub mcp_tool: &'a str,
    pub outcome: &'static str,
    /// Why the call failed or was refused, as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    pub duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<&'a str>,
    /// The size of the server's result; `None` without one.
    pub result_bytes: Option<usize>,
}

/// A line of the trail.
#[derive(Serialize)]
struct TrailLine<T> {
    time: String,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
pub(super) struct Loss {
    pub event: &'static str,
    pub records: u64,
}

/// A record or a loss as one line of JSON.
pub(super) fn line(what: impl Serialize) -> Box<[u8]> {
    let line = serde_json::to_string(&TrailLine { time: clock::now().to_string(), what })
        .expect("texts and numbers are always written");
    let mut line = visible_json(&line).into_owned();
    line.push('\n');
    line.into_bytes().into()
}
