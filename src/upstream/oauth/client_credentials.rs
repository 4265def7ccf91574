//! Tokens without a person: client credentials (RFC 6749, section 4.4), where the gateway signs in as itself by a secret or
//! by a private key, and those in exchange for another token: one that vouches for its workload (RFC 7523, section 2.1)
//! or a user, or the caller's own (RFC 8693).

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::config::OAuthGrant;
use crate::upstream::http_client::basic_authorization;
use crate::upstream::oauth::assertion;
use crate::upstream::oauth::authorizer::{AuthorizationServer, Authorizer, OAuthError};
use crate::upstream::oauth::dpop;
use crate::upstream::oauth::token_store::token::Token;

/// Where the ways are listed in which clients may prove themselves.
const METHODS: &str = "token_endpoint_auth_methods_supported";

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
    error_description: Option<String>,
}

impl Authorizer {
    /// Asks for a token with `scopes`.
    pub(super) async fn own_token(
        &self,
        found: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<Token, OAuthError> {
        let failed = |text: &str| OAuthError::Protocol(text.to_owned());
        let endpoint = Url::parse(&found.metadata.token_endpoint)
            .map_err(|_| failed("the authorization server's `token_endpoint` is no address"))?;
        let (form, authorization) = self.question(found, scopes).await?;
        let asked = SystemTime::now();
        let answer = found.http.post_form(&endpoint, form, authorization).await;
        let answer = answer.map_err(|error| failed(&error.to_string()))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            let why = match serde_json::from_slice(answer.body()) {
                Ok(TokenRefusal { error, error_description: Some(words) }) => format!(": {error}: {words}"),
                Ok(TokenRefusal { error, .. }) => format!(": {error}"),
                Err(_) => format!(" with HTTP status {status}"),
            };
            return Err(failed(&format!("the authorization server refuses a token{why}")));
        }
        // The error's own text could quote the token.
        let granted: Granted = serde_json::from_slice(answer.body())
            .map_err(|_| failed("the authorization server's answer is no token"))?;
        if !self.store.can_use(&granted.token_type) {
            return Err(failed(self.store.wanted_type()));
        }
        let is_bound = granted.token_type.eq_ignore_ascii_case(dpop::SCHEME);
        let prover = if is_bound { self.store.prover() } else { None };
        let lifetime = granted.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let token = Token::new(&granted.access_token, asked, lifetime, prover);
        token.ok_or_else(|| failed("the authorization server's token cannot stand in a header"))
    }

    /// The token that is exchanged; `None` where the gateway is itself.
    async fn assertion(
        &self,
        found: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<Option<String>, OAuthError> {
        match self.config.grant {
            OAuthGrant::AuthorizationCode | OAuthGrant::ClientCredentials => Ok(None),
            OAuthGrant::IdJag => self.identity_assertion(found, scopes).await.map(Some),
            OAuthGrant::TokenExchange if self.user.is_some() => match &*self.subject.load() {
                Some(token) => Ok(Some(token.expose_secret().to_owned())),
                None => {
                    let text =
                        "the caller has no token to exchange: it must sign in at an issuer of `signIn`";
                    Err(OAuthError::Protocol(text.to_owned()))
                }
            },
            OAuthGrant::TokenExchange | OAuthGrant::JwtBearer => {
                self.secret_of(self.config.assertion.as_ref()).await
            }
        }
    }

    /// The form that asks for a token, and the header beside it.
    async fn question(
        &self,
        found: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<(String, Option<HeaderValue>), OAuthError> {
        let id = self.config.client_id.as_deref().unwrap_or_default();
        // Read each time: such tokens live for minutes, and another program keeps them up to date.
        let assertion = self.assertion(found, scopes).await?;
        let key = self.secret_of(self.config.private_key.as_ref()).await?;
        let secret = self.secret_of(self.config.client_secret.as_ref()).await?;
        let mut form = Serializer::new(String::new());
        match &assertion {
            None => form.append_pair("grant_type", "client_credentials"),
            Some(token) if self.config.grant == OAuthGrant::TokenExchange => {
                let subject_type = self.config.subject_type.as_deref().unwrap_or(ACCESS_TOKEN);
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
                    .append_pair("subject_token", token)
                    .append_pair("subject_token_type", subject_type)
                    .append_pair("requested_token_type", ACCESS_TOKEN)
            }
            Some(assertion) => form.append_pair("grant_type", JWT_BEARER).append_pair("assertion", assertion),
        };
        if let Some(audience) = &self.config.audience {
            form.append_pair("audience", audience);
        }
        // The assertion of an identity provider says for what it is; to repeat that could undo its limits.
        if self.config.grant != OAuthGrant::IdJag {
            form.append_pair("resource", &found.resource);
            if !scopes.is_empty() {
                form.append_pair("scope", &scopes.join(" "));
            }
        }
        let mut authorization = None;
        if let Some(key) = &key {
            let audience = found.metadata.issuer.as_deref().unwrap_or(&found.metadata.token_endpoint);
            let proof = assertion::sign(key, id, audience).map_err(OAuthError::Secret)?;
            form.append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            );
            form.append_pair("client_assertion", &proof);
        } else if assertion.is_some() && secret.is_none() {
            // The assertion names the gateway; some servers want its client id besides.
            if !id.is_empty() {
                form.append_pair("client_id", id);
            }
        } else {
            let secret = secret.unwrap_or_default();
            // Basic is what counts where nothing is listed (RFC 8414, section 2).
            let basic = found.supports(METHODS, "client_secret_basic").unwrap_or(true);
            if !basic && found.supports(METHODS, "client_secret_post") == Some(true) {
                form.append_pair("client_id", id).append_pair("client_secret", &secret);
            } else {
                authorization = Some(basic_header(id, &secret));
            }
        }
        Ok((form.finish(), authorization))
    }
}

/// RFC 6749, section 2.3.1: both halves are form-encoded first.
pub(super) fn basic_header(id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    basic_authorization(encoded(id).as_bytes(), encoded(secret).as_bytes())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_halves_of_basic_are_encoded_so_that_a_colon_parts_them() {
        let header = basic_header("a:b", "p w/ü");
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let text = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(text, "a%3Ab:p+w%2F%C3%BC");
    }
}
