//! Writes JSON objects and arrays piece by piece.

use serde::Serialize;

/// Writes the comma between two members or elements, unless the first is about to be written.
pub fn comma(text: &mut Vec<u8>) {
    if !matches!(text.last(), None | Some(b'{' | b'[')) {
        text.push(b',');
    }
}

/// Writes the key of one more member of an object.
pub fn member(text: &mut Vec<u8>, key: &str) {
    comma(text);
    json(text, key);
    text.push(b':');
}

/// Writes `value` as JSON.
pub fn json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a JSON value has only string keys, and a vector takes it");
}

/// Writes `parts`, each of which may hold several members or elements, or none.
pub fn join<P: AsRef<[u8]>>(text: &mut Vec<u8>, parts: impl IntoIterator<Item = P>) {
    for part in parts {
        if !part.as_ref().is_empty() {
            comma(text);
            text.extend_from_slice(part.as_ref());
        }
    }
}

/// The array of the elements in `parts`.
pub fn array<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut text = vec![b'['];
    join(&mut text, parts);
    text.push(b']');
    text
}
