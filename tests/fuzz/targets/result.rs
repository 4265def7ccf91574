//! Any bytes as the result of a call: the answer to a REST caller is JSON, or the result is refused.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcpo::rest::result;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    match result::render(&Bytes::copy_from_slice(bytes)) {
        Ok(rendered) => {
            let body: &RawValue = serde_json::from_slice(&rendered.body).expect("what is rendered is JSON");
            if rendered.is_error {
                assert!(body.get().starts_with(r#"{"detail":{"message":"#), "{body}");
            }
            // Data is not multiplied: a character becomes six at most, as an escape.
            assert!(rendered.body.len() <= 6 * bytes.len() + 1024, "{} of {}", rendered.body.len(), bytes.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
