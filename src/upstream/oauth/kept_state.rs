//! The state of one sign-in as rmcp keeps it, which can go on at another replica.

use std::sync::{Arc, Mutex};

use rmcp::transport::auth::{AuthError, StateStore, StoredAuthorizationState};

use crate::sync::lock;

/// The state of one sign-in.
#[derive(Clone, Default)]
pub(super) struct KeptState(Arc<Mutex<Option<StoredAuthorizationState>>>);

impl KeptState {
    pub fn of(state: StoredAuthorizationState) -> Self {
        Self(Arc::new(Mutex::new(Some(state))))
    }

    pub fn get(&self) -> Option<StoredAuthorizationState> {
        lock(&self.0).clone()
    }
}

#[async_trait::async_trait]
impl StateStore for KeptState {
    async fn save(&self, _token: &str, state: StoredAuthorizationState) -> Result<(), AuthError> {
        *lock(&self.0) = Some(state);
        Ok(())
    }

    async fn load(&self, token: &str) -> Result<Option<StoredAuthorizationState>, AuthError> {
        Ok(self.get().filter(|state| state.csrf_token == token))
    }

    async fn delete(&self, _token: &str) -> Result<(), AuthError> {
        *lock(&self.0) = None;
        Ok(())
    }
}
