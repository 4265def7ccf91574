use super::*;

fn rules(allowed: &[&str], withheld: &[&str]) -> ForwardingConfig {
    let patterns = |texts: &[&str]| texts.iter().map(|text| HeaderPattern::parse(text).unwrap()).collect();
    ForwardingConfig { allowed: patterns(allowed), withheld: patterns(withheld), claims: Vec::new() }
}

fn allows(rules: &ForwardingConfig, name: &str) -> bool {
    rules.allows(&HeaderName::try_from(name).unwrap())
}

#[test]
fn patterns_match_whatever_the_case_and_only_what_they_say() {
    for (pattern, name, expected) in [
        ("X-Tenant", "x-tenant", true),
        ("x-tenant", "X-TENANT", true),
        ("X-Tenant", "x-tenant-2", false),
        ("X-OpenWebUI-User-*", "X-OpenWebUI-User-Id", true),
        ("X-OpenWebUI-User-*", "x-openwebui-chat-id", false),
        ("X-OpenWebUI-User-*", "x-openwebui-user-", true),
        ("*-Id", "x-user-id", true),
        ("*-Id", "x-user-idea", false),
        ("X-*-Id", "x-user-id", true),
        ("X-*-Id", "x-id", false),
        ("X-*-*-Id", "x-a-b-id", true),
        ("X-*-*-Id", "x-a-id", false),
        ("x-*aa*a", "x-aaa", true),
        ("x-*aa*a", "x-aa", false),
        ("*", "x-anything", true),
        ("**", "x-anything", true),
    ] {
        assert_eq!(allows(&rules(&[pattern], &[]), name), expected, "{pattern} over {name}");
    }
}

#[test]
fn no_pattern_can_allow_what_is_never_forwarded() {
    let names = [
        "Host",
        "Cookie",
        "Set-Cookie",
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "HTTP2-Settings",
        "Expect",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Mcp-Session-Id",
        "Mcp-Protocol-Version",
        "Last-Event-ID",
        "X-Request-Id",
        "traceparent",
        "X-B3-TraceId",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Via",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "If-None-Match",
        "X-Original-URL",
        "X-HTTP-Method-Override",
    ];
    for name in names {
        assert!(!allows(&rules(&["*", name], &[]), name), "{name}");
    }
    for name in ["X-Tenant", "X-Forwarded-User", "X-Forwarded-Email", "X-Api-Key", "User-Agent", "X-Hostname"]
    {
        assert!(allows(&rules(&["*"], &[]), name), "{name}");
    }
}

#[test]
fn credentials_go_along_only_when_named_in_full() {
    for name in ["Authorization", "X-Forwarded-Access-Token"] {
        for pattern in ["*", "A*", "Authorization*", "*thorization", "X-*", "X-Forwarded-*"] {
            assert!(!allows(&rules(&[pattern], &[]), name), "{pattern}");
        }
        assert!(allows(&rules(&[name], &[]), name));
        assert!(allows(&rules(&[&name.to_uppercase()], &[]), name));
        assert!(!allows(&rules(&[name], &["*"]), name));
    }
}

#[test]
fn what_is_withheld_wins() {
    let rules = rules(&["X-User-*"], &["x-user-EMAIL", "x-user-se*"]);
    assert!(allows(&rules, "X-User-Id"));
    assert!(!allows(&rules, "X-User-Email") && !allows(&rules, "X-User-Secret"));
}

#[test]
fn a_pattern_over_nothing_but_refused_names_is_told_from_one_that_leaves_some() {
    for refused in ["Cookie", "mcp-*", "Mcp-Session-*", "content-*", "X-Forwarded-F*", "sec-ch-*-x"] {
        assert!(HeaderPattern::parse(refused).unwrap().refusal().is_some(), "{refused}");
    }
    for useful in ["*", "Cook*", "Authorization", "X-Forwarded-*", "X-Forwarded-Access-Token", "Co*"] {
        assert!(HeaderPattern::parse(useful).unwrap().refusal().is_none(), "{useful}");
    }
}

#[test]
fn a_pattern_that_seems_to_mean_a_credential_is_noticed() {
    for (pattern, missed) in
        [("Auth*", true), ("Authorization*", true), ("Authorization", false), ("*", false), ("X-*", false)]
    {
        assert_eq!(HeaderPattern::parse(pattern).unwrap().misses_authorization(), missed, "{pattern}");
    }
}

#[test]
fn what_cannot_be_a_name_is_no_pattern() {
    for bad in ["", "X Tenant", "X-Tenant:", "Ümlaut", "a\nb"] {
        assert!(HeaderPattern::parse(bad).is_none(), "{bad:?}");
    }
}
