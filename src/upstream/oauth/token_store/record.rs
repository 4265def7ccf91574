//! The record of a sign-in, in its file and in the store that replicas share.

use std::time::{Duration, SystemTime};

use oauth2::TokenResponse as _;
use rmcp::transport::auth::StoredCredentials;
use serde::{Deserialize, Serialize};

use crate::upstream::oauth::dpop;

/// The gateway as a client of one authorization server.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientRegistration {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The redirect URI of the registration; another one needs another registration.
    pub redirect_uri: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct StoredSignIn {
    /// The entry that this belongs to.
    pub entry: String,
    pub issuer: Option<String>,
    /// Only of a client that the gateway registered itself.
    pub client: Option<ClientRegistration>,
    pub credentials: Option<StoredCredentials>,
    /// The private key that tokens are bound to, of [`dpop::DpopKey::to_text`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop: Option<String>,
    /// The time of the last change in milliseconds. Of two replicas' records the later one counts.
    #[serde(default)]
    pub changed: u64,
    /// The change that was the sign-in.
    #[serde(default)]
    pub signed_in: u64,
}

impl StoredSignIn {
    /// Notes a change, which is later than all that it was made from.
    pub fn change(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.changed = milliseconds(now).max(self.changed + 1);
    }

    /// The record of a file, which an earlier version may have written without times.
    pub fn of_file(mut self) -> Self {
        if let (0, Some(credentials)) = (self.changed, &self.credentials) {
            let received = Duration::from_secs(credentials.token_received_at.unwrap_or_default());
            self.changed = milliseconds(received).max(1);
            self.signed_in = self.changed;
        }
        self
    }
}

/// Whether the tokens are bound to a key.
pub(super) fn is_bound(stored: &StoredCredentials) -> bool {
    let answer = stored.token_response.as_ref();
    answer.is_some_and(|answer| answer.token_type().as_ref().eq_ignore_ascii_case(dpop::SCHEME))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
