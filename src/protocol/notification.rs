//! Methods of notifications, and those of their parameters that the gateway reads.

use serde::Deserialize;
use serde_json::value::RawValue;

pub const CANCELLED: &str = "notifications/cancelled";
pub const ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
pub const INITIALIZED: &str = "notifications/initialized";
pub const MESSAGE: &str = "notifications/message";
pub const PROGRESS: &str = "notifications/progress";
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
pub const SUBSCRIPTIONS_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";

/// That the lists of tools, prompts and resources changed, in this order.
pub const LIST_CHANGED: [&str; 3] = [TOOLS_LIST_CHANGED, PROMPTS_LIST_CHANGED, RESOURCES_LIST_CHANGED];

/// The parameters of [`CANCELLED`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancelled<'a> {
    #[serde(borrow)]
    pub request_id: &'a RawValue,
}
