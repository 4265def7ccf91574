//! The requests that the gateway itself sends, written as bytes in the form of each era.

use http::{HeaderName, HeaderValue};

use crate::protocol::{Era, json_rpc, method, notification};
use crate::shares::Principal;
use crate::trace::TraceContext;

/// The declaration in each stateless request (2026-07-28, basic, "`_meta`"), but for the capabilities at its end.
const DECLARED: &str = concat!(
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"mcpo","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"io.modelcontextprotocol/clientCapabilities":"#,
);

/// A request that the gateway itself sends.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub what: RequestKind<'a>,
    pub meta: RequestMeta<'a>,
}

/// The method of a request, with its parameters. Members are JSON text without the braces around them and without raw
/// newlines; `""` for none.
#[derive(Debug, Clone, Copy)]
pub enum RequestKind<'a> {
    /// `tools/call`; `arguments` is the JSON text of an object, `more` further members of `params`.
    CallTool { name: &'a str, arguments: &'a [u8], more: &'a str },
    /// `tools/list`, one page.
    ListTools { cursor: Option<&'a str> },
    /// Any other request, with the members of its `params`. `name` is what it asks for by name or URI.
    Other { method: &'a str, members: &'a [u8], name: Option<&'a str> },
}

/// The content of `_meta`.
#[derive(Debug, Clone, Copy)]
pub struct RequestMeta<'a> {
    pub ask_progress: bool,
    /// The trace that the request belongs to, with the parent span of the server's own.
    pub trace: Option<&'a TraceContext>,
    /// Further members.
    pub more: &'a str,
    /// The JSON text of the client's capabilities. Only stateless servers get it, with each request.
    pub capabilities: &'a str,
    /// Arguments that stateless servers want in headers, too.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// The server gets no cancellation when the answer is no longer awaited.
    pub quiet: bool,
    /// The principal whose results the answer counts among.
    pub owner: &'a Principal,
}

impl Default for RequestMeta<'_> {
    fn default() -> Self {
        Self {
            ask_progress: false,
            trace: None,
            more: "",
            capabilities: "{}",
            headers: &[],
            quiet: false,
            owner: Principal::ANONYMOUS,
        }
    }
}

impl<'a> Request<'a> {
    /// A request without anything in `_meta`.
    pub fn plain(what: RequestKind<'a>) -> Self {
        Self { what, meta: RequestMeta::default() }
    }

    /// This request without a cancellation when the answer is no longer awaited.
    pub fn quiet(self) -> Self {
        Self { meta: RequestMeta { quiet: true, ..self.meta }, ..self }
    }

    /// Any request but the common ones, with the members of its `params`.
    pub fn other(method: &'a str, members: &'a [u8]) -> Self {
        Self::plain(RequestKind::Other { method, members, name: None })
    }

    pub fn method(&self) -> &'a str {
        match self.what {
            RequestKind::CallTool { .. } => method::TOOLS_CALL,
            RequestKind::ListTools { .. } => method::TOOLS_LIST,
            RequestKind::Other { method, .. } => method,
        }
    }

    /// The name of the tool or prompt, or the URI.
    pub fn name(&self) -> Option<&'a str> {
        match self.what {
            RequestKind::CallTool { name, .. } => Some(name),
            RequestKind::ListTools { .. } => None,
            RequestKind::Other { name, .. } => name,
        }
    }

    /// The message as one line in the form of `era`, newline included. The id doubles as the progress token.
    pub fn encode(&self, id: u32, era: Era) -> Vec<u8> {
        let mut line = Vec::with_capacity(if era == Era::Sessions { 192 } else { 448 });
        line.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        number(&mut line, id);
        line.extend_from_slice(b",\"method\":");
        string(&mut line, self.method());
        line.extend_from_slice(b",\"params\":{");
        let start = line.len();
        match self.what {
            RequestKind::CallTool { name, arguments, more } => {
                line.reserve(name.len() + arguments.len() + more.len());
                line.extend_from_slice(b"\"name\":");
                string(&mut line, name);
                line.extend_from_slice(b",\"arguments\":");
                line.extend_from_slice(arguments);
                if !more.is_empty() {
                    line.push(b',');
                    line.extend_from_slice(more.as_bytes());
                }
            }
            RequestKind::ListTools { cursor } => {
                if let Some(cursor) = cursor {
                    line.extend_from_slice(b"\"cursor\":");
                    string(&mut line, cursor);
                }
            }
            RequestKind::Other { members, .. } => line.extend_from_slice(members),
        }
        let is_first = line.len() == start;
        self.meta.write(&mut line, is_first, id, era);
        line.extend_from_slice(b"}}\n");
        line
    }
}

impl RequestMeta<'_> {
    /// Writes `_meta` behind the members before it, when there is something in it. The names of the trace are those of
    /// SEP-414.
    fn write(&self, line: &mut Vec<u8>, is_first: bool, id: u32, era: Era) {
        let start = line.len();
        if era == Era::Stateless {
            line.push(b',');
            line.extend_from_slice(DECLARED.as_bytes());
            line.extend_from_slice(self.capabilities.as_bytes());
        }
        if self.ask_progress {
            line.extend_from_slice(b",\"progressToken\":");
            number(line, id);
        }
        if let Some(trace) = self.trace {
            line.extend_from_slice(b",\"traceparent\":");
            string(line, trace.traceparent());
            if let Some(state) = trace.tracestate() {
                line.extend_from_slice(b",\"tracestate\":");
                string(line, state);
            }
        }
        if !self.more.is_empty() {
            line.push(b',');
            line.extend_from_slice(self.more.as_bytes());
        }
        if line.len() > start {
            let opening: &[u8] = if is_first { b"\"_meta\":{" } else { b",\"_meta\":{" };
            line.splice(start..=start, opening.iter().copied());
            line.push(b'}');
        }
    }
}

/// The cancellation of a request, as one line.
pub fn cancelled(id: u32) -> Vec<u8> {
    let params = format_args!(r#"{{"requestId":{id},"reason":"the caller left or its deadline passed"}}"#);
    let mut line = json_rpc::notification_with(notification::CANCELLED, params);
    line.push('\n');
    line.into_bytes()
}

fn number(line: &mut Vec<u8>, value: u32) {
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn string(line: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(line, text).expect("a string is always JSON, and a Vec always takes it");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::revision::STATELESS;
    use crate::upstream::message::FIRST_ID;

    const ID: u32 = FIRST_ID + 7;

    fn call<'a>(meta: RequestMeta<'a>) -> Request<'a> {
        Request { what: RequestKind::CallTool { name: "a\"b", arguments: br#"{"x":1.0}"#, more: "" }, meta }
    }

    fn params(request: Request<'_>, era: Era) -> Value {
        let message: Value = serde_json::from_slice(&request.encode(ID, era)).unwrap();
        message["params"].clone()
    }

    #[test]
    fn requests_are_one_line_of_json() {
        let asking = RequestMeta { ask_progress: true, ..RequestMeta::default() };
        let list = RequestKind::ListTools { cursor: Some("p\n2") };
        let requests =
            [call(asking), call(RequestMeta::default()), Request::plain(list), Request::other("x/y", b"")];
        for era in [Era::Sessions, Era::Stateless] {
            let lines = requests.iter().map(|request| request.encode(ID, era)).chain([cancelled(ID)]);
            for line in lines {
                assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
                serde_json::from_slice::<Value>(&line).expect("valid JSON");
            }
        }
        let line = String::from_utf8(call(asking).encode(ID, Era::Sessions)).unwrap();
        assert!(line.contains(r#""arguments":{"x":1.0}"#), "{line}");
        assert_eq!(params(call(asking), Era::Sessions)["_meta"], json!({ "progressToken": ID }));
        assert_eq!(params(call(RequestMeta::default()), Era::Sessions).get("_meta"), None);
    }

    #[test]
    fn a_trace_goes_into_meta() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = |states: &[&str]| {
            let states = states.iter().map(|state| state.as_bytes());
            TraceContext::read(std::iter::once(parent.as_bytes()), states).unwrap()
        };
        let (bare, full) = (read(&[]), read(&["a=\"1\\"]));
        let meta = |ask_progress, trace| {
            let meta = RequestMeta { ask_progress, trace, ..RequestMeta::default() };
            params(call(meta), Era::Sessions)["_meta"].clone()
        };
        assert_eq!(meta(false, Some(&bare)), json!({ "traceparent": parent }));
        assert_eq!(
            meta(true, Some(&full)),
            json!({ "progressToken": ID, "traceparent": parent, "tracestate": "a=\"1\\" })
        );
    }

    #[test]
    fn a_stateless_request_declares_who_asks_and_what_the_client_can_do() {
        let meta = RequestMeta {
            capabilities: r#"{"elicitation":{}}"#,
            more: r#""a.b/c":1"#,
            ..RequestMeta::default()
        };
        let other = RequestKind::Other { method: "prompts/get", members: br#""name":"x""#, name: Some("x") };
        let declared = params(Request { what: other, meta }, Era::Stateless);
        assert_eq!(declared["name"], "x");
        let meta = &declared["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], STATELESS);
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "mcpo");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({ "elicitation": {} }));
        assert_eq!(meta["a.b/c"], 1);
        let empty = params(Request::other("server/discover", b""), Era::Stateless);
        assert_eq!(empty["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({}));
    }
}
