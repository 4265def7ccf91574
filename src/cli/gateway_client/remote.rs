//! The client of a running gateway, over HTTP, by TCP or by a Unix socket.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use tokio::net::UnixStream;

use crate::cli::command_error::CommandError;
use crate::cli::messages;
use crate::cli::request::{GatewayRequest, GatewayResponse};
use crate::cli::target::Address;
use crate::upstream::http_client::{HttpClients, IdleTimeout};

/// How long an answer may take, other than that of a call.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway over HTTP, with the key for it.
pub struct Remote {
    clients: HttpClients,
    pub origin: String,
    /// `Authorization`, marked so that nothing prints it.
    authorization: Option<HeaderValue>,
    /// The flag or variable that the key came from.
    pub key_source: Option<&'static str>,
    timeout: Option<Duration>,
}

impl Remote {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or cannot stand in a header.
    pub fn new(address: &Address) -> Result<Self, CommandError> {
        let authorization = match &address.key {
            None => None,
            Some(key) => {
                let text = format!("Bearer {}", key.read()?.expose_secret());
                let value = HeaderValue::from_str(&text).map_err(|_| {
                    CommandError::Failed(format!(
                        "{}: a key must not hold a line break or a control",
                        key.source
                    ))
                });
                let mut value = value?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            clients: HttpClients::default(),
            origin: address.origin.clone(),
            authorization,
            key_source: address.key.as_ref().map(|key| key.source),
            timeout: address.timeout,
        })
    }

    /// Sends one request; follows no redirect, which could carry the key elsewhere.
    pub async fn send(&self, request: GatewayRequest) -> Result<GatewayResponse, CommandError> {
        // The gateway bounds calls itself, and knows better how long each may take.
        let limit = self.timeout.or((request.method == http::Method::GET).then_some(PATIENCE));
        let exchange = self.exchange(request);
        match limit {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
                let seconds = limit.as_secs_f32();
                Err(CommandError::Failed(format!(
                    "{}: no answer within {seconds} s (--timeout)",
                    self.origin
                )))
            }),
        }
    }

    async fn exchange(&self, request: GatewayRequest) -> Result<GatewayResponse, CommandError> {
        let failed = |reason: String| CommandError::Failed(messages::unreachable(&self.origin, &reason));
        let authorization = self.authorization.clone().map(|value| (header::AUTHORIZATION, value));
        let response = match self.origin.strip_prefix("unix:") {
            Some(path) => {
                let target = request.path.clone();
                let mut request =
                    request.request(&target, authorization).map_err(|error| failed(error.to_string()))?;
                request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
                over_socket(path, request).await.map_err(failed)?
            }
            None => {
                let address = format!("{}{}", self.origin, request.path);
                let uri = Uri::try_from(&address).map_err(|error| failed(error.to_string()))?;
                let client = self
                    .clients
                    .client(&uri, IdleTimeout::default())
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                let request =
                    request.request(&address, authorization).map_err(|error| failed(error.to_string()))?;
                client.request(request).await.map_err(|error| failed(innermost(&error)))?
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| {
            CommandError::Failed(format!("{}: the answer broke off: {}", self.origin, innermost(&error)))
        })?;
        Ok(GatewayResponse { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

/// Sends one request over a connection of its own to the Unix socket at `path`.
async fn over_socket(path: &str, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
    let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| innermost(&error))?;
    // Ends with the answer's body, whose reader gets the error that breaks the connection.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| innermost(&error))
}

/// The last cause, which says what happened; those before only say where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
