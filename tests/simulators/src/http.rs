//! A device that posts its readings over HTTP/1.1, byte by byte under the test's control.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longest time an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// What the gateway answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Head lines after the status line, as they came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A head line's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().find(|text| line(text)).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

/// A connection to the gateway.
pub struct Poster {
    stream: TcpStream,
}

impl Poster {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Posts a sensor's message, and waits for the answer.
    ///
    /// # Errors
    /// The connection ends without an answer.
    pub async fn post(&mut self, sensor: &str, token: &str, body: impl AsRef<[u8]>) -> io::Result<Answer> {
        let body = body.as_ref();
        let head = format!(
            "POST /sensors/{sensor} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // In one piece: an answer that does not wait for the body must not find it half sent.
        self.send(&[head.as_bytes(), body].concat()).await?;
        self.answer().await
    }

    /// Sends bytes as they stand.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// The connection ends without one, or none comes in time.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        timeout(ANSWER_LIMIT, self.read_answer()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut bytes = Vec::new();
        let (head, body) = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.split_off(end + 4));
            }
            self.read_more(&mut bytes).await?;
        };
        let (status_line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer =
            Answer { status: status.ok_or_else(|| wrong("no status"))?, head: head.to_owned(), body: String::new() };
        let length = answer.header("content-length").map_or(Ok(0), str::parse).map_err(|_| wrong("no length"))?;
        let mut bytes = body;
        while bytes.len() < length {
            self.read_more(&mut bytes).await?;
        }
        answer.body = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Ok(answer)
    }

    async fn read_more(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if bytes.len() > LONGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an endless answer"));
        }
        match self.stream.read_buf(bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the gateway ends the connection; whatever it still says is dropped.
    ///
    /// # Errors
    /// It does not within half a minute.
    pub async fn closed(&mut self) -> io::Result<()> {
        let ended = async {
            let mut rest = [0; 1024];
            while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {}
        };
        timeout(ANSWER_LIMIT, ended).await.map_err(|_| io::ErrorKind::TimedOut.into())
    }
}
