//! The credentials in a request's `Authorization` header, before they are compared with the keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use secrecy::SecretString;

/// The credentials of one request.
pub(crate) enum Credentials<'a> {
    /// No header at all.
    Nothing,
    /// A bearer token.
    Bearer(&'a [u8]),
    /// The password of Basic; the user does not matter.
    Basic(Vec<u8>),
    /// Basic that does not decode to `user:password`.
    BadBasic,
    /// Another scheme, no scheme, or more than one header.
    Other,
}

impl<'a> Credentials<'a> {
    pub fn read(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Self::Nothing };
        if values.next().is_some() {
            return Self::Other;
        }
        Self::of(value.as_bytes())
    }

    /// The credentials in one value of the header.
    pub fn of(value: &'a [u8]) -> Self {
        let Some(space) = value.iter().position(|byte| *byte == b' ') else { return Self::Other };
        let (scheme, credentials) = (&value[..space], value[space..].trim_ascii());
        if credentials.is_empty() {
            return Self::Other;
        }
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::Bearer(credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Self::Other;
        }
        let Ok(mut decoded) = STANDARD.decode(credentials) else { return Self::BadBasic };
        match decoded.iter().position(|byte| *byte == b':') {
            Some(colon) => Self::Basic(decoded.split_off(colon + 1)),
            None => Self::BadBasic,
        }
    }

    /// The text to compare with the keys.
    pub fn secret(&self) -> Option<&[u8]> {
        match self {
            Self::Bearer(token) => Some(token),
            Self::Basic(password) => Some(password),
            Self::Nothing | Self::BadBasic | Self::Other => None,
        }
    }
}

/// The bearer token of a request.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<SecretString> {
    match Credentials::read(headers) {
        Credentials::Bearer(token) => std::str::from_utf8(token).ok().map(SecretString::from),
        _ => None,
    }
}
