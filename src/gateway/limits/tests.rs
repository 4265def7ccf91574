use std::num::NonZeroU32;

use futures_util::FutureExt as _;

use super::*;
use crate::config::{
    ApiKeyConfig, RateConfig, RightsConfig, SecretText, ServerConfig, ServerName, TransportConfig,
};
use crate::shares::UserName;

fn rate(calls: u32, per: u64) -> RateConfig {
    let calls = NonZeroU32::new(calls).unwrap();
    RateConfig::new(calls, Duration::from_secs(per), calls).unwrap()
}

fn config(key: Option<RateConfig>, concurrency: Option<usize>, server: Option<RateConfig>) -> Config {
    let mut config = Config::default();
    for name in ["busy", "calm"] {
        let rights = RightsConfig {
            rate: key.filter(|_| name == "busy"),
            concurrency: concurrency.filter(|_| name == "busy"),
            ..RightsConfig::default()
        };
        let key = ApiKeyConfig::new(name, SecretText::literal(name));
        config.auth.keys.push(ApiKeyConfig { rights, ..key });
    }
    let name = ServerName::new("s").unwrap();
    config.servers = vec![ServerConfig { rate: server, ..ServerConfig::new(name, TransportConfig::Gateway) }];
    config
}

fn admit_of(limits: &Limits, caller: &Caller) -> Result<Permit, Limited> {
    limits.admit(caller, None).now_or_never().expect("without a store it waits for nothing")
}

fn admit(limits: &Limits, key: Option<&str>, server: &str) -> Result<Permit, Limited> {
    let mut permit = admit_of(limits, &Caller::of_test(key.map(Principal::of_key).unwrap_or_default()))?;
    let admitted = limits.admit_to(server, &mut permit).now_or_never();
    admitted.expect("without a store it waits for nothing").map(|()| permit)
}

#[test]
fn a_key_that_calls_too_often_is_told_when_to_come_again_and_others_are_not_touched() {
    let limits = Limits::new(&config(Some(rate(2, 3600)), None, None), None, None);
    for _ in 0..2 {
        admit(&limits, Some("busy"), "s").unwrap();
    }
    let limited = admit(&limits, Some("busy"), "s").unwrap_err();
    assert_eq!(limited.code(), "rate_limited");
    let wait = limited.retry_after.as_secs();
    assert!((1790..=1800).contains(&wait), "{wait}");
    let told = limited.to_string();
    assert!(told.contains("2 calls in 3600 s") && told.contains("`apiKeys.busy.rate`"), "{told}");
    for caller in [Some("calm"), Some("unknown"), None] {
        for _ in 0..10 {
            admit(&limits, caller, "s").unwrap();
        }
    }
}

#[test]
fn a_user_has_limits_of_its_own_which_a_reload_keeps() {
    let limits = Limits::new(&config(None, None, None), None, None);
    let user = |name: &str, calls| {
        let name = UserName { id: name.into(), shown: name.into() };
        let limits = CallerLimits { rate: Some(rate(calls, 3600)), concurrency: Some(1) };
        Caller { limits, ..Caller::of_test(Principal::of_user(Some("busy"), name)) }
    };
    let held = admit_of(&limits, &user("a", 2)).unwrap();
    let told = admit_of(&limits, &user("a", 2)).unwrap_err().to_string();
    assert!(told.contains("the user `a` may have 1 call in flight"), "{told}");
    drop((held, admit_of(&limits, &user("b", 2)).unwrap()));
    drop(admit_of(&limits, &user("a", 2)).unwrap());
    let next = Limits::new(&config(None, None, None), Some(&limits), None);
    let limited = admit_of(&next, &user("a", 2)).unwrap_err();
    assert!(limited.code() == "rate_limited" && limited.to_string().contains("`users`"), "{limited}");
    drop((admit_of(&next, &user("b", 2)).unwrap(), admit_of(&next, &user("a", 3)).unwrap()));
}

#[test]
fn a_servers_rate_is_for_all_callers_together_and_a_limited_key_uses_none_of_it() {
    let limits = Limits::new(&config(Some(rate(1, 3600)), None, Some(rate(2, 3600))), None, None);
    admit(&limits, Some("busy"), "s").unwrap();
    for _ in 0..5 {
        assert!(admit(&limits, Some("busy"), "s").unwrap_err().to_string().contains("apiKeys.busy"));
    }
    admit(&limits, Some("calm"), "s").unwrap();
    let told = admit(&limits, None, "s").unwrap_err().to_string();
    assert!(told.contains("`mcpServers.s.rate`"), "{told}");
    admit(&limits, Some("calm"), "other").unwrap();
}

#[test]
fn calls_in_flight_are_counted_until_they_end() {
    let limits = Limits::new(&config(None, Some(2), None), None, None);
    let first = admit(&limits, Some("busy"), "s").unwrap();
    let _second = admit(&limits, Some("busy"), "s").unwrap();
    let limited = admit(&limits, Some("busy"), "s").unwrap_err();
    assert_eq!((limited.code(), limited.retry_after), ("concurrency_limited", TRY_AGAIN));
    assert!(limited.to_string().contains("`apiKeys.busy.concurrency`"), "{limited}");
    drop(first);
    admit(&limits, Some("busy"), "s").unwrap();
}

#[test]
fn one_keys_calls_leave_room_for_those_of_others_and_all_have_a_bound() {
    let mut config = config(None, None, None);
    config.limits.calls = 8;
    let limits = Limits::new(&config, None, None);
    let mut held: Vec<Permit> = (0..4).map(|_| admit(&limits, Some("busy"), "s").unwrap()).collect();
    let limited = admit(&limits, Some("busy"), "s").unwrap_err();
    assert_eq!(limited.code(), "concurrency_limited");
    assert!(limited.to_string().contains("`limits.callsPerKey`"), "{limited}");
    while let Ok(permit) = admit(&limits, Some("calm"), "s") {
        held.push(permit);
    }
    assert_eq!(held.len(), 7, "the last ones are for those that have none");
    held.push(admit(&limits, None, "s").unwrap_or_else(|limited| panic!("{limited}")));
    let limited = admit(&limits, Some("calm"), "s").unwrap_err();
    assert!(limited.to_string().contains("`limits.calls`"), "{limited}");
    held.clear();
    admit(&limits, Some("busy"), "s").unwrap();
}

#[test]
fn a_call_that_its_rate_refuses_holds_no_place() {
    let limits = Limits::new(&config(Some(rate(1, 3600)), Some(1), None), None, None);
    drop(admit(&limits, Some("busy"), "s").unwrap());
    for _ in 0..3 {
        assert_eq!(admit(&limits, Some("busy"), "s").unwrap_err().code(), "rate_limited");
    }
}

#[test]
fn a_reload_keeps_what_was_counted_under_the_same_limit() {
    let same = config(Some(rate(1, 3600)), Some(1), None);
    let limits = Limits::new(&same, None, None);
    let held = admit(&limits, Some("busy"), "s").unwrap();
    let kept = Limits::new(&same, Some(&limits), None);
    assert_eq!(admit(&kept, Some("busy"), "s").unwrap_err().code(), "concurrency_limited");
    drop(held);
    assert_eq!(admit(&kept, Some("busy"), "s").unwrap_err().code(), "rate_limited");
    let other = Limits::new(&config(Some(rate(2, 3600)), Some(1), None), Some(&kept), None);
    admit(&other, Some("busy"), "s").unwrap();
}
