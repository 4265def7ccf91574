use std::sync::mpsc;

use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::config::{ServerConfig, StdioConfig};
use crate::upstream::ToolList;

/// Holds the turn of `server` for long computations until the returned sender is dropped.
async fn held_turn(server: &ServerName) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (begin, begun) = oneshot::channel();
    let server = server.clone();
    let work = move || {
        let _test_is_over = begin.send(());
        released.recv()
    };
    tokio::spawn(async move { compute::run(server.as_str(), work).await });
    begun.await.expect("the work begins");
    release
}

fn tools(name: &str) -> ToolList {
    let tool = json!({ "name": name, "inputSchema": { "type": "object" } });
    let tools = tool.as_object().cloned().map(Arc::new).into_iter().collect();
    ToolList { info: ServerInfo::default(), tools, revision: 0 }
}

#[tokio::test(start_paused = true)]
async fn tools_that_come_while_their_server_waits_for_its_build_need_no_further_change() {
    let [one, two] = ["one", "two"].map(|name| ServerName::new(name).expect("a name"));
    let changes = Arc::<Changes>::default();
    let entries = [&one, &two]
        .map(|name| ServerConfig::new(name.clone(), TransportConfig::Stdio(StdioConfig::default())));
    let upstreams = entries.clone().map(|entry| Upstream::of_test(entry, changes.clone()));
    let config = Arc::new(Config { servers: entries.to_vec(), ..Config::default() });
    let namespace = Arc::new(Namespace::of(&config));
    let own = GatewayTools { info: ServerInfo::default(), definitions: Vec::new() };
    let builder = CatalogBuilder::new(config, namespace, upstreams.to_vec(), changes, own, 1, None);
    let builder = Arc::new(builder);

    let held = held_turn(&one).await;
    let _building = tokio::spawn(builder.clone().run(CancellationToken::new()));
    // Time stands still while a task can run: after this the builder waits for the first server's turn.
    tokio::time::sleep(SETTLE * 2).await;
    let list = upstreams[1].publish(tools("late")).expect("the list is new");
    drop(held);

    tokio::time::resume();
    let shown = builder.wait_for(&two, list.revision);
    tokio::time::timeout(Duration::from_secs(20), shown).await.expect("the tools are in the catalog");
    let catalog = builder.catalog();
    assert_eq!(catalog.entry("two").expect("the server is there").server.tools.len(), 1);
}
