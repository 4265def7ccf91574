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
pub struct Offers(ArcSwap<HashMap<Arc<str>, Seen>>);

/// What was seen of the clients with the same capabilities.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Whether the last of them got other tools.
    differ: bool,
    /// Whether one of them ever did, which was news then.
    was_news: bool,
}

impl Offers {
    /// Whether clients with `capabilities` (JSON text) get other tools; `None` while none was seen.
    pub fn differ(&self, capabilities: &str) -> Option<bool> {
        self.0.load().get(capabilities).map(|seen| seen.differ)
    }

    /// Takes note; whether it is news that they `differ`. It is so once, until everybody gets other tools: a server may
    /// have tools for one session alone, and if each answer that is not like the one before were told to all of them, they
    /// would list for ever. What does not fit into the memory is no news either.
    pub fn learn(&self, capabilities: &Arc<str>, differ: bool) -> bool {
        if self.differ(capabilities) == Some(differ) {
            return false;
        }
        let has_room = |known: &HashMap<_, _>| known.len() < MOST || known.contains_key(capabilities);
        let was_news =
            |known: &HashMap<_, Seen>| known.get(capabilities).is_some_and(|seen: &Seen| seen.was_news);
        let before = self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if has_room(&known) {
                let was_news = differ || was_news(&known);
                known.insert(capabilities.clone(), Seen { differ, was_news });
            }
            known
        });
        differ && has_room(&before) && !was_news(&before)
    }

    /// Everybody gets other tools now: whoever got the same may get others.
    pub fn doubt(&self) {
        self.0.rcu(|known| {
            let differing = known.iter().filter(|(_, seen)| seen.differ);
            let doubted = Seen { differ: true, was_news: false };
            differing.map(|(capabilities, _)| (capabilities.clone(), doubted)).collect::<HashMap<_, _>>()
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
    fn that_one_session_gets_others_and_the_next_does_not_is_news_once_however_often_they_are_asked() {
        let offers = Offers::default();
        let asked = Arc::from("{\"elicitation\":{}}");
        let learn_in_turn = || [true, false, true, false, true].map(|differ| offers.learn(&asked, differ));
        assert_eq!(learn_in_turn(), [true, false, false, false, false]);
        assert_eq!(offers.differ(&asked), Some(true), "the last answer counts");
        offers.doubt();
        assert_eq!(learn_in_turn(), [false, false, true, false, false], "all have others now");
    }

    #[test]
    fn clients_that_declare_ever_other_things_do_not_fill_the_memory() {
        let offers = Offers::default();
        let news = (0..2 * MOST).filter(|number| offers.learn(&Arc::from(number.to_string()), true)).count();
        assert_eq!((offers.0.load().len(), news), (MOST, MOST));
    }
}
