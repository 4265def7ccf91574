//! Ids that cannot be guessed: of sessions and of waiting requests.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::json::hex;

/// 32 hexadecimal digits from the kernel's random numbers.
///
/// # Errors
///
/// When the kernel has no random numbers.
pub fn new_id() -> Result<Box<str>, rustix::io::Errno> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(hex(&bytes).into())
}
