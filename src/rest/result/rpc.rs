//! A server's JSON-RPC error as a REST answer (as in mcpo 0.0.20).

use bytes::Bytes;
use serde_json::value::RawValue;

use super::write_string;
use crate::protocol::error_code;

/// The HTTP status and body of an error that a server answered a call with.
///
/// Parse error and invalid request are 400, method not found 404, invalid params 422, all others 500; the body is
/// `{"detail":{"message"[,"data"]}}` with the server's own words and data.
pub fn answer(code: i64, message: &str, data: Option<&RawValue>) -> (u16, Bytes) {
    let status = match code {
        error_code::PARSE_ERROR | error_code::INVALID_REQUEST => 400,
        error_code::METHOD_NOT_FOUND => 404,
        error_code::INVALID_PARAMS => 422,
        _ => 500,
    };
    let mut body = br#"{"detail":{"message":"#.to_vec();
    write_string(message, &mut body);
    if let Some(data) = data {
        body.extend_from_slice(br#","data":"#);
        body.extend_from_slice(data.get().as_bytes());
    }
    body.extend_from_slice(b"}}");
    (status, Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::answer;
    use serde_json::value::RawValue;

    #[test]
    fn codes_messages_and_data_are_those_that_were_recorded_of_mcpo() {
        for (code, message, data, status, body) in [
            (-32700, "msg for e_parse", None, 400, r#"{"detail":{"message":"msg for e_parse"}}"#),
            (
                -32600,
                "msg for e_invalid_request",
                None,
                400,
                r#"{"detail":{"message":"msg for e_invalid_request"}}"#,
            ),
            (-32601, "msg for e_method", None, 404, r#"{"detail":{"message":"msg for e_method"}}"#),
            (-32602, "msg for e_params", None, 422, r#"{"detail":{"message":"msg for e_params"}}"#),
            (-32603, "msg for e_internal", None, 500, r#"{"detail":{"message":"msg for e_internal"}}"#),
            (-32000, "msg for e_custom", None, 500, r#"{"detail":{"message":"msg for e_custom"}}"#),
            (-32002, "msg for e_resource", None, 500, r#"{"detail":{"message":"msg for e_resource"}}"#),
            (
                -32603,
                "with data",
                Some(r#"{"k": [1, 2]}"#),
                500,
                r#"{"detail":{"message":"with data","data":{"k": [1, 2]}}}"#,
            ),
            (
                1234,
                "positive \"code\"",
                Some("\"str data\""),
                500,
                r#"{"detail":{"message":"positive \"code\"","data":"str data"}}"#,
            ),
        ] {
            let data = data.map(|data| serde_json::from_str::<&RawValue>(data).unwrap());
            let (got, text) = answer(code, message, data);
            assert_eq!((got, std::str::from_utf8(&text).unwrap()), (status, body), "{code}");
        }
    }
}
