//! Clients whose id is the address of a document that describes them (OAuth Client ID Metadata Documents).
//!
//! A stranger chooses the address. So it must be https and public, redirects are not followed, the document is small and
//! must come soon, few are read at one time, and what was read is remembered for a while, refusals too. A stranger may
//! still keep all readers busy; a client that was signed in of late then counts as it was known.
//!
//! A client that has such a document does not register itself where documents are announced. So a gateway that gets
//! through to no other machine announces none for a while, and the next try of the client registers it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::client::OAuthClient;
use crate::protocol::media_type::{self, JSON};
use crate::sync::lock;
use crate::upstream::HttpClients;
use crate::upstream::error::chain;
use crate::upstream::http_client::resolver::AddressScope;

/// The longest document, in bytes.
const LONGEST: usize = 5 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// Documents that are read at one time.
const AT_ONCE: usize = 8;
/// Documents that are remembered, and how long: one that was good, and one that was not.
const REMEMBERED: usize = 256;
const GOOD_FOR: Duration = Duration::from_secs(600);
const BAD_FOR: Duration = Duration::from_secs(10);
/// How long after a sign-in the document of its client counts while no reader is free.
const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long documents are not announced after a connection to one has failed, unless another was reached of late.
const UNANNOUNCED_FOR: Duration = Duration::from_secs(600);
const OF_LATE: Duration = Duration::from_secs(3600);
/// The longest address, in bytes.
const ADDRESS_LENGTH: usize = 512;

/// Reads the documents of clients.
#[derive(Debug)]
pub struct ClientDocuments {
    clients: Arc<HttpClients>,
    /// [`AddressScope::Loopback`] in tests alone, then also without TLS.
    scope: AddressScope,
    known: Mutex<HashMap<String, KnownDocument>>,
    reading: Semaphore,
    way_out: Mutex<WayOut>,
}

/// A document that was read; `None` when it could not be used.
#[derive(Debug, Clone)]
struct KnownDocument {
    client: Option<OAuthClient>,
    until: Instant,
    /// When a person last signed the client in.
    signed_in: Option<Instant>,
}

/// When the gateway last got through to the host of a document, and when it failed since. Anyone may name a host.
#[derive(Debug, Default)]
struct WayOut {
    reached: Option<Instant>,
    failed: Option<Instant>,
}

#[derive(Deserialize)]
struct ClientDocument {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
}

impl ClientDocuments {
    pub fn new(clients: Arc<HttpClients>, scope: AddressScope) -> Self {
        Self {
            clients,
            scope,
            known: Mutex::default(),
            reading: Semaphore::new(AT_ONCE),
            way_out: Mutex::default(),
        }
    }

    /// Whether `id` is the address of a document.
    pub fn is_address(id: &str) -> bool {
        id.starts_with("https://") || id.starts_with("http://")
    }

    /// Whether clients are told that they may be described by a document.
    pub fn are_announced(&self) -> bool {
        let way_out = lock(&self.way_out);
        let within = |time: Duration, last: Option<Instant>| last.is_some_and(|last| last.elapsed() < time);
        within(OF_LATE, way_out.reached) || !within(UNANNOUNCED_FOR, way_out.failed)
    }

    /// The client that the document at `id` describes. `None` when it cannot be used; the log says why.
    pub async fn client(&self, id: &str) -> Option<OAuthClient> {
        let url = self.checked(id)?;
        let now = Instant::now();
        let known = lock(&self.known).get(id).cloned();
        if let Some(known) = &known
            && now < known.until
        {
            return known.client.clone();
        }
        let Ok(_turn) = self.reading.try_acquire() else {
            tracing::warn!("the document of a client is not read, because {AT_ONCE} are being read already");
            return known.filter(|known| known.is_kept(now))?.client;
        };
        let late = |_| {
            self.note_failure();
            Err(format!("it did not come within {} s", PATIENCE.as_secs()))
        };
        let read = tokio::time::timeout(PATIENCE, self.read(&url)).await.unwrap_or_else(late);
        let found = read.and_then(|document| described(id, &url, document));
        if let Err(why) = &found {
            let host = url.host_str().unwrap_or_default();
            tracing::warn!("the document of a client at {host} cannot be used: {why}");
        }
        let found = found.ok();
        self.remember(id, found.clone(), now);
        found
    }

    /// Notes that a person has signed in the client with this document.
    pub fn note_sign_in(&self, id: &str) {
        if let Some(known) = lock(&self.known).get_mut(id) {
            known.signed_in = Some(Instant::now());
        }
    }

    fn remember(&self, id: &str, client: Option<OAuthClient>, now: Instant) {
        let mut known = lock(&self.known);
        let signed_in = known.get(id).and_then(|known| known.signed_in);
        if known.len() >= REMEMBERED {
            known.retain(|_, known| now < known.until || known.is_kept(now));
        }
        // Documents that people use go last: anyone may have others read.
        if known.len() >= REMEMBERED
            && let Some((first, _)) = known.iter().min_by_key(|(_, known)| (known.signed_in, known.until))
        {
            let first = first.clone();
            known.remove(&first);
        }
        let until = now + if client.is_some() { GOOD_FOR } else { BAD_FOR };
        known.insert(id.to_owned(), KnownDocument { client, until, signed_in });
    }

    fn note_failure(&self) {
        lock(&self.way_out).failed = Some(Instant::now());
    }

    /// The address, if it may be asked. Readers of addresses differ, so it must be written as it is read.
    fn checked(&self, id: &str) -> Option<Url> {
        let url = Url::parse(id).ok().filter(|url| id.len() <= ADDRESS_LENGTH && url.as_str() == id)?;
        let literal = match url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        };
        let is_plain = url.scheme() == "http" && self.scope == AddressScope::Loopback;
        let is_good = (url.scheme() == "https" || is_plain)
            && url.path() != "/"
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && literal.is_none_or(|address| self.scope.allows(address));
        is_good.then_some(url)
    }

    async fn read(&self, url: &Url) -> Result<ClientDocument, String> {
        let uri = Uri::try_from(url.as_str()).map_err(|error| error.to_string())?;
        let client = self.clients.bounded(self.scope, &uri).await.map_err(|error| chain(&error))?;
        let request = Request::builder().uri(uri).header(header::ACCEPT, JSON).body(Full::new(Bytes::new()));
        let response = client.request(request.map_err(|error| error.to_string())?).await;
        let response = response.map_err(|error| {
            if error.is_connect() {
                self.note_failure();
            }
            chain(&error)
        })?;
        *lock(&self.way_out) = WayOut { reached: Some(Instant::now()), failed: None };
        if response.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", response.status()));
        }
        if !media_type::is(response.headers(), JSON) {
            return Err(format!("it is not of the type {JSON}"));
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|_| format!("it is longer than {LONGEST} bytes, or was cut off"))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| format!("it is not the JSON of a client: {error}"))
    }
}

impl KnownDocument {
    fn is_kept(&self, now: Instant) -> bool {
        self.signed_in.is_some_and(|signed_in| now < signed_in + KEPT_FOR)
    }
}

/// The client of a document. Its name is its own claim, so the host that vouches for it stands beside.
fn described(id: &str, url: &Url, document: ClientDocument) -> Result<OAuthClient, String> {
    if document.client_id != id {
        return Err("its `client_id` is not its address".to_owned());
    }
    let mut client = OAuthClient::new(document.client_name.as_deref(), document.redirect_uris)
        .map_err(|error| error.to_string())?;
    client.name = format!("{} ({})", client.name, url.host_str().unwrap_or_default());
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_with_a_path_are_asked() {
        let documents = ClientDocuments::new(Arc::default(), AddressScope::Public);
        for id in ["https://a.test/c.json", "https://a.test:8443/x/y?z=1", "https://203.0.113.1/c"] {
            assert!(documents.checked(id).is_some(), "{id}");
        }
        for id in [
            "http://a.test/c",
            "https://a.test",
            "https://a.test/",
            "https://a.test/c#x",
            "https://u@a.test/c",
            "https://a.test/x/../c",
            "https://127.0.0.1/c",
            "https://[::1]/c",
            "https://10.0.0.1/c",
            "https://169.254.169.254/c",
            "https://[::ffff:10.0.0.1]/c",
            "https://2130706433/c",
            "https:a.test/c",
            "file:///c",
            "HTTPS://a.test/c",
        ] {
            assert!(documents.checked(id).is_none(), "{id}");
        }
    }

    #[tokio::test]
    async fn while_strangers_keep_all_readers_busy_a_client_of_late_may_sign_in() {
        let documents = ClientDocuments::new(Arc::default(), AddressScope::Public);
        let client = || OAuthClient::new(Some("Client"), vec!["https://a.test/cb".to_owned()]).unwrap();
        let (used, unused) = ("https://a.test/used", "https://a.test/unused");
        let before = Instant::now().checked_sub(GOOD_FOR).unwrap();
        for id in [used, unused] {
            documents.remember(id, Some(client()), before);
        }
        documents.note_sign_in(used);
        let _all = documents.reading.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        assert_eq!(documents.client(used).await, Some(client()));
        assert_eq!(documents.client(unused).await, None);
        for number in 0..2 * REMEMBERED {
            documents.remember(&format!("https://evil.test/{number}"), Some(client()), Instant::now());
        }
        assert_eq!(lock(&documents.known).len(), REMEMBERED);
        assert_eq!(
            documents.client(used).await,
            Some(client()),
            "what strangers have read does not displace it"
        );
        let kept = lock(&documents.known)[used].clone();
        assert!(!kept.is_kept(Instant::now() + KEPT_FOR));
    }

    #[test]
    fn a_document_speaks_for_its_own_address_alone() {
        let url = Url::parse("https://a.test/c").unwrap();
        let document = |client_id: &str| ClientDocument {
            client_id: client_id.to_owned(),
            client_name: Some("Client".to_owned()),
            redirect_uris: vec!["https://a.test/cb".to_owned()],
        };
        assert_eq!(
            described(url.as_str(), &url, document("https://a.test/c")).unwrap().name,
            "Client (a.test)"
        );
        assert!(described(url.as_str(), &url, document("https://b.test/c")).is_err());
    }
}
