//! Checks of how a camera is reached: where its streams are, or who is asked, and the secrets that go with them.

use snowgate_core::{
    ids::Id,
    secret::Secret,
    spec::{Located, Maybe, TimeSpan},
};

use super::{
    checks::{Checker, check_certificates, read_pem},
    gateway::secret_help,
    problem::Problem,
    suggest::suggestion,
    toml_errors::place_of,
};
use crate::camera::{
    address::{Address, Streams},
    spec::{AddressSource, CommandSource, HttpSource, StreamSpec},
};

/// How a camera is reached.
pub(super) struct Reached {
    /// What is written, its paths absolute.
    pub spec: StreamSpec,
    /// Where its streams are; `None` where no address is given, which has been told.
    pub streams: Option<Streams>,
    /// The camera's password.
    pub password: Option<Secret>,
    /// Why it cannot be watched although the rest can.
    pub refused: Option<String>,
}

/// Follows what the camera's `[stream]` refers to; what is wrong is left with `check`.
pub(super) fn resolve(spec: StreamSpec, camera: &Located<Id>, enabled: bool, check: &mut Checker<'_>) -> Reached {
    check.within("/stream/latency", spec.latency, TimeSpan::secs(0)..=TimeSpan::secs(10));
    check.within("/stream/stall_after", spec.stall_after, TimeSpan::secs(2)..=TimeSpan::secs(600));
    let mut reached = Reached { streams: None, password: None, refused: None, spec };
    let mut files = Files { camera, enabled, refused: &mut reached.refused };
    let spec = &mut reached.spec;
    let detect = address("detect", &spec.detect, &spec.detect_from, &mut files, check);
    let record = address("record", &spec.record, &spec.record_from, &mut files, check);
    if let (Some(_), Some(Address::Written(_))) = (&detect, &record)
        && detect == record
        && let Some(record) = &*spec.record
    {
        check.warning(record.span, "record is the same stream as detect: it may be left out", None);
    }
    reached.streams = Streams::new(detect, record);
    if reached.streams.is_none() {
        no_stream(check);
    }
    if let Some(reference) = &*spec.password_file {
        if spec.username.is_none() {
            check.error(reference.span, "password_file without username", None);
        }
        reached.password = files.secret(reference, check);
    }
    let encrypted = reached.streams.iter().flat_map(Streams::iter).any(|(_, address)| match address {
        Address::Written(address) => address.starts_with("rtsps:"),
        // It will be seen.
        Address::Asked { .. } => true,
    });
    if let Some(file) = &mut spec.ca_file.0 {
        if !encrypted {
            check.warning(file.span, "ca_file has no effect: no address is rtsps://", None);
        }
        let path = check.path(file);
        if enabled && let Err(message) = read_pem(&path).and_then(|pem| check_certificates(&path, &pem)) {
            files.refuse(file, message, None, check);
        }
        file.value = path.to_string_lossy().into_owned();
    }
    reached
}

/// Files without which a camera cannot be watched, although all others can.
struct Files<'a> {
    camera: &'a Located<Id>,
    enabled: bool,
    refused: &'a mut Option<String>,
}

impl Files<'_> {
    /// The secret in a file. A camera that is switched off needs none yet.
    fn secret(&mut self, reference: &Located<String>, check: &mut Checker<'_>) -> Option<Secret> {
        if !self.enabled {
            return None;
        }
        let read = check.secret(reference);
        read.map_err(|message| self.refuse(reference, message, secret_help(), check)).ok()
    }

    fn refuse(&mut self, at: &Located<String>, message: String, help: Option<String>, check: &mut Checker<'_>) {
        let place = check.place(at.span);
        check.problems.push(Problem::error(place, message.clone()).help(help).refusing([self.camera.value.clone()]));
        self.refused.get_or_insert(message);
    }
}

/// Where one stream is, by one of the two keys that can say so.
fn address(
    key: &str,
    written: &Maybe<Located<String>>,
    source: &Maybe<AddressSource>,
    files: &mut Files<'_>,
    check: &mut Checker<'_>,
) -> Option<Address> {
    if let (Some(written), Some(_)) = (written.as_ref(), source.as_ref()) {
        let message = format!("{key} and {key}_from both say where the stream is");
        check.error(written.span, message, "leave one of them out".to_owned());
    }
    if let Some(source) = source.as_ref() {
        let token = match source {
            AddressSource::Command(source) => {
                check_command(key, source, check);
                None
            }
            AddressSource::Http(source) => {
                check_service(key, source, check);
                source.token_file.as_ref().and_then(|reference| files.secret(reference, check))
            }
        };
        return Some(Address::Asked { source: source.clone(), token });
    }
    let address = written.as_ref()?;
    if let Err((message, help)) = check_url(address) {
        check.error(address.span, message, help);
    }
    warn_of_secrets(address, &["passw", "pwd="], "use username and password_file if the camera takes them", check);
    Some(Address::Written(address.value.clone()))
}

fn no_stream(check: &mut Checker<'_>) {
    // One that could not be read, or has another name, has been told.
    let tried = ["detect", "record", "detect_from", "record_from", "url"].map(|key| format!("/stream/{key}"));
    if tried.iter().any(|key| place_of(check.source, key).line_and_column().is_some()) {
        return;
    }
    let help = "write detect = \"rtsp://…\" for the stream that is watched, or record = \"rtsp://…\" for the one \
                that is kept for evidence; either alone serves both";
    let place = place_of(check.source, "/stream");
    let message = "[stream] names no stream: neither detect nor record is there";
    check.problems.push(Problem::error(place, message).help(help.to_owned()));
}

fn check_timeout(key: &str, timeout: TimeSpan, check: &mut Checker<'_>) {
    check.within(&format!("/stream/{key}_from/timeout"), timeout, TimeSpan::secs(1)..=TimeSpan::secs(60));
}

fn check_command(key: &str, source: &CommandSource, check: &mut Checker<'_>) {
    check_timeout(key, source.timeout, check);
    let span = source.command.span;
    match source.command.first() {
        None => check.error(span, "command names no program", None),
        Some(program) if !program.starts_with('/') => {
            let help = "write its absolute path; there is no shell that would look for it";
            check.error(span, format!("`{program}` is no absolute path"), help.to_owned());
        }
        Some(program) if !std::path::Path::new(program).is_file() => {
            let message = format!("the program {program} cannot be read: there is no such file");
            check.warning(span, message, "without it the camera has no address".to_owned());
        }
        Some(_) => {}
    }
}

fn check_service(key: &str, source: &HttpSource, check: &mut Checker<'_>) {
    check_timeout(key, source.timeout, check);
    let HttpSource { url, pointer, token_header, .. } = source;
    let authority = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let authority = authority.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let is_readable = url.parse::<ureq::http::Uri>().is_ok();
    if !is_readable || authority.is_none_or(|authority| authority.is_empty() || authority.contains('@')) {
        let message = "this is no http:// or https:// address without user and password";
        let help = "write it like \"http://192.168.1.5:18080/api/play/start/DEVICE/CHANNEL\"";
        check.error(url.span, message, help.to_owned());
    }
    let help = "secrets belong into a file: token_file, and token_header if it is not Authorization";
    warn_of_secrets(url, &["passw", "pwd=", "token=", "secret="], help, check);
    if let Some(pointer) = pointer.as_ref()
        && !pointer.starts_with('/')
    {
        let help = "a JSON pointer begins with a slash, like \"/data/rtsp\"";
        check.error(pointer.span, format!("`{}` is no JSON pointer", **pointer), help.to_owned());
    }
    if token_header.parse::<ureq::http::HeaderName>().is_err() {
        check.error(token_header.span, format!("`{}` is no name of an HTTP header", **token_header), None);
    }
}

fn warn_of_secrets(address: &Located<String>, words: &[&str], help: &str, check: &mut Checker<'_>) {
    let lower = address.to_ascii_lowercase();
    if words.iter().any(|word| lower.contains(word)) {
        check.warning(address.span, "the address looks as if it held a password", help.to_owned());
    }
}

/// An address that a stream can be opened at, without user and password in it.
fn check_url(url: &str) -> Result<(), (String, Option<String>)> {
    let wrong = |message: &str, help: &str| Err((message.to_owned(), Some(help.to_owned())));
    let example = "write it like \"rtsp://192.168.1.20:554/stream1\"";
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("this is no stream address", example);
    };
    if !["rtsp", "rtsps"].contains(&scheme) {
        let message = format!("streams are read over rtsp:// or rtsps://, not {scheme}://");
        return Err((message, suggestion(scheme, ["rtsp", "rtsps"], "schemes")));
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return wrong("an address has no blanks in it", "write a blank inside a path as %20");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.contains('@') {
        return wrong(
            "user and password do not belong into the address",
            "write username = \"…\" and password_file = \"FILE\", with the password in that file",
        );
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, rest.strip_prefix(':')),
            _ => return wrong("the address in brackets is no IPv6 address", example),
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return wrong("the address names no host", example);
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return wrong("the address has no valid port", "a port is a number from 1 to 65535");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn addresses() {
        for good in [
            "rtsp://10.0.0.1/stream",
            "rtsps://camera.example:322/h264?channel=1",
            "rtsp://[fe80::1]:554/",
            "rtsp://host",
            "rtsp://host/a@b",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "10.0.0.1/stream",
            "http://10.0.0.1/",
            "rtsp://",
            "rtsp:///stream",
            "rtsp://user:password@host/",
            "rtsp://host:0/",
            "rtsp://host:65536/",
            "rtsp://host:/",
            "rtsp://[::1/",
            "rtsp://host/a b",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
