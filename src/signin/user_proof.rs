//! Has a browser show which user of an issuer it belongs to, before that user signs in to a server of its own accord.
//!
//! The browser gets the user an access token for the gateway itself (authorization code with PKCE), which is checked as
//! that of any request. A stranger may begin a proof, so one under way takes no memory: its browser has it sealed in a
//! cookie. The issuer takes the code of a proof once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::Serializer;

use crate::catalog::Caller;
use crate::http::{Access, Keys, Problem};
use crate::issuer::TokenError;
use crate::seal::{SealSecrets, Sealer, random};
use crate::unix_time::now;
use crate::upstream::oauth::pending::LIFETIME;
use crate::upstream::oauth::sign_in::{AuthorizationRequest, cookie_name};

/// The path below `publicUrl` that issuers send browsers back to. Not that of servers, so that neither answers for the other.
pub const CALLBACK: &str = "/oauth/user/callback";

/// Seals the proofs under way.
#[derive(Debug)]
pub struct UserProofs(Sealer);

#[derive(Serialize, Deserialize)]
struct PendingProof {
    /// Names the proof in the address that the browser comes back to.
    state: String,
    until: u64,
    /// The place of the issuer, and its address.
    issuer: (usize, String),
    verifier: String,
    then: ProvenRequest,
}

/// The request of a browser that waits for the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenRequest {
    pub server: String,
    pub signs_out: bool,
}

impl UserProofs {
    /// Proofs that end at any gateway with these `secrets`.
    pub fn new(secrets: &SealSecrets) -> Self {
        Self(secrets.sealer("user proof"))
    }

    /// Begins a proof at the issuer at the place `issuer`. `own` is the gateway's own address.
    pub async fn begin(
        &self,
        keys: &Keys,
        own: &str,
        issuer: usize,
        then: ProvenRequest,
    ) -> Result<AuthorizationRequest, Problem> {
        let (server, client) = keys.users().browser_issuer(issuer).ok_or_else(Problem::not_found)?;
        let mut url = server.authorization_endpoint().await.map_err(|error| unreachable(&error))?;
        let [state, verifier] = [unguessable()?, unguessable()?];
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let scopes = keys.users().scopes();
        // Some issuers give nothing to a client that asks for nothing.
        let scopes = if scopes.is_empty() { "openid".to_owned() } else { scopes.join(" ") };
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("response_type", "code").append_pair("client_id", &client.id);
            query.append_pair("redirect_uri", &format!("{own}{CALLBACK}")).append_pair("state", &state);
            query.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
            query.append_pair("resource", &format!("{own}/mcp"));
            query.append_pair("scope", &scopes);
        }
        let cookie = cookie_name(&state);
        let (issuer, until) = ((issuer, server.address.to_string()), now() + LIFETIME.as_secs());
        let secret = self.0.seal_json("", &PendingProof { state, until, issuer, verifier, then });
        Ok(AuthorizationRequest { url: url.into(), cookie, secret: secret.map_err(|_| Problem::internal())? })
    }

    /// Ends the proof that a browser came back from, with its cookie `sealed`. Gives the caller that it is.
    pub async fn finish(
        &self,
        keys: &Keys,
        own: &str,
        (state, code, named): (&str, Option<&str>, Option<&str>),
        sealed: Option<&str>,
    ) -> Result<(Caller, ProvenRequest), Problem> {
        let refused = |sentence: &'static str| Problem::new(StatusCode::BAD_REQUEST, "no_proof", sentence);
        let proof = sealed.and_then(|sealed| self.0.open_json::<PendingProof>("", sealed));
        let proof = proof.filter(|proof| proof.state == state && now() < proof.until).ok_or_else(|| {
            refused("this sign-in is not under way in this browser: it is over, or was begun in another one")
        })?;
        let (place, address) = proof.issuer;
        let issuer = keys.users().browser_issuer(place).filter(|(server, _)| *server.address == *address);
        let (server, client) = issuer.ok_or_else(Problem::not_found)?;
        if named.is_some_and(|named| named != server.address) {
            return Err(refused("the answer is not from the issuer that was asked"));
        }
        let code = code.ok_or_else(|| refused("the issuer did not sign you in"))?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &format!("{own}{CALLBACK}"))
            .append_pair("code_verifier", &proof.verifier)
            .append_pair("resource", &format!("{own}/mcp"))
            .finish();
        let token = server.exchange(client, form).await.map_err(|error| unreachable(&error))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let bearer = bearer.map_err(|_| refused("the issuer's token cannot stand in a header"))?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]);
        let caller = keys.admit(&headers, Access::Call).await.map_err(|refusal| refusal.problem().clone())?;
        Ok((caller, proof.then))
    }
}

fn unguessable() -> Result<String, Problem> {
    let bytes = random::<32>().map_err(|_| Problem::internal())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn unreachable(error: &TokenError) -> Problem {
    tracing::warn!("a user could not be signed in: {error}");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "issuer_unreachable",
        "The issuer of your account did not answer as it should",
    )
}
