//! One HTTP GET, bounded in time and size: all that health and metrics need.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 8 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Gets a path from a server that closes the connection after its answer, within the time given.
///
/// # Errors
/// Nobody listens, the answer takes too long or is too large, or it is no HTTP.
pub fn get(address: SocketAddr, path: &str, within: Duration) -> io::Result<Answer> {
    let end = Instant::now() + within;
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_write_timeout(Some(within))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => answer.extend_from_slice(&chunk[..read]),
        }
        if answer.len() > MAX_ANSWER {
            return Err(io::Error::other(format!("{path}: more than {MAX_ANSWER} bytes")));
        }
    }
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: no HTTP answer")))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn serve(answer: &'static [u8]) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
            request
        });
        (address, server)
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let (address, server) = serve(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nnot yet\r\n");
        let answer = get(address, "/readyz", Duration::from_secs(5)).unwrap();
        assert_eq!(answer, Answer { status: 503, body: "not yet\r\n".to_owned() });
        assert!(server.join().unwrap().starts_with(b"GET /readyz HTTP/1.1\r\n"));
    }

    #[test]
    fn garbage_is_an_error() {
        let (address, _server) = serve(b"SSH-2.0-whatever\r\n\r\n");
        assert_eq!(get(address, "/", Duration::from_secs(5)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_server_that_says_nothing_costs_no_more_than_the_time_given() {
        // Accepted by the kernel, answered by nobody.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = get(listener.local_addr().unwrap(), "/", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    }
}
