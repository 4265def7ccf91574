//! One HTTP endpoint of a server: its fixed headers, the bounds on its responses, and the meaning of its status
//! codes. Used by both HTTP transports.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;

use crate::config::{HttpConfig, SecretText, ServerName};
use crate::protocol::media_type;
use crate::shares::Principal;
use crate::trace::TraceContext;
use crate::upstream::error::{CloseReason, RequestError, StatusReason, chain};
use crate::upstream::http_client::proxy::address;
use crate::upstream::http_client::{HttpClient, HttpClients, IdleTimeout, basic_authorization};
use crate::upstream::identity::Identity;
use crate::upstream::oauth::authorizer::Authorizer;
use crate::upstream::oauth::dpop;
use crate::upstream::oauth::token_store::token::Token;
use crate::upstream::surrogates;
use crate::upstream::transport::event_stream::EventStream;
use crate::upstream::transport::http::cookies::Cookies;
use crate::upstream::transport::http::status::{AnsweredUrl, status_reason};
use crate::upstream::transport::http::unpack::AnswerBody;
use crate::upstream::transport::intake::{Intake, MessageBounds};

/// The media types that a client of streamable HTTP must accept ("Sending messages to the server").
const ACCEPT_BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// Some servers put it before their JSON; browsers and Python take it away.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Redirects within the same origin that are followed (`/mcp` to `/mcp/`).
const REDIRECTS: usize = 3;

/// The clients and the authorizer of an HTTP connection.
#[derive(Debug, Clone, Copy)]
pub struct HttpContext<'a> {
    pub clients: &'a Arc<HttpClients>,
    /// `None` for a server without OAuth.
    pub authorizer: Option<&'a Arc<Authorizer>>,
}

/// One server's address, with what every request to it carries.
#[derive(Debug)]
pub struct HttpEndpoint {
    /// The server, for the log.
    pub server: ServerName,
    clients: Arc<HttpClients>,
    /// The client that keeps connections as long as the server does.
    client: ArcSwap<(IdleTimeout, HttpClient)>,
    pub(super) url: ArcSwap<Uri>,
    pub(super) headers: HeaderMap,
    cookies: Cookies,
    authorizer: Option<Arc<Authorizer>>,
    /// The bounds on its answers.
    pub bounds: MessageBounds,
}

impl HttpEndpoint {
    /// Reads the secrets of `config` and checks `url`, which is one of its addresses. Every request carries the headers of
    /// `identity`, too; the fixed ones win over them.
    pub async fn new(
        server: &ServerName,
        config: &HttpConfig,
        url: &SecretText,
        context: HttpContext<'_>,
        bounds: MessageBounds,
        identity: Option<&Identity>,
    ) -> Result<Self, CloseReason> {
        let secret = |error: crate::config::SecretError| CloseReason::Secret(error.to_string());
        let url = url.resolve().await.map_err(secret)?;
        let (url, credentials) = parse_url(url.expose_secret())?;
        let mut headers = HeaderMap::new();
        for (name, value) in identity.into_iter().flat_map(Identity::headers) {
            headers.append(name, value.clone());
        }
        headers.insert(ACCEPT, ACCEPT_BOTH);
        if let Some(credentials) = credentials {
            headers.insert(AUTHORIZATION, credentials);
        }
        for (name, value) in &config.headers {
            let value = value.resolve().await.map_err(secret)?;
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| CloseReason::Url(format!("`{name}` cannot be the name of a header")))?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                CloseReason::Secret(format!("the value of header `{name}` holds a line break or a control"))
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(authorizer) = context.authorizer {
            authorizer.prepare().await?;
        }
        let (clients, idle) = (context.clients.clone(), IdleTimeout::default());
        let client = clients.client(&url, idle).await.map_err(|error| CloseReason::Connect {
            address: address(&url),
            error: format!("the system's root certificates cannot be read: {error}"),
        })?;
        Ok(Self {
            server: server.clone(),
            clients,
            client: ArcSwap::from_pointee((idle, client)),
            url: ArcSwap::from_pointee(url),
            headers,
            cookies: Cookies::default(),
            authorizer: context.authorizer.cloned(),
            bounds,
        })
    }

    pub fn url(&self) -> Uri {
        Uri::clone(&self.url.load())
    }

    /// Sends one request and returns the answer's head, whatever its status but redirects. A token goes along where
    /// the server is signed in to; one that is refused is renewed, and the request sent once more.
    pub async fn send(
        &self,
        method: Method,
        url: &Uri,
        extra: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Response<Incoming>, RequestError> {
        let Some(authorizer) = &self.authorizer else {
            return self.send_with(method, url, extra, body, None).await;
        };
        let token = authorizer.authorization().await.map_err(RequestError::NotSent)?;
        let response = self.send_proven(method.clone(), url, extra, body.clone(), token.as_deref()).await?;
        let status = response.status();
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let renewed = authorizer.refused(status, challenges, token.as_deref()).await;
        let Some(renewed) = renewed.map_err(RequestError::NotSent)? else {
            if authorizer.sign_in_link().is_some() {
                let words = "an administrator of the gateway has to sign in to it again, for more rights";
                return Err(RequestError::Status(StatusReason {
                    words: Some(words.into()),
                    ..status_reason(&response)
                }));
            }
            return Ok(response);
        };
        let response = self.send_proven(method, url, extra, body, Some(&renewed)).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(RequestError::NotSent(authorizer.refused_again())),
            _ => Ok(response),
        }
    }

    /// One request, and another one when the server refuses its proof for the nonce alone (RFC 9449, section 9).
    async fn send_proven(
        &self,
        method: Method,
        url: &Uri,
        extra: &[(HeaderName, HeaderValue)],
        body: Bytes,
        token: Option<&Token>,
    ) -> Result<Response<Incoming>, RequestError> {
        let Some(prover) = token.and_then(Token::prover) else {
            return self.send_with(method, url, extra, body, token).await;
        };
        let response = self.send_with(method.clone(), url, extra, body.clone(), token).await?;
        let is_new = prover.take_nonce(response.headers());
        if !is_new || response.status() != StatusCode::UNAUTHORIZED || !dpop::wants_nonce(response.headers())
        {
            return Ok(response);
        }
        let response = self.send_with(method, url, extra, body, token).await?;
        prover.take_nonce(response.headers());
        Ok(response)
    }

    async fn send_with(
        &self,
        method: Method,
        url: &Uri,
        extra: &[(HeaderName, HeaderValue)],
        body: Bytes,
        token: Option<&Token>,
    ) -> Result<Response<Incoming>, RequestError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = url.clone();
            *request.headers_mut() = self.headers.clone();
            if method == Method::POST {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type::JSON));
            }
            for (name, value) in extra {
                request.headers_mut().insert(name, value.clone());
            }
            if let Some(token) = token {
                let failed = |text| RequestError::NotSent(CloseReason::OAuth(text));
                if let Some(proof) = token.proof(&method, &url).map_err(failed)? {
                    request.headers_mut().insert(dpop::DPOP, proof);
                }
                request.headers_mut().insert(AUTHORIZATION, token.header.clone());
            }
            if let Some(cookies) = self.cookies.header(&url, self.headers.get(COOKIE)) {
                request.headers_mut().insert(COOKIE, cookies);
            }
            let answering = self.client.load().1.request(request);
            let mut response = answering.await.map_err(|error| {
                let text = chain(&error);
                match error.is_connect() {
                    true => {
                        RequestError::NotSent(CloseReason::Connect { address: address(&url), error: text })
                    }
                    false => RequestError::Lost(CloseReason::Broken(text)),
                }
            })?;
            self.cookies.take(&url, response.headers());
            self.adopt_idle_timeout(&url, &response).await;
            match same_origin_redirect(&url, &response) {
                Some(target) => {
                    // A temporary redirect is followed anew each time (RFC 9110, section 15.4.8).
                    if response.status() == StatusCode::PERMANENT_REDIRECT && **self.url.load() == url {
                        self.url.store(target.clone().into());
                    }
                    url = target;
                }
                None => {
                    response.extensions_mut().insert(AnsweredUrl(url));
                    return Ok(response);
                }
            }
        }
        let last = format!("{}{}", address(&url), url.path());
        Err(RequestError::Malformed(format!("it redirects in circles, at last to {last}; correct `url`")))
    }

    /// Keeps connections from now on as long as this answer says that its server does.
    async fn adopt_idle_timeout(&self, url: &Uri, response: &Response<Incoming>) {
        let idle = IdleTimeout::of_response(response.version(), response.headers());
        if self.client.load().0 != idle
            && let Ok(client) = self.clients.client(url, idle).await
        {
            self.client.store(Arc::new((idle, client)));
        }
    }

    /// The events of an answer to `owner`, within the bounds.
    pub fn events(
        &self,
        response: Response<Incoming>,
        owner: Principal,
    ) -> Result<EventStream, RequestError> {
        Ok(EventStream::new(AnswerBody::of(response)?, &self.bounds, owner))
    }

    /// The whole body of an answer to `owner`, within the bounds.
    pub async fn body(&self, response: Response<Incoming>, owner: &Principal) -> Result<Bytes, RequestError> {
        let (mut body, limit) = (AnswerBody::of(response)?, self.bounds.limit);
        let mut intake = Intake::new(&self.bounds);
        let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
        while let Some(data) = body.next().await? {
            let length = first.len() + whole.len() + data.len();
            if length > limit {
                return Err(RequestError::TooLarge { limit });
            }
            intake.reach(owner, length).await?;
            if length == data.len() {
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
        let mut whole = if whole.is_empty() { first } else { whole.freeze() };
        if whole.starts_with(BYTE_ORDER_MARK) {
            whole.advance(BYTE_ORDER_MARK.len());
        }
        Ok(intake.whole(owner, surrogates::mended(whole)))
    }
}

/// The headers that pass a trace on.
pub fn trace_headers(trace: &TraceContext) -> Vec<(HeaderName, HeaderValue)> {
    let parent = (HeaderName::from_static("traceparent"), Some(trace.traceparent()));
    let state = (HeaderName::from_static("tracestate"), trace.tracestate());
    let value = |text: &str| HeaderValue::from_str(text).expect("a trace is printable ASCII");
    [parent, state].into_iter().filter_map(|(name, text)| Some((name, value(text?)))).collect()
}

/// An absolute `http` or `https` address, and the basic authorization of the user and password in it (RFC 7617).
fn parse_url(text: &str) -> Result<(Uri, Option<HeaderValue>), CloseReason> {
    let mut parsed = url::Url::parse(text).map_err(|error| CloseReason::Url(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(CloseReason::Url("it must start with http:// or https:// and name a host".into()));
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) = (decoded(parsed.username()), decoded(parsed.password().unwrap_or_default()));
    let is_named = !user.is_empty() || !password.is_empty();
    let credentials = is_named.then(|| basic_authorization(&user, &password));
    // Neither can fail for an address with a host.
    let _removed = (parsed.set_username(""), parsed.set_password(None));
    let url = Uri::try_from(parsed.as_str()).map_err(|error| CloseReason::Url(error.to_string()))?;
    Ok((url, credentials))
}

/// The target of a redirect that keeps the method and stays on the same origin: the secrets that our
/// headers carry never go elsewhere.
fn same_origin_redirect<B>(from: &Uri, response: &Response<B>) -> Option<Uri> {
    if !matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return None;
    }
    let base = url::Url::parse(&from.to_string()).ok()?;
    let target = base.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    if target.origin() != base.origin() {
        return None;
    }
    Uri::try_from(target.as_str()).ok()
}

#[cfg(test)]
mod tests;
