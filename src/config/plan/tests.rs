use std::io::Write as _;

use super::*;
use crate::config::{Sources, load};

fn config(text: &str) -> Config {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let sources = Sources { files: vec![file.path().to_owned()], ..Sources::default() };
    load(&sources).unwrap().config
}

fn plan(old: &str, new: &str) -> String {
    Plan::between(&config(old), &config(new), &[]).to_string()
}

#[test]
fn the_same_configuration_written_differently_changes_nothing() {
    let old = r#"{"mcpServers": {"a": {"command": "x", "args": ["1"]}, "b": {"type": "http", "url": "http://h/mcp"}}}"#;
    let new = r#"{ // moved about
        "servers": {"b": {"type": "http", "url": "http://h/mcp"}, "a": {"args": ["1"], "command": "x",},}}"#;
    let plan = Plan::between(&config(old), &config(new), &[]);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.to_string(), "no change: 2 servers stay as they are");
}

#[test]
fn every_kind_of_change_is_told_apart() {
    let old = r#"{"port": 1, "apiKey": "k", "mcpServers": {
        "kept": {"command": "x"}, "gone": {"command": "x"}, "moved": {"command": "x"},
        "ruled": {"command": "x"}, "turned": {"command": "x"}}}"#;
    let new = r#"{"port": 2, "apiKey": "l", "exposedNameLength": 64, "limits": {"resultBytes": 5000}, "mcpServers": {
        "kept": {"command": "x"}, "moved": {"command": "y", "env": {"A": "b"}, "required": true},
        "ruled": {"command": "x", "timeout": 3, "enabledTools": ["a*"]},
        "turned": {"url": "http://h/mcp"}, "fresh": {"command": "z"}}}"#;
    insta::assert_snapshot!(plan(old, new), @"
    ~ moved: is replaced, the old one ends after its last call (command, env, required)
    ~ ruled: new rules, its connection stays (enabledTools, timeout)
    ~ turned: is replaced, the old one ends after its last call (type)
    + fresh: is started
    - gone: ends after its last call
    ~ apiKeys: counts at once
    ~ exposedNameLength: counts at once
    ~ limits.resultBytes: counts from a server's next start
    ! port: counts only after the gateway is restarted
    = 1 server stays as it is
    ");
}

#[test]
fn new_rules_for_headers_leave_the_connection() {
    let with = |limits: &str, names: &str| {
        let entry = format!(r#"{{"type": "http", "url": "http://h/mcp", "forwardHeaders": [{names}]}}"#);
        format!(r#"{{"limits": {{{limits}}}, "mcpServers": {{"a": {entry}}}}}"#)
    };
    let running = with("", r#""X-User""#);
    for changed in [with("", r#""X-Team""#), with("", ""), with(r#""identities": 2"#, r#""X-User""#)] {
        let plan = Plan::between(&config(&running), &config(&changed), &[]);
        assert_eq!(plan.action(&ServerName::new("a").unwrap()), Some(Action::Update), "{changed}: {plan}");
        let plan = plan.to_string();
        assert!(plan.contains("forwardHeaders") || plan.contains("limits.identities"), "{plan}");
    }
    assert!(Plan::between(&config(&running), &config(&with("", r#""X-User""#)), &[]).is_empty());
}

#[test]
fn another_revision_connects_anew() {
    let entry =
        |revision: u8| format!(r#"{{"mcpServers": {{"a": {{"socket": "/s", "revision": "{revision}"}}}}}}"#);
    assert!(Plan::between(&config(&entry(1)), &config(&entry(1)), &[]).is_empty());
    assert!(plan(&entry(1), &entry(2)).starts_with("~ a: is replaced"));
}

#[test]
fn a_plan_holds_no_value() {
    let old = r#"{"apiKey": "hunter2", "mcpServers": {"a": {"url": "http://h/hunter3", "headers": {"K": "hunter4"}}}}"#;
    let new = r#"{"apiKey": "hunter5", "mcpServers": {"a": {"url": "http://h/hunter6", "headers": {"K": "hunter7"}}}}"#;
    let plan = Plan::between(&config(old), &config(new), &[]);
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.contains("headers") && !format!("{plan} {plan:?} {json}").contains("hunter"), "{json}");
}

#[test]
fn what_needs_a_restart_stays_outstanding() {
    let running = config(r#"{"port": 1, "mcpServers": {"a": {"command": "x"}}}"#);
    let wanted = config(r#"{"port": 2, "timeout": 9, "mcpServers": {"a": {"command": "x"}}}"#);
    let taken_up = wanted.clone().without_restart(&running);
    assert_eq!((taken_up.listen.port, taken_up.limits.call_timeout.as_secs()), (1, 9));
    let outstanding = Plan::between(&taken_up, &wanted, &[]);
    assert_eq!(outstanding.settings, [SettingChange { key: "port", effect: Effect::Restart }]);
}

#[test]
fn other_certificates_count_at_once_and_tls_itself_with_a_restart() {
    let with = |tls: &str| config(&format!(r#"{{{tls} "mcpServers": {{"a": {{"command": "x"}}}}}}"#));
    let plain = with("");
    let old = with(r#""tls": {"certificate": "/a.pem", "key": "/a.key"},"#);
    let new = with(r#""tls": {"certificate": "/b.pem", "key": "/b.key"},"#);
    let effect = |running: &Config, wanted: &Config| Plan::between(running, wanted, &[]).settings[0].clone();
    assert_eq!(
        effect(&old, &new),
        SettingChange { key: "tls.certificate or tls.key", effect: Effect::AtOnce }
    );
    assert_eq!(new.clone().without_restart(&old).listen.tls, new.listen.tls);
    for (running, wanted) in [(&plain, &new), (&new, &plain)] {
        assert_eq!(effect(running, wanted), SettingChange { key: "tls", effect: Effect::Restart });
        assert_eq!(wanted.clone().without_restart(running).listen.tls, running.listen.tls);
    }
}

#[test]
fn a_server_whose_secret_was_rotated_is_replaced_and_no_other() {
    let same = config(r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "x"}}}"#);
    let plan = Plan::between(&same, &same, &[ServerName::new("b").unwrap()]);
    insta::assert_snapshot!(plan, @"
    ~ b: is replaced, the old one ends after its last call (a secret's value)
    = 1 server stays as it is
    ");
}
