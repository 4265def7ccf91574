//! The addresses of one server: from one that is down to the next, and back to the first.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::upstream::address_choice::{LOOK_BACK, first_of};
use crate::upstream::connection::Connection;
use crate::upstream::connector::StartDeadline;
use crate::upstream::error::CloseReason;
use crate::upstream::handshake::reader::ReaderTask;
use crate::upstream::server::SharedConnection;
use crate::upstream::supervisor::{Live, Supervisor};

/// The time between two looks at the calls of a connection that no new call uses.
const LOOK_AT_CALLS: Duration = Duration::from_millis(50);

impl Supervisor {
    pub(super) fn address_count(&self) -> usize {
        self.upstream.config().transport.address_count()
    }

    /// One try: connection, handshake and tool list, at the first address that serves.
    pub(super) async fn start(&self) -> Result<Live, CloseReason> {
        let count = self.address_count();
        let (live, address) = self.start_at(0..count, &self.upstream.stop).await?;
        self.upstream.address.set(address);
        if address > 0 {
            let name = self.upstream.name();
            let number = address + 1;
            tracing::warn!(mcp_server = %name, "{name} uses its address {number} of {count}, since none before it serves");
        }
        Ok(live)
    }

    /// Waits until an address serves again that comes before the one in use; `None` after `stop`.
    ///
    /// It is not to be dropped before that: a try that has begun is ended then, with the session that it has at the server.
    /// One whose id did not come yet cannot be ended.
    pub(super) async fn start_at_earlier_address(&self, stop: &CancellationToken) -> Option<Live> {
        loop {
            let in_use = self.upstream.address.in_use();
            if in_use == 0 {
                stop.cancelled().await;
            }
            stop.run_until_cancelled(sleep(LOOK_BACK)).await?;
            if let Ok((live, address)) = self.start_at(0..in_use, stop).await {
                let name = self.upstream.name();
                let number = address + 1;
                tracing::info!(mcp_server = %name, "{name} is back at its address {number}");
                self.upstream.address.set(address);
                return Some(live);
            }
        }
    }

    async fn start_at(
        &self,
        addresses: impl Iterator<Item = usize>,
        stop: &CancellationToken,
    ) -> Result<(Live, usize), CloseReason> {
        let config = Guard::into_inner(self.upstream.config());
        let transport = &config.transport;
        let at = |address| async move {
            let deadline = StartDeadline::new(self.context.limits.load().start_timeout);
            let over = |transport| self.start_over((transport, address), deadline, stop);
            let started = self.upstream.http_transport.start(transport, over).await;
            if let (Err(reason), true) = (&started, transport.address_count() > 1) {
                let (name, number) = (self.upstream.name(), address + 1);
                tracing::debug!(mcp_server = %name, "{name} does not serve at its address {number}: {reason}");
            }
            started
        };
        // In a box: a supervisor lives as long as its server, and starts it seldom.
        Box::pin(first_of(addresses, at)).await
    }

    /// Ends a connection that no new call uses, after its last call.
    pub(super) fn end_after_last_call(
        &self,
        calls: Option<SharedConnection>,
        connection: Arc<dyn Connection>,
        reader: ReaderTask,
    ) {
        let upstream = self.upstream.clone();
        self.earlier.spawn(async move {
            let last_call = async {
                while calls.as_ref().is_some_and(|calls| Arc::strong_count(calls) > 1) {
                    sleep(LOOK_AT_CALLS).await;
                }
            };
            tokio::select! {
                () = last_call => {}
                _ = connection.end().wait() => {}
                () = upstream.stop.cancelled() => {}
            }
            connection.close().await;
            reader.cancel(upstream.name()).await;
        });
    }
}
