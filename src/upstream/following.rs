//! Keeps a server with sessions informed of the resources that somebody follows: what is followed now is asked for, over
//! a new connection all of it, and what nobody follows any longer is given up. A session that begins to follow asks by
//! itself before, to be told of a refusal; asking twice is harmless.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::link::Link;
use super::request::{Request, What};
use super::subscriptions::Subscriptions;
use crate::protocol::{Era, method};

/// How long a server may take to answer; one that does not is told the next thing all the same.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// One connection's share of it.
pub struct Following<'a> {
    subscriptions: &'a Subscriptions,
    link: &'a dyn Link,
    changed: watch::Receiver<u64>,
    /// What the server was asked for over this connection.
    told: BTreeSet<Arc<str>>,
}

impl<'a> Following<'a> {
    pub fn new(subscriptions: &'a Subscriptions, link: &'a dyn Link) -> Self {
        Self { subscriptions, link, changed: subscriptions.changed(), told: BTreeSet::new() }
    }

    /// Tells the server of each change. May be dropped at any time and called again: what was not told to its end is told
    /// once more.
    pub async fn follow(&mut self) -> Infallible {
        // A server without sessions is told otherwise.
        if self.link.era().current() == Era::Stateless {
            return std::future::pending().await;
        }
        loop {
            self.changed.borrow_and_update();
            let now: BTreeSet<Arc<str>> = self.subscriptions.uris().into_iter().collect();
            let begun: Vec<_> = now.difference(&self.told).cloned().collect();
            let ended: Vec<_> = self.told.difference(&now).cloned().collect();
            for uri in begun {
                self.tell(method::RESOURCES_SUBSCRIBE, &uri).await;
                self.told.insert(uri);
            }
            for uri in ended {
                self.tell(method::RESOURCES_UNSUBSCRIBE, &uri).await;
                self.told.remove(&uri);
            }
            if self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn tell(&self, method: &str, uri: &str) {
        let members = format!("\"uri\":{}", serde_json::Value::from(uri));
        let what = What::Other { method, members: members.as_bytes(), name: Some(uri) };
        match timeout(ANSWER_LIMIT, self.link.request(Request::plain(what), None)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "{method} was not answered"),
            Err(_) => tracing::debug!("{method} was not answered in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::link::fake::Told;

    async fn for_a_moment(following: &mut Following<'_>) {
        let _dropped = timeout(Duration::from_millis(1), following.follow()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_told_to_its_end_is_told_again() {
        let (subscriptions, link) = (Subscriptions::default(), Told::new());
        let mut following = Following::new(&subscriptions, &*link);
        for_a_moment(&mut following).await;
        assert!(link.requests().is_empty());
        subscriptions.add("a");
        for_a_moment(&mut following).await;
        for_a_moment(&mut following).await;
        let asked = ("resources/subscribe".to_owned(), "a".to_owned());
        assert_eq!(link.requests(), [asked.clone(), asked.clone()]);
        // A server that never answers holds up what comes after for a while alone.
        subscriptions.add("b");
        let _dropped = timeout(ANSWER_LIMIT * 3, following.follow()).await;
        let other = ("resources/subscribe".to_owned(), "b".to_owned());
        assert_eq!(link.requests()[2..], [asked, other]);
        subscriptions.remove("a");
        for_a_moment(&mut following).await;
        assert_eq!(link.requests()[4..], [("resources/unsubscribe".to_owned(), "a".to_owned())]);
    }
}
