//! Tokens that are bound to a key of the gateway, so that a stolen token is of no use (DPoP, RFC 9449).
//!
//! Each request carries a proof: a JWT over its method and address, signed with ES256. A server or authorization server
//! may want a nonce of its own in it; the newest one that it gave goes into the next proof.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::unix_time;
use crate::upstream::oauth::assertion;

/// The header of a proof.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The scheme of tokens that are bound to a key, and the algorithm of their proofs.
pub const SCHEME: &str = "DPoP";
pub const ALGORITHM: &str = "ES256";
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The error of an answer that wants another nonce.
pub const USE_NONCE: &str = "use_dpop_nonce";

/// The key that tokens of one server are bound to.
pub struct DpopKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    /// PKCS#8.
    document: Vec<u8>,
    x: String,
    y: String,
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DpopKey").finish_non_exhaustive()
    }
}

impl DpopKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self, String> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let document = document.map_err(|_| assertion::NO_RANDOM.to_owned())?;
        Self::of_document(document.as_ref()).ok_or_else(|| assertion::NO_RANDOM.to_owned())
    }

    /// The key that [`DpopKey::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::of_document(&URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// The private key as text.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.document)
    }

    fn of_document(document: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &random).ok()?;
        // An uncompressed point: 4, x, y.
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        Some(Self { pair, random, document: document.to_vec(), x, y })
    }

    fn jwk(&self) -> Value {
        // In this order the text is the input of the thumbprint (RFC 7638, section 3).
        json!({ "crv": "P-256", "kty": "EC", "x": self.x, "y": self.y })
    }

    /// The thumbprint that tokens name the key by (`jkt`).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.jwk().to_string()))
    }
}

/// Makes the proofs for one server or authorization server.
#[derive(Debug)]
pub struct Prover {
    key: Arc<DpopKey>,
    nonce: ArcSwapOption<String>,
}

impl Prover {
    /// A prover that knows no nonce yet.
    pub fn new(key: Arc<DpopKey>) -> Self {
        Self { key, nonce: ArcSwapOption::empty() }
    }

    pub fn shared_key(&self) -> Arc<DpopKey> {
        self.key.clone()
    }

    /// A fresh proof for a request of `method` to `url`.
    ///
    /// `token_hash` is the [`hash`] of the token beside it.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub fn proof(&self, method: &Method, url: &Uri, token_hash: Option<&str>) -> Result<HeaderValue, String> {
        let header = json!({ "typ": "dpop+jwt", "alg": ALGORITHM, "jwk": self.key.jwk() });
        // Without query and fragment (section 4.2).
        let target = format!(
            "{}://{}{}",
            url.scheme_str().unwrap_or_default(),
            url.authority().map(http::uri::Authority::as_str).unwrap_or_default(),
            url.path()
        );
        let mut claims = json!({
            "jti": assertion::unguessable()?, "htm": method.as_str(), "htu": target, "iat": unix_time::now(),
        });
        if let Some(hash) = token_hash {
            claims["ath"] = hash.into();
        }
        if let Some(nonce) = &*self.nonce.load() {
            claims["nonce"] = nonce.as_str().into();
        }
        let signed = assertion::unsigned(&header, &claims);
        let signature = self.key.pair.sign(&self.key.random, signed.as_bytes());
        let signature = signature.map_err(|_| assertion::NO_RANDOM.to_owned())?;
        let proof = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut proof = HeaderValue::try_from(proof).expect("base64 is printable ASCII");
        proof.set_sensitive(true);
        Ok(proof)
    }

    /// Takes up the nonce of an answer; returns whether it is another one than before.
    pub fn take_nonce(&self, headers: &HeaderMap) -> bool {
        let Some(nonce) = headers.get(NONCE).and_then(|value| value.to_str().ok()) else { return false };
        if self.nonce.load().as_ref().is_some_and(|known| **known == nonce) {
            return false;
        }
        self.nonce.store(Some(Arc::new(nonce.to_owned())));
        true
    }
}

/// What a proof says of the token beside it (`ath`).
pub fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Whether a server refuses a request for its nonce alone.
pub fn wants_nonce(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(WWW_AUTHENTICATE).into_iter();
    challenges
        .filter_map(|value| value.to_str().ok())
        .any(|text| is_challenge(text) && text.contains(USE_NONCE))
}

/// Whether a challenge asks for a token that is bound to a key.
pub fn is_challenge(text: &str) -> bool {
    text.trim_start().get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn part(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    fn read(proof: &HeaderValue) -> (Value, Value) {
        let proof = proof.to_str().unwrap();
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let (header, claims) = (part(header), part(claims));
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        (header, claims)
    }

    #[test]
    fn a_proof_is_of_one_request_and_one_token_and_shows_no_private_key() {
        let prover = Prover::new(Arc::new(DpopKey::generate().unwrap()));
        let url = Uri::from_static("https://a.test:8443/mcp?x=1");
        let proof = prover.proof(&Method::POST, &url, Some(&hash("token"))).unwrap();
        let (header, claims) = read(&proof);
        assert_eq!([&header["typ"], &header["alg"]], ["dpop+jwt", "ES256"]);
        assert_eq!(header["jwk"].as_object().unwrap().len(), 4, "{header}");
        assert_eq!([&claims["htm"], &claims["htu"]], ["POST", "https://a.test:8443/mcp"]);
        // Of RFC 9449, section 7.1.
        let known = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(hash(known), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(claims["ath"], hash("token"));
        assert_eq!(claims.get("nonce"), None);
        let again = read(&prover.proof(&Method::POST, &url, None).unwrap()).1;
        assert_ne!(again["jti"], claims["jti"]);
        assert_eq!(again.get("ath"), None);
    }

    #[test]
    fn the_newest_nonce_stands_in_the_next_proof_and_the_key_is_kept_as_text() {
        let key = DpopKey::generate().unwrap();
        let kept = DpopKey::from_text(&key.to_text()).unwrap();
        assert_eq!(kept.thumbprint(), key.thumbprint());
        assert!(DpopKey::from_text("bm90aGluZw").is_none());
        let prover = Prover::new(Arc::new(kept));
        let nonce = |nonce: &'static str| HeaderMap::from_iter([(NONCE, HeaderValue::from_static(nonce))]);
        assert!(!prover.take_nonce(&HeaderMap::new()));
        assert!(prover.take_nonce(&nonce("1")) && prover.take_nonce(&nonce("2")));
        assert!(!prover.take_nonce(&nonce("2")), "a nonce that was refused is no reason to try again");
        let claims = read(&prover.proof(&Method::GET, &Uri::from_static("https://a.test/"), None).unwrap()).1;
        assert_eq!(claims["nonce"], "2");
    }

    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        // A key of RFC 9449, section 4.1, and its thumbprint in section 6.1.
        let jwk = json!({
            "crv": "P-256", "kty": "EC", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(jwk.to_string()));
        assert_eq!(thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn a_challenge_is_known_by_its_scheme() {
        assert!(is_challenge("DPoP error=\"x\"") && is_challenge(" dpop"));
        assert!(!is_challenge("Bearer") && !is_challenge("é"));
        let headers =
            |text: &'static str| HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))]);
        assert!(wants_nonce(&headers("DPoP error=\"use_dpop_nonce\", algs=\"ES256\"")));
        assert!(!wants_nonce(&headers("DPoP error=\"invalid_token\"")));
    }
}
