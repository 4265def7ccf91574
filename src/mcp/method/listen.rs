//! `subscriptions/listen` of the stateless era: a stream of the changes that the client subscribes to.

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::subscriptions::{find_resource, take_followed};
use crate::mcp::capabilities::{any_sends, offers_subscriptions};
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::Fault;
use crate::mcp::session::notification_stream::{NotificationStream, SubscriptionFilter};
use crate::mcp::session::resource_subscription::{MOST_FOLLOWED, ResourceSubscription};
use crate::protocol::meta::SUBSCRIPTION_ID;
use crate::protocol::notification;
use crate::upstream::identity::IdentityKey;

#[derive(Deserialize)]
struct ListenParams {
    #[serde(default)]
    notifications: SubscriptionFilter,
}

/// Opens the stream for the request `id` (JSON text); `alike` stands for clients like this one.
pub fn answer(request: &RequestContext, alike: Option<IdentityKey>, id: &str, params: &str) -> Response {
    let Ok(listen) = serde_json::from_str::<ListenParams>(params) else {
        return Fault::invalid_params("`notifications` must be an object").response(Some(id));
    };
    let held = match request.mcp.take_listener(&request.caller) {
        Ok(held) => held,
        Err(fault) => return fault.response(Some(id)),
    };
    let subscription: Value = serde_json::from_str(id).unwrap_or_default();
    let mut wanted = listen.notifications;
    let mut followed = Vec::new();
    wanted.resource_subscriptions.items.retain(|uri| {
        let found = find_resource(request, uri).filter(|(upstream, _)| offers_subscriptions(upstream));
        let Some((upstream, own)) = found.filter(|_| followed.len() < MOST_FOLLOWED) else {
            return false;
        };
        // A resource over the limit is not acknowledged; the client may ask for it later.
        let Ok(held) = take_followed(request, uri) else { return false };
        followed.push(ResourceSubscription::new(&upstream, &own, uri, held));
        true
    });
    let mut honored = json!({});
    let sends = |kind| any_sends(&request.mcp, &request.caller, &request.endpoint, kind, "listChanged");
    wanted.prompts_list_changed &= sends("prompts");
    wanted.resources_list_changed &= sends("resources");
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
    let acknowledged = json!({
        "jsonrpc": "2.0",
        "method": notification::SUBSCRIPTIONS_ACKNOWLEDGED,
        "params": { "_meta": { SUBSCRIPTION_ID: subscription }, "notifications": honored },
    });
    let mut stream = NotificationStream::new(request, held);
    stream.alike = alike;
    stream.wanted = wanted;
    stream.followed = followed;
    stream.waiting.push_back(acknowledged);
    stream.subscription = Some(subscription);
    stream.respond()
}
