//! WS-UsernameToken with a password digest (OASIS Web Services Security UsernameToken Profile 1.0, section 3.1; ONVIF Core Specification,
//! "User-based access control").

use jiff::{SignedDuration, Timestamp};
use openssl::{base64::encode_block, error::ErrorStack, rand::rand_bytes, sha::Sha1};
use snowgate_core::secret::Secret;

use super::soap::element;

const EXTENSION: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// A SOAP header that proves once that the password is known. `ahead` is how far the device's clock is ahead of ours: what it holds to be
/// old it refuses.
///
/// # Errors
/// No random numbers are to be had.
pub fn header(username: &str, password: &Secret, ahead: SignedDuration) -> Result<String, ErrorStack> {
    let mut nonce = [0; 16];
    rand_bytes(&mut nonce)?;
    let now = Timestamp::now();
    let created = now.checked_add(ahead).unwrap_or(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let token = [
        element("wsse:Username", username),
        element(&format!("wsse:Password Type=\"{DIGEST}\""), &password_digest(&nonce, &created, password)),
        element(&format!("wsse:Nonce EncodingType=\"{BASE64}\""), &encode_block(&nonce)),
        element("wsu:Created", &created),
    ]
    .concat();
    Ok(format!(
        "<wsse:Security s:mustUnderstand=\"1\" xmlns:wsse=\"{EXTENSION}\" xmlns:wsu=\"{UTILITY}\"><wsse:UsernameToken>{token}</wsse:UsernameToken></wsse:Security>"
    ))
}

/// Base64 (SHA-1 (nonce + created + password)).
fn password_digest(nonce: &[u8], created: &str, password: &Secret) -> String {
    let mut hash = Sha1::new();
    hash.update(nonce);
    hash.update(created.as_bytes());
    hash.update(password.expose().as_bytes());
    encode_block(&hash.finish())
}

#[cfg(test)]
mod tests {
    use openssl::base64::decode_block;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_published_example() {
        // ONVIF Application Programmer's Guide 1.0, section 6.1.1.3.
        let nonce = decode_block("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let password = Secret::from("userpassword".to_owned());
        assert_eq!(password_digest(&nonce, "2010-09-16T07:50:45Z", &password), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn a_header_tells_the_devices_time_and_never_the_password() {
        let password = Secret::from("hunter2".to_owned());
        let at = |ahead| header("a&b", &password, ahead).unwrap();
        let text = at(SignedDuration::from_hours(24 * 365 * 10));
        assert!(!text.contains("hunter2") && text.contains("a&amp;b"), "{text}");
        let year = (Timestamp::now() + SignedDuration::from_hours(24 * 365 * 10)).strftime("%Y-").to_string();
        assert!(text.contains(&format!("<wsu:Created>{year}")), "{text}");
        assert_ne!(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    }
}
