//! Any bytes on a connection of a whole gateway: its accept loop, Host and Origin rules, keys, bodies and routes, REST
//! and MCP, with the built-in server behind them.
//!
//! The first byte chooses between a gateway without keys (rules for Host) and one with keys (and scopes), at whose page
//! they can be typed in. A panic of
//! any thread ends the run.

#![no_main]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mcpo::app::Signalled;
use mcpo::config::{self, Sources};
use mcpo::systemd::InheritedSocket;
use mcpo::telemetry::LogOutput;
use serde_json::{Value, json};

static GATEWAYS: LazyLock<[SocketAddr; 2]> =
    LazyLock::new(|| [start(json!({}), json!({})), start(keys(), json!({ "apiKeys": true }))]);

fn keys() -> Value {
    json!({
        "all": { "key": "key-of-all", "admin": true },
        "some": { "key": "key-of-some", "servers": ["gateway"], "readOnly": true },
        "none": { "key": "key-of-none", "servers": [], "metrics": true },
    })
}

fn start(keys: Value, sign_in: Value) -> SocketAddr {
    let folder = tempfile::tempdir().expect("a folder for the configuration can be made");
    let file = folder.path().join("config.json");
    let servers = json!({ "gateway": { "builtin": "gateway" } });
    let mut text = json!({ "mcpServers": servers, "apiKeys": keys, "stateDir": "" });
    if sign_in != json!({}) {
        text["signIn"] = sign_in;
    }
    std::fs::write(&file, text.to_string()).expect("the configuration can be written");
    let sources = Sources { files: vec![file], ..Sources::default() };
    let loaded = config::load(&sources).expect("the configuration is good");
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be started");
        let (sources, sockets) = (Arc::new(sources), vec![InheritedSocket::Tcp(socket)]);
        let served = mcpo::app::run(loaded.config, sources, sockets, LogOutput::Text, Signalled::default());
        let served = runtime.block_on(served);
        served.expect("the gateway starts");
    });
    address
}

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    let mut stream = TcpStream::connect(GATEWAYS[usize::from(which % 2)]).expect("the gateway takes connections");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout can be set");
    // The gateway may have refused and closed before all of it was taken.
    let _refused_early = stream.write_all(bytes);
    let _closed_already = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        // A stream of events that stays open.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(error) => panic!("the answer cannot be read: {error}"),
    }
    let ours = b"x-mcpo-error: internal";
    assert!(!answer.windows(ours.len()).any(|window| window == ours), "{}", String::from_utf8_lossy(&answer));
});
