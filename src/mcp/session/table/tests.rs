use super::*;
use crate::mcp::session::id::new_id;

const HOUR: Duration = Duration::from_secs(3600);

/// The sessions of another process with the same secret.
fn sessions() -> Arc<Sessions> {
    sessions_with(None)
}

fn sessions_with(journal: Option<SessionJournal>) -> Arc<Sessions> {
    let secrets = SealSecrets::new("the secret of all sessions in these tests", []);
    Arc::new(Sessions::new(&secrets, journal, TaskTracker::new(), CancellationToken::new()))
}

fn caller(key: Option<&str>, profile: Option<&str>) -> Caller {
    let caller = Caller::of_test(key.map(Principal::of_key).unwrap_or_default());
    Caller { profile: profile.map(Arc::from), ..caller }
}

fn at(server: &str) -> Endpoint {
    Endpoint::One(server.to_owned())
}

fn open(sessions: &Arc<Sessions>, caller: &Caller, endpoint: &Endpoint) -> Arc<Session> {
    open_within(sessions, caller, endpoint, Bounds::undivided(3))
}

fn open_within(
    sessions: &Arc<Sessions>,
    caller: &Caller,
    endpoint: &Endpoint,
    shares: Bounds,
) -> Arc<Session> {
    sessions.open(caller, endpoint, shares, HOUR, None, "2025-11-25").unwrap()
}

fn knows(sessions: &Arc<Sessions>, session: &Session, caller: &Caller, endpoint: &Endpoint) -> bool {
    sessions.find(&session.id, caller, endpoint, Bounds::undivided(3), HOUR).is_some()
}

#[test]
fn a_session_is_known_to_its_key_in_its_profile_at_its_endpoint_alone() {
    let sessions = sessions();
    let mine = caller(Some("mine"), Some("small"));
    let session = open(&sessions, &mine, &at("time"));
    assert!(knows(&sessions, &session, &mine, &at("time")));
    for (key, profile, endpoint) in [
        (Some("other"), Some("small"), at("time")),
        (None, Some("small"), at("time")),
        (Some("mine"), None, at("time")),
        (Some("mine"), Some("large"), at("time")),
        (Some("mine"), Some("small"), Endpoint::All),
        (Some("mine"), Some("small"), at("git")),
    ] {
        assert!(
            !knows(&sessions, &session, &caller(key, profile), &endpoint),
            "{key:?} {profile:?} {endpoint:?}"
        );
    }
    sessions.end(&session);
    assert!(!knows(&sessions, &session, &mine, &at("time")));
    assert!(session.ended.is_cancelled());
}

#[test]
fn the_one_that_rested_longest_makes_room() {
    let sessions = sessions();
    let all: Vec<_> = (0..3).map(|_| open(&sessions, &caller(Some("mine"), None), &Endpoint::All)).collect();
    let later = now() + 10;
    for used in [&all[0], &all[2]] {
        used.touch(later);
    }
    let fresh = open(&sessions, &caller(Some("mine"), None), &Endpoint::All);
    assert_eq!(sessions.count(), 3);
    assert!(!knows(&sessions, &all[1], &caller(Some("mine"), None), &Endpoint::All));
    assert!(knows(&sessions, &fresh, &caller(Some("mine"), None), &Endpoint::All));
}

#[test]
fn a_session_ends_by_resting_unless_a_stream_is_open() {
    let sessions = sessions();
    let session = open(&sessions, &caller(Some("mine"), None), &Endpoint::All);
    let found = || {
        let mine = caller(Some("mine"), None);
        sessions.find(&session.id, &mine, &Endpoint::All, Bounds::undivided(3), Duration::ZERO).is_some()
    };
    let stream = session.stream();
    assert!(found());
    drop(stream);
    assert!(!found());
}

#[test]
fn a_request_can_be_cancelled_while_it_is_in_flight() {
    let sessions = sessions();
    let session = open(&sessions, &caller(Some("mine"), None), &Endpoint::All);
    let request = session.in_flight.add("7");
    session.in_flight.cancel("\"7\"");
    assert!(!request.cancelled.is_cancelled());
    session.in_flight.cancel("7");
    assert!(request.cancelled.is_cancelled());
    drop(request);
    assert!(session.rests(0, now()), "nothing is in flight");
}

#[test]
fn the_caller_that_has_most_makes_room_and_loses_the_one_that_rested_longest() {
    let sessions = sessions();
    let (many, few) = (caller(Some("many"), None), caller(Some("few"), None));
    let bounds = Bounds { all: 100, each: 90 };
    let open = |caller: &Caller| open_within(&sessions, caller, &Endpoint::All, bounds);
    let of_few = open(&few);
    let of_many: Vec<_> = (0..89).map(|_| open(&many)).collect();
    let in_profile = caller(Some("many"), Some("small"));
    let variant = open(&in_profile);
    assert_eq!(
        lock(&sessions.order).count_of(&many.principal),
        90,
        "one key is one caller in all its profiles"
    );
    // Its own share is used up.
    open(&many);
    assert!(!knows(&sessions, &of_many[0], &many, &Endpoint::All) && of_many[0].ended.is_cancelled());
    assert_eq!(sessions.count(), 91);
    let others: Vec<_> = ["x", "y", "z"].map(|name| caller(Some(name), None)).into();
    for number in 0..12 {
        open(&others[number % 3]);
    }
    assert_eq!((sessions.count(), lock(&sessions.order).count_of(&many.principal)), (100, 87));
    assert!(
        knows(&sessions, &of_few, &few, &Endpoint::All),
        "it rested longest of all, and its caller has few"
    );
    assert!(knows(&sessions, &variant, &in_profile, &Endpoint::All));
}

#[test]
fn one_with_a_stream_or_a_request_does_not_make_room_while_another_rests() {
    let sessions = sessions();
    let mine = caller(Some("mine"), None);
    let all: Vec<_> = (0..3).map(|_| open(&sessions, &mine, &Endpoint::All)).collect();
    let (_stream, _request) = (all[0].stream(), all[1].in_flight.add("1"));
    let fresh = open(&sessions, &mine, &Endpoint::All);
    assert!(!knows(&sessions, &all[2], &mine, &Endpoint::All));
    // When none rests, one of them makes room all the same.
    let _other_stream = fresh.stream();
    let last = open(&sessions, &mine, &Endpoint::All);
    let known =
        [&all[0], &all[1], &fresh, &last].map(|session| knows(&sessions, session, &mine, &Endpoint::All));
    assert_eq!(known.iter().filter(|known| **known).count(), 3);
    assert!(known[3]);
}

#[test]
fn a_session_that_ends_cancels_what_it_has_under_way() {
    let sessions = sessions();
    let mine = caller(Some("mine"), None);
    let session = open(&sessions, &mine, &Endpoint::All);
    let request = session.in_flight.add("1");
    sessions.end(&session);
    assert!(request.cancelled.is_cancelled());
    assert_eq!(sessions.count(), 0);
}

#[test]
fn those_that_have_rested_too_long_end_when_another_is_opened() {
    let sessions = sessions();
    let mine = caller(Some("mine"), None);
    let old: Vec<_> = (0..3).map(|_| open(&sessions, &mine, &Endpoint::All)).collect();
    let stream = old[1].stream();
    let shares = Bounds::undivided(10);
    sessions.open(&mine, &Endpoint::All, shares, Duration::ZERO, None, "2025-11-25").unwrap();
    let ended = [0, 1, 2].map(|number: usize| old[number].ended.is_cancelled());
    assert_eq!((ended, sessions.count()), ([true, false, true], 2));
    drop(stream);
}

/// What it takes to open `count` sessions and to end as many, at the bound.
fn turnover(sessions: &Arc<Sessions>, shares: Bounds, count: usize) -> Duration {
    let mine = caller(Some("mine"), None);
    let began = std::time::Instant::now();
    for _ in 0..count {
        open_within(sessions, &mine, &Endpoint::All, shares);
    }
    began.elapsed()
}

#[test]
fn opening_and_ending_one_costs_the_same_among_a_hundred_thousand() {
    let small = sessions();
    let large = sessions();
    let (few, many) = (Bounds::undivided(100), Bounds::undivided(100_000));
    turnover(&small, few, 100);
    turnover(&large, many, 100_000);
    assert_eq!((small.count(), large.count()), (100, 100_000));
    // The fastest of some, so that a busy machine does not count. A copy of the table took a thousand times as long.
    let fastest =
        |sessions: &Arc<Sessions>, shares| (0..5).map(|_| turnover(sessions, shares, 500)).min().unwrap();
    let (among_few, among_many) = (fastest(&small, few), fastest(&large, many));
    assert!(among_many < among_few * 10, "{among_few:?} among 100, {among_many:?} among 100,000");
    assert_eq!(large.count(), 100_000);
}

#[test]
fn ids_are_long_and_differ() {
    let ids: std::collections::HashSet<_> = (0..100).map(|_| new_id().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

#[test]
fn another_process_opens_a_session_again_for_its_holder_alone() {
    let (before, after) = (sessions(), sessions());
    let mine = caller(Some("mine"), Some("small"));
    let session = open(&before, &mine, &at("time"));
    for (key, profile, endpoint) in [
        ("other", Some("small"), at("time")),
        ("mine", None, at("time")),
        ("mine", Some("small"), Endpoint::All),
    ] {
        assert!(!knows(&after, &session, &caller(Some(key), profile), &endpoint), "{key} {profile:?}");
    }
    let other_value = Caller { fingerprint: Some(crate::catalog::Fingerprint([1; 32])), ..mine.clone() };
    assert!(!knows(&after, &session, &other_value, &at("time")));
    assert!(knows(&after, &session, &mine, &at("time")) && knows(&after, &session, &mine, &at("time")));
    assert_eq!(after.count(), 1);
    let again = after.find(&session.id, &mine, &at("time"), Bounds::undivided(3), HOUR).unwrap();
    assert!(again.has_missed_changes() && !again.has_missed_changes() && !session.has_missed_changes());
    assert_ne!(again.client.number_of_its_own(), 0);
    // It ends in the process that ended it, and stays so.
    after.end(&again);
    assert!(!knows(&after, &session, &mine, &at("time")) && again.ended.is_cancelled());
    before.end(&session);
    assert!(!knows(&before, &session, &mine, &at("time")), "it was opened here");
}

#[test]
fn a_session_that_rested_is_not_opened_again() {
    let (before, after) = (sessions(), sessions());
    let mine = caller(Some("mine"), None);
    let session = open(&before, &mine, &Endpoint::All);
    let found = |idle| after.find(&session.id, &mine, &Endpoint::All, Bounds::undivided(3), idle).is_some();
    assert!(!found(Duration::ZERO) && found(HOUR));
}

#[test]
fn a_session_that_is_opened_again_makes_room_as_a_new_one_does() {
    let (before, after) = (sessions(), sessions());
    let mine = caller(Some("mine"), None);
    let all: Vec<_> = (0..3).map(|_| open(&before, &mine, &Endpoint::All)).collect();
    let fourth = open(&sessions(), &mine, &Endpoint::All);
    assert!(all.iter().chain([&fourth]).all(|session| knows(&after, session, &mine, &Endpoint::All)));
    assert_eq!(after.count(), 3);
    assert!(!knows(&after, &all[0], &mine, &Endpoint::All), "what has made room has ended");
}

#[tokio::test]
async fn the_last_use_and_the_end_of_sessions_outlive_a_process_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let journal = SessionJournal::new(folder.path(), crate::upstream::FileLock::default());
        sessions_with(Some(journal))
    };
    let mine = caller(Some("mine"), None);
    let find = |sessions: &Arc<Sessions>, id: &[u8]| {
        sessions.find(id, &mine, &Endpoint::All, Bounds::undivided(9), HOUR)
    };
    let before = start();
    before.configure(HOUR, &[]);
    // Two that were opened hours ago by a process before; one of them was used since.
    let earlier = |process| {
        let sealed = SealedSession {
            process,
            opened: now() - 2 * millis(HOUR),
            holder: holder_digest(&mine, &Endpoint::All),
            revision: "2025-11-25",
            capabilities: "{}".into(),
        };
        sealed.id(&before.sealer).unwrap()
    };
    let (used, rested) = (earlier(1), earlier(2));
    let digest = super::super::sealed::shortened(<sha2::Sha256 as sha2::Digest>::digest(&used).into());
    lock(&before.outlived).note(SessionEvent::Used, digest, now() - 60_000);
    assert!(find(&before, &used).is_some() && find(&before, &rested).is_none());
    let (ended, stays) = (open(&before, &mine, &Endpoint::All), open(&before, &mine, &Endpoint::All));
    before.end(&ended);
    let stop = CancellationToken::new();
    stop.cancel();
    before.keep(stop).await;

    let after = start();
    after.restore(HOUR).await;
    assert!(find(&after, &used).is_some() && find(&after, &stays.id).is_some());
    assert!(find(&after, &rested).is_none() && find(&after, &ended.id).is_none());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.path().join("sessions")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
