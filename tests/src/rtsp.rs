//! A real RTSP server with cameras that misbehave on command.
//!
//! A mount plays a clip for ever, in real time and with continuous timestamps: its access units are read into memory once
//! and fed to each client from the first one on. The server listens on a free loopback port, on its own thread.
#![allow(clippy::expect_used, reason = "a server that cannot start has failed its test")]

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gio::prelude::*;
use gstreamer::{self as gst, glib};
use gstreamer_app as gst_app;
use gstreamer_rtsp::{RTSPAuthMethod, RTSPLowerTrans};
use gstreamer_rtsp_server::{self as gst_rtsp_server, prelude::*};
use snowgate::camera::{
    access_unit::{AccessUnit, Codec},
    clip::ClipReader,
};

/// Who may connect, and how.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// User and password, by digest authentication; everyone may connect without.
    pub login: Option<(String, String)>,
    /// Certificate and key (PEM) for rtsps.
    pub certificate: Option<(String, String)>,
}

/// A running server; dropping it closes every connection.
pub struct RtspServer {
    server: gst_rtsp_server::RTSPServer,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    access: Access,
    mounts: Mutex<HashMap<String, Arc<Mount>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    clients: Mutex<Vec<gst_rtsp_server::RTSPClient>>,
    setups: Mutex<Vec<String>>,
}

/// A clip in memory.
struct Clip {
    units: Vec<AccessUnit>,
    length: Duration,
}

/// What a mount plays, and how it misbehaves.
struct Mount {
    clip: Mutex<Arc<Clip>>,
    frames_sent: AtomicU64,
    silent: AtomicBool,
    /// Set to be answered once the picture just sent was no key frame.
    cut: AtomicBool,
    gone: AtomicBool,
}

impl RtspServer {
    /// A server everyone may connect to.
    pub fn start() -> Self {
        Self::start_with(Access::default())
    }

    /// A server with access control.
    pub fn start_with(access: Access) -> Self {
        Self::listen(0, access).expect("a free loopback port")
    }

    /// A server everyone may connect to, on this loopback port.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start_at(port: u16) -> Result<Self, glib::BoolError> {
        Self::listen(port, Access::default())
    }

    fn listen(port: u16, access: Access) -> Result<Self, glib::BoolError> {
        gst::init().expect("GStreamer starts");
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        // Clients run on the server's own thread, so that closing them there is safe.
        server.thread_pool().expect("a server has a thread pool").set_max_threads(0);
        server.set_auth(access.auth().as_ref());
        let shared = Arc::new(Shared::default());
        server.connect_client_connected({
            let shared = Arc::clone(&shared);
            move |_, client| shared.connected(client)
        });
        server.attach(Some(&context))?;
        let thread = thread::Builder::new().name("rtsp-server".into()).spawn({
            let (context, main_loop) = (context.clone(), main_loop.clone());
            move || context.with_thread_default(|| main_loop.run()).expect("the context is this thread's own")
        });
        let thread = Some(thread.expect("a thread"));
        Ok(Self { server, context, main_loop, thread, access, mounts: Mutex::default(), shared })
    }

    /// The address of a mount.
    pub fn url(&self, mount: &str) -> String {
        let scheme = if self.access.certificate.is_some() { "rtsps" } else { "rtsp" };
        format!("{scheme}://127.0.0.1:{}{mount}", self.server.bound_port())
    }

    /// Plays the H.264 or H.265 of a file at `mount` ("/walk"), for ever.
    pub fn loop_file(&self, mount: &str, file: &Path) {
        let clip = Clip::load(file);
        let (parse, pay) = match clip.codec() {
            Codec::H264 => ("h264parse", "rtph264pay"),
            Codec::H265 => ("h265parse", "rtph265pay"),
        };
        let playing = Arc::new(Mount {
            clip: Mutex::new(Arc::new(clip)),
            frames_sent: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        let launch = format!("( appsrc name=source is-live=true format=time ! {parse} ! {pay} name=pay0 pt=96 )");
        let factory = self.factory(&launch);
        factory.connect_media_configure({
            let playing = Arc::clone(&playing);
            move |_, media| playing.feed(media)
        });
        lock(&self.mounts).insert(mount.to_owned(), playing);
        self.mount_points().add_factory(mount, factory);
    }

    /// Serves a pipeline description with payloaders named pay0, pay1, … at `mount`.
    pub fn launch(&self, mount: &str, description: &str) {
        self.mount_points().add_factory(mount, self.factory(&format!("( {description} )")));
    }

    /// Access units sent at a mount, to all clients together.
    pub fn frames_sent(&self, mount: &str) -> u64 {
        self.mount(mount).frames_sent.load(Ordering::Relaxed)
    }

    /// Lets a mount fall silent while its connections stay, or speak again.
    pub fn set_silent(&self, mount: &str, silent: bool) {
        self.mount(mount).silent.store(silent, Ordering::Relaxed);
    }

    /// Goes on with another clip of the same coding, at once and from its start.
    pub fn switch_file(&self, mount: &str, file: &Path) {
        *lock(&self.mount(mount).clip) = Arc::new(Clip::load(file));
    }

    /// Stops a mount right after a picture that is no key frame and closes every connection. Those who come again get the
    /// clip from its start.
    pub fn cut_in_mid_gop(&self, mount: &str) {
        let mount = self.mount(mount);
        mount.cut.store(true, Ordering::Relaxed);
        let cut = crate::wait::wait_until(crate::wait::PATIENCE, || !mount.cut.load(Ordering::Relaxed));
        assert!(cut, "nobody watches the mount that was to be cut");
        self.close_connections();
    }

    /// Takes a mount away: 404 from now on.
    pub fn remove(&self, mount: &str) {
        self.mount_points().remove_factory(mount);
        if let Some(mount) = lock(&self.mounts).remove(mount) {
            mount.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Closes every connection, without a word.
    pub fn close_connections(&self) {
        let clients = std::mem::take(&mut *lock(&self.shared.clients));
        self.context.invoke(move || clients.iter().for_each(|client| client.close()));
    }

    /// The address of every SETUP so far: what clients asked to be sent.
    pub fn setups(&self) -> Vec<String> {
        lock(&self.shared.setups).clone()
    }

    /// Clients connected now.
    pub fn connections(&self) -> usize {
        lock(&self.shared.clients).len()
    }

    fn factory(&self, launch: &str) -> gst_rtsp_server::RTSPMediaFactory {
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(launch);
        factory.set_protocols(RTSPLowerTrans::TCP | RTSPLowerTrans::UDP);
        let role = gst::Structure::builder(ROLE)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&role);
        factory
    }

    fn mount_points(&self) -> gst_rtsp_server::RTSPMountPoints {
        self.server.mount_points().expect("a server has mount points")
    }

    fn mount(&self, mount: &str) -> Arc<Mount> {
        Arc::clone(lock(&self.mounts).get(mount).expect("a mount that plays a file"))
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        for mount in lock(&self.mounts).values() {
            mount.gone.store(true, Ordering::Relaxed);
        }
        self.close_connections();
        let main_loop = self.main_loop.clone();
        self.context.invoke(move || main_loop.quit());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so already.
            let _ = thread.join();
        }
    }
}

const ROLE: &str = "viewer";

impl Access {
    /// Asks for a user and a password.
    pub fn login(user: &str, password: &str) -> Self {
        Self { login: Some((user.to_owned(), password.to_owned())), certificate: None }
    }

    fn auth(&self) -> Option<gst_rtsp_server::RTSPAuth> {
        let auth = gst_rtsp_server::RTSPAuth::new();
        let mut token = gst_rtsp_server::RTSPToken::builder().field("media.factory.role", ROLE).build();
        match &self.login {
            Some((user, password)) => {
                auth.set_supported_methods(RTSPAuthMethod::Digest);
                auth.add_digest(user, password, &token);
            }
            None => auth.set_default_token(Some(&mut token)),
        }
        if let Some((certificate, key)) = &self.certificate {
            let pem = format!("{certificate}\n{key}");
            auth.set_tls_certificate(Some(&gio::TlsCertificate::from_pem(&pem).expect("a sound certificate")));
        }
        (self.login.is_some() || self.certificate.is_some()).then_some(auth)
    }
}

impl Shared {
    fn connected(self: &Arc<Self>, client: &gst_rtsp_server::RTSPClient) {
        lock(&self.clients).push(client.clone());
        let shared = Arc::clone(self);
        client.connect_setup_request(move |_, context| {
            if let Some(url) = context.uri() {
                lock(&shared.setups).push(url.request_uri().to_string());
            }
        });
        let shared = Arc::downgrade(self);
        client.connect_closed(move |client| {
            if let Some(shared) = shared.upgrade() {
                lock(&shared.clients).retain(|other| other != client);
            }
        });
    }
}

impl Clip {
    fn load(file: &Path) -> Self {
        let camera = "server".parse().expect("a sound id");
        let mut reader = ClipReader::open(file, camera).expect("a clip to play");
        let mut units = Vec::new();
        while let Some(unit) = reader.next_unit().expect("a whole clip") {
            units.push(unit);
        }
        let shown: Vec<_> = units.iter().map(|unit| unit.at.0).collect();
        let first = shown.iter().min().expect("a clip has pictures");
        let span = shown.iter().max().expect("a clip has pictures") - first;
        let interval = span / u64::try_from(units.len().max(2) - 1).expect("a countable clip");
        Self { length: Duration::from_nanos(span + interval), units }
    }

    fn codec(&self) -> Codec {
        self.units.first().expect("a clip has pictures").format.codec
    }
}

impl Mount {
    /// Feeds one client's media until it is gone.
    fn feed(self: &Arc<Self>, media: &gst_rtsp_server::RTSPMedia) {
        let bin = media.element().downcast::<gst::Bin>().expect("a description in parentheses makes a bin");
        let source = bin.by_name("source").and_downcast::<gst_app::AppSrc>().expect("named in the description");
        let unprepared = Arc::new(AtomicBool::new(false));
        media.connect_unprepared({
            let unprepared = Arc::clone(&unprepared);
            move |_| unprepared.store(true, Ordering::Relaxed)
        });
        let mount = Arc::clone(self);
        let feeder = move || mount.play(&source, &unprepared);
        thread::Builder::new().name("rtsp-feeder".into()).spawn(feeder).expect("a thread");
    }

    fn play(&self, source: &gst_app::AppSrc, unprepared: &AtomicBool) {
        let over = || unprepared.load(Ordering::Relaxed) || self.gone.load(Ordering::Relaxed);
        // Timestamps count from the moment the client's pipeline runs. It is given its clock first: without its base time every
        // picture would be due in days, and nobody would be sent one.
        let running = || source.base_time().filter(|base| !base.is_zero()).and_then(|_| source.current_running_time());
        let Some(base) = crate::wait::wait_for(crate::wait::PATIENCE, running) else { return };
        let began = Instant::now();
        let mut clip = Arc::clone(&*lock(&self.clip));
        source.set_caps(Some(&clip.units[0].format.caps));
        let mut clip_began = Duration::ZERO;
        loop {
            let count = u32::try_from(clip.units.len()).expect("a countable clip");
            for (index, unit) in (0u32..).zip(&clip.units) {
                let due = clip_began + clip.length * index / count;
                thread::sleep((began + due).saturating_duration_since(Instant::now()));
                if over() {
                    return;
                }
                // Right after a picture that is no key frame, with its GOP unfinished.
                let in_mid_gop = index > 0 && !clip.units[index as usize - 1].key && !unit.key;
                if in_mid_gop && self.cut.swap(false, Ordering::Relaxed) {
                    return;
                }
                if self.switched(&clip) {
                    break;
                }
                if self.silent.load(Ordering::Relaxed) {
                    continue;
                }
                let mut buffer = unit.buffer.copy();
                let view = buffer.make_mut();
                let shown = clip_began + Duration::from_nanos(unit.at.0 - clip.units[0].at.0.min(unit.at.0));
                view.set_pts(base + gst::ClockTime::try_from(shown).expect("a clip is shorter than centuries"));
                view.set_dts(gst::ClockTime::NONE);
                if source.push_buffer(buffer).is_err() {
                    return;
                }
                self.frames_sent.fetch_add(1, Ordering::Relaxed);
            }
            if self.switched(&clip) {
                clip = Arc::clone(&*lock(&self.clip));
                source.set_caps(Some(&clip.units[0].format.caps));
                clip_began = began.elapsed();
            } else {
                clip_began += clip.length;
            }
        }
    }

    fn switched(&self, playing: &Arc<Clip>) -> bool {
        !Arc::ptr_eq(playing, &lock(&self.clip))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
