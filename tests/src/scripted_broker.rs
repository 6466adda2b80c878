//! A broker that misbehaves to order: just enough MQTT 3.1.1 to be connected to and published to.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::contract;

/// How one connection is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// CONNACK with this return code, then it is closed.
    Refuse(u8),
    /// Something that is no MQTT.
    Babble,
    /// Everything is acknowledged.
    Behave,
    /// Nothing is acknowledged; after so many publishes it is closed.
    CloseAfter(usize),
    /// Every publish is acknowledged twice.
    AcknowledgeTwice,
    /// A publish whose payload begins so closes the connection, all others are acknowledged.
    CloseOn(&'static [u8]),
    /// All but the first publish are acknowledged.
    ForgetFirst,
    /// Nothing is ever acknowledged, pings are answered.
    NeverAcknowledge,
    /// Who subscribes is not welcome any more; everything else is acknowledged.
    CloseOnSubscribe,
    /// Subscriptions are not answered, everything else is acknowledged.
    IgnoreSubscribe,
    /// Subscriptions are refused, everything else is acknowledged.
    RefuseSubscribe,
}

/// A publish as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The how-manieth connection it came over, from 0.
    pub connection: usize,
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Serves one connection after the other by a script; after its end, the last act is repeated. Dropping it panics if anything
/// was published that is neither a stand-in ([`contract::is_stand_in`]) nor as the published schemas say.
pub struct ScriptedBroker {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    publishes: Mutex<Vec<Publish>>,
    more: Condvar,
}

impl ScriptedBroker {
    /// Starts on a free loopback port.
    pub fn start(script: impl Into<VecDeque<Act>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Log::default());
        let (mut script, write) = (script.into(), log.clone());
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let act = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
                // How a connection ends is the client's affair.
                let _ = serve(stream, &act.unwrap_or(Act::Behave), connection, &write);
            }
        });
        Self { address, log }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until what was published satisfies a condition, and returns it; panics after a minute.
    pub fn wait_until(&self, awaited: &str, condition: impl Fn(&[Publish]) -> bool) -> Vec<Publish> {
        let end = Instant::now() + Duration::from_secs(60);
        let mut publishes = self.log.publishes.lock().unwrap_or_else(PoisonError::into_inner);
        while !condition(&publishes) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {awaited}; published: {publishes:?}");
            publishes = self.log.more.wait_timeout(publishes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        publishes.clone()
    }
}

impl Drop for ScriptedBroker {
    fn drop(&mut self) {
        let publishes = self.log.publishes.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = publishes.iter().filter(|p| !contract::is_stand_in(&p.topic, &p.payload));
        let violations = checked.filter_map(|p| contract::check(&p.topic, &p.payload).err());
        let violations: Vec<_> = violations.map(|violation| violation.to_string()).collect();
        drop(publishes);
        contract::answer_for(&violations);
    }
}

fn serve(mut stream: TcpStream, act: &Act, connection: usize, log: &Log) -> io::Result<()> {
    const CONNECT: u8 = 1;
    const PUBLISH: u8 = 3;
    const SUBSCRIBE: u8 = 8;
    const PINGREQ: u8 = 12;
    let mut count = 0;
    loop {
        let (first, body) = read_packet(&mut stream)?;
        match first >> 4 {
            CONNECT => match act {
                Act::Refuse(code) => return stream.write_all(&[0x20, 2, 0, *code]),
                Act::Babble => return stream.write_all(b"220 mail.example ESMTP\r\n"),
                // No session is ever known here.
                _ => stream.write_all(&[0x20, 2, 0, 0])?,
            },
            PUBLISH => {
                let acknowledged = first & 0b110 != 0;
                let (topic, packet_id, payload) = split(&body, acknowledged)?;
                count += 1;
                let publish = Publish { connection, topic, payload: payload.to_vec() };
                log.publishes.lock().unwrap_or_else(PoisonError::into_inner).push(publish);
                log.more.notify_all();
                let times = match act {
                    Act::CloseAfter(limit) if count >= *limit => return Ok(()),
                    Act::CloseOn(start) if payload.starts_with(start) => return Ok(()),
                    Act::CloseAfter(_) | Act::NeverAcknowledge => 0,
                    Act::ForgetFirst if count == 1 => 0,
                    Act::AcknowledgeTwice => 2,
                    _ => 1,
                };
                for _ in 0..if acknowledged { times } else { 0 } {
                    stream.write_all(&[0x40, 2, packet_id[0], packet_id[1]])?;
                }
            }
            SUBSCRIBE => {
                let packet_id = body.first_chunk::<2>().ok_or(io::ErrorKind::UnexpectedEof)?;
                match act {
                    Act::CloseOnSubscribe => return Ok(()),
                    Act::IgnoreSubscribe => {}
                    Act::RefuseSubscribe => stream.write_all(&[0x90, 3, packet_id[0], packet_id[1], 0x80])?,
                    _ => stream.write_all(&[0x90, 3, packet_id[0], packet_id[1], 1])?,
                }
            }
            PINGREQ => stream.write_all(&[0xD0, 0])?,
            _ => return Ok(()),
        }
    }
}

fn read_packet(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}

fn split(body: &[u8], has_packet_id: bool) -> io::Result<(String, [u8; 2], &[u8])> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (length, rest) = body.split_first_chunk::<2>().ok_or_else(short)?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(short)?;
    let topic = String::from_utf8_lossy(topic).into_owned();
    if !has_packet_id {
        return Ok((topic, [0; 2], rest));
    }
    let (packet_id, payload) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    Ok((topic, *packet_id, payload))
}
