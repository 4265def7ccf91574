//! Real clients from an empty state: an address and a key that is typed into the page are all that they get.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::person::{CALLBACK, Person, initialize, visit};
use super::{config, servers};
use crate::support::fake_http::{FakeHttp, Says};
use crate::support::sdk_client::SdkClient;
use crate::support::{Gateway, free_port, provisioned, until};

/// A gateway that can be started again in the same place.
struct Place {
    config: Value,
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new(servers: &[FakeHttp; 2]) -> Self {
        let mut config = config(servers);
        // Longer than a call takes on a busy machine, and soon over.
        config["signIn"]["tokenLifetime"] = json!(3);
        Self { config, folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    async fn start(&self) -> Gateway {
        let gateway = Gateway::with(self.config.clone()).flag("--api-key", "key-of-ops");
        let gateway = gateway.state(self.folder.path()).port(self.port).start().await;
        gateway.ready(&["one", "two"]).await;
        gateway
    }

    fn url(&self) -> String {
        format!("http://localhost:{}/mcp", self.port)
    }

    /// How often the one sign-in was renewed.
    fn renewals(&self) -> u64 {
        let kept = std::fs::read(self.folder.path().join("sign-ins.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        let grants = kept["grants"].as_object().unwrap();
        assert_eq!(grants.len(), 1, "one sign-in serves the client: {kept}");
        grants.values().next().unwrap()["generation"].as_u64().unwrap()
    }
}

/// A client that signs in once, renews its token, and goes on over a restart, until the key is gone.
async fn an_sdk_signs_in_once(program: &Path, script: &str) {
    let servers = servers().await;
    let mut place = Place::new(&servers);
    let mut gateway = place.start().await;
    let mut client = SdkClient::start(program, script, &[&place.url(), "two_t", "{}", "key-of-bob"]);
    let found = client.call().await;
    assert_eq!(found["tools"], json!(["two_t", "two_fine"]), "the rights of the key: {found}");
    gateway.logged("two/t ok").await;
    gateway.stop().await;
    let gateway = place.start().await;
    let renewals = place.renewals();
    let renewed =
        until(Duration::from_secs(60), "it goes on after the restart, and renews its token", async || {
            let found = client.call().await;
            assert!(found["text"].is_array(), "{found}");
            (place.renewals() > renewals).then_some(found)
        });
    assert_eq!(renewed.await["sign_ins"], json!(1));

    place.config["apiKeys"].as_object_mut().unwrap().remove("bob");
    gateway.reload(&place.config).await;
    // It is led to the page again, where the key that is gone opens nothing.
    assert_eq!(client.call().await, json!({ "sign_ins": 2, "refused": 403 }));
}

#[tokio::test]
async fn the_python_sdk_gets_in_renews_and_outlives_a_restart_until_the_key_is_gone() {
    let Some(python) = provisioned::python() else { return };
    an_sdk_signs_in_once(&python, "mcp_sdk_oauth.py").await;
}

#[tokio::test]
async fn the_typescript_sdk_gets_in_renews_and_outlives_a_restart_until_the_key_is_gone() {
    let (Some(node), Some(_)) = (provisioned::newer_node(), provisioned::conformance()) else { return };
    an_sdk_signs_in_once(&node, "mcp_sdk_oauth.mjs").await;
}

#[tokio::test]
async fn mcp_remote_gets_in_renews_and_outlives_a_restart_until_the_key_is_gone() {
    let (Some(node), Some(remote)) = (provisioned::newer_node(), provisioned::mcp_remote()) else { return };
    let servers = servers().await;
    let mut place = Place::new(&servers);
    let mut gateway = place.start().await;
    let store = tempfile::tempdir().unwrap();
    let mut command = Command::new(node);
    command.arg(remote).arg(place.url()).env("MCP_REMOTE_CONFIG_DIR", store.path()).env("BROWSER", "true");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let (led, mut leads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = said.next_line().await {
            eprintln!("mcp-remote: {line}");
            if line.trim().starts_with("http") && line.contains("/oauth/authorize?") {
                led.send(line.trim().to_owned()).unwrap();
            }
        }
    });
    let mut ask = async |id: u64, method: &str, params: Value| {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    };
    let mut answer = async |id: u64| loop {
        let line = tokio::time::timeout(Duration::from_secs(60), output.next_line()).await;
        let message: Value = serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap();
        if message["id"] == json!(id) {
            break message;
        }
    };
    let who = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    ask(1, "initialize", who).await;
    let led = tokio::time::timeout(Duration::from_secs(60), leads.recv()).await.unwrap().unwrap();
    visit(&led, "key-of-bob").await;
    assert!(answer(1).await["result"]["serverInfo"].is_object());
    let call = json!({ "name": "two_t", "arguments": {} });
    ask(2, "tools/call", call.clone()).await;
    assert!(answer(2).await["result"]["content"].is_array());
    let mut id = 2;
    until(Duration::from_secs(60), "it renews its token", async || {
        id += 1;
        ask(id, "tools/call", call.clone()).await;
        assert!(answer(id).await["result"].is_object());
        (place.renewals() > 0).then_some(())
    })
    .await;
    gateway.stop().await;
    let gateway = place.start().await;
    let renewals = place.renewals();
    until(Duration::from_secs(60), "it goes on after the restart", async || {
        id += 1;
        ask(id, "tools/call", call.clone()).await;
        let is_served = answer(id).await["result"].is_object();
        (is_served && place.renewals() > renewals).then_some(())
    })
    .await;
    assert!(leads.try_recv().is_err(), "no person had to sign in again");

    place.config["apiKeys"].as_object_mut().unwrap().remove("bob");
    let token = kept_token(store.path());
    gateway.reload(&place.config).await;
    assert_eq!(initialize(&gateway, &token).await.status, 401);
    ask(id + 1, "tools/call", call.clone()).await;
    // It is led to the page again, where the key that is gone opens nothing.
    let led = tokio::time::timeout(Duration::from_secs(60), leads.recv()).await.unwrap().unwrap();
    assert!(led.contains("/oauth/authorize?"));
}

/// The access token that mcp-remote keeps.
fn kept_token(store: &Path) -> String {
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with("tokens.json") {
                let kept: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
                return kept["access_token"].as_str().unwrap().to_owned();
            }
        }
    }
    panic!("mcp-remote keeps no token in {}", store.display());
}

#[tokio::test]
async fn the_scenarios_of_the_official_suite_for_authorization_servers_pass() {
    let (Some(node), Some(folder)) = (provisioned::newer_node(), provisioned::conformance()) else { return };
    let servers = servers().await;
    let gateway = super::started(&servers).await;
    let base = format!("http://{}", gateway.address);
    let registered = super::person::register(&gateway, "suite", &["http://127.0.0.1/callback"]).await.json();
    let program = folder.join("@modelcontextprotocol/conformance/dist/index.js");
    let port = free_port().to_string();
    let results = tempfile::tempdir().unwrap();
    let mut command = Command::new(node);
    command.arg(program).args(["authorization", "--url", &base, "--port", &port]);
    command.args([
        "--client-id",
        registered["client_id"].as_str().unwrap(),
        "--resource",
        &format!("{base}/mcp"),
    ]);
    command.arg("-o").arg(results.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = String::new();
    let run = async {
        while let Some(line) = output.next_line().await.unwrap() {
            told.push_str(&line);
            told.push('\n');
            if line.trim().starts_with(&format!("{base}/oauth/authorize?")) {
                visit(line.trim(), "key-of-ann").await;
            }
        }
        child.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_secs(90), run).await.expect("the suite ends");
    assert!(status.success(), "{told}");
    let mut passed: Vec<&str> = Vec::new();
    for scenario in ["authorization-server-metadata-endpoint", "authorization-code-grant"] {
        passed.extend(told.contains(scenario).then_some(scenario));
    }
    assert_eq!(passed.len(), 2, "{told}");
    assert!(!told.contains("FAILURE") && !told.contains("SKIPPED") && !told.contains("WARNING"), "{told}");
}

#[tokio::test]
async fn a_client_may_be_described_by_a_document_at_its_address() {
    let servers = servers().await;
    let document = FakeHttp::start(|came| {
        let address = format!("http://{}{}", came.header("host"), came.path);
        let described = json!({ "client_id": address, "client_name": "Editor", "redirect_uris": [CALLBACK] });
        Some(match came.path.as_str() {
            "/client.json" | "/again.json" => Says::json(200, &described),
            "/other.json" => {
                Says::json(200, &json!({ "client_id": "https://a.test/c", "redirect_uris": [CALLBACK] }))
            }
            "/moved.json" => Says::new(302, "", "").with("Location", "/client.json"),
            "/large.json" => Says::json(200, &json!({ "client_id": address, "x": "x".repeat(6000) })),
            _ => Says::new(200, "text/html", described.to_string()),
        })
    })
    .await;
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", document.port);
    let gateway = Gateway::with(config(&servers)).flag("--api-key", "key-of-ops");
    let gateway = gateway.environment("TEST_ONLY_MCPO_LOOPBACK_CLIENT_DOCUMENTS", "1").start().await;
    gateway.ready(&["one", "two"]).await;
    let metadata = gateway.ask("GET", "/.well-known/oauth-authorization-server").send().await.ok();
    assert_eq!(metadata["client_id_metadata_document_supported"], json!(true));
    let person = Person::at(&gateway, "client").await;
    let person = Person { client: at("/client.json"), ..person };
    let tokens = person.signs_in("key-of-ann").await;
    assert_eq!(super::call(&gateway, "one", &tokens.access).await, 200);
    assert!(person.renews(&tokens).await.is_ok());
    assert!(person.opens().await.html.contains("Editor (127.0.0.1)"));
    assert_eq!(document.came().len(), 1, "it is read once in a while");
    for path in ["/other.json", "/moved.json", "/large.json", "/page", "/", "/client.json#x"] {
        let person = Person {
            client: at(path),
            callback: CALLBACK.to_owned(),
            resource: String::new(),
            address: gateway.address,
        };
        assert_eq!(person.led_with(&person.query()).await.status, 400, "{path}");
    }
    gateway.logged("cannot be used: its `client_id` is not its address").await;
    // A gateway that gets through to no other machine has clients register themselves; one that does is not kept from it by
    // an address that anyone may name.
    let closed = || format!("http://127.0.0.1:{}/client.json", free_port());
    let cut_off = Gateway::with(config(&servers)).flag("--api-key", "key-of-ops");
    let cut_off = cut_off.environment("TEST_ONLY_MCPO_LOOPBACK_CLIENT_DOCUMENTS", "1").start().await;
    let tries = [
        (&gateway, closed(), true),
        (&cut_off, closed(), false),
        (&cut_off, at("/fresh.json"), true),
        (&cut_off, closed(), true),
    ];
    for (gateway, client, is_announced) in tries {
        let person = Person {
            client,
            callback: CALLBACK.to_owned(),
            resource: String::new(),
            address: gateway.address,
        };
        assert_eq!(person.led_with(&person.query()).await.status, 400);
        let metadata = gateway.ask("GET", "/.well-known/oauth-authorization-server").send().await.ok();
        assert_eq!(metadata["client_id_metadata_document_supported"], json!(is_announced));
    }
    // Without the switch of the tests this machine is not asked.
    let without = super::started(&servers).await;
    let person = Person { address: without.address, client: at("/again.json"), ..person };
    assert_eq!(person.led_with(&person.query()).await.status, 400);
    assert!(document.came().iter().all(|came| came.path != "/again.json"));
}
