use clap::error::ErrorKind;

use super::*;
use crate::config::{LogFormat, TransportConfig};

fn parsed(arguments: &[&str]) -> Result<Invocation, clap::Error> {
    parse(std::iter::once("mcpo").chain(arguments.iter().copied()).map(OsString::from), Vec::new())
}

fn served(arguments: &[&str]) -> Sources {
    match parsed(arguments) {
        Ok(Invocation::Serve(sources)) => sources,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

#[test]
fn the_types_are_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn short_and_long_flags_of_mcpo_set_the_same() {
    let long = [
        "--host",
        "127.0.0.3",
        "--port",
        "81",
        "--cors-allow-origins",
        "https://a",
        "--cors-allow-origins",
        "https://b",
        "--api-key",
        "k",
        "--strict-auth",
        "--env",
        "A=1=2",
        "--type",
        "stdio",
        "--name",
        "n",
        "--description",
        "d",
        "--version",
        "v",
        "--ssl-certfile",
        "c.pem",
        "--ssl-keyfile",
        "k.pem",
        "--root-path",
        "/r",
        "--path-prefix",
        "/p",
        "--log-level",
        "DEBUG",
        "--log-format",
        "json",
        "--state-dir",
        "/s",
        "--",
        "cmd",
        "--port",
        "5",
    ];
    let short = [
        "-h",
        "127.0.0.3",
        "-p",
        "81",
        "--cors-allow-origins",
        "https://a",
        "--cors-allow-origins",
        "https://b",
        "-k",
        "k",
        "--strict-auth",
        "-e",
        "A=1=2",
        "--server-type",
        "stdio",
        "-n",
        "n",
        "-d",
        "d",
        "-v",
        "v",
        "-t",
        "c.pem",
        "-K",
        "k.pem",
        "--root-path",
        "r/",
        "--path-prefix",
        "p",
        "--log-level",
        "debug",
        "--log-format",
        "json",
        "--state-dir",
        "/s",
        "--",
        "cmd",
        "--port",
        "5",
    ];
    for arguments in [long.as_slice(), short.as_slice()] {
        let loaded = config::load(&served(arguments)).unwrap();
        assert_eq!(loaded.warnings, Vec::new());
        let config = loaded.config;
        assert_eq!((config.listen.host.as_str(), config.listen.port), ("127.0.0.3", 81));
        assert_eq!(config.listen.cors_allow_origins, ["https://a", "https://b"]);
        assert_eq!((config.auth.keys[0].key.as_literal(), config.auth.strict), (Some("k"), true));
        let document = config.document;
        assert_eq!([document.name, document.description, document.version], ["n", "d", "v"]);
        let tls = config.listen.tls.unwrap();
        assert_eq!((tls.certificate.to_str(), tls.key.to_str()), (Some("c.pem"), Some("k.pem")));
        assert_eq!((config.listen.root_path.as_str(), config.listen.path_prefix.as_str()), ("/r", "/p/"));
        assert_eq!((config.log.level.as_str(), config.log.format), ("debug", LogFormat::Json));
        assert_eq!(config.state_dir, Some("/s".into()));
        assert!(config.single);
        let TransportConfig::Stdio(stdio) = &config.servers[0].transport else {
            panic!("stdio was asked for")
        };
        assert_eq!((stdio.command.as_str(), stdio.args.join(" ").as_str()), ("cmd", "--port 5"));
        assert_eq!(stdio.given_env[0].0, "A");
        assert_eq!(stdio.given_env[0].1.as_literal(), Some("1=2"));
    }
}

#[test]
fn headers_of_a_remote_server_are_one_json_object() {
    let sources = served(&["--type", "sse", "-H", r#"{"X-A": "b"}"#, "--", "http://h/sse"]);
    assert_eq!(sources.single.unwrap().headers, [("X-A".to_owned(), "b".to_owned())]);
}

#[test]
fn usage_errors_name_the_flag_and_never_its_value() {
    for (arguments, message) in [
        (["--"].as_slice(), "nothing follows `--`"),
        (&["--port", "8", "--"], "nothing follows `--`"),
        (&["--type", "sse"], "need the server after `--`"),
        (&["-e", "hunter2", "--", "x"], "--env takes NAME=VALUE"),
        (&["-e", "=hunter2", "--", "x"], "--env takes NAME=VALUE"),
        (&["--header", "hunter2", "--", "x"], "--header takes one JSON object"),
        (&["--header", r#"{"A": 5}"#, "--", "x"], "the value of `A` is not a string"),
        (&["--header", "[]", "--", "x"], "--header takes one JSON object"),
        (&["--port", "many"], "--port"),
        (&["--nonsense"], "--nonsense"),
        (&["check"], "--config"),
        (&["call", "time"], "name the tool, too"),
        (&["call", "time"], "Usage: mcpo call [OPTIONS] SERVER TOOL"),
        (&["tools", "time", "--", "x", "hunter2"], "leave the name of a SERVER out"),
        (&["tools", "--quiet"], "for servers that this command starts"),
        (&["tools", "--url", "http://me:hunter2@h"], "a URL must not hold a key"),
        (&["tools", "--api-key", "${nonsense:hunter"], "--api-key"),
        (&["tools", "--config", "a.json", "--api-key", "hunter2"], "cannot be used with"),
        (&["plan", "--config", "new.json"], "--against"),
        (&["call", "s", "t", "--timeout", "0"], "a number of seconds above 0"),
    ] {
        let error = parsed(arguments).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{arguments:?}");
        let text = error.to_string();
        assert!(text.contains(message) && !text.contains("hunter2"), "{arguments:?}: {text}");
    }
}

#[test]
fn nothing_a_file_and_a_check_are_told_apart() {
    let plain = served(&[]);
    assert!(plain.files.is_empty() && plain.single.is_none());
    let file = served(&["--config", "a.json", "-c", "b.json", "--hot-reload", "--env-path", ".env"]);
    assert_eq!(file.files, ["a.json", "b.json"].map(std::path::PathBuf::from));
    assert!(file.hot_reload && file.env_path.is_some());
    assert!(served(&["--config", "a.json", "--"]).single.is_none(), "what follows is ignored, even nothing");
    let Ok(Invocation::Command(command)) = parsed(&["check", "--config", "a.json"]) else {
        panic!("a command")
    };
    let Command::Check(check) = *command else { panic!("a check") };
    assert_eq!((check.purpose, check.files.len(), check.environment.len()), (Purpose::Check, 1, 0));
}

#[test]
fn a_command_takes_the_place_of_the_server() {
    let call = |arguments: &[&str]| {
        let Ok(Invocation::Command(command)) = parsed(arguments) else { panic!("{arguments:?}") };
        let Command::Query(QueryCommand { query: Query::Call(call), .. }) = *command else {
            panic!("a call")
        };
        (call.server, call.tool, call.words)
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let server = Some("s".to_owned());
    assert_eq!(call(&["call", "s", "t", "a=1", "b=2"]), (server, "t".to_owned(), words(&["a=1", "b=2"])));
    assert_eq!(
        call(&["call", "t", "a=1", "b=2", "--", "x", "y"]),
        (None, "t".to_owned(), words(&["a=1", "b=2"]))
    );
    assert_eq!(call(&["call", "t", "--", "x"]), (None, "t".to_owned(), Vec::new()));
}

#[test]
fn the_help_is_long_and_minus_h_is_the_host() {
    let help = parsed(&["--help"]).unwrap_err();
    assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
    assert!(help.to_string().contains("-h, --host"));
    assert!(matches!(parsed(&["check", "--help"]), Err(error) if error.exit_code() == 0));
    assert!(parsed(&["-h"]).unwrap_err().to_string().contains("--host"));
}

#[test]
fn the_debugging_form_of_sources_shows_no_secret() {
    let arguments = [
        "-k",
        "hunter2",
        "-e",
        "A=hunter2",
        "--type",
        "sse",
        "-H",
        r#"{"A": "hunter2"}"#,
        "--",
        "http://hunter2",
    ];
    let shown = format!("{:?}", served(&arguments));
    assert!(shown.contains("--api-key") && !shown.contains("hunter2"), "{shown}");
}
