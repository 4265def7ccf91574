//! The page in headless Chromium (`tests/browser/status.py`).

use std::process::Command;

use serde_json::{Value, json};

use crate::openai_form::shop;
use crate::support::authorization::Authorization;
use crate::support::operator::mcpo;
use crate::support::{Gateway, free_port, provisioned, servers};

/// A name that would be markup, and one that would break out of a shell's quotes.
const HOSTILE: &str = "<img src=x onerror=alert(1)>,a'b$(id)";

/// Runs a scene; `None` where there is no browser. Gives what it printed.
pub async fn scene(name: &str, gateway: &Gateway, more: &[&str]) -> Option<String> {
    if !provisioned::browser() {
        eprintln!("SKIP browser: named in MCPO_TESTS_SKIP");
        return None;
    }
    let mut command = Command::new("python3");
    command.arg(provisioned::root().join("tests/browser/status.py"));
    command.arg(name).arg(format!("http://{}", gateway.address)).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {told}\n{wrong}");
    Some(told.into_owned())
}

#[tokio::test]
async fn servers_are_shown_live_tools_are_found_and_called_and_hostile_names_stay_text() {
    let Some(time) = provisioned::time() else { return };
    let folder = tempfile::tempdir().unwrap();
    let down = folder.path().join("down").to_string_lossy().into_owned();
    let gateway = Gateway::serving(json!({
        "time": time,
        "broken": servers::scripted(&["--start", "exit"]),
        "hostile": servers::scripted(&["--tools", HOSTILE]),
        "mortal": servers::scripted(&["--unless", &down]),
    }));
    let gateway = gateway.start().await;
    gateway.listed(&["time", "hostile", "mortal"]).await;
    scene("servers", &gateway, &["--down", &down]).await;
}

#[tokio::test]
async fn nothing_is_shown_before_the_key_and_each_key_shows_its_own_scope() {
    let Some(time) = provisioned::time() else { return };
    let config = json!({
        "mcpServers": { "time": time, "hidden": servers::scripted(&[]) },
        "apiKeys": {
            "all": { "key": "key-of-all", "admin": true },
            "limited": { "key": "key-of-one", "servers": ["time"] },
        },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-the-fixture").start().await;
    gateway.listed(&["time", "hidden"]).await;
    scene("key", &gateway, &["--key", "key-of-all", "--limited", "key-of-one"]).await;
}

#[tokio::test]
async fn the_page_is_used_without_a_mouse_and_fits_a_phone() {
    let Some(time) = provisioned::time() else { return };
    let gateway = Gateway::serving(json!({
        "time": time,
        "broken": servers::scripted(&["--start", "exit"]),
        "hostile": servers::scripted(&["--tools", HOSTILE]),
    }));
    let gateway = gateway.start().await;
    gateway.listed(&["time", "hostile"]).await;
    gateway.in_state("broken", "unavailable").await;
    scene("keyboard", &gateway, &[]).await;
    scene("phone", &gateway, &[]).await;
}

#[tokio::test]
async fn somebody_signs_in_to_a_server_by_the_button_of_the_page_and_calls_it_there() {
    let Some(authorization) = Authorization::start(&[], &[]).await else { return };
    let port = free_port();
    let config = json!({
        "publicUrl": format!("http://127.0.0.1:{port}"),
        "apiKeys": { "root": { "key": "root-key", "admin": true }, "user": "user-key" },
        "mcpServers": { "person": authorization.entry(&json!(true)) },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-the-fixture").port(port).start().await;
    gateway.in_state("person", "unavailable").await;
    scene("sign-in", &gateway, &["--key", "root-key", "--limited", "user-key", "--name", "ann"]).await;
}

#[tokio::test]
async fn tools_that_are_not_as_they_were_locked_are_shown_with_what_differs() {
    let (Some(then), Some(now)) = (shop("1"), shop("2")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, lock) = (folder.path().join("config.json"), folder.path().join("tools.lock"));
    let config = |shop: &Value| json!({ "mcpServers": { "shop": shop }, "lock": { "file": lock, "drift": "quarantine" } });
    std::fs::write(&file, config(&then).to_string()).unwrap();
    let locked = mcpo(&["lock", "--config", file.to_str().unwrap()]).await;
    assert_eq!(locked.code, Some(0), "{}", locked.err);
    let gateway = Gateway::with(config(&now)).start().await;
    gateway.listed(&["shop"]).await;
    scene("drift", &gateway, &[]).await;
}
