//! What is done while a server is ready: its changes are followed until its connection ends.

use std::sync::Arc;

use tokio::time::timeout;

use super::{KEPT_LIMIT, Live, Supervisor};
use crate::upstream::changes::Change;
use crate::upstream::error::EndReason;
use crate::upstream::following::Following;
use crate::upstream::link::Link;
use crate::upstream::pace::Paced;
use crate::upstream::{ServerInfo, ToolList, tools};

impl Supervisor {
    /// Follows a live server until its connection ends or the gateway does; returns why.
    pub(super) async fn watch(&self, live: Live) -> EndReason {
        let Live { service, link, changed, news } = live;
        self.keep(news).await;
        let mut followed = Following::new(self.upstream.subscriptions(), &*link);
        let (name, changes) = (self.upstream.name(), &self.upstream.changes);
        let mut tools = Paced::new(&changed.tools);
        let mut prompts = Paced::new(&changed.prompts);
        let mut resources = Paced::new(&changed.resources);
        let reason = loop {
            tokio::select! {
                reason = link.end().wait() => break reason,
                reason = self.signed_out() => {
                    link.end().set(reason.clone());
                    break reason;
                }
                () = self.upstream.stop.cancelled() => break EndReason::Stopping,
                never = followed.follow() => match never {},
                () = prompts.next() => changes.announce(name, Change::Prompts),
                () = resources.next() => changes.announce(name, Change::Resources),
                () = tools.next() => {
                    tokio::select! {
                        () = self.list_again(&*link) => {}
                        _ = link.end().wait() => {}
                        () = self.upstream.stop.cancelled() => {}
                    }
                }
            }
        };
        link.close().await;
        if let Err(error) = service.cancel().await {
            tracing::error!(mcp_server = %self.upstream.name(), %error, "the task of a connection failed");
        }
        reason
    }

    /// Waits until nobody but a person can get a token for the server.
    async fn signed_out(&self) -> EndReason {
        match self.upstream.authorizer() {
            Some(authorizer) => authorizer.signed_out().await,
            None => std::future::pending().await,
        }
    }

    async fn list_again(&self, link: &dyn Link) {
        let name = self.upstream.name();
        let info = self.upstream.tools().map(|list| list.info.clone()).unwrap_or_default();
        match timeout(
            self.surroundings.limits.load().start_timeout,
            tools::list(name, link, self.upstream.tools()),
        )
        .await
        {
            Ok(Ok((tools, freshness))) => {
                let info = ServerInfo { freshness, ..info };
                let news = self.upstream.publish(ToolList { info, tools, revision: 0 });
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
            Err(_) => tracing::warn!(mcp_server = %name, "{name} changed its tool list and does not tell it"),
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
