//! Any schema and any arguments against the budget: compiling and checking end, and what is checked where requests are
//! served ends soon.
//!
//! The input is the schema, a zero byte and the arguments. A count in front of the arguments (`64*{..}`) stands for a list
//! of that many under `x`, so that few bytes are many values.

#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcpo::catalog::arguments::ArgumentChecker;
use serde_json::Value;

/// Half a millisecond where nothing else runs.
const AT_ONCE: Duration = Duration::from_millis(500);
/// About a second there.
const APART: Duration = Duration::from_secs(15);

fuzz_target!(|input: &[u8]| {
    let Some(cut) = input.iter().position(|byte| *byte == 0) else { return };
    let Ok(Value::Object(schema)) = serde_json::from_slice(&input[..cut]) else { return };
    let arguments = repeated(&input[cut + 1..]);
    let checker = ended(APART, "compiling", || ArgumentChecker::compile(Some(&schema)));
    let at_once = ended(AT_ONCE, "a check at once", || checker.check_at_once(arguments.clone()));
    let whole = ended(APART, "a check", || checker.check(arguments.clone()));
    match (at_once, whole) {
        (Ok(None), _) => {}
        (Ok(Some(at_once)), Ok(whole)) => assert_eq!(at_once.arguments, whole.arguments),
        (Err(at_once), Err(whole)) => assert_eq!(at_once, whole),
        (at_once, whole) => panic!("{at_once:?} at once, and {whole:?} with time"),
    }
});

fn ended<T>(within: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    assert!(began.elapsed() < within, "{what} took {:?}", began.elapsed());
    done
}

fn repeated(text: &[u8]) -> Bytes {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count().min(4);
    let count = std::str::from_utf8(&text[..digits]).ok().and_then(|digits| digits.parse::<usize>().ok());
    match (count, text[digits..].strip_prefix(b"*")) {
        (Some(count), Some(element)) => {
            let list = vec![element; count.max(1)].join(&b',');
            [&b"{\"x\":["[..], &list, b"]}"].concat().into()
        }
        _ => Bytes::copy_from_slice(text),
    }
}
