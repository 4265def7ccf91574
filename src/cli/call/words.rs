//! The arguments of a call as they are typed: one JSON object, a file or the standard input with one, or
//! `name=text` and `name:=JSON`.

use std::io::{self, Read as _};

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::command_error::CommandError;

/// The JSON text of the arguments that `words` stand for; the object's own bytes, where one was given. No text of
/// it is repeated in an error: it may hold a secret.
///
/// # Errors
///
/// When the words have no known form, or a file cannot be read.
pub fn arguments(words: &[String]) -> Result<Bytes, CommandError> {
    match words {
        [] => Ok(Bytes::from_static(b"{}")),
        [only] if only == "-" => {
            let mut text = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut text);
            read.map_err(|error| {
                CommandError::Failed(format!("the standard input cannot be read: {error}"))
            })?;
            object("the standard input", text)
        }
        [only] if only.starts_with('@') => {
            let path = &only[1..];
            let text = std::fs::read(path).map_err(|error| {
                CommandError::Failed(format!("the arguments in `{path}` cannot be read: {error}"))
            })?;
            object(&format!("`{path}`"), text)
        }
        [only] if only.trim_start().starts_with('{') => object("the arguments", only.clone().into_bytes()),
        words => pairs(words),
    }
}

fn object(place: &str, text: Vec<u8>) -> Result<Bytes, CommandError> {
    let wrong = |reason: String| {
        Err(CommandError::Usage(format!(
            "{place}: {reason}; write one JSON object, such as '{{\"timezone\": \"UTC\"}}'"
        )))
    };
    match serde_json::from_slice::<&RawValue>(&text) {
        Ok(value) if value.get().starts_with('{') => Ok(Bytes::from(text)),
        Ok(_) => wrong("this JSON is no object".to_owned()),
        Err(error) => wrong(format!("this is no JSON (line {}, column {})", error.line(), error.column())),
    }
}

fn pairs(words: &[String]) -> Result<Bytes, CommandError> {
    let mut object = Map::new();
    for (number, word) in (1..).zip(words) {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !matches!(*name, "" | ":")) else {
            return Err(CommandError::Usage(format!(
                "argument {number} of the tool is neither NAME=TEXT nor NAME:=JSON, and not one JSON object alone"
            )));
        };
        let (name, value) = match name.strip_suffix(':') {
            None => (name, Value::from(value)),
            Some(name) => {
                let value = serde_json::from_str(value).map_err(|error| {
                    let column = error.column();
                    CommandError::Usage(format!(
                        "`{name}:=`: this is no JSON (column {column}); NAME=TEXT takes text as it is"
                    ))
                });
                (name, value?)
            }
        };
        if object.insert(name.to_owned(), value).is_some() {
            return Err(CommandError::Usage(format!("`{name}` is given twice")));
        }
    }
    Ok(Value::Object(object).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let text = arguments(&words).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn all_forms_become_one_object() {
        for (words, text) in [
            ([].as_slice(), "{}"),
            (&[r#" {"a": 1.10}"#], r#" {"a": 1.10}"#),
            (&["a=1", "b=x=y", "c="], r#"{"a":"1","b":"x=y","c":""}"#),
            (&["a:=[1, null]", "url=http://h:8/?q=1"], r#"{"a":[1,null],"url":"http://h:8/?q=1"}"#),
        ] {
            assert_eq!(read(words).as_deref(), Ok(text), "{words:?}");
        }
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{\"a\": [1]}\n").unwrap();
        assert_eq!(read(&[&format!("@{}", path.display())]).as_deref(), Ok("{\"a\": [1]}\n"));
        assert!(read(&["@/none/a.json"]).unwrap_err().contains("`/none/a.json` cannot be read"));
    }

    #[test]
    fn what_is_none_of_them_is_refused_without_being_repeated() {
        for words in [
            ["hunter2"].as_slice(),
            &["=hunter2"],
            &[":=hunter2"],
            &["{\"a\": hunter2}"],
            &["a:=hunter2"],
            &["a=1", "{\"b\": \"hunter2\"}"],
            &["a=hunter2", "a=hunter2"],
        ] {
            let told = read(words).unwrap_err();
            assert!(!told.contains("hunter2"), "{words:?}: {told}");
        }
    }
}
