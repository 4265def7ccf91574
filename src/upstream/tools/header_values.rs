//! The arguments that are said in headers, found in the text of a call's arguments without reading the rest into memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::upstream::tools::header_params::HeaderParam;

/// The value of each of `params` in the JSON text `arguments`; `None` for a missing value or null. A list or an
/// object, which no header can hold, comes back empty.
///
/// # Errors
///
/// The arguments are not valid JSON.
pub fn values_in(params: &[HeaderParam], arguments: &[u8]) -> serde_json::Result<Vec<Option<Value>>> {
    let mut paths = Paths::default();
    for (index, param) in params.iter().enumerate() {
        let end = param.path.iter().fold(&mut paths, |paths, key| paths.below.entry(key).or_default());
        end.param = Some(index);
    }
    let mut found = vec![None; params.len()];
    let mut parser = serde_json::Deserializer::from_slice(arguments);
    Seek { paths: &paths, found: &mut found }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(found)
}

/// All paths that go on from one place.
#[derive(Default)]
struct Paths<'p> {
    /// The parameter whose path ends here.
    param: Option<usize>,
    below: HashMap<&'p str, Paths<'p>>,
}

struct Seek<'s, 'p> {
    paths: &'s Paths<'p>,
    found: &'s mut [Option<Value>],
}

impl Seek<'_, '_> {
    fn note(&mut self, value: Value) {
        if let Some(param) = self.paths.param {
            self.found[param] = Some(value).filter(|value| !value.is_null());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.note(Value::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, truth: bool) -> Result<(), E> {
        self.note(truth.into());
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, number: u64) -> Result<(), E> {
        self.note(number.into());
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, number: i64) -> Result<(), E> {
        self.note(number.into());
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<(), E> {
        self.note(number.into());
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.note(text.into());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.note(Value::Array(Vec::new()));
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.note(Value::Object(Map::new()));
        while let Some(MemberName(key)) = members.next_key::<MemberName<'_>>()? {
            match self.paths.below.get(&*key) {
                // Of equal keys the last counts.
                Some(paths) => {
                    paths.forget(self.found);
                    members.next_value_seed(Seek { paths, found: self.found })?;
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

impl Paths<'_> {
    fn forget(&self, found: &mut [Option<Value>]) {
        if let Some(param) = self.param {
            found[param] = None;
        }
        self.below.values().for_each(|below| below.forget(found));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::*;
    use crate::upstream::tools::header_params::ParamKind;

    fn found(paths: &[&[&str]], arguments: &str) -> Vec<Option<Value>> {
        let param = |path: &&[&str]| HeaderParam {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            kind: ParamKind::String,
            header: HeaderName::from_static("mcp-param-a"),
        };
        values_in(&paths.iter().map(param).collect::<Vec<_>>(), arguments.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_found_where_their_paths_lead() {
        let text = r#"{"o":{"p":[1],"a\u0062":"x","q":{"r":true}},"n":-1.5,"z":null,"l":[{"n":2}]}"#;
        let paths: [&[&str]; 8] =
            [&["o", "ab"], &["o", "q", "r"], &["n"], &["z"], &["l"], &["o"], &["o", "p", "x"], &["l", "n"]];
        let values = [Some(json!("x")), Some(json!(true)), Some(json!(-1.5)), None];
        assert_eq!(found(&paths, text)[..4], values);
        assert_eq!(found(&paths, text)[4..], [Some(json!([])), Some(json!({})), None, None]);
    }

    #[test]
    fn of_equal_keys_the_last_counts_with_all_that_it_lacks() {
        let paths: [&[&str]; 2] = [&["o", "a"], &["o", "b"]];
        assert_eq!(found(&paths, r#"{"o":{"a":1,"b":2},"o":{"b":3}}"#), [None, Some(json!(3))]);
        assert_eq!(found(&paths, r#"{"o":{"a":1},"o":null}"#), [None, None]);
    }
}
