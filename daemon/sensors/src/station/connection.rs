//! The life of one connection: bytes, frames, samples, answers.

use std::{collections::BTreeSet, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use snowgate_core::sensor::codec::StreamDecoder;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Outcome, Protocol, Refused, Server, register::Seat};
use crate::intake::Fault;

/// Bytes read at once.
const READ_AT_ONCE: usize = 1024;
/// A frame that pauses for longer is not waited for any more.
const PAUSE_WITHIN_FRAME: Duration = Duration::from_secs(10);
/// An answer that is not taken for so long ends the connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// So many unusable messages in a row end the connection.
const UNUSABLE_IN_A_ROW: u32 = 16;
/// What is told of a message is cut to so many characters: it may hold anything.
const TOLD_CHARACTERS: usize = 240;

/// How a connection comes to its end.
enum End {
    /// Everything stops.
    Stopped,
    /// The peer is gone, has been silent for too long, or has made place for another.
    Gone,
    /// Nothing it says can be used.
    Unusable,
}

/// Hears a station until its connection ends.
pub(super) async fn talk<P: Protocol>(server: Arc<Server<P>>, stream: TcpStream, peer: SocketAddr, seat: Seat) {
    // Answers are one short write each; if this cannot be had they come a little later.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection {
        decoder: StreamDecoder::new(),
        conversation: P::Conversation::default(),
        sensors: BTreeSet::new(),
        usable_at: Instant::now(),
        unusable: 0,
        server: &server,
        stream: &stream,
        peer,
        seat: &seat,
    };
    let end = connection.serve().await;
    drop(connection);
    drop(stream);
    match end {
        End::Stopped => return,
        End::Gone => {}
        End::Unusable => {
            let message =
                || format!("{peer}: disconnected after {UNUSABLE_IN_A_ROW} messages in a row that cannot be used");
            server.refusals.tell(None, "disconnected", message).await;
        }
    }
    for sensor in seat.leave() {
        if server.protocol.stays_connected(sensor)
            && let Some(sensor) = server.protocol.sensors().get(sensor)
        {
            server.intake.fault(sensor, Fault::Disconnected { address: peer.to_string() }).await;
        }
    }
}

struct Connection<'a, P: Protocol> {
    decoder: StreamDecoder<P::Framing>,
    conversation: P::Conversation,
    /// Whose messages have come.
    sensors: BTreeSet<usize>,
    /// When something usable was last heard.
    usable_at: Instant,
    /// Messages since then that cannot be used.
    unusable: u32,
    server: &'a Server<P>,
    stream: &'a TcpStream,
    peer: SocketAddr,
    seat: &'a Seat,
}

impl<P: Protocol> Connection<'_, P> {
    async fn serve(&mut self) -> End {
        let idle_after = self.server.listen.idle_after;
        let pause = PAUSE_WITHIN_FRAME.min(idle_after / 2);
        let mut chunk = [0; READ_AT_ONCE];
        loop {
            let idle_at = self.usable_at + idle_after;
            let in_frame = self.decoder.held() > 0;
            let until = if in_frame { idle_at.min(Instant::now() + pause) } else { idle_at };
            let read = timeout_at(until, read(self.stream, &mut chunk));
            let step = match self.unless_closed(read).await {
                Err(end) => return end,
                Ok(Ok(Ok(count))) if count > 0 => self.take(chunk.get(..count).unwrap_or_default()).await,
                Ok(Ok(_)) => {
                    return match self.forget("the connection ended").await {
                        Err(end @ End::Stopped) => end,
                        _ => End::Gone,
                    };
                }
                Ok(Err(_)) if Instant::now() >= idle_at => return End::Gone,
                Ok(Err(_)) => self.forget("nothing more came").await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// What a future gives, unless the connection must end first.
    async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.server.shutdown.cancelled() => Err(End::Stopped),
            () = self.seat.closed() => Err(End::Gone),
            result = future => Ok(result),
        }
    }

    /// Gives up a frame that has not come to its end.
    async fn forget(&mut self, why: &str) -> Result<(), End> {
        let held = self.decoder.held();
        if held == 0 {
            return Ok(());
        }
        self.decoder.clear();
        self.settle(Outcome::refused(None, "malformed", format!("{held} bytes of a message, then {why}"))).await
    }

    async fn take(&mut self, mut input: &[u8]) -> Result<(), End> {
        while let Some(outcome) = self.next(&mut input) {
            self.settle(outcome).await?;
        }
        Ok(())
    }

    fn next(&mut self, input: &mut &[u8]) -> Option<Outcome> {
        Some(match self.decoder.next_frame(input)? {
            Ok(frame) => self.server.protocol.hear(frame, &mut self.conversation, self.server.intake.now().wall),
            Err(error) => Outcome::refused(None, "malformed", error.to_string()),
        })
    }

    /// Tells what came, and answers once that is taken.
    async fn settle(&mut self, outcome: Outcome) -> Result<(), End> {
        let Outcome { heard, refused, answer } = outcome;
        if heard.is_empty() {
            self.unusable = self.unusable.saturating_add(u32::from(!refused.is_empty()));
        } else {
            (self.unusable, self.usable_at) = (0, Instant::now());
        }
        let measured: BTreeSet<usize> =
            heard.iter().filter(|(_, samples)| !samples.is_empty()).map(|(sensor, _)| *sensor).collect();
        for (sensor, samples) in heard {
            if self.sensors.insert(sensor) {
                self.seat.belongs_to(sensor);
            }
            let Some(sensor) = self.server.protocol.sensors().get(sensor) else { continue };
            tokio::select! {
                biased;
                taken = self.server.intake.heard(sensor, samples) => if !taken { return Err(End::Stopped) },
                () = self.server.shutdown.cancelled() => return Err(End::Stopped),
            }
        }
        for refused in refused {
            let spoilt = refused.sensor.is_none_or(|sensor| !measured.contains(&sensor));
            let told = self.refuse(refused, spoilt);
            self.unless_closed(told).await?;
        }
        if let Some(answer) = answer {
            let sent = timeout(ANSWER_WITHIN, write(self.stream, &answer));
            if !matches!(self.unless_closed(sent).await?, Ok(Ok(()))) {
                return Err(End::Gone);
            }
        }
        if self.unusable < UNUSABLE_IN_A_ROW { Ok(()) } else { Err(End::Unusable) }
    }

    /// Tells what was refused; a sensor is faulty if there was nothing else (`spoilt`). What names no sensor is that of the
    /// connection's, if it has but one.
    async fn refuse(&self, refused: Refused, spoilt: bool) {
        let Refused { sensor, reason, why } = refused;
        let why: String = why.chars().take(TOLD_CHARACTERS).collect();
        let message = || format!("{}: {why}", self.peer);
        let only = self.sensors.iter().next().copied().filter(|_| self.sensors.len() == 1);
        let names = self.server.protocol.sensors();
        let name = |sensor: Option<usize>| sensor.and_then(|sensor| names.get(sensor));
        let refusals = &self.server.refusals;
        match name(sensor) {
            Some(sensor) if spoilt && reason == "malformed" => {
                refusals.unusable(sensor, reason, message, &why).await;
            }
            sensor => {
                refusals.tell(sensor.or_else(|| name(only)), reason, message).await;
            }
        }
    }
}

/// Reads what there is, waiting for at least a byte; 0 at the end of the stream.
async fn read(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Writes everything.
async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
