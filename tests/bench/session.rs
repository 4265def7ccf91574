//! A direct MCP session over a child's pipes: the least that a caller without any gateway must do.
//!
//! Blocking, one thread a session. Written by hand rather than with a client library, so that "direct" is a
//! floor and not another contender. The child is ended when the session is dropped.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

/// How long a child may take to leave after its input was closed.
const LEAVE: Duration = Duration::from_millis(500);

/// The result of everything here; the texts are for the person who runs the benchmark.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A running server and its two pipes.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Session {
    /// Starts `command` with its standard error discarded.
    pub fn spawn(command: &[String]) -> Outcome<Self> {
        let (program, arguments) = command.split_first().ok_or("no server command given")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the child has no output pipe")?;
        Ok(Self { child, input, output: BufReader::with_capacity(256 * 1024, output), line: Vec::new() })
    }

    /// Does the handshake of the session era.
    pub fn initialize(&mut self) -> Outcome<()> {
        self.request(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "bench-direct", "version": "1" },
            }),
        )?;
        self.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
    }

    /// Lists all pages of tools and says how many there are.
    pub fn count_tools(&mut self) -> Outcome<usize> {
        let (mut count, mut parameters) = (0, json!({}));
        loop {
            let result = self.request("tools/list", parameters)?;
            count += result["tools"].as_array().map_or(0, Vec::len);
            match result.get("nextCursor") {
                Some(Value::String(cursor)) => parameters = json!({ "cursor": cursor }),
                _ => return Ok(count),
            }
        }
    }

    /// Writes bytes that must end in a newline.
    pub fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        let input = self.input.as_mut().ok_or("the input is closed")?;
        Ok(input.write_all(bytes)?)
    }

    /// The next answer: its id and its whole line. Requests and notifications of the server are skipped.
    pub fn answer(&mut self) -> Outcome<(u64, &[u8])> {
        loop {
            self.line.clear();
            if self.output.read_until(b'\n', &mut self.line)? == 0 {
                return Err("the server closed its output".into());
            }
            if let Some(id) = answer_id(&self.line) {
                return Ok((id, &self.line));
            }
        }
    }

    /// Whether another whole line is already here, so that reading it cannot block.
    pub fn has_buffered_line(&self) -> bool {
        memchr::memchr(b'\n', self.output.buffer()).is_some()
    }

    fn request(&mut self, method: &str, parameters: Value) -> Outcome<Value> {
        let message = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": parameters });
        self.send(format!("{message}\n").as_bytes())?;
        loop {
            let (id, line) = self.answer()?;
            if id == 0 {
                let mut answer: Value = serde_json::from_slice(line)?;
                if answer.get("result").is_none() {
                    return Err(format!("{method} was answered with {answer}").into());
                }
                return Ok(answer["result"].take());
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.input = None;
        let closed = Instant::now();
        while closed.elapsed() < LEAVE {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It was asked to leave; a failure here means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id of an answer; none for a request, a notification or anything that is not JSON-RPC.
///
/// The usual order of keys is read without parsing the line, which may be a megabyte long.
fn answer_id(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        id: Option<u64>,
        #[serde(borrow)]
        method: Option<&'a serde_json::value::RawValue>,
    }
    let number = |digits: &[u8]| -> Option<u64> {
        let (number, length) = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold((0_u64, 0), |(number, length), byte| (number * 10 + u64::from(byte - b'0'), length + 1));
        (length > 0).then_some(number)
    };
    const AHEAD: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":";
    if let Some(rest) = line.strip_prefix(AHEAD)
        && let Some(comma) = memchr::memchr(b',', rest)
        && rest[comma..].starts_with(b",\"result\":")
    {
        return number(rest);
    }
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    envelope.method.is_none().then_some(envelope.id)?
}
