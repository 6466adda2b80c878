//! An HTTP service that says where a stream is.

use std::io;

use serde_json::Value;
use snowgate_core::secret::Secret;
use ureq::http::{Method, Request, Response};

use super::{
    super::{http_agent::agent, patience, spec::HttpSource},
    MOST_ANSWERED, Unanswered, late, line, shown,
};
use crate::shutdown::Shutdown;

/// Calls it once. It is not followed elsewhere: what it would be sent there is secret.
pub(super) fn ask(source: &HttpSource, token: Option<&Secret>, shutdown: &Shutdown) -> Result<String, Unanswered> {
    let (source, token, within) = (source.clone(), token.cloned(), source.timeout.0);
    let call = move || call(&source, token.as_ref());
    match patience::ask("address", within, shutdown, call) {
        Ok(Some(answer)) => answer.map_err(Unanswered::Failed),
        Ok(None) if shutdown.is_triggered() => Err(Unanswered::Stopping),
        Ok(None) => late(within),
        Err(error) => Err(Unanswered::Failed(error.to_string())),
    }
}

fn call(source: &HttpSource, token: Option<&Secret>) -> Result<String, String> {
    let method = Method::from_bytes(source.method.as_str().as_bytes()).map_err(|error| error.to_string())?;
    let request = Request::builder().method(method).uri(source.url.as_str());
    let request = match token {
        Some(token) => request.header(source.token_header.as_str(), token.expose()),
        None => request,
    };
    let request = request.body(()).map_err(|error| error.to_string())?;
    let mut response = agent(source.timeout.0, false).run(request).map_err(plain)?;
    let body = body(&mut response)?;
    if !response.status().is_success() {
        return Err(format!("it answered with HTTP status {}: {}", response.status().as_u16(), shown(&body)));
    }
    address_in(&body, source.pointer.as_ref().map(|pointer| pointer.as_str()))
}

fn body(response: &mut Response<ureq::Body>) -> Result<String, String> {
    let limit = MOST_ANSWERED as u64;
    response.body_mut().with_config().limit(limit).lossy_utf8(true).read_to_string().map_err(plain)
}

/// The address in an answer: at a JSON pointer, or all of it.
fn address_in(body: &str, pointer: Option<&str>) -> Result<String, String> {
    let Some(pointer) = pointer else { return line(body) };
    let json: Value =
        serde_json::from_str(body).map_err(|error| format!("the answer is no JSON ({error}): {}", shown(body)))?;
    let address = json.pointer(pointer).and_then(Value::as_str);
    line(address.ok_or_else(|| format!("the answer has no text at {pointer}: {}", shown(body)))?)
}

fn plain(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        ureq::Error::BodyExceedsLimit(limit) => format!("the answer is longer than {limit} bytes"),
        error => error.to_string(),
    }
}
