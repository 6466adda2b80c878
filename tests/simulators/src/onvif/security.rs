//! Who may ask: WS-UsernameToken (OASIS WSS UsernameToken Profile 1.0) and HTTP Digest (RFC 2617), checked.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use md5::Md5;
use sha1::{Digest, Sha1};

use super::{Behaviour, Login, between};

/// How old a token may be, and how much younger than the camera's clock.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
const REALM: &str = "IP Camera, \"east\"";

/// What is allowed without a user (ONVIF Core Specification, access class PRE_AUTH).
const OPEN: [&str; 3] = ["GetSystemDateAndTime", "GetServices", "GetCapabilities"];

/// What becomes of a request.
pub enum Verdict {
    /// It is answered.
    Allowed,
    /// 401 with this challenge.
    Challenge(String),
    /// A fault of SOAP: `ter:NotAuthorized`.
    NotAuthorized,
}

/// Looks at each request.
pub struct Guard {
    login: Login,
    clock_ahead: SignedDuration,
    nonces: BTreeSet<String>,
    challenges: u32,
    wrong: usize,
}

impl Guard {
    pub fn new(behaviour: &Behaviour) -> Self {
        let clock_ahead = SignedDuration::from_secs(behaviour.clock_ahead);
        Self { login: behaviour.login.clone(), clock_ahead, nonces: BTreeSet::new(), challenges: 0, wrong: 0 }
    }

    pub fn wrong(&self) -> usize {
        self.wrong
    }

    /// Judges a request for `action` at `path`.
    pub fn judge(&mut self, action: &str, path: &str, head: &str, body: &str) -> Verdict {
        let login = self.login.clone();
        match &login {
            _ if OPEN.contains(&action) => Verdict::Allowed,
            Login::Open => Verdict::Allowed,
            Login::Token(user, password) => match Token::read(body) {
                None => Verdict::NotAuthorized,
                Some(token) if self.is_right(&token, user, password) => Verdict::Allowed,
                Some(_) => {
                    self.wrong += 1;
                    Verdict::NotAuthorized
                }
            },
            Login::Digest(user, password) => {
                let header = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("authorization").then(|| value.trim())
                });
                match header {
                    Some(header) if self.digest_is_right(header, path, user, password) => Verdict::Allowed,
                    Some(_) => {
                        self.wrong += 1;
                        self.challenge()
                    }
                    None => self.challenge(),
                }
            }
        }
    }

    fn challenge(&mut self) -> Verdict {
        self.challenges += 1;
        let realm = REALM.replace('"', "\\\"");
        Verdict::Challenge(format!(
            "Digest realm=\"{realm}\", qop=\"auth,auth-int\", nonce=\"nonce-{}\", opaque=\"o\"",
            self.challenges
        ))
    }

    /// The right digest, of now by the camera's clock, and never seen before.
    fn is_right(&mut self, token: &Token<'_>, user: &str, password: &str) -> bool {
        let Ok(nonce) = BASE64_STANDARD.decode(token.nonce) else { return false };
        let mut hash = Sha1::new();
        hash.update(nonce);
        hash.update(token.created);
        hash.update(password);
        let digest = BASE64_STANDARD.encode(hash.finalize());
        let Ok(created) = token.created.parse::<Timestamp>() else { return false };
        let age = (Timestamp::now() + self.clock_ahead).duration_since(created);
        token.user == user && token.digest == digest && age.abs() < FRESH && self.nonces.insert(token.nonce.to_owned())
    }

    /// The right response to the newest challenge, with a count that goes up.
    fn digest_is_right(&mut self, header: &str, path: &str, user: &str, password: &str) -> bool {
        let get = |key: &str| between(header, &format!("{key}=\""), "\"").unwrap_or_default();
        let bare = |key: &str| between(header, &format!("{key}="), ",").unwrap_or_default();
        let nonce = format!("nonce-{}", self.challenges);
        let count = bare("nc");
        let user_hash = md5(&format!("{user}:{REALM}:{password}"));
        let request_hash = md5(&format!("POST:{path}"));
        let response = md5(&format!("{user_hash}:{nonce}:{count}:{}:auth:{request_hash}", get("cnonce")));
        get("username") == user
            && get(" nonce") == nonce
            && get("uri") == path
            && get("opaque") == "o"
            && get("response") == response
            && self.nonces.insert(format!("{nonce} {count}"))
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A WS-UsernameToken, as it stands in a header.
struct Token<'a> {
    user: &'a str,
    digest: &'a str,
    nonce: &'a str,
    created: &'a str,
}

impl<'a> Token<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let token = between(body, "UsernameToken>", "UsernameToken>")?;
        let digest = between(token, "#PasswordDigest\">", "<")?;
        let nonce = between(token, "#Base64Binary\">", "<")?;
        Some(Self { user: between(token, "Username>", "<")?, digest, nonce, created: between(token, "Created>", "<")? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_judged_by_its_digest_its_time_and_its_nonce() {
        let mut guard = Guard::new(&Behaviour {
            login: Login::Token("admin".into(), "userpassword".into()),
            ..Behaviour::default()
        });
        let token = |digest: &str, created: &str| {
            format!(
                "<UsernameToken><Username>admin</Username><Password Type=\"x#PasswordDigest\">{digest}</Password>\
                 <Nonce EncodingType=\"x#Base64Binary\">LKqI6G/AikKCQrN0zqZFlg==</Nonce><Created>{created}</Created></UsernameToken>"
            )
        };
        // The published example, which is old now.
        let old = token("tuOSpGlFlIXsozq4HFNeeGeFLEI=", "2010-09-16T07:50:45Z");
        let then: Timestamp = "2010-09-16T07:50:45Z".parse().unwrap();
        let judge =
            |guard: &mut Guard, body: &str| matches!(guard.judge("GetProfiles", "/", "", body), Verdict::Allowed);
        assert!(!judge(&mut guard, &old));
        guard.clock_ahead = then.duration_since(Timestamp::now());
        assert!(judge(&mut guard, &old), "the camera's clock makes it fresh");
        assert!(!judge(&mut guard, &old), "it was seen before");
        assert!(!judge(&mut guard, &token("AAAApGlFlIXsozq4HFNeeGeFLEI=", "2010-09-16T07:50:45Z")));
        assert_eq!(guard.wrong(), 3);
    }
}
