//! A camera as ONVIF sees it: it answers searches over UDP multicast and questions over HTTP or HTTPS, asks who we are and checks that by
//! code of its own, and misbehaves on command. Written from the specifications and not from the code that it is to check.
//!
//! ```no_run
//! use snowgate_simulators::onvif::{Behaviour, Login, OnvifCamera, Stream};
//! let camera = OnvifCamera::start(Behaviour {
//!     login: Login::Token("admin".into(), "secret".into()),
//!     streams: vec![Stream::new("main", "H264", (1920, 1080), "rtsp://127.0.0.1:8554/main")],
//!     ..Behaviour::default()
//! })?;
//! println!("{} was asked {:?}", camera.address(), camera.requests());
//! # Ok::<_, std::io::Error>(())
//! ```

mod answers;
mod discovery;
mod security;
mod server;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use self::{discovery::Responder, security::Guard};

/// How a camera asks who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Open,
    /// By WS-UsernameToken: user and password.
    Token(String, String),
    /// By HTTP Digest: user and password.
    Digest(String, String),
}

/// Which services a camera has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// Media `ver10`, and no `GetServices`: ONVIF 2.0.
    Capabilities,
    /// Media `ver10`.
    Media,
    /// Media `ver10` and Media2 `ver20`.
    Media2,
    /// Both, of which Media2 answers that it does not.
    BrokenMedia2,
}

/// What a hostile camera does to every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hostile {
    /// It answers without end.
    Endless,
    /// It answers with elements in elements in elements.
    Deep,
    /// It answers with entities of entities.
    EntityBomb,
    /// It takes the request and says nothing.
    Silent,
    /// It hangs up in the middle of its answer.
    Cut,
    /// It sends elsewhere.
    Redirect(String),
    /// It is another web server.
    WebPage,
}

/// A stream that a camera says it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The profile's token and name.
    pub token: String,
    /// The video source.
    pub source: String,
    /// A word of `tt:VideoEncodingMimeNames`.
    pub encoding: String,
    /// Width and height.
    pub size: (u32, u32),
    /// The address of the stream, as the camera gives it.
    pub uri: String,
}

impl Stream {
    /// A stream of the first source.
    pub fn new(token: &str, encoding: &str, size: (u32, u32), uri: impl Into<String>) -> Self {
        Self { token: token.into(), source: "source-1".into(), encoding: encoding.into(), size, uri: uri.into() }
    }
}

/// What a camera is and does.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Its model.
    pub model: String,
    /// Who may ask.
    pub login: Login,
    /// How far its clock is ahead, seconds.
    pub clock_ahead: i64,
    /// Which services it has.
    pub services: Services,
    /// Its streams.
    pub streams: Vec<Stream>,
    /// The host that it believes to be; the real one where none.
    pub believed: Option<Ipv4Addr>,
    /// Certificate and key (PEM) for HTTPS.
    pub certificate: Option<(String, String)>,
    /// What it does instead of answering well.
    pub hostile: Option<Hostile>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            model: "SIM-1".into(),
            login: Login::Open,
            clock_ahead: 0,
            services: Services::Media2,
            streams: Vec::new(),
            believed: None,
            certificate: None,
            hostile: None,
        }
    }
}

/// A camera, until dropped.
pub struct OnvifCamera {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
    responder: Option<Responder>,
}

struct Shared {
    behaviour: Behaviour,
    address: SocketAddr,
    guard: Mutex<Guard>,
    requests: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl OnvifCamera {
    /// A camera on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// There is none, or the certificate is none.
    pub fn start(behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let tls = behaviour.certificate.as_ref().map(|(pem, key)| server::acceptor(pem, key)).transpose()?;
        let shared = Arc::new(Shared {
            address,
            guard: Mutex::new(Guard::new(&behaviour)),
            requests: Mutex::default(),
            stop: AtomicBool::new(false),
            behaviour,
        });
        let server = thread::Builder::new().name("onvif-camera".into()).spawn({
            let shared = Arc::clone(&shared);
            move || server::serve(&listener, tls.as_ref(), &shared)
        })?;
        Ok(Self { address, shared, server: Some(server), responder: None })
    }

    /// Answers searches for devices of this type ("NetworkVideoTransmitter", "Device") that come by multicast on this interface.
    ///
    /// # Errors
    /// The group cannot be joined there.
    pub fn answer_searches(&mut self, interface: Ipv4Addr, device_type: &'static str) -> io::Result<()> {
        let service = self.shared.service("device_service");
        self.responder = Some(Responder::start(interface, device_type, &self.shared.behaviour.model, &service)?);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its endpoint reference, if it answers searches.
    pub fn endpoint(&self) -> Option<&str> {
        self.responder.as_ref().map(Responder::endpoint)
    }

    /// The name of each operation that was asked, in order.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// How often a user or a password was wrong.
    pub fn wrong_logins(&self) -> usize {
        lock(&self.shared.guard).wrong()
    }
}

impl Drop for OnvifCamera {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the server, which looks whether it is to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            // A server that panicked has said so already.
            let _ = server.join();
        }
    }
}

impl Shared {
    /// The address of a service, as the camera believes it to be.
    fn service(&self, name: &str) -> String {
        let scheme = if self.behaviour.certificate.is_some() { "https" } else { "http" };
        let host = self.behaviour.believed.map_or(self.address.ip(), IpAddr::V4);
        format!("{scheme}://{host}:{}/onvif/{name}", self.address.port())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text after the first of `begin`, up to `end`.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}
