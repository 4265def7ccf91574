//! Lists of which only the first items are kept.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first `MOST` items of a list, and how many there are. An item may be a hundredth of the memory that it takes.
#[derive(Debug, PartialEq, Eq)]
pub struct First<T, const MOST: usize> {
    pub items: Vec<T>,
    /// Of the whole list.
    pub count: usize,
}

impl<T, const MOST: usize> Default for First<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for First<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Reader<T, MOST> {
            type Value = First<T, MOST>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut first = First::default();
                while first.count < MOST
                    && let Some(item) = list.next_element()?
                {
                    first.items.push(item);
                    first.count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    first.count += 1;
                }
                Ok(first)
            }
        }
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_number_is_counted_and_not_kept() {
        let read = |text: &str| serde_json::from_str::<First<u8, 3>>(text);
        assert_eq!(read("[]").unwrap(), First::default());
        assert_eq!(read("[1,2,3]").unwrap(), First { items: vec![1, 2, 3], count: 3 });
        assert_eq!(read(r#"[1,2,3,{"a":[]},"x"]"#).unwrap(), First { items: vec![1, 2, 3], count: 5 });
        assert!(read("[1,\"x\"]").is_err() && read("{}").is_err() && read("[1,2,3,}").is_err());
    }
}
