//! Lines of text or JSON, written many at once to a stream such as stderr.
//!
//! In lines of text nothing is unseen when they come here ([`text::message_only`]); in those of JSON it is escaped here.

use std::io::{self, BufWriter, Write};

use super::queue::{Line, LineQueue, Sink};
use super::text;

/// The most bytes that are collected before they are written.
const CHUNK: usize = 64 << 10;

/// The near end for tracing's formatters, which hand over a whole line with each write.
#[derive(Debug, Clone)]
pub struct LineSender {
    pub queue: LineQueue<Box<[u8]>>,
    pub are_json: bool,
}

impl Line for Box<[u8]> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<W: Write + Send + 'static> Sink<Box<[u8]>> for BufWriter<W> {
    fn take(&mut self, line: Box<[u8]>) {
        // Without stderr the failure cannot be reported.
        let _stderr_is_gone = self.write_all(&line);
    }

    fn flush(&mut self) {
        let _stderr_is_gone = Write::flush(self);
    }
}

/// Writes lines together.
pub fn together<W: Write>(out: W) -> BufWriter<W> {
    BufWriter::with_capacity(CHUNK, out)
}

impl Write for LineSender {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        let is_shown = !self.are_json || text::is_plain(body);
        let json = if is_shown { None } else { std::str::from_utf8(line).ok() };
        self.queue.offer(json.map_or_else(|| line.into(), |json| text::visible_json(json).as_bytes().into()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::{Arc, Mutex};

    use super::super::queue;
    use super::*;

    /// Counts the writes.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = self.0.lock().unwrap();
            kept.0.extend_from_slice(bytes);
            kept.1 += 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn many_lines_leave_in_few_writes_and_in_order() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let kept = Kept::default();
        let (queue, writer) = queue::start(together(kept.clone()), &DROPPED).unwrap();
        let mut lines = LineSender { queue, are_json: false };
        for number in 0..1000 {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        drop(writer);
        let (written, writes) = kept.0.lock().unwrap().clone();
        let written = String::from_utf8(written).unwrap();
        let numbers: Vec<usize> = written.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert!(writes < 100, "{writes}");
    }

    #[test]
    fn a_line_of_json_holds_what_is_unseen_by_its_escape() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let kept = Kept::default();
        let (queue, writer) = queue::start(together(kept.clone()), &DROPPED).unwrap();
        let mut lines = LineSender { queue, are_json: true };
        lines.write_all("{\"a\":\"ü\u{9b}\u{7f}\"}\n".as_bytes()).unwrap();
        lines.write_all(b"{}\n").unwrap();
        drop(writer);
        let written = String::from_utf8(kept.0.lock().unwrap().0.clone()).unwrap();
        assert_eq!(written, "{\"a\":\"ü\\u009b\\u007f\"}\n{}\n");
    }
}
