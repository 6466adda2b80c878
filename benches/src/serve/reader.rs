//! One connection: what its reader wants, and what still waits to be written to it.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use super::{
    clip::Unit,
    packets::{self, Stamp},
    rtsp::{self, Input, Malformed, Request},
    time,
};

/// Bytes that may wait for one reader; what comes while more do is dropped, picture by picture.
pub const QUEUE_LIMIT: usize = 1 << 20;
/// Asked of the system for its own buffer, so that it does not hide a slow reader behind megabytes.
const SEND_BUFFER: usize = 256 << 10;
/// Between two sender reports.
const REPORT_INTERVAL: u64 = 5_000_000_000;

/// The connection is over.
#[derive(Debug)]
pub struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<Malformed> for Gone {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// What became of a picture.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Written or queued.
    Sent,
    /// The reader is too slow for it.
    Dropped,
    /// It has not begun: the next key frame will be its first.
    NotYet,
}

/// A stream that was set up.
#[derive(Debug)]
struct Session {
    camera: usize,
    channels: (u8, u8),
    state: State,
    sequence: u16,
    source: u32,
    packets: u32,
    octets: u32,
    next_report: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// PLAY was asked for; the next key frame will be the first picture.
    Begins,
    Plays,
    /// A picture was dropped, and those after it cannot be decoded, up to the next key frame.
    Lost,
}

/// A connection.
#[derive(Debug)]
pub struct Reader {
    stream: TcpStream,
    input: Vec<u8>,
    waiting: Vec<u8>,
    /// How much of `waiting` is written.
    written: usize,
    session: Option<Session>,
}

impl Reader {
    /// Takes a new connection.
    ///
    /// # Errors
    /// It is gone already.
    pub fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
        Ok(Self { stream, input: Vec::new(), waiting: Vec::new(), written: 0, session: None })
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes that wait.
    pub fn queue(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// The camera it has set up.
    pub fn camera(&self) -> Option<usize> {
        self.session.as_ref().map(|session| session.camera)
    }

    /// Whether a SETUP came before.
    pub fn is_set_up(&self) -> bool {
        self.session.is_some()
    }

    /// Reads some of what has come; what is left makes the socket ready again.
    ///
    /// # Errors
    /// The connection is over.
    pub fn receive(&mut self) -> Result<(), Gone> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                self.input.extend_from_slice(bytes.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// The next whole request that was read.
    ///
    /// # Errors
    /// What came is not RTSP.
    pub fn next_request(&mut self) -> Result<Option<Request>, Gone> {
        while let Some((input, length)) = rtsp::parse(&self.input)? {
            self.input.drain(..length);
            if let Input::Request(request) = input {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    /// Notes a SETUP. `source` names the stream in RTP.
    pub fn set_up(&mut self, camera: usize, channels: (u8, u8), source: u32) {
        // Any first number will do; RFC 3550 wants one that is hard to guess, against attacks that need no thought here.
        let sequence = source.wrapping_mul(0x9e37) as u16;
        let (packets, octets, next_report) = (0, 0, 0);
        self.session =
            Some(Session { camera, channels, state: State::Ready, sequence, source, packets, octets, next_report });
    }

    /// From the next key frame on, pictures are sent.
    pub fn play(&mut self) {
        if let Some(session) = &mut self.session
            && session.state == State::Ready
        {
            session.state = State::Begins;
        }
    }

    /// No pictures are sent any more.
    pub fn pause(&mut self) {
        if let Some(session) = &mut self.session {
            session.state = State::Ready;
        }
    }

    /// Forgets the session.
    pub fn tear_down(&mut self) {
        self.session = None;
    }

    /// Sends a picture, or drops it if too much waits. A dropped one costs its sequence numbers, so that the loss can be seen,
    /// and the pictures after it up to the next key frame, which could not be decoded.
    ///
    /// # Errors
    /// The connection is over.
    pub fn deliver(&mut self, unit: &Unit, rtp_time: u32, now: u64, scratch: &mut Vec<u8>) -> Result<Delivery, Gone> {
        let queue = self.queue();
        let Some(session) = &mut self.session else { return Ok(Delivery::NotYet) };
        if session.state == State::Ready || (session.state == State::Begins && !unit.key) {
            return Ok(Delivery::NotYet);
        }
        let count = unit.packets.count();
        let sequence = session.sequence;
        session.sequence = sequence.wrapping_add(count as u16);
        if queue > QUEUE_LIMIT || (session.state == State::Lost && !unit.key) {
            session.state = State::Lost;
            return Ok(Delivery::Dropped);
        }
        session.state = State::Plays;
        let stamp = Stamp { channel: session.channels.0, sequence, time: rtp_time, source: session.source };
        scratch.clear();
        if now >= session.next_report {
            session.next_report = now + REPORT_INTERVAL;
            let stamp = Stamp { channel: session.channels.1, ..stamp };
            packets::sender_report(stamp, time::ntp(), session.packets, session.octets, scratch);
        }
        unit.packets.write(stamp, scratch);
        session.packets = session.packets.wrapping_add(count as u32);
        session.octets = session.octets.wrapping_add(unit.packets.payload_size() as u32);
        self.send(scratch)?;
        Ok(Delivery::Sent)
    }

    /// Writes `bytes`, or what of them the system takes; the rest waits.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let done = if self.queue() == 0 { self.write(bytes)? } else { 0 };
        self.waiting.extend_from_slice(bytes.get(done..).unwrap_or_default());
        Ok(())
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self) -> Result<(), Gone> {
        let waiting = std::mem::take(&mut self.waiting);
        let done = self.write(waiting.get(self.written..).unwrap_or_default());
        self.waiting = waiting;
        self.written += done?;
        if self.queue() == 0 {
            self.waiting.clear();
            self.written = 0;
        } else if self.written > QUEUE_LIMIT {
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        match self.stream.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(Gone),
            Ok(count) => Ok(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(_) => Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::serve::clip::Clip;

    fn pair() -> (Reader, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Reader::new(listener.accept().unwrap().0).unwrap(), peer)
    }

    /// Sequence numbers of the media packets in what a reader received.
    fn sequences(mut wire: &[u8]) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let [b'$', channel, high, low, rest @ ..] = wire {
            let (packet, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            if *channel == 0 {
                numbers.push(u16::from_be_bytes([packet[2], packet[3]]));
            }
            wire = after;
        }
        assert!(wire.is_empty(), "only whole packets");
        numbers
    }

    #[test]
    fn a_slow_reader_loses_whole_pictures_up_to_a_key_frame_and_the_gap_shows() {
        let clip = Clip::of_pictures("x", 2, 2, &[]);
        let (key, delta) = (&clip.units[0], &clip.units[1]);
        let (mut reader, mut peer) = pair();
        let mut scratch = Vec::new();
        let mut deliver = |reader: &mut Reader, unit| reader.deliver(unit, 0, 1, &mut scratch).unwrap();
        reader.set_up(0, (0, 1), 7);
        assert_eq!(deliver(&mut reader, key), Delivery::NotYet, "nobody asked to play");
        reader.play();
        assert_eq!(deliver(&mut reader, delta), Delivery::NotYet, "it begins with a key frame");

        let mut sent = 0;
        while deliver(&mut reader, key) == Delivery::Sent {
            sent += 1;
            assert!(sent < 100_000, "nothing is ever dropped");
        }
        assert!(reader.queue() <= QUEUE_LIMIT + key.packets.size() + 64);

        // The peer reads again: the next picture cannot be decoded, the next key frame can.
        let mut wire = Vec::new();
        let mut bytes = vec![0; 1 << 16];
        while reader.queue() > 0 {
            let count = peer.read(&mut bytes).unwrap();
            wire.extend_from_slice(&bytes[..count]);
            reader.flush().unwrap();
        }
        assert_eq!(deliver(&mut reader, delta), Delivery::Dropped);
        assert_eq!(deliver(&mut reader, key), Delivery::Sent);
        drop(reader);
        peer.read_to_end(&mut wire).unwrap();

        let numbers = sequences(&wire);
        let per_picture = key.packets.count();
        assert_eq!(numbers.len(), (sent + 1) * per_picture);
        let gaps: Vec<u16> =
            numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).filter(|&gap| gap != 1).collect();
        assert_eq!(gaps, [1 + 2 * per_picture as u16], "two pictures were lost");
    }
}
