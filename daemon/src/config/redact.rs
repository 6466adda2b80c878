//! Secrets that were written into a file although they must not be: problems show the file's lines, and problems go
//! into terminals, journals and bug reports.

/// Words whose value is hidden wherever `word = value` or `word=value` stands.
const WORDS: [&str; 6] = ["password", "passwd", "pwd", "secret", "token", "pass"];

/// What private keys of age begin with, wherever they stand.
const PRIVATE_KEY: &str = "age-secret-key-";

/// `text` with every byte of such values, of private keys, and of passwords in addresses (`//user:password@`), replaced by `*`; places in
/// it stay the same.
pub(super) fn redact(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, _) in text.match_indices("://") {
        hide_user_info(text, at + 3, &mut bytes);
    }
    let lower = text.to_ascii_lowercase();
    for word in WORDS {
        for (at, _) in lower.match_indices(word) {
            hide_value(text, at + word.len(), &mut bytes);
        }
    }
    for (at, _) in lower.match_indices(PRIVATE_KEY) {
        let key = text[at..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count();
        bytes[at..at + key].fill(b'*');
    }
    // Whole values between ASCII characters were replaced, so this is text still; if not, nothing is shown.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Hides `user:password` before the last `@` of the address that starts at `start`; a password may hold almost anything.
fn hide_user_info(text: &str, start: usize, bytes: &mut [u8]) {
    let rest = &text[start..];
    let end = rest.find(|c: char| c == '"' || c == '\'' || c.is_whitespace()).unwrap_or(rest.len());
    if let Some(at) = rest[..end].rfind('@') {
        bytes[start..start + at].fill(b'*');
    }
}

/// Hides the value that follows a word ending at `end`, if an equals sign comes between.
fn hide_value(text: &str, end: usize, bytes: &mut [u8]) {
    let Some(rest) = text[end..].trim_start_matches([' ', '\t', '"', '\'']).strip_prefix('=') else { return };
    let value = rest.trim_start_matches([' ', '\t']);
    let start = text.len() - value.len();
    let length = match value.chars().next() {
        // All of the line: where a quoted text really ends is the parser's business, and the line may be broken.
        Some('"' | '\'') => value.find('\n').unwrap_or(value.len()),
        _ => value.find(|c: char| c.is_whitespace() || "\"'&,}]".contains(c)).unwrap_or(value.len()),
    };
    bytes[start..start + length].fill(b'*');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::redact;

    #[test]
    fn secrets_are_hidden_and_nothing_else_is() {
        for (shown, hidden) in [
            ("url = \"rtsp://admin:12@45@host/x\"", "url = \"rtsp://***********@host/x\""),
            ("url = 'rtsp://host/user=a_password=123&b=1'", "url = 'rtsp://host/user=a_password=***&b=1'"),
            ("password = \"密码\"\nfps = 5", "password = ********\nfps = 5"),
            ("Password=hunter2, x = 1", "Password=*******, x = 1"),
            ("\"password\" = 'a'", "\"password\" = ***"),
            ("password_file = \"secret\"", "password_file = \"secret\""),
            ("recipients = [\"AGE-SECRET-KEY-1GF\"]", "recipients = [\"******************\"]"),
            ("zone = \"yard\" # no secret here", "zone = \"yard\" # no secret here"),
        ] {
            assert_eq!(redact(shown), hidden);
        }
    }

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in "(password|://|[a-z=@\"' \\n门]){0,40}") {
            prop_assert_eq!(redact(&text).len(), text.len());
        }
    }
}
