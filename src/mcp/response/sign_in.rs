//! Asks the user of a client to sign in to a server: the client opens an address (elicitation in URL mode).

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use crate::gateway::Client;
use crate::json::{Members, hex, member};
use crate::mcp::input::bridge::Bridge;
use crate::protocol::Era;
use crate::protocol::error_code::URL_ELICITATION_REQUIRED;

/// The name of the question among those of a result.
const KEY: &str = "mcpo_sign_in";

/// Whether `client` opens addresses for its user.
fn opens_addresses(client: &Client) -> bool {
    let modes = member::<Members<'_>>(&client.side.capabilities, "elicitation");
    modes.is_some_and(|modes| modes.get("url").is_some())
}

/// The answer to a call of `server` that needs a sign-in at `link`.
///
/// `None` where the client opens no addresses, or its user has `declined` to.
///
/// # Errors
///
/// In the era of sessions it is an error (2025-11-25, elicitation, "URL Elicitation Required Error").
pub fn asked(bridge: &Bridge, server: &str, link: &str, declined: bool) -> Option<Result<Bytes, Fault>> {
    let client = bridge.client.as_ref().filter(|client| !declined && opens_addresses(client))?;
    let message = format!("Sign in to {server}, so that its tools act with your own account there.");
    let mut question = json!({ "mode": "url", "message": message, "url": link });
    if bridge.era == Era::Stateless {
        let asked = json!({ KEY: { "method": "elicitation/create", "params": question } });
        let result = json!({ "resultType": "input_required", "inputRequests": asked });
        return Some(Ok(super::fault::text(&result)));
    }
    let id = id(client, link);
    if let Some(session) = &bridge.session {
        session.asked_to_sign_in(server, &id);
    }
    question["elicitationId"] = id.into();
    let fault =
        Fault::new(URL_ELICITATION_REQUIRED, message).with_data(&json!({ "elicitations": [question] }));
    Some(Err(fault))
}

/// Names the question of one client for one server. It opens nothing.
fn id(client: &Client, link: &str) -> String {
    let digest = Sha256::new().chain_update(client.side.key).chain_update(link).finalize();
    hex(&digest[..16])
}

/// Whether the client's answers (JSON text) say that its user signs in.
///
/// `None` when they answer something else.
pub fn answered(answers: Option<&str>) -> Option<bool> {
    let answer = member::<Value>(answers?, KEY)?;
    Some(answer["action"] == "accept")
}
