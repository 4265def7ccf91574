//! Every kind of content and of error, as servers write them.

use super::{RenderError, Rendered, render};
use crate::upstream::error_text::WrongAnswer;

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn rendered(result: &str) -> String {
    let Rendered { is_error, body } =
        render(result.as_bytes()).unwrap_or_else(|error| panic!("{result}: {error}"));
    assert!(!is_error, "{result}");
    String::from_utf8(body.to_vec()).unwrap()
}

fn message(result: &str) -> String {
    let Rendered { is_error, body } =
        render(result.as_bytes()).unwrap_or_else(|error| panic!("{result}: {error}"));
    assert!(is_error, "{result}");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert_eq!(body["detail"].as_object().unwrap().len(), 1);
    body["detail"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn texts_are_the_json_that_they_are_or_strings() {
    for (text, expected) in [
        ("hello world", "\"hello world\""),
        (r#"{\"a\": 1, \"b\": [true, null]}"#, r#"{"a": 1, "b": [true, null]}"#),
        ("[1,2,3]", "[1,2,3]"),
        ("42", "42"),
        ("true", "true"),
        ("null", "null"),
        (r#"\"quoted\""#, "\"quoted\""),
        ("NaN", "\"NaN\""),
        ("-Infinity", "\"-Infinity\""),
        ("[NaN]", "\"[NaN]\""),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.0", "1.0"),
        ("1E400", "1E400"),
        ("", "\"\""),
        ("  ", "\"  \""),
        (r" \t\n\r42 \n", "42"),
        (r"\u005b1]", "[1]"),
        ("01", "\"01\""),
        ("2024-01-01", "\"2024-01-01\""),
        ("nothing", "\"nothing\""),
        ("<html><body>hi</body></html>", "\"<html><body>hi</body></html>\""),
        (r"na\u00efve \u2603 \u2028 \u0007 end", r#""na\u00efve \u2603 \u2028 \u0007 end""#),
        (r"{\ud800", r#""{\ud800""#),
        (r#"[\"\\ud800\"]"#, r#"["\ud800"]"#),
    ] {
        assert_eq!(
            rendered(&format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#)),
            expected,
            "{text}"
        );
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(rendered(&format!(r#"{{"content":[{{"text":"{deep}","type":"text"}}]}}"#)), deep);
}

#[test]
fn every_kind_of_content_keeps_its_data() {
    let image = format!(r#"{{"type":"image","data":"{PNG}","mimeType":"image/png"}}"#);
    let picture = format!("\"data:image/png;base64,{PNG}\"");
    let audio = r#"{"type":"audio","data":"UklGRi4uLi5XQVZF","mimeType":"audio/wav"}"#;
    let text_resource =
        r#"{"type":"resource","resource":{"uri":"file:///a.txt","mimeType":"text/plain","text":"hi"}}"#;
    let blob = r#"{"type":"resource","resource":{"uri":"file:///a.bin","mimeType":"application/octet-stream","blob":"AAEC"}}"#;
    let described =
        "\"[Resource: file:///a.bin] (binary data, mimeType: application/octet-stream, 3 bytes)\"";
    let picture_blob =
        format!(r#"{{"type":"resource","resource":{{"mimeType":"image/png","blob":"{PNG}"}}}}"#);
    let link = r#"{"type":"resource_link","uri":"https://example.com/x","name":"x","mimeType":"text/html"}"#;
    for (item, expected) in [
        (image.as_str(), picture.as_str()),
        (audio, r#""data:audio/wav;base64,UklGRi4uLi5XQVZF""#),
        (text_resource, text_resource),
        (blob, described),
        (&picture_blob, picture.as_str()),
        (
            r#"{"type":"resource","resource":{"blob":"AA=="}}"#,
            r#""[Resource: resource] (binary data, mimeType: application/octet-stream, 1 bytes)""#,
        ),
        (
            r#"{"type":"resource","resource":{"uri":"u","text":"","blob":"AA=="}}"#,
            r#"{"type":"resource","resource":{"uri":"u","text":"","blob":"AA=="}}"#,
        ),
        (
            r#"{"type":"resource","resource":{"uri":"u","blob":5}}"#,
            r#"{"type":"resource","resource":{"uri":"u","blob":5}}"#,
        ),
        (r#"{"type":"resource","resource":"u"}"#, r#"{"type":"resource","resource":"u"}"#),
        (link, link),
        (r#"{"type":"hologram","x":1}"#, r#"{"type":"hologram","x":1}"#),
        (r#"{ "\u0078" : 1.50 }"#, r#"{"x":1.50}"#),
        (r#"{"type":"image","data":"AA"}"#, r#"{"type":"image","data":"AA"}"#),
        (
            r#"{"type":"text","text":"x","annotations":{"audience":["user"],"priority":0.5},"_meta":{"k":1}}"#,
            "\"x\"",
        ),
    ] {
        assert_eq!(rendered(&format!(r#"{{"content":[{item}]}}"#)), expected);
    }
    let mixed = [r#"{"type":"text","text":"cap"}"#, &image, audio, text_resource, link].join(" , ");
    let expected =
        [r#""cap""#, &picture, r#""data:audio/wav;base64,UklGRi4uLi5XQVZF""#, text_resource, link].join(",");
    assert_eq!(rendered(&format!(r#"{{"content":[{mixed}]}}"#)), format!("[{expected}]"));
    assert_eq!(rendered(&format!(r#"{{"content":[{image},{image}]}}"#)), format!("[{picture},{picture}]"));
}

#[test]
fn one_item_stands_alone_several_make_a_list_and_none_the_structured_content() {
    for (result, expected) in [
        (r#"{"content":[]}"#, "[]"),
        ("{}", "[]"),
        (r#"{"content":null,"structuredContent":null}"#, "[]"),
        (r#"{"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}"#, r#"["one","two"]"#),
        (
            r#"{"content":[{"type":"text","text":"one"},{"type":"text","text":"{\"k\":1}"}]}"#,
            r#"["one",{"k":1}]"#,
        ),
        (r#"{"content":[],"structuredContent":{"a":1}}"#, r#"{"a":1}"#),
        (r#"{"structuredContent":{"a": 1.0, "b": null}}"#, r#"{"a": 1.0, "b": null}"#),
        (
            r#"{"content":[{"type":"text","text":"{\"a\":1}"}],"structuredContent":{"a":1,"extra":2}}"#,
            r#"{"a":1}"#,
        ),
        (
            r#"{"structuredContent":{"a":1},"content":[{"type":"text","text":"human text"}]}"#,
            "\"human text\"",
        ),
        (r#"{"content":[{"type":"text","text":"x"}],"_meta":{"trace":"1"},"isError":false}"#, "\"x\""),
    ] {
        assert_eq!(rendered(result), expected, "{result}");
    }
}

#[test]
fn an_error_says_all_its_text_verbatim() {
    for (result, expected) in [
        (r#"{"content":[{"type":"text","text":"boom"}],"isError":true}"#, "boom"),
        (r#"{"isError":true,"content":[{"type":"text","text":"{\"code\":7}"}]}"#, r#"{"code":7}"#),
        (r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"isError":true}"#, "a\nb"),
        (
            r#"{"content":[{"type":"text","text":"bad"}],"isError":true,"structuredContent":{"why":"x"}}"#,
            "bad",
        ),
        (r#"{"content":[{"type":"text","text":"q \"\\ \u00e9"}],"isError":true}"#, "q \"\\ é"),
        (r#"{"content":[],"isError":true}"#, "Unknown tool execution error"),
        (r#"{"content":[{"type":"text","text":""}],"isError":true}"#, "Unknown tool execution error"),
        (r#"{"isError":true,"structuredContent":{"why": "x"}}"#, r#"{"why": "x"}"#),
        (
            r#"{"content":[{"type":"resource_link","uri":"u"}],"isError":true}"#,
            r#"[{"type":"resource_link","uri":"u"}]"#,
        ),
    ] {
        assert_eq!(message(result), expected, "{result}");
    }
    let image = format!(r#"{{"type":"image","data":"{PNG}","mimeType":"image/png"}}"#);
    assert_eq!(message(&format!(r#"{{"content":[{image}],"isError":true}}"#)), format!("[{image}]"));
}

#[test]
fn what_is_no_tool_result_is_refused_without_quoting_it() {
    for (result, expected) in [
        ("\"just a string\"", RenderError::NotAnObject),
        ("[]", RenderError::NotAnObject),
        ("{", RenderError::NotJson(WrongAnswer::no_json(b"{"))),
        ("", RenderError::NotJson(WrongAnswer::no_json(b""))),
        (r#"{"content":"secret"}"#, RenderError::ContentNotAList),
        (r#"{"content":[5]}"#, RenderError::ContentNotAList),
        (
            r#"{"content":[{"type":"text","text":"x"},{"type":"text","text":5}]}"#,
            RenderError::NoText { position: 1 },
        ),
        (r#"{"content":[{"type":"text"}],"isError":true}"#, RenderError::NoText { position: 0 }),
    ] {
        let error = render(result.as_bytes()).unwrap_err();
        assert_eq!(error, expected, "{result}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("just"));
    }
}
