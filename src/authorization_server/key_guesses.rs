//! Wrong API keys at the page: each address may type a few, then one in a while.
//!
//! Behind a proxy many people have one address, so none is locked out for good. An address without wrong keys of late may
//! always try, also while others are slowed down.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;
use crate::trace::Peer;

/// Wrong keys of one address at once, and then one in this time.
const BURST: u32 = 5;
const EVERY: Duration = Duration::from_secs(5);
/// The same for all addresses with wrong keys together.
const BURST_OF_ALL: u32 = 50;
const EVERY_OF_ALL: Duration = Duration::from_millis(500);
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// Counts wrong keys.
#[derive(Debug, Default)]
pub struct KeyGuesses(Mutex<Guesses>);

#[derive(Debug, Default)]
struct Guesses {
    /// When all wrong keys of an address are forgotten.
    by_address: HashMap<GuessingParty, Instant>,
    of_all: Option<Instant>,
}

/// What stands for one party: an IPv6 network of 64 bits is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum GuessingParty {
    Ip(IpAddr),
    Unix(Option<u32>),
}

/// How a try ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Guess<T> {
    Right(T),
    Wrong,
    /// It was not looked at; another one is after this time.
    TooMany(Duration),
}

impl KeyGuesses {
    /// Has `peer` try a key, which `find` looks up.
    pub fn guess<T>(&self, peer: Peer, now: Instant, find: impl FnOnce() -> Option<T>) -> Guess<T> {
        let mut guesses = lock(&self.0);
        let address = GuessingParty::of(peer);
        guesses.by_address.retain(|_, until| *until > now);
        let known = guesses.by_address.get(&address).copied();
        if let Some(until) = known {
            let own = wait(until, now, BURST, EVERY);
            let all = guesses.of_all.and_then(|until| wait(until, now, BURST_OF_ALL, EVERY_OF_ALL));
            if let Some(wait) = own.max(all) {
                return Guess::TooMany(wait);
            }
        }
        if let Some(found) = find() {
            return Guess::Right(found);
        }
        if known.is_none() && guesses.by_address.len() >= ADDRESSES {
            let least =
                guesses.by_address.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address);
            least.and_then(|least| guesses.by_address.remove(&least));
        }
        guesses.by_address.insert(address, known.unwrap_or(now) + EVERY);
        guesses.of_all = Some(guesses.of_all.map_or(now, |until| until.max(now)) + EVERY_OF_ALL);
        Guess::Wrong
    }
}

/// How long to wait where wrong keys are forgotten at `until`; `None` when one more is allowed now.
fn wait(until: Instant, now: Instant, burst: u32, every: Duration) -> Option<Duration> {
    let wait = until.saturating_duration_since(now).saturating_sub(every * (burst - 1));
    (!wait.is_zero()).then_some(wait)
}

impl GuessingParty {
    fn of(peer: Peer) -> Self {
        match peer {
            Peer::Tcp(address) => Self::Ip(match address.ip() {
                IpAddr::V6(ip) => {
                    let [a, b, c, d, ..] = ip.segments();
                    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
                }
                v4 => v4,
            }),
            Peer::Unix { user } => Self::Unix(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_down_and_another_is_not() {
        let (guesses, now) = (KeyGuesses::default(), Instant::now());
        let peer = |ip: [u8; 4]| Peer::tcp((ip, 1).into());
        let wrong = |ip, now| guesses.guess(peer(ip), now, || None::<()>);
        for _ in 0..BURST {
            assert_eq!(wrong([127, 0, 0, 1], now), Guess::Wrong);
        }
        let looked = guesses.guess(peer([127, 0, 0, 1]), now, || Some(()));
        assert_eq!(looked, Guess::TooMany(EVERY), "not even the right key is looked at");
        assert_eq!(guesses.guess(peer([127, 0, 0, 2]), now, || Some(1)), Guess::Right(1));
        assert_eq!(wrong([127, 0, 0, 1], now + EVERY), Guess::Wrong);
        assert_eq!(wrong([127, 0, 0, 1], now + EVERY), Guess::TooMany(EVERY));
        let rested = now + EVERY * (BURST + 2);
        assert_eq!(guesses.guess(peer([127, 0, 0, 1]), rested, || Some(1)), Guess::Right(1));
    }

    #[test]
    fn many_addresses_together_are_slowed_down_and_a_fresh_one_is_not() {
        let (guesses, now) = (KeyGuesses::default(), Instant::now());
        let mut looked_at = 0;
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 100 {
            let [_, _, high, low] = number.to_be_bytes();
            for _ in 0..2 {
                let guess = guesses.guess(Peer::tcp(([10, 0, high, low], 1).into()), now, || None::<()>);
                looked_at += u32::from(guess == Guess::Wrong);
            }
        }
        assert!(looked_at < 5000, "{looked_at}");
        assert!(lock(&guesses.0).by_address.len() <= ADDRESSES);
        assert_eq!(guesses.guess(Peer::tcp(([192, 0, 2, 1], 1).into()), now, || Some(1)), Guess::Right(1));
    }
}
