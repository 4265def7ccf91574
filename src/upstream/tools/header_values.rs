//! The arguments that are said in headers, found in the text of a call's arguments without reading the rest into memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
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
    parser.deserialize_map(Seek { paths: &paths, found: &mut found })?;
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

impl<'de> Visitor<'de> for Seek<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(MemberName(key)) = members.next_key::<MemberName<'_>>()? {
            match self.paths.below.get(&*key) {
                Some(paths) => {
                    let value = members.next_value::<&RawValue>()?;
                    // The last of several equal keys counts.
                    paths.forget(self.found);
                    paths.take(value.get(), self.found).map_err(A::Error::custom)?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

impl Paths<'_> {
    /// Notes the value where a path ends, and looks in it for those that go on.
    fn take(&self, value: &str, found: &mut [Option<Value>]) -> serde_json::Result<()> {
        if let Some(param) = self.param {
            found[param] = match value.as_bytes().first() {
                Some(b'{') => Some(Value::Object(Map::new())),
                Some(b'[') => Some(Value::Array(Vec::new())),
                _ => serde_json::from_str(value)?,
            };
        }
        if self.below.is_empty() || !value.starts_with('{') {
            return Ok(());
        }
        serde_json::Deserializer::from_str(value).deserialize_map(Seek { paths: self, found })
    }

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
