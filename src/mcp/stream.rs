//! Streams of events: a client hears when the tools, prompts and resources that it may see have changed, and what servers
//! ask it while none of its own requests is under way.
//!
//! A stream holds nothing of a configuration: at each reload it follows the face that is served then, and ends when
//! its key is no longer one.

mod known;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::Mcp;
use super::answer::Fault;
use super::client::Way;
use super::methods::Asked;
use super::place::Place;
use super::replay::{Reader, Replay};
use super::session::{OpenStream, Session};
use super::streamed::event_text;
use super::wishes::{Followed, MOST_FOLLOWED, offers_subscriptions};
use crate::catalog::Caller;
use crate::http::Fingerprint;
use crate::json::First;
use crate::protocol::header::LAST_EVENT_ID;
use crate::protocol::header::SESSION_ID;
use crate::protocol::meta::SUBSCRIPTION_ID;
use crate::protocol::notification;
use crate::shares::Held;
use crate::upstream::identity::IdentityKey;
use crate::upstream::message_queue::Receiver;
use crate::upstream::{ChangeKind, News};
use known::Known;

/// Proxies close what is silent for a minute or less.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Keeps nginx from holding events back.
pub const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a client of the stateless era wants to hear of.
#[derive(Deserialize)]
struct Listen {
    #[serde(default)]
    notifications: Wanted,
}

/// Which kinds of changes are told.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: First<String, MOST_FOLLOWED>,
}

/// What one stream follows.
struct Follower {
    current: watch::Receiver<Option<Arc<Mcp>>>,
    swapped: watch::Receiver<()>,
    key_name: Option<Arc<str>>,
    /// Of the key's value when the stream was opened.
    fingerprint: Option<Fingerprint>,
    profile: Option<Arc<str>>,
    place: Place,
    /// What clients like the one of a subscription are known by, if servers can ask it something.
    alike: Option<IdentityKey>,
    known: Known,
    /// Cancelled when the session ends.
    ended: CancellationToken,
    closing: CancellationToken,
    /// The id of the `subscriptions/listen` that opened the stream.
    subscription: Option<Value>,
    /// What is to be said, before it is waited for anything.
    waiting: VecDeque<Value>,
    is_over: bool,
    wanted: Wanted,
    news: broadcast::Receiver<News>,
    /// The session whose stream this is, with what is sent to its client.
    session: Option<(Arc<Session>, Way, Receiver)>,
    /// The resources that a subscription follows.
    followed: Vec<Followed>,
    /// Its part of the caller's share.
    _held: Held,
    _open: Option<OpenStream>,
}

impl Mcp {
    /// `GET`: the stream of a session, or what is left of one of its answers.
    pub(super) fn open_stream(
        self: &Arc<Self>,
        headers: &HeaderMap,
        caller: &Caller,
        place: &Place,
    ) -> Response {
        let Some(id) = headers.get(SESSION_ID) else {
            let fault = Fault::invalid_request(
                "the header Mcp-Session-Id is missing: open a session with `initialize`",
            );
            return fault.at(super::Status::Always(StatusCode::BAD_REQUEST)).response(None);
        };
        let Some(session) = self.session(id, caller, place) else {
            return Fault::session_not_found().response(None);
        };
        if let Some(last) = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
            let reader = last.to_str().ok().and_then(|last| Replay::resume(&session, last));
            return reader.map_or_else(|| Fault::not_resumable().response(None), Reader::respond);
        }
        let held = match self.listen_once_more(caller) {
            Ok(held) => held,
            Err(fault) => return fault.response(None),
        };
        let mut follower = self.follower(caller, place, held);
        follower.ended = session.ended().clone();
        follower._open = Some(session.stream());
        let (way, messages) = session.client().stream();
        follower.session = Some((session, way, messages));
        follower.respond()
    }

    /// `subscriptions/listen` of the stateless era.
    pub(super) fn listen(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        alike: Option<IdentityKey>,
        id: &str,
        params: &str,
    ) -> Response {
        let Ok(listen) = serde_json::from_str::<Listen>(params) else {
            return Fault::invalid_params("`notifications` must be an object").response(Some(id));
        };
        let held = match self.listen_once_more(asked.caller) {
            Ok(held) => held,
            Err(fault) => return fault.response(Some(id)),
        };
        let subscription: Value = serde_json::from_str(id).unwrap_or_default();
        let mut wanted = listen.notifications;
        let mut followed = Vec::new();
        wanted.resource_subscriptions.items.retain(|uri| {
            let found = self.resource(asked, uri).filter(|(upstream, _)| offers_subscriptions(upstream));
            let Some((upstream, own)) = found.filter(|_| followed.len() < MOST_FOLLOWED) else {
                return false;
            };
            // What is not acknowledged is not told; the client may ask for it later.
            let Ok(held) = self.follow_one_more(asked.caller, uri) else { return false };
            followed.push(Followed::new(&upstream, &own, uri, held));
            true
        });
        let mut honored = json!({});
        wanted.prompts_list_changed &= self.tells(asked.caller, asked.place, "prompts", "listChanged");
        wanted.resources_list_changed &= self.tells(asked.caller, asked.place, "resources", "listChanged");
        for (name, is_wanted) in [
            ("toolsListChanged", wanted.tools_list_changed),
            ("promptsListChanged", wanted.prompts_list_changed),
            ("resourcesListChanged", wanted.resources_list_changed),
        ] {
            if is_wanted {
                honored[name] = true.into();
            }
        }
        if !wanted.resource_subscriptions.items.is_empty() {
            honored["resourceSubscriptions"] = json!(wanted.resource_subscriptions.items);
        }
        let mut follower = self.follower(asked.caller, asked.place, held);
        follower.alike = alike;
        follower.wanted = wanted;
        follower.followed = followed;
        follower.waiting.push_back(json!({
            "jsonrpc": "2.0",
            "method": notification::SUBSCRIPTIONS_ACKNOWLEDGED,
            "params": { "_meta": { SUBSCRIPTION_ID: subscription }, "notifications": honored },
        }));
        follower.subscription = Some(subscription);
        follower.respond()
    }

    fn follower(self: &Arc<Self>, caller: &Caller, place: &Place, held: Held) -> Follower {
        Follower {
            current: self.shared.current.subscribe(),
            swapped: self.gateway.catalog_builder().swapped(),
            key_name: caller.key_name.clone(),
            fingerprint: caller.key_name.as_deref().and_then(|name| self.keys.fingerprint(name)),
            profile: caller.profile.clone(),
            place: place.clone(),
            alike: None,
            known: self.known(caller, place),
            ended: CancellationToken::new(),
            closing: self.shared.closing.clone(),
            subscription: None,
            waiting: VecDeque::new(),
            is_over: false,
            wanted: Wanted {
                tools_list_changed: true,
                prompts_list_changed: true,
                resources_list_changed: true,
                resource_subscriptions: First::default(),
            },
            news: self.gateway.catalog_builder().news(),
            session: None,
            followed: Vec::new(),
            _held: held,
            _open: None,
        }
    }
}

/// An answer of events that proxies neither hold back nor take for dead.
pub fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

impl Follower {
    fn respond(self) -> Response {
        let events = stream::unfold(self, async |mut follower| {
            let message = follower.next().await?;
            let event = Event::default().event("message").data(message);
            Some((Ok::<_, Infallible>(event), follower))
        });
        respond(events)
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        while !self.is_over {
            if let Some(waiting) = self.waiting.pop_front() {
                return Some(waiting.to_string());
            }
            let messages = async {
                match &mut self.session {
                    Some((_, _, messages)) => messages.recv().await,
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                () = self.ended.cancelled() => false,
                () = self.closing.cancelled() => false,
                message = messages => match message {
                    Some(message) => match serde_json::from_slice::<&RawValue>(&message) {
                        Ok(_) => return event_text(&message),
                        Err(_) => continue,
                    },
                    // Another stream has taken the place of this one.
                    None => false,
                },
                news = self.news.recv() => {
                    match news {
                        Ok(news) => if let Some(told) = self.told(&news) { return Some(told.to_string()) },
                        // Whatever was missed is told as the change of everything.
                        Err(broadcast::error::RecvError::Lagged(_)) => self.tell_all(),
                        Err(broadcast::error::RecvError::Closed) => self.is_over = true,
                    }
                    continue;
                }
                changed = self.current.changed() => changed.is_ok() && self.follow_reload(),
                // The catalog of an old configuration is gone once its last reader is; the next one is followed then.
                Ok(()) = self.swapped.changed() => true,
            };
            self.is_over = !goes_on;
            if goes_on {
                self.compare();
            }
        }
        // A subscription that ends in an orderly way is answered.
        let subscription = self.subscription.take()?;
        let result = json!({ "resultType": "complete", "_meta": { SUBSCRIPTION_ID: subscription } });
        Some(json!({ "jsonrpc": "2.0", "id": subscription, "result": result }).to_string())
    }

    fn follow_reload(&mut self) -> bool {
        let face = self.current.borrow_and_update().clone();
        let Some(face) = face else { return false };
        self.swapped = face.gateway.catalog_builder().swapped();
        self.caller(&face).is_some_and(|caller| face.is_visible(&caller, &self.place))
    }

    /// Tells what is another than before.
    fn compare(&mut self) {
        let face = self.current.borrow().clone();
        let Some(face) = face else { return };
        let Some(caller) = self.caller(&face) else { return };
        let now = face.known(&caller, &self.place);
        let before = std::mem::replace(&mut self.known, now);
        self.tell_lists(self.known.changed_since(&before));
    }

    /// Tells that everything may have changed.
    fn tell_all(&mut self) {
        self.tell_lists([true; 3]);
        let followed = match &self.session {
            Some((session, ..)) => session.names_followed(),
            None => self.wanted.resource_subscriptions.items.iter().map(|uri| uri.as_str().into()).collect(),
        };
        for uri in followed {
            self.waiting.push_back(self.notification(notification::RESOURCES_UPDATED, json!({ "uri": uri })));
        }
    }

    /// Tells of the lists that have changed, those of tools, prompts and resources, as far as the client wants to hear
    /// of each.
    fn tell_lists(&mut self, changed: [bool; 3]) {
        let wanted = &self.wanted;
        let wanted = [wanted.tools_list_changed, wanted.prompts_list_changed, wanted.resources_list_changed];
        for ((method, is_wanted), has_changed) in
            notification::LIST_CHANGED.into_iter().zip(wanted).zip(changed)
        {
            if is_wanted && has_changed {
                self.waiting.push_back(self.notification(method, json!({})));
            }
        }
    }

    /// Who listens, as the configuration of `face` has it; `None` when its key or profile is gone, or its key has another
    /// value.
    fn caller(&self, face: &Mcp) -> Option<Caller> {
        let name = self.key_name.as_deref();
        let is_same = name.and_then(|name| face.keys.fingerprint(name)) == self.fingerprint;
        is_same.then(|| face.keys.caller(name, self.profile.as_deref()))?
    }

    /// News as this client is to hear it.
    fn told(&self, news: &News) -> Option<Value> {
        let name = news.server.as_str();
        if self.place.server().is_some_and(|server| server != name) {
            return None;
        }
        let face = self.current.borrow().clone()?;
        let caller = self.caller(&face)?;
        if !caller.scope.allows_server(&news.server) {
            return None;
        }
        let wanted = &self.wanted;
        match &news.what {
            ChangeKind::ToolsOf(alike) if wanted.tools_list_changed && self.alike == Some(*alike) => {
                Some(self.notification(notification::TOOLS_LIST_CHANGED, json!({})))
            }
            ChangeKind::Prompts if wanted.prompts_list_changed => {
                Some(self.notification(notification::PROMPTS_LIST_CHANGED, json!({})))
            }
            ChangeKind::Resources if wanted.resources_list_changed => {
                Some(self.notification(notification::RESOURCES_LIST_CHANGED, json!({})))
            }
            ChangeKind::Resource(uri) => {
                let shown = match &self.session {
                    Some((session, ..)) => session.followed_as(name, uri),
                    None => self.followed.iter().find_map(|followed| followed.shown(name, uri)),
                };
                Some(self.notification(notification::RESOURCES_UPDATED, json!({ "uri": shown? })))
            }
            ChangeKind::ToolsOf(_) | ChangeKind::Prompts | ChangeKind::Resources => None,
        }
    }

    fn notification(&self, method: &str, mut params: Value) -> Value {
        if let Some(id) = &self.subscription {
            params["_meta"] = json!({ SUBSCRIPTION_ID: id });
        }
        if params.as_object().is_some_and(serde_json::Map::is_empty) {
            return json!({ "jsonrpc": "2.0", "method": method });
        }
        json!({ "jsonrpc": "2.0", "method": method, "params": params })
    }
}
