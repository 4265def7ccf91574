//! The commands for operators at a running gateway: what they show, what they say when something is wrong, and their exit codes.

use serde_json::{Value, json};

use crate::support::operator::{command, configuration, mcpo, run};
use crate::support::{Gateway, free_port, provisioned, servers};

const KEY: &str = "key-hunter2";
const READER: &str = "reader-hunter2";

/// A time server, a scripted one, one with errors and a broken one, behind a key.
async fn gateway() -> Option<Gateway> {
    let config = json!({
        "mcpServers": {
            "time": provisioned::time()?,
            "s": servers::scripted(&["--tools-read-only", "look"]),
            "faults": servers::quirk(&["errors"]),
            "broken": servers::scripted(&["--start", "exit"]),
        },
        "apiKeys": { "reader": { "key": READER, "readOnly": true } },
    });
    let gateway = Gateway::with(config).flag("--api-key", KEY).start().await;
    gateway.listed(&["time", "s", "faults"]).await;
    gateway.in_state("broken", "unavailable").await;
    Some(gateway)
}

#[tokio::test]
async fn tools_shows_every_server_with_its_state_and_its_tools() {
    let Some(gateway) = gateway().await else { return };
    let all = gateway.operator(&["tools"]).await;
    assert_eq!(all.code, Some(0), "{}", all.err);
    for line in [
        "time: ready, version ",
        "\n  convert_time      source_timezone: string, time: string, target_timezone: string\n",
        "\n  get_current_time  timezone: string\n                    Get current time in a specific timezone",
        "\n  slow         [seconds: number]\n",
        "look (read-only)\n",
        "\nbroken: unavailable\n",
    ] {
        assert!(all.out.contains(line), "{line:?} is not in\n{}", all.out);
    }
    assert!(
        all.err.starts_with("mcpo: broken is unavailable: ") && all.err.contains("no licence"),
        "{}",
        all.err
    );
    let one = gateway.operator(&["tools", "s"]).await;
    assert!(one.ok().starts_with("s: ready") && !one.out.contains("time"), "{}", one.out);
    let broken = gateway.operator(&["tools", "broken"]).await;
    assert_eq!((broken.code, broken.out.as_str()), (Some(1), "broken: unavailable\n"), "{}", broken.err);
}

#[tokio::test]
async fn tools_as_json_has_whole_definitions() {
    let Some(gateway) = gateway().await else { return };
    let list = gateway.operator(&["tools", "time", "--json"]).await.json();
    let tools = list[0]["tools"].as_array().unwrap();
    let convert = tools.iter().find(|tool| tool["name"] == "convert_time").unwrap();
    assert_eq!(convert["inputSchema"]["required"], json!(["source_timezone", "time", "target_timezone"]));
    let result = &convert["outputSchema"];
    let reference = result["properties"]["source"]["$ref"].as_str().unwrap();
    assert_eq!(reference, "#/$defs/TimeResult");
    assert_eq!(result["$defs"]["TimeResult"]["properties"]["is_dst"]["type"], "boolean");
    assert_eq!(
        (&list[0]["state"], convert["annotations"]["readOnlyHint"].as_bool()),
        (&json!("ready"), Some(true))
    );
}

#[tokio::test]
async fn call_prints_the_result_as_rest_answers_it() {
    let Some(gateway) = gateway().await else { return };
    for (words, expected) in [
        (["call", "s", "echo", r#"{"value": [1.10, "a"]}"#].as_slice(), json!({ "value": [1.10, "a"] })),
        (&["call", "s", "echo", "value=a b=c"], json!({ "value": "a b=c" })),
        (
            &["call", "s", "echo", r#"value:={"deep":[null,1]}"#, "more=1"],
            json!({ "value": {"deep": [null, 1]}, "more": "1" }),
        ),
        (&["call", "s", "echo"], json!({})),
        // A text becomes the number that the tool wants.
        (&["call", "s", "slow", "seconds=0.01"], json!("slept")),
    ] {
        let answer = gateway.operator(words).await.json();
        let arguments = answer.get("arguments").unwrap_or(&answer);
        assert_eq!(*arguments, expected, "{words:?}");
    }
    let rest = gateway.post("/s/echo", &json!({ "value": 5 })).await;
    let same = gateway.operator(&["call", "s", "echo", r#"{"value":5}"#]).await;
    assert_eq!(same.ok(), format!("{}\n", rest.text()));
    let raw = gateway.operator(&["call", "s", "vendor", "--raw"]).await;
    assert!(raw.ok().contains(r#""big":123456789012345678901234567890"#), "{}", raw.out);
}

#[tokio::test]
async fn arguments_come_from_a_file_or_the_standard_input_too() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.listed(&["s"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arguments.json");
    std::fs::write(&path, "{\"value\": \"of the file\"}\n").unwrap();
    let file = gateway.operator(&["call", "s", "echo", &format!("@{}", path.display())]).await.json();
    assert_eq!(file["arguments"], json!({ "value": "of the file" }));
    let mut piped = command(&["call", "s", "echo", "-", "--url", &gateway.address.to_string()]);
    piped.stdin(std::fs::File::open(&path).unwrap());
    assert_eq!(run(piped).await.json(), file);
    let mut broken = command(&["call", "s", "echo", "-", "--url", &gateway.address.to_string()]);
    broken.stdin(std::fs::File::open(provisioned::root().join("README.md")).unwrap());
    assert!(run(broken).await.failed(2).contains("the standard input: this is no JSON (line 1"));
}

#[tokio::test]
async fn a_call_that_fails_says_why_and_exits_with_one() {
    let Some(gateway) = gateway().await else { return };
    for (words, told) in [
        (
            ["call", "s", "ecko"].as_slice(),
            "s has no tool `ecko`; did you mean `echo`?\nThe tools: echo, pid, ",
        ),
        (
            &["call", "tme", "now"],
            "there is no server `tme`; did you mean `time`?\nThe servers: time, s, faults, broken",
        ),
        (&["tools", "zebra"], "there is no server `zebra`\nThe servers: time"),
        (&["openapi", "zebra"], "there is no server `zebra`\nThe servers: time"),
        (&["call", "broken", "echo"], "broken is unavailable: "),
        (&["call", "s", "slow", "seconds=long"], "the arguments do not fit:\n  seconds: "),
        (&["call", "time", "get_current_time", "timezone=Mars"], "Invalid timezone"),
        (&["call", "s", "slow", "seconds=5", "--timeout", "0.2"], "no answer within 0.2 s (--timeout)"),
    ] {
        let done = gateway.operator(words).await;
        assert!(done.failed(1).starts_with("mcpo: ") && done.err.contains(told), "{words:?}: {}", done.err);
    }
    let raw = gateway.operator(&["call", "time", "get_current_time", "timezone=Mars", "--raw"]).await;
    assert_eq!((raw.code, raw.err.as_str()), (Some(1), ""), "{}", raw.out);
    assert!(raw.out.contains(r#""isError":true"#), "{}", raw.out);
}

#[tokio::test]
async fn keys_are_asked_for_by_name_and_never_shown() {
    let Some(gateway) = gateway().await else { return };
    let url = format!("http://{}", gateway.address);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let from_file = format!("${{file:{}}}", file.display());
    for words in [["--api-key", &from_file], ["--api-key", KEY]] {
        let done = mcpo(&["call", "s", "echo", "--url", &url, words[0], words[1]]).await;
        done.ok();
    }
    let mut from_variable = command(&["tools", "s", "--url", &url, "-k", "${env:MY_KEY}"]);
    from_variable.env("MY_KEY", KEY);
    run(from_variable).await.ok();
    for (words, told) in [
        ([].as_slice(), "wants an API key: set MCPO_API_KEY, or give --api-key"),
        (&["-k", "wrong-hunter2"], "refuses the key of --api-key"),
        (&["-k", "${file:/none/key}"], "--api-key: secret file `/none/key` cannot be read"),
        (&["-k", "${env:NONE}"], "--api-key: environment variable `NONE` is not set"),
    ] {
        for command in [["call", "s", "pid"].as_slice(), &["tools"], &["plan"]] {
            let words = [command, words, &["--url", &url]].concat();
            let done = mcpo(&words).await;
            assert!(
                done.failed(1).contains(told) && !done.err.contains("hunter2"),
                "{words:?}: {}",
                done.err
            );
        }
    }
    let reader = mcpo(&["plan", "--url", &url, "-k", READER]).await;
    assert!(reader.failed(1).contains("`admin`") && !reader.err.contains("hunter2"), "{}", reader.err);
    let in_url = mcpo(&["tools", "--url", "http://me:hunter2@127.0.0.1:1"]).await;
    assert!(in_url.failed(2).contains("--api-key") && !in_url.err.contains("hunter2"), "{}", in_url.err);
}

#[tokio::test]
async fn where_no_gateway_answers_is_said_with_what_to_do() {
    let url = format!("http://127.0.0.1:{}", free_port());
    for words in [["tools"].as_slice(), &["call", "s", "t"], &["openapi"], &["plan"]] {
        let done = mcpo(&[words, &["--url", &url]].concat()).await;
        let told = done.failed(1);
        assert!(
            told.contains(&url) && told.contains("Is it running?") && told.contains("MCPO_URL"),
            "{told}"
        );
    }
    let stranger = crate::support::servers::Running::on_port(
        &["python3", "-m", "http.server", "--bind", "127.0.0.1", &url[url.rfind(':').unwrap() + 1..]],
        &[],
        url[url.rfind(':').unwrap() + 1..].parse().unwrap(),
    )
    .await;
    let done = mcpo(&["tools", "--url", &url]).await;
    assert!(done.failed(1).contains("is no mcpo gateway"), "{}", done.err);
    drop(stranger);
}

#[tokio::test]
async fn tools_are_found_behind_a_prefix_and_in_single_server_mode() {
    let config = json!({ "s": servers::scripted(&[]) });
    let prefixed = Gateway::serving(config).flag("--path-prefix", "/tools").start().await;
    let script = servers::script("scripted_server.py");
    let single = Gateway::bare().command(&["python3", script.to_str().unwrap()]).start().await;
    for (gateway, server) in [(&prefixed, "s"), (&single, "python3")] {
        gateway.listed(&[server]).await;
        let echoed = gateway.operator(&["call", server, "echo", "value=1"]).await.json();
        assert_eq!(echoed["arguments"], json!({ "value": "1" }));
        let document = gateway.operator(&["openapi", server]).await.json();
        assert!(document["paths"]["/echo"].is_object(), "{document}");
        assert!(gateway.operator(&["tools", server]).await.ok().contains("\n  environment"));
        let unknown = gateway.operator(&["call", server, "ecko"]).await;
        assert!(unknown.failed(1).contains("did you mean `echo`?"), "{}", unknown.err);
        let unknown = gateway.operator(&["call", "zebra", "echo"]).await;
        assert!(unknown.failed(1).contains("there is no server `zebra`"), "{}", unknown.err);
        let unknown = gateway.operator(&["openapi", "zebra"]).await;
        assert!(unknown.failed(1).contains(&format!("The servers: {server}")), "{}", unknown.err);
    }
}

#[tokio::test]
async fn a_gateway_on_a_unix_socket_is_asked_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &json!({ "s": servers::scripted(&[]) }));
    let socket = folder.path().join("mcpo.sock");
    let url = format!("unix:{}", socket.display());
    let missing = mcpo(&["tools", "--url", &url]).await;
    assert!(missing.failed(1).contains(&format!("{url}: No such file")), "{}", missing.err);
    let state = folder.path().join("state");
    let words = ["--host", &url, "--config", &file, "--state-dir", state.to_str().unwrap()];
    let words: Vec<&str> = [env!("CARGO_BIN_EXE_mcpo")].into_iter().chain(words).collect();
    let gateway = servers::Running::on_socket(&words, &socket).await;
    let echoed = mcpo(&["call", "s", "echo", "value=1", "--url", &url]).await.json();
    assert_eq!(echoed["arguments"], json!({ "value": "1" }));
    assert!(mcpo(&["tools", "--url", &url]).await.ok().starts_with("s: ready"));
    drop(gateway);
}

#[tokio::test]
async fn openapi_prints_the_document_as_it_is_served() {
    let Some(gateway) = gateway().await else { return };
    for (words, path) in
        [(["openapi"].as_slice(), "/openapi.json"), (&["openapi", "time"], "/time/openapi.json")]
    {
        let printed = gateway.operator(words).await;
        assert_eq!((printed.code, printed.out), (Some(0), format!("{}\n", gateway.get(path).await.text())));
    }
}

#[tokio::test]
async fn plan_tells_what_a_reload_would_change() {
    let entry = servers::scripted(&[]);
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    let none = gateway.operator(&["plan", "--exit-code"]).await;
    assert_eq!(none.ok(), "no change: 1 server stays as it is\n");
    gateway.rewrite(&json!({ "mcpServers": { "s": entry, "new": entry } }).to_string());
    let some = gateway.operator(&["plan"]).await;
    assert_eq!(some.ok(), "+ new: is started\n= 1 server stays as it is\n");
    let plan: Value = gateway.operator(&["plan", "--json"]).await.json();
    assert_eq!(plan["servers"], json!([{ "name": "new", "action": "add" }]));
    let told = gateway.operator(&["plan", "--exit-code"]).await;
    assert_eq!((told.code, told.out, told.err), (Some(3), some.out, String::new()));
    gateway.rewrite("{");
    let broken = gateway.operator(&["plan", "--exit-code"]).await;
    assert!(
        broken.failed(64).starts_with("error: ") && broken.err.contains("config.json:1"),
        "{}",
        broken.err
    );
}

#[tokio::test]
async fn plan_compares_two_files_without_any_gateway() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let entry = json!({ "command": "x", "env": { "TOKEN": "hunter2" } });
    let old = configuration(folders[0].path(), &json!({ "a": entry, "gone": entry }));
    let new =
        configuration(folders[1].path(), &json!({ "a": { "command": "y", "env": { "TOKEN": "hunter3" } } }));
    let done = mcpo(&["plan", "--config", &new, "--against", &old]).await;
    assert_eq!(
        done.ok(),
        "~ a: is replaced, the old one ends after its last call (command, env)\n- gone: ends after its last call\n= 0 servers stay as they are\n"
    );
    let changes = ["plan", "--config", &new, "--against", &old, "--exit-code"];
    assert_eq!(mcpo(&changes).await.code, Some(3));
    assert_eq!(mcpo(&["plan", "--config", &old, "--against", &old, "--exit-code"]).await.code, Some(0));
    std::fs::write(&new, "[]").unwrap();
    assert!(mcpo(&changes).await.failed(64).contains("this must be an object"));
    assert_eq!(mcpo(&["plan", "--config", &new]).await.code, Some(2));
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.listed(&["s"]).await;
    let url = gateway.address.to_string();
    for words in [
        ["tools", "--url", &url].as_slice(),
        &["call", "s", "big", "bytes:=1000000", "--url", &url],
        &["openapi", "--url", &url],
        &["completions", "bash"],
    ] {
        // As with `| true`: nobody ever reads.
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let mut command = command(words);
        command.stdout(writer);
        let done = run_with_stdout(command).await;
        assert_eq!((done.0, done.1.as_str()), (Some(0), ""), "{words:?}");
    }
}

/// Runs a command whose standard output is given already; its exit code and standard error.
async fn run_with_stdout(mut command: std::process::Command) -> (Option<i32>, String) {
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_script_for_bash_parses_and_completes_a_command() {
    let script = mcpo(&["completions", "bash"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpo.bash");
    std::fs::write(&path, script.ok()).unwrap();
    let bash = |line: &str| {
        let output =
            std::process::Command::new("bash").args(["-c", line, "bash"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    bash("bash -n \"$1\"");
    let completed = |words: &str, count: usize| {
        let last = words.rsplit(' ').next().unwrap();
        bash(&format!(
            "source \"$1\"; COMP_WORDS=({words}); COMP_CWORD={count}; _mcpo mcpo {last} mcpo; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        ))
    };
    let commands = completed("mcpo \"\"", 1);
    for command in ["tools", "call", "openapi", "plan", "check", "completions", "--config"] {
        assert!(commands.lines().any(|line| line == command), "{command} is not in {commands}");
    }
    assert_eq!(completed("mcpo comp", 1), "completions\n");
    assert!(completed("mcpo plan --ag", 2).contains("--against"));
}
