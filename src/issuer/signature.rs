//! The signatures of JWTs, checked by `ring`.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature as schemes;
use ring::signature::{RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

/// The algorithms of access tokens: asymmetric ones alone, so that no public key can serve as a secret.
pub const ACCEPTED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Lets `jsonwebtoken` check signatures with `ring`. To be called before the first token is read.
pub fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    ONCE.call_once(|| PROVIDER.install_default().expect("nothing else installs a provider"));
}

/// Checks the signatures of one key.
struct RingVerifier {
    algorithm: Algorithm,
    scheme: Scheme,
    key: DecodingKey,
}

enum Scheme {
    Hmac,
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let (scheme, family) = match algorithm {
        Algorithm::RS256 => (Scheme::Rsa(&schemes::RSA_PKCS1_2048_8192_SHA256), AlgorithmFamily::Rsa),
        Algorithm::RS384 => (Scheme::Rsa(&schemes::RSA_PKCS1_2048_8192_SHA384), AlgorithmFamily::Rsa),
        Algorithm::RS512 => (Scheme::Rsa(&schemes::RSA_PKCS1_2048_8192_SHA512), AlgorithmFamily::Rsa),
        Algorithm::PS256 => (Scheme::Rsa(&schemes::RSA_PSS_2048_8192_SHA256), AlgorithmFamily::Rsa),
        Algorithm::PS384 => (Scheme::Rsa(&schemes::RSA_PSS_2048_8192_SHA384), AlgorithmFamily::Rsa),
        Algorithm::PS512 => (Scheme::Rsa(&schemes::RSA_PSS_2048_8192_SHA512), AlgorithmFamily::Rsa),
        Algorithm::ES256 => (Scheme::Curve(&schemes::ECDSA_P256_SHA256_FIXED), AlgorithmFamily::Ec),
        Algorithm::ES384 => (Scheme::Curve(&schemes::ECDSA_P384_SHA384_FIXED), AlgorithmFamily::Ec),
        // Only for a secret that was shared for it: `ACCEPTED` does not have it.
        Algorithm::HS256 => (Scheme::Hmac, AlgorithmFamily::Hmac),
        Algorithm::EdDSA => (Scheme::Curve(&schemes::ED25519), AlgorithmFamily::Ed),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    if key.family() != family {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, scheme, key: key.clone() }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (&self.scheme, self.key.kind()) {
            (Scheme::Rsa(scheme), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
            }
            (Scheme::Curve(scheme), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*scheme, key).verify(message, signature)
            }
            (Scheme::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signature)
            }
            _ => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
