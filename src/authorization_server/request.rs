//! What a client asks for when it leads a browser here, and its form until a person answers.

use serde::{Deserialize, Serialize};
use url::Url;

use super::client::OAuthClient;
use super::error::RequestFault;
use super::parameters::Parameters;

/// How long a person may take to answer, in seconds.
pub const PENDING_FOR: u64 = 600;
/// The longest `state` and `scope`, in bytes: they go through the form.
const STATE_LENGTH: usize = 4096;
const SCOPE_LENGTH: usize = 512;
/// The length of a challenge: a digest in base64url.
const CHALLENGE_LENGTH: usize = 43;

/// A client that asks for a sign-in, and may.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInRequest {
    pub client_id: String,
    pub client_name: String,
    pub redirect_uri: String,
    pub state: Option<String>,
    pub challenge: String,
    pub resource: Option<String>,
    pub scope: Option<String>,
}

/// A request whose page a browser has.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingPage {
    pub request: SignInRequest,
    /// The secret in the cookie of the browser.
    pub secret: String,
    pub until: u64,
}

impl SignInRequest {
    /// The request in `parameters` of `client`.
    ///
    /// `is_resource` tells the addresses of this gateway, and `issuer` is its own.
    ///
    /// # Errors
    ///
    /// What is wrong. The client is told only at an address that is its own, and only by a person (RFC 9700 section
    /// 4.11.2): a stranger may have registered it to lead people somewhere.
    pub fn new(
        parameters: &Parameters,
        client_id: &str,
        client: &OAuthClient,
        issuer: &str,
        is_resource: impl Fn(&str) -> bool,
    ) -> Result<Self, RequestFault> {
        let uri = parameters.get("redirect_uri").filter(|uri| client.may_return_to(uri));
        let uri = uri.ok_or(RequestFault::Untrusted(
            "the address that the client wants to get the answer at is not one that it has registered",
        ))?;
        let text = |name: &str, most: usize| match parameters.get(name) {
            Some(text) if text.len() > most => Err("`state` or `scope` is too long"),
            text => Ok(text.map(str::to_owned)),
        };
        let check = || {
            if parameters.get("response_type") != Some("code") {
                return Err(("unsupported_response_type", "`response_type` must be `code`"));
            }
            if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
                return Err(("invalid_request", "`response_mode` can only be `query`"));
            }
            if parameters.get("request").is_some() || parameters.get("request_uri").is_some() {
                return Err(("request_not_supported", "requests as objects are not supported"));
            }
            let challenge = parameters.get("code_challenge").filter(|challenge| is_challenge(challenge));
            let (Some(challenge), Some("S256")) = (challenge, parameters.get("code_challenge_method")) else {
                return Err(("invalid_request", "PKCE with S256 is needed"));
            };
            let resource = parameters.get("resource");
            if resource.is_some_and(|resource| !is_resource(resource)) {
                return Err(("invalid_target", "`resource` is not an address of this gateway"));
            }
            let invalid = |why| ("invalid_request", why);
            Ok(Self {
                client_id: client_id.to_owned(),
                client_name: client.name.clone(),
                redirect_uri: uri.to_owned(),
                state: text("state", STATE_LENGTH).map_err(invalid)?,
                challenge: challenge.to_owned(),
                resource: resource.map(str::to_owned),
                scope: text("scope", SCOPE_LENGTH).map_err(invalid)?,
            })
        };
        check().map_err(|(error, why)| {
            let state = parameters.get("state").filter(|state| state.len() <= STATE_LENGTH);
            let answer = [("error", Some(error)), ("error_description", Some(why)), ("state", state)];
            RequestFault::Client { why, back: answer_at(uri, issuer, &answer) }
        })
    }

    /// Where the browser tells the client that the person declined.
    pub fn declined(&self, issuer: &str) -> String {
        let answer = [("error", Some("access_denied")), ("state", self.state.as_deref())];
        answer_at(&self.redirect_uri, issuer, &answer)
    }

    /// Where the browser brings `code` to.
    pub fn answered(&self, issuer: &str, code: &str) -> String {
        answer_at(&self.redirect_uri, issuer, &[("code", Some(code)), ("state", self.state.as_deref())])
    }
}

/// `uri` with an answer of `issuer` (RFC 9207).
fn answer_at(uri: &str, issuer: &str, answer: &[(&str, Option<&str>)]) -> String {
    let Ok(mut url) = Url::parse(uri) else { return uri.to_owned() };
    let mut query = url.query_pairs_mut();
    for (name, value) in answer.iter().copied().chain([("iss", Some(issuer))]) {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    drop(query);
    url.into()
}

fn is_challenge(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == CHALLENGE_LENGTH && text.bytes().all(is_base64)
}
