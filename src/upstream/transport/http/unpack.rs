//! Bodies of answers, unpacked as they are read where they are compressed (RFC 9110, section 8.4.1): some servers and
//! balancers compress though nothing was asked for.

use std::{fmt, io};

use bytes::{Buf as _, Bytes};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use http::Response;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::upstream::error::{CloseReason, RequestError};

/// Bytes that are unpacked in one step: the bounds of a response are checked after each.
const STEP: usize = 32 << 10;
/// The largest window of Zstandard, as a power of two: what RFC 9659 has every recipient take.
const WINDOW: u32 = 23;

/// The body of one answer.
#[derive(Debug)]
pub struct AnswerBody {
    body: Incoming,
    packed: Option<Box<Packed>>,
}

impl AnswerBody {
    /// # Errors
    ///
    /// [`RequestError::Malformed`] when it is packed in a way that the gateway does not know.
    pub fn of(response: Response<Incoming>) -> Result<Self, RequestError> {
        let mut packed = None;
        for value in response.headers().get_all(CONTENT_ENCODING) {
            for name in value.to_str().unwrap_or("?").split(',').map(str::trim) {
                let coding = match name.to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Some(Coding::Gzip),
                    "deflate" => Some(Coding::Deflate),
                    "br" => Some(Coding::Brotli),
                    "zstd" => Some(Coding::Zstd),
                    _ => None,
                };
                match coding {
                    Some(coding) if packed.is_none() => packed = Some(Box::new(Packed::new(coding))),
                    _ => {
                        let name = crate::upstream::error_text::cut_words(name);
                        let why =
                            format!("it answers in the content encoding `{name}`, which nothing here reads");
                        return Err(RequestError::Malformed(why));
                    }
                }
            }
        }
        Ok(Self { body: response.into_body(), packed })
    }

    /// Whether the whole body has been read.
    pub fn is_at_end(&self) -> bool {
        self.body.is_end_stream() && self.packed.as_ref().is_none_or(|packed| packed.input.is_empty())
    }

    /// The next piece; `None` at the end. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came cannot be unpacked.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        loop {
            if let Some(packed) = &mut self.packed
                && let Some(piece) = packed.next()?
            {
                // A little that is packed can be much that is read.
                tokio::task::consume_budget().await;
                return Ok(Some(piece));
            }
            let Some(frame) = self.body.frame().await else {
                return match &self.packed {
                    Some(packed) => packed.end().map(|()| None),
                    None => Ok(None),
                };
            };
            let frame = frame.map_err(|error| RequestError::Lost(CloseReason::Broken(error.to_string())))?;
            let Ok(data) = frame.into_data() else { continue };
            match &mut self.packed {
                Some(packed) => packed.input = data,
                None => return Ok(Some(data)),
            }
        }
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn decoder(self, start: &[u8]) -> Box<dyn DecodeV2 + Send + Sync> {
        match self {
            Self::Deflate if is_zlib(start) => Box::new(ZlibDecoder::new()),
            // Some servers take the name at its word, and leave the frame around it out.
            Self::Deflate => Box::new(DeflateDecoder::new()),
            Self::Gzip => Box::new(GzipDecoder::new()),
            Self::Brotli => Box::new(BrotliDecoder::new()),
            Self::Zstd => Box::new(ZstdDecoder::new_with_params(&[DParameter::window_log_max(WINDOW)])),
        }
    }
}

/// Whether the bytes begin as RFC 1950 has it.
fn is_zlib(start: &[u8]) -> bool {
    let head = |second| (u16::from(start[0]) << 8 | u16::from(second)).is_multiple_of(31);
    start.first().is_some_and(|first| first & 0x0f == 8) && start.get(1).copied().is_none_or(head)
}

/// The packed rest of a body.
struct Packed {
    coding: Coding,
    decoder: Option<Box<dyn DecodeV2 + Send + Sync>>,
    input: Bytes,
    /// The last step filled its room, so there may be more without further input.
    has_more: bool,
    has_ended: bool,
}

impl Packed {
    fn new(coding: Coding) -> Self {
        Self { coding, decoder: None, input: Bytes::new(), has_more: false, has_ended: false }
    }

    /// The next piece of what has come; `None` when more has to come first.
    fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        while self.has_more || !self.input.is_empty() {
            if self.has_ended {
                // Further members (RFC 1952, section 2.2); anything else is padding.
                self.decoder = None;
            }
            let decoder = self.decoder.get_or_insert_with(|| self.coding.decoder(&self.input));
            let mut room = vec![0; STEP];
            let mut input = PartialBuffer::new(&self.input[..]);
            let mut output = WriteBuffer::new_initialized(&mut room);
            let decoded = decoder.decode(&mut input, &mut output);
            let (read, written) = (input.written_len(), output.written_len());
            let was_ended = std::mem::take(&mut self.has_ended);
            match decoded {
                Ok(ended) => self.has_ended = ended,
                Err(_) if was_ended => {
                    self.has_ended = true;
                    self.has_more = false;
                    self.input.clear();
                    return Ok(None);
                }
                Err(error) => return Err(self.broken(&error)),
            }
            self.input.advance(read);
            self.has_more = written == STEP && !self.has_ended;
            if written > 0 {
                room.truncate(written);
                return Ok(Some(room.into()));
            }
            if read == 0 && !self.has_ended {
                return Err(self.broken(&io::ErrorKind::InvalidData.into()));
            }
        }
        Ok(None)
    }

    /// Nothing more comes.
    fn end(&self) -> Result<(), RequestError> {
        match self.has_ended || self.decoder.is_none() {
            true => Ok(()),
            false => Err(RequestError::Lost(CloseReason::Broken("a compressed answer ended early".into()))),
        }
    }

    fn broken(&self, error: &io::Error) -> RequestError {
        RequestError::Malformed(format!(
            "its answer is no {:?}, which it is said to be: {error}",
            self.coding
        ))
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Packed").field("coding", &self.coding).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// `{"a":"hello hello hello"}`, packed by Python's zlib and gzip and by the reference tools.
    const PACKED: [(Coding, &str); 5] = [
        (Coding::Gzip, "H4sIAAAAAAACA6tWSlSyUspIzcnJV0AilWoBQ7BcuRkAAAA="),
        (Coding::Deflate, "eJyrVkpUslLKSM3JyVdAIpVqAWovCJg="),
        (Coding::Deflate, "q1ZKVLJSykjNyclXQCKVagE="),
        (Coding::Brotli, "CwyAeyJhIjoiaGVsbG8gaGVsbG8gaGVsbG8ifQM="),
        (Coding::Zstd, "KLUv/QRYpQAAcHsiYSI6ImhlbGxvICJ9AQAxShKJQhQr"),
    ];

    fn unpacked(coding: Coding, bytes: &[u8], chunk: usize) -> Result<Vec<u8>, RequestError> {
        let (mut packed, mut whole) = (Packed::new(coding), Vec::new());
        for chunk in bytes.chunks(chunk) {
            packed.input = Bytes::copy_from_slice(chunk);
            while let Some(piece) = packed.next()? {
                assert!(piece.len() <= STEP);
                whole.extend_from_slice(&piece);
            }
        }
        packed.end().map(|()| whole)
    }

    #[test]
    fn what_is_packed_is_read_wherever_the_chunks_end() {
        for (coding, text) in PACKED {
            let bytes = STANDARD.decode(text).unwrap();
            for chunk in [1, 3, 1000] {
                let read = unpacked(coding, &bytes, chunk).unwrap();
                assert_eq!(
                    String::from_utf8(read).unwrap(),
                    r#"{"a":"hello hello hello"}"#,
                    "{coding:?} {chunk}"
                );
            }
            assert!(unpacked(coding, &bytes[..bytes.len() - 2], 1000).is_err(), "{coding:?}: cut off");
            assert!(
                unpacked(coding, b"<html>no such thing</html>", 1000).is_err(),
                "{coding:?}: something else"
            );
        }
    }

    #[test]
    fn members_follow_each_other_and_padding_is_none() {
        let one = STANDARD.decode(PACKED[0].1).unwrap();
        let two = [&one[..], &one[..], &[0; 9]].concat();
        assert_eq!(unpacked(Coding::Gzip, &two, 1000).unwrap().len(), 2 * 25);
        assert_eq!(unpacked(Coding::Gzip, b"", 1).unwrap(), b"");
    }
}
