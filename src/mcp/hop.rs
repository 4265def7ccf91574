//! The hop of a client's answers to the replica that holds the request that waits for them.
//!
//! A balancer sends the answers to any replica. The `requestState` among them names the right one, sealed, so that no client
//! chooses where the gateway connects to. The request goes on with the headers that it came with, and the other replica
//! checks its caller anew. A request that has made its hop makes no other. The answer passes through as it comes.

use std::fmt::Display;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use sha2::{Digest as _, Sha256};

use super::message::Message;
use super::request::RequestContext;
use super::response::fault::{Fault, refused};
use crate::config::Replica;
use crate::http::{Problem, correlation};
use crate::seal::{SealSecrets, Sealer};
use crate::upstream::HttpClients;
use crate::upstream::error::chain;
use crate::upstream::http_client::IdleTimeout;

/// Proves that a replica passed the request on, and to which one: its name and the digest of the body, sealed.
const HOP: HeaderName = HeaderName::from_static("mcpo-hop");
/// The purpose of that seal.
const PURPOSE: &str = "hop 1";
/// What a request or an answer says of its connection alone.
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The means to pass a request on to another replica.
#[derive(Debug)]
pub struct ReplicaHop {
    sealer: Sealer,
    /// This gateway.
    replica: Replica,
    /// Without proxies: replicas reach each other directly. Over HTTP/2 the rules for hosts would also judge the address of
    /// the replica, as its `:authority`.
    clients: HttpClients,
}

impl ReplicaHop {
    /// Of `replica`, to those that have the same secrets.
    pub fn new(secrets: &SealSecrets, replica: Replica) -> Self {
        Self { sealer: secrets.sealer(PURPOSE), replica, clients: HttpClients::over_http1() }
    }

    /// Whether another replica passed the request on.
    ///
    /// # Errors
    ///
    /// When the request says so and no replica did, or it was meant for another one.
    pub fn is_made(&self, request: &RequestContext) -> Result<bool, Problem> {
        let Some(proof) = request.head.headers.get(HOP) else { return Ok(false) };
        let meant = self.sealer.open(proof.as_bytes());
        if meant.is_some_and(|meant| meant == proven(&self.replica, &request.body)) {
            return Ok(true);
        }
        let sentence =
            "this request was passed on by no replica of the gateway, or was meant for another one";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "hop_misdirected", sentence))
    }

    /// The answer of the replica `to` to the request.
    pub async fn answer(&self, request: &RequestContext, message: &Message<'_>, to: &Replica) -> Response {
        match self.is_made(request) {
            Ok(false) => {}
            Ok(true) => return request.refuse(message, &Fault::no_longer_waiting()),
            Err(problem) => return refused(problem),
        }
        let name = &to.name;
        match self.pass_on(request, to).await {
            Ok(answer) if answer.status() == StatusCode::MISDIRECTED_REQUEST => {
                tracing::warn!(replica = %name, "the replica {name} refuses what is passed on to it: its `replica.url` leads to another one, or names a host that it does not serve (`allowedHosts`)");
                request.refuse(message, &Fault::no_longer_waiting())
            }
            Ok(answer) => answer,
            Err(fault) => request.refuse(message, &fault),
        }
    }

    async fn pass_on(&self, request: &RequestContext, to: &Replica) -> Result<Response, Fault> {
        let name = &to.name;
        let unreachable = |why: &dyn Display| {
            tracing::warn!(replica = %name, "the replica {name}, which holds a request, cannot be reached: {why}");
            Fault::no_longer_waiting()
        };
        let Some(url) = &to.url else { return Err(unreachable(&"it has no `replica.url`")) };
        let path = request.head.uri.path_and_query();
        let url = address(url, path).map_err(|error| unreachable(&error))?;
        let client = self.clients.client(&url, IdleTimeout::default()).await;
        let client = client.map_err(|error| unreachable(&error))?;
        let proof = self.sealer.seal(&proven(to, &request.body));
        let proof = proof.map_err(|_| Fault::internal("the kernel gives no random numbers"))?;
        let mut outgoing = Request::new(Full::new(request.body.clone()));
        *outgoing.method_mut() = Method::POST;
        *outgoing.uri_mut() = url;
        *outgoing.headers_mut() = self.headers(request, &proof);
        let answer = client.request(outgoing).await.map_err(|error| match error.is_connect() {
            true => unreachable(&chain(&error)),
            false => {
                let why = chain(&error);
                tracing::warn!(replica = %name, "the replica {name} ended before it answered a request that it held: {why}");
                Fault::internal(
                    "the replica of the gateway that held this request ended before its answer, and the request may \
                     have taken effect",
                )
            }
        })?;
        let (head, body) = answer.into_parts();
        // Without a known length, so that nothing waits for the whole.
        let mut answer = Response::new(Body::from_stream(body.into_data_stream()));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = without_connection(head.headers);
        Ok(answer)
    }

    /// The headers of the client, for the replica that checks them anew: the rules for hosts judge what the client asked for.
    fn headers(&self, request: &RequestContext, proof: &str) -> HeaderMap {
        let head = &request.head;
        let mut headers = without_connection(head.headers.clone());
        if let Ok(proof) = HeaderValue::from_str(proof) {
            headers.insert(HOP, proof);
        }
        correlation::mark(&correlation::origin(head).request_id, &mut headers);
        headers
    }
}

/// The content of the proof of a hop to `replica`.
fn proven(replica: &Replica, body: &[u8]) -> Vec<u8> {
    [replica.name.as_bytes(), b"\0", &Sha256::digest(body)].concat()
}

/// The `path` at the replica of this `url`.
fn address(url: &str, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
    let mut parts = url.parse::<Uri>()?.into_parts();
    parts.path_and_query = path.cloned().or(parts.path_and_query);
    Ok(Uri::from_parts(parts)?)
}

fn without_connection(mut headers: HeaderMap) -> HeaderMap {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    headers
}
