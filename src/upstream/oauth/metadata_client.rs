//! The HTTP client for rmcp's OAuth: the gateway's own, with bounds on addresses and sizes. Responses are normalized
//! for rmcp (`answers`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use oauth2::HttpResponse;
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest,
};
use url::{Host, Url, form_urlencoded};

use crate::config::is_loopback;
use crate::sync::lock;
use crate::upstream::error::chain;
use crate::upstream::http_client::HttpClients;
use crate::upstream::http_client::proxy::address;
use crate::upstream::http_client::resolver::AddressScope;
use crate::upstream::oauth::answers;
use crate::upstream::oauth::dpop::{DPOP, DpopKey, Prover};

/// How long one answer may take, and how large it may be, in bytes.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const ANSWER_SIZE: usize = 1 << 20;
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// Redirects of a document that are followed.
const REDIRECTS: usize = 3;
/// Documents that are passed over; more are not named by well-known paths and a challenge.
const PASSED_OVER: usize = 8;

/// Asks what a server's metadata name. An address must be `https`, unless it is on this machine or the server itself
/// is reached without TLS in the house, and must not lie further inside than the server.
#[derive(Debug)]
pub struct MetadataClient {
    clients: Arc<HttpClients>,
    scope: AddressScope,
    /// Plain `http` may be spoken beyond this machine.
    plain: bool,
    /// The server's own address.
    server: Url,
    documents: Mutex<Documents>,
    /// The authorization server refuses requests with a `resource`.
    without_resource: AtomicBool,
    /// Makes the proofs for the token endpoint, where tokens are bound to a key.
    prover: OnceLock<Prover>,
    /// The server takes only tokens that are bound to a key.
    wants_bound: AtomicBool,
}

/// The metadata documents seen so far.
#[derive(Debug, Default)]
struct Documents {
    last: Option<Uri>,
    passed_over: Vec<Uri>,
    /// The `resource` as it was published, where it is not written as the server's address is.
    resource: Option<String>,
}

impl MetadataClient {
    /// A client for what the server at `url` names.
    pub async fn new(clients: Arc<HttpClients>, url: &Url) -> Self {
        let scope = match url.host() {
            Some(host) => AddressScope::of_host(host).await,
            None => AddressScope::Public,
        };
        Self::within(clients, scope, url)
    }

    fn within(clients: Arc<HttpClients>, scope: AddressScope, url: &Url) -> Self {
        Self {
            clients,
            scope,
            plain: url.scheme() == "http" && scope != AddressScope::Public,
            server: url.clone(),
            documents: Mutex::default(),
            without_resource: AtomicBool::new(false),
            prover: OnceLock::new(),
            wants_bound: AtomicBool::new(false),
        }
    }

    /// Treats the document that was read last as missing from now on; `false` when that cannot help.
    pub fn pass_over_last(&self) -> bool {
        let mut documents = lock(&self.documents);
        let Some(last) = documents.last.take() else { return false };
        let is_new = !documents.passed_over.contains(&last) && documents.passed_over.len() < PASSED_OVER;
        documents.passed_over.push(last);
        is_new
    }

    /// The `resource` that authorization servers know where rmcp says `said`.
    pub fn published(&self, said: String) -> String {
        match &lock(&self.documents).resource {
            Some(published) if said == self.server.as_str() => published.clone(),
            _ => said,
        }
    }

    /// Has tokens bound to `key` from now on.
    pub fn bind_to(&self, key: Arc<DpopKey>) {
        let _first_key_stays = self.prover.set(Prover::new(key));
    }

    /// The thumbprint of the key that tokens are bound to.
    pub fn thumbprint(&self) -> Option<String> {
        Some(self.prover.get()?.shared_key().thumbprint())
    }

    /// Whether the server's metadata say that it takes only tokens that are bound to a key.
    pub fn wants_bound(&self) -> bool {
        self.wants_bound.load(Ordering::Relaxed)
    }

    /// Whether this may be asked, or a browser be sent there.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let shown = url.origin().ascii_serialization();
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(std::net::IpAddr::from(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(format!("`{shown}` is no address on the network")),
        };
        if let Some(address) = literal
            && !self.scope.allows(address)
        {
            return Err(format!(
                "`{shown}` lies further inside than the server that names it, and is not asked"
            ));
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_loopback(url) || self.plain => Ok(()),
            _ => Err(format!("`{shown}` is not https, so nothing is asked there and no secret goes there")),
        }
    }

    async fn follow(&self, asked: OAuthHttpRequest) -> Result<HttpResponse, OAuthHttpClientError> {
        let (mut head, body) = asked.request.into_parts();
        let body = Bytes::from(body);
        if head.method == Method::POST && is_form(&head.headers) {
            return self.ask_for_token(&head, &body).await;
        }
        let is_document = head.method == Method::GET;
        if is_document {
            let mut documents = lock(&self.documents);
            if documents.passed_over.contains(&head.uri) {
                let mut missing = HttpResponse::default();
                *missing.status_mut() = StatusCode::NOT_FOUND;
                return Ok(missing);
            }
            documents.last = Some(head.uri.clone());
        }
        for _ in 0..=REDIRECTS {
            let url = Url::parse(&head.uri.to_string())?;
            self.check(&url)?;
            let response = self.once(&head, body.clone()).await?;
            // Only documents move: a redirect of anything else would take secrets along.
            let follows =
                asked.redirect_policy == OAuthHttpRedirectPolicy::Follow && head.method == Method::GET;
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match target.filter(|_| follows && response.status().is_redirection()) {
                Some(target) => head.uri = Uri::try_from(url.join(target)?.as_str())?,
                None if is_document => return Ok(self.document(response)),
                None => return Ok(response),
            }
        }
        Err("too many redirects".into())
    }

    fn document(&self, response: HttpResponse) -> HttpResponse {
        let response = answers::of_metadata(response);
        if answers::wants_bound(&response) {
            self.wants_bound.store(true, Ordering::Relaxed);
        }
        let (response, published) = answers::with_own_resource(response, &self.server);
        if published.is_some() {
            lock(&self.documents).resource = published;
        }
        response
    }

    /// One request to a token endpoint, and another one without `resource` when it is refused for that.
    async fn ask_for_token(
        &self,
        head: &http::request::Parts,
        form: &[u8],
    ) -> Result<HttpResponse, OAuthHttpClientError> {
        self.check(&Url::parse(&head.uri.to_string())?)?;
        let whole = !self.without_resource.load(Ordering::Relaxed);
        let answer = answers::of_token_endpoint(self.once_proven(head, self.form(form, whole)).await?);
        if !whole || !answers::refuses_resource(&answer) {
            return Ok(answer);
        }
        let second = answers::of_token_endpoint(self.once_proven(head, self.form(form, false)).await?);
        if second.status().is_success() {
            self.without_resource.store(true, Ordering::Relaxed);
            return Ok(second);
        }
        Ok(answer)
    }

    /// `form` with the `resource` as it was published, or without it.
    fn form(&self, form: &[u8], with_resource: bool) -> Bytes {
        let mut written = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                "resource" if with_resource => {
                    written.append_pair(&name, &self.published(value.into_owned()));
                }
                "resource" => {}
                _ => {
                    written.append_pair(&name, &value);
                }
            }
        }
        written.finish().into()
    }

    /// One request with a proof, where tokens are bound to a key, and another one when the proof lacks a nonce (RFC 9449,
    /// section 8).
    async fn once_proven(
        &self,
        head: &http::request::Parts,
        body: Bytes,
    ) -> Result<HttpResponse, OAuthHttpClientError> {
        let Some(prover) = self.prover.get() else { return self.once(head, body).await };
        let proven = || -> Result<_, String> {
            let mut head = head.clone();
            head.headers.insert(DPOP, prover.proof(&head.method, &head.uri, None)?);
            Ok(head)
        };
        let answer = self.once(&proven()?, body.clone()).await?;
        let is_new = prover.take_nonce(answer.headers());
        if !is_new || !answers::wants_nonce(&answer) {
            return Ok(answer);
        }
        let answer = self.once(&proven()?, body).await?;
        prover.take_nonce(answer.headers());
        Ok(answer)
    }

    async fn once(
        &self,
        head: &http::request::Parts,
        body: Bytes,
    ) -> Result<HttpResponse, OAuthHttpClientError> {
        let mut request = Request::from_parts(head.clone(), Full::new(body));
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        let client = self.clients.bounded(self.scope, &head.uri).await?;
        let place = address(&head.uri);
        let exchange = async {
            let response = client.request(request).await.map_err(|error| {
                OAuthHttpClientError::from(format!("cannot ask {place}: {}", chain(&error)))
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_SIZE).collect().await?.to_bytes().to_vec();
            Ok(Response::from_parts(head, body))
        };
        let timely = tokio::time::timeout(ANSWER_LIMIT, exchange).await;
        timely.map_err(|_| format!("{place} did not answer within {} s", ANSWER_LIMIT.as_secs()))?
    }

    /// Posts a form and reads the answer whole. `authorization` is a whole header.
    ///
    /// # Errors
    ///
    /// The address is out of bounds, or there is no answer.
    pub async fn post_form(
        &self,
        url: &Url,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<HttpResponse, OAuthHttpClientError> {
        let mut request = Request::post(url.as_str()).header(CONTENT_TYPE, FORM);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.ask_for_token(&request.body(())?.into_parts().0, form.as_bytes()).await
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(FORM.as_bytes()))
}

/// The client as rmcp uses it.
#[derive(Debug, Clone)]
pub struct RmcpHttpClient(pub Arc<MetadataClient>);

impl OAuthHttpClient for RmcpHttpClient {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(self.0.follow(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(server: (AddressScope, bool), url: &str) -> bool {
        let (scope, plain) = server;
        let address = Url::parse("https://server.test/mcp").unwrap();
        let client = MetadataClient { plain, ..MetadataClient::within(Arc::default(), scope, &address) };
        client.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn secrets_go_over_tls_unless_the_server_itself_is_in_the_house_without_it() {
        let internet = (AddressScope::Public, false);
        let house = (AddressScope::Private, true);
        let house_tls = (AddressScope::Private, false);
        let machine = (AddressScope::Loopback, true);
        for (url, servers) in [
            ("https://as.test/token", [true, true, true, true]),
            ("http://as.test/token", [false, true, false, true]),
            ("http://10.0.0.1/token", [false, true, false, true]),
            ("https://10.0.0.1/token", [false, true, true, true]),
            ("http://127.0.0.1:1/token", [false, false, false, true]),
            ("http://localhost:1/token", [true, true, true, true]),
            ("https://169.254.169.254/latest", [false, false, false, false]),
            ("file:///etc/passwd", [false, false, false, false]),
            ("javascript:alert(1)", [false, false, false, false]),
        ] {
            let found = [internet, house, house_tls, machine].map(|server| allowed(server, url));
            assert_eq!(found, servers, "{url}");
        }
    }
}
