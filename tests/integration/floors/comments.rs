//! Comments have a thing for their subject, and documentation begins with a short sentence.

use super::source::{comments, sources};

/// The most characters of the first sentence of a public item's documentation.
const LONGEST_SENTENCE: usize = 100;

/// Subjects that are no thing of the gateway.
const WORDS: [&str; 4] = ["who", "whoever", "nobody", "everybody"];
/// Stands where a sentence should.
const NO_DOCUMENTATION: &str = "See the module";

fn uses(comment: &str) -> usize {
    let words = comment.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| WORDS.contains(&&*word.to_lowercase())).count();
    words + comment.matches(NO_DOCUMENTATION).count()
}

/// The declarations of public items whose documentation begins with a longer sentence.
fn long_sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut paragraph, mut is_over) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("///").map(str::trim) {
            Some("") => is_over = true,
            Some(part) if !is_over => paragraph.push(part),
            Some(_) => {}
            None if line.starts_with("#[") => {}
            None => {
                let paragraph = std::mem::take(&mut paragraph).join(" ");
                let sentence = paragraph.split_inclusive(". ").next().unwrap_or_default().trim_end();
                if line.starts_with("pub ") && sentence.chars().count() > LONGEST_SENTENCE {
                    found.push(line);
                }
                is_over = false;
            }
        }
    }
    found
}

#[test]
fn the_subject_of_a_comment_is_a_thing() {
    let mut found = Vec::new();
    for source in sources() {
        let such = comments(&source.text).filter(|comment| uses(comment) > 0);
        found.extend(such.map(|comment| format!("{}: {comment}", source.path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn documentation_begins_with_a_short_sentence() {
    let mut found = Vec::new();
    // Comments on the arguments of commands are their help.
    for source in sources().iter().filter(|source| !source.module.starts_with("cli/arguments/")) {
        let long = long_sentences(&source.text).into_iter();
        found.extend(long.map(|item| format!("{}: {item}", source.path.display())));
    }
    assert!(found.is_empty(), "the first sentence is too long:\n{}", found.join("\n"));
}

#[test]
fn words_are_found_whole_and_sentences_of_public_items_are_measured() {
    assert_eq!(uses("/// Whoever waits, and who does not. See the module."), 3);
    assert_eq!(uses("// the whole"), 0);
    let long = "word ".repeat(25);
    let text = format!(
        "/// {long}\n/// and. Short.\n#[derive(Debug)]\npub struct A;\n/// {long}\nstruct B;\n\
         /// Short. {long}\n    pub c: u8,\n/// Short.\n///\n/// {long}\npub fn d() {{}}\n/// Short:\n/// {long}.\npub const E: u8 = 0;"
    );
    assert_eq!(long_sentences(&text), ["pub struct A;", "pub const E: u8 = 0;"]);
}
