//! One connection or serial line, and one request at a time on it: `tokio-modbus` speaks the protocol, this module keeps
//! it in step.
//!
//! What the library's client (0.17) leaves to its user, and what is done about it here:
//! - After a time-out or an undecodable answer its framing may hold half a frame, and an answer that comes late is taken
//!   for the next request's: on RTU if slave and function fit, on TCP as a mismatch that repeats for ever. So a client
//!   serves **until its first failure**. On TCP its connection goes with it. On RTU, where a slave's number is all that an
//!   answer bears, the line stays and a new client begins once it has been quiet for a while.
//! - Its reading functions trust the answer's length (checked by `debug_assert` only); here the length is compared.
//! - A connection's end is reported as whatever the system's last error was; [`Wire`] makes it an error of its own.
//! - Flushing a serial port blocks its thread until everything has been sent (`tcdrain`); [`Wire`] does not flush:
//!   everything is with the system once it is written.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use tokio_modbus::{
    ExceptionCode, ProtocolError, Request, Response, Slave,
    client::{Client as _, Context as Client, rtu, tcp},
    slave::SlaveContext as _,
};

use super::plan::{Answer, Stretch};
use crate::spec::ModbusTable;

/// How long a serial line must have been quiet after a failure before it is used again: several times the pieces in which
/// USB converters deliver (16 ms).
const QUIET_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How requests and answers are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// With a transaction's number and a length.
    Tcp,
    /// With a check sum, and quiet in between.
    Rtu,
}

/// Why there is no answer to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The slave, or the gateway for it, refuses.
    Refused(ExceptionCode),
    /// Nothing came in time.
    Silent,
    /// Something came that is no answer to the request.
    Garbled(String),
    /// The connection or the device is gone.
    Lost(String),
}

/// A line, ready for requests until its first failure other than a refusal.
pub struct Line {
    wire: Wire,
    client: Client,
    framing: Framing,
    pause: Duration,
    /// How long it has to be quiet before the next request.
    quiet: Duration,
}

impl Line {
    /// A line over a stream; it is left quiet for `pause` before each request.
    pub fn over(stream: impl Stream + 'static, framing: Framing, pause: Duration) -> Self {
        let wire = Wire(Arc::new(Mutex::new(Box::new(stream))));
        Self { client: attach(&wire, framing), wire, framing, pause, quiet: pause }
    }

    /// Reads a stretch of a slave's table: exactly as many bits or registers as it has.
    ///
    /// # Errors
    /// Why there is none. Anything but a refusal ends the line; see [`Line::after_failure`].
    pub async fn read(&mut self, slave: u8, stretch: Stretch, within: Duration) -> Result<Answer, Failure> {
        let quiet = std::mem::replace(&mut self.quiet, self.pause);
        self.wire.quieten(quiet, quiet + within).await?;
        self.client.set_slave(Slave(slave));
        let Stretch { table, start, count } = stretch;
        let request = match table {
            ModbusTable::Coils => Request::ReadCoils(start, count),
            ModbusTable::Discrete => Request::ReadDiscreteInputs(start, count),
            ModbusTable::Holding => Request::ReadHoldingRegisters(start, count),
            ModbusTable::Input => Request::ReadInputRegisters(start, count),
        };
        let answered = timeout(within, self.client.call(request)).await.map_err(|_| Failure::Silent)?;
        fitting(answered.map_err(failure)?.map_err(Failure::Refused)?, stretch)
    }

    /// The line after a failure other than a refusal: `None` if it has to be opened again.
    pub fn after_failure(self, failure: &Failure) -> Option<Self> {
        match (self.framing, failure) {
            (Framing::Tcp, _) | (_, Failure::Lost(_)) => None,
            (Framing::Rtu, _) => Some(Self {
                client: attach(&self.wire, self.framing),
                quiet: self.pause.max(QUIET_AFTER_FAILURE),
                ..self
            }),
        }
    }
}

fn attach(wire: &Wire, framing: Framing) -> Client {
    match framing {
        Framing::Tcp => tcp::attach(wire.clone()),
        Framing::Rtu => rtu::attach(wire.clone()),
    }
}

/// The answer, if it is as long as was asked for. Bits come in whole bytes.
fn fitting(response: Response, stretch: Stretch) -> Result<Answer, Failure> {
    let count = usize::from(stretch.count);
    let asked = |what: &str, got: usize| Failure::Garbled(format!("{got} {what} instead of {count}"));
    match (stretch.table, response) {
        (ModbusTable::Coils, Response::ReadCoils(mut bits))
        | (ModbusTable::Discrete, Response::ReadDiscreteInputs(mut bits)) => {
            if bits.len() != count.next_multiple_of(8) {
                return Err(asked("bits", bits.len()));
            }
            bits.truncate(count);
            Ok(Answer::Bits(bits))
        }
        (ModbusTable::Holding, Response::ReadHoldingRegisters(registers))
        | (ModbusTable::Input, Response::ReadInputRegisters(registers)) => {
            if registers.len() == count {
                Ok(Answer::Registers(registers))
            } else {
                Err(asked("registers", registers.len()))
            }
        }
        (table, other) => {
            let got = other.function_code().value();
            Err(Failure::Garbled(format!("an answer to function {got} instead of {}", table.function())))
        }
    }
}

fn failure(error: tokio_modbus::Error) -> Failure {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        tokio_modbus::Error::Protocol(ProtocolError::HeaderMismatch { message, .. }) => {
            Failure::Garbled(format!("the answer of another slave, or to another request: {message}"))
        }
        tokio_modbus::Error::Protocol(ProtocolError::FunctionCodeMismatch { request, result }) => {
            let got = match result {
                Ok(response) => response.function_code(),
                Err(exception) => exception.function,
            };
            Failure::Garbled(format!("an answer to function {} instead of {}", got.value(), request.value()))
        }
        // What the decoder says of bytes it cannot use.
        tokio_modbus::Error::Transport(error) if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
            Failure::Garbled(error.to_string())
        }
        tokio_modbus::Error::Transport(error) => Failure::Lost(error.to_string()),
    }
}

/// What a line can be made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream that outlives the clients on it.
#[derive(Clone)]
struct Wire(Arc<Mutex<Box<dyn Stream>>>);

impl Wire {
    fn stream(&self) -> MutexGuard<'_, Box<dyn Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing has come for so long; what comes was asked for by nobody, or too long ago.
    async fn quieten(&mut self, quiet: Duration, at_most: Duration) -> Result<(), Failure> {
        if quiet.is_zero() {
            return Ok(());
        }
        let mut unasked = [0; 256];
        let deadline = Instant::now() + at_most;
        // Looked at each time: something may always be there to read, and the time-outs below never get their turn.
        while Instant::now() < deadline {
            match timeout(quiet, timeout_at(deadline, self.read(&mut unasked))).await {
                Err(_) => return Ok(()),
                Ok(Err(_)) => break,
                Ok(Ok(Ok(_))) => {}
                Ok(Ok(Err(error))) => return Err(Failure::Lost(error.to_string())),
            }
        }
        Err(Failure::Garbled("the line does not fall quiet".into()))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.stream()).poll_read(cx, buf);
        match read {
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the other side")))
            }
            read => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_shutdown(cx)
    }
}
