//! One kept HTTP/1.1 connection that sends prepared bytes and reads whole answers.
//!
//! Written by hand because the load must cost little beside what it measures: a general client spends as much
//! per call as the gateway does. It reads `Content-Length` and chunked bodies, which is all that the contenders
//! send, and refuses anything else by name.

use std::error::Error;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The result of everything here; the texts are for the person who runs the benchmark.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The greatest head that is read, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// A kept connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    body: Vec<u8>,
}

/// One answer; the body borrows the connection's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub session: Option<String>,
    pub body: &'a [u8],
}

#[derive(Debug, Default)]
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    session: Option<String>,
}

impl Connection {
    /// Connects to `host:port`, without Nagle's algorithm on this side.
    pub async fn open(authority: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(64 * 1024), body: Vec::new() })
    }

    /// Sends one whole request and reads its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.body.clear();
        let head_length = loop {
            if let Some(end) = memmem::find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            if self.received.len() > HEAD_LIMIT {
                return Err("the answer's head does not end".into());
            }
            self.receive().await?;
        };
        let head = Head::parse(&self.received[..head_length])?;
        self.received.drain(..head_length);
        match (head.length, head.chunked) {
            (Some(length), false) => {
                while self.received.len() < length {
                    self.receive().await?;
                }
                self.body.extend(self.received.drain(..length));
            }
            (None, true) => self.chunks().await?,
            (None, false) if matches!(head.status, 202 | 204) => {}
            _ => return Err("an answer with neither Content-Length nor chunks".into()),
        }
        Ok(Answer { status: head.status, session: head.session, body: &self.body })
    }

    async fn chunks(&mut self) -> Outcome<()> {
        loop {
            let line = loop {
                if let Some(end) = memmem::find(&self.received, b"\r\n") {
                    break end;
                }
                self.receive().await?;
            };
            let digits = std::str::from_utf8(&self.received[..line])?;
            let digits = digits.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)
                .map_err(|_| format!("a chunk whose length is {digits:?}"))?;
            let whole = line + 2 + length + 2;
            while self.received.len() < whole {
                self.receive().await?;
            }
            self.body.extend_from_slice(&self.received[line + 2..line + 2 + length]);
            self.received.drain(..whole);
            if length == 0 {
                return Ok(());
            }
        }
    }

    async fn receive(&mut self) -> Outcome<()> {
        self.received.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the connection was closed within an answer".into()),
            _ => Ok(()),
        }
    }
}

impl Head {
    fn parse(head: &[u8]) -> Outcome<Self> {
        let text = std::str::from_utf8(head)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12));
        let mut parsed =
            Self { status: status.ok_or("an answer without a status")?.parse()?, ..Self::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                parsed.length = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                parsed.chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                parsed.session = Some(value.to_owned());
            }
        }
        Ok(parsed)
    }
}
