//! The headers that repeat some of a call's arguments (2026-07-28, streamable HTTP, "Custom Headers from Tool
//! Parameters").

use http::{HeaderName, HeaderValue};
use jsonschema::JsonType;
use serde_json::Value;

use super::{ArgumentError, FaultKind};
use crate::json::PathSegment;
use crate::upstream::header_value;
use crate::upstream::tools::header_params::{HeaderParam, ParamKind};
use crate::upstream::tools::header_values::values_in;

/// The largest integer that every end reads as it is, 2^53 - 1; minus it is the least.
const SAFE: i64 = (1 << 53) - 1;
const SAFE_FLOAT: f64 = 9_007_199_254_740_991.0;

/// Those for the JSON text of `arguments`. An argument that is absent or null has none.
///
/// # Errors
///
/// An argument that is not of its declared type, or an integer beyond 2^53 - 1: no header can say it.
pub fn headers(
    params: &[HeaderParam],
    arguments: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>, ArgumentError> {
    if params.is_empty() {
        return Ok(Vec::new());
    }
    let values = values_in(params, arguments).map_err(|_| ArgumentError::unexplained())?;
    let mut headers = Vec::with_capacity(params.len());
    for (param, value) in params.iter().zip(values) {
        if let Some(value) = value {
            let said = said(param.kind, &value).map_err(|kind| {
                let path = param.path.iter().cloned().map(PathSegment::Key).collect();
                ArgumentError::one(path, kind, value.clone())
            })?;
            headers.push((param.header.clone(), said));
        }
    }
    Ok(headers)
}

fn said(kind: ParamKind, value: &Value) -> Result<HeaderValue, FaultKind> {
    let wrong = |kind| Err(FaultKind::Type(vec![kind]));
    match (kind, value) {
        (ParamKind::String, Value::String(text)) => Ok(header_value(text)),
        (ParamKind::String, _) => wrong(JsonType::String),
        (ParamKind::Boolean, Value::Bool(truth)) => Ok(HeaderValue::from_static(match truth {
            true => "true",
            false => "false",
        })),
        (ParamKind::Boolean, _) => wrong(JsonType::Boolean),
        (ParamKind::Integer, Value::Number(number)) => match number.as_i64() {
            Some(integer) if (-SAFE..=SAFE).contains(&integer) => Ok(HeaderValue::from(integer)),
            Some(integer) => Err(too_far(integer > 0)),
            // `1.0` and `1e3` are integers, too.
            None => match number.as_f64() {
                Some(float) if float.fract() != 0.0 => wrong(JsonType::Integer),
                Some(float) if float.abs() <= SAFE_FLOAT => Ok(header_value(&format!("{:.0}", float + 0.0))),
                float => Err(too_far(float.is_none_or(|float| float > 0.0))),
            },
        },
        (ParamKind::Integer, _) => wrong(JsonType::Integer),
    }
}

fn too_far(is_above: bool) -> FaultKind {
    match is_above {
        true => FaultKind::Maximum(SAFE.into()),
        false => FaultKind::Minimum((-SAFE).into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers_of(kind: &str, arguments: &str) -> Result<Vec<String>, String> {
        let definition = json!({ "inputSchema": { "properties": {
            "a": { "type": kind, "x-mcp-header": "A" },
            "b": { "type": "string" },
        } } });
        let params = HeaderParam::all_of(definition.as_object().unwrap()).unwrap();
        let shown =
            |(name, value): &(HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let found = headers(&params, arguments.as_bytes()).map_err(|error| error.to_string())?;
        Ok(found.iter().map(shown).collect())
    }

    #[test]
    fn arguments_are_said_in_their_headers() {
        for (kind, arguments, said) in [
            ("string", r#"{"a":"us-west1","b":"x"}"#, "us-west1"),
            ("string", r#"{"a":""}"#, ""),
            ("string", r#"{"a":" padded "}"#, "=?base64?IHBhZGRlZCA=?="),
            ("integer", r#"{"a":42}"#, "42"),
            ("integer", r#"{"a":-7}"#, "-7"),
            ("integer", r#"{"a":42.0}"#, "42"),
            ("integer", r#"{"a":-0.0}"#, "0"),
            ("integer", r#"{"a":1e3}"#, "1000"),
            ("integer", r#"{"a":9007199254740991}"#, "9007199254740991"),
            ("integer", r#"{"a":-9007199254740991.0}"#, "-9007199254740991"),
            ("boolean", r#"{"a":true}"#, "true"),
            ("boolean", r#"{"a":false}"#, "false"),
        ] {
            assert_eq!(headers_of(kind, arguments), Ok(vec![format!("mcp-param-a: {said}")]), "{arguments}");
        }
    }

    #[test]
    fn what_is_absent_or_null_has_no_header() {
        for arguments in ["{}", r#"{"b":"x"}"#, r#"{"a":null}"#] {
            assert_eq!(headers_of("string", arguments), Ok(Vec::new()), "{arguments}");
        }
    }

    #[test]
    fn what_no_header_can_say_is_a_fault_of_the_arguments() {
        for (kind, arguments, told) in [
            ("integer", r#"{"a":9007199254740992}"#, "less than or equal to 9007199254740991"),
            ("integer", r#"{"a":18446744073709551615}"#, "less than or equal to 9007199254740991"),
            ("integer", r#"{"a":1e300}"#, "less than or equal to 9007199254740991"),
            ("integer", r#"{"a":-9007199254740992}"#, "greater than or equal to -9007199254740991"),
            ("integer", r#"{"a":-1e300}"#, "greater than or equal to -9007199254740991"),
            ("integer", r#"{"a":1.5}"#, "a valid integer"),
            ("integer", r#"{"a":"1"}"#, "a valid integer"),
            ("string", r#"{"a":{"b":1}}"#, "a valid string"),
            ("boolean", r#"{"a":1}"#, "a valid boolean"),
        ] {
            let error = headers_of(kind, arguments).unwrap_err();
            assert!(error.contains(told) && error.contains("a: "), "{arguments}: {error}");
        }
    }
}
