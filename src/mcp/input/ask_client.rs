//! Asks a client with a session for the input that a stateless server's result requires.
//!
//! The client gets a request for each question, and the call is made again with its answers (specification 2026-07-28,
//! "Multi Round-Trip Requests").

use std::borrow::Cow;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{NoAnswer, SessionClient};
use crate::gateway::Outcome;
use crate::json::Members;
use crate::mcp::response::fault::Fault;
use crate::protocol::method;
use crate::upstream::ANSWERED_WITHIN;

/// Rounds of one request, so that a server cannot ask for ever.
pub const MOST_ROUNDS: usize = 32;
/// Questions of one round.
const MOST_AT_ONCE: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    #[serde(borrow, default)]
    input_requests: Members<'a>,
    #[serde(borrow)]
    request_state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InputRequest<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Asks the client for all input that `result` requires.
///
/// Returns the members of `params` for the next round, as JSON text without braces.
///
/// # Errors
///
/// When the client cannot be asked, refuses with an error, or does not answer in time.
pub async fn fulfil(client: &SessionClient, result: &[u8]) -> Result<String, Fault> {
    let wanted: InputRequired<'_> = serde_json::from_slice(result).map_err(|_| no_form())?;
    if wanted.input_requests.0.len() > MOST_AT_ONCE {
        let fault = Fault::internal(format!("the server asks for more than {MOST_AT_ONCE} things at once"));
        return Err(fault.ended(Outcome::UNRENDERABLE));
    }
    let answers = wanted.input_requests.0.iter().map(|(key, asked)| one(client, key, asked));
    let answers: Vec<String> = join_all(answers).await.into_iter().collect::<Result<_, _>>()?;
    let mut members = format!("\"inputResponses\":{{{}}}", answers.join(","));
    if let Some(state) = wanted.request_state {
        members.push_str(",\"requestState\":");
        members.push_str(state.get());
    }
    Ok(members)
}

/// Asks one question, and returns its member of `inputResponses`.
async fn one(client: &SessionClient, key: &str, asked: &RawValue) -> Result<String, Fault> {
    let asked: InputRequest<'_> = serde_json::from_str(asked.get()).map_err(|_| no_form())?;
    let method = &asked.method;
    let ended = |outcome, message: String| Err(Fault::internal(message).ended(outcome));
    let params = asked.params.map_or("{}", RawValue::get);
    match client.ask(&asked.method, params).await {
        Ok(Ok(result)) => Ok(format!("{}:{result}", Value::from(key))),
        // A client that cannot show the form leaves it unanswered, which the server understands.
        Ok(Err(_)) if asked.method == method::ELICITATION_CREATE => {
            Ok(format!(r#"{}:{{"action":"cancel"}}"#, Value::from(key)))
        }
        Ok(Err(_)) => {
            ended(Outcome::INPUT_REFUSED, format!("the client refused `{method}`, which the server needs"))
        }
        Err(NoAnswer::Unreachable) => {
            ended(Outcome::INPUT_UNAVAILABLE, format!("the client cannot be asked `{method}`"))
        }
        Err(NoAnswer::Late) => {
            let seconds = ANSWERED_WITHIN.as_secs();
            let message = format!("the client did not answer `{method}` within {seconds} s");
            ended(Outcome::INPUT_UNAVAILABLE, message)
        }
    }
}

fn no_form() -> Fault {
    Fault::internal("the server asks for input in a form that the protocol does not have")
        .ended(Outcome::UNRENDERABLE)
}
