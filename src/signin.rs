//! Sign-in, by users and to servers with a browser: its start, its callback, and the metadata of the gateway as a client.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /oauth/{server}/start` | a page that asks whether to sign in; for `admin` keys, also as the password of Basic |
//! | `POST /oauth/{server}/start` | begins: leads the browser to the authorization server, or names its address as JSON |
//! | `POST /oauth/{server}/user` | has the browser prove its user at an issuer (`user_proof`) |
//! | `GET /oauth/user/callback` | where that issuer sends the browser back to |
//! | `POST /oauth/{server}/sign-out` | ends the caller's own sign-in, at a server where each user has one |
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
mod cookie;
mod form;
mod key_page;
mod page;
pub mod page_cookie;
pub mod resource;
pub mod server;
mod starting;
mod typed_key;
mod user_proof;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::json;
use url::{Url, form_urlencoded};

use self::cookie::{callback_cookie, set_cookie};
use self::starting::Starting;
use self::user_proof::{ProvenRequest, UserProofs};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::{method_not_allowed, redirect};
use crate::http::page::cookie_of;
use crate::http::protected_resource::ProtectedResources;
use crate::http::{BodyBudget, Keys, Problem, json_answer};
use crate::protocol::media_type::{self, JSON};
use crate::seal::SealSecrets;
use crate::upstream::OAuth;
use crate::upstream::oauth::sign_in::{
    AuthorizationCallback, CLIENT_DOCUMENT, SignInError, application, cookie_name,
};
use crate::upstream::oauth::{CALLBACK, OAuthError};
use form::FormReader;

/// Says that the user has an API key.
const BY_KEY: &str = "key";

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
    proofs: UserProofs,
}

/// `GET /oauth/{server}/start`: asks whether to sign in.
pub async fn ask(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let starting = sign_in.starting(&headers, &server).await;
    let issuers: Vec<_> = sign_in.keys.users().of_browsers().collect();
    let own = sign_in.oauth.public("");
    if let (Err(problem), Some(own), false) = (&starting, &own, issuers.is_empty())
        && problem.status() == StatusCode::UNAUTHORIZED
        && !headers.contains_key(header::AUTHORIZATION)
        && query.as_deref() != Some(BY_KEY)
        && sign_in.has_own_sign_ins()
    {
        return Ok(page::strangers(&server, &format!("{own}/oauth/{}", segment(&server)), &issuers));
    }
    let Starting { own, authorizer, user } = starting?;
    if query.as_deref() != Some(HERE) && is_elsewhere(&own, &headers) {
        let start = sign_in.oauth.public(&format!("{}?{HERE}", start_path(&server)));
        return redirect(StatusCode::SEE_OTHER, &start.ok_or_else(no_public_url)?);
    }
    let user = user.map(|user| (user, authorizer.has_tokens()));
    Ok(page::question(&server, &format!("{own}/oauth/{}", segment(&server)), user.as_ref()))
}

/// `POST /oauth/{server}/start`: begins the sign-in.
pub async fn begin(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Starting { own, authorizer, .. } = sign_in.starting(&headers, &server).await?;
    sign_in.lead(&headers, &server, &own, &authorizer).await
}

/// `POST /oauth/{server}/user?issuer=NUMBER`: has the browser prove its user at that issuer.
pub async fn prove(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let own = sign_in.oauth.public("").ok_or_else(no_public_url)?;
    let query = query.unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let issuer = pairs.iter().find(|(name, _)| name == "issuer").and_then(|(_, value)| value.parse().ok());
    let (Some(issuer), true) = (issuer, sign_in.has_own_sign_ins()) else { return Err(Problem::not_found()) };
    let signs_out = pairs.iter().any(|(name, _)| name == "sign-out");
    let begun =
        sign_in.proofs.begin(&sign_in.keys, &own, issuer, ProvenRequest { server, signs_out }).await?;
    let mut response = redirect(StatusCode::SEE_OTHER, &begun.url)?;
    set_cookie(&mut response, callback_cookie(&own, user_proof::CALLBACK, &begun));
    Ok(response)
}

/// `GET /oauth/user/callback`: ends the proof, and goes on with what the user wants.
pub async fn proven(
    State(sign_in): State<Arc<SignIn>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let own = sign_in.oauth.public("").ok_or_else(no_public_url)?;
    let returned = AuthorizationCallback::of(query.as_deref());
    let sealed = cookie_of(&headers, &cookie_name(&returned.state));
    let parts = (&*returned.state, returned.code.as_deref(), returned.issuer.as_deref());
    let proven = sign_in.proofs.finish(&sign_in.keys, &own, parts, sealed.as_deref()).await;
    let (caller, ProvenRequest { server, signs_out }) = match proven {
        Ok(proven) => proven,
        Err(problem) => return Ok(page::failed(problem.status(), problem.detail())),
    };
    let Starting { authorizer, .. } = sign_in.starting_for(&caller, &server).await?;
    if signs_out {
        sign_in.end(&server, &authorizer).await?;
        return Ok(page::signed_out(&server));
    }
    sign_in.lead(&headers, &server, &own, &authorizer).await
}

/// `POST /oauth/{server}/sign-out`: ends the sign-in of the caller alone.
pub async fn sign_out(
    State(sign_in): State<Arc<SignIn>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Starting { own, authorizer, user } = sign_in.starting(&headers, &server).await?;
    if user.is_none() {
        let sentence =
            "A sign-in to this server serves all callers of the gateway; withdraw the gateway's access there";
        return Err(Problem::new(StatusCode::CONFLICT, "not_own_sign_in", sentence));
    }
    sign_in.end(&server, &authorizer).await?;
    match media_type::is_accepted(&headers, JSON) {
        true => Ok(json_answer(StatusCode::OK, json!({ "signedOut": server }).to_string().into())),
        false => redirect(StatusCode::SEE_OTHER, &format!("{own}{}", start_path(&server))),
    }
}

/// `GET /oauth/{server}/sign-out`, and any other method there.
pub async fn only_post() -> Problem {
    method_not_allowed("POST")
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
    let returned = AuthorizationCallback::of(query.as_deref());
    let name = cookie_name(&returned.state);
    let secret = cookie_of(&headers, &name);
    let find = |server: &str, user: Option<&str>| {
        let (upstream, of_all) = sign_in.authorizer(server).ok()?;
        match (user, upstream.users()) {
            (Some(user), Some(users)) => Some(users.of(&user.into())),
            (None, None) => Some(of_all),
            _ => None,
        }
    };
    match sign_in.oauth.sign_ins().finish(returned, secret.as_deref(), find).await {
        Ok(authorizer) => {
            let server = authorizer.server().as_str();
            if let Ok((upstream, _)) = sign_in.authorizer(server) {
                upstream.retry();
            }
            let home = sign_in.oauth.public(&format!("/#/{}", segment(server))).unwrap_or_default();
            page::done(server, &sign_in.config.document.name, &home, authorizer.user().is_some())
        }
        Err(error) => {
            tracing::warn!("a sign-in came to nothing: {error}");
            let status = match &error {
                SignInError::Failed(_) => StatusCode::BAD_GATEWAY,
                SignInError::Gone => StatusCode::CONFLICT,
                SignInError::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
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
    /// `bodies` is the memory that large bodies share on all routes; `secrets` seal what browsers keep.
    pub fn new(
        gateway: Arc<Gateway>,
        keys: Arc<Keys>,
        config: Arc<Config>,
        oauth: Arc<OAuth>,
        bodies: BodyBudget,
        secrets: &SealSecrets,
    ) -> Self {
        let resources = ProtectedResources::new(&config.listen, config.single);
        let forms = FormReader::new(&config.limits, bodies);
        let proofs = UserProofs::new(secrets);
        Self { gateway, keys, config, oauth, resources, forms, proofs }
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

/// Whether a browser has the page from another host than `own`, so that a cookie set here would not come back there.
fn is_elsewhere(own: &str, headers: &HeaderMap) -> bool {
    let Ok(own) = Url::parse(own) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let here = host.and_then(|host| Url::parse(&format!("{}://{host}/", own.scheme())).ok());
    here.is_some_and(|here| here.origin() != own.origin())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
