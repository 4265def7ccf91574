//! The one task that starts a server, watches it, and starts it again, for ever.

mod failure;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::time::timeout;

use super::dedicated::ServerOpener;
use super::error::EndReason;
use super::exchange::Means;
use super::handshake::{self, Greeting, Service};
use super::hearing::{self, ChangedLists};
use super::http_client::HttpClients;
use super::http_transport::HttpTransport;
use super::identity::Identity;
use super::intake::Bounds;
use super::kept::KeptTools;
use super::link::{Link, Opened};
use super::oauth::{Authorizer, OAuth};
use super::state::Phase;
use super::stderr::{StderrRates, StderrTail};
use super::{ServerInfo, ToolList, Upstream, backoff, sse, stdio, streamable, tools};
use crate::config::{LimitsConfig, ServerConfig, TransportConfig};
use crate::metrics::{Metrics, ServerMetrics};
use crate::protocol::method;
use crate::room::Room;
use failure::Failure;

/// Sessions that a server may forget in a row, each soon after its start, before it is given time.
const FORGIVEN: u32 = 5;
/// How long the state directory may take.
const KEPT_LIMIT: Duration = Duration::from_secs(5);

/// What all supervisors share.
#[derive(Debug)]
pub struct Surroundings {
    pub clients: Arc<HttpClients>,
    pub oauth: Arc<OAuth>,
    /// `start_timeout`, `result_bytes` and `stderr_lines` count for each server from its next start on.
    pub limits: ArcSwap<LimitsConfig>,
    pub metrics: Arc<Metrics>,
    pub stderr: StderrRates,
    /// What large results of all servers take together.
    pub results: Room,
}

impl Surroundings {
    /// Opens a connection to the server of `entry`, for `identity` if there is one; nothing is said over it yet. What a
    /// process of its own writes to its stderr comes along. `transport` counts where the entry leaves it open.
    pub(super) async fn open(
        &self,
        entry: &ServerConfig,
        authorizer: Option<&Arc<Authorizer>>,
        identity: Option<&Identity>,
        transport: HttpTransport,
    ) -> Result<(Opened, Option<StderrTail>), EndReason> {
        let means = Means { clients: &self.clients, authorizer };
        let name = &entry.name;
        let bounds = Bounds { limit: self.limits.load().result_bytes, room: self.results.clone() };
        Ok(match &entry.transport {
            TransportConfig::Stdio(config) => {
                let rate = self.stderr.of(name, self.limits.load().stderr_lines);
                let (opened, tail) = stdio::open(name, config, rate, &bounds).await?;
                (opened, Some(tail))
            }
            TransportConfig::Socket(config) => (stdio::open_socket(name, config, &bounds).await?, None),
            TransportConfig::StreamableHttp(config) => {
                (streamable::open(name, config, means, bounds, identity).await?, None)
            }
            TransportConfig::Sse(config) => (sse::open(name, config, means, bounds, identity).await?, None),
            TransportConfig::Http(config) => {
                let opened = match transport {
                    HttpTransport::StreamableHttp => {
                        streamable::open(name, config, means, bounds, identity).await
                    }
                    HttpTransport::Sse => sse::open(name, config, means, bounds, identity).await,
                };
                (opened?, None)
            }
            TransportConfig::Gateway => unreachable!("the gateway's own tools need no connection"),
        })
    }
}

/// A server that answered its handshake.
struct Live {
    service: Service,
    link: Arc<dyn Link>,
    changed: Arc<ChangedLists>,
    /// Its tool list, when it differs from the one known before.
    news: Option<Arc<ToolList>>,
}

/// Keeps `upstream` running until it is retired. Returns when nothing of the server is left.
pub async fn supervise(upstream: Arc<Upstream>, surroundings: Arc<Surroundings>, kept: Option<KeptTools>) {
    let _failure = Failure(upstream.clone());
    let opener = ServerOpener::new(&upstream, surroundings.clone(), upstream.authorizer().cloned());
    upstream.identities.start(Arc::new(opener));
    tokio::select! {
        () = keep_running(upstream.clone(), surroundings, kept) => {}
        () = stay_signed_in(&upstream) => {}
    }
    if upstream.stop.is_cancelled() {
        upstream.enter(Phase::Retired, 0);
    }
    upstream.identities.close().await;
}

/// Keeps the token of a server good that is signed in to, whether anybody calls it or not. Does not end.
async fn stay_signed_in(upstream: &Upstream) {
    let Some(authorizer) = upstream.authorizer() else { return std::future::pending().await };
    // The server may be away for want of a token; one that is ready does not mind.
    authorizer.renew_ahead(|| upstream.wanted.notify_one()).await;
}

/// The same for the shared connection alone.
async fn keep_running(upstream: Arc<Upstream>, surroundings: Arc<Surroundings>, kept: Option<KeptTools>) {
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
    let metrics = surroundings.metrics.server(upstream.name().as_str());
    let supervisor = Supervisor { upstream, surroundings, kept, metrics };
    let stop = supervisor.upstream.stop.clone();
    let mut failures = 0;
    let mut lost_sessions = 0;
    let mut last = None;
    let mut told = String::new();
    // Whether it was started again at once since it was ready last.
    let mut is_spared = false;
    while !stop.is_cancelled() {
        supervisor.upstream.enter(Phase::Starting { last: last.take() }, failures);
        let began = Instant::now();
        let was_asked = supervisor.is_asked_its_era();
        supervisor.metrics.start_began();
        let started = supervisor.start().await;
        let error_type = started.as_ref().map_or_else(EndReason::error_type, |_| "");
        supervisor.metrics.start_ended(error_type, began.elapsed());
        let reason = match started {
            Err(EndReason::Stopping) => return,
            Ok(live) => {
                let ready_since = Instant::now();
                is_spared = false;
                supervisor.upstream.connect(live.link.clone());
                supervisor.upstream.enter(Phase::Ready, 0);
                tracing::info!(mcp_server = %supervisor.upstream.name(), "{}", supervisor.upstream.ready_line(began.elapsed()));
                let reason = supervisor.watch(live).await;
                supervisor.upstream.disconnect();
                let by_us = reason == EndReason::Stopping;
                let error_type = if by_us { "" } else { reason.error_type() };
                supervisor.metrics.session_ended(error_type, ready_since.elapsed());
                if stop.is_cancelled() {
                    return;
                }
                let proven = ready_since.elapsed() >= backoff::PROVEN;
                // A forgotten session is no failure of the server, unless it keeps forgetting. Some say 401 or 403 for it.
                lost_sessions = if proven { 0 } else { lost_sessions + 1 };
                let is_forgotten = reason == EndReason::SessionLost || reason.refuses_us();
                if proven || is_forgotten && lost_sessions <= FORGIVEN {
                    tracing::warn!(mcp_server = %supervisor.upstream.name(), "{} went away: {reason}; it is started again", supervisor.upstream.name());
                    failures = 0;
                    last = Some(Arc::new(reason));
                    continue;
                }
                reason
            }
            Err(reason) if !is_spared && supervisor.has_learnt_its_era(was_asked) => {
                is_spared = true;
                let name = supervisor.upstream.name();
                // The first try goes on: it has not ended for those that wait for its outcome.
                tracing::info!(mcp_server = %name, "{name} does not bear the question for its era: {}; it is started as one with sessions", reason.without_words());
                continue;
            }
            Err(reason) => match supervisor.upstream.authorizer() {
                Some(authorizer) => authorizer.explained(reason),
                None => reason,
            },
        };
        failures += 1;
        let reason = Arc::new(reason);
        supervisor.wait(&reason, failures, &mut told).await;
        last = Some(reason);
    }
}

struct Supervisor {
    upstream: Arc<Upstream>,
    surroundings: Arc<Surroundings>,
    kept: Option<KeptTools>,
    metrics: Arc<ServerMetrics>,
}

impl Supervisor {
    fn is_asked_its_era(&self) -> bool {
        self.upstream.era.known(self.upstream.config().protocol.as_deref()).is_none()
    }

    /// Whether a try at which the server `was_asked` its era told that, though it failed.
    fn has_learnt_its_era(&self, was_asked: bool) -> bool {
        was_asked && !self.is_asked_its_era()
    }

    /// Waits for the next try: its time, a call that wants the server, or the gateway's end. `told` is the reason
    /// that the log was told last.
    async fn wait(&self, reason: &Arc<EndReason>, failures: u32, told: &mut String) {
        let delay = match reason.needs_an_operator() {
            true => backoff::OPERATOR,
            false => backoff::delay(failures, backoff::random()),
        };
        let delay = delay.max(reason.retry_after().unwrap_or_default().min(backoff::OPERATOR));
        let name = self.upstream.name();
        // The first failures are news, later ones only when the reason is another: a flapping server must not fill
        // the log. The public form of a reason lacks what differs each time, such as a process id on stderr.
        let public = reason.public();
        if failures <= 3 || public != *told {
            tracing::warn!(mcp_server = %name, "{name} is unavailable: {reason}; next try in {:.1} s", delay.as_secs_f32());
            *told = public;
        } else {
            tracing::debug!(mcp_server = %name, failures, "{name} is still unavailable: {reason}");
        }
        let now = Instant::now();
        self.upstream.forget_wishes();
        let phase = Phase::Unavailable { reason: reason.clone(), tried_at: now, retry_at: now + delay };
        self.upstream.enter(phase, failures);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.upstream.wanted() => {}
            () = self.upstream.stop.cancelled() => {}
        }
    }

    /// One try: connection, handshake and tool list.
    async fn start(&self) -> Result<Live, EndReason> {
        let after = self.surroundings.limits.load().start_timeout;
        let deadline = tokio::time::Instant::now() + after;
        let config = Guard::into_inner(self.upstream.config());
        let found = &self.upstream.http_transport;
        let first = found.first();
        let started = self.start_over(first, after, deadline).await;
        match found.next_after(&config.transport, first, &started) {
            None => started,
            Some(other) => found.settle(started, other, self.start_over(other, after, deadline).await),
        }
    }

    /// The same over one transport, where there is a choice.
    async fn start_over(
        &self,
        transport: HttpTransport,
        after: Duration,
        deadline: tokio::time::Instant,
    ) -> Result<Live, EndReason> {
        let silent = |step| EndReason::Silent { step, after, stderr: Arc::default() };
        let opening = tokio::time::timeout_at(deadline, self.open(transport));
        let opening = self.upstream.stop.run_until_cancelled(opening).await;
        let (opened, tail) = opening.ok_or(EndReason::Stopping)?.map_err(|_| silent("the connection"))??;
        let link = opened.link.clone();
        // A try is never just dropped: the process or session that it has begun must be ended.
        let greeting = self.greet(opened, transport, deadline, silent);
        let started = self.upstream.stop.run_until_cancelled(greeting).await;
        match started.unwrap_or(Err(EndReason::Stopping)) {
            Ok(live) => Ok(live),
            Err(reason) => {
                let ended_by_itself = link.end().is_set() && reason != EndReason::Stopping;
                // Nothing of a failed try may stay behind; a process that ends by itself knows why.
                link.close().await;
                let reason = if ended_by_itself { link.end().reason() } else { reason };
                Err(reason.with_stderr(stdio::last_words(&*link, tail.as_ref())))
            }
        }
    }

    async fn greet(
        &self,
        opened: Opened,
        transport: HttpTransport,
        deadline: tokio::time::Instant,
        silent: impl Fn(&'static str) -> EndReason,
    ) -> Result<Live, EndReason> {
        let config = Guard::into_inner(self.upstream.config());
        let link = opened.link.clone();
        let changed = Arc::<ChangedLists>::default();
        let hearing = hearing::Shared {
            server: config.name.clone(),
            changed: changed.clone(),
            news: self.upstream.changes.news.clone(),
        };
        let greeting = Greeting {
            server: &config.name,
            pin: config.protocol.as_deref(),
            era: &self.upstream.era,
            is_ordered: config.transport.is_ordered(),
            hearing: Arc::new(hearing),
            capabilities: "{}",
            subscriptions: self.upstream.subscriptions.clone(),
        };
        let handshake = handshake::greet(greeting, opened);
        let (service, info) = self.measured(method::INITIALIZE, deadline, &silent, handshake).await?;
        let list = tools::list(&config.name, &*link, self.upstream.tools());
        let (tools, freshness) = self.measured(method::TOOLS_LIST, deadline, &silent, list).await?;
        let transport = matches!(config.transport, TransportConfig::Http(_)).then_some(transport);
        let info = ServerInfo { freshness, transport, ..info };
        let news = self.upstream.publish(ToolList { info, tools, revision: 0 });
        Ok(Live { service, link, changed, news })
    }

    /// One step of the greeting, counted.
    async fn measured<T>(
        &self,
        step: &'static str,
        deadline: tokio::time::Instant,
        silent: &impl Fn(&'static str) -> EndReason,
        work: impl Future<Output = Result<T, EndReason>>,
    ) -> Result<T, EndReason> {
        let began = Instant::now();
        let outcome = tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent(step)));
        let error_type = outcome.as_ref().map_or_else(EndReason::error_type, |_| "");
        self.metrics.operation(step, error_type, began.elapsed());
        outcome
    }

    async fn open(&self, transport: HttpTransport) -> Result<(Opened, Option<StderrTail>), EndReason> {
        let entry = Guard::into_inner(self.upstream.config());
        // What cannot be read is told by the transport itself, in a moment.
        self.upstream.secrets.store(entry.transport.secrets_digest().await.ok().map(Arc::new));
        self.surroundings.open(&entry, self.upstream.authorizer(), None, transport).await
    }
}
