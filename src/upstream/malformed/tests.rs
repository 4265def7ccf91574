use super::*;

const ID: u32 = 1 << 30;

/// The requests that these lines of a server are found to answer.
fn found(text: &str) -> Vec<(u32, Garbling, String)> {
    found_in(text.as_bytes())
}

fn found_in(text: &[u8]) -> Vec<(u32, Garbling, String)> {
    let mut malformed = MalformedLines::default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let found = lines.filter_map(|line| malformed.take(line));
    found.map(|(id, Garbled { garbling, line })| (id, garbling, line.to_string())).collect()
}

#[test]
fn an_answer_in_one_line_is_found_whatever_garbles_it() {
    let answer =
        format!(r#"{{"jsonrpc": "2.0", "id": {ID}, "result": {{"n": NaN, "method": "x", "id": 7}}}}"#);
    let last = format!(r#"{{"result": {{"method": "x", "id": 7}}, "jsonrpc": "2.0", "id": {ID}}}"#);
    let texts = [
        answer.clone(),
        last.clone(),
        format!("> {answer}"),
        format!("{answer} trailing"),
        answer.replace("\"id\"", "'id'"),
        answer.replace(&ID.to_string(), &format!("\"{ID}\"")),
        answer.replace(&ID.to_string(), &format!("{ID}.0")),
        format!("\x1b[0m{}", answer.replace("\"id\"", "\x1b[34;1m\"id\"\x1b[0m")),
        format!("{{ jsonrpc: '2.0', id: {ID}, error: {{ code: -1 }} }}"),
        format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":"{}"#, "y".repeat(1 << 20)),
        format!(r#"{{"result":{{"y":"{}"}},"jsonrpc":"2.0","id":{ID}}} "#, "y".repeat(1 << 20)),
    ];
    for text in texts {
        let found = found(&text);
        assert!(matches!(&found[..], [(ID, Garbling::NoJson, _)]), "{:.200}: {found:?}", text);
    }
    let wide: Vec<u8> = answer.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(
        matches!(&found_in(&wide)[..], [(ID, Garbling::NoJson, line)] if line.starts_with("{\"jsonrpc\""))
    );
    let narrow = [answer.as_bytes(), b"\xfc"].concat();
    assert!(matches!(&found_in(&narrow)[..], [(ID, Garbling::NoJson, _)]));
}

#[test]
fn an_answer_over_several_lines_is_found_as_soon_as_its_members_are_there() {
    let texts = [
        (format!("{{\n  \"jsonrpc\": \"2.0\",\n  \"id\": {ID},\n  \"result\": {{\n"), "{"),
        (
            format!(
                "{{\n\t\"result\": {{\n\t\t\"method\": 1\n\t}},\n\t\"jsonrpc\": \"2.0\",\n\t\"id\": {ID}\n}}"
            ),
            "{",
        ),
        (format!("---\njsonrpc: '2.0'\nid: {ID}\nerror:\n"), "jsonrpc: '2.0'"),
        (format!("{{\n  jsonrpc: '2.0',\n  id: {ID},\n  result: {{}}\n"), "{"),
    ];
    for (text, first) in texts {
        assert_eq!(found(&text), [(ID, Garbling::Lines, first.to_owned())], "{text}");
    }
}

#[test]
fn banners_logs_and_requests_that_are_shown_are_no_answers() {
    let texts = [
        "Starting on port: 80\nerror: none\nid: 1073741824\n".to_owned(),
        format!(
            "got {{\"jsonrpc\": \"2.0\", \"id\": {ID}, \"method\": \"tools/call\", \"params\": {{\"result\": 1}}}}"
        ),
        format!(
            "{{\n  \"jsonrpc\": \"2.0\",\n  \"id\": {ID},\n  \"method\": \"x\",\n  \"error\": 1\n}}\nid: {ID}\n"
        ),
        format!("{{\n  \"jsonrpc\": \"2.0\",\n  \"result\": {{\n    \"id\": {ID}\n  }}\n}}\n"),
        format!("{{\"level\": \"error\", \"error\": \"x\", \"id\": {ID}"),
        format!("{{\"jsonrpc\": \"2.0\", \"result\": \"\\\"id\\\": {ID}\""),
        format!("the result of jsonrpc {{ id: {ID} }}"),
        "{\n{\n".to_owned(),
    ];
    for text in texts {
        assert_eq!(found(&text), [], "{text}");
    }
}

#[test]
fn a_framed_message_is_found_when_all_of_it_is_there() {
    let mut malformed = MalformedLines::default();
    assert_eq!(malformed.take(b"Content-Type: text"), None);
    assert_eq!(malformed.framed(b"{}"), None);
    assert_eq!(malformed.take(b"{\"a\": 1}content-length: 4"), None);
    assert_eq!(malformed.take(b"Content-Type: text"), None);
    assert_eq!(malformed.framed(b"{\"a"), None);
    let (message, garbled) = malformed.framed(b"{\"a\":1}").unwrap();
    assert_eq!((message, garbled.garbling), (&b"{\"a\""[..], Garbling::Framed));
    assert_eq!(malformed.framed(b"{\"a\":1}"), None, "once");
    malformed.take(b"Content-Length: 2");
    malformed.interrupt();
    assert_eq!(malformed.framed(b"{}"), None, "a message came between");
}

#[test]
fn the_first_malformed_line_is_kept_cut_and_readable() {
    let mut malformed = MalformedLines::default();
    let first = malformed.first();
    assert_eq!(first.get(), None);
    malformed.take(&[b"\x1b[2J\x1b[1mhello\x07 ", &[b'x'; 5000][..]].concat());
    malformed.take(b"second");
    malformed.note_echo();
    let words = first.get().unwrap();
    assert!(words.starts_with("`hello\\u{7} xxx") && words.len() < 1100, "{words}");
}
