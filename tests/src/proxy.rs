//! A TCP proxy that makes a network as bad as a test needs it. Where it is told that MQTT goes through it, it can also
//! lose, double and change single packets, as brokers behind load balancers do.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What the network does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Nothing the server says arrives any more; it waits, as in a router's queue.
    pub hold_replies: bool,
    /// Nothing the client says arrives any more.
    pub hold_requests: bool,
    /// Every piece arrives so much later.
    pub delay: Duration,
    /// Bytes a second in each direction; zero is no limit.
    pub bytes_per_second: u64,
    /// New connections are closed at once.
    pub refuse: bool,
    /// What happens to single packets; without effect where nothing is known of what goes through.
    pub packets: Packets,
}

/// What happens to single packets of MQTT 3.1.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Packets {
    /// Nothing.
    #[default]
    Pass,
    /// Acknowledgements of publishes never arrive.
    LoseAcknowledgements,
    /// Acknowledgements of publishes arrive twice.
    DoubleAcknowledgements,
    /// Publishes arrive twice, in both directions.
    DoublePublishes,
    /// The server seems to have forgotten every session (`session_present = 0`).
    ForgetSessions,
}

impl Packets {
    /// How often a packet arrives, and changes it if need be.
    fn apply(self, packet: &mut [u8]) -> usize {
        const CONNACK: u8 = 2;
        const PUBLISH: u8 = 3;
        const PUBACK: u8 = 4;
        let kind = packet.first().map_or(0, |first| first >> 4);
        match (self, kind) {
            (Self::LoseAcknowledgements, PUBACK) => 0,
            (Self::DoubleAcknowledgements, PUBACK) | (Self::DoublePublishes, PUBLISH) => 2,
            (Self::ForgetSessions, CONNACK) => {
                if let Some(session_present) = packet.get_mut(2) {
                    *session_present = 0;
                }
                1
            }
            _ => 1,
        }
    }
}

/// Cuts a stream of bytes into MQTT packets.
#[derive(Debug, Default)]
struct Packeter(Vec<u8>);

impl Packeter {
    /// Takes bytes in, and gives what arrives of the packets that are whole now.
    fn take(&mut self, bytes: &[u8], packets: Packets) -> Vec<u8> {
        self.0.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.0.len());
        let mut begin = 0;
        while let Some(length) = self.0.get(begin..).and_then(packet_length) {
            let packet = &mut self.0[begin..begin + length];
            for _ in 0..packets.apply(packet) {
                out.extend_from_slice(packet);
            }
            begin += length;
        }
        self.0.drain(..begin);
        out
    }
}

/// Bytes of the packet at the beginning (fixed header, §2.2 of MQTT 3.1.1), if all of them are there.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (index, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let length = 2 + index + remaining;
            return (bytes.len() >= length).then_some(length);
        }
    }
    None
}

/// Forwards connections to a server, through changing [`Weather`].
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    mqtt: bool,
    weather: Mutex<Weather>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicU64,
}

impl FaultProxy {
    /// Listens on a free loopback port; fair weather.
    pub fn start(server: SocketAddr) -> Self {
        Self::listen(server, false)
    }

    /// The same for plain MQTT: it knows packets, and passes whole ones only.
    pub fn start_mqtt(server: SocketAddr) -> Self {
        Self::listen(server, true)
    }

    fn listen(server: SocketAddr, mqtt: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            server,
            mqtt,
            weather: Mutex::default(),
            changed: Condvar::new(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
        });
        let serve = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                serve.forward(client);
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections made through it so far, refused ones included.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Changes the weather, for present connections too.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
        self.shared.changed.notify_all();
    }

    /// Cuts every present connection, with what is on its way.
    pub fn cut(&self) {
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn forward(self: &Arc<Self>, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let refuse = self.weather.lock().unwrap_or_else(PoisonError::into_inner).refuse;
        let Some(server) = (!refuse).then(|| TcpStream::connect(self.server).ok()).flatten() else { return };
        let Ok(pipes) = pipes(&client, &server) else { return };
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).extend([client, server]);
        for (from, to, reply) in pipes {
            let shared = self.clone();
            thread::spawn(move || shared.pipe(from, to, reply));
        }
    }

    fn pipe(&self, mut from: TcpStream, mut to: TcpStream, reply: bool) {
        let mut buffer = [0; 4096];
        let mut packeter = self.mqtt.then(Packeter::default);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let weather = self.passable(reply, &from);
            if !weather.delay.is_zero() {
                thread::sleep(weather.delay);
            }
            if weather.bytes_per_second > 0 {
                thread::sleep(Duration::from_secs_f64(read as f64 / weather.bytes_per_second as f64));
            }
            let written = match &mut packeter {
                Some(packeter) => to.write_all(&packeter.take(&buffer[..read], weather.packets)),
                None => to.write_all(&buffer[..read]),
            };
            if written.is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Waits until the weather lets this direction through, or the connection is cut.
    fn passable(&self, reply: bool, connection: &TcpStream) -> Weather {
        let mut weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        while if reply { weather.hold_replies } else { weather.hold_requests } && connection.peer_addr().is_ok() {
            let pause = Duration::from_millis(50);
            weather = self.changed.wait_timeout(weather, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        *weather
    }
}

fn pipes(client: &TcpStream, server: &TcpStream) -> std::io::Result<[(TcpStream, TcpStream, bool); 2]> {
    Ok([(client.try_clone()?, server.try_clone()?, false), (server.try_clone()?, client.try_clone()?, true)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNACK: &[u8] = &[0x20, 2, 1, 0];
    const PUBACK: &[u8] = &[0x40, 2, 0, 7];
    const PUBLISH: &[u8] = &[0x32, 6, 0, 1, b't', 0, 7, b'x'];

    fn through(packets: Packets, stream: &[u8], piece: usize) -> Vec<u8> {
        let mut packeter = Packeter::default();
        stream.chunks(piece).flat_map(|piece| packeter.take(piece, packets)).collect()
    }

    #[test]
    fn packets_are_lost_doubled_and_changed_however_the_stream_is_cut() {
        let stream = [CONNACK, PUBLISH, PUBACK].concat();
        for piece in 1..=stream.len() {
            assert_eq!(through(Packets::Pass, &stream, piece), stream);
            assert_eq!(through(Packets::LoseAcknowledgements, &stream, piece), [CONNACK, PUBLISH].concat());
            let doubled = [CONNACK, PUBLISH, PUBACK, PUBACK].concat();
            assert_eq!(through(Packets::DoubleAcknowledgements, &stream, piece), doubled);
            let doubled = [CONNACK, PUBLISH, PUBLISH, PUBACK].concat();
            assert_eq!(through(Packets::DoublePublishes, &stream, piece), doubled);
            let forgotten = [&[0x20, 2, 0, 0], PUBLISH, PUBACK].concat();
            assert_eq!(through(Packets::ForgetSessions, &stream, piece), forgotten);
        }
    }

    #[test]
    fn a_packet_goes_on_only_when_it_is_whole() {
        let mut large = vec![0x30, 0xAC, 0x02];
        large.resize(3 + 300, 0);
        assert_eq!(packet_length(&large), Some(303));
        assert_eq!(packet_length(&large[..302]), None);
        assert_eq!(packet_length(&[0x30]), None);
    }
}
