//! Keeps the subscriptions of a server with sessions in step with those of the clients. A new connection subscribes to
//! all of them; resources without a subscriber are unsubscribed. A client's session sends the first request to
//! subscribe by itself, to see a refusal; a second one is harmless.

use std::collections::BTreeSet;
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
    /// The subscriptions made over this connection.
    subscribed: BTreeSet<Arc<str>>,
}

impl<'a> SubscriptionSync<'a> {
    pub fn new(subscriptions: &'a Subscriptions, connection: &'a dyn Connection) -> Self {
        let changed = subscriptions.changed();
        // Those of an earlier connection ended with it.
        subscriptions.take_ended();
        Self { subscriptions, connection, changed, subscribed: BTreeSet::new() }
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
            // However short its time was, a client's session had subscribed to it.
            self.subscribed.append(&mut self.subscriptions.take_ended());
            let now: BTreeSet<Arc<str>> = self.subscriptions.uris().into_iter().collect();
            let begun: Vec<_> = now.difference(&self.subscribed).cloned().collect();
            let ended: Vec<_> = self.subscribed.difference(&now).cloned().collect();
            for uri in begun {
                self.request(method::RESOURCES_SUBSCRIBE, &uri).await;
                self.subscribed.insert(uri);
            }
            for uri in ended {
                self.request(method::RESOURCES_UNSUBSCRIBE, &uri).await;
                self.subscribed.remove(&uri);
            }
            if self.changed.changed().await.is_err() {
                return std::future::pending().await;
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
}
