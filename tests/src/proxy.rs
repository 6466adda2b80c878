//! A TCP proxy that makes a network as bad as a test needs it.

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
}

/// Forwards connections to a server, through changing [`Weather`].
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    weather: Mutex<Weather>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicU64,
}

impl FaultProxy {
    /// Listens on a free loopback port; fair weather.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            server,
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
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let weather = self.passable(reply, &from);
            if !weather.delay.is_zero() {
                thread::sleep(weather.delay);
            }
            if weather.bytes_per_second > 0 {
                thread::sleep(Duration::from_secs_f64(read as f64 / weather.bytes_per_second as f64));
            }
            if to.write_all(&buffer[..read]).is_err() {
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
