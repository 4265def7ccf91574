//! One access token: its header, its claims, and the checks that need no issuer.

use std::fmt;
use std::time::{Duration, SystemTime};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::TokenError;
use super::signature::{self, ACCEPTED};

/// How far the clocks of a gateway and an issuer may differ, in seconds.
const LEEWAY: u64 = 30;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// A token that was accepted.
#[derive(Debug, Clone)]
pub struct AcceptedToken {
    pub claims: Claims,
    /// When it ends, or is to be asked about again.
    pub until: SystemTime,
}

/// The values of which a token's `aud` must hold one. An entry that ends in `/*` stands for all addresses below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(pub Vec<String>);

/// The gateway as a client that asks an issuer about tokens.
#[derive(Debug)]
pub struct IntrospectionSecret {
    pub id: String,
    pub secret: SecretString,
}

/// A secret that an issuer shares with the gateway.
pub struct SharedSecret(DecodingKey);

impl fmt::Debug for SharedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl SharedSecret {
    /// `None` for an empty one.
    pub fn new(secret: &str) -> Option<Self> {
        signature::install();
        DecodingKey::from_secret(secret.as_bytes()).ok().filter(|_| !secret.is_empty()).map(Self)
    }
}

/// The issuer that a JWT names, before anything of it is checked; `None` for a token that is no JWT.
pub fn issuer_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct IssuerClaim {
        iss: String,
    }
    decode_header(token).ok()?;
    Some(insecure_decode_claims::<IssuerClaim>(token).ok()?.iss)
}

/// The header of a JWT whose algorithm and type are accepted.
pub fn header_of(token: &str) -> Result<Header, TokenError> {
    let header = decode_header(token).map_err(|error| match error.kind() {
        // `none`, and what the crate has no name for.
        ErrorKind::Json(_) => TokenError::Algorithm("of its header".to_owned()),
        _ => TokenError::Malformed,
    })?;
    if !ACCEPTED.contains(&header.alg) {
        return Err(TokenError::Algorithm(format!("{:?}", header.alg)));
    }
    // RFC 9068 has `at+jwt`. Many issuers say `JWT` of every token, so `claims_of` tells an ID token by its claims.
    let is_accepted = |typ: &String| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "at+jwt" | "jwt")
    };
    match header.typ.as_ref().is_none_or(is_accepted) {
        true => Ok(header),
        false => Err(TokenError::NotAccess),
    }
}

/// The claims of a JWT of `issuer` that `key` signed.
pub fn claims_of(
    token: &str,
    header: &Header,
    key: &DecodingKey,
    issuer: &str,
    audience: &Audience,
) -> Result<AcceptedToken, TokenError> {
    let claims = decoded(token, key, header.alg, issuer)?;
    // Claims of OpenID's ID token, which is for the client alone.
    if header.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("jwt"))
        && ["nonce", "at_hash", "c_hash"].iter().any(|claim| claims.contains_key(*claim))
    {
        return Err(TokenError::NotAccess);
    }
    accepted(claims, audience)
}

/// The claims of a JWT that `issuer` signed with a secret which it shares with the gateway (HS256).
pub fn claims_by_secret(token: &str, secret: &SharedSecret, issuer: &str) -> Result<Claims, TokenError> {
    let claims = decoded(token, &secret.0, Algorithm::HS256, issuer)?;
    subject_of(&claims)?;
    Ok(claims)
}

/// The claims of a JWT of `issuer` that `key` signed, in its time. The audience is for the caller to compare: an issuer may
/// write one text or a list, and an audience may be a pattern.
fn decoded(token: &str, key: &DecodingKey, algorithm: Algorithm, issuer: &str) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    let decoded = decode::<Claims>(token, key, &validation).map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYet,
        ErrorKind::InvalidIssuer => TokenError::Unknown,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm("of its header".to_owned()),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            TokenError::Claim(claim.clone())
        }
        ErrorKind::InvalidSignature => TokenError::Signature,
        _ => TokenError::Malformed,
    })?;
    Ok(decoded.claims)
}

/// The user, as its issuer names it.
fn subject_of(claims: &Claims) -> Result<&str, TokenError> {
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    subject.ok_or_else(|| TokenError::Claim("sub".to_owned()))
}

/// `claims` for this audience.
pub fn accepted(claims: Claims, audience: &Audience) -> Result<AcceptedToken, TokenError> {
    audience.check(claims.get("aud"))?;
    subject_of(&claims)?;
    let seconds = claims.get("exp").and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
    let until = seconds
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?));
    let until = until.ok_or_else(|| TokenError::Claim("exp".to_owned()))?;
    Ok(AcceptedToken { claims, until: until + Duration::from_secs(LEEWAY) })
}

impl Audience {
    fn check(&self, audience: Option<&Value>) -> Result<(), TokenError> {
        let has = |value: &Value| value.as_str().is_some_and(|value| self.holds(value));
        let is_for_us = match audience {
            Some(Value::Array(values)) => values.iter().any(has),
            Some(value) => has(value),
            None => false,
        };
        if is_for_us {
            return Ok(());
        }
        Err(TokenError::Audience(self.0.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")))
    }

    fn holds(&self, value: &str) -> bool {
        // A client may write an address with or without the slash at its end.
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        self.0.iter().any(|wanted| match wanted.strip_suffix("/*") {
            Some(base) => value.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')),
            None => bare(wanted) == bare(value),
        })
    }
}
