//! A station's end of a TCP line: it sends bytes and waits for frames.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use snowgate_core::sensor::codec::{Framing, StreamDecoder};

/// An answer comes within so long, or there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// A blocking connection to a centre; closed when it is dropped.
pub struct Line<P> {
    stream: TcpStream,
    decoder: StreamDecoder<P>,
    /// Bytes that came after the frame received last.
    rest: Vec<u8>,
}

impl<P: Framing> Line<P> {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(centre: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&centre, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, decoder: StreamDecoder::new(), rest: Vec::new() })
    }

    /// This end's address, by which the centre's messages name it.
    ///
    /// # Errors
    /// The system does not know.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// How long an answer is waited for; 5 seconds unless this is said.
    ///
    /// # Errors
    /// The system refuses it, as it does zero.
    pub fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The centre has hung up, or does not read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Nothing more will be sent; what the centre still sends can be received.
    ///
    /// # Errors
    /// The centre has hung up.
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The next frame of the centre's, as `read` sees it.
    ///
    /// # Errors
    /// `UnexpectedEof` if the centre hangs up, `WouldBlock` or `TimedOut` if it says nothing, `InvalidData` if what it says
    /// is no frame.
    pub fn receive<T>(&mut self, read: impl FnOnce(P::Frame<'_>) -> T) -> io::Result<T> {
        let mut chunk = [0; 1024];
        loop {
            let mut input = self.rest.as_slice();
            let frame = self.decoder.next_frame(&mut input);
            let consumed = self.rest.len() - input.len();
            if let Some(frame) = frame {
                let frame =
                    frame.map(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
                self.rest.drain(..consumed);
                return frame;
            }
            self.rest.clear();
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.rest.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    /// Waits until the centre hangs up; what it says until then is passed over.
    ///
    /// # Errors
    /// It does not in time.
    pub fn wait_for_end(&mut self) -> io::Result<()> {
        let mut chunk = [0; 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a codec says of what cannot be built or is not the answer expected.
pub(crate) fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
