//! Malformed output of a server, which is not a message: finds the answers in it.
//!
//! Banners and logs among the messages are passed over, as every client does. But an answer may be garbled: with NaN
//! in it, in another encoding, after a prompt or ANSI codes, over several lines, or framed as language servers do. No
//! other answer comes for its request, which has to fail at once. So a line that is not a message is searched as text
//! for the members of an answer.

use std::sync::{Arc, OnceLock};

use crate::upstream::error_text::cut_words;
use crate::upstream::message::number;

/// The parts of a line that are read: its start, and its end, where some servers have the id.
const START: usize = 2 << 10;
const TAIL: usize = 256;
/// The header of a message that is framed as in the Language Server Protocol.
const CONTENT_LENGTH: &str = "content-length";

/// How an answer was garbled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Garbling {
    #[error("its answer is no JSON")]
    NoJson,
    #[error("its answer is spread over several lines")]
    Lines,
    #[error("its answer is framed by `Content-Length`, as language servers do")]
    Framed,
}

/// An answer that is not a valid message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{garbling}; over stdio each message is one line of JSON in UTF-8, and it wrote `{line}`")]
pub struct Garbled {
    pub garbling: Garbling,
    /// The first line of it, cut.
    pub line: Arc<str>,
}

/// The first line of a server that was not a message, for the reason of a failed start.
pub type FirstMalformed = Arc<OnceLock<String>>;

/// Reads lines that are not messages.
#[derive(Debug, Default)]
pub struct MalformedLines {
    first: FirstMalformed,
    block: Option<Block>,
    /// The length of the message that a header has announced.
    announced: Option<usize>,
}

/// The lines of one object that is written over several.
#[derive(Debug)]
struct Block {
    line: Arc<str>,
    /// How far its members are indented; `None` until the first of them.
    indent: Option<usize>,
    has_version: bool,
    id: Option<u32>,
    is_answer: bool,
}

impl Block {
    fn begun_by(line: &str) -> Self {
        Self { line: cut_words(line).into(), indent: None, has_version: false, id: None, is_answer: false }
    }
}

/// The id of the answer in a message that is not valid JSON.
pub fn answers(message: &[u8]) -> Option<u32> {
    in_one_line(&readable(message))
}

impl MalformedLines {
    pub fn first(&self) -> FirstMalformed {
        self.first.clone()
    }

    /// Takes the next line that is not a message. Returns the id of the answer that it is, or completes.
    pub fn take(&mut self, line: &[u8]) -> Option<(u32, Garbled)> {
        let text = readable(line);
        self.first.get_or_init(|| format!("`{}` on its output, which is no JSON", cut_words(text.trim())));
        self.announced = announced(&text).or(self.announced);
        if let Some(id) = in_one_line(&text) {
            self.block = None;
            return Some((id, Garbled { garbling: Garbling::NoJson, line: cut_words(text.trim()).into() }));
        }
        let (id, line) = self.in_a_block(&text)?;
        Some((id, Garbled { garbling: Garbling::Lines, line }))
    }

    /// A message ends what came before it.
    pub fn interrupt(&mut self) {
        self.block = None;
        self.announced = None;
    }

    /// The server has written a request of ours back.
    pub fn note_echo(&self) {
        self.first.get_or_init(|| "it writes back what it reads".to_owned());
    }

    /// The message that a header has announced, once `rest`, what follows the last line, holds all of it.
    pub fn framed<'a>(&mut self, rest: &'a [u8]) -> Option<(&'a [u8], Garbled)> {
        let length = self.announced?;
        let message = rest.get(..length)?;
        self.announced = None;
        let line = format!("Content-Length: {length}").into();
        Some((message, Garbled { garbling: Garbling::Framed, line }))
    }

    fn in_a_block(&mut self, text: &str) -> Option<(u32, Arc<str>)> {
        let trimmed = text.trim();
        if trimmed == "{" {
            self.block = Some(Block::begun_by(trimmed));
            return None;
        }
        let indent = text.len() - text.trim_start().len();
        let (key, rest) = keys(trimmed).next().filter(|(key, _)| is_leading(trimmed, key))?;
        let block = match &mut self.block {
            Some(block) => block,
            // Without an opening brace it is not JSON.
            None if key == "jsonrpc" => self.block.insert(Block::begun_by(trimmed)),
            None => return None,
        };
        if *block.indent.get_or_insert(indent) != indent {
            return None;
        }
        match key {
            "jsonrpc" => block.has_version = true,
            "id" => block.id = id_in(rest),
            "result" | "error" => block.is_answer = true,
            // A request of ours, which the server shows.
            "method" => self.block = None,
            _ => {}
        }
        let is_answer = |block: &mut Block| block.has_version && block.is_answer && block.id.is_some();
        let Block { id, line, .. } = self.block.take_if(is_answer)?;
        Some((id?, line))
    }
}

/// The start and the end of a line as plain text: without ANSI codes, and without the zeros of wide characters.
fn readable(line: &[u8]) -> String {
    let start = &line[..line.len().min(START)];
    let tail = &line[start.len().max(line.len().saturating_sub(TAIL))..];
    let mut plain = Vec::with_capacity(start.len() + tail.len());
    let mut bytes = start.iter().chain(tail).copied().filter(|byte| *byte != 0);
    while let Some(byte) = bytes.next() {
        if byte != b'\x1b' {
            plain.push(byte);
        } else if bytes.next() == Some(b'[') {
            // A control sequence ends with its first byte of this kind.
            let _end = bytes.find(|byte| (0x40..0x7f).contains(byte));
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The names before the colons of `text`, each with what stands behind.
fn keys(text: &str) -> impl Iterator<Item = (&str, &str)> {
    memchr::memchr_iter(b':', text.as_bytes()).map(|at| {
        let before = text[..at].trim_end().trim_end_matches(['"', '\'']);
        let is_of_it = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
        let start = before.trim_end_matches(is_of_it).len();
        (&before[start..], &text[at + 1..])
    })
}

/// Whether a line begins with `key`.
fn is_leading(line: &str, key: &str) -> bool {
    !key.is_empty() && line.trim_start_matches(['"', '\'']).starts_with(key)
}

/// The length that a header announces; it stands where the message before it ends.
fn announced(text: &str) -> Option<usize> {
    let (key, rest) = keys(text).last()?;
    rest.trim().parse().ok().filter(|_| key.to_ascii_lowercase().ends_with(CONTENT_LENGTH))
}

/// The number that stands where the value of `id` does.
fn id_in(rest: &str) -> Option<u32> {
    let value = rest.trim_start().trim_start_matches(['"', '\'']);
    let end = value.find(|character: char| !character.is_ascii_digit() && character != '.');
    number(value[..end.unwrap_or(value.len())].trim_end_matches('.'))
}

/// The id of the answer in a line. The first of `result`, `error` and `method` separates an answer from a request.
fn in_one_line(text: &str) -> Option<u32> {
    if !text.contains('{') || !text.contains("jsonrpc") {
        return None;
    }
    let mut id = None;
    for (key, rest) in keys(text) {
        match key {
            "id" => id = id_in(rest),
            "method" => return None,
            "result" | "error" => {
                return id.or_else(|| id_in(keys(text).filter(|(key, _)| *key == "id").last()?.1));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
