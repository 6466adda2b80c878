//! HTTP/1.1, one request a connection.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use native_tls::{Identity, TlsAcceptor};

use super::{Hostile, Shared, answers, between, lock, security::Verdict};

/// How long a client may take with its request.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest request, in bytes.
const LARGEST: usize = 1 << 20;

/// What a connection is, encrypted or not.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// What makes connections encrypted.
pub fn acceptor(certificate: &str, key: &str) -> io::Result<TlsAcceptor> {
    let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).map_err(io::Error::other)?;
    TlsAcceptor::new(identity).map_err(io::Error::other)
}

/// Serves until it is to stop; each connection on a thread of its own.
pub fn serve(listener: &TcpListener, tls: Option<&TlsAcceptor>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        // A client that hangs up is no matter of the camera's.
        thread::spawn(move || drop(connection(stream, tls, &shared)));
    }
}

fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn Connection> = match tls {
        Some(tls) => Box::new(tls.accept(stream).map_err(io::Error::other)?),
        None => Box::new(stream),
    };
    let (head, body) = read(&mut stream)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    // The first element of the body is the operation.
    let action = between(&body, "Body><", ">").and_then(|tag| tag.split([' ', '/']).next());
    let action = action.and_then(|name| name.rsplit(':').next()).unwrap_or_default().to_owned();
    lock(&shared.requests).push(action.clone());
    if let Some(hostile) = &shared.behaviour.hostile {
        return misbehave(hostile, &mut stream, &action);
    }
    let verdict = lock(&shared.guard).judge(&action, path, &head, &body);
    match verdict {
        Verdict::Challenge(challenge) => send(&mut stream, 401, &format!("WWW-Authenticate: {challenge}\r\n"), ""),
        Verdict::NotAuthorized => send(&mut stream, 400, "", &answers::fault("NotAuthorized", "Sender not Authorized")),
        Verdict::Allowed => match answers::answer(shared, path, &action, &body) {
            Some(answer) => send(&mut stream, 200, "", &answers::envelope(&answer)),
            None => send(&mut stream, 500, "", &answers::fault("ActionNotSupported", "Not implemented")),
        },
    }
}

/// Head and body of a request.
fn read(stream: &mut dyn Connection) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let body = bytes.get(end + 4..).unwrap_or_default();
            if let Some(body) = body.get(..length.unwrap_or(0)) {
                return Ok((head, String::from_utf8_lossy(body).into_owned()));
            }
        }
        let count = stream.read(&mut chunk)?;
        if count == 0 || bytes.len() > LARGEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
}

fn send(stream: &mut dyn Connection, status: u16, header: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {length}\r\n{header}\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

fn misbehave(hostile: &Hostile, stream: &mut dyn Connection, action: &str) -> io::Result<()> {
    match hostile {
        Hostile::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<a>")?;
            loop {
                stream.write_all(&[b'x'; 65_536])?;
            }
        }
        Hostile::Deep => {
            let deep = "<a>".repeat(300_000);
            send(stream, 200, "", &answers::envelope(&format!("<tds:{action}Response>{deep}")))
        }
        Hostile::EntityBomb => {
            let lines: String =
                (1..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
            let bomb = format!("<!DOCTYPE a [<!ENTITY e0 \"boom\">{lines}]><a>&e9;</a>");
            send(stream, 200, "", &bomb)
        }
        Hostile::Silent => {
            // Until the client hangs up, or has been waited for long enough.
            stream.read(&mut [0]).map(drop)
        }
        Hostile::Cut => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<SOAP-ENV:Envelope"),
        Hostile::Redirect(to) => send(stream, 302, &format!("Location: {to}\r\n"), ""),
        Hostile::WebPage => send(stream, 200, "", "<!DOCTYPE html><html><body>Welcome</body></html>"),
    }
}
