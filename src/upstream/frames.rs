//! Cuts a byte stream into lines, bounded: a line over the limit is skipped, and only as much of it is
//! kept as tells whose answer it was.

use bytes::{Bytes, BytesMut};

use super::message::{FIRST_ID, LAST_ID};

/// Room offered to each read; doubles while reads fill it, so that large answers take few reads.
const SMALLEST_READ: usize = 8 << 10;
const LARGEST_READ: usize = 256 << 10;
/// How much of the start and of the end of a line over the limit is kept to find its id.
const KEPT: usize = 256;

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub enum Frame {
    Message(Bytes),
    /// A line over the limit, with the ids that its start or end name.
    TooLong {
        ids: Vec<u32>,
        limit: usize,
    },
}

/// The read buffer of one connection.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    /// Bytes at the front that were already searched for a newline.
    searched: usize,
    read_size: usize,
    limit: usize,
    /// The start of a line over the limit whose rest is being skipped.
    skipping: Option<Vec<u8>>,
}

impl Frames {
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, read_size: SMALLEST_READ, limit, skipping: None }
    }

    /// Room for the next read.
    pub fn space(&mut self) -> &mut BytesMut {
        let unread = self.buffer.len();
        self.read_size = if unread >= self.read_size {
            (self.read_size * 2).min(LARGEST_READ)
        } else if unread == 0 {
            SMALLEST_READ
        } else {
            self.read_size
        };
        self.buffer.reserve(self.read_size);
        &mut self.buffer
    }

    /// The next whole line, without its newline; blank lines are skipped.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                self.skip_what_is_too_long();
                return None;
            };
            let length = self.searched + offset;
            let mut line = self.buffer.split_to(length + 1);
            self.searched = 0;
            line.truncate(length);
            if let Some(start) = self.skipping.take() {
                return Some(self.too_long(&start, &line));
            }
            if length > self.limit {
                return Some(self.too_long(&line[..KEPT.min(length)], &line));
            }
            if line.last() == Some(&b'\r') {
                line.truncate(length - 1);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Frame::Message(line.freeze()));
            }
        }
    }

    fn skip_what_is_too_long(&mut self) {
        if self.buffer.len() <= self.limit.max(KEPT) && self.skipping.is_none() {
            return;
        }
        if self.skipping.is_none() {
            self.skipping = Some(self.buffer[..KEPT].to_vec());
        }
        // A fresh, small buffer: the large one's memory goes back at once.
        let keep_from = self.buffer.len().saturating_sub(KEPT);
        self.buffer = BytesMut::from(&self.buffer[keep_from..]);
        self.searched = self.buffer.len();
    }

    fn too_long(&self, start: &[u8], line: &[u8]) -> Frame {
        let end = &line[line.len().saturating_sub(KEPT)..];
        let ids = [id_in(start), id_in(end)].into_iter().flatten().collect();
        Frame::TooLong { ids, limit: self.limit }
    }
}

/// The first number of ours after an `"id":` in `bytes`.
fn id_in(bytes: &[u8]) -> Option<u32> {
    memchr::memmem::find_iter(bytes, b"\"id\":").find_map(|at| {
        let rest = bytes[at + 5..].trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let id: u32 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        (FIRST_ID..=LAST_ID).contains(&id).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(frames: &mut Frames, bytes: &[u8]) -> Vec<Frame> {
        let mut found = Vec::new();
        for chunk in bytes.chunks(100) {
            frames.space().extend_from_slice(chunk);
            found.extend(std::iter::from_fn(|| frames.next()));
        }
        found
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        let mut frames = Frames::new(1000);
        let text = format!("{{\"a\":1}}\r\n\n  \n{}\nrest", "x".repeat(250));
        let found = feed(&mut frames, text.as_bytes());
        let expected = ["{\"a\":1}".to_owned(), "x".repeat(250)].map(|line| Frame::Message(line.into()));
        assert_eq!(found, expected);
        assert_eq!(feed(&mut frames, b"ed\n"), [Frame::Message("rested".into())]);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_in_bounded_memory_and_names_its_request() {
        for line in [
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID},\"result\":\"{}\"}}\nok\n", "y".repeat(1 << 20)),
            format!("{{\"result\":\"{}\",\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID}}}\nok\n", "y".repeat(1 << 20)),
        ] {
            let mut frames = Frames::new(1000);
            let mut found = Vec::new();
            for chunk in line.as_bytes().chunks(4096) {
                frames.space().extend_from_slice(chunk);
                assert!(frames.buffer.len() <= 1000 + 4096);
                found.extend(std::iter::from_fn(|| frames.next()));
            }
            let too_long = Frame::TooLong { ids: vec![FIRST_ID], limit: 1000 };
            assert_eq!(found, [too_long, Frame::Message("ok".into())]);
        }
    }
}
