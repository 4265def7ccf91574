//! The sign-in of a browser at the pages of the gateway.

use serde::{Deserialize, Serialize};

use super::holder::KeyIdentity;

/// The cookie of a browser that is signed in at the pages.
pub const PAGE_COOKIE: &str = "mcpo-page";
/// How long it is good, in seconds.
pub const PAGE_FOR: u64 = 12 * 3600;

/// The content of the cookie.
#[derive(Serialize, Deserialize)]
pub struct PageSession {
    pub key: KeyIdentity,
    pub until: u64,
}
