//! The `requestState` of a suspended request: it names the replica that holds the request, sealed.

use serde::{Deserialize, Serialize};

use crate::config::Replica;
use crate::seal::{SealError, Sealer};

/// The purpose of the seal.
pub const PURPOSE: &str = "request state 1";
/// The beginning of the gateway's own `requestState`.
const PREFIX: &str = "mcpo.";
/// The longest that is opened, in characters.
const LONGEST: usize = 2048;

/// The content of a `requestState`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestState {
    /// The replica that holds the request.
    pub replica: Replica,
    /// The end of the wait, in seconds since 1970.
    pub until: u64,
}

impl RequestState {
    /// A text that is no other request's: each seal is another.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn text(&self, sealer: &Sealer) -> Result<String, SealError> {
        sealer.seal_json(PREFIX, self)
    }

    /// The content of `text`; `None` when no replica of the gateway made it.
    pub fn open(text: &str, sealer: &Sealer) -> Option<Self> {
        if text.len() > PREFIX.len() + LONGEST { None } else { sealer.open_json(PREFIX, text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SealSecrets;

    #[test]
    fn the_longest_name_and_address_fit_and_nothing_else_opens() {
        let replica =
            Replica { name: "n".repeat(100), url: Some(format!("https://{}:65535", "h".repeat(253))) };
        let state = RequestState { replica, until: 1_796_000_000 };
        let sealer = SealSecrets::of_this_process().unwrap().sealer(PURPOSE);
        let text = state.text(&sealer).unwrap();
        assert_eq!(RequestState::open(&text, &sealer), Some(state));
        let other = SealSecrets::of_this_process().unwrap().sealer(PURPOSE);
        assert_eq!(RequestState::open(&text, &other), None);
        assert_eq!(RequestState::open(&text[1..], &sealer), None);
        assert_eq!(RequestState::open("mcpo.none", &sealer), None);
    }
}
