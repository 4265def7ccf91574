//! The calls of an MCP client over one kept connection, in either era of the protocol.

use std::ops::Range;

use memchr::memmem;

use super::http_client::{Connection, Outcome};
use super::{Options, request};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench-load","version":"1"}}}"#;
const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const ACCEPT: &str = "Accept: application/json, text/event-stream\r\n";
/// What a call of the stateless era says of itself.
const META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench-load","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// The first id; all have as many digits, so that a call is the one before it with other digits.
const FIRST_ID: u64 = 1_000_000_000;

/// Who calls one tool again and again.
#[derive(Debug)]
pub struct Caller {
    /// The whole request of the last call, and where in it the member `id` is.
    call: Vec<u8>,
    id_at: Range<usize>,
    last: u64,
    /// The headers of a session.
    session: Option<String>,
    is_stateless: bool,
}

impl Caller {
    /// Opens a session unless the calls do without.
    pub async fn open(options: &Options, tool: &str, connection: &mut Connection) -> Outcome<Self> {
        let is_stateless = options.mcp_stateless;
        let (headers, session, meta) = if is_stateless {
            let named = format!("Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n");
            (format!("{ACCEPT}Mcp-Protocol-Version: 2026-07-28\r\n{named}"), None, META)
        } else {
            let id = initialize(options, connection).await?;
            let headers = in_session(id.as_deref());
            (headers.clone(), id.map(|_| headers), "")
        };
        let id = format!("\"id\":{FIRST_ID}");
        let body = format!(
            r#"{{"jsonrpc":"2.0",{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{}{meta}}}}}"#,
            options.body
        );
        let call = request(options, "POST", &headers, &body);
        let at = memmem::find(&call, id.as_bytes()).ok_or("a call without its id")?;
        Ok(Self { call, id_at: at..at + id.len(), last: FIRST_ID, session, is_stateless })
    }

    /// The next call, with an id of its own.
    pub fn next_call(&mut self) -> &[u8] {
        self.last += 1;
        let mut rest = self.last;
        for digit in self.call[self.id_at.clone()].iter_mut().rev().take_while(|byte| **byte != b':') {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.call
    }

    /// Whether a body, JSON or an event, is the result of the last call.
    pub fn is_result(&self, body: &[u8]) -> bool {
        let holds = |text: &[u8]| memmem::find(body, text).is_some();
        holds(&self.call[self.id_at.clone()])
            && holds(b"\"result\":")
            && !holds(b"\"isError\":true")
            && (!self.is_stateless || holds(b"\"resultType\":\"complete\""))
    }

    /// Ends the session.
    pub async fn close(self, options: &Options, connection: &mut Connection) -> Outcome<()> {
        if let Some(headers) = self.session {
            let status = connection.exchange(&request(options, "DELETE", &headers, "")).await?.status;
            // Servers may refuse that clients end sessions (2025-11-25, transports, "Session Management").
            if !matches!(status, 200 | 202 | 204 | 405) {
                return Err(format!("ending the session was answered with status {status}").into());
            }
        }
        Ok(())
    }
}

/// The handshake; a server without sessions gives no id.
async fn initialize(options: &Options, connection: &mut Connection) -> Outcome<Option<String>> {
    let answer = connection.exchange(&request(options, "POST", ACCEPT, HELLO)).await?;
    if answer.status != 200 || memmem::find(answer.body, b"\"protocolVersion\":\"2025-11-25\"").is_none() {
        let body = String::from_utf8_lossy(answer.body);
        return Err(format!("initialize was answered with status {}: {body}", answer.status).into());
    }
    let session = answer.session;
    let ready = request(options, "POST", &in_session(session.as_deref()), READY);
    let status = connection.exchange(&ready).await?.status;
    if !(200..300).contains(&status) {
        return Err(format!("notifications/initialized was answered with status {status}").into());
    }
    Ok(session)
}

fn in_session(session: Option<&str>) -> String {
    let id = session.map(|id| format!("Mcp-Session-Id: {id}\r\n")).unwrap_or_default();
    format!("{ACCEPT}Mcp-Protocol-Version: 2025-11-25\r\n{id}")
}
