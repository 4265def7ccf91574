//! Which clients got other tools than the shared list, by their capabilities.
//!
//! No server announces this. A client with known capabilities need not be asked again.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Sets of capabilities that are remembered.
const MOST: usize = 256;

/// Whether the last client with certain capabilities (JSON text) got other tools. Reading takes no lock.
#[derive(Debug, Default)]
pub struct ToolVariants(ArcSwap<HashMap<Arc<str>, bool>>);

impl ToolVariants {
    /// Whether clients with `capabilities` (JSON text) get other tools; `None` while none was seen.
    pub fn differ(&self, capabilities: &str) -> Option<bool> {
        self.0.load().get(capabilities).copied()
    }

    /// Takes note, as far as there is room.
    pub fn learn(&self, capabilities: &Arc<str>, differ: bool) {
        if self.differ(capabilities) == Some(differ) {
            return;
        }
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() < MOST || known.contains_key(capabilities) {
                known.insert(capabilities.clone(), differ);
            }
            known
        });
    }

    /// The shared list changed; forget which clients matched it.
    pub fn forget_matching(&self) {
        self.0.rcu(|known| {
            let differing = known.iter().filter(|(_, differ)| **differ);
            differing.map(|(capabilities, _)| (capabilities.clone(), true)).collect::<HashMap<_, _>>()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_counts_and_that_nothing_differs_is_doubted_when_all_changes() {
        let variants = ToolVariants::default();
        let (asked, plain) = (Arc::from("{\"elicitation\":{}}"), Arc::from("{\"roots\":{}}"));
        for differ in [false, true] {
            variants.learn(&asked, differ);
            assert_eq!(variants.differ(&asked), Some(differ));
        }
        variants.learn(&plain, false);
        variants.forget_matching();
        assert_eq!((variants.differ(&asked), variants.differ(&plain)), (Some(true), None));
    }

    #[test]
    fn clients_that_declare_ever_other_things_do_not_fill_the_memory() {
        let variants = ToolVariants::default();
        for number in 0..2 * MOST {
            variants.learn(&Arc::from(number.to_string()), true);
        }
        assert_eq!(variants.0.load().len(), MOST);
    }
}
