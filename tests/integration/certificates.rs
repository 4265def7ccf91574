//! The listener's certificate is renewed while the gateway serves, and a bad one leaves the one from before.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::tls::{fixture, trusting};
use crate::support::{Gateway, servers};

/// Files that are presented, and two pairs to put there.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("certificate.pem", "certificate.pem");
        files.put("key.pem", "key.pem");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts the fixture `source` in the place of `name`, as renewing programs do: by a rename.
    fn put(&self, name: &str, source: &str) {
        std::fs::copy(fixture(source), self.path("draft")).unwrap();
        std::fs::rename(self.path("draft"), self.path(name)).unwrap();
    }

    async fn gateway(&self, hot_reload: bool) -> Gateway {
        let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) }))
            .flag("--ssl-certfile", self.path("certificate.pem").to_str().unwrap())
            .flag("--ssl-keyfile", self.path("key.pem").to_str().unwrap());
        let gateway = if hot_reload { gateway.switch("--hot-reload") } else { gateway };
        gateway.start().await
    }
}

/// A connection by a client that trusts this certificate alone.
async fn connect(address: SocketAddr, trusted: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(trusting(trusted))).connect(name, stream).await
}

async fn health(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// What `openssl x509 -enddate` says of the two fixtures, as Prometheus is told it.
const EXPIRES: &str = "mcpo_tls_certificate_expiry_timestamp_seconds 4948981396\n";
const RENEWED_EXPIRES: &str = "mcpo_tls_certificate_expiry_timestamp_seconds 4949114053\n";

/// The text of a scrape by a client that trusts this certificate alone.
async fn scraped(gateway: &Gateway, name: &str) -> String {
    let mut stream = connect(gateway.address, &fixture(name)).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn presents(gateway: &Gateway, name: &str) -> bool {
    connect(gateway.address, &fixture(name)).await.is_ok()
}

#[tokio::test]
async fn a_renewed_certificate_is_presented_from_a_reload_on_and_open_connections_go_on() {
    let files = Files::new();
    let gateway = files.gateway(false).await;
    let mut kept = connect(gateway.address, &fixture("certificate.pem")).await.unwrap();
    assert!(health(&mut kept).await.starts_with("HTTP/1.1 200"));
    files.put("certificate.pem", "renewed-certificate.pem");
    files.put("key.pem", "renewed-key.pem");
    assert!(presents(&gateway, "certificate.pem").await, "nobody has asked for a reload");
    gateway.hang_up();
    gateway.logged("new connections get the new TLS certificate").await;
    assert!(presents(&gateway, "renewed-certificate.pem").await);
    assert!(!presents(&gateway, "certificate.pem").await);
    assert!(scraped(&gateway, "renewed-certificate.pem").await.contains(RENEWED_EXPIRES));
    assert!(health(&mut kept).await.starts_with("HTTP/1.1 200"), "an open connection was cut");
}

#[tokio::test]
async fn a_bad_certificate_leaves_the_one_from_before_and_says_why() {
    let files = Files::new();
    let gateway = files.gateway(false).await;
    // The certificate of one pair with the key of the other, as between the two steps of a renewal.
    files.put("certificate.pem", "renewed-certificate.pem");
    gateway.hang_up();
    gateway.logged("it does not fit the certificate").await;
    gateway.logged("the certificate from before is served").await;
    assert!(gateway.log().contains(files.path("key.pem").to_str().unwrap()), "{}", gateway.log());
    assert!(presents(&gateway, "certificate.pem").await);
    std::fs::remove_file(files.path("certificate.pem")).unwrap();
    gateway.hang_up();
    gateway.logged("it cannot be read").await;
    assert!(presents(&gateway, "certificate.pem").await);
    assert!(scraped(&gateway, "certificate.pem").await.contains(EXPIRES));
    files.put("certificate.pem", "renewed-certificate.pem");
    files.put("key.pem", "renewed-key.pem");
    gateway.hang_up();
    gateway.logged("new connections get the new TLS certificate").await;
    assert!(presents(&gateway, "renewed-certificate.pem").await);
}

#[tokio::test]
async fn changed_files_are_noticed_with_hot_reload() {
    let files = Files::new();
    let gateway = files.gateway(true).await;
    files.put("key.pem", "renewed-key.pem");
    files.put("certificate.pem", "renewed-certificate.pem");
    gateway.logged("new connections get the new TLS certificate").await;
    assert!(presents(&gateway, "renewed-certificate.pem").await);
}
