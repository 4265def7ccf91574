//! The pages of a list, read entry by entry. Entries over the bounds of a list are not parsed.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::upstream::info::Freshness;

/// The most entries of all pages of a list: a server whose pages never end must not fill the memory.
const MOST_ENTRIES: usize = 50_000;
/// Bytes of all entries together, for the same reason; ten thousand real tools.
const MOST_BYTES: usize = 16 << 20;
/// The most memory of a list's parsed entries, by [`parsed_size`]: small JSON values take many times their text.
const MOST_MEMORY: usize = 96 << 20;
const MOST_PAGES: usize = 10_000;
/// The most memory of one entry: the text of a larger one is longer than a model can read.
const LARGEST_ENTRY: usize = MOST_MEMORY / 4;

/// Bytes of an object with its first member, of an array with its first element, and of each further one, as serde_json
/// holds them.
const OBJECT: usize = 400;
const ARRAY: usize = 220;
const FURTHER: usize = 160;

/// How much of a list is read, over all of its pages, and how much was.
#[derive(Debug)]
pub struct ListBudget {
    bounds: Amount,
    taken: Amount,
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    entries: usize,
    bytes: usize,
    memory: usize,
    pages: usize,
}

/// The bound of a list that it goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLong {
    #[error("{0} entries")]
    Entries(usize),
    #[error("{} MiB", .0 >> 20)]
    Bytes(usize),
    #[error("{} MiB of memory", .0 >> 20)]
    Memory(usize),
    #[error("{0} pages")]
    Pages(usize),
}

impl Default for ListBudget {
    fn default() -> Self {
        Self::of(1)
    }
}

impl ListBudget {
    /// A quarter: for a list that is read from all servers at once for one request, and is not kept.
    pub fn for_request() -> Self {
        Self::of(4)
    }

    fn of(part: usize) -> Self {
        let bounds = Amount {
            entries: MOST_ENTRIES / part,
            bytes: MOST_BYTES / part,
            memory: MOST_MEMORY / part,
            pages: MOST_PAGES / part,
        };
        Self { bounds, taken: Amount::default() }
    }

    /// Takes the share of one page.
    ///
    /// # Errors
    ///
    /// The budget is spent.
    fn take_page(&mut self) -> Result<(), TooLong> {
        self.taken.pages += 1;
        if self.taken.pages > self.bounds.pages { Err(TooLong::Pages(self.bounds.pages)) } else { Ok(()) }
    }

    /// Takes the share of an entry. A large one is not held, and takes only its place.
    ///
    /// # Errors
    ///
    /// When there is too little.
    fn take<'a>(&mut self, text: &'a str) -> Result<ListEntry<'a>, TooLong> {
        let Self { bounds, taken } = self;
        taken.entries += 1;
        if taken.entries > bounds.entries {
            return Err(TooLong::Entries(bounds.entries));
        }
        let size = parsed_size(text);
        if size > LARGEST_ENTRY {
            return Ok(ListEntry::Large(text));
        }
        taken.bytes += text.len();
        taken.memory += size;
        match () {
            () if taken.bytes > bounds.bytes => Err(TooLong::Bytes(bounds.bytes)),
            () if taken.memory > bounds.memory => Err(TooLong::Memory(bounds.memory)),
            () => Ok(ListEntry::Text(text)),
        }
    }
}

/// One entry of a list, as JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEntry<'a> {
    Text(&'a str),
    /// Too large to be parsed.
    Large(&'a str),
}

impl ListEntry<'_> {
    /// The most memory of an entry, in MiB.
    pub const LARGEST_MIB: usize = LARGEST_ENTRY >> 20;
}

/// One page: the members that all lists have in common, and its entries as text.
#[derive(Debug)]
pub struct Page<'a> {
    /// The text of a list; `null` where that is what an empty one is written as, as Go does.
    entries: &'a str,
    /// Where the next page begins.
    pub next: Option<String>,
    pub freshness: Freshness,
}

/// The result of any method that lists; unknown members are skipped without being held.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMembers<'a> {
    #[serde(borrow, default, deserialize_with = "said")]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    prompts: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    resources: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    resource_templates: Option<&'a RawValue>,
    #[serde(borrow)]
    next_cursor: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_scope: Option<&'a RawValue>,
}

/// The member as it stands, even if it is null.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Page<'a> {
    /// Reads the page whose list is the member `name` of `text`. `next` is `None` when the cursor is not a string.
    ///
    /// # Errors
    ///
    /// `text` is not such a page.
    pub fn read(text: &'a [u8], name: &str) -> serde_json::Result<Self> {
        let members: ListMembers<'a> = serde_json::from_slice(text)?;
        let entries = match name {
            "tools" => members.tools,
            "prompts" => members.prompts,
            "resources" => members.resources,
            "resourceTemplates" => members.resource_templates,
            _ => None,
        };
        let is_list = |entries: &&RawValue| entries.get().starts_with('[') || entries.get() == "null";
        let entries = entries.filter(is_list).map(RawValue::get);
        Ok(Self {
            entries: entries.ok_or_else(|| serde_json::Error::custom("it holds no list"))?,
            next: members.next_cursor.and_then(|cursor| serde_json::from_str(cursor.get()).ok()),
            freshness: Freshness {
                ttl: members.ttl_ms.and_then(|ttl| ttl.get().parse().ok()),
                is_private: members.cache_scope.is_some_and(|scope| scope.get() == r#""private""#),
            },
        })
    }

    /// Gives `take` each entry that fits into `budget`. Returns the bound that this page exceeds.
    pub fn each(&self, budget: &mut ListBudget, take: impl FnMut(ListEntry<'a>)) -> Option<TooLong> {
        let mut over = budget.take_page().err();
        if over.is_none() {
            let visitor = EntryVisitor { budget, take, over: &mut over };
            // It is valid JSON: the only error is our own, which ends the reading, or that an empty list is written as null.
            let _ended = serde_json::Deserializer::from_str(self.entries).deserialize_seq(visitor);
        }
        over
    }
}

struct EntryVisitor<'r, F> {
    budget: &'r mut ListBudget,
    take: F,
    over: &'r mut Option<TooLong>,
}

impl<'de, F: FnMut(ListEntry<'de>)> Visitor<'de> for EntryVisitor<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut list: S) -> Result<(), S::Error> {
        while let Some(entry) = list.next_element::<&'de RawValue>()? {
            match self.budget.take(entry.get()) {
                Ok(entry) => (self.take)(entry),
                Err(bound) => {
                    *self.over = Some(bound);
                    return Err(S::Error::custom("the list is too long"));
                }
            }
        }
        Ok(())
    }
}

/// Estimates the memory of parsed `json`, in bytes. The estimate is above the true size, and never many times below
/// it.
pub fn parsed_size(json: &str) -> usize {
    let mut size = json.len();
    let mut in_text = false;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' => drop(bytes.next()),
            b'{' if !in_text => size += OBJECT,
            b'[' if !in_text => size += ARRAY,
            b',' if !in_text => size += FURTHER,
            _ => {}
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str) -> (usize, Option<TooLong>) {
        let mut count = 0;
        let over =
            Page::read(page.as_bytes(), "tools").unwrap().each(&mut ListBudget::default(), |_| count += 1);
        (count, over)
    }

    #[test]
    fn a_page_gives_its_entries_as_they_are_written() {
        let text =
            r#" {"x":[1],"tools":[ {"a" : 1.50},7,null ],"nextCursor":"n","ttlMs":9,"cacheScope":"private"}"#;
        let page = Page::read(text.as_bytes(), "tools").unwrap();
        let mut entries = Vec::new();
        assert_eq!(page.each(&mut ListBudget::default(), |entry| entries.push(entry)), None);
        assert_eq!(entries, [r#"{"a" : 1.50}"#, "7", "null"].map(ListEntry::Text));
        assert_eq!(page.next.as_deref(), Some("n"));
        assert_eq!(page.freshness, Freshness { ttl: Some(9), is_private: true });
        for odd in ["[]", "{}", r#"{"tools":{}}"#, r#"{"prompts":[]}"#, "no JSON", r#"{"tools":[}"#] {
            assert!(Page::read(odd.as_bytes(), "tools").is_err(), "{odd}");
        }
        assert_eq!(read(r#"{"tools":null}"#), (0, None));
    }

    #[test]
    fn what_is_over_a_bound_is_not_read_whatever_the_entries_are() {
        for entry in ["{}", "null", "[]", r#""x""#, "[[]]"] {
            let page = format!(r#"{{"tools":[{entry}{}]}}"#, format!(",{entry}").repeat(2 * MOST_ENTRIES));
            assert_eq!(read(&page), (MOST_ENTRIES, Some(TooLong::Entries(MOST_ENTRIES))), "{entry}");
        }
        let long = format!("\"{}\"", "x".repeat(MOST_BYTES / 4));
        assert_eq!(
            read(&format!(r#"{{"tools":[{long},{long},{long},{long},1]}}"#)),
            (3, Some(TooLong::Bytes(MOST_BYTES)))
        );
        let costly = format!("[{}1]", "1,".repeat(LARGEST_ENTRY / FURTHER * 9 / 10));
        let page = format!(r#"{{"tools":[1{},2]}}"#, format!(",{costly}").repeat(5));
        assert_eq!(read(&page), (5, Some(TooLong::Memory(MOST_MEMORY))));
    }

    #[test]
    fn a_large_entry_takes_no_room_from_the_others() {
        let large = format!("[{}1]", "1,".repeat(LARGEST_ENTRY / FURTHER));
        let page = format!(r#"{{"tools":[1{},2]}}"#, format!(",{large}").repeat(9));
        let mut entries = Vec::new();
        let page = Page::read(page.as_bytes(), "tools").unwrap();
        assert_eq!(page.each(&mut ListBudget::default(), |entry| entries.push(entry)), None);
        assert_eq!(entries.len(), 11);
        assert_eq!(
            (entries[0], entries[1], entries[10]),
            (ListEntry::Text("1"), ListEntry::Large(&large), ListEntry::Text("2"))
        );
    }

    #[test]
    fn the_budget_is_that_of_all_pages_together() {
        let page = Page::read(br#"{"tools":[]}"#, "tools").unwrap();
        let mut budget = ListBudget::default();
        let pages = std::iter::repeat_with(|| page.each(&mut budget, |_| {})).position(|over| over.is_some());
        assert_eq!(pages, Some(MOST_PAGES));
    }

    #[test]
    fn the_size_counts_what_is_parsed_and_not_what_stands_in_texts() {
        assert_eq!(parsed_size("7"), 1);
        assert_eq!(parsed_size(r#""[{,\"[{,\\""#), r#""[{,\"[{,\\""#.len());
        assert_eq!(parsed_size(r#"{"a":[1,2]}"#), r#"{"a":[1,2]}"#.len() + OBJECT + ARRAY + FURTHER);
    }
}
