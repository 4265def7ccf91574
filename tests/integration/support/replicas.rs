//! Replicas of a gateway, and HAProxy before them with the file that `nix/haproxy.cfg` is.

use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use super::servers::Running;
use super::{Ask, Gateway, free_port, provisioned};

/// As many as the file of HAProxy has.
pub const REPLICAS: usize = 3;

/// One replica, which starts again on its port.
#[derive(Debug)]
pub struct Replica {
    pub gateway: Option<Gateway>,
    pub port: u16,
    config: Value,
    state: TempDir,
}

impl Replica {
    /// Not started yet. Its `sessionKey` is that of all.
    pub fn new(config: &Value) -> Self {
        let mut config = config.clone();
        config["sessionKey"] = "the same at each replica: 0f4a9b6c2d8e".into();
        Self { gateway: None, port: free_port(), config, state: tempfile::tempdir().unwrap() }
    }

    /// Starts it, and waits until each of its servers has tools.
    pub async fn start(&mut self) {
        let mut gateway = Gateway::with(self.config.clone()).port(self.port).state(self.state.path());
        if let Some(key) = self.config["apiKey"].as_str() {
            gateway = gateway.flag("--api-key", key);
        }
        let gateway = gateway.start().await;
        let servers = self.config["mcpServers"].as_object().unwrap();
        let names: Vec<&str> = servers.keys().map(String::as_str).collect();
        gateway.listed(&names).await;
        self.gateway = Some(gateway);
    }

    pub fn running(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        self.running().ask(method, path)
    }
}

/// Starts replicas of these configurations, which differ in nothing that clients see.
pub async fn started(configs: &[Value]) -> Vec<Replica> {
    let mut each: Vec<Replica> = configs.iter().map(Replica::new).collect();
    for replica in &mut each {
        replica.start().await;
    }
    each
}

/// HAProxy before replicas; it ends with the value.
#[derive(Debug)]
pub struct Balancer {
    pub address: SocketAddr,
    _haproxy: Running,
    _folder: TempDir,
}

impl Balancer {
    /// Starts HAProxy with these lines of its file changed. `None` where it is not installed.
    pub async fn start(replicas: &[Replica], changed: &[(&str, &str)]) -> Option<Self> {
        let haproxy = provisioned::haproxy()?;
        let mut text = std::fs::read_to_string(provisioned::root().join("nix/haproxy.cfg")).unwrap();
        for (line, instead) in changed {
            assert!(text.contains(&format!("    {line}\n")), "{line}");
            text = text.replace(line, instead);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let port = free_port();
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut environment = vec![("MCPO_LISTEN".to_owned(), address(port))];
        for (number, replica) in (1..).zip(replicas) {
            environment.push((format!("MCPO_REPLICA_{number}"), address(replica.port)));
        }
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let command = [haproxy.to_str().unwrap(), "-db", "-f", file.to_str().unwrap()];
        let haproxy = Running::on_port(&command, &environment, port).await;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self { address, _haproxy: haproxy, _folder: folder })
    }
}
