//! What a server offers to one client alone: read over the client's own connection, once a call has opened that, and again when
//! the server says that it has changed. So a list shows what is known already; when that becomes another one, the client is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::hearing::Hearing;
use super::identities::Lease;
use super::identity::{ClientSide, Identity};
use super::link::Link;
use super::pace::Paced;
use super::{
    Change, Connection, Definition, Freshness, NoConnection, Relay, ServerInfo, TRY_AGAIN, ToolList,
    Unavailable, Upstream, tools,
};
use crate::protocol::Era;

/// How long the list of one client's own connection may take. A server that answers one request after the other answers
/// this one when a person has answered its question.
const PATIENCE: Duration = Duration::from_secs(300);
/// When a list that could not be read is asked for again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long it waits for the connection's first call to go ahead.
const COURTESY: Duration = Duration::from_millis(200);

impl Upstream {
    /// The tools that the server offers to `client` alone, asked for over the connection that is its own; `None` when it
    /// has none. The caller bounds the wait.
    ///
    /// # Errors
    ///
    /// When there is no such connection, or the list cannot be read.
    pub async fn tools_for(
        &self,
        identity: Option<&Identity>,
        client: &ClientSide,
        hearing: Arc<dyn Hearing>,
    ) -> Result<Option<Arc<ToolList>>, NoConnection> {
        let Connection::Dedicated(lease) = self.connection(identity, Some(client)).await? else {
            return Ok(None);
        };
        lease.relay().attach(hearing);
        let lease: &Lease = &lease;
        let (tools, freshness) =
            tools::list(self.name(), &**lease, self.tools()).await.map_err(|reason| {
                let reason = Some(Arc::new(reason));
                NoConnection::Unavailable(Unavailable { reason, retry_after: TRY_AGAIN })
            })?;
        Ok(Some(self.learn_own(client, lease.relay(), tools, freshness)))
    }

    /// The same as far as it is known, and other than what everybody is offered. Opens and asks nothing.
    pub fn known_tools_for(&self, identity: Option<&Identity>, client: &ClientSide) -> Option<Arc<ToolList>> {
        self.own_relay(identity, client)?.own_tools()
    }

    /// Whether [`Upstream::tools_for`] has to open a connection for `client` first.
    pub fn would_open(&self, identity: Option<&Identity>, client: &ClientSide) -> bool {
        let wants_log = client.log_level.is_some() && self.config().transport.is_ordered();
        let needs_own = self.era() == Era::Sessions || wants_log || identity.is_some();
        needs_own && self.own_relay(identity, client).is_none()
    }

    /// Who hears the connection that is `client`'s alone, if it is open now.
    pub fn own_relay(&self, identity: Option<&Identity>, client: &ClientSide) -> Option<Arc<Relay>> {
        self.identities.relay(&Identity::of_client(identity, client))
    }

    /// Keeps known what the server offers over an open connection of one client's own, while this runs. That is not asked
    /// for where clients like it were seen to get what everybody gets, until the server says that it has changed.
    pub(super) async fn explore(&self, identity: &Identity, link: &dyn Link, relay: &Relay) {
        let Some(client) = identity.client() else { return };
        let mut told = Paced::new(relay.tools_changed());
        let mut changes = self.changes.subscribe();
        let mut revision = self.list_revision();
        let is_plain =
            identity.headers().is_empty() && self.offers.differ(&client.capabilities) == Some(false);
        let mut due = (&*client.capabilities != "{}" && !is_plain).then(|| Instant::now() + COURTESY);
        loop {
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = is_due => {}
                () = told.next() => {}
                Ok(()) = changes.changed() => {
                    let before = std::mem::replace(&mut revision, self.list_revision());
                    // What everybody is offered is another list: this client's may be no longer, too.
                    if revision == before || relay.own_tools().is_none() {
                        continue;
                    }
                }
            }
            let is_read = self.read_own(client, link, relay).await;
            due = (!is_read).then(|| Instant::now() + AGAIN);
        }
    }

    async fn read_own(&self, client: &ClientSide, link: &dyn Link, relay: &Relay) -> bool {
        let why = match timeout(PATIENCE, tools::list(self.name(), link, self.tools())).await {
            Ok(Ok((tools, freshness))) => {
                self.learn_own(client, relay, tools, freshness);
                return true;
            }
            Ok(Err(reason)) => reason.without_words().to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        // That says nothing of what such clients get.
        let name = self.name();
        tracing::debug!(mcp_server = %name, "{name}: its tools for a client of its own are not known: {why}");
        false
    }

    /// Takes note of the tools of `client`, and tells the client when they differ from those that it was offered before.
    fn learn_own(
        &self,
        client: &ClientSide,
        relay: &Relay,
        tools: Vec<Definition>,
        freshness: Freshness,
    ) -> Arc<ToolList> {
        let shared = self.tools();
        let differ = shared.as_ref().is_none_or(|list| list.tools != tools);
        self.offers.learn(&client.capabilities, differ);
        let before = relay.own_tools().or_else(|| shared.clone());
        let is_news = before.is_none_or(|list| list.tools != tools);
        let info = shared.map(|list| list.info.clone()).unwrap_or_default();
        let list = Arc::new(ToolList { info: ServerInfo { freshness, ..info }, tools, revision: 0 });
        relay.keep_own_tools(differ.then(|| list.clone()));
        if is_news {
            relay.tell_tools_changed();
            self.changes.announce(self.name(), Change::ToolsOf(client.alike));
        }
        list
    }

    fn list_revision(&self) -> u64 {
        self.tools().map_or(0, |list| list.revision)
    }
}
