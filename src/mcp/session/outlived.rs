//! What is known of sessions that an earlier process opened: their last use, and which of them have ended.
//!
//! A file of it is a head and records of one length, in the order of time. The head says before which time nothing is
//! known any more: a session that was not used since is not opened again.

use std::collections::HashMap;

use super::sealed::ShortDigest;

/// The length of a record, and of the head.
pub const RECORD: usize = 24;
/// The beginning of a file.
const MAGIC: &[u8; 16] = b"mcpo sessions 1\n";
/// Sessions that are kept at most; beyond, the older half is dropped, and ends.
const MOST: usize = 200_000;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The session was used.
    Used = 1,
    /// The session has ended.
    Ended = 2,
    /// The API key is configured.
    KeyIn = 3,
    /// The API key is gone or has another value.
    KeyOut = 4,
}

/// The last events of sessions and keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outlived {
    /// Sessions that were not used since then are not opened again.
    horizon: u64,
    sessions: HashMap<ShortDigest, (SessionEvent, u64)>,
    keys: HashMap<ShortDigest, KnownKey>,
}

/// An API key that is or was configured.
#[derive(Debug, Default, PartialEq, Eq)]
struct KnownKey {
    is_in: bool,
    /// The last time at which it was gone, or had another value; 0 for never. Its sessions of before have ended.
    out: u64,
}

/// An event as a record.
pub fn record(event: SessionEvent, digest: &ShortDigest, time: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(digest);
    // Seven bytes of milliseconds are two million years.
    record[16..].copy_from_slice(&(time | (event as u64) << 56).to_le_bytes());
    record
}

/// The head of a file without records.
pub fn head(horizon: u64) -> [u8; RECORD] {
    let mut head = [0; RECORD];
    head[..16].copy_from_slice(MAGIC);
    head[16..].copy_from_slice(&horizon.to_le_bytes());
    head
}

impl Outlived {
    /// Reads a file, without what happened before `since`. `None` when the file has another form.
    pub fn read(file: &[u8], since: u64) -> Option<Self> {
        let (records, _torn) = file.as_chunks::<RECORD>();
        let (first, records) = records.split_first()?;
        if !first.starts_with(MAGIC) {
            return None;
        }
        let mut read = Self { horizon: number(first), ..Self::default() };
        for record in records {
            read.take(record);
        }
        read.drop_before(since);
        if let Some(middle) = read.middle_of_too_many() {
            read.drop_before(middle);
        }
        read.sessions.shrink_to_fit();
        Some(read)
    }

    fn take(&mut self, record: &[u8; RECORD]) {
        let (mut digest, number) = (ShortDigest::default(), number(record));
        digest.copy_from_slice(&record[..16]);
        let time = number & (u64::MAX >> 8);
        match number >> 56 {
            1 => self.note(SessionEvent::Used, digest, time),
            2 => self.note(SessionEvent::Ended, digest, time),
            3 => self.keys.entry(digest).or_default().is_in = true,
            4 => drop(self.keys.insert(digest, KnownKey { is_in: false, out: time })),
            _ => {}
        }
    }

    /// Notes a session's event. A session that has ended is not used any more.
    pub fn note(&mut self, event: SessionEvent, digest: ShortDigest, time: u64) {
        let known = self.sessions.entry(digest).or_insert((event, time));
        if known.0 != SessionEvent::Ended {
            *known = (event, time.max(known.1));
        }
    }

    /// Whether the session is known to have ended.
    pub fn has_ended(&self, session: &ShortDigest) -> bool {
        self.sessions.get(session).is_some_and(|(event, _)| *event == SessionEvent::Ended)
    }

    /// Forgets what happened before `since`, and the sessions that were not used since.
    pub fn drop_before(&mut self, since: u64) {
        self.horizon = self.horizon.max(since);
        self.sessions.retain(|_, (_, time)| *time > since);
        self.keys.retain(|_, key| key.is_in || key.out > since);
    }

    /// Forgets the ends of the older half of too many sessions, which the store of the replicas knows, too.
    pub fn leave_ends_to_store(&mut self) {
        if let Some(middle) = self.middle_of_too_many() {
            self.sessions.retain(|_, (event, time)| *event == SessionEvent::Used || *time > middle);
            self.sessions.shrink_to_fit();
        }
    }

    fn middle_of_too_many(&self) -> Option<u64> {
        if self.sessions.len() <= MOST {
            return None;
        }
        let mut times: Vec<u64> = self.sessions.values().map(|(_, time)| *time).collect();
        let half = times.len() / 2;
        Some(*times.select_nth_unstable(half).1)
    }

    /// The last use of the session, which was opened at `opened` under the `key`; `None` when it has ended.
    pub fn last_use(&self, session: &ShortDigest, key: Option<&ShortDigest>, opened: u64) -> Option<u64> {
        // A key that is back is the same key, but its sessions ended when it was gone.
        let out = key.and_then(|key| self.keys.get(key)).map_or(0, |key| key.out);
        let used = match self.sessions.get(session) {
            Some((SessionEvent::Used, time)) => opened.max(*time),
            None => opened,
            Some(_) => return None,
        };
        (opened > out && used > self.horizon).then_some(used)
    }

    /// Forgets the last use of a session that is open again.
    pub fn is_open_again(&mut self, session: &ShortDigest) {
        self.sessions.remove(session);
    }

    /// Notes that exactly these keys are configured from `now` on, and gives the events that this makes.
    pub fn set_keys(&mut self, keys: &[ShortDigest], now: u64) -> Vec<(SessionEvent, ShortDigest)> {
        let mut events = Vec::new();
        for (digest, key) in self.keys.iter_mut().filter(|(digest, key)| key.is_in && !keys.contains(digest))
        {
            *key = KnownKey { is_in: false, out: now };
            events.push((SessionEvent::KeyOut, *digest));
        }
        for digest in keys {
            let key = self.keys.entry(*digest).or_default();
            if !std::mem::replace(&mut key.is_in, true) {
                events.push((SessionEvent::KeyIn, *digest));
            }
        }
        events
    }

    /// All of it as a file.
    pub fn file(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(RECORD * (1 + self.keys.len() + self.sessions.len()));
        file.extend(head(self.horizon));
        for (digest, key) in &self.keys {
            if key.out > 0 {
                file.extend(record(SessionEvent::KeyOut, digest, key.out));
            }
            if key.is_in {
                file.extend(record(SessionEvent::KeyIn, digest, key.out));
            }
        }
        for (digest, (event, time)) in &self.sessions {
            file.extend(record(*event, digest, *time));
        }
        file
    }
}

fn number(record: &[u8; RECORD]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&record[16..]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ShortDigest = [9; 16];

    fn session(number: u32) -> ShortDigest {
        let mut digest = ShortDigest::default();
        digest[..4].copy_from_slice(&number.to_le_bytes());
        digest
    }

    fn file(events: &[(SessionEvent, ShortDigest, u64)]) -> Vec<u8> {
        let records = events.iter().flat_map(|(event, digest, time)| record(*event, digest, *time));
        head(0).into_iter().chain(records).collect()
    }

    #[test]
    fn what_was_written_is_read_and_written_again() {
        let events = [
            (SessionEvent::KeyIn, KEY, 1),
            (SessionEvent::Used, session(1), 100),
            (SessionEvent::Used, session(1), 200),
            (SessionEvent::Ended, session(2), 150),
            (SessionEvent::Used, session(2), 300),
            (SessionEvent::Used, session(3), 40),
        ];
        let mut written = file(&events);
        written.extend([0; RECORD - 1]);
        let read = Outlived::read(&written, 50).unwrap();
        assert_eq!(read.last_use(&session(1), None, 90), Some(200));
        assert_eq!(read.last_use(&session(2), None, 90), None, "it has ended");
        assert_eq!(read.last_use(&session(4), None, 90), Some(90), "nothing is known of it");
        assert_eq!(read.last_use(&session(3), None, 30), None, "before the horizon");
        assert_eq!(Outlived::read(&read.file(), 0), Some(read));
        assert_eq!((Outlived::read(b"", 0), Outlived::read(&[b'x'; 48], 0)), (None, None));
    }

    #[test]
    fn the_sessions_of_a_key_end_when_it_is_gone_also_if_it_comes_back() {
        let mut outlived = Outlived::default();
        assert_eq!(outlived.set_keys(&[KEY], 100), [(SessionEvent::KeyIn, KEY)]);
        assert_eq!(outlived.last_use(&session(1), Some(&KEY), 50), Some(50), "another process opened it");
        assert_eq!(outlived.set_keys(&[KEY], 110), []);
        assert_eq!(outlived.set_keys(&[], 200), [(SessionEvent::KeyOut, KEY)]);
        outlived.set_keys(&[KEY], 300);
        let outlived = Outlived::read(&outlived.file(), 150).unwrap();
        assert_eq!(outlived.last_use(&session(1), Some(&KEY), 199), None);
        assert_eq!(outlived.last_use(&session(1), Some(&KEY), 301), Some(301));
        assert_eq!(outlived.last_use(&session(1), None, 199), Some(199), "of another key");
    }

    #[test]
    fn beyond_the_most_the_older_half_ends() {
        let count = u32::try_from(MOST).unwrap() + 2;
        let events: Vec<_> =
            (0..count).map(|number| (SessionEvent::Ended, session(number), u64::from(number) + 1)).collect();
        let read = Outlived::read(&file(&events), 0).unwrap();
        assert!(read.sessions.len() <= MOST / 2 + 1, "{}", read.sessions.len());
        assert_eq!(read.last_use(&session(0), None, 1), None, "its end is forgotten, and it stays ended");
        assert_eq!(read.last_use(&session(count - 1), None, 1), None);
        assert_eq!(read.last_use(&session(count), None, u64::from(count)), Some(u64::from(count)));
    }

    #[test]
    fn of_too_many_ends_the_older_ones_are_left_to_the_store_of_the_replicas() {
        let count = u32::try_from(MOST).unwrap() + 2;
        let mut outlived = Outlived::default();
        outlived.note(SessionEvent::Used, session(count), 1);
        (0..count)
            .for_each(|number| outlived.note(SessionEvent::Ended, session(number), u64::from(number) + 1));
        outlived.leave_ends_to_store();
        assert!(outlived.sessions.len() <= MOST / 2 + 2, "{}", outlived.sessions.len());
        assert_eq!(outlived.last_use(&session(count - 1), None, 1), None);
        assert_eq!(outlived.last_use(&session(count), None, 1), Some(1), "another one has not ended by that");
    }
}
