//! The gateway's own settings and keys, through the whole of loading.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::config::Overrides;

#[test]
fn wrong_settings_name_their_line_flag_or_variable() {
    for (setting, message) in [
        (r#""port": "8000""#, "port\n  this must be a port number from 0 to 65535, but it is a string"),
        (r#""port": 65536"#, "port\n  this must be a port number"),
        (r#""strictAuth": "yes""#, "strictAuth\n  this must be true or false, but it is a string"),
        (r#""limits": {"bodyBytes": 0}"#, "limits.bodyBytes\n  this must be at least 1"),
        (r#""limits": {"identities": 0}"#, "limits.identities\n  this must be at least 1"),
        (r#""limits": {"identityIdle": 0}"#, "limits.identityIdle\n  this must be more than 0"),
        (r#""limits": {"drain": -1}"#, "limits.drain\n  this must be more than 0"),
        (r#""exposedNameLength": 31"#, "exposedNameLength\n  31 characters are no length for names of tools"),
        (r#""exposedNameLength": 65"#, "exposedNameLength\n  65 characters are no length for names of tools"),
        (r#""exposedNameLength": "40""#, "exposedNameLength\n  this must be a whole number from 32 to 64"),
        (r#""limits": 5"#, "limits\n  this must be an object"),
        (r#""timeout": "5""#, "timeout\n  this must be a number of seconds, but it is a string"),
        (r#""pathPrefix": "/a b""#, "pathPrefix\n  a path cannot hold white space"),
        (r#""tls": {"key": "k.pem"}"#, "tls.key\n  `tls.certificate` is missing"),
        (r#""publicUrl": "mcp.example.org""#, "publicUrl\n  this is no http or https URL"),
        (r#""allowedHosts": ["http://x"]"#, "allowedHosts\n  `http://x` is no host name"),
        (r#""publicUrl": "ftp://mcp.example.org""#, "publicUrl\n  this is no http or https URL"),
        (r#""allowedHosts": [""]"#, "allowedHosts\n  `` is no host name"),
        (r#""allowedHosts": ["a.example", "[bad"]"#, "allowedHosts\n  `[bad` is no pattern over host names"),
        (
            r#""log": {"format": "jsn"}"#,
            "log.format\n  `jsn` is not a value of `log.format`\n  fix: write `json`",
        ),
        (r#""host": """#, "host\n  the address is empty"),
        (r#""host": "unix:mcpo.sock""#, "host\n  the path of the Unix socket is not absolute"),
        (
            r#""apiKey": "${KEY}""#,
            "apiKey\n  `${KEY}` is not a reference that this gateway knows\n  fix: write `${env:KEY}`",
        ),
    ] {
        let problem = refused(&format!("{{{TIME},\n{setting}}}"));
        assert!(problem.contains("error: a.json:2:") && problem.contains(message), "{problem}");
    }
    let fixture = Fixture::new(&[]).environment(&[("MCPO_PORT", "many"), ("MCPO_STRICT_AUTH", "perhaps")]);
    let problems = fixture.load().unwrap_err();
    assert!(problems.contains("error: MCPO_PORT\n  this must be a port number"), "{problems}");
    assert!(problems.contains("error: MCPO_STRICT_AUTH\n  this must be true or false"), "{problems}");
    let stray = Fixture::new(&[]).environment(&[("MCPO_API_KEYS", "x")]);
    assert!(stray.load().unwrap().warnings[0].fix.contains("MCPO_API_KEY if that was meant"));
}

#[test]
fn settings_are_put_into_their_one_form() {
    let config = loaded(&format!(
        r#"{{{TIME}, "pathPrefix": "api/v2", "rootPath": "/root/", "timeout": 2.5, "host": "[::1]",
            "publicUrl": "https://mcp.example.org", "allowedHosts": ["*.example.org", "{{a,b}}.example"],
            "stateDir": "state", "exposedNameLength": 32, "tls": {{"certificate": "c.pem", "key": "/k.pem"}}, "limits": {{"concurrency": 3}}}}"#
    ))
    .config;
    assert_eq!((config.listen.path_prefix.as_str(), config.listen.root_path.as_str()), ("/api/v2/", "/root"));
    assert_eq!(config.listen.host, "::1");
    assert_eq!(config.listen.public_url.as_deref(), Some("https://mcp.example.org"));
    assert_eq!(config.listen.allowed_hosts, ["*.example.org", "{a,b}.example"]);
    assert_eq!(config.limits.call_timeout, Duration::from_millis(2500));
    assert_eq!(config.servers[0].concurrency, 3);
    assert_eq!(config.exposed_name_length, 32);
    let tls = config.listen.tls.unwrap();
    assert!(tls.certificate.is_absolute() && tls.certificate.ends_with("c.pem"));
    assert_eq!(tls.key, PathBuf::from("/k.pem"));
    assert!(config.state_dir.unwrap().is_absolute());
    for slashes in ["/", "", "//"] {
        let config =
            loaded(&format!(r#"{{{TIME}, "pathPrefix": "{slashes}", "rootPath": "{slashes}"}}"#)).config;
        assert_eq!((config.listen.path_prefix.as_str(), config.listen.root_path.as_str()), ("/", ""));
    }
}

#[test]
fn the_state_directory_is_the_usual_one_unless_set_and_none_when_set_to_nothing() {
    let state_dir = |set: Option<&str>| {
        let mut fixture = Fixture::new(&[]).environment(&[("HOME", "/home/u")]);
        fixture.sources.overrides.set("stateDir", "--state-dir", set.map(str::to_owned));
        fixture.load().unwrap().config.state_dir
    };
    assert_eq!(state_dir(None), Some("/home/u/.local/state/mcpo".into()));
    assert_eq!(state_dir(Some("/s")), Some("/s".into()));
    assert_eq!(state_dir(Some("")), None);
}

#[test]
fn log_levels_are_read_as_python_and_rust_name_them_and_a_bad_one_falls_back() {
    for (written, level) in [
        ("INFO", "info"),
        ("WARNING", "warn"),
        ("critical", "error"),
        ("Debug", "debug"),
        ("info,mcpo=debug", "info,mcpo=debug"),
    ] {
        let mut overrides = Overrides::default();
        overrides.set("log.level", "--log-level", Some(written.to_owned()));
        let loaded = load(&Sources { overrides, ..Sources::default() }).unwrap();
        assert_eq!((loaded.config.log.level.as_str(), loaded.warnings.len()), (level, 0));
    }
    for written in ["verbose", "mcpo=loud"] {
        let mut overrides = Overrides::default();
        overrides.set("log.level", "--log-level", Some(written.to_owned()));
        let loaded = load(&Sources { overrides, ..Sources::default() }).unwrap();
        assert_eq!(loaded.config.log.level, "info");
        assert_eq!(loaded.warnings[0].key_path, "--log-level");
        assert!(loaded.warnings[0].message.contains("defaulting to INFO"));
    }
}

#[test]
fn an_open_gateway_beyond_loopback_is_warned_about_and_a_locked_one_is_not() {
    for (settings, warned) in [
        (r#""host": "0.0.0.0""#, true),
        (r#""host": "::""#, true),
        (r#""host": "miranda.incus""#, true),
        (r#""host": "0.0.0.0", "apiKey": "k""#, false),
        (r#""host": "localhost""#, false),
        (r#""host": "127.0.0.9""#, false),
        (r#""host": "::1""#, false),
        (r#""host": "unix:/run/mcpo.sock""#, false),
    ] {
        let warnings = loaded(&format!("{{{TIME}, {settings}}}")).warnings;
        assert_eq!(warnings.iter().any(|problem| problem.message.contains("ANYONE")), warned, "{settings}");
    }
    let strict = loaded(&format!(r#"{{{TIME}, "strictAuth": true}}"#)).warnings;
    assert!(strict[0].message.contains("OPEN"));
    assert!(strict[0].line.is_some());
}

#[test]
fn a_key_of_digits_stays_text_in_every_layer() {
    let mut fixture = Fixture::new(&[]).environment(&[("MCPO_API_KEY", "0123")]);
    let key = |fixture: &Fixture| {
        let keys = fixture.load().unwrap().config.auth.keys;
        assert_eq!((keys.len(), keys[0].name.as_str(), keys[0].rights.admin), (1, "default", true));
        keys[0].key.blocking_resolve().unwrap().expose_secret().to_owned()
    };
    assert_eq!(key(&fixture), "0123");
    fixture.sources.overrides.set("apiKey", "--api-key", Some("true".to_owned()));
    assert_eq!(key(&fixture), "true");
    let problem = refused(&format!(r#"{{{TIME}, "apiKey": 4242}}"#));
    assert!(problem.contains("apiKey\n  this must be a string, but it is a number"), "{problem}");
    assert!(!problem.contains("4242"), "a value is never quoted: {problem}");
    let empty = Fixture::new(&[]).environment(&[("MCPO_API_KEY", "")]);
    assert!(empty.load().unwrap_err().contains("error: MCPO_API_KEY\n  the API key is empty"));
}

#[test]
fn where_commands_look_for_a_gateway_is_no_misspelt_setting() {
    let warnings = |name| {
        let fixture = Fixture::new(&[]).environment(&[(name, "http://127.0.0.1:9000")]);
        fixture.load().unwrap().warnings.len()
    };
    assert_eq!((warnings("MCPO_URL"), warnings("MCPO_URLS")), (0, 1));
}

#[test]
fn keys_are_named_scoped_and_told_apart() {
    let keys = loaded(&format!(
        r#"{{{TIME}, "apiKey": "one", "apiKeys": {{
            "chat": {{"key": "${{env:CHAT}}", "servers": ["ti*"], "readOnly": true}}, "ops": {{"key": "x", "admin": true}},
            "plain": "y"}}}}"#
    ))
    .config
    .auth
    .keys;
    let rights: Vec<_> = keys
        .iter()
        .map(|key| (key.name.as_str(), &key.rights.servers, key.rights.read_only, key.rights.admin))
        .collect();
    let scope = Some(vec!["ti*".to_owned()]);
    assert_eq!(
        rights,
        [
            ("default", &None, false, true),
            ("chat", &scope, true, false),
            ("ops", &None, false, true),
            ("plain", &None, false, false)
        ]
    );
    for (keys, message) in [
        (r#"{"a": {}}"#, "apiKeys.a\n  `key` is missing"),
        (r#"{"a": {"key": ""}}"#, "apiKeys.a\n  the API key is empty"),
        (r#"{"a": "same", "b": "same"}"#, "apiKeys.b\n  `a` and `b` are the same key"),
        (r#"{"a": {"key": "x", "servers": "time"}}"#, "apiKeys.a.servers\n  this must be a list of strings"),
        (r#"{"a": {"key": "x", "servers": ["[time"]}}"#, "apiKeys.a.servers[0]\n  this is no pattern"),
        (r#"{"a": "${env:}"}"#, "apiKeys.a\n  `${env:}` names nothing"),
        (r#"{"": "x"}"#, "a key needs a name"),
        (r#"{"a": {"key": "x", "openWebUi": {}}}"#, "apiKeys.a.openWebUi\n  `secret` is missing"),
        (
            r#"{"a": {"key": "x", "openWebUi": {"secret": "s", "users": 1}}}"#,
            "this must be a list of objects",
        ),
        (r#"{"a": 42}"#, "apiKeys.a\n  this must be an object, but it is a number"),
    ] {
        let problem = refused(&format!(r#"{{{TIME}, "apiKeys": {keys}}}"#));
        assert!(problem.contains(message) && !problem.contains("same key`"), "{problem}");
    }
    for (key, expected) in [
        (r#""a": {"#, "`key` is missing"),
        (r#""a": {"key": 7, "#, "apiKeys.a.key\n  this must be a string"),
        (r#""a": {"key": "${KEY}", "#, "`${KEY}` is not a reference"),
        (r#""": {"key": "x", "#, "a key needs a name"),
    ] {
        let problem = refused(&format!(
            r#"{{{TIME}, "apiKeys": {{{key}"servers": ["[t"], "readOnly": "yes", "admin": 1, "sevrers": []}}}}}}"#
        ));
        for part in [expected, "servers[0]\n", ".readOnly\n", ".admin\n", "`sevrers` is not a setting"] {
            assert!(problem.contains(part), "{key} {part}: {problem}");
        }
    }
    let warned = loaded(&format!(r#"{{{TIME}, "apiKeys": {{"a": {{"key": "x", "servers": ["tim"]}}}}}}"#));
    assert!(warned.warnings[0].fix.contains("write `time`"), "{:?}", warned.warnings);
    let passed =
        refused(r#"{"mcpServers": {"t": {"command": "t", "passEnv": ["K"]}}, "apiKeys": {"a": "${env:K}"}}"#);
    assert!(passed.contains("would hand it this key, in `K`"), "{passed}");
}

#[test]
fn issuers_have_users_with_claims_and_rights() {
    let text = |sign_in: &str| format!(r#"{{{TIME}, "publicUrl": "https://g.test", "signIn": {sign_in}}}"#);
    let auth = loaded(&text(
        r#"{"issuers": [{"issuer": "https://id.test/realms/a", "audience": "one", "clientId": "g", "clientSecret": "s",
            "users": [{"claims": {"groups": "ops", "level": "3"}, "admin": true}, {"tools": ["time_*"], "rate": "1/s"}]}]}"#,
    ))
    .config
    .auth;
    assert!(!auth.is_open() && auth.keys.is_empty());
    let [issuer] = &auth.issuers[..] else { panic!("{auth:?}") };
    let claims = [("groups".to_owned(), "ops".to_owned()), ("level".to_owned(), "3".to_owned())];
    assert_eq!((&issuer.audience[..], &issuer.users[0].claims[..]), (&["one".to_owned()][..], &claims[..]));
    assert!(issuer.users[0].rights.admin && issuer.client.is_some());
    assert_eq!(issuer.users[1].rights.tools, Some(vec!["time_*".to_owned()]));
    for (issuer, message) in [
        (r#"{}"#, "issuers[0]\n  `issuer` is missing"),
        (r#"{"issuer": "id.test"}"#, "issuers[0].issuer\n  this is no address of an issuer"),
        (r#"{"issuer": "http://id.test"}"#, "would be read without TLS"),
        (r#"{"issuer": "https://id.test", "clientId": "a"}"#, "stand for one client"),
        (
            r#"{"issuer": "https://id.test", "audience": 1}"#,
            "issuers[0].audience\n  this must be a list of strings",
        ),
        (
            r#"{"issuer": "https://id.test", "users": {}}"#,
            "issuers[0].users\n  this must be a list of objects",
        ),
        (
            r#"{"issuer": "https://id.test", "users": [{"claims": {"a": []}}]}"#,
            "users[0].claims.a\n  this must be a string",
        ),
        (r#"{"issuer": "https://id.test"}, {"issuer": "https://id.test"}"#, "is named twice"),
    ] {
        let problem = refused(&text(&format!(r#"{{"issuers": [{issuer}]}}"#)));
        assert!(problem.contains(message), "{issuer}: {problem}");
    }
    let nowhere =
        refused(&format!(r#"{{{TIME}, "signIn": {{"issuers": [{{"issuer": "https://id.test"}}]}}}}"#));
    assert!(nowhere.contains("neither `audience` nor `publicUrl` is set"), "{nowhere}");
    for (sign_in, message) in [
        (r#"{"issuers": []}"#, "names no issuer"),
        (r#"{"issuers": [{"issuer": "https://id.test"}]}"#, "`users` is empty"),
    ] {
        let warnings = loaded(&text(sign_in)).warnings;
        assert!(warnings.iter().any(|warning| warning.message.contains(message)), "{warnings:?}");
    }
}

#[test]
fn authorization_is_forwarded_only_while_no_key_is_configured() {
    for (settings, keyed) in [
        ("", false),
        (r#""apiKeys": {},"#, false),
        (r#""apiKey": "k","#, true),
        (r#""apiKeys": {"a": "k"},"#, true),
        (r#""apiKeys": {"a": {"key": "${env:K}"}},"#, true),
    ] {
        let entry = r#"{"type": "http", "url": "http://h", "forwardHeaders": ["Authorization", "X-A"]}"#;
        let limits = r#""limits": {"identities": 3, "identityIdle": 1.5}"#;
        let text = format!(r#"{{{settings} {limits}, "mcpServers": {{"s": {entry}}}}}"#);
        let server = &loaded(&text).config.servers[0];
        let forwarding = server.forwarding.clone().unwrap();
        let name = http::HeaderName::from_static;
        assert_eq!(forwarding.allows(&name("authorization")), !keyed, "{settings}");
        assert!(forwarding.allows(&name("x-a")));
        assert_eq!((server.dedicated.most, server.dedicated.idle), (3, Duration::from_millis(1500)));
    }
}

#[test]
fn headers_from_claims_have_names_and_name_claims() {
    let text = |rules: &str| {
        format!(
            r#"{{"mcpServers": {{"s": {{"type": "http", "url": "http://h", "forwardHeaders": {rules}}}}}}}"#
        )
    };
    let config = loaded(&text(r#"{"X-User": "${user.email}"}"#)).config;
    let rules = config.servers[0].forwarding.clone().unwrap();
    assert!(rules.claims[0].0 == "x-user" && !rules.allows(&http::HeaderName::from_static("x-user")));
    for (rules, message) in [
        (r#"{"X-User": "ann"}"#, "forwardHeaders.X-User\n  this names no claim of a user"),
        (r#"{"X-User": "${env:A}"}"#, "this names no claim of a user"),
        (r#"{"X-*": "${user.email}"}"#, "this is no name of a header"),
        (r#"{"X-User": 1}"#, "this must be a string"),
    ] {
        let problem = refused(&text(rules));
        assert!(problem.contains(message), "{rules}: {problem}");
    }
}

#[test]
fn profiles_are_read_and_a_key_must_name_one_of_them() {
    let profiles = r#""profiles": {
        "vscode": {"servers": ["ti*"], "tools": ["time_*"], "description": "for the editor"}, "all": {}}"#;
    let auth = loaded(&format!(
        r#"{{{TIME}, {profiles}, "apiKeys": {{"a": {{"key": "x", "profile": "vscode"}}, "b": "y"}}}}"#
    ))
    .config
    .auth;
    let patterns = |pattern: &str| Some(vec![pattern.to_owned()]);
    let shown: Vec<_> =
        auth.profiles.iter().map(|one| (one.name.as_str(), one.servers.clone(), one.tools.clone())).collect();
    assert_eq!(shown, [("vscode", patterns("ti*"), patterns("time_*")), ("all", None, None)]);
    assert_eq!(auth.keys[0].rights.profile.as_deref(), Some("vscode"));
    assert_eq!(auth.keys[1].rights.profile, None);
    let problem = refused(&format!(
        r#"{{{TIME}, {profiles}, "apiKeys": {{"a": {{"key": "x", "profile": "vscod"}}}}}}"#
    ));
    assert!(problem.contains("apiKeys.a.profile\n  there is no profile `vscod`"), "{problem}");
    assert!(problem.contains("write `vscode` if that was meant"), "{problem}");
    for (profile, message) in [
        (r#""a": {"servers": ["[t"]}"#, "profiles.a.servers[0]\n  this is no pattern over server names"),
        (r#""a": {"tools": ["[t"]}"#, "profiles.a.tools[0]\n  this is no pattern over tool names"),
        (r#""a": {"tools": "t"}"#, "profiles.a.tools\n  this must be a list of strings"),
        (r#""a": ["t"]"#, "profiles.a\n  this must be an object"),
        (r#""": {}"#, "a profile needs a name"),
    ] {
        let problem = refused(&format!(r#"{{{TIME}, "profiles": {{{profile}}}}}"#));
        assert!(problem.contains(message), "{profile}: {problem}");
    }
    let warned =
        loaded(&format!(r#"{{{TIME}, "profiles": {{"a": {{"servers": ["tim"], "tols": []}}}}}}"#)).warnings;
    assert!(warned.iter().any(|problem| problem.fix.contains("write `time`")), "{warned:?}");
    assert!(warned.iter().any(|problem| problem.fix.contains("write `tools`")), "{warned:?}");
}

#[test]
fn a_star_for_pages_is_told_to_count_for_nothing_without_a_key() {
    let warned = |settings: &str| {
        let warnings =
            loaded(&format!(r#"{{"mcpServers": {{"a": {{"command": "x"}}}}{settings}}}"#)).warnings;
        warnings.iter().any(|problem| problem.message.contains("`*` lets in no page"))
    };
    assert!(warned(r#", "corsAllowOrigins": ["*"]"#) && warned(r#", "corsAllowOrigins": ["http://a", "*"]"#));
    for settings in
        ["", r#", "corsAllowOrigins": ["http://a"]"#, r#", "corsAllowOrigins": ["*"], "apiKey": "k""#]
    {
        assert!(!warned(settings), "{settings}");
    }
}

#[test]
fn a_profile_over_the_built_in_server_is_told_how_to_have_it() {
    let with = |servers: &str| {
        let text =
            format!(r#"{{"mcpServers": {{{servers}}}, "profiles": {{"few": {{"servers": ["gateway"]}}}}}}"#);
        loaded(&text).warnings.iter().map(ToString::to_string).collect::<String>()
    };
    let told = with(r#""a": {"command": "x"}"#);
    assert!(told.contains(r#""gateway": { "builtin": "gateway" }"#), "{told}");
    assert_eq!(with(r#""gateway": {"builtin": "gateway"}"#), "");
}
