//! The one task that starts a server, watches it, and starts it again, for ever.

mod address;
mod failure;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::TransportConfig;
use crate::metrics::ServerMetrics;
use crate::protocol::{Era, method};
use crate::upstream::availability::Phase;
use crate::upstream::backoff;
use crate::upstream::connection::{Connection, Opened};
use crate::upstream::connector::{self, ServerConnector, StartDeadline, UpstreamContext};
use crate::upstream::error::CloseReason;
use crate::upstream::handshake;
use crate::upstream::handshake::reader::{HandshakeParams, ReaderTask};
use crate::upstream::info::{ServerInfo, ToolList};
use crate::upstream::oauth::users::Authorizers;
use crate::upstream::server::Upstream;
use crate::upstream::server_messages::{ChangedLists, SharedHandler};
use crate::upstream::supervisor::failure::Failure;
use crate::upstream::tools::cache::ToolCache;
use crate::upstream::tools::list;
use crate::upstream::transport::child::stderr::StderrTail;
use crate::upstream::transport_detection::HttpTransport;

/// Sessions that a server may forget in a row, each soon after its start, before it is given time.
const FORGIVEN: u32 = 5;
/// How long the state directory may take.
const KEPT_LIMIT: Duration = Duration::from_secs(5);

/// A server that answered its handshake.
struct Live {
    reader: ReaderTask,
    connection: Arc<dyn Connection>,
    changed: Arc<ChangedLists>,
    /// Its tool list, when it differs from the one known before.
    news: Option<Arc<ToolList>>,
}

/// Keeps `upstream` running until it is retired. Returns when nothing of the server is left.
pub async fn supervise(upstream: Arc<Upstream>, context: Arc<UpstreamContext>, kept: Option<ToolCache>) {
    let _failure = Failure(upstream.clone());
    let connector = ServerConnector { upstream: Arc::downgrade(&upstream), context: context.clone() };
    upstream.pool.start(Arc::new(connector));
    tokio::select! {
        () = keep_running(upstream.clone(), context, kept) => {}
        () = stay_signed_in(&upstream) => {}
    }
    if upstream.stop.is_cancelled() {
        upstream.enter(Phase::Retired, 0);
    }
    upstream.pool.close().await;
}

/// Keeps the token of a server fresh, also without calls. Does not end.
async fn stay_signed_in(upstream: &Upstream) {
    match upstream.authorizers() {
        // The server may be away for want of a token; one that is ready does not mind.
        Some(Authorizers::Shared(authorizer)) => {
            let refreshing = authorizer.refresh_ahead(|| upstream.wanted.notify_one());
            tokio::join!(refreshing, authorizer.follow_replicas(|| upstream.retry()));
        }
        Some(Authorizers::PerUser(users)) => users.stay_signed_in(|| upstream.retry()).await,
        None => std::future::pending().await,
    }
}

/// Keeps the shared connection running. Returns when the server is disabled or retired.
async fn keep_running(upstream: Arc<Upstream>, context: Arc<UpstreamContext>, kept: Option<ToolCache>) {
    if upstream.config().disabled {
        upstream.enter(Phase::Disabled, 0);
        return;
    }
    if let Some(kept) = &kept {
        match timeout(KEPT_LIMIT, kept.load()).await {
            Ok(Some(list)) => {
                upstream.era.learn_from(&list.info.protocol);
                upstream.http_transport.learn(list.info.transport);
                upstream.publish(list);
            }
            Ok(None) => {}
            Err(_) => {
                tracing::warn!(mcp_server = %upstream.name(), "a kept tool list is not read: the state directory does not answer")
            }
        }
    }
    let metrics = context.metrics.server(upstream.name().as_str());
    let supervisor = Supervisor { upstream, context, kept, metrics, earlier: TaskTracker::new() };
    supervisor.run().await;
    supervisor.earlier.close();
    supervisor.earlier.wait().await;
}

struct Supervisor {
    upstream: Arc<Upstream>,
    context: Arc<UpstreamContext>,
    kept: Option<ToolCache>,
    metrics: Arc<ServerMetrics>,
    /// The ends of connections that no new call uses.
    earlier: TaskTracker,
}

impl Supervisor {
    /// Starts the server again and again. Returns when it is retired.
    async fn run(&self) {
        let stop = self.upstream.stop.clone();
        let mut failures = 0;
        let mut lost_sessions = 0;
        let mut last = None;
        let mut logged = String::new();
        // Whether it was started again at once since it was ready last.
        let mut is_spared = false;
        while !stop.is_cancelled() {
            self.upstream.enter(Phase::Starting { last: last.take() }, failures);
            let began = Instant::now();
            let was_asked = self.is_asked_its_era();
            self.metrics.start_began();
            let started = self.start().await;
            let error_type = started.as_ref().map_or_else(CloseReason::error_type, |_| "");
            self.metrics.start_ended(error_type, began.elapsed());
            let reason = match started {
                Err(CloseReason::Stopping) => return,
                Ok(live) => {
                    let ready_since = Instant::now();
                    is_spared = false;
                    let _none_before = self.upstream.connect(live.connection.clone());
                    self.upstream.enter(Phase::Ready, 0);
                    tracing::info!(mcp_server = %self.upstream.name(), "{}", self.upstream.ready_line(began.elapsed()));
                    self.warn_of_missing_sessions(&*live.connection);
                    let reason = self.watch(live).await;
                    self.upstream.disconnect();
                    let by_us = reason == CloseReason::Stopping;
                    let error_type = if by_us { "" } else { reason.error_type() };
                    self.metrics.session_ended(error_type, ready_since.elapsed());
                    if stop.is_cancelled() {
                        return;
                    }
                    let proven = ready_since.elapsed() >= backoff::PROVEN;
                    // A forgotten session is not a failure of the server, unless it keeps forgetting. Some servers answer
                    // 401 or 403 for it.
                    lost_sessions = if proven { 0 } else { lost_sessions + 1 };
                    let is_forgotten = reason == CloseReason::SessionLost || reason.refuses_us();
                    // The next address may serve at once.
                    let is_forgiven = is_forgotten || self.address_count() > 1;
                    if proven || is_forgiven && lost_sessions <= FORGIVEN {
                        tracing::warn!(mcp_server = %self.upstream.name(), "{} went away: {reason}; it is started again", self.upstream.name());
                        failures = 0;
                        last = Some(Arc::new(reason));
                        continue;
                    }
                    reason
                }
                // Its era is known now, though the try failed.
                Err(reason) if !is_spared && was_asked && !self.is_asked_its_era() => {
                    is_spared = true;
                    let name = self.upstream.name();
                    // The first try goes on: calls still wait for its outcome.
                    tracing::info!(mcp_server = %name, "{name} does not bear the question for its era: {}; it is started as one with sessions", reason.without_words());
                    continue;
                }
                Err(reason) => match self.upstream.authorizer() {
                    Some(authorizer) => authorizer.explained(reason),
                    None => reason,
                },
            };
            failures += 1;
            let reason = Arc::new(reason);
            self.wait(&reason, failures, &mut logged).await;
            last = Some(reason);
        }
    }

    fn is_asked_its_era(&self) -> bool {
        self.upstream.era.known(self.upstream.config().protocol.as_deref()).is_none()
    }

    /// Says that callers are not kept apart by a server over HTTP that knows no sessions.
    fn warn_of_missing_sessions(&self, connection: &dyn Connection) {
        let (name, has_channel) = (self.upstream.name(), self.upstream.config().transport.is_ordered());
        if self.upstream.isolation().is_on() && !has_channel && connection.era().current() == Era::Stateless {
            tracing::warn!(
                mcp_server = %name,
                "{name} speaks a revision without sessions, so that `isolation` gives its callers nothing of their own; it \
                 could tell them apart by `forwardHeaders` alone"
            );
        }
    }

    /// Waits for the next try: its time, a call that needs the server, or the end of the gateway. `logged` is the
    /// reason in the last log line.
    async fn wait(&self, reason: &Arc<CloseReason>, failures: u32, logged: &mut String) {
        let delay = match reason.needs_an_operator() {
            true => backoff::OPERATOR,
            false => backoff::delay(failures, backoff::random()),
        };
        let delay = delay.max(reason.retry_after().unwrap_or_default().min(backoff::OPERATOR));
        let name = self.upstream.name();
        // The first failures are news, later ones only when the reason changes: a flapping server must not fill the
        // log. The public form of a reason lacks details that differ each time, such as a process id on stderr.
        let public = reason.public();
        if failures <= 3 || public != *logged {
            tracing::warn!(mcp_server = %name, "{name} is unavailable: {reason}; next try in {:.1} s", delay.as_secs_f32());
            *logged = public;
        } else {
            tracing::debug!(mcp_server = %name, failures, "{name} is still unavailable: {reason}");
        }
        if matches!(**reason, CloseReason::UserSignIn { .. }) && self.upstream.tools().is_none() {
            self.upstream.publish(ToolList::before_sign_in(name));
        }
        let now = Instant::now();
        self.upstream.forget_wishes();
        let phase = Phase::Unavailable { reason: reason.clone(), tried_at: now, retry_at: now + delay };
        self.upstream.enter(phase, failures);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.upstream.wanted.notified() => {}
            () = self.upstream.stop.cancelled() => {}
        }
    }

    /// One try over `transport` at one of the addresses.
    async fn start_over(
        &self,
        (transport, address): (HttpTransport, usize),
        deadline: StartDeadline,
        stop: &CancellationToken,
    ) -> Result<Live, CloseReason> {
        let opening =
            stop.run_until_cancelled(deadline.bound("the connection", self.open((transport, address)))).await;
        let (opened, tail) = opening.unwrap_or(Err(CloseReason::Stopping))?;
        let connection = opened.connection.clone();
        // A try is never just dropped: the process or session that it has begun must be ended.
        let started = stop.run_until_cancelled(self.negotiate(opened, transport, deadline)).await;
        match started.unwrap_or(Err(CloseReason::Stopping)) {
            Ok(live) => Ok(live),
            Err(reason) => Err(connector::failed(&*connection, tail.as_ref(), reason).await),
        }
    }

    async fn negotiate(
        &self,
        opened: Opened,
        transport: HttpTransport,
        deadline: StartDeadline,
    ) -> Result<Live, CloseReason> {
        let config = Guard::into_inner(self.upstream.config());
        let connection = opened.connection.clone();
        let changed = Arc::<ChangedLists>::default();
        let handler = SharedHandler {
            server: config.name.clone(),
            changed: changed.clone(),
            changes: self.upstream.changes.clone(),
        };
        let params = HandshakeParams {
            server: &config.name,
            pin: config.protocol.as_deref(),
            era: &self.upstream.era,
            is_ordered: config.transport.is_ordered(),
            handler: Arc::new(handler),
            capabilities: "{}",
            subscriptions: self.upstream.subscriptions.clone(),
        };
        let handshake = handshake::negotiate(params, opened);
        let (reader, info) = self.measured(method::INITIALIZE, deadline, handshake).await?;
        let list = list::list(&config.name, &*connection, self.upstream.tools());
        let list = self.measured(method::TOOLS_LIST, deadline, list).await?;
        let transport = matches!(config.transport, TransportConfig::Http(_)).then_some(transport);
        let info = ServerInfo { freshness: list.info.freshness, transport, ..info };
        let news = self.upstream.publish(ToolList { info, ..list });
        Ok(Live { reader, connection, changed, news })
    }

    /// One step of the handshake, counted.
    async fn measured<T>(
        &self,
        step: &'static str,
        deadline: StartDeadline,
        work: impl Future<Output = Result<T, CloseReason>>,
    ) -> Result<T, CloseReason> {
        let began = Instant::now();
        let outcome = deadline.bound(step, work).await;
        let error_type = outcome.as_ref().map_or_else(CloseReason::error_type, |_| "");
        self.metrics.operation(step, error_type, began.elapsed());
        outcome
    }

    async fn open(&self, place: (HttpTransport, usize)) -> Result<(Opened, Option<StderrTail>), CloseReason> {
        let entry = Guard::into_inner(self.upstream.config());
        // The transport itself reports a secret that cannot be read.
        self.upstream.secrets.store(entry.transport.secrets_digest().await.ok().map(Arc::new));
        if let Some(users) = self.upstream.users() {
            users.load().await;
        }
        self.context.open(&entry, self.upstream.authorizer().as_ref(), None, place).await
    }
}
