//! The address at which a server is reached whose `url` is a list.
//!
//! Each connection that all callers share begins with the first address and goes on to the next one that serves, as far as
//! its tool list. Connections of single callers begin with the one in use. While a later one is in use, those before it are
//! tried every few seconds. The first that serves again takes over at once, and calls in flight finish where they are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::upstream::error::CloseReason;

/// The time between two looks at the addresses before the one in use.
pub const LOOK_BACK: Duration = Duration::from_secs(5);

/// The number of the address in use, from 0.
#[derive(Debug, Default)]
pub struct AddressChoice(AtomicUsize);

impl AddressChoice {
    pub fn in_use(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Uses this address from now on.
    pub fn set(&self, address: usize) {
        self.0.store(address, Ordering::Relaxed);
    }

    /// All `count` addresses, the one in use first.
    pub fn in_use_first(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let in_use = self.in_use();
        std::iter::once(in_use).chain((0..count).filter(move |address| *address != in_use))
    }
}

/// The outcome of the first start among `addresses` that succeeds, with its address.
///
/// # Errors
///
/// The failure of the first one, when all fail.
pub async fn first_of<T, F: Future<Output = Result<T, CloseReason>>>(
    addresses: impl IntoIterator<Item = usize>,
    start: impl Fn(usize) -> F,
) -> Result<(T, usize), CloseReason> {
    let mut failure = None;
    for address in addresses {
        match start(address).await {
            Ok(started) => return Ok((started, address)),
            Err(stopped @ CloseReason::Stopping) => return Err(stopped),
            Err(reason) => _ = failure.get_or_insert(reason),
        }
    }
    Err(failure.unwrap_or(CloseReason::Stopping))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_first_that_serves_is_used_and_all_failures_are_the_one_of_the_first() {
        let serving = |good: &'static [usize]| {
            let start = |address: usize| {
                let broken = CloseReason::Broken(address.to_string());
                std::future::ready(if good.contains(&address) { Ok(()) } else { Err(broken) })
            };
            first_of(0..3, start).now_or_never().unwrap()
        };
        assert_eq!(serving(&[1, 2]), Ok(((), 1)));
        assert_eq!(serving(&[]), Err(CloseReason::Broken("0".to_owned())));
        let stopping = first_of(0..3, |_| std::future::ready(Err::<(), _>(CloseReason::Stopping)));
        assert_eq!(stopping.now_or_never().unwrap(), Err(CloseReason::Stopping));
    }

    #[test]
    fn a_single_caller_begins_with_the_address_in_use() {
        let choice = AddressChoice::default();
        assert_eq!(choice.in_use_first(1).collect::<Vec<_>>(), [0]);
        choice.set(1);
        assert_eq!(choice.in_use_first(3).collect::<Vec<_>>(), [1, 0, 2]);
    }
}
