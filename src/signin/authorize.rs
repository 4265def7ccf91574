//! `/oauth/authorize`: a client leads a person's browser here, and the person lets it in with an API key.
//!
//! **Threats.** The page is the one place where people type keys, and anybody may register a client. So the browser is
//! led to an address only after a person has answered, and only to one that the client has registered; the form is bound to
//! its request and to the browser that asked for it (a cookie that no other site's form brings along); no page may frame it;
//! and wrong keys are slowed down.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::SignIn;
use super::cookie::strict_cookie;
use super::key_page::{self, KeyQuestion};
use super::typed_key::KeyRefusal;
use crate::authorization_server::{
    GrantError, PENDING_FOR, Parameters, RequestFault, ServerPaths, SignInRequest, SignInServer, host_of,
};
use crate::http::auth::is_foreign;
use crate::http::page::cookie_of;
use crate::http::{Peer, Problem};
use crate::json::{clip, hex};
use crate::protocol::media_type::FORM;
use crate::seal::SealError;

/// The cookies of open pages: each request has one of its own, so that two pages do not disturb each other.
const COOKIE: &str = "mcpo-authorize-";

/// `GET /oauth/authorize`: the page.
pub async fn ask(
    State(sign_in): State<Arc<SignIn>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let server = sign_in.own_server()?;
    let issuer = sign_in.resources.base(&headers);
    let request = match sign_in.requested(server, &query.unwrap_or_default(), &issuer, &headers).await {
        Ok(request) => request,
        Err(RequestFault::Untrusted(why)) => return Ok(key_page::refused(why, None)),
        Err(RequestFault::Client { why, back }) => {
            return Ok(key_page::refused(why, Some((host_of(&back).as_str(), back.as_str()))));
        }
    };
    let (form, secret) = server.pend(request.clone()).map_err(unsealed)?;
    let mut response = sign_in.question(&request, &form, &issuer, None);
    response.headers_mut().append(
        header::SET_COOKIE,
        strict_cookie(&issuer, (&cookie_name(&secret), &secret), ServerPaths::AUTHORIZE, PENDING_FOR),
    );
    Ok(response)
}

/// `POST /oauth/authorize`: the person's answer.
pub async fn answer(
    State(sign_in): State<Arc<SignIn>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let server = sign_in.own_server()?;
    let (head, body) = sign_in.forms.read(request, FORM).await?;
    let form = Parameters::read(&body).unwrap_or_default();
    let (sealed, key) = (form.get("request").unwrap_or_default(), form.get("key").unwrap_or_default());
    let Some(pending) = server.pending(sealed) else {
        let why = "the page was open for more than ten minutes, or is not one of this gateway; begin again in the program";
        return Ok(key_page::refused(why, None));
    };
    let cookie = cookie_of(&head.headers, &cookie_name(&pending.secret)).unwrap_or_default();
    if !bool::from(cookie.as_bytes().ct_eq(pending.secret.as_bytes())) || is_foreign(&head.headers) {
        let why = "the answer does not come from the browser that the page was made for; allow cookies for it, and \
                   begin again in the program";
        return Ok(key_page::refused(why, None));
    }
    let (issuer, request) = (sign_in.resources.base(&head.headers), &pending.request);
    if server.waits_for_store() {
        let why = GrantError::StoreAway.to_string();
        let refusal = (StatusCode::SERVICE_UNAVAILABLE, GrantError::StoreAway.code(), why.as_str());
        return Ok(sign_in.question(request, sealed, &issuer, Some(refusal)));
    }
    let client = clip(&request.client_name, 64);
    match sign_in.typed_key(server, peer, key, &format!("the client `{client}`")) {
        Ok(key) => {
            let code = server.code(request, key).map_err(unsealed)?;
            led_to(&request.answered(&issuer, &code))
        }
        Err(KeyRefusal { status, code, why }) => {
            Ok(sign_in.question(request, sealed, &issuer, Some((status, code, why.as_str()))))
        }
    }
}

impl SignIn {
    /// What a client asks for in `query`.
    async fn requested(
        &self,
        server: &SignInServer,
        query: &str,
        issuer: &str,
        headers: &HeaderMap,
    ) -> Result<SignInRequest, RequestFault> {
        let parameters = Parameters::read(query.as_bytes());
        let parameters =
            parameters.ok_or(RequestFault::Untrusted("a parameter of the request stands twice"))?;
        let id = parameters.get("client_id").unwrap_or_default();
        let client = server.client(id).await.ok_or(RequestFault::Untrusted(
            "it is not known here: its registration has ended, or the document that describes it cannot be read; \
             begin again in the program",
        ))?;
        let is_own = |resource: &str| self.resources.is_own(resource, headers);
        SignInRequest::new(&parameters, id, &client, issuer, is_own)
    }

    fn question(
        &self,
        request: &SignInRequest,
        form: &str,
        issuer: &str,
        refusal: Option<(StatusCode, &'static str, &str)>,
    ) -> Response {
        let question = KeyQuestion {
            gateway: &self.config.document.name,
            client: &request.client_name,
            host: &host_of(&request.redirect_uri),
            form,
            declined: &request.declined(issuer),
        };
        key_page::question(&question, refusal)
    }
}

fn led_to(address: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(address).map_err(|_| Problem::not_found())?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

fn cookie_name(secret: &str) -> String {
    format!("{COOKIE}{}", &hex(&Sha256::digest(secret))[..16])
}

pub(super) fn unsealed(error: SealError) -> Problem {
    tracing::error!("a sign-in cannot go on: {error}");
    Problem::internal()
}
