//! Server-sent events, read incrementally and bounded (HTML standard, section 9.2).
//!
//! The ready-made parsers bound no event, and copy its data; an answer of a megabyte is one event.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::shares::Principal;
use crate::upstream::error::RequestError;
use crate::upstream::surrogates;
use crate::upstream::transport::http::unpack::AnswerBody;
use crate::upstream::transport::intake::{Intake, MessageBounds};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event with data.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// `message` when the server named none.
    pub name: Option<String>,
    pub data: Bytes,
}

/// The events of one response.
#[derive(Debug)]
pub struct EventStream {
    body: AnswerBody,
    parser: Parser,
    intake: Intake,
    owner: Principal,
}

impl EventStream {
    /// Events for `owner`, within `bounds`.
    pub fn new(body: AnswerBody, bounds: &MessageBounds, owner: Principal) -> Self {
        Self {
            body,
            parser: Parser { limit: bounds.limit, ..Parser::default() },
            intake: Intake::new(bounds),
            owner,
        }
    }

    /// This stream as one that goes on behind the event `last_id`.
    #[must_use]
    pub fn resumed(mut self, last_id: String) -> Self {
        self.parser.last_id = Some(last_id);
        self
    }

    /// Whether the whole response has been read.
    pub fn is_at_end(&self) -> bool {
        self.body.is_at_end()
    }

    /// The next event that carries data, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, RequestError> {
        loop {
            let event = match self.parser.next()? {
                Some(event) => Some(event),
                None => match self.body.next().await? {
                    Some(data) => {
                        self.intake.reach(&self.owner, self.parser.held() + data.len()).await?;
                        self.parser.feed(data);
                        continue;
                    }
                    None => self.parser.rest(),
                },
            };
            return Ok(event.map(|Event { name, data }| {
                let data = self.intake.whole(&self.owner, surrogates::mended(data));
                Event { name, data }
            }));
        }
    }

    /// The id of the last event, from which a broken stream can be resumed.
    pub fn last_id(&self) -> Option<&str> {
        self.parser.last_id.as_deref()
    }

    /// How long the server asked us to wait before resuming.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }
}

#[derive(Debug, Default)]
struct Parser {
    buffer: BytesMut,
    searched: usize,
    name: Option<String>,
    /// The data of the event being read: its first line as the slice it came in, and the others.
    first_line: Option<Bytes>,
    more_lines: Vec<u8>,
    last_id: Option<String>,
    retry: Option<Duration>,
    limit: usize,
    /// Bytes were looked at, so that no byte order mark may come any more.
    has_begun: bool,
    /// The last line ended with CR: LF right behind it belongs to that.
    ended_by_cr: bool,
}

impl Parser {
    fn data_length(&self) -> usize {
        self.first_line.as_ref().map_or(0, Bytes::len) + self.more_lines.len()
    }

    /// Ends the event that is being read; `None` without data.
    fn end_event(&mut self) -> Option<Event> {
        let name = self.name.take();
        let (first, more) = (self.first_line.take()?, std::mem::take(&mut self.more_lines));
        let data = if more.is_empty() { first } else { [&first[..], &more].concat().into() };
        (!data.is_empty()).then_some(Event { name, data })
    }

    /// Bytes of the event that is being read.
    fn held(&self) -> usize {
        self.buffer.len() + self.data_length()
    }

    fn feed(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            match bytes.try_into_mut() {
                Ok(owned) => self.buffer = owned,
                Err(shared) => self.buffer.extend_from_slice(&shared),
            }
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    fn next(&mut self) -> Result<Option<Event>, RequestError> {
        if !self.has_begun {
            if self.buffer.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return Ok(None);
            }
            self.has_begun = true;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.advance(BYTE_ORDER_MARK.len());
            }
        }
        loop {
            let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.held() > self.limit {
                    return Err(RequestError::TooLarge { limit: self.limit });
                }
                return Ok(None);
            };
            let mut line = self.buffer.split_to(self.searched + offset + 1).freeze();
            self.searched = 0;
            let follows_cr = std::mem::replace(&mut self.ended_by_cr, line.ends_with(b"\r"));
            if follows_cr && *line == *b"\n" {
                continue;
            }
            line.truncate(line.len() - 1);
            if line.is_empty() {
                match self.end_event() {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            self.field(&line);
            if self.data_length() > self.limit {
                return Err(RequestError::TooLarge { limit: self.limit });
            }
        }
    }

    /// An event without its final blank line. The standard drops it, but a server that only forgets the blank line
    /// has sent all there is. A cut event is not valid JSON, and so not a message.
    fn rest(&mut self) -> Option<Event> {
        let line = self.buffer.split().freeze();
        self.searched = 0;
        self.field(&line);
        self.end_event()
    }

    fn field(&mut self, line: &Bytes) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let mut start = (colon + 1).min(line.len());
        if line.get(start) == Some(&b' ') {
            start += 1;
        }
        let value = line.slice(start..);
        match &line[..colon] {
            b"data" if self.first_line.is_none() => self.first_line = Some(value),
            b"data" => {
                self.more_lines.push(b'\n');
                self.more_lines.extend_from_slice(&value);
            }
            b"event" => self.name = Some(String::from_utf8_lossy(&value).into_owned()),
            b"id" if !value.contains(&0) => {
                self.last_id = Some(String::from_utf8_lossy(&value).into_owned());
            }
            b"retry" => {
                let milliseconds = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                self.retry = milliseconds.map(Duration::from_millis).or(self.retry);
            }
            // Comments (an empty name) and unknown fields are ignored, as the standard wants.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limit: usize) -> Parser {
        Parser { limit, ..Parser::default() }
    }

    fn events(parser: &mut Parser, text: &str, chunk: usize) -> Vec<(Option<String>, String)> {
        let mut found = Vec::new();
        for bytes in text.as_bytes().chunks(chunk) {
            parser.feed(Bytes::copy_from_slice(bytes));
            while let Some(event) = parser.next().unwrap() {
                found.push((event.name, String::from_utf8(event.data.to_vec()).unwrap()));
            }
        }
        found
    }

    #[test]
    fn events_are_found_wherever_the_chunks_end() {
        let text =
            ": hello\nid: 7\nretry: 250\ndata:\n\nevent: endpoint\r\ndata: /m\r\n\r\ndata: a\ndata:b\n\n";
        for chunk in [1, 2, 7, 1000] {
            let mut parser = limited(100);
            let found = events(&mut parser, text, chunk);
            assert_eq!(found, [(Some("endpoint".into()), "/m".into()), (None, "a\nb".into())]);
            assert_eq!(parser.last_id.as_deref(), Some("7"));
            assert_eq!(parser.retry, Some(Duration::from_millis(250)));
        }
    }

    #[test]
    fn lines_end_with_lf_cr_or_both_behind_a_byte_order_mark() {
        let text = "\u{feff}: hello\rdata: a\rdata: b\r\rdata: c\r\n\r\nevent: x\ndata: d\n\n: bye\rdata: \u{feff}e\r\r";
        for chunk in [1, 2, 3, 7, 1000] {
            let found = events(&mut limited(100), text, chunk);
            let data: Vec<&str> = found.iter().map(|(_, data)| data.as_str()).collect();
            assert_eq!(data, ["a\nb", "c", "d", "\u{feff}e"], "{chunk}");
        }
    }

    #[test]
    fn an_event_without_its_blank_line_counts_at_the_end_of_the_stream() {
        for text in ["data: a", "data: a\n", "data: a\r"] {
            let mut parser = limited(100);
            assert!(events(&mut parser, text, 1).is_empty());
            assert_eq!(parser.rest().map(|event| event.data), Some(Bytes::from_static(b"a")), "{text:?}");
            assert_eq!(parser.rest(), None);
            assert_eq!(parser.next().unwrap(), None, "{text:?}");
        }
        assert_eq!(limited(100).rest(), None);
    }

    #[test]
    fn an_event_over_the_limit_is_refused_before_it_is_whole() {
        let mut parser = limited(100);
        parser.feed(Bytes::from(format!("data: {}", "x".repeat(200))));
        assert!(matches!(parser.next(), Err(RequestError::TooLarge { limit: 100 })));
        let mut parser = limited(100);
        parser.feed(Bytes::from("data: 0123456789\n".repeat(20)));
        assert!(matches!(parser.next(), Err(RequestError::TooLarge { limit: 100 })));
    }
}
