//! Raw JSON-RPC to the gateway's MCP endpoints, and to a server over stdio, so that nothing is lost in between.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Answer, Ask, Gateway};

const PATIENCE: Duration = Duration::from_secs(60);

/// A request's message.
pub fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The params of `initialize` in one revision.
pub fn introduction(revision: &str) -> Value {
    json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } })
}

/// A session at one endpoint, under one key.
#[derive(Debug, Clone)]
pub struct Session {
    ask: Ask,
    pub id: String,
    /// The result of `initialize`.
    pub introduction: Value,
}

impl Session {
    /// Opens one with the key that the gateway was started with, if any.
    pub async fn open(gateway: &Gateway, path: &str) -> Self {
        Self::open_with(gateway.keyed(gateway.ask("POST", path))).await
    }

    pub async fn open_with(ask: Ask) -> Self {
        Self::introduced(ask, &introduction("2025-11-25")).await
    }

    /// Opens one for a client that can be asked this.
    pub async fn able(ask: Ask, capabilities: &Value) -> Self {
        let mut introduction = introduction("2025-11-25");
        introduction["capabilities"] = capabilities.clone();
        Self::introduced(ask, &introduction).await
    }

    /// Opens one with these params of `initialize`, which name the revision 2025-11-25.
    pub async fn introduced(ask: Ask, introduction: &Value) -> Self {
        let answer = ask.clone().json(&request("initialize", introduction)).send().await;
        let id = answer.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {}", answer.text()));
        let ask = ask.header("Mcp-Session-Id", id).header("MCP-Protocol-Version", "2025-11-25");
        let session = Self { ask, id: id.to_owned(), introduction: answer.ok()["result"].clone() };
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.ask.clone().json(&note).send().await.status, 202);
        session
    }

    /// A request of the session.
    pub fn asks(&self, method: &str, params: &Value) -> Ask {
        self.ask.clone().json(&request(method, params))
    }

    /// The whole answer to a request.
    pub async fn answer(&self, method: &str, params: &Value) -> Answer {
        self.asks(method, params).send().await
    }

    /// The result of a request that must succeed.
    pub async fn result(&self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params).await.ok();
        answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    /// The error of a request that must fail.
    pub async fn error(&self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params).await.ok();
        answer.get("error").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    pub async fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.result("tools/call", &json!({ "name": tool, "arguments": arguments })).await
    }

    pub async fn notify(&self, method: &str, params: &Value) -> u16 {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.ask.clone().json(&message).send().await.status
    }

    /// The names of the tools, sorted.
    pub async fn tools(&self) -> Vec<String> {
        names(&self.result("tools/list", &json!({})).await["tools"])
    }

    /// Opens the stream of the session.
    pub async fn stream(&self, gateway: &Gateway, path: &str) -> Events {
        let mut stream =
            Events::open(gateway, "GET", path, &self.head(gateway, "text/event-stream"), "").await;
        stream.until("\r\n\r\n").await;
        stream
    }

    /// Sends a request whose answer may be a stream.
    pub async fn streamed(&self, gateway: &Gateway, path: &str, method: &str, params: &Value) -> Events {
        let head = self.head(gateway, "application/json, text/event-stream");
        Events::open(gateway, "POST", path, &head, &request(method, params).to_string()).await
    }

    /// The result of a call whose answer may be a stream, as real clients make it.
    pub async fn heard(&self, gateway: &Gateway, path: &str, tool: &str, arguments: &Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = self.streamed(gateway, path, "tools/call", &params).await.answer().await;
        answer.get("result").unwrap_or_else(|| panic!("{tool}: {answer}")).clone()
    }

    /// Answers a request that the client was sent.
    pub async fn reply(&self, question: &Value, result: &Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        assert_eq!(self.ask.clone().json(&answer).send().await.status, 202);
    }

    /// Refuses a request that the client was sent.
    pub async fn refuse(&self, question: &Value) {
        let error = json!({ "code": -1, "message": "refused" });
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "error": error });
        assert_eq!(self.ask.clone().json(&answer).send().await.status, 202);
    }

    fn head(&self, gateway: &Gateway, accept: &str) -> String {
        let key = gateway.key().map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        format!("{key}Mcp-Session-Id: {}\r\nAccept: {accept}\r\n", self.id)
    }
}

/// The names of a list's entries, sorted.
pub fn names(list: &Value) -> Vec<String> {
    let entries = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let mut names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The params with what each request of the stateless era says about its client.
pub fn with_meta(params: &Value, capabilities: &Value) -> Value {
    let mut params = params.clone();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    for (key, value) in meta.as_object().unwrap() {
        params["_meta"][key] = value.clone();
    }
    params
}

/// A request of the stateless era, with headers that agree.
pub fn stateless(ask: Ask, method: &str, params: &Value) -> Ask {
    stateless_able(ask, &json!({}), method, params)
}

/// The same of a client with these capabilities, whose answer may be a stream.
pub fn stateless_able(ask: Ask, capabilities: &Value, method: &str, params: &Value) -> Ask {
    let params = with_meta(params, capabilities);
    let ask = match capabilities.as_object().is_some_and(|capabilities| capabilities.is_empty()) {
        true => ask,
        false => ask.header("Accept", "application/json, text/event-stream"),
    };
    let ask = ask.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", method);
    let name = params.get("name").or(params.get("uri")).and_then(Value::as_str).map(str::to_owned);
    let ask = match name {
        Some(name) => ask.header("Mcp-Name", &name),
        None => ask,
    };
    ask.json(&request(method, &params))
}

/// A stream of events that is read as it comes.
#[derive(Debug)]
pub struct Events {
    stream: TcpStream,
    pub text: String,
    /// How much of the text was taken by [`Events::message`].
    taken: usize,
}

impl Events {
    /// Sends a request with these further lines of its head; the answer's head is part of the text.
    pub async fn open(gateway: &Gateway, method: &str, path: &str, head: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            gateway.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new(), taken: 0 }
    }

    /// Sends `subscriptions/listen` for these notifications, and reads what is acknowledged.
    pub async fn listen(gateway: &Gateway, path: &str, notifications: &Value) -> (Self, Value) {
        Self::listen_able(gateway, path, &json!({}), notifications).await
    }

    /// The same for a client with these capabilities.
    pub async fn listen_able(
        gateway: &Gateway,
        path: &str,
        capabilities: &Value,
        notifications: &Value,
    ) -> (Self, Value) {
        let params = with_meta(&json!({ "notifications": notifications }), capabilities);
        let key = gateway.key().map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = format!("{key}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n");
        let body = request("subscriptions/listen", &params).to_string();
        let mut stream = Self::open(gateway, "POST", path, &head, &body).await;
        let told = stream.message("notifications/subscriptions/acknowledged").await;
        (stream, told["params"]["notifications"].clone())
    }

    /// The answer to the request that opened the stream, whether it is one of events or not.
    pub async fn answer(&mut self) -> Value {
        let head = self.until("\r\n\r\n").await.to_lowercase();
        if head.contains("content-type: text/event-stream") {
            return self.message("").await;
        }
        loop {
            let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
            if let Ok(answer) = serde_json::from_str(body) {
                return answer;
            }
            assert!(self.read().await, "the answer is not whole: {}", self.text);
        }
    }

    /// The next message with this method, or the next answer for `""`; those before it are passed over.
    pub async fn message(&mut self, method: &str) -> Value {
        loop {
            while let Some(length) = self.text[self.taken..].find('\n') {
                let line = &self.text[self.taken..self.taken + length];
                self.taken += length + 1;
                let Some(message) = line.strip_prefix("data: ").filter(|data| !data.trim().is_empty()) else {
                    continue;
                };
                let message: Value = serde_json::from_str(message).unwrap();
                if message["method"].as_str().unwrap_or_default() == method {
                    return message;
                }
            }
            assert!(self.read().await, "the stream ended without {method:?}: {}", self.text);
        }
    }

    /// Reads until the text holds `wanted`.
    pub async fn until(&mut self, wanted: &str) -> &str {
        while !self.text.contains(wanted) {
            assert!(self.read().await, "the stream ended without {wanted:?}: {}", self.text);
        }
        &self.text
    }

    /// Reads until the other side closes.
    pub async fn end(&mut self) -> &str {
        // A chunked body ends before the connection does.
        while !self.text.ends_with("0\r\n\r\n") && self.read().await {}
        &self.text
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing came after {}", self.text)).unwrap_or(0);
        self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }
}

/// A server that the test itself started, without the gateway.
#[derive(Debug)]
pub struct Direct {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    last: u64,
    /// Whether it is asked as 2026-07-28 has it, without a session.
    pub stateless: bool,
    /// The result of `initialize`, or of `server/discover`.
    pub introduction: Value,
}

impl Direct {
    /// Starts what a configuration entry names, in an empty environment but for PATH and HOME.
    pub async fn start(entry: &Value) -> Self {
        Self::introduced(entry, &introduction("2025-11-25")).await
    }

    /// Starts it with these params of `initialize`.
    pub async fn introduced(entry: &Value, introduction: &Value) -> Self {
        let mut direct = Self::spawn(entry);
        direct.introduction = direct.answer("initialize", introduction).await["result"].clone();
        direct.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        direct
    }

    /// Starts it and asks without a session.
    pub async fn without_session(entry: &Value) -> Self {
        let mut direct = Self { stateless: true, ..Self::spawn(entry) };
        direct.introduction = direct.answer("server/discover", &json!({})).await["result"].clone();
        direct
    }

    fn spawn(entry: &Value) -> Self {
        let arguments = entry["args"].as_array().cloned().unwrap_or_default();
        let mut command = Command::new(PathBuf::from(entry["command"].as_str().unwrap()));
        command.args(arguments.iter().map(|argument| argument.as_str().unwrap()));
        for (name, value) in entry["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, stdin, lines, last: 0, stateless: false, introduction: Value::Null }
    }

    /// The whole answer to a request.
    pub async fn answer(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = request(method, params);
        message["id"] = self.last.into();
        if self.stateless {
            message["params"] = with_meta(params, &json!({}));
        }
        self.send(&message).await;
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no answer to {method}")).unwrap();
            let answer: Value = serde_json::from_str(&line.expect("the server goes on")).unwrap();
            if answer["id"] == self.last && answer.get("method").is_none() {
                return answer;
            }
        }
    }

    async fn send(&mut self, message: &Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
}
