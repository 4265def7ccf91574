use serde_json::value::RawValue;

use super::*;

const ID: u32 = FIRST_ID + 7;

fn result_of(message: &str) -> Option<&str> {
    match sort(message.as_bytes()) {
        Sorted::Result { id, range } if id == ID => Some(&message[range]),
        _ => None,
    }
}

#[test]
fn results_are_found_in_every_order_of_keys() {
    let shapes = [
        format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{{"a":[1,"}}"]}}}}"#),
        format!(r#"{{"result":{{"a":[1,"}}"]}},"jsonrpc":"2.0","id":{ID}}}"#),
        format!(r#"{{ "id" : {ID}, "result": {{"a":[1,"}}"]}} , "jsonrpc":"2.0" }}"#),
        format!(r#"{{"jsonrpc":"2.0","id":"{ID}","result":{{"a":[1,"}}"]}}}}"#),
    ];
    for shape in shapes {
        assert_eq!(result_of(&shape), Some(r#"{"a":[1,"}"]}"#), "{shape}");
    }
}

#[test]
fn a_key_after_the_result_is_no_part_of_it() {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{{"a":1}},"x":2}}"#);
    assert_eq!(result_of(&message), Some(r#"{"a":1}"#));
}

#[test]
fn members_behind_the_result_are_no_part_of_it_whatever_they_are() {
    let long = format!(r#"{{"text":"{}\\\"}}","n":[{{}}]}}"#, "}{\\\"".repeat(40_000));
    let results =
        [r#"{}"#, r#"{"a":[{"b":"}"}]}"#, r#"{"a":"\\"}"#, r#"{"content":[],"isError":false}"#, &long];
    let others = [
        r#""x":{}"#,
        r#""x":{"a":{"b":[]}}"#,
        r#""x":"}""#,
        r#""x":[{}]"#,
        r#""x":{"a":"\\\"{"},"y":{}"#,
        r#""\u0078":{"}":"{"}"#,
        r#""x":7"#,
    ];
    for result in results {
        assert_eq!(result_of(&format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{result}}}"#)), Some(result));
        assert_eq!(result_of(&format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{ID}}}"#)), Some(result));
        for other in others {
            let behind = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{result},{other}}}"#);
            let between = format!(r#"{{"result":{result},{other},"jsonrpc":"2.0","id":{ID}}}"#);
            let name = format!(r#"{{"jsonrpc":"2.0","id":{ID},{other},"res\u0075lt":{result}}}"#);
            for message in [behind, between, name] {
                let found = result_of(&message).unwrap_or_else(|| panic!("lost: {message:.200}"));
                assert!(found == result, "{found:.200} of {message:.200}");
            }
        }
    }
    // Of equal names the last counts, as everywhere in this gateway.
    let twice = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{{"a":1}},"result":{{"b":2}}}}"#);
    assert_eq!(result_of(&twice), Some(r#"{"b":2}"#));
    let error = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{{}},"error":{{"code":1,"message":"m"}}}}"#);
    assert!(matches!(sort(error.as_bytes()), Sorted::Error { id: ID, .. }));
}

#[test]
fn a_result_that_is_no_object_is_still_ours() {
    let message = format!(r#"{{"jsonrpc": "2.0", "id": {ID}, "result": "just a string"}}"#);
    assert_eq!(result_of(&message), Some(r#""just a string""#));
}

#[test]
fn ids_of_others_and_words_inside_strings_are_not_taken() {
    for message in [
        r#"{"jsonrpc":"2.0","id":0,"result":{}}"#.to_owned(),
        format!(r#"{{"method":"x","params":{{"result":1,"id":{ID}}}}}"#),
        format!(r#"{{"result":{{"t":"\",\"jsonrpc\":\"2.0\",\"id\":{ID}"}},"jsonrpc":"2.0","id":3}}"#),
    ] {
        assert_eq!(sort(message.as_bytes()), Sorted::Other, "{message}");
    }
    for message in ["this is not json", "[]", "5", "{\"a\":NaN}", ""] {
        assert_eq!(sort(message.as_bytes()), Sorted::NotJson, "{message}");
    }
}

#[test]
fn an_id_is_found_in_the_forms_that_servers_write_it_in() {
    for id in [format!("\"{ID}\""), format!("{ID}.0"), format!("\"{ID}.0\""), "1.073741831e9".to_owned()] {
        assert_eq!(result_of(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)), Some("{}"), "{id}");
    }
    for id in [format!("{ID}.5"), "true".to_owned(), "null".to_owned(), "1e300".to_owned(), "-1".to_owned()] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        assert_eq!(sort(message.as_bytes()), Sorted::Other, "{id}");
    }
}

#[test]
fn a_token_of_progress_may_come_back_as_a_text() {
    for token in [format!("{ID}"), format!("\"{ID}\""), format!("{ID}.0")] {
        let told = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        );
        assert_eq!(sort(told.as_bytes()), Sorted::Progress { id: ID }, "{token}");
    }
}

#[test]
fn a_request_of_ours_that_comes_back_is_told_from_one_of_the_servers() {
    let request =
        |method: &str| format!(r#"{{"jsonrpc":"2.0","id":{ID},"method":"{method}","params":{{}}}}"#);
    for ours in ["server/discover", "tools/call", "initialize"] {
        assert_eq!(sort(request(ours).as_bytes()), Sorted::Echo { id: ID }, "{ours}");
    }
    for theirs in ["ping", "elicitation/create", "sampling/createMessage", "roots/list"] {
        assert_eq!(sort(request(theirs).as_bytes()), Sorted::Other, "{theirs}");
    }
}

#[test]
fn an_answer_to_a_message_without_a_number_of_ours_is_read_with_what_it_names() {
    let read = |text: &'static str| Reply::read(&Bytes::from_static(text.as_bytes()));
    let result = |id| Some((id, Reply::Result(Bytes::from_static(b"{}"))));
    assert_eq!(read(r#"{"id":0,"result":{}}"#), result(Some(0)));
    assert_eq!(read(r#"{"id":"0.0","result":{}}"#), result(Some(0)));
    assert_eq!(read(r#"{"id":null,"result":{}}"#), result(None));
    assert_eq!(read(r#"{"id":0,"error":null,"result":{}}"#), result(Some(0)));
    let refused = read(r#"{"id":null,"error":{"code":-1,"message":"m"}}"#);
    assert!(matches!(&refused, Some((None, Reply::Error(error))) if error.message == "m"), "{refused:?}");
    for none in [r#"{"id":0}"#, "[]", "{", r#"{"id":0,"method":"x"}"#] {
        assert_eq!(read(none), None, "{none}");
    }
    let refusal = Reply::refusal(0, "a \"b\"");
    assert!(
        matches!(Reply::read(&refusal), Some((Some(0), Reply::Error(error))) if error.message == "a \"b\"")
    );
}

#[test]
fn errors_and_progress_find_their_request() {
    let error =
        format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{{"code":-32602,"message":"m","data":[1]}}}}"#);
    match sort(error.as_bytes()) {
        Sorted::Error { id, error } => {
            assert_eq!((id, error.code, error.message.as_str()), (ID, -32602, "m"));
            assert_eq!(error.data.expect("data was sent").get(), "[1]");
        }
        other => panic!("{other:?}"),
    }
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progress":1,"progressToken":{ID}}}}}"#
    );
    assert_eq!(sort(progress.as_bytes()), Sorted::Progress { id: ID });
}

#[test]
fn an_odd_error_or_a_null_result_still_finds_its_request() {
    for error in [r#"{"message":null}"#, r#""boom""#, r#"{"code":"x"}"#] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{error}}}"#);
        match sort(message.as_bytes()) {
            Sorted::Error { id, error } => assert_eq!((id, error.code), (ID, -32603)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(result_of(&format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":null}}"#)), Some("null"));
}

#[test]
fn a_shaped_answer_that_is_none_goes_to_the_request_that_it_names_first() {
    for rest in [
        r#"{"content":[]}}}}"#,
        r#"{"content":[]},"id":777,"error":{"code":1,"message":"m"},"z":{}"#,
        r#"{"content":[]},"id":777,"y":{}"#,
        r#"{"content":[NaN]"#,
        r#"{},{}"#,
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{rest}}}"#);
        match sort(message.as_bytes()) {
            Sorted::Result { id, range } => {
                assert_eq!(id, ID, "{rest}");
                assert!(serde_json::from_str::<&RawValue>(&message[range]).is_err(), "{rest}");
            }
            other => panic!("{rest}: {other:?}"),
        }
    }
}
