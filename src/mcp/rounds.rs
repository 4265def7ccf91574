//! A client of the era of sessions behind a server without them: what the server's result asks for is asked as requests,
//! and the call made again with the answers (specification 2026-07-28, "Multi Round-Trip Requests").

use std::borrow::Cow;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::Fault;
use super::client::{Answer, Client};
use super::members::Members;

/// Rounds of one request, so that a server cannot ask for ever.
pub const MOST: usize = 32;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    #[serde(borrow, default)]
    input_requests: Members<'a>,
    #[serde(borrow)]
    request_state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Asks the client for everything that `result` wants. The members of `params` for the next round, as JSON text without
/// braces.
///
/// # Errors
///
/// When the client cannot be asked, or refuses with an error.
pub async fn fulfil(client: &Client, result: &[u8]) -> Result<String, Fault> {
    let wanted: InputRequired<'_> = serde_json::from_slice(result)
        .map_err(|_| Fault::internal("the server asks for input in a form that is none"))?;
    let answers = wanted.input_requests.0.iter().map(|(key, asked)| one(client, key, asked));
    let answers: Vec<String> = join_all(answers).await.into_iter().collect::<Result<_, _>>()?;
    let mut members = format!("\"inputResponses\":{{{}}}", answers.join(","));
    if let Some(state) = wanted.request_state {
        members.push_str(",\"requestState\":");
        members.push_str(state.get());
    }
    Ok(members)
}

/// Asks for one of them; the member of `inputResponses`.
async fn one(client: &Client, key: &str, asked: &RawValue) -> Result<String, Fault> {
    let asked: Asked<'_> = serde_json::from_str(asked.get())
        .map_err(|_| Fault::internal("the server asks for input in a form that is none"))?;
    let params = asked.params.map_or("{}", RawValue::get);
    match client.ask(&asked.method, params).await {
        Some(Answer::Result(result)) => Ok(format!("{}:{result}", Value::from(key))),
        // A form that cannot be shown is one that nobody fills in.
        Some(Answer::Error(_)) if asked.method == "elicitation/create" => {
            Ok(format!(r#"{}:{{"action":"cancel"}}"#, Value::from(key)))
        }
        Some(Answer::Error(_)) => {
            Err(Fault::internal(format!("the client refused `{}`, which the server needs", asked.method)))
        }
        None => Err(Fault::internal(format!("the client cannot be asked `{}`", asked.method))),
    }
}
