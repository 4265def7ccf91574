//! Sign-in to servers with a browser: where it begins, where it comes back to, and what the gateway is as a client.
//!
//! | endpoint | what |
//! |---|---|
//! | `GET /oauth/{server}/start` | a page that asks whether to sign in; for `admin` keys, also as the password of Basic |
//! | `POST /oauth/{server}/start` | begins: leads the browser to the authorization server, or names its address as JSON |
//! | `GET /oauth/callback` | where the authorization server sends the browser back to |
//! | `GET /oauth/client-metadata.json` | the document that describes the gateway as a client |
//!
//! Addresses are made from `publicUrl` alone, never from what a request's Host says: a code that was sent anywhere else
//! would open the server to whoever is there.

mod page;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::catalog::Caller;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::auth::BASIC;
use crate::http::mount::Prefixes;
use crate::http::{Access, KeyName, Keys, Problem, json_answer};
use crate::upstream::oauth::sign_in::{
    self, AuthorizationCallback, AuthorizationRequest, CLIENT_DOCUMENT, SignInError,
};
use crate::upstream::oauth::{CALLBACK, OAuthError};
use crate::upstream::{Authorizer, OAuth, Upstream};

/// Says that the browser was led to the gateway's own address already.
const HERE: &str = "here";

/// The face under one configuration.
#[derive(Debug)]
pub struct SignIn {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    prefixes: Prefixes,
    oauth: Arc<OAuth>,
}

/// What a path asks for.
#[derive(Debug, PartialEq)]
enum Place {
    Start(String),
    Callback,
    ClientDocument,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        match path {
            CALLBACK => Some(Self::Callback),
            CLIENT_DOCUMENT => Some(Self::ClientDocument),
            _ => {
                let server = path.strip_prefix("/oauth/")?.strip_suffix("/start")?;
                let server = percent_decode_str(server).decode_utf8().ok()?;
                (!server.is_empty() && !server.contains('/')).then(|| Self::Start(server.into_owned()))
            }
        }
    }

    fn template(&self) -> &'static str {
        match self {
            Self::Start(_) => "/oauth/{server}/start",
            Self::Callback => CALLBACK,
            Self::ClientDocument => CLIENT_DOCUMENT,
        }
    }
}

impl SignIn {
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>, oauth: Arc<OAuth>) -> Self {
        let prefixes = Prefixes::new(&config.listen);
        Self { gateway, keys, config, prefixes, oauth }
    }

    /// Whether a raw path (percent-encoded, without query) is one of this face.
    pub fn is_at(&self, raw: &str) -> bool {
        self.place(raw).is_some()
    }

    /// Like all of the gateway's own paths, these are there with and without the path prefix.
    fn place(&self, raw: &str) -> Option<Place> {
        let path = self.prefixes.within_root(raw);
        Place::of(path).or_else(|| Place::of(self.prefixes.within_prefix(path)?))
    }

    /// Answers a request to such a path.
    pub async fn answer(self: Arc<Self>, request: Request<Body>) -> Response {
        let (head, _body) = request.into_parts();
        let Some(place) = self.place(head.uri.path()) else { return Problem::not_found().into_response() };
        let timer = self.gateway.metrics().http().request(head.method.as_str(), place.template());
        let get = matches!(head.method, Method::GET | Method::HEAD);
        let answer = match place {
            Place::Callback if get => self.callback(&head).await,
            Place::ClientDocument if get => self.client_document(),
            Place::Start(server) if get || head.method == Method::POST => self.start(&head, &server).await,
            Place::Start(_) => Err(not_allowed("GET, HEAD, POST")),
            Place::Callback | Place::ClientDocument => Err(not_allowed("GET, HEAD")),
        };
        let mut answer = answer.unwrap_or_else(|problem| problem.into_response());
        let caller = self.keys.admit(&head.headers, Access::Open).ok();
        if let Some(name) = caller.and_then(|caller| caller.key_name) {
            answer.extensions_mut().insert(KeyName(name));
        }
        timer.answered(answer.status().as_u16());
        answer
    }

    async fn start(&self, head: &Parts, server: &str) -> Result<Response, Problem> {
        self.admin(&head.headers)?;
        let (_, authorizer) = self.authorizer(server)?;
        let own = self.oauth.public("").ok_or_else(no_public_url)?;
        if head.method != Method::POST {
            if head.uri.query() != Some(HERE) && is_elsewhere(&own, &head.headers) {
                let start = self.oauth.public(&format!("{}?{HERE}", start_path(server)));
                return redirect(&start.ok_or_else(no_public_url)?);
            }
            return Ok(page::question(server, &format!("{own}{}", start_path(server))));
        }
        let begun = authorizer.begin().await.map_err(|error| {
            tracing::warn!(mcp_server = %server, "a sign-in to {server} could not begin: {error}");
            cannot_begin(&error)
        })?;
        let cookie = cookie(&own, &begun);
        let mut response = match wants_json(&head.headers) {
            true => json_answer(StatusCode::OK, json!({ "authorizationUrl": begun.url }).to_string().into()),
            false => redirect(&begun.url)?,
        };
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The browser that comes back has no key; it has the cookie of the sign-in that it began.
    async fn callback(&self, head: &Parts) -> Result<Response, Problem> {
        let mut returned = AuthorizationCallback::default();
        for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "state" => returned.state = value.into_owned(),
                "code" => returned.code = Some(value.into_owned()),
                "iss" => returned.issuer = Some(value.into_owned()),
                "error" => returned.error = Some(value.into_owned()),
                _ => {}
            }
        }
        let name = sign_in::cookie_name(&returned.state);
        let secret = cookie_of(&head.headers, &name);
        match self.oauth.sign_ins().finish(returned, secret.as_deref()).await {
            Ok(authorizer) => {
                let server = authorizer.server().as_str();
                if let Ok((upstream, _)) = self.authorizer(server) {
                    upstream.retry();
                }
                let home = self.oauth.public(&format!("/#/{}", segment(server))).unwrap_or_default();
                Ok(page::done(server, &self.config.document.name, &home))
            }
            Err(error) => {
                tracing::warn!("a sign-in came to nothing: {error}");
                let status = match &error {
                    SignInError::Failed(_) => StatusCode::BAD_GATEWAY,
                    SignInError::Gone => StatusCode::CONFLICT,
                    SignInError::Unknown
                    | SignInError::OtherBrowser
                    | SignInError::Denied(_)
                    | SignInError::OtherIssuer => StatusCode::BAD_REQUEST,
                };
                Ok(page::failed(status, &error.to_string()))
            }
        }
    }

    /// What the gateway is as a client of any authorization server (client-id metadata).
    fn client_document(&self) -> Result<Response, Problem> {
        let address = |path: &str| self.oauth.public(path).ok_or_else(no_public_url);
        let callback = address(CALLBACK)?;
        let document = json!({
            "client_id": address(CLIENT_DOCUMENT)?,
            "client_name": self.config.document.name,
            "client_uri": address("")?,
            "redirect_uris": [callback],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": sign_in::application(&callback),
        });
        Ok(json_answer(StatusCode::OK, document.to_string().into()))
    }

    /// Who asks, if that is somebody who may sign the gateway in.
    fn admin(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.keys.admit(headers, Access::Open).map_err(|refusal| refusal.problem().clone())?;
        if caller.admin {
            return Ok(caller);
        }
        if caller.key_name.is_some() {
            let sentence =
                "A sign-in serves all callers of the gateway, and is for keys with the `admin` right";
            return Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", sentence));
        }
        // A browser asks for a user's name and a password, which is the key.
        let sentence = "Give an API key with the `admin` right; in a browser, as the password";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", sentence);
        Err(problem.with_header(header::WWW_AUTHENTICATE, BASIC))
    }

    fn authorizer(&self, server: &str) -> Result<(Arc<Upstream>, Arc<Authorizer>), Problem> {
        let upstreams = self.gateway.catalog_builder().upstreams();
        let upstream = upstreams.iter().find(|upstream| upstream.name().as_str() == server);
        let upstream = upstream.ok_or_else(Problem::not_found)?;
        match upstream.authorizer().filter(|authorizer| authorizer.is_for_people()) {
            Some(authorizer) => Ok((upstream.clone(), authorizer.clone())),
            None => {
                let sentence = "Nobody signs in to this server: its entry has no `oauth` with the grant authorization_code";
                Err(Problem::new(StatusCode::NOT_FOUND, "no_sign_in", sentence))
            }
        }
    }
}

fn start_path(server: &str) -> String {
    format!("/oauth/{}/start", segment(server))
}

fn segment(server: &str) -> PercentEncode<'_> {
    utf8_percent_encode(server, NON_ALPHANUMERIC)
}

fn no_public_url() -> Problem {
    Problem::new(StatusCode::CONFLICT, "no_public_url", OAuthError::NoPublicUrl.to_string())
}

/// Only administrators get here, who may know why.
fn cannot_begin(error: &OAuthError) -> Problem {
    let status = match error {
        OAuthError::NoPublicUrl => return no_public_url(),
        OAuthError::Secret(_) | OAuthError::Url(_) => StatusCode::CONFLICT,
        OAuthError::OtherIssuer { .. } | OAuthError::Protocol(_) | OAuthError::SignIn => {
            StatusCode::BAD_GATEWAY
        }
    };
    Problem::new(status, "sign_in_failed", format!("The sign-in cannot begin: {error}"))
}

fn not_allowed(allow: &'static str) -> Problem {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed");
    problem.with_header(header::ALLOW, HeaderValue::from_static(allow))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("application/json"))
}

/// Whether a browser has the page from another host than `own`, so that a cookie set here would not come back there.
fn is_elsewhere(own: &str, headers: &HeaderMap) -> bool {
    let Ok(own) = Url::parse(own) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let here = host.and_then(|host| Url::parse(&format!("{}://{host}/", own.scheme())).ok());
    here.is_some_and(|here| here.origin() != own.origin())
}

/// 303: what was a form becomes a visit.
fn redirect(to: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(to).map_err(|_| Problem::internal())?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// For the callback alone, out of reach of scripts, and sent along when another site leads back to it.
fn cookie(own: &str, begun: &AuthorizationRequest) -> HeaderValue {
    let url = Url::parse(own).ok();
    let path = url.as_ref().map(|url| url.path().trim_end_matches('/')).unwrap_or_default();
    let secure = if url.as_ref().is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
    let seconds = sign_in::LIFETIME.as_secs();
    let (name, secret) = (&begun.cookie, &begun.secret);
    let text =
        format!("{name}={secret}; Path={path}{CALLBACK}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("a cookie is printable ASCII, as a URL's path is")
}

fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_place_and_others_nowhere() {
        let start = |server: &str| Some(Place::Start(server.to_owned()));
        for (path, place) in [
            ("/oauth/callback", Some(Place::Callback)),
            ("/oauth/client-metadata.json", Some(Place::ClientDocument)),
            ("/oauth/a/start", start("a")),
            ("/oauth/a%20b/start", start("a b")),
            ("/oauth/callback/start", start("callback")),
            ("/oauth//start", None),
            ("/oauth/a/b/start", None),
            ("/oauth/a%2Fb/start", None),
            ("/oauth/start", None),
            ("/oauth", None),
            ("/a/oauth/callback", None),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn the_cookie_is_for_the_callback_alone_and_secure_where_the_gateway_is() {
        let begun = AuthorizationRequest { url: String::new(), cookie: "c".into(), secret: "s".into() };
        let text = |own: &str| cookie(own, &begun).to_str().unwrap().to_owned();
        let plain = "c=s; Path=/oauth/callback; Max-Age=600; HttpOnly; SameSite=Lax";
        assert_eq!(text("http://a.test:1"), plain);
        let secure = "c=s; Path=/tools/oauth/callback; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(text("https://a.test/tools"), secure);
    }

    #[test]
    fn another_host_than_the_public_one_is_elsewhere() {
        let elsewhere = |host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            is_elsewhere("https://mcp.test", &headers)
        };
        assert!(!elsewhere("mcp.test") && !elsewhere("MCP.test:443"));
        assert!(elsewhere("mcp.test:8000") && elsewhere("127.0.0.1"));
    }
}
