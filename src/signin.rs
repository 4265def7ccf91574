//! Sign-in, by users and to servers with a browser: its start, its callback, and the metadata of the gateway as a client.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /oauth/{server}/start` | a page that asks whether to sign in; for `admin` keys, also as the password of Basic |
//! | `POST /oauth/{server}/start` | begins: leads the browser to the authorization server, or names its address as JSON |
//! | `GET /oauth/callback` | where the authorization server sends the browser back to |
//! | `GET /oauth/client-metadata.json` | the document that describes the gateway as a client |
//! | `GET /.well-known/oauth-protected-resource` | where users sign in ([`resource`]) |
//! | `GET /.well-known/oauth-authorization-server`, `openid-configuration` | the gateway's own authorization server ([`server`]) |
//! | `GET /oauth/authorize` | its page, which asks for an API key ([`authorize`]) |
//! | `POST /oauth/authorize` | the answer of a person |
//! | `POST`, `DELETE /oauth/page` | signs a browser in at the status page and Swagger UI, and out ([`page_cookie`]) |
//! | `POST /oauth/register`, `/oauth/token`, `/oauth/revoke` | for clients ([`server`]) |
//!
//! Addresses are made from `publicUrl` alone, never from a request's Host: a code that was sent to another address would open the
//! server to it.

pub mod authorize;
mod form;
mod key_page;
mod page;
pub mod page_cookie;
pub mod resource;
pub mod server;
mod typed_key;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::{method_not_allowed, redirect};
use crate::http::auth::BASIC;
use crate::http::page::cookie_of;
use crate::http::protected_resource::ProtectedResources;
use crate::http::{Access, BodyBudget, Keys, Problem, json_answer};
use crate::protocol::media_type::{self, JSON};
use crate::upstream::oauth::sign_in::{
    AuthorizationCallback, AuthorizationRequest, CLIENT_DOCUMENT, LIFETIME, SignInError, application,
    cookie_name,
};
use crate::upstream::oauth::{CALLBACK, OAuthError};
use crate::upstream::{Authorizer, OAuth, Upstream};
use form::FormReader;

/// Says that the browser was led to the gateway's own address already.
const HERE: &str = "here";

/// The sign-ins under one configuration.
#[derive(Debug)]
pub struct SignIn {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    oauth: Arc<OAuth>,
    resources: ProtectedResources,
    forms: FormReader,
}

/// `GET /oauth/{server}/start`: asks whether to sign in.
pub async fn ask(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (own, _) = sign_in.starting(&headers, &server).await?;
    if query.as_deref() != Some(HERE) && is_elsewhere(&own, &headers) {
        let start = sign_in.oauth.public(&format!("{}?{HERE}", start_path(&server)));
        return redirect(StatusCode::SEE_OTHER, &start.ok_or_else(no_public_url)?);
    }
    Ok(page::question(&server, &format!("{own}{}", start_path(&server))))
}

/// `POST /oauth/{server}/start`: begins the sign-in.
pub async fn begin(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (own, authorizer) = sign_in.starting(&headers, &server).await?;
    let begun = authorizer.begin().await.map_err(|error| {
        tracing::warn!(mcp_server = %server, "a sign-in to {server} could not begin: {error}");
        cannot_begin(&error)
    })?;
    let cookie = cookie(&own, &begun);
    let mut response = match media_type::is_accepted(&headers, JSON) {
        true => json_answer(StatusCode::OK, json!({ "authorizationUrl": begun.url }).to_string().into()),
        // The form's `POST` becomes a `GET`.
        false => redirect(StatusCode::SEE_OTHER, &begun.url)?,
    };
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Any other method at `/oauth/{server}/start`.
pub async fn not_allowed() -> Problem {
    method_not_allowed("GET, HEAD, POST")
}

/// `GET /oauth/callback`: ends the sign-in. The browser has no key, but the cookie of the sign-in that it began.
pub async fn callback(
    State(sign_in): State<Arc<SignIn>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut returned = AuthorizationCallback::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "state" => returned.state = value.into_owned(),
            "code" => returned.code = Some(value.into_owned()),
            "iss" => returned.issuer = Some(value.into_owned()),
            "error" => returned.error = Some(value.into_owned()),
            _ => {}
        }
    }
    let name = cookie_name(&returned.state);
    let secret = cookie_of(&headers, &name);
    match sign_in.oauth.sign_ins().finish(returned, secret.as_deref()).await {
        Ok(authorizer) => {
            let server = authorizer.server().as_str();
            if let Ok((upstream, _)) = sign_in.authorizer(server) {
                upstream.retry();
            }
            let home = sign_in.oauth.public(&format!("/#/{}", segment(server))).unwrap_or_default();
            page::done(server, &sign_in.config.document.name, &home)
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
            page::failed(status, &error.to_string())
        }
    }
}

/// `GET /oauth/client-metadata.json`: describes the gateway as a client of any authorization server.
pub async fn client_document(State(sign_in): State<Arc<SignIn>>) -> Result<Response, Problem> {
    let address = |path: &str| sign_in.oauth.public(path).ok_or_else(no_public_url);
    let callback = address(CALLBACK)?;
    let document = json!({
        "client_id": address(CLIENT_DOCUMENT)?,
        "client_name": sign_in.config.document.name,
        "client_uri": address("")?,
        "redirect_uris": [callback],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": application(&callback),
    });
    Ok(json_answer(StatusCode::OK, document.to_string().into()))
}

impl SignIn {
    /// `bodies` is the memory that large bodies share on all routes.
    pub fn new(
        gateway: Arc<Gateway>,
        keys: Arc<Keys>,
        config: Arc<Config>,
        oauth: Arc<OAuth>,
        bodies: BodyBudget,
    ) -> Self {
        let resources = ProtectedResources::new(&config.listen, config.single);
        let forms = FormReader::new(&config.limits, bodies);
        Self { gateway, keys, config, oauth, resources, forms }
    }

    /// The gateway's own address, and the sign-in to `server`, for a caller that may begin it.
    async fn starting(
        &self,
        headers: &HeaderMap,
        server: &str,
    ) -> Result<(String, Arc<Authorizer>), Problem> {
        self.check_admin(headers).await?;
        let (_, authorizer) = self.authorizer(server)?;
        Ok((self.oauth.public("").ok_or_else(no_public_url)?, authorizer))
    }

    /// Refuses a caller without the `admin` right.
    async fn check_admin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let caller =
            self.keys.admit(headers, Access::Open).await.map_err(|refusal| refusal.problem().clone())?;
        if caller.admin {
            return Ok(());
        }
        if !caller.principal.is_anonymous() {
            let sentence =
                "A sign-in serves all callers of the gateway, and is for keys with the `admin` right";
            return Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", sentence));
        }
        // A browser asks for a user's name and a password, which is the key.
        let sentence = "Give an API key with the `admin` right; in a browser, as the password";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", sentence);
        Err(problem.with_header(header::WWW_AUTHENTICATE, BASIC))
    }

    /// The server and the sign-in to it.
    fn authorizer(&self, server: &str) -> Result<(Arc<Upstream>, Arc<Authorizer>), Problem> {
        let upstreams = self.gateway.catalog_builder().upstreams();
        let upstream = upstreams.iter().find(|upstream| upstream.name().as_str() == server);
        let upstream = upstream.ok_or_else(Problem::not_found)?;
        match upstream.authorizer().filter(|authorizer| authorizer.is_for_people()) {
            Some(authorizer) => Ok((upstream.clone(), authorizer.clone())),
            None => {
                let sentence = "This server needs no sign-in: its entry has no `oauth` with the grant authorization_code";
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

/// Only administrators get here, so the sentence may say why.
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

/// Whether a browser has the page from another host than `own`, so that a cookie set here would not come back there.
fn is_elsewhere(own: &str, headers: &HeaderMap) -> bool {
    let Ok(own) = Url::parse(own) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let here = host.and_then(|host| Url::parse(&format!("{}://{host}/", own.scheme())).ok());
    here.is_some_and(|here| here.origin() != own.origin())
}

/// For the callback alone, out of reach of scripts, and sent along when another site leads back to it.
fn cookie(own: &str, begun: &AuthorizationRequest) -> HeaderValue {
    let url = Url::parse(own).ok();
    let path = url.as_ref().map(|url| url.path().trim_end_matches('/')).unwrap_or_default();
    let secure = if url.as_ref().is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
    let seconds = LIFETIME.as_secs();
    let (name, secret) = (&begun.cookie, &begun.secret);
    let text =
        format!("{name}={secret}; Path={path}{CALLBACK}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("a cookie is printable ASCII, as a URL's path is")
}

#[cfg(test)]
mod tests {
    use super::*;

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
