//! The gateway's key, Ed25519 (RFC 8032), in PEM as `openssl genpkey -algorithm ed25519` writes it; and what it seals files
//! with.

use std::{fmt, io};

use openssl::{
    error::ErrorStack,
    pkey::{HasPublic, Id, PKey, PKeyRef, Private, Public},
    sign::{Signer, Verifier},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;

/// A text that is no key of the wanted kind.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, encrypted, or the other half of the pair.
    #[error("it is no {wanted} in PEM form")]
    Unreadable {
        /// What it should be.
        wanted: &'static str,
    },
    /// A key of another kind.
    #[error("it is a key, but not an Ed25519 key")]
    NotEd25519,
}

/// What signs: PKCS#8, not encrypted.
#[derive(Clone)]
pub struct SigningKey(PKey<Private>);

/// What verifies: SubjectPublicKeyInfo.
#[derive(Clone)]
pub struct PublicKey(PKey<Public>);

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_eq(&other.0)
    }
}

impl fmt::Debug for SigningKey {
    /// Nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint().unwrap_or_default())
    }
}

impl SigningKey {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        // Asked for a passphrase, this has none; without the callback OpenSSL would ask on the terminal.
        let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0));
        let key = key.map_err(|_| KeyError::Unreadable { wanted: "private key (PKCS#8, not encrypted)" })?;
        if key.id() == Id::ED25519 { Ok(Self(key)) } else { Err(KeyError::NotEd25519) }
    }

    /// The public key that belongs to it.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn public(&self) -> Result<PublicKey, ErrorStack> {
        PKey::public_key_from_der(&self.0.public_key_to_der()?).map(PublicKey)
    }

    /// SHA-256 of the public key that belongs to it (SubjectPublicKeyInfo, DER), as hex.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn fingerprint(&self) -> Result<String, ErrorStack> {
        fingerprint(&self.0)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Signer::new_without_digest(&self.0)?.sign_oneshot_to_vec(message)
    }
}

impl PublicKey {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PKey::public_key_from_pem(pem).map_err(|_| KeyError::Unreadable { wanted: "public key" })?;
        if key.id() == Id::ED25519 { Ok(Self(key)) } else { Err(KeyError::NotEd25519) }
    }

    /// SHA-256 of it (SubjectPublicKeyInfo, DER), as hex.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn fingerprint(&self) -> Result<String, ErrorStack> {
        fingerprint(&self.0)
    }

    fn verifies(&self, signature: &[u8], message: &[u8]) -> bool {
        // What cannot be verified is not valid, for whatever reason.
        let valid = Verifier::new_without_digest(&self.0).and_then(|mut key| key.verify_oneshot(signature, message));
        valid.unwrap_or(false)
    }
}

fn fingerprint(key: &PKeyRef<impl HasPublic>) -> Result<String, ErrorStack> {
    Ok(hex(Sha256::digest(key.public_key_to_der()?)))
}

/// What a file ends with: the hash of what stands before, and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// SHA-256 of everything before, as hex.
    pub sha256: String,
    /// Ed25519 signature, as hex, over the file's kind, its version, the hash, and a line feed, with a space between each.
    pub signature: String,
}

impl Seal {
    /// Seals what has this hash. `what` names the file's kind and version, so that no signature of this key over something else
    /// can be taken for one.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn new(what: &str, sha256: String, key: &SigningKey) -> io::Result<Self> {
        let signature = key.sign(signed(what, &sha256).as_bytes()).map_err(io::Error::other)?;
        Ok(Self { sha256, signature: hex(&signature) })
    }

    /// Whether the signature is by this key, over this hash.
    pub fn is_by(&self, what: &str, key: &PublicKey) -> bool {
        unhex(&self.signature).is_some_and(|signature| key.verifies(&signature, signed(what, &self.sha256).as_bytes()))
    }
}

fn signed(what: &str, sha256: &str) -> String {
    format!("{what} {sha256}\n")
}

/// The bytes of lower-case hex digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_by_its_key_over_its_hash_and_kind_only() {
        let [key, other] = [(); 2].map(|()| SigningKey(PKey::generate_ed25519().unwrap()));
        let seal = Seal::new("snowgate-outbox 1", "c0ffee".into(), &key).unwrap();
        assert!(seal.is_by("snowgate-outbox 1", &key.public().unwrap()));
        assert!(!seal.is_by("snowgate-evidence 1", &key.public().unwrap()));
        assert!(!seal.is_by("snowgate-outbox 1", &other.public().unwrap()));
        let altered = Seal { sha256: "c0ffed".into(), ..seal.clone() };
        assert!(!altered.is_by("snowgate-outbox 1", &key.public().unwrap()));
        let cut = Seal { signature: seal.signature[1..].into(), ..seal };
        assert!(!cut.is_by("snowgate-outbox 1", &key.public().unwrap()));
    }

    #[test]
    fn only_ed25519_keys_of_the_right_half_are_taken() {
        let key = PKey::generate_ed25519().unwrap();
        let (private, public) = (key.private_key_to_pem_pkcs8().unwrap(), key.public_key_to_pem().unwrap());
        let (signing, verifying) = (SigningKey::from_pem(&private).unwrap(), PublicKey::from_pem(&public).unwrap());
        assert_eq!(signing.fingerprint().unwrap(), verifying.fingerprint().unwrap());
        let signature = signing.sign(b"message").unwrap();
        assert!(verifying.verifies(&signature, b"message"));
        assert!(!verifying.verifies(&signature, b"massage") && !verifying.verifies(b"", b"message"));

        assert!(matches!(SigningKey::from_pem(&public), Err(KeyError::Unreadable { .. })));
        assert!(matches!(PublicKey::from_pem(&private), Err(KeyError::Unreadable { .. })));
        assert!(matches!(PublicKey::from_pem(b""), Err(KeyError::Unreadable { .. })));
        let other = PKey::generate_x25519().unwrap();
        assert!(matches!(SigningKey::from_pem(&other.private_key_to_pem_pkcs8().unwrap()), Err(KeyError::NotEd25519)));
        assert!(matches!(PublicKey::from_pem(&other.public_key_to_pem().unwrap()), Err(KeyError::NotEd25519)));
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let encrypted = key.private_key_to_pem_pkcs8_passphrase(cipher, b"word").unwrap();
        assert!(matches!(SigningKey::from_pem(&encrypted), Err(KeyError::Unreadable { .. })));
        assert!(!format!("{signing:?}").contains(&signing.fingerprint().unwrap()));
    }
}
