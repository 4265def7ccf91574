//! Messages about failed queries, each with what to do about it. Pure; no text holds a key.

use http::StatusCode;
use serde_json::Value;

use super::output::shown;
use super::request::GatewayResponse;
use crate::config::nearest;

/// Names shown in one line at most; the rest is counted.
const NAMES: usize = 20;

/// No connection can be made to `origin`.
pub fn unreachable(origin: &str, reason: &str) -> String {
    format!(
        "no gateway answers at {origin}: {reason}\n\
         Is it running? Start it with `mcpo --config FILE`; say where it is with --url or MCPO_URL; or ask servers \
         without a gateway, with --config FILE."
    )
}

/// The answer from `place` is not one of this gateway.
pub fn no_gateway(place: &str) -> String {
    format!("what answers at {place} is no mcpo gateway: say where it is with --url or MCPO_URL")
}

/// There is no server `name`.
pub fn unknown_server(name: &str, known: &[&str]) -> String {
    format!("there is no server `{}`{}", shown(name), known_names(name, known, "servers"))
}

/// `server` has no tool `name`.
pub fn unknown_tool(server: &str, name: &str, known: &[&str]) -> String {
    format!("{server} has no tool `{}`{}", shown(name), known_names(name, known, "tools"))
}

fn known_names(name: &str, known: &[&str], things: &str) -> String {
    if known.is_empty() {
        return format!("; there are no {things}");
    }
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map(|name| format!("; did you mean `{}`?", shown(name))).unwrap_or_default();
    let listed: Vec<String> = known.iter().take(NAMES).map(|name| shown(name)).collect();
    let more = match known.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{meant}\nThe {things}: {}{more}", listed.join(", "))
}

/// The meaning of a failed answer from `place`; `key` is the flag or variable that the key came from.
pub fn failure(answer: &GatewayResponse, place: &str, key: Option<&str>) -> String {
    let status = answer.status;
    let detail = detail(&answer.body);
    match (status, answer.code(), key) {
        (StatusCode::UNAUTHORIZED, _, None) => format!(
            "the gateway at {place} wants an API key: set MCPO_API_KEY, or give --api-key '${{file:/path/of/key}}'"
        ),
        (StatusCode::UNAUTHORIZED, _, Some(key)) => {
            format!("the gateway at {place} does not take the key of {key}: {}", detail.unwrap_or_default())
        }
        (StatusCode::FORBIDDEN, Some("needs_admin"), _) => {
            let detail = detail.unwrap_or_default();
            format!(
                "{detail}: give such a key with --api-key or MCPO_API_KEY (`\"admin\": true` in `apiKeys`)"
            )
        }
        (StatusCode::FORBIDDEN, Some("wrong_key"), Some(key)) => {
            format!("the gateway at {place} refuses the key of {key}: correct {key}")
        }
        _ if status.is_redirection() => {
            format!(
                "{place} leads elsewhere (HTTP status {status}): give the final address with --url or MCPO_URL"
            )
        }
        _ => match detail {
            Some(detail) => {
                let retry =
                    answer.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry = retry.map(|seconds| format!("; try again in {} s", shown(seconds)));
                format!("{detail}{}", retry.unwrap_or_default())
            }
            None if answer.code().is_none() => {
                format!("{} (HTTP status {status})", no_gateway(place))
            }
            None => format!("HTTP status {status} from {place}"),
        },
    }
}

/// The message in an error's body, which is `{"detail": ...}` in one of three forms; `None` for any other body.
fn detail(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = match body.get("detail")? {
        Value::String(text) => text.clone(),
        Value::Array(faults) => {
            let faults: Vec<String> = faults.iter().map(fault).collect();
            format!("the arguments do not fit:\n{}", faults.join("\n"))
        }
        detail => match (detail.get("message")?, detail.get("data")) {
            (Value::String(message), None) => message.clone(),
            (Value::String(message), Some(data)) => format!("{message}\n{data}"),
            (message, _) => message.to_string(),
        },
    };
    Some(shown(&text))
}

/// One refused argument: where, and why.
fn fault(fault: &Value) -> String {
    let place: Vec<String> = fault["loc"]
        .as_array()
        .into_iter()
        .flatten()
        .skip(1)
        .map(|segment| segment.as_str().map_or_else(|| segment.to_string(), str::to_owned))
        .collect();
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(".")) };
    format!("  {place}{}", fault["msg"].as_str().unwrap_or("refused"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, code: Option<&'static str>, body: &'static str) -> GatewayResponse {
        let mut headers = HeaderMap::new();
        if let Some(code) = code {
            headers.insert(crate::http::answer::ERROR_CODE, HeaderValue::from_static(code));
        }
        GatewayResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_slip_is_recognised_and_the_known_names_are_told() {
        insta::assert_snapshot!(unknown_server("tme", &["time", "github"]), @r"
        there is no server `tme`; did you mean `time`?
        The servers: time, github
        ");
        assert_eq!(unknown_tool("time", "x", &[]), "time has no tool `x`; there are no tools");
        let many: Vec<String> = (0..25).map(|number| format!("t{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(unknown_tool("s", "zebra", &many).ends_with("t19 and 5 more"));
    }

    #[test]
    fn refusals_say_where_the_key_belongs() {
        let body = r#"{"detail":"Missing or invalid Authorization header"}"#;
        let missing = answer(401, Some("unauthenticated"), body);
        assert!(failure(&missing, "http://h", None).contains("set MCPO_API_KEY, or give --api-key"));
        let wrong = answer(403, Some("wrong_key"), r#"{"detail":"Invalid API key"}"#);
        let told = failure(&wrong, "http://h", Some("MCPO_API_KEY"));
        assert_eq!(told, "the gateway at http://h refuses the key of MCPO_API_KEY: correct MCPO_API_KEY");
        let admin = answer(403, Some("needs_admin"), r#"{"detail":"for admins"}"#);
        assert!(failure(&admin, "http://h", Some("--api-key")).starts_with("for admins: give such a key"));
    }

    #[test]
    fn details_of_all_forms_become_readable_and_harmless() {
        let faults =
            r#"{"detail":[{"loc":["body","a",0],"msg":"Field required"},{"loc":["body"],"msg":"bad"}]}"#;
        insta::assert_snapshot!(failure(&answer(422, Some("bad_arguments"), faults), "", None), @r"
        the arguments do not fit:
          a.0: Field required
          bad
        ");
        let tool = r#"{"detail":{"message":"two\nlines \u001b[31m"}}"#;
        assert_eq!(failure(&answer(500, None, tool), "", None), "two\nlines \\u{1b}[31m");
        let stranger = failure(&answer(404, None, "<html>"), "http://h", None);
        assert!(stranger.contains("no mcpo gateway") && stranger.contains("404"), "{stranger}");
    }
}
