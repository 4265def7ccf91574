//! Follows a ready server until its connection ends.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use tokio::time::timeout;

use crate::upstream::changes::ChangeKind;
use crate::upstream::connection::Connection;
use crate::upstream::debounce::DebouncedChanges;
use crate::upstream::error::CloseReason;
use crate::upstream::info::ToolList;
use crate::upstream::subscription_sync::SubscriptionSync;
use crate::upstream::supervisor::{KEPT_LIMIT, Live, Supervisor};
use crate::upstream::tools::list;

/// Why a connection is followed no more.
enum Followed {
    Ended(CloseReason),
    /// Another one serves at an earlier address.
    Moved(Live),
}

impl Supervisor {
    /// Follows a live server until its connection ends or the gateway does; returns why.
    pub(super) async fn watch(&self, mut live: Live) -> CloseReason {
        loop {
            match self.follow(live).await {
                Followed::Ended(reason) => return reason,
                Followed::Moved(next) => live = next,
            }
        }
    }

    async fn follow(&self, live: Live) -> Followed {
        let Live { reader, connection, changed, news } = live;
        // Before the first wait, so that it knows of all that clients end meanwhile.
        let mut followed = SubscriptionSync::new(self.upstream.subscriptions(), &*connection);
        self.keep(news).await;
        let (name, changes) = (self.upstream.name(), &self.upstream.changes);
        let mut tools = DebouncedChanges::new(&changed.tools);
        let mut prompts = DebouncedChanges::new(&changed.prompts);
        let mut resources = DebouncedChanges::new(&changed.resources);
        let looking_back = self.upstream.stop.child_token();
        let mut earlier_address = pin!(self.start_at_earlier_address(&looking_back).fuse());
        let reason = loop {
            tokio::select! {
                reason = connection.end().wait() => break reason,
                reason = self.signed_out() => {
                    connection.end().set(reason.clone());
                    break reason;
                }
                () = self.upstream.stop.cancelled() => break CloseReason::Stopping,
                Some(next) = &mut earlier_address => {
                    let calls = self.upstream.connect(next.connection.clone());
                    self.end_after_last_call(calls, connection.clone(), reader);
                    return Followed::Moved(next);
                }
                never = followed.run() => match never {},
                () = prompts.next() => changes.announce(name, ChangeKind::Prompts),
                () = resources.next() => changes.announce(name, ChangeKind::Resources),
                () = tools.next() => {
                    tokio::select! {
                        () = self.list_again(&*connection) => {}
                        _ = connection.end().wait() => {}
                        () = self.upstream.stop.cancelled() => {}
                    }
                }
            }
        };
        looking_back.cancel();
        let last_look = async {
            // It has ended already where it learned of the stop first.
            if !earlier_address.is_terminated()
                && let Some(unused) = earlier_address.await
            {
                unused.connection.close().await;
                unused.reader.cancel(name).await;
            }
        };
        tokio::join!(last_look, connection.close());
        reader.cancel(name).await;
        Followed::Ended(reason)
    }

    /// Waits until the server needs a sign-in.
    async fn signed_out(&self) -> CloseReason {
        match self.upstream.authorizer() {
            Some(authorizer) => authorizer.signed_out().await,
            None => std::future::pending().await,
        }
    }

    async fn list_again(&self, connection: &dyn Connection) {
        let name = self.upstream.name();
        let listing = list::list(name, connection, self.upstream.tools());
        match timeout(self.context.limits.load().start_timeout, listing).await {
            Ok(Ok(list)) => {
                let news = self.upstream.publish(list);
                match &news {
                    Some(list) => {
                        let count = list.tools.len();
                        tracing::info!(mcp_server = %name, "{name} changed its tool list: {count} tools");
                    }
                    None => {
                        tracing::debug!(mcp_server = %name, "{name} says that its tool list has changed, and it is the same")
                    }
                }
                self.keep(news).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(mcp_server = %name, "{name} changed its tool list, which cannot be read: {error}")
            }
            Err(_) => {
                tracing::warn!(mcp_server = %name, "{name} changed its tool list and does not answer `tools/list`")
            }
        }
    }

    /// Keeps a new list for the next run. Calls go on meanwhile; a disk that hangs is not waited for.
    async fn keep(&self, news: Option<Arc<ToolList>>) {
        if let (Some(list), Some(kept)) = (news, &self.kept)
            && timeout(KEPT_LIMIT, kept.store(list)).await.is_err()
        {
            tracing::warn!(mcp_server = %self.upstream.name(), "a tool list is not kept: the state directory does not answer");
        }
    }
}
