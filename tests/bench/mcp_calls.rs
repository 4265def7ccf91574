//! The calls of an MCP client over one kept connection, in either era of the protocol.

use memchr::memmem;

use super::http_client::{Connection, Outcome};
use super::{Options, request};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench-load","version":"1"}}}"#;
const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const ACCEPT: &str = "Accept: application/json, text/event-stream\r\n";
/// What a call of the stateless era says of itself.
const META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench-load","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Who calls one tool again and again.
#[derive(Debug)]
pub struct Caller {
    /// The headers of every call.
    headers: String,
    /// The call's text after its id.
    rest: String,
    last: u64,
    has_session: bool,
    is_stateless: bool,
}

impl Caller {
    /// Opens a session unless the calls do without.
    pub async fn open(options: &Options, tool: &str, connection: &mut Connection) -> Outcome<Self> {
        let is_stateless = options.mcp_stateless;
        let meta = if is_stateless { META } else { "" };
        let session = if is_stateless { None } else { initialize(options, connection).await? };
        let headers = if is_stateless {
            format!(
                "{ACCEPT}Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
            )
        } else {
            in_session(session.as_deref())
        };
        let rest = format!(
            r#","method":"tools/call","params":{{"name":"{tool}","arguments":{}{meta}}}}}"#,
            options.body
        );
        Ok(Self { headers, rest, last: 0, has_session: session.is_some(), is_stateless })
    }

    /// The next call, with an id of its own.
    pub fn next_call(&mut self, options: &Options) -> Vec<u8> {
        self.last += 1;
        let body = format!(r#"{{"jsonrpc":"2.0","id":{}{}"#, self.last, self.rest);
        request(options, "POST", &self.headers, &body)
    }

    /// Whether a body, JSON or an event, is the result of the last call.
    pub fn is_result(&self, body: &[u8]) -> bool {
        let holds = |text: &str| memmem::find(body, text.as_bytes()).is_some();
        let id = self.last;
        (holds(&format!("\"id\":{id},")) || holds(&format!("\"id\":{id}}}")))
            && holds("\"result\":")
            && !holds("\"isError\":true")
            && (!self.is_stateless || holds("\"resultType\":\"complete\""))
    }

    /// Ends the session.
    pub async fn close(self, options: &Options, connection: &mut Connection) -> Outcome<()> {
        if self.has_session {
            let status = connection.exchange(&request(options, "DELETE", &self.headers, "")).await?.status;
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
