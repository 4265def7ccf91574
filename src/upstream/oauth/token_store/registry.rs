//! The token stores in use. After a reload the old server and the new one run beside each other for a while. Both
//! have the same store while they belong to the same sign-in; otherwise the new one owns the file.

use std::sync::{Arc, Mutex, Weak};

use crate::sync::lock;
use crate::upstream::oauth::token_store::store::TokenStore;

/// The token stores in use, by server.
#[derive(Debug, Default)]
pub struct TokenStores(Mutex<InUse>);

#[derive(Debug, Default)]
struct InUse {
    stores: Vec<Weak<TokenStore>>,
    given_out: u64,
}

impl TokenStores {
    /// The store in use that belongs with `fresh`, or else `fresh`.
    pub fn shared(&self, fresh: TokenStore) -> Arc<TokenStore> {
        let mut in_use = lock(&self.0);
        in_use.given_out += 1;
        let place = in_use.given_out;
        in_use.stores.retain(|store| store.strong_count() > 0);
        let in_use_now = in_use.stores.iter().filter_map(Weak::upgrade);
        let of_name: Vec<Arc<TokenStore>> =
            in_use_now.filter(|store| store.shares_file_with(&fresh)).collect();
        let store = match of_name.iter().find(|store| store.belongs_with(&fresh)) {
            Some(same) => same.clone(),
            None => {
                let fresh = Arc::new(match of_name.first() {
                    Some(other) => fresh.sharing_file_with(other),
                    None => fresh,
                });
                in_use.stores.push(Arc::downgrade(&fresh));
                fresh
            }
        };
        store.take_place(place);
        store
    }
}
