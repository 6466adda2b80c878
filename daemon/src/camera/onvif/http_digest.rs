//! HTTP Digest access authentication (RFC 7616; RFC 2069 where a device offers no quality of protection).

use openssl::{
    error::ErrorStack,
    hash::{MessageDigest, hash},
    rand::rand_bytes,
};
use snowgate_core::{hex::hex, secret::Secret};

/// The most parameters of a challenge that are read.
const MOST_PARAMETERS: usize = 32;

/// The hash functions that are known, the better one last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

/// What a device asks for with 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As it was written; `None` for MD5 that goes without saying.
    algorithm_name: Option<String>,
    /// Whether `auth` is offered as quality of protection.
    qop: bool,
}

/// What a request is.
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Path and query.
    pub uri: &'a str,
    /// How many requests were made with this challenge, this one included.
    pub count: u32,
}

impl Challenge {
    /// The best challenge among the values of `WWW-Authenticate` headers; `None` where none is a Digest that is known here.
    pub fn best<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers.into_iter().flat_map(split).filter_map(|challenge| Self::read(&challenge)).max_by_key(|c| c.algorithm)
    }

    fn read(parameters: &[(String, String)]) -> Option<Self> {
        let get =
            |key: &str| parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, v)| v.clone());
        let algorithm_name = get("algorithm");
        let algorithm = match algorithm_name.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let qop = match get("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        Some(Self { realm: get("realm")?, nonce: get("nonce")?, opaque: get("opaque"), algorithm, algorithm_name, qop })
    }

    /// The value of the `Authorization` header.
    ///
    /// # Errors
    /// OpenSSL refuses MD5, as it does in FIPS mode, or has no random numbers.
    pub fn answer(&self, request: &Request<'_>, username: &str, password: &Secret) -> Result<String, ErrorStack> {
        let mut nonce = [0; 16];
        rand_bytes(&mut nonce)?;
        self.answer_with(request, username, password, &hex(nonce))
    }

    fn answer_with(
        &self,
        request: &Request<'_>,
        username: &str,
        password: &Secret,
        client_nonce: &str,
    ) -> Result<String, ErrorStack> {
        let of = |text: &str| self.hash(text);
        let user = of(&format!("{username}:{}:{}", self.realm, password.expose()))?;
        let what = of(&format!("{}:{}", request.method, request.uri))?;
        let count = format!("{:08x}", request.count);
        let response = if self.qop {
            of(&format!("{user}:{}:{count}:{client_nonce}:auth:{what}", self.nonce))?
        } else {
            of(&format!("{user}:{}:{what}", self.nonce))?
        };
        let mut parameters = vec![
            format!("username={}", quoted(username)),
            format!("realm={}", quoted(&self.realm)),
            format!("nonce={}", quoted(&self.nonce)),
            format!("uri={}", quoted(request.uri)),
            format!("response=\"{response}\""),
        ];
        parameters.extend(self.algorithm_name.as_ref().map(|name| format!("algorithm={name}")));
        if self.qop {
            parameters.extend(["qop=auth".to_owned(), format!("nc={count}"), format!("cnonce=\"{client_nonce}\"")]);
        }
        parameters.extend(self.opaque.as_ref().map(|opaque| format!("opaque={}", quoted(opaque))));
        Ok(format!("Digest {}", parameters.join(", ")))
    }

    fn hash(&self, text: &str) -> Result<String, ErrorStack> {
        let digest = match self.algorithm {
            Algorithm::Md5 => MessageDigest::md5(),
            Algorithm::Sha256 => MessageDigest::sha256(),
        };
        Ok(hex(hash(digest, text.as_bytes())?))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The parameters of each Digest challenge in a header: `Digest a=b, c="d, e", Basic realm="f"`.
fn split(header: &str) -> Vec<Vec<(String, String)>> {
    let mut challenges: Vec<Vec<(String, String)>> = Vec::new();
    let mut is_digest = false;
    for part in commas(header) {
        let (before, value) = part.split_once('=').unwrap_or((&part, ""));
        let key = match before.trim().split_once(char::is_whitespace) {
            // A scheme stands before the first parameter of each challenge.
            Some((scheme, key)) => {
                is_digest = scheme.eq_ignore_ascii_case("digest");
                if is_digest {
                    challenges.push(Vec::new());
                }
                key.trim()
            }
            None => before.trim(),
        };
        if let Some(parameters) =
            challenges.last_mut().filter(|parameters| is_digest && parameters.len() < MOST_PARAMETERS)
        {
            parameters.push((key.to_owned(), unquoted(value.trim())));
        }
    }
    challenges
}

/// The parts of a header between commas that stand outside quotes.
fn commas(header: &str) -> Vec<String> {
    let (mut parts, mut quotes, mut escaped) = (vec![String::new()], false, false);
    for c in header.chars() {
        match c {
            ',' if !quotes => {
                parts.push(String::new());
                continue;
            }
            '"' if !escaped => quotes = !quotes,
            _ => {}
        }
        escaped = quotes && c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MD5: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
                       nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    fn answered(header: &str) -> String {
        let request = Request { method: "GET", uri: "/dir/index.html", count: 1 };
        let password = Secret::from("Circle of Life".to_owned());
        let challenge = Challenge::best([header]).unwrap();
        challenge.answer_with(&request, "Mufasa", &password, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ").unwrap()
    }

    #[test]
    fn the_answers_are_those_of_the_published_example() {
        // RFC 7616, section 3.9.1.
        let answer = answered(MD5);
        assert!(answer.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{answer}");
        assert!(answer.contains("nc=00000001") && answer.contains("opaque=\"FQhe/qaU9"), "{answer}");
        let answer = answered(&MD5.replace("MD5", "SHA-256"));
        assert!(
            answer.contains("response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""),
            "{answer}"
        );
    }

    #[test]
    fn the_best_challenge_is_taken_and_unknown_ones_are_not() {
        let several = format!("Basic realm=\"a, b\", {MD5}, {}", MD5.replace("MD5", "SHA-256"));
        assert_eq!(Challenge::best([several.as_str()]).unwrap().algorithm, Algorithm::Sha256);
        for none in [
            "",
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest realm=x, nonce=y, algorithm=MD5-sess",
            "Digest realm=x, nonce=y, qop=auth-int",
        ] {
            assert_eq!(Challenge::best([none]), None, "{none}");
        }
        let old = Challenge::best(["digest realm=\"a \\\"b\\\"\",nonce=5"]).unwrap();
        assert_eq!((old.realm.as_str(), old.nonce.as_str(), old.qop), ("a \"b\"", "5", false));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in "(Digest |Basic |[a-z]{1,3}=|\"|\\\\|,| |门|realm=|nonce=){0,40}") {
            let _ = Challenge::best([header.as_str()]);
        }
    }
}
