//! Fair shares of a resource between callers, and a count for each of them.
//!
//! Shares are counted by user, else by API key, in all profiles together; all callers without either are one.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A key that holds some of a thing gets one more only while a third as many stay free for other keys.
const LEFT_TO_OTHERS: usize = 3;
/// How often one kind of line is written at most.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// The party whose share a caller uses: its user, its API key, or all callers without either. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Option<Arc<Party>>);

/// An API key, a user of an issuer, or a user behind an API key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Party {
    key_name: Option<Box<str>>,
    user: Option<UserName>,
}

/// A user as an issuer of tokens names it. Two of them are equal when their `id` is: people change their names.
#[derive(Debug, Clone)]
pub struct UserName {
    /// The issuer and its own name of the user: no two users share it.
    pub id: Box<str>,
    /// The name that people know, for the log; users may share it.
    pub shown: Box<str>,
}

impl PartialEq for UserName {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for UserName {}

impl PartialOrd for UserName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Hash for UserName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Principal {
    /// The callers without a key or user.
    pub const ANONYMOUS: &Self = &Self(None);

    /// The callers with the API key `name`.
    pub fn of_key(name: &str) -> Self {
        Self(Some(Arc::new(Party { key_name: Some(name.into()), user: None })))
    }

    /// A user, with the name of the API key that its client sends beside.
    pub fn of_user(key_name: Option<&str>, user: UserName) -> Self {
        Self(Some(Arc::new(Party { key_name: key_name.map(Box::from), user: Some(user) })))
    }

    /// The name of its API key.
    pub fn key_name(&self) -> Option<&str> {
        self.0.as_ref()?.key_name.as_deref()
    }

    /// The name of its user that people know.
    pub fn user(&self) -> Option<&str> {
        Some(&self.0.as_ref()?.user.as_ref()?.shown)
    }

    /// The issuer and its own name of the user.
    pub fn user_id(&self) -> Option<&str> {
        Some(&self.0.as_ref()?.user.as_ref()?.id)
    }

    /// The user or key as one text, by which turns are counted; `None` for callers without either.
    pub fn id(&self) -> Option<&str> {
        let Party { key_name, user } = &**self.0.as_ref()?;
        user.as_ref().map(|user| &*user.id).or(key_name.as_deref())
    }

    /// Whether these are the callers without a key or user.
    pub fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.user(), self.key_name()) {
            (Some(user), _) => write!(formatter, "the user `{user}`"),
            (None, Some(name)) => write!(formatter, "the API key `{name}`"),
            (None, None) => formatter.write_str("a caller without a key"),
        }
    }
}

/// The amount of a resource for all callers together, and for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub all: usize,
    pub each: usize,
}

/// Which of the two bounds was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    All,
    Each,
}

impl Bounds {
    /// The bounds of a thing that no other caller can want.
    pub fn undivided(all: usize) -> Self {
        Self { all, each: all }
    }

    /// Whether a caller that holds `held` may have one more, when all callers together hold `taken`. The last ones are
    /// left to callers that hold few, so that a newcomer finds some while a few others want all that they may have.
    ///
    /// # Errors
    ///
    /// The bound that forbids it.
    pub fn check(self, held: usize, taken: usize) -> Result<(), Bound> {
        if taken >= self.all {
            return Err(Bound::All);
        }
        if held >= self.each {
            return Err(Bound::Each);
        }
        let left = self.all - taken - 1;
        let is_divided = self.each < self.all;
        if is_divided && held > 0 && held >= left.saturating_mul(LEFT_TO_OTHERS) {
            return Err(Bound::All);
        }
        Ok(())
    }
}

impl Bounds {
    /// The limit behind an eviction, for its log line, which stands for `left_out` more.
    pub fn eviction(self, bound: Bound, thing: Thing, left_out: u64) -> String {
        let (suffix, limit) = match bound {
            Bound::All => ("", self.all),
            Bound::Each => ("PerKey", self.each),
        };
        let more = if left_out > 0 { format!("; so did {left_out} others before it") } else { String::new() };
        format!("(`limits.{}{suffix}`: {limit}{more})", thing.setting)
    }
}

/// A shared resource: its name in `limits.NAME` and `limits.NAMEPerKey`, and its name for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing {
    pub setting: &'static str,
    pub plural: &'static str,
}

/// The refusal of one more of a resource. `Display` says so to the caller, with the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    pub principal: Principal,
    pub thing: Thing,
    pub bound: Bound,
    pub bounds: Bounds,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, thing: Thing { setting, plural }, bound, bounds } = self;
        match bound {
            Bound::Each if bounds.each < bounds.all => write!(
                formatter,
                "{principal} may have {each} {plural} at one time (`limits.{setting}PerKey`), and has; try again when \
                 one has ended",
                each = bounds.each
            ),
            Bound::Each | Bound::All => write!(
                formatter,
                "all callers together may have {all} {plural} at one time (`limits.{setting}`), and too few are free; \
                 try again when one has ended",
                all = bounds.all
            ),
        }
    }
}

/// Counts the units of one resource that callers hold.
#[derive(Debug)]
pub struct Ledger {
    thing: Thing,
    held: Mutex<HashMap<Principal, usize>>,
}

/// One of the thing, held until this is dropped.
#[derive(Debug)]
pub struct Held {
    ledger: Arc<Ledger>,
    principal: Principal,
}

impl Ledger {
    /// Nothing of `thing` is held.
    pub fn new(thing: Thing) -> Arc<Self> {
        Arc::new(Self { thing, held: Mutex::default() })
    }

    /// Gives `principal` one, if `bounds` let it have one more.
    ///
    /// # Errors
    ///
    /// [`Exceeded`], for the caller.
    pub fn take(self: &Arc<Self>, principal: &Principal, bounds: Bounds) -> Result<Held, Exceeded> {
        let mut held = self.held();
        let own = held.get(principal).copied().unwrap_or(0);
        bounds.check(own, held.values().sum()).map_err(|bound| Exceeded {
            principal: principal.clone(),
            thing: self.thing,
            bound,
            bounds,
        })?;
        held.insert(principal.clone(), own + 1);
        Ok(Held { ledger: self.clone(), principal: principal.clone() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Principal, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.ledger.held();
        if let Some(own) = held.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.principal);
            }
        }
    }
}

/// Rate limit of a log line: one a second, so that a caller cannot fill the log.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// Whether a line may be written now, and how many were left out before it.
    pub fn may_log(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            *left_out += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENERS: Thing = Thing { setting: "listeners", plural: "listeners" };

    fn key(name: &str) -> Principal {
        Principal::of_key(name)
    }

    /// How many `principal` gets when it takes all that it can.
    fn fill(ledger: &Arc<Ledger>, principal: &Principal, bounds: Bounds) -> Vec<Held> {
        std::iter::from_fn(|| ledger.take(principal, bounds).ok()).collect()
    }

    #[test]
    fn a_key_gets_its_share_and_newcomers_find_some_while_a_few_others_want_all() {
        let ledger = Ledger::new(LISTENERS);
        let bounds = Bounds { all: 64, each: 48 };
        let taken = ["a", "b", "c", "d"].map(|name| fill(&ledger, &key(name), bounds));
        let counts = taken.each_ref().map(Vec::len);
        assert_eq!((counts[0], counts.iter().sum::<usize>()), (48, 64));
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        drop(taken);
        assert!(ledger.held().is_empty());
    }

    #[test]
    fn the_only_caller_gets_all_and_one_of_several_never_the_last() {
        for all in 2..20 {
            let ledger = Ledger::new(LISTENERS);
            let undivided = fill(&ledger, &Principal::default(), Bounds::undivided(all));
            assert_eq!(undivided.len(), all);
            drop(undivided);
            let divided = fill(&ledger, &key("a"), Bounds { all, each: all - 1 });
            assert!((1..all).contains(&divided.len()), "{all}");
            assert!(ledger.take(&key("b"), Bounds { all, each: all - 1 }).is_ok(), "{all}");
        }
    }

    #[test]
    fn what_is_exceeded_names_the_setting() {
        let ledger = Ledger::new(LISTENERS);
        let bounds = Bounds { all: 10, each: 1 };
        let _held = ledger.take(&key("a"), bounds).unwrap();
        let told = ledger.take(&key("a"), bounds).unwrap_err().to_string();
        assert!(told.contains("`a`") && told.contains("`limits.listenersPerKey`"), "{told}");
        let _others: Vec<_> =
            (0..9).map(|name| ledger.take(&key(&name.to_string()), bounds).unwrap()).collect();
        let told = ledger.take(&key("b"), bounds).unwrap_err().to_string();
        assert!(told.contains("(`limits.listeners`)"), "{told}");
    }

    #[test]
    fn a_user_with_another_name_is_the_same_user() {
        let user = |id: &str, shown: &str| {
            Principal::of_user(Some("k"), UserName { id: id.into(), shown: shown.into() })
        };
        let ledger = Ledger::new(LISTENERS);
        let bounds = Bounds { all: 10, each: 1 };
        let _held = ledger.take(&user("1", "ada@a.test"), bounds).unwrap();
        assert!(ledger.take(&user("1", "ada@b.test"), bounds).is_err());
        assert!(ledger.take(&user("2", "ada@a.test"), bounds).is_ok());
    }

    #[test]
    fn one_line_a_second_is_written_and_the_others_are_counted() {
        let throttle = LogThrottle::default();
        assert_eq!([throttle.may_log(), throttle.may_log(), throttle.may_log()], [Some(0), None, None]);
        throttle.0.lock().unwrap().0 = None;
        assert_eq!(throttle.may_log(), Some(2));
    }
}
