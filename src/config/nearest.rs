//! The name that was probably meant by a wrong one.

/// How like a candidate must be.
const LIKE_ENOUGH: f64 = 0.82;
/// The most that [`nearest`] may compare, in pairs of characters: both sides may be a stranger's, and each pair of names costs the
/// product of their lengths.
const MOST_PAIRS: usize = 4 << 20;

/// The candidate most like `word`, when one is like enough to be meant. Candidates with too few letters in common are
/// skipped, and so are those that are left over when [`MOST_PAIRS`] are compared.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = word.to_lowercase();
    let letters = Letters::of(&lowered);
    let mut pairs = MOST_PAIRS;
    candidates
        .into_iter()
        .filter(|candidate| letters.may_be_like(candidate))
        .map_while(|candidate| {
            pairs = pairs.checked_sub(lowered.len() * candidate.len())?;
            Some((strsim::jaro_winkler(&lowered, &candidate.to_lowercase()), candidate))
        })
        .filter(|(likeness, _)| *likeness > LIKE_ENOUGH)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// How often each byte stands in a word, in lower case; all that are not ASCII count as one.
struct Letters {
    counts: [u16; 128],
    length: usize,
}

impl Letters {
    fn of(word: &str) -> Self {
        let mut counts = [0_u16; 128];
        for byte in word.bytes() {
            let count = &mut counts[Self::position(byte)];
            *count = count.saturating_add(1);
        }
        Self { counts, length: word.len() }
    }

    fn position(byte: u8) -> usize {
        usize::from(byte.to_ascii_lowercase().min(127))
    }

    /// Whether the two have enough bytes in common for a likeness that counts: more than 0.7 by Jaro, as Winkler adds at
    /// most four tenths of the rest to that.
    fn may_be_like(&self, other: &str) -> bool {
        const LEAST_JARO: f64 = 0.7;
        let (shorter, longer) = (self.length.min(other.len()), self.length.max(other.len()));
        if longer > 10 * shorter {
            return false;
        }
        let mut left = self.counts;
        let mut common = 0_u32;
        for byte in other.bytes() {
            let count = &mut left[Self::position(byte)];
            common += u32::from(*count > 0);
            *count = count.saturating_sub(1);
        }
        let part = |length: usize| f64::from(common) / length as f64;
        (part(self.length) + part(other.len()) + 1.0) / 3.0 > LEAST_JARO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_named_and_a_strange_one_is_not_guessed() {
        let known = ["command", "args", "url", "timeout"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("Timeout", known), Some("timeout"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("GRÖSSE", ["grosse", "größe"]), Some("grosse"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_letters_and_costs_no_comparison() {
        let far: Vec<String> = (0..50_000).map(|number| format!("{}_{number}", "xyz".repeat(21))).collect();
        let word = "abcdefghij".repeat(12);
        let candidates = far.iter().map(String::as_str).chain([&*word]);
        assert_eq!(nearest(&word, candidates), Some(&*word), "the others are not compared");
    }

    #[test]
    fn alike_names_are_compared_up_to_a_bound_whatever_their_number() {
        let word = "some_rather_usual_tool_name".repeat(4);
        let mut compared = 0;
        let alike = format!("{word}_");
        let candidates = std::iter::repeat_n(&*alike, 1_000_000).inspect(|_| compared += 1);
        assert_eq!(nearest(&word, candidates), Some(&*alike));
        assert!(compared <= MOST_PAIRS / (word.len() * word.len()) + 1, "{compared}");
    }
}
