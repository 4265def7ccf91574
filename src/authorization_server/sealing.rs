//! Sealed content.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::seal::{SealError, Sealer};

/// `content` as a sealed text behind `prefix`.
pub fn sealed(sealer: &Sealer, prefix: &str, content: &impl Serialize) -> Result<String, SealError> {
    let content = serde_json::to_vec(content).map_err(|_| SealError)?;
    Ok(format!("{prefix}{}", sealer.seal(&content)?))
}

/// What was sealed as `text` behind `prefix`.
pub fn opened<T: DeserializeOwned>(sealer: &Sealer, prefix: &str, text: &str) -> Option<T> {
    let content = sealer.open(text.strip_prefix(prefix)?.as_bytes())?;
    serde_json::from_slice(&content).ok()
}
