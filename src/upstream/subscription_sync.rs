//! Keeps the subscriptions of a server with sessions in step with those of the clients. A new connection subscribes to
//! all of them; resources without a subscriber are unsubscribed. A client's session sends the first request to
//! subscribe by itself, to see a refusal; a second one is harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::protocol::{Era, method};
use crate::upstream::connection::Connection;
use crate::upstream::request::{Request, RequestKind};
use crate::upstream::subscriptions::Subscriptions;

/// How long a server may take to answer; after that the next request is sent all the same.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The subscriptions over one connection.
pub struct SubscriptionSync<'a> {
    subscriptions: &'a Subscriptions,
    connection: &'a dyn Connection,
    changed: watch::Receiver<u64>,
    /// The resources to which the server may be subscribed over this connection; true where that is certain.
    told: BTreeMap<Arc<str>, bool>,
}

impl<'a> SubscriptionSync<'a> {
    pub fn new(subscriptions: &'a Subscriptions, connection: &'a dyn Connection) -> Self {
        let changed = subscriptions.changed();
        // What an earlier connection was not told ended with it.
        subscriptions.take_ended();
        Self { subscriptions, connection, changed, told: BTreeMap::new() }
    }

    /// Sends each change to the server. May be dropped at any time and called again: an unfinished request is sent
    /// once more.
    pub async fn run(&mut self) -> Infallible {
        // A stateless server has `subscriptions/listen` instead.
        if self.connection.era().current() == Era::Stateless {
            while self.changed.changed().await.is_ok() {
                self.subscriptions.take_ended();
            }
            return std::future::pending().await;
        }
        loop {
            self.changed.borrow_and_update();
            let now: BTreeSet<Arc<str>> = self.subscriptions.uris().into_iter().collect();
            let begun: Vec<_> =
                now.iter().filter(|uri| self.told.get(*uri) != Some(&true)).cloned().collect();
            for uri in begun {
                self.told.insert(uri.clone(), false);
                self.request(method::RESOURCES_SUBSCRIBE, &uri).await;
                self.told.insert(uri, true);
            }
            let mut ended = self.told.keys().filter(|uri| !now.contains(*uri)).cloned().collect::<Vec<_>>();
            if ended.is_empty() {
                // The client's session subscribed at the server, even if this loop never saw the resource.
                ended.extend(self.subscriptions.take_ended());
                self.told.extend(ended.iter().map(|uri| (uri.clone(), false)));
            }
            if ended.is_empty() && self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
            for uri in ended {
                if !self.subscriptions.take_end(&uri) {
                    continue;
                }
                self.told.insert(uri.clone(), false);
                self.request(method::RESOURCES_UNSUBSCRIBE, &uri).await;
                self.told.remove(&uri);
                // New resources go first.
                if self.changed.has_changed().unwrap_or(true) {
                    break;
                }
            }
        }
    }

    async fn request(&self, method: &str, uri: &str) {
        let members = format!("\"uri\":{}", serde_json::Value::from(uri));
        let what = RequestKind::Other { method, members: members.as_bytes(), name: Some(uri) };
        match timeout(ANSWER_LIMIT, self.connection.request(Request::plain(what), None)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "{method} was not answered"),
            Err(_) => tracing::debug!("{method} was not answered in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::connection::fake::RecordingConnection;

    async fn for_a_moment(sync: &mut SubscriptionSync<'_>) {
        let _dropped = timeout(Duration::from_millis(1), sync.run()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_told_to_its_end_is_told_again() {
        let (subscriptions, connection) = (Subscriptions::default(), RecordingConnection::new());
        let mut sync = SubscriptionSync::new(&subscriptions, &*connection);
        for_a_moment(&mut sync).await;
        assert!(connection.requests().is_empty());
        subscriptions.add("a");
        for_a_moment(&mut sync).await;
        for_a_moment(&mut sync).await;
        let asked = ("resources/subscribe".to_owned(), "a".to_owned());
        assert_eq!(connection.requests(), [asked.clone(), asked.clone()]);
        // A server that never answers holds up what comes after for a while alone.
        subscriptions.add("b");
        let _dropped = timeout(ANSWER_LIMIT * 3, sync.run()).await;
        let other = ("resources/subscribe".to_owned(), "b".to_owned());
        assert_eq!(connection.requests()[2..], [asked, other]);
        subscriptions.remove("a");
        for_a_moment(&mut sync).await;
        assert_eq!(connection.requests()[4..], [("resources/unsubscribe".to_owned(), "a".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_ends_at_once_is_ended_at_the_server_too() {
        let (subscriptions, connection) = (Subscriptions::default(), RecordingConnection::new());
        let mut sync = SubscriptionSync::new(&subscriptions, &*connection);
        subscriptions.add("short");
        subscriptions.remove("short");
        // Begun again before the end was told: it goes on.
        subscriptions.add("again");
        subscriptions.remove("again");
        subscriptions.add("again");
        let _dropped = timeout(ANSWER_LIMIT * 3, sync.run()).await;
        let asked = |method: &str, uri: &str| (method.to_owned(), uri.to_owned());
        let expected = [asked("resources/subscribe", "again"), asked("resources/unsubscribe", "short")];
        assert_eq!(connection.requests(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_begins_again_while_its_end_is_told_is_made_once_more() {
        let (subscriptions, connection) = (Subscriptions::default(), RecordingConnection::new());
        let mut sync = SubscriptionSync::new(&subscriptions, &*connection);
        subscriptions.add("a");
        let _dropped = timeout(ANSWER_LIMIT * 2, sync.run()).await;
        subscriptions.remove("a");
        for_a_moment(&mut sync).await;
        subscriptions.add("a");
        for_a_moment(&mut sync).await;
        let methods: Vec<_> = connection.requests().into_iter().map(|(method, _)| method).collect();
        assert_eq!(methods, ["resources/subscribe", "resources/unsubscribe", "resources/subscribe"]);
    }
}
