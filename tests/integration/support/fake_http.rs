//! A streamable HTTP server in the test's own process, plain but for what the test has it answer otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Came {
    pub method: String,
    /// The request's target as it stood.
    pub path: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// The body as JSON; null when it is none.
    pub message: Value,
    /// Counts the connections of the server, from 0 on.
    pub connection: usize,
}

impl Came {
    /// The method of the message; empty without one.
    pub fn asks(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Says {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection ends after it.
    pub closes: bool,
}

impl Says {
    pub fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let says = Self { status, body: body.into(), ..Self::default() };
        if media_type.is_empty() { says } else { says.with("Content-Type", media_type) }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The server; it ends with the value.
#[derive(Debug)]
pub struct FakeHttp {
    pub port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    task: JoinHandle<()>,
}

impl FakeHttp {
    /// `answer` is asked first; what it leaves a [`plain`] server answers.
    pub async fn start(answer: impl Fn(&Came) -> Option<Says> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (came, answer) = (Arc::<Mutex<Vec<Came>>>::default(), Arc::new(answer));
        let noted = came.clone();
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(async move {
                    // A client that goes away ends only its own connection.
                    let _ended = serve(stream, connection, &noted, &*answer).await;
                });
            }
        });
        Self { port, came, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    pub fn entry(&self) -> Value {
        json!({ "type": "streamable-http", "url": self.url() })
    }

    /// Everything that came until now.
    pub fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// How often a message of this method came.
    pub fn times(&self, method: &str) -> usize {
        self.came().iter().filter(|came| came.asks() == method).count()
    }
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a plain server of the era of sessions answers, with the tools `t` and `fine`.
pub fn plain(came: &Came) -> Says {
    if came.method != "POST" {
        return Says::new(if came.method == "DELETE" { 200 } else { 405 }, "", "");
    }
    match result(&came.message) {
        None => Says::new(202, "", ""),
        Some(answer) => Says::json(200, &answer),
    }
}

/// The JSON-RPC answer of a plain server; `None` to what is no request.
pub fn result(message: &Value) -> Option<Value> {
    let id = message.get("id").filter(|_| message["method"].is_string())?;
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
    let result = match message["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "fake", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [tool("t"), tool("fine")] }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "done" }] }),
        "ping" => json!({}),
        method => {
            let error = json!({ "code": -32601, "message": format!("no method {method}") });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    noted: &Mutex<Vec<Came>>,
    answer: &(impl Fn(&Came) -> Option<Says> + Send + Sync),
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let head_end = loop {
            if let Some(at) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while buffer.len() < head_end + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = String::from_utf8_lossy(&buffer[head_end..head_end + length]).into_owned();
        let message = serde_json::from_str(&body).unwrap_or_default();
        buffer.drain(..head_end + length);
        let came = Came { method, path, headers, body, message, connection };
        noted.lock().unwrap().push(came.clone());
        let says = answer(&came).unwrap_or_else(|| plain(&came));
        let mut text = format!("HTTP/1.1 {} -\r\n", says.status);
        let says_length = says.headers.iter().any(|(name, _)| name == "Content-Length");
        if says.status != 204 && !says_length {
            text += &format!("Content-Length: {}\r\n", says.body.len());
        }
        for (name, value) in &says.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        stream.write_all(text.as_bytes()).await?;
        stream.write_all(&says.body).await?;
        if says.closes {
            return Ok(());
        }
    }
}
