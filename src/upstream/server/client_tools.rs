//! The tools that a server offers to one client alone. They are read over the client's own connection, once a call
//! has opened that, and again when the server announces a change. A list shows the known ones, and the client is
//! notified when they change.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use crate::protocol::Era;
use crate::upstream::availability::{NoConnection, Unavailable};
use crate::upstream::changes::ChangeKind;
use crate::upstream::connection::Connection;
use crate::upstream::debounce::DebouncedChanges;
use crate::upstream::identity::{ClientSide, Identity};
use crate::upstream::info::ToolList;
use crate::upstream::pool::Lease;
use crate::upstream::server::{CallConnection, Upstream};
use crate::upstream::server_messages::{MessageHandler, Relay};
use crate::upstream::tools::header_params::HeaderParam;
use crate::upstream::tools::list;

/// How long the list of one client's own connection may take. A server that answers one request after the other answers
/// this one when a person has answered its question.
const PATIENCE: Duration = Duration::from_secs(300);
/// The wait before an unreadable list is read again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long it waits for the connection's first call to go ahead.
const COURTESY: Duration = Duration::from_millis(200);

impl Upstream {
    /// The tools that the server offers to `client` alone; `None` without a connection of its own. Reads them over
    /// that connection; the caller bounds the wait.
    ///
    /// # Errors
    ///
    /// There is no such connection, or the list cannot be read.
    pub async fn tools_for(
        &self,
        identity: Option<&Identity>,
        client: &ClientSide,
        handler: Arc<dyn MessageHandler>,
    ) -> Result<Option<Arc<ToolList>>, NoConnection> {
        let CallConnection::Dedicated(lease) = self.connection(identity, Some(client)).await? else {
            return Ok(None);
        };
        lease.relay().attach(handler);
        let lease: &Lease = &lease;
        let listed = list::list(self.name(), &**lease, self.tools()).await;
        let list = listed.map_err(|reason| NoConnection::Unavailable(Unavailable::because(reason)))?;
        Ok(Some(self.learn_own(client, lease.relay(), list)))
    }

    /// The known tools of `client`, where they differ from the shared list. Opens and asks nothing.
    pub fn known_tools_for(&self, identity: Option<&Identity>, client: &ClientSide) -> Option<Arc<ToolList>> {
        self.own_relay(identity, client)?.own_tools()
    }

    /// Whether [`Upstream::tools_for`] has to open a connection for `client` first.
    pub fn would_open(&self, identity: Option<&Identity>, client: &ClientSide) -> bool {
        let wants_log = client.log_level.is_some() && self.config().transport.is_ordered();
        let needs_own = self.era() == Era::Sessions || wants_log || identity.is_some();
        needs_own && self.own_relay(identity, client).is_none()
    }

    /// The relay of the connection that is `client`'s alone, if that is open now.
    pub fn own_relay(&self, identity: Option<&Identity>, client: &ClientSide) -> Option<Arc<Relay>> {
        self.pool.relay(&Identity::of_client(identity, client))
    }

    /// Keeps the tools of an open connection known while this runs. They are not read where clients with the same
    /// capabilities got the shared list, until the server announces a change.
    pub(in crate::upstream) async fn probe(
        &self,
        identity: &Identity,
        connection: &dyn Connection,
        relay: &Relay,
    ) {
        let Some(client) = identity.client() else { return };
        let mut announced = DebouncedChanges::new(&relay.tools_changed);
        let mut changes = self.changes.subscribe();
        let mut revision = self.list_revision();
        let is_plain =
            identity.headers().is_empty() && self.variants.differ(&client.capabilities) == Some(false);
        let mut due = (&*client.capabilities != "{}" && !is_plain).then(|| Instant::now() + COURTESY);
        loop {
            tokio::select! {
                Some(()) = OptionFuture::from(due.map(sleep_until)) => {}
                () = announced.next() => {}
                Ok(()) = changes.changed() => {
                    let before = std::mem::replace(&mut revision, self.list_revision());
                    // The shared list changed, so the list of this client may have changed, too.
                    if revision == before || relay.own_tools().is_none() {
                        continue;
                    }
                }
            }
            let is_read = self.read_own(client, connection, relay).await;
            due = (!is_read).then(|| Instant::now() + AGAIN);
        }
    }

    async fn read_own(&self, client: &ClientSide, connection: &dyn Connection, relay: &Relay) -> bool {
        let why = match timeout(PATIENCE, list::list(self.name(), connection, self.tools())).await {
            Ok(Ok(list)) => {
                self.learn_own(client, relay, list);
                return true;
            }
            Ok(Err(reason)) => reason.without_words().to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        // A failure says nothing about other clients.
        let name = self.name();
        tracing::debug!(mcp_server = %name, "{name}: its tools for a client of its own are not known: {why}");
        false
    }

    /// Notes the tools of `client`, and notifies the client when they differ from the earlier ones.
    fn learn_own(&self, client: &ClientSide, relay: &Relay, list: ToolList) -> Arc<ToolList> {
        let shared = self.tools();
        let differ = shared.as_ref().is_none_or(|shared| shared.tools != list.tools);
        self.variants.learn(&client.capabilities, differ);
        let before = relay.own_tools().or(shared);
        let is_news = before.is_none_or(|before| before.tools != list.tools);
        let list = Arc::new(list);
        relay.own_tools.store(differ.then(|| list.clone()));
        if is_news {
            relay.notify_tools_changed();
            self.changes.announce(self.name(), ChangeKind::ToolsOf(client.alike));
        }
        list
    }

    /// Reads the tool list again and returns the header parameters of `tool`. For a server that misses headers which
    /// the known list does not name. `None` when the list cannot be read.
    pub async fn header_params_again(&self, tool: &str) -> Option<Box<[HeaderParam]>> {
        let connection = self.ready().await.ok().filter(|connection| connection.mirrors_arguments())?;
        let name = self.name();
        let list = match list::list(name, &**connection, self.tools()).await {
            Ok(list) => list,
            Err(error) => {
                tracing::warn!(mcp_server = %name, "{name} wants other headers, and its tool list cannot be read: {error}");
                return None;
            }
        };
        let definition =
            list.tools.iter().find(|each| each.get("name").and_then(Value::as_str) == Some(tool));
        let params = definition.and_then(|definition| HeaderParam::all_of(definition).ok());
        self.publish(list);
        params
    }

    fn list_revision(&self) -> u64 {
        self.tools().map_or(0, |list| list.revision)
    }
}
