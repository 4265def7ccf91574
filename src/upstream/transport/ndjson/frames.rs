//! Cuts a byte stream into lines, bounded. A line over the limit is skipped; only enough of it is kept to find its
//! request, which is reported at once: the line may never end.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::upstream::message::own_id;
use crate::upstream::surrogates;

/// Room offered to each read; doubles while reads fill it, so that large answers take few reads.
const SMALLEST_READ: usize = 8 << 10;
const LARGEST_READ: usize = 256 << 10;
/// A line that outgrew the first read gets as much room at once as the last such line took, up to this: to grow step by
/// step copies it each time.
const LARGEST_USUAL: usize = 1 << 20;
/// A line that is longer than this gets all the room at once that most others need: to copy it each time that it
/// grows would keep the worker for ten milliseconds. Unwritten room costs no memory: so much is mapped by itself.
const LONG: usize = 4 << 20;
const ROOM_OF_LONG: usize = 40 << 20;
/// How much of the start and of the end of a line over the limit is kept to find its id.
const KEPT: usize = 256;

/// Some runtimes begin what they write with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line, or the reason that it was skipped.
#[derive(Debug, PartialEq)]
pub enum Frame {
    Message(Bytes),
    /// A line over the limit, with the ids that its start or end name.
    TooLong {
        ids: Vec<u32>,
        limit: usize,
    },
    /// A line for which there was no room, with the id that its end names.
    OverBudget {
        id: u32,
    },
}

/// Why the rest of a line is being skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SkipCause {
    TooLong,
    OverBudget,
}

/// The read buffer of one connection.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    /// Bytes at the front that were already searched for a newline.
    searched: usize,
    read_size: usize,
    /// The length of the last line that outgrew the first read.
    usual: usize,
    limit: usize,
    /// Set while the rest of a line is being skipped.
    skipping: Option<SkipCause>,
}

impl Frames {
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            read_size: SMALLEST_READ,
            usual: 0,
            limit,
            skipping: None,
        }
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
        let is_long = unread > LONG && unread < ROOM_OF_LONG;
        let usual = if unread < SMALLEST_READ { 0 } else { self.usual.saturating_sub(unread) };
        self.buffer.reserve(if is_long { ROOM_OF_LONG - unread } else { self.read_size.max(usual) });
        &mut self.buffer
    }

    /// The next whole line, without its newline; blank lines are skipped.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return self.skip_what_is_too_long();
            };
            let length = self.searched + offset;
            let mut line = self.buffer.split_to(length + 1);
            self.searched = 0;
            line.truncate(length);
            if let Some(skipped) = self.skipping.take() {
                // The id at the start was reported when the skipping began.
                match (id_at_the_end(&line), skipped) {
                    (Some(id), SkipCause::TooLong) => {
                        return Some(Frame::TooLong { ids: vec![id], limit: self.limit });
                    }
                    (Some(id), SkipCause::OverBudget) => return Some(Frame::OverBudget { id }),
                    (None, _) => continue,
                }
            }
            if length > SMALLEST_READ {
                self.usual = (length + SMALLEST_READ).min(LARGEST_USUAL);
            }
            if length > LARGEST_READ {
                // The next message is small and must not keep the large line's memory.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if length > self.limit {
                let ids = id_at_the_start(&line).into_iter().chain(id_at_the_end(&line)).collect();
                return Some(Frame::TooLong { ids, limit: self.limit });
            }
            if line.last() == Some(&b'\r') {
                line.truncate(length - 1);
            }
            if line.starts_with(BYTE_ORDER_MARK) {
                line.advance(BYTE_ORDER_MARK.len());
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                surrogates::mend(&mut line);
                return Some(Frame::Message(line.freeze()));
            }
        }
    }

    fn skip_what_is_too_long(&mut self) -> Option<Frame> {
        let is_skipping = self.skipping.is_some();
        if self.buffer.len() <= self.limit.max(KEPT) && !is_skipping {
            return None;
        }
        let id = self.skip(SkipCause::TooLong).filter(|_| !is_skipping);
        id.map(|id| Frame::TooLong { ids: vec![id], limit: self.limit })
    }

    /// The length of the unfinished line, and the id at its start. `None` while its rest is skipped.
    pub fn unfinished(&self) -> Option<(usize, Option<u32>)> {
        let is_kept = self.skipping.is_none() && !self.buffer.is_empty();
        is_kept.then(|| (self.buffer.len(), id_at_the_start(&self.buffer)))
    }

    /// The bytes behind the last whole line.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// Skips the unfinished line, for lack of room.
    pub fn give_up(&mut self) {
        self.skip(SkipCause::OverBudget);
    }

    /// Skips the rest of a line; the id that its start names.
    fn skip(&mut self, why: SkipCause) -> Option<u32> {
        let id = id_at_the_start(&self.buffer);
        self.skipping.get_or_insert(why);
        // A fresh, small buffer: the large one's memory goes back at once.
        let keep_from = self.buffer.len().saturating_sub(KEPT);
        self.buffer = BytesMut::from(&self.buffer[keep_from..]);
        self.searched = self.buffer.len();
        id
    }
}

const ID: &[u8] = b"\"id\":";

/// Our id where a line begins, before anything that a tool may have written.
fn id_at_the_start(line: &[u8]) -> Option<u32> {
    let start = &line[..line.len().min(KEPT)];
    let start = &start[..memchr::memmem::find(start, b"\"result\"").unwrap_or(start.len())];
    id_in(&start[memchr::memmem::find(start, ID)? + ID.len()..])
}

/// Our id where a line ends, after everything that a tool may have written.
fn id_at_the_end(line: &[u8]) -> Option<u32> {
    let end = &line[line.len().saturating_sub(KEPT)..];
    id_in(&end[memchr::memmem::rfind(end, ID)? + ID.len()..])
}

fn id_in(rest: &[u8]) -> Option<u32> {
    let rest = rest.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    own_id(&rest[..digits])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::message::FIRST_ID;

    fn feed(frames: &mut Frames, bytes: &[u8]) -> Vec<Frame> {
        let mut found = Vec::new();
        for chunk in bytes.chunks(100) {
            frames.space().extend_from_slice(chunk);
            found.extend(std::iter::from_fn(|| frames.next_frame()));
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
        assert_eq!(feed(&mut frames, b"\xef\xbb\xbf{}\n"), [Frame::Message("{}".into())]);
    }

    #[test]
    fn a_large_line_after_one_of_its_size_takes_few_reads() {
        let mut frames = Frames::new(10 << 20);
        let line = "y".repeat(900 << 10) + "\n";
        let mut reads = || {
            let (mut left, mut reads) = (line.as_bytes(), 0);
            while !left.is_empty() {
                let space = frames.space();
                let read = left.split_off(..left.len().min(space.capacity() - space.len())).unwrap();
                space.extend_from_slice(read);
                reads += 1;
                while frames.next_frame().is_some() {}
            }
            reads
        };
        assert_eq!((reads() > 4, reads()), (true, 2));
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
                found.extend(std::iter::from_fn(|| frames.next_frame()));
            }
            let too_long = Frame::TooLong { ids: vec![FIRST_ID], limit: 1000 };
            assert_eq!(found, [too_long, Frame::Message("ok".into())]);
        }
    }

    #[test]
    fn a_line_that_never_ends_names_its_request_once_and_at_the_limit() {
        let mut frames = Frames::new(1000);
        let start = format!("{{\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID},\"result\":\"{}", "y".repeat(900));
        assert_eq!(feed(&mut frames, start.as_bytes()), []);
        let too_long = Frame::TooLong { ids: vec![FIRST_ID], limit: 1000 };
        assert_eq!(feed(&mut frames, &[b'y'; 5000]), [too_long]);
        assert_eq!(feed(&mut frames, b"\"}\nok\n"), [Frame::Message("ok".into())]);
    }

    #[test]
    fn a_line_without_room_is_skipped_and_its_end_names_its_request() {
        let mut frames = Frames::new(10_000);
        assert_eq!(feed(&mut frames, format!("{{\"result\":\"{}", "y".repeat(900)).as_bytes()), []);
        assert_eq!(frames.unfinished(), Some((911, None)));
        frames.give_up();
        assert!(frames.buffer.len() <= KEPT && frames.unfinished().is_none());
        let end = format!("{}\",\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID}}}\nok\n", "y".repeat(900));
        let found = feed(&mut frames, end.as_bytes());
        assert_eq!(found, [Frame::OverBudget { id: FIRST_ID }, Frame::Message("ok".into())]);
    }

    #[test]
    fn an_id_that_a_tool_writes_into_its_text_is_nobodys() {
        let other = FIRST_ID + 1;
        let text = format!("\\\"id\\\":{other} \"id\":{other}");
        let line = format!(
            "{{\"result\":{{\"t\":\"{text}{}{text}\"}},\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID}}}\n",
            "y".repeat(2000)
        );
        let mut frames = Frames::new(1000);
        assert_eq!(feed(&mut frames, line.as_bytes()), [Frame::TooLong { ids: vec![FIRST_ID], limit: 1000 }]);
    }
}
