//! One open stream of events: notifications of changes, and servers' messages to the client.
//!
//! A stream holds nothing of a configuration: at each reload it follows the one that is served then, and ends when its
//! key is gone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::response::Response;
use axum::response::sse::Event;
use futures_util::future::OptionFuture;
use futures_util::stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::resource_subscription::{MOST_FOLLOWED, ResourceSubscription};
use super::snapshot::ListSnapshot;
use super::state::Listening;
use crate::catalog::Caller;
use crate::json::First;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::request::RequestContext;
use crate::mcp::response::sse::{self, event_text};
use crate::mcp::state::Mcp;
use crate::protocol::meta::SUBSCRIPTION_ID;
use crate::protocol::notification;
use crate::shares::Held;
use crate::upstream::identity::IdentityKey;
use crate::upstream::oauth::users::user_of;
use crate::upstream::{ChangeKind, News};

/// The kinds of changes that the client subscribes to.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionFilter {
    pub tools_list_changed: bool,
    pub prompts_list_changed: bool,
    pub resources_list_changed: bool,
    pub resource_subscriptions: First<String, MOST_FOLLOWED>,
}

/// An open stream, which follows the catalog and the servers' notifications.
pub struct NotificationStream {
    current: watch::Receiver<Option<Arc<Mcp>>>,
    swapped: watch::Receiver<()>,
    /// As it was when the stream was opened.
    opener: Caller,
    endpoint: Endpoint,
    /// The identity of clients like this one, if servers can ask them for input.
    pub alike: Option<IdentityKey>,
    known: ListSnapshot,
    closing: CancellationToken,
    /// The id of the `subscriptions/listen` that opened the stream.
    pub subscription: Option<Value>,
    /// Messages that are sent before the next wait.
    pub waiting: VecDeque<Value>,
    is_over: bool,
    pub wanted: SubscriptionFilter,
    news: broadcast::Receiver<News>,
    /// The session whose stream this is.
    pub session: Option<Listening>,
    /// The resources that a subscription follows.
    pub followed: Vec<ResourceSubscription>,
    /// Its part of the caller's share.
    _held: Held,
}

impl NotificationStream {
    /// A stream that reports changes of all lists; `held` is its part of the caller's share.
    pub fn new(request: &RequestContext, held: Held) -> Self {
        let RequestContext { mcp, caller, endpoint, .. } = request;
        Self {
            current: mcp.shared.current.subscribe(),
            swapped: mcp.gateway.catalog_builder().swapped(),
            opener: caller.clone(),
            endpoint: endpoint.clone(),
            alike: None,
            known: ListSnapshot::new(mcp, caller, endpoint),
            closing: mcp.shared.closing.clone(),
            subscription: None,
            waiting: VecDeque::new(),
            is_over: false,
            wanted: SubscriptionFilter {
                tools_list_changed: true,
                prompts_list_changed: true,
                resources_list_changed: true,
                resource_subscriptions: First::default(),
            },
            news: mcp.gateway.catalog_builder().news(),
            session: None,
            followed: Vec::new(),
            _held: held,
        }
    }

    /// The response that streams the messages.
    pub fn respond(self) -> Response {
        let events = stream::unfold(self, async |mut stream| {
            let message = stream.next().await?;
            let event = Event::default().event("message").data(message);
            Some((Ok::<_, Infallible>(event), stream))
        });
        sse::respond(events)
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        while !self.is_over {
            if let Some(waiting) = self.waiting.pop_front() {
                return Some(waiting.to_string());
            }
            let is_open = tokio::select! {
                () = self.closing.cancelled() => false,
                () = self.opener.sign_in_end.comes() => false,
                Some(message) = OptionFuture::from(self.session.as_mut().map(Listening::next)) => match message {
                    Some(message) => match serde_json::from_slice::<&RawValue>(&message) {
                        Ok(_) => return event_text(&message),
                        Err(_) => continue,
                    },
                    // The session has ended, or another stream has taken the place of this one.
                    None => false,
                },
                news = self.news.recv() => {
                    match news {
                        Ok(news) => if let Some(notification) = self.notification_of(&news) { return Some(notification.to_string()) },
                        // Missed news count as a change of everything.
                        Err(broadcast::error::RecvError::Lagged(_)) => self.report_all(),
                        Err(broadcast::error::RecvError::Closed) => self.is_over = true,
                    }
                    continue;
                }
                changed = self.current.changed() => changed.is_ok() && self.follow_reload(),
                // An old configuration's catalog ends with its last reader; the next one is followed then.
                Ok(()) = self.swapped.changed() => true,
            };
            self.is_over = !is_open;
            if is_open {
                self.compare();
            }
        }
        // An orderly end of a subscription is its result.
        let subscription = self.subscription.take()?;
        let result = json!({ "resultType": "complete", "_meta": { SUBSCRIPTION_ID: subscription } });
        Some(json!({ "jsonrpc": "2.0", "id": subscription, "result": result }).to_string())
    }

    fn follow_reload(&mut self) -> bool {
        let mcp = self.current.borrow_and_update().clone();
        let Some(mcp) = mcp else { return false };
        self.swapped = mcp.gateway.catalog_builder().swapped();
        self.caller(&mcp).is_some_and(|caller| mcp.is_visible(&caller, &self.endpoint))
    }

    /// Reports the lists that differ from before.
    fn compare(&mut self) {
        let mcp = self.current.borrow().clone();
        let Some(mcp) = mcp else { return };
        let Some(caller) = self.caller(&mcp) else { return };
        let now = ListSnapshot::new(&mcp, &caller, &self.endpoint);
        let before = std::mem::replace(&mut self.known, now);
        self.report_lists(self.known.changed_since(&before));
    }

    /// Reports that everything may have changed.
    fn report_all(&mut self) {
        self.report_lists([true; 3]);
        self.report_followed();
    }

    /// Reports that all followed resources may have changed.
    fn report_followed(&mut self) {
        let followed: Vec<Box<str>> = match &self.session {
            Some(listening) => listening.session.followed().keys().cloned().collect(),
            None => self.wanted.resource_subscriptions.items.iter().map(|uri| uri.as_str().into()).collect(),
        };
        for uri in followed {
            self.waiting.push_back(self.notification(notification::RESOURCES_UPDATED, json!({ "uri": uri })));
        }
    }

    /// Reports that everything may have changed of whose changes clients are told.
    pub fn report_told(&mut self) {
        self.report_lists(self.known.told());
        self.report_followed();
    }

    /// Reports those of the changed lists (tools, prompts, resources) that the client subscribes to.
    fn report_lists(&mut self, changed: [bool; 3]) {
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

    /// The caller under the configuration of `mcp`, unless that one does not know it.
    fn caller(&self, mcp: &Mcp) -> Option<Caller> {
        mcp.keys.again(&self.opener)
    }

    /// The notification of `news` for this client, if it concerns the client.
    fn notification_of(&self, news: &News) -> Option<Value> {
        let name = news.server.as_str();
        if self.endpoint.server().is_some_and(|server| server != name) {
            return None;
        }
        let mcp = self.current.borrow().clone()?;
        let caller = self.caller(&mcp)?;
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
                    Some(listening) => listening.session.followed_as(name, uri),
                    None => self.followed.iter().find_map(|followed| followed.shown(name, uri)),
                };
                Some(self.notification(notification::RESOURCES_UPDATED, json!({ "uri": shown? })))
            }
            ChangeKind::SignedIn(user) if *user == user_of(&caller.principal) => {
                let id = self.session.as_ref()?.session.client.signed_in(name)?;
                Some(self.notification(notification::ELICITATION_COMPLETE, json!({ "elicitationId": id })))
            }
            ChangeKind::ToolsOf(_)
            | ChangeKind::Prompts
            | ChangeKind::Resources
            | ChangeKind::SignedIn(_) => None,
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
