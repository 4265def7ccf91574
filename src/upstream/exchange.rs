//! One HTTP exchange with a server: its fixed headers, the bounds on what it may answer, and what its
//! status codes mean. Used by both HTTP transports.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use secrecy::ExposeSecret as _;

use super::error::{EndReason, LinkError, StatusReason};
use super::http_client::{HttpClient, HttpClients};
use super::identity::Identity;
use super::intake::{Bounds, Intake};
use super::oauth::Authorizer;
use super::words;
use crate::config::{HttpConfig, ServerName};
use crate::room::Owner;
use crate::trace::TraceContext;

pub const JSON: &str = "application/json";
pub const EVENTS: &str = "text/event-stream";
/// What a client of streamable HTTP must accept (specification, "Sending messages to the server").
const ACCEPT_BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// Redirects within the same origin that are followed (`/mcp` to `/mcp/`).
const REDIRECTS: usize = 3;
/// How much of a refusal words are looked for in, in bytes, and how long it may take.
const WORDS_AMONG: usize = 64 << 10;
const WORDS_WITHIN: Duration = Duration::from_secs(2);
/// What is shorter is no secret, and may be part of any word.
const SHORTEST_SECRET: usize = 6;

/// What a connection over HTTP is made with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub clients: &'a HttpClients,
    /// Of a server that is signed in to.
    pub authorizer: Option<&'a Arc<Authorizer>>,
}

/// In the extensions of an answer: the address that it is of, behind all redirects.
#[derive(Debug, Clone)]
pub struct Answered(pub Uri);

/// One server's address, with what every request to it carries.
#[derive(Debug)]
pub struct Exchange {
    /// Whose it is, for the log.
    pub server: ServerName,
    client: HttpClient,
    url: ArcSwap<Uri>,
    headers: HeaderMap,
    authorizer: Option<Arc<Authorizer>>,
    /// Of its answers.
    pub bounds: Bounds,
}

impl Exchange {
    /// Reads the secrets of `config` and checks its address. Every request carries the headers of `identity`,
    /// too; the fixed ones win over them.
    pub async fn new(
        server: &ServerName,
        config: &HttpConfig,
        means: Means<'_>,
        bounds: Bounds,
        identity: Option<&Identity>,
    ) -> Result<Self, EndReason> {
        let secret = |error: crate::config::SecretError| EndReason::Secret(error.to_string());
        let url = config.url.resolve().await.map_err(secret)?;
        let url = parse_url(url.expose_secret())?;
        let mut headers = HeaderMap::new();
        for (name, value) in identity.into_iter().flat_map(Identity::headers) {
            headers.append(name, value.clone());
        }
        headers.insert(ACCEPT, ACCEPT_BOTH);
        for (name, value) in &config.headers {
            let value = value.resolve().await.map_err(secret)?;
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| EndReason::Url(format!("`{name}` cannot be the name of a header")))?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                EndReason::Secret(format!("the value of header `{name}` holds a line break or a control"))
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(authorizer) = means.authorizer {
            authorizer.prepare().await?;
        }
        let client = means.clients.client(&url).await.map_err(|error| EndReason::Connect {
            address: address(&url),
            error: format!("the system's root certificates cannot be read: {error}"),
        })?;
        let url = ArcSwap::from_pointee(url);
        let authorizer = means.authorizer.cloned();
        Ok(Self { server: server.clone(), client, url, headers, authorizer, bounds })
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
    ) -> Result<Response<Incoming>, LinkError> {
        let Some(authorizer) = &self.authorizer else {
            return self.send_with(method, url, extra, body, None).await;
        };
        let token = authorizer.authorization().await.map_err(LinkError::NotSent)?;
        let response = self.send_with(method.clone(), url, extra, body.clone(), token.as_ref()).await?;
        let status = response.status();
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let renewed = authorizer.refused(status, challenges, token.as_ref()).await;
        let Some(renewed) = renewed.map_err(LinkError::NotSent)? else {
            if authorizer.sign_in_link().is_some() {
                let words = "an administrator of the gateway has to sign in to it again, for more rights";
                return Err(LinkError::Status(StatusReason {
                    words: Some(words.into()),
                    ..status_reason(&response)
                }));
            }
            return Ok(response);
        };
        let response = self.send_with(method, url, extra, body, Some(&renewed)).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(LinkError::NotSent(authorizer.refused_again())),
            _ => Ok(response),
        }
    }

    async fn send_with(
        &self,
        method: Method,
        url: &Uri,
        extra: &[(HeaderName, HeaderValue)],
        body: Bytes,
        token: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, LinkError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = url.clone();
            *request.headers_mut() = self.headers.clone();
            if method == Method::POST {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            }
            for (name, value) in extra {
                request.headers_mut().insert(name, value.clone());
            }
            if let Some(token) = token {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
            }
            let mut response = self.client.request(request).await.map_err(|error| {
                let text = with_sources(&error);
                match error.is_connect() {
                    true => LinkError::NotSent(EndReason::Connect { address: address(&url), error: text }),
                    false => LinkError::Lost(EndReason::Broken(text)),
                }
            })?;
            match same_origin_redirect(&url, &response) {
                Some(target) => {
                    // A temporary one is asked for anew each time (RFC 9110, section 15.4.8).
                    if response.status() == StatusCode::PERMANENT_REDIRECT && **self.url.load() == url {
                        self.url.store(target.clone().into());
                    }
                    url = target;
                }
                None => {
                    response.extensions_mut().insert(Answered(url));
                    return Ok(response);
                }
            }
        }
        let last = format!("{}{}", address(&url), url.path());
        Err(LinkError::Malformed(format!("it redirects in circles, at last to {last}; correct `url`")))
    }

    /// What an answer with a status that is no success means, with as much of its body as may hold words.
    pub async fn refusal(&self, response: Response<Incoming>) -> (StatusReason, Bytes) {
        let (reason, media_type) =
            (status_reason(&response), media_type(response.headers().get(CONTENT_TYPE)));
        let (mut body, mut read) = (response.into_body(), BytesMut::new());
        let reading = async {
            while read.len() < WORDS_AMONG
                && let Some(Ok(frame)) = body.frame().await
            {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
        };
        let _what_came_so_far_counts = tokio::time::timeout(WORDS_WITHIN, reading).await;
        read.truncate(WORDS_AMONG);
        let words = words::of_refusal(&media_type, &read).map(|words| self.without_secrets(&words).into());
        (StatusReason { words, ..reason }, read.freeze())
    }

    /// The fault of an answer whose status is a success and whose body is no answer.
    pub fn no_answer(&self, status: StatusCode, kind: Option<&HeaderValue>, body: &[u8]) -> LinkError {
        let body = &body[..body.len().min(WORDS_AMONG)];
        let said = words::of_no_answer(status.as_u16(), &media_type(kind), body);
        LinkError::Malformed(self.without_secrets(&said))
    }

    /// Words of the server without the secrets that our requests carry: some servers say them again.
    fn without_secrets(&self, words: &str) -> String {
        let url = self.url.load();
        let query = url.query().unwrap_or_default();
        let in_query = query.split('&').filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
        let is_secret =
            |(name, value): &(&HeaderName, &HeaderValue)| value.is_sensitive() || *name == AUTHORIZATION;
        let in_headers = self.headers.iter().filter(is_secret).filter_map(|(_, value)| value.to_str().ok());
        let secrets =
            in_headers.flat_map(|value| [Some(value), value.rsplit_once(' ').map(|(_, secret)| secret)]);
        let mut words = words.to_owned();
        for secret in secrets.flatten().chain(in_query).filter(|secret| secret.len() >= SHORTEST_SECRET) {
            words = words.replace(secret, "***");
        }
        words
    }

    /// The whole body of an answer to `owner`, within the bounds.
    pub async fn body(&self, response: Response<Incoming>, owner: &Owner) -> Result<Bytes, LinkError> {
        let (mut body, limit) = (response.into_body(), self.bounds.limit);
        let mut intake = Intake::new(&self.bounds);
        let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| LinkError::Lost(EndReason::Broken(error.to_string())))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = first.len() + whole.len() + data.len();
            if length > limit {
                return Err(LinkError::TooLarge { limit });
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
        Ok(intake.whole(owner, if whole.is_empty() { first } else { whole.freeze() }))
    }
}

/// The headers that pass a trace on.
pub fn trace_headers(trace: &TraceContext) -> Vec<(HeaderName, HeaderValue)> {
    let parent = (HeaderName::from_static("traceparent"), Some(trace.traceparent()));
    let state = (HeaderName::from_static("tracestate"), trace.tracestate());
    let value = |text: &str| HeaderValue::from_str(text).expect("a trace is printable ASCII");
    [parent, state].into_iter().filter_map(|(name, text)| Some((name, value(text?)))).collect()
}

/// An absolute `http` or `https` address.
fn parse_url(text: &str) -> Result<Uri, EndReason> {
    let parsed = url::Url::parse(text).map_err(|error| EndReason::Url(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(EndReason::Url("it must start with http:// or https:// and name a host".into()));
    }
    Uri::try_from(parsed.as_str()).map_err(|error| EndReason::Url(error.to_string()))
}

/// Scheme, host and port: what may be logged of an address (paths and queries can hold secrets).
pub fn address(url: &Uri) -> String {
    let authority = url.authority().map(|authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_user, host)| host)
    });
    format!("{}://{}", url.scheme_str().unwrap_or("http"), authority.unwrap_or(""))
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

/// The media type of a `Content-Type` in lower case, without parameters; empty when it names none.
fn media_type(content_type: Option<&HeaderValue>) -> String {
    let value = content_type.and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// Whether the answer's media type is `wanted`, parameters aside.
pub fn is_type<B>(response: &Response<B>, wanted: &str) -> bool {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// What the head of an answer says whose status is no success.
pub fn status_reason<B>(response: &Response<B>) -> StatusReason {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let target = || {
        let Answered(from) = response.extensions().get()?;
        let target = url::Url::parse(&from.to_string()).ok()?.join(text(LOCATION)?).ok()?;
        // A query may hold secrets.
        Some(format!("{}{}", target.origin().ascii_serialization(), target.path()).into())
    };
    StatusReason {
        status: response.status().as_u16(),
        retry_after: text(RETRY_AFTER).and_then(wait_of),
        target: response.status().is_redirection().then(target).flatten(),
        words: None,
    }
}

/// The value of `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).
fn wait_of(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
