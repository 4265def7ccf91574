//! The members of a JSON object in their order, with their values as text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The most members of a message of the protocol: a hostile one may have a member every six bytes, and each takes forty
/// here.
const MOST_OF_A_MESSAGE: usize = 1024;

/// The members of an object in their order; reading more than `MOST` of them is an error.
#[derive(Debug, Default)]
pub struct Members<'a, const MOST: usize = MOST_OF_A_MESSAGE>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a, const MOST: usize> Members<'a, MOST> {
    /// The value of the member `name`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of the member `name` as `T`; `None` when it is missing or is not a `T`.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Gives the member `name` another value; `None` when it is not there.
    pub fn set(&mut self, name: &str, value: &'a RawValue) -> Option<()> {
        let (_, place) = self.0.iter_mut().find(|(key, _)| key == name)?;
        *place = value;
        Some(())
    }

    /// The text without the braces around it.
    pub fn inner(&self) -> String {
        let mut text = String::with_capacity(self.length());
        self.write(&mut text);
        text
    }

    /// The whole text.
    pub fn object(&self) -> String {
        let mut text = String::with_capacity(self.length() + 2);
        text.push('{');
        self.write(&mut text);
        text.push('}');
        text
    }

    fn length(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum()
    }

    fn write(&self, text: &mut String) {
        for (place, (key, value)) in self.0.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            match key {
                // It has no escapes and needs none.
                Cow::Borrowed(key) => text.extend(["\"", *key, "\""]),
                Cow::Owned(key) => text.push_str(&Value::from(&**key).to_string()),
            }
            text.push(':');
            text.push_str(value.get());
        }
    }
}

/// The member `name` of the object `text` as `T`; `None` when it is missing or is not a `T`.
pub fn member<'a, T: Deserialize<'a>>(text: &'a str, name: &str) -> Option<T> {
    serde_json::from_str::<Members<'a>>(text).ok()?.read(name)
}

impl<'de: 'a, 'a, const MOST: usize> Deserialize<'de> for Members<'a, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<const MOST: usize>;
        impl<'de, const MOST: usize> Visitor<'de> for Reader<MOST> {
            type Value = Members<'de, MOST>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((ObjectKey(name), value)) = map.next_entry()? {
                    if members.len() == MOST {
                        return Err(M::Error::custom(format_args!("more than {MOST} members")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        let Members(members) = deserializer.deserialize_map(Reader::<MOST>)?;
        Ok(Members(members))
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct ObjectKey<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_their_values_their_text() {
        let text = r#"{ "b" : 1.0, "a\n": {"x": [1e2]}, "c":null }"#;
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(members.inner(), r#""b":1.0,"a\n":{"x": [1e2]},"c":null"#);
        assert_eq!(members.get("a\n").map(RawValue::get), Some(r#"{"x": [1e2]}"#));
        assert!(serde_json::from_str::<Members<'_>>("[]").is_err());
    }
}
