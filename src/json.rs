//! Reading and changing JSON text from outside; unchanged parts keep their bytes.

mod claims;
mod edits;
mod first;
mod members;
mod splices;
mod text;

pub use claims::{claim, claim_text};
pub use edits::{Edits, PathSegment};
pub use first::First;
pub use members::{Members, member};
pub use splices::Splices;
pub use text::{clip, hex, one_line, one_line_text, read};
