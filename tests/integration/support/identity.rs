//! A server that tells for whom it believes to be called, and calls with headers of a caller.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::servers::{Running, script};
use super::{Answer, Ask, Gateway, free_port};

/// A server that tells what it sees.
#[derive(Debug)]
pub struct Server {
    pub port: u16,
    kind: &'static str,
    pub running: Running,
}

impl Server {
    /// Starts it for `streamable-http` or `sse`.
    pub async fn start(python: &Path, kind: &'static str) -> Self {
        let port = free_port();
        let (path, number) = (script("identity_server.py"), port.to_string());
        let command = [python.to_str().unwrap(), path.to_str().unwrap(), &number, kind];
        let running = Running::on_port(&command, &[], port).await;
        Self { port, kind, running }
    }

    /// An entry that forwards these headers.
    pub fn entry(&self, forward: &[&str]) -> Value {
        let path = if self.kind == "sse" { "sse" } else { "mcp" };
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        // Sessions are what these tests are about.
        json!({ "type": self.kind, "url": url, "forwardHeaders": forward, "protocol": "2025-11-25" })
    }

    /// Every request that it got.
    pub async fn seen(&self) -> Vec<Value> {
        let answer = Ask::new(([127, 0, 0, 1], self.port).into(), "GET", "/seen").send().await;
        answer.ok().as_array().unwrap().clone()
    }

    /// The values of `header` that came with each session, "-" for none.
    pub async fn users_by_session(&self, header: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for request in self.seen().await {
            if let Some(session) = request["session"].as_str() {
                let user = request["headers"][header].as_str().unwrap_or("-").to_owned();
                users.entry(session.to_owned()).or_default().insert(user);
            }
        }
        users
    }
}

/// A call of `path` with these headers.
pub async fn call(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let ask = headers
        .iter()
        .fold(gateway.keyed(gateway.ask("POST", path)), |ask, (name, value)| ask.header(name, value));
    ask.json(body).send().await
}

/// The headers and the session that the server named `s` got with a call of these headers.
pub async fn whoami(gateway: &Gateway, headers: &[(&str, &str)]) -> Value {
    call(gateway, "/s/whoami", headers, &json!({})).await.ok()
}

/// The session of what `whoami` told.
pub fn session(seen: &Value) -> String {
    seen["session"].as_str().unwrap_or_else(|| panic!("no session in {seen}")).to_owned()
}
