//! Somebody who has nothing but the page open: what it gives to copy is run as it stands, a key put in its place.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::browser::scene;
use crate::support::mcp::{introduction, request};
use crate::support::{Ask, Gateway, provisioned, servers};

const KEY: &str = "key-of-a-newcomer";

/// An address of the gateway under test as a path, whatever base it has.
fn path_of<'a>(gateway: &Gateway, url: &'a str) -> &'a str {
    let origin = format!("http://{}", gateway.address);
    url.strip_prefix(&origin).unwrap_or_else(|| panic!("{url} is not under {origin}"))
}

async fn run(command: &str) -> String {
    let command = command.to_owned();
    let run = move || Command::new("sh").arg("-ec").arg(command).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The document of an Open WebUI connection, read as that reads it, by its own code. Gives the tools' names.
async fn derived(gateway: &Gateway, connection: &Value, folder: &Path) -> Option<Vec<String>> {
    let (python, code) = (provisioned::python()?, provisioned::open_webui()?);
    let url = format!("{}/{}", connection["url"].as_str().unwrap(), connection["path"].as_str().unwrap());
    let mut ask = gateway.ask("GET", path_of(gateway, &url));
    if connection["auth_type"] == "bearer" {
        ask = ask.header("Authorization", &format!("Bearer {}", connection["key"].as_str().unwrap()));
    }
    let file = folder.join("document.json");
    std::fs::write(&file, ask.send().await.ok().to_string()).unwrap();
    let script = provisioned::root().join("tests/clients/open_webui.py");
    let output = Command::new(python).arg(script).arg(code).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tools: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for tool in &tools {
        // What Open WebUI would call.
        let path = format!("{}{}", connection["url"].as_str().unwrap(), tool["path"].as_str().unwrap());
        let answer =
            gateway.ask("GET", path_of(gateway, &path)).header("Authorization", &format!("Bearer {KEY}"));
        assert_eq!(answer.send().await.status, 405, "no tool is at {path}");
    }
    Some(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect())
}

/// Initializes at an address with these headers, as a client would; gives the names of the tools.
async fn mcp_tools(gateway: &Gateway, url: &str, headers: Option<&Value>) -> Vec<String> {
    let mut ask: Ask = gateway.ask("POST", path_of(gateway, url));
    for (name, value) in headers.and_then(Value::as_object).into_iter().flatten() {
        ask = ask.header(name, value.as_str().unwrap());
    }
    let session = crate::support::mcp::Session::open_with(ask).await;
    let list = session.result("tools/list", &json!({})).await;
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Puts the key into its places, as a person does.
fn filled(text: &str, keyed: bool) -> String {
    assert_eq!(text.contains("YOUR_API_KEY"), keyed, "{text}");
    text.replace("YOUR_API_KEY", KEY)
}

async fn wire(gateway: &Gateway, keyed: bool, prefix: &str) {
    let more: &[&str] = if keyed { &["--key", KEY] } else { &[] };
    let Some(given) =
        scene("snippets", gateway, more).await.map(|told| -> Value { serde_json::from_str(&told).unwrap() })
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let base = format!("http://{}", gateway.address);
    for (server, wanted, webui) in [
        ("time", "get_current_time", "tool_get_current_time_post"),
        ("other's", "pid", "tool_pid_post"),
        ("", "time_get_current_time", "time_get_current_time"),
    ] {
        let texts = &given[server];
        let text =
            |name: &str| texts[name].as_str().unwrap_or_else(|| panic!("{server:?} has no {name}: {texts}"));
        let json_of = |name: &str| -> Value { serde_json::from_str(&filled(text(name), keyed)).unwrap() };
        let encoded = server.replace('\'', "%27");
        let mount = match server {
            "" => format!("{base}{prefix}"),
            _ => format!("{base}{prefix}/{encoded}"),
        };
        let mcp = format!("{mount}/mcp");

        // curl
        for command in if server.is_empty() { &["curl", "curl-2"][..] } else { &["curl"] } {
            let answer = run(&filled(text(command), keyed)).await;
            let answer: Value =
                serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
            assert!(answer.get("detail").is_none(), "{server:?}: {answer}");
        }
        if server.is_empty() {
            let list: Value = serde_json::from_str(&run(&filled(text("curl-servers"), keyed)).await).unwrap();
            assert_eq!(list["servers"].as_array().unwrap().len(), 2, "{list}");
        }

        // Open WebUI, both types
        assert_eq!((text("openwebui-url"), text("openwebui-mcp-url")), (mount.as_str(), mcp.as_str()));
        let connection = json_of("openwebui")[0].clone();
        assert_eq!((&connection["type"], &connection["url"]), (&json!("openapi"), &json!(mount)));
        if let Some(tools) = derived(gateway, &connection, folder.path()).await {
            assert!(tools.contains(&webui.to_owned()), "{server:?}: {tools:?}");
        }
        let connection = json_of("openwebui-mcp")[0].clone();
        assert_eq!((&connection["type"], &connection["url"]), (&json!("mcp"), &json!(mcp)));
        for connection in [&connection, &json_of("openwebui")[0]] {
            // Its admin page answers 500 when one of them is missing.
            for member in ["path", "spec_type", "spec", "auth_type", "key", "config"] {
                assert!(!connection[member].is_null(), "{connection} lacks {member}");
            }
            let id = connection["info"]["id"].as_str().unwrap();
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
        }

        // VS Code asks for the key and puts it where the file says.
        let file = json_of_vscode(text("vscode"), keyed);
        let (_, entry) = file["servers"].as_object().unwrap().iter().next().unwrap();
        assert_eq!((&entry["type"], &entry["url"]), (&json!("http"), &json!(mcp)));
        let tools = mcp_tools(gateway, &mcp, entry.get("headers")).await;
        assert!(tools.contains(&wanted.to_owned()), "{server:?}: {tools:?}");

        // LobeChat
        let entry = json_of("lobechat")["mcpServers"].as_object().unwrap().values().next().unwrap().clone();
        assert_eq!(mcp_tools(gateway, entry["url"].as_str().unwrap(), entry.get("headers")).await, tools);
        let manifest = gateway.ask("GET", path_of(gateway, text("lobechat-manifest"))).send().await.ok();
        let document =
            gateway.ask("GET", path_of(gateway, manifest["openapi"].as_str().unwrap())).send().await.ok();
        assert!(document["paths"].as_object().is_some_and(|paths| !paths.is_empty()), "{server:?}");

        // Claude: a stand-in for the command shows that the shell hands over one address and one header.
        let shown =
            run(&format!("claude() {{ printf '%s\\n' \"$@\"; }}\n{}", filled(text("claude-code"), keyed)))
                .await;
        let words: Vec<&str> = shown.lines().collect();
        assert_eq!(words[..4], ["mcp", "add", "--transport", "http"], "{shown}");
        assert_eq!(words[5], mcp, "{shown}");
        if keyed {
            assert_eq!(words[6..], ["--header", &format!("Authorization: Bearer {KEY}")], "{shown}");
        }
        let desktop = json_of("claude-desktop");
        let entry = desktop["mcpServers"].as_object().unwrap().values().next().unwrap();
        assert_eq!((&entry["command"], &entry["args"][2]), (&json!("npx"), &json!(mcp)), "{desktop}");
    }
}

/// The file with its inputs answered.
fn json_of_vscode(text: &str, keyed: bool) -> Value {
    let file: Value = serde_json::from_str(text).unwrap();
    assert_eq!(file.get("inputs").is_some(), keyed, "{file}");
    let Some(input) = file["inputs"][0]["id"].as_str() else { return file };
    serde_json::from_str(&text.replace(&format!("${{input:{input}}}"), KEY)).unwrap()
}

#[tokio::test]
async fn every_text_to_copy_works_without_keys_under_a_prefix_and_for_odd_names() {
    let Some(time) = provisioned::time() else { return };
    let config = json!({ "time": time, "other's": servers::scripted(&[]) });
    let gateway = Gateway::serving(config).flag("--path-prefix", "/pre").start().await;
    gateway.listed(&["time", "other's"]).await;
    wire(&gateway, false, "/pre").await;
}

#[tokio::test]
async fn every_text_to_copy_works_with_a_key_in_its_place() {
    let Some(time) = provisioned::time() else { return };
    let config = json!({ "time": time, "other's": servers::scripted(&[]) });
    let gateway = Gateway::serving(config).flag("--api-key", KEY).start().await;
    gateway.listed(&["time", "other's"]).await;
    wire(&gateway, true, "").await;
    // Who forgets the key is told.
    let answer =
        gateway.ask("POST", "/mcp").json(&request("initialize", &introduction("2025-11-25"))).send().await;
    assert_eq!(answer.status, 401);
}
