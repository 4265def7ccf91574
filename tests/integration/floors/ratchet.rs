//! Tables that may only shrink, and that have to when the tree gets better.

use std::collections::BTreeMap;

/// Asserts that `found` is what `table` says; `told` is where each of it was found.
pub fn assert_is(name: &str, table: &[(&str, usize)], found: &BTreeMap<String, usize>, told: &str) {
    let known: BTreeMap<String, usize> =
        table.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    let grown: Vec<_> =
        found.iter().filter(|(key, count)| known.get(*key).is_none_or(|known| known < count)).collect();
    assert!(grown.is_empty(), "more than {name} allows: {grown:?}\n{told}");
    let rows: String = found.iter().map(|(key, count)| format!("    (\"{key}\", {count}),\n")).collect();
    assert!(known == *found, "the tree is better than {name} says, which becomes:\n{rows}");
}

#[test]
fn a_table_is_neither_passed_nor_left_too_high() {
    let holds = |table: &[(&str, usize)]| {
        let found = BTreeMap::from([("a".to_owned(), 2)]);
        std::panic::catch_unwind(|| assert_is("it", table, &found, "")).is_ok()
    };
    assert!(holds(&[("a", 2)]));
    for wrong in [&[("a", 1)][..], &[("a", 3)], &[("a", 2), ("b", 1)], &[]] {
        assert!(!holds(wrong), "{wrong:?}");
    }
}
