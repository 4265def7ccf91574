//! The proof of a client by its private key: a signed JWT (RFC 7523, `private_key_jwt`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::seal::random;
use crate::unix_time;

/// How long a proof counts; it is used at once. In seconds.
const LIFETIME: u64 = 60;

/// Why nothing can be signed.
pub const NO_RANDOM: &str = "the system gives no random numbers";

/// Keys that sign, by the name of their algorithm (RFC 7518).
enum SigningKey {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// A proof that we are the client `id`, for `audience`; `pem` is the private key.
///
/// # Errors
///
/// The key cannot sign. The text holds nothing of the key.
pub fn sign(pem: &str, id: &str, audience: &str) -> Result<String, String> {
    let random = SystemRandom::new();
    let key = read(pem, &random)?;
    let algorithm = match &key {
        SigningKey::Es256(_) => "ES256",
        SigningKey::EdDsa(_) => "EdDSA",
        SigningKey::Rs256(_) => "RS256",
    };
    let broken = |_| NO_RANDOM.to_owned();
    let now = unix_time::now();
    let claims = json!({
        "iss": id, "sub": id, "aud": audience, "iat": now, "exp": now + LIFETIME, "jti": unguessable()?,
    });
    let signed = unsigned(&json!({ "alg": algorithm, "typ": "JWT" }), &claims);
    let signature = match &key {
        SigningKey::Es256(key) => key.sign(&random, signed.as_bytes()).map_err(broken)?.as_ref().to_vec(),
        SigningKey::EdDsa(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
        SigningKey::Rs256(key) => {
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).map_err(broken)?;
            signature
        }
    };
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The part of a JWT that is signed.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Another text each time.
pub(super) fn unguessable() -> Result<String, String> {
    let bytes = random::<16>().map_err(|_| NO_RANDOM.to_owned())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn read(pem: &str, random: &SystemRandom) -> Result<SigningKey, String> {
    let document = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        "`oauth.privateKey` is not a key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----); convert it with `openssl pkcs8 -topk8 \
         -nocrypt`"
    })?;
    let document = document.secret_pkcs8_der();
    if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, random) {
        return Ok(SigningKey::Es256(key));
    }
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document) {
        return Ok(SigningKey::EdDsa(key));
    }
    RsaKeyPair::from_pkcs8(document).map(SigningKey::Rs256).map_err(|_| {
        "`oauth.privateKey` must be an EC key over P-256, an Ed25519 key or an RSA key".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    fn pem(document: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(document);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    fn verify(
        token: &str,
        algorithm: &'static dyn VerificationAlgorithm,
        public: &[u8],
    ) -> serde_json::Value {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(algorithm, public).verify(signed.as_bytes(), &signature).unwrap();
        let claims = signed.split('.').next_back().unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    #[test]
    fn a_proof_names_the_client_and_its_audience_and_ends_soon() {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let token = sign(&pem(document.as_ref()), "me", "https://as.test").unwrap();
        let claims = verify(&token, &ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
        assert_eq!([&claims["iss"], &claims["sub"], &claims["aud"]], ["me", "me", "https://as.test"]);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), LIFETIME);

        let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let other = sign(&pem(document.as_ref()), "me", "https://as.test").unwrap();
        let claims_of_other = verify(&other, &ED25519, key.public_key().as_ref());
        assert_ne!(claims["jti"], claims_of_other["jti"]);
    }

    #[test]
    fn what_is_no_key_is_told_without_being_quoted() {
        for bad in ["hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"] {
            let told = sign(bad, "me", "https://as.test").unwrap_err();
            assert!(told.contains("oauth.privateKey") && !told.contains("hunter2"), "{told}");
        }
    }
}
