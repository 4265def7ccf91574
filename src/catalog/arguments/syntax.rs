//! Where and why a text is not JSON, in the words and positions of Python's `json`, which callers know.
//!
//! Runs only after the real parser has refused a body. It walks without recursion, so depth can't hurt it.

/// The first place at which the text stops being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// In characters, from 0.
    pub position: usize,
    /// The token that was expected there.
    pub message: String,
}

/// Explains why `parser` refused `body`.
pub fn explain(body: &[u8], parser: &serde_json::Error) -> SyntaxFault {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&body[..error.valid_up_to()]);
            return SyntaxFault { position: valid.chars().count(), message: "Expecting UTF-8 text".into() };
        }
    };
    let (byte, message) = match (SyntaxScanner { bytes: text.as_bytes(), at: 0 }).first_fault() {
        Err((byte, message)) => (byte, message.into()),
        // Well-formed, yet refused: nested too deeply, a number past the range of a double, half a surrogate pair.
        Ok(()) => (byte_of(text, parser), reason_alone(parser)),
    };
    let before = &text.as_bytes()[..byte.min(text.len())];
    SyntaxFault { position: String::from_utf8_lossy(before).chars().count(), message }
}

fn byte_of(text: &str, parser: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(parser.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + parser.column().saturating_sub(1)
}

/// The parser's sentence without its line and column: the position stands beside it.
fn reason_alone(parser: &serde_json::Error) -> String {
    let whole = parser.to_string();
    match whole.rfind(" at line ") {
        Some(end) => whole[..end].into(),
        None => whole,
    }
}

type ScanResult<T> = Result<T, (usize, &'static str)>;

struct SyntaxScanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl SyntaxScanner<'_> {
    fn first_fault(&mut self) -> ScanResult<()> {
        // The closing bracket of every open container; its kind decides the next token.
        let mut open: Vec<u8> = Vec::new();
        self.space();
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.space();
                    let close = if bracket == b'{' { b'}' } else { b']' };
                    if self.peek() != Some(close) {
                        if bracket == b'{' {
                            self.key()?;
                        }
                        open.push(close);
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            loop {
                self.space();
                let Some(close) = open.last().copied() else {
                    return if self.at == self.bytes.len() { Ok(()) } else { Err((self.at, "Extra data")) };
                };
                match self.peek() {
                    Some(byte) if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if close == b'}' {
                            self.key()?;
                        }
                        break;
                    }
                    _ => return Err((self.at, "Expecting ',' delimiter")),
                }
            }
        }
    }

    fn key(&mut self) -> ScanResult<()> {
        if self.peek() != Some(b'"') {
            return Err((self.at, "Expecting property name enclosed in double quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err((self.at, "Expecting ':' delimiter"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn scalar(&mut self) -> ScanResult<()> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        for word in [&b"true"[..], b"false", b"null"] {
            if self.bytes[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> ScanResult<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if self.digits() == 0 {
            return Err((start, "Expecting value"));
        }
        self.optional(|scanner| {
            scanner.take(b".");
            scanner.digits()
        });
        self.optional(|scanner| {
            scanner.take(b"eE");
            scanner.take(b"+-");
            scanner.digits()
        });
        Ok(())
    }

    /// Fraction and exponent count only when digits follow: else they are not part of the number.
    fn optional(&mut self, part: impl Fn(&mut Self) -> usize) {
        let start = self.at;
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) || part(self) == 0 {
            self.at = start;
        }
    }

    fn take(&mut self, any_of: &[u8]) {
        if self.peek().is_some_and(|byte| any_of.contains(&byte)) {
            self.at += 1;
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> ScanResult<()> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err((start, "Unterminated string starting at")),
                Some(b'"') => break,
                Some(b'\\') => self.escape(start)?,
                Some(0..=0x1f) => return Err((self.at, "Invalid control character at")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self, start: usize) -> ScanResult<()> {
        let backslash = self.at;
        match self.bytes.get(self.at + 1) {
            None => return Err((start, "Unterminated string starting at")),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err((backslash + 1, "Invalid \\uXXXX escape"));
                }
                self.at += 6;
            }
            Some(_) => return Err((backslash, "Invalid \\escape")),
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::explain;
    use serde_json::Value;

    fn fault(body: &str) -> (usize, String) {
        let error = serde_json::from_str::<Value>(body).unwrap_err();
        let fault = explain(body.as_bytes(), &error);
        (fault.position, fault.message)
    }

    // Expected positions and sentences are what `json.loads` of CPython 3.11 raises.
    #[test]
    fn faults_have_the_position_and_the_words_of_python() {
        for (body, position, message) in [
            ("{bad", 1, "Expecting property name enclosed in double quotes"),
            ("{", 1, "Expecting property name enclosed in double quotes"),
            ("{\"a\":1,}", 7, "Expecting property name enclosed in double quotes"),
            ("{\"a\" 1}", 5, "Expecting ':' delimiter"),
            ("{\"a\":1 \"b\":2}", 7, "Expecting ',' delimiter"),
            ("{\"é\":tru}", 5, "Expecting value"),
            ("{\"a\":01}", 6, "Expecting ',' delimiter"),
            ("[1,2", 4, "Expecting ',' delimiter"),
            ("{\"a\":\"x", 5, "Unterminated string starting at"),
            ("{\"a\":\"x\ny\"}", 7, "Invalid control character at"),
            ("{\"a\":\"\\q\"}", 6, "Invalid \\escape"),
            ("{} x", 3, "Extra data"),
            ("  ", 2, "Expecting value"),
            ("{\"a\":NaN}", 5, "Expecting value"),
        ] {
            assert_eq!(fault(body), (position, message.to_owned()), "{body}");
        }
    }

    #[test]
    fn what_is_well_formed_but_refused_gets_the_parsers_own_sentence() {
        let (position, message) = fault(&"[".repeat(400));
        assert_eq!((position, message.as_str()), (400, "Expecting value"));
        let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
        assert_eq!(fault(&deep).1, "recursion limit exceeded");
        assert_eq!(fault("[1e999]").1, "number out of range");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let body = b"{\"\xc3\xa9\":\"\xff\"}";
        let error = serde_json::from_slice::<Value>(body).unwrap_err();
        assert_eq!(explain(body, &error).position, 6);
    }
}
