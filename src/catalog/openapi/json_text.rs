//! Writes JSON objects member by member.

use serde::Serialize;

/// Writes the comma between two members, unless the first is about to be written.
pub(super) fn comma(text: &mut Vec<u8>) {
    if !matches!(text.last(), None | Some(b'{')) {
        text.push(b',');
    }
}

/// Writes the key of one more member of an object.
pub(super) fn member(text: &mut Vec<u8>, key: &str) {
    comma(text);
    json(text, key);
    text.push(b':');
}

/// Writes `value` as JSON.
pub(super) fn json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a JSON value has only string keys, and a vector takes it");
}
