//! To which clients one server offers other tools than to everybody, as far as that was seen: by what they can be asked.
//!
//! Nothing says so beforehand. The list of the first client with certain capabilities that gets a connection of its own is
//! compared with that of everybody.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Sets of capabilities that are remembered.
const MOST: usize = 256;

/// See the module. Reading takes no lock.
#[derive(Debug, Default)]
pub struct Offers(ArcSwap<HashMap<Arc<str>, bool>>);

impl Offers {
    /// Whether clients with `capabilities` (JSON text) get other tools; `None` while none was seen.
    pub fn differ(&self, capabilities: &str) -> Option<bool> {
        self.0.load().get(capabilities).copied()
    }

    /// Takes note; whether it is news that they `differ`.
    pub fn learn(&self, capabilities: &Arc<str>, differ: bool) -> bool {
        let is_news = self.differ(capabilities) != Some(differ);
        if is_news {
            self.0.rcu(|known| {
                let mut known = HashMap::clone(known);
                if known.len() < MOST || known.contains_key(capabilities) {
                    known.insert(capabilities.clone(), differ);
                }
                known
            });
        }
        is_news && differ
    }

    /// Everybody gets other tools now: whoever got the same may get others.
    pub fn doubt(&self) {
        self.0.rcu(|known| {
            let differing = known.iter().filter(|(_, differ)| **differ);
            differing.map(|(capabilities, differ)| (capabilities.clone(), *differ)).collect::<HashMap<_, _>>()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_news_once_and_what_does_not_is_doubted_when_all_changes() {
        let offers = Offers::default();
        let (asked, plain) = (Arc::from("{\"elicitation\":{}}"), Arc::from("{\"roots\":{}}"));
        assert!(offers.learn(&asked, true) && !offers.learn(&asked, true) && !offers.learn(&plain, false));
        assert_eq!((offers.differ(&asked), offers.differ(&plain)), (Some(true), Some(false)));
        offers.doubt();
        assert_eq!((offers.differ(&asked), offers.differ(&plain)), (Some(true), None));
    }

    #[test]
    fn clients_that_declare_ever_other_things_do_not_fill_the_memory() {
        let offers = Offers::default();
        for number in 0..2 * MOST {
            offers.learn(&Arc::from(number.to_string()), true);
        }
        assert_eq!(offers.0.load().len(), MOST);
    }
}
