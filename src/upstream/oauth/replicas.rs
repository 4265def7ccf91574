//! Follows what other replicas do with the tokens of a server: a sign-in that ended there counts here at once.

use std::sync::atomic::Ordering;

use crate::upstream::changes::ChangeKind;
use crate::upstream::oauth::authorizer::Authorizer;
use crate::upstream::oauth::token_store::shared::ToldSignIn;

impl Authorizer {
    /// Keeps up with the other replicas, and calls `signed_in` when a person has signed in at one of them. Does not end.
    pub async fn follow_replicas(&self, signed_in: impl Fn()) {
        let Some(mut told) = self.store.told() else { return std::future::pending().await };
        loop {
            if self.synchronize().await {
                signed_in();
            }
            while matches!(told.next().await, ToldSignIn::OfUser(_)) {}
        }
    }

    /// Has the same tokens as the other replicas. Says whether they are of another sign-in than before.
    pub(super) async fn synchronize(&self) -> bool {
        self.store.synchronize().await;
        let sign_in = self.store.sign_in();
        if self.sign_in.swap(sign_in, Ordering::Relaxed) == sign_in {
            return false;
        }
        if sign_in == 0 {
            self.want_sign_in(Vec::new());
            self.lost.notify_one();
            return false;
        }
        let mut state = self.refresh_state.lock().await;
        state.found = None;
        state.challenge = None;
        state.failed = None;
        drop(state);
        self.wanted.store(None);
        self.changes.signal();
        if let Some(user) = &self.user {
            self.changes.announce(&self.server, ChangeKind::SignedIn(user.clone()));
        }
        true
    }
}
