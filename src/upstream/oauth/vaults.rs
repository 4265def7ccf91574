//! The vaults in use. After a reload the old server and the new one run beside each other for a while: as long as both
//! belong to the same sign-in they have the same vault, and if not, the new one has the file.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::vault::Vault;

/// See the module.
#[derive(Debug, Default)]
pub struct Vaults(Mutex<InUse>);

#[derive(Debug, Default)]
struct InUse {
    vaults: Vec<Weak<Vault>>,
    given_out: u64,
}

impl Vaults {
    /// The vault in use that belongs with `fresh`, or else that one.
    pub fn shared(&self, fresh: Vault) -> Arc<Vault> {
        let mut in_use = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.given_out += 1;
        let place = in_use.given_out;
        in_use.vaults.retain(|vault| vault.strong_count() > 0);
        let in_use_now = in_use.vaults.iter().filter_map(Weak::upgrade);
        let of_name: Vec<Arc<Vault>> = in_use_now.filter(|vault| vault.server() == fresh.server()).collect();
        let vault = match of_name.iter().find(|vault| vault.belongs_with(&fresh)) {
            Some(same) => same.clone(),
            None => {
                let fresh = Arc::new(match of_name.first() {
                    Some(other) => fresh.sharing_file_with(other),
                    None => fresh,
                });
                in_use.vaults.push(Arc::downgrade(&fresh));
                fresh
            }
        };
        vault.take_place(place);
        vault
    }
}
