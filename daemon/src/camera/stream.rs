//! One RTSP session as a GStreamer pipeline: rtspsrc → depayloader → parser → appsink.
//!
//! GStreamer's threads only take a reference to each access unit, lay its time on the box's axis, push it into the ring
//! and return. Everything else is decided by the camera's own thread, which watches the session's bus.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use gio::prelude::*;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use snowgate_core::{
    secret::Secret,
    time::{Clock, Mono},
};

use super::{
    access_unit::{Arrival, Codec, StreamFormat, Timeline, UnsupportedFormat},
    gop_ring::GopRing,
    health::CameraFault,
    reach::Endpoint,
    spec::{StreamSpec, Transport},
};
use crate::events::camera::{FormatChanged, TeardownMissed, TimestampsReanchored};

/// How long each request may take, and the connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a session may take to say good-bye to its camera.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long closing may take altogether before the session is left behind.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// Why a session is over.
#[derive(Debug)]
pub struct SessionEnd {
    /// For the operator.
    pub fault: CameraFault,
    /// In GStreamer's words, for the log.
    pub detail: String,
}

impl From<CameraFault> for SessionEnd {
    fn from(fault: CameraFault) -> Self {
        Self { fault, detail: String::new() }
    }
}

/// What is found out about a session on GStreamer's threads.
struct Findings {
    /// The camera has told what its streams are.
    described: bool,
    /// The video stream chosen, by its coding.
    chosen: Option<Codec>,
    /// Video that was offered and cannot be used.
    unusable: Option<String>,
    /// A fault that says more than the error GStreamer makes of it.
    fault: Option<CameraFault>,
    /// What puts the packets in order, once the stream is set up.
    jitter_buffer: Option<gst::glib::WeakRef<gst::Element>>,
}

/// RTP packets of a session, by their sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets {
    /// Passed on.
    pub received: u64,
    /// Never came.
    pub lost: u64,
}

/// What the parser's thread owns; locked by it alone.
struct Intake {
    timeline: Timeline,
    format: Option<Arc<StreamFormat>>,
}

struct Shared {
    ring: Arc<GopRing>,
    clock: Arc<dyn Clock>,
    findings: Mutex<Findings>,
    intake: Mutex<Intake>,
    /// Monotonic nanoseconds of the last unit; 0 before the first.
    last_unit: AtomicU64,
    /// Monotonic nanoseconds of the first key frame; 0 before it.
    first_key: AtomicU64,
}

/// An RTSP session that is being opened or runs.
pub struct Session {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    endpoint: Endpoint,
    has_password: bool,
    opened: Mono,
    shared: Arc<Shared>,
}

impl Session {
    /// Starts to open a session; it goes on in GStreamer's threads.
    pub fn open(
        endpoint: &Endpoint,
        spec: &StreamSpec,
        password: Option<&Secret>,
        ring: &Arc<GopRing>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, CameraFault> {
        let internal = |error: &dyn std::fmt::Display| CameraFault::Internal { what: error.to_string() };
        gst::init().map_err(|error| internal(&error))?;
        let source = rtspsrc(endpoint, spec, password)?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source).map_err(|error| internal(&error))?;
        let bus = pipeline.bus().ok_or_else(|| internal(&"a pipeline without bus"))?;

        let findings = Findings { described: false, chosen: None, unusable: None, fault: None, jitter_buffer: None };
        let shared = Arc::new(Shared {
            ring: Arc::clone(ring),
            clock: Arc::clone(clock),
            findings: Mutex::new(findings),
            intake: Mutex::new(Intake { timeline: Timeline::default(), format: None }),
            last_unit: AtomicU64::new(0),
            first_key: AtomicU64::new(0),
        });
        // Units of this session build on nothing of the last one.
        ring.interrupt();
        shared.listen(&source, &pipeline, endpoint);

        let (has_password, opened) = (password.is_some(), clock.mono());
        let session = Self { pipeline, bus, endpoint: endpoint.clone(), has_password, opened, shared };
        session.pipeline.set_state(gst::State::Playing).map_err(|error| internal(&error))?;
        Ok(session)
    }

    /// Waits up to `pause` for the session's end.
    pub fn wait_for_end(&self, pause: Duration) -> Option<SessionEnd> {
        let pause = gst::ClockTime::try_from(pause).unwrap_or(gst::ClockTime::SECOND);
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = self.bus.timed_pop_filtered(pause, &kinds);
        let found = self.shared.findings().fault.take();
        match (found, message.as_ref().map(|message| message.view())) {
            (Some(fault), Some(gst::MessageView::Error(error))) => Some(SessionEnd { fault, detail: detail(error) }),
            (Some(fault), _) => Some(fault.into()),
            (None, Some(gst::MessageView::Error(error))) => {
                Some(SessionEnd { fault: self.fault_of(error), detail: detail(error) })
            }
            (None, Some(_)) => Some(CameraFault::Ended.into()),
            (None, None) => None,
        }
    }

    /// When the last unit arrived.
    pub fn last_unit(&self) -> Option<Mono> {
        Some(Mono(self.shared.last_unit.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// When the first key frame arrived: since then the session is live.
    pub fn live_since(&self) -> Option<Mono> {
        Some(Mono(self.shared.first_key.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// Whether the camera has told what its streams are.
    pub fn described(&self) -> bool {
        self.shared.findings().described
    }

    /// Packets received and lost so far, as the jitter buffer counts them.
    pub fn packets(&self) -> Option<Packets> {
        let buffer = self.shared.findings().jitter_buffer.as_ref()?.upgrade()?;
        let stats = buffer.property::<gst::Structure>("stats");
        Some(Packets { received: stats.get("num-pushed").ok()?, lost: stats.get("num-lost").ok()? })
    }

    /// Closes the session within a bounded time.
    pub fn close(self) {
        let (done, closed) = mpsc::sync_channel(1);
        self.pipeline.call_async(move |pipeline| {
            // It goes to NULL or is left behind; nobody listens any more after the deadline.
            let _ = pipeline.set_state(gst::State::Null);
            let _ = done.send(());
        });
        if closed.recv_timeout(CLOSE_DEADLINE).is_err() {
            TeardownMissed { camera: self.shared.ring.camera().as_str() }.emit();
        }
    }

    /// What an error means to an operator: the camera's own answer where it gave one, or how far the session had come.
    fn fault_of(&self, error: &gst::message::Error) -> CameraFault {
        let status = error.details().and_then(|details| details.get::<u32>("rtsp-status-code").ok());
        let findings = self.shared.findings();
        match status {
            Some(401 | 403) if self.has_password => CameraFault::WrongPassword,
            Some(401 | 403) => CameraFault::PasswordNeeded,
            Some(404) => CameraFault::NotFound,
            Some(status) => CameraFault::ServerError { status },
            None if self.live_since().is_some() => CameraFault::Broken,
            None if findings.described && findings.chosen.is_none() => findings
                .unusable
                .clone()
                .map_or(CameraFault::NoVideo, |coding| CameraFault::Unsupported(UnsupportedFormat(coding))),
            None if findings.described => CameraFault::Broken,
            None if self.shared.clock.mono().since(self.opened) >= REQUEST_TIMEOUT => self.no_answer(),
            None => CameraFault::NotRtsp { address: self.endpoint.address() },
        }
    }

    /// The camera took the connection, and has told nothing for too long.
    pub fn no_answer(&self) -> CameraFault {
        let within = self.shared.clock.mono().since(self.opened);
        CameraFault::NoAnswer { address: self.endpoint.address(), within: Duration::from_secs(within.as_secs()) }
    }
}

/// The library's message and its debug text, which name element and request, never a password.
fn detail(error: &gst::message::Error) -> String {
    format!("{} ({})", error.error(), error.debug().unwrap_or_default())
}

fn rtspsrc(endpoint: &Endpoint, spec: &StreamSpec, password: Option<&Secret>) -> Result<gst::Element, CameraFault> {
    let latency = u32::try_from(spec.latency.as_millis()).unwrap_or(u32::MAX);
    let timeout = u64::try_from(REQUEST_TIMEOUT.as_micros()).unwrap_or(u64::MAX);
    let goodbye = u64::try_from(GOODBYE.as_nanos()).unwrap_or(u64::MAX);
    let source = gst::ElementFactory::make("rtspsrc")
        .property("location", endpoint.url())
        .property("latency", latency)
        .property("tcp-timeout", timeout)
        .property("teardown-timeout", goodbye)
        // Our own watchdog decides when a stream is silent for too long, over UDP as over TCP.
        .property("timeout", 0u64)
        .property("do-retransmission", false)
        // The stream's own timestamps, untouched: following arrivals, the jitter buffer would swap pictures of streams with
        // B-frames. `Timeline` lays them on our axis.
        .property_from_str("buffer-mode", "none")
        .property("user-agent", concat!("Snowgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| CameraFault::Internal { what: error.to_string() })?;
    match spec.transport {
        Transport::Tcp => source.set_property_from_str("protocols", if endpoint.tls() { "tcp+tls" } else { "tcp" }),
        Transport::Udp => {
            source.set_property_from_str("protocols", "udp");
            // Late packets must not pile up in the jitter buffer; over TCP none is lost and none may be dropped.
            source.set_property("drop-on-latency", true);
        }
    }
    if let Some(user) = spec.username.as_deref() {
        source.set_property("user-id", user);
    }
    if let Some(password) = password {
        source.set_property("user-pw", password.expose());
    }
    if let Some(file) = spec.ca_file.as_deref().filter(|_| endpoint.tls()) {
        let database = gio::TlsFileDatabase::new(file)
            .map_err(|error| CameraFault::CaFile { file: file.to_owned(), why: error.message().to_owned() })?;
        source.set_property("tls-database", database);
    }
    Ok(source)
}

impl Shared {
    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, source: &gst::Element, pipeline: &gst::Pipeline, endpoint: &Endpoint) {
        let shared = Arc::clone(self);
        source.connect("on-sdp", false, move |_| {
            shared.findings().described = true;
            None
        });
        let shared = Arc::clone(self);
        source.connect("select-stream", false, move |values| {
            let wanted =
                values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok()).is_some_and(|caps| shared.select(&caps));
            Some(wanted.to_value())
        });
        let shared = Arc::clone(self);
        source.connect("new-manager", false, move |values| {
            let manager = values.get(1).and_then(|manager| manager.get::<gst::Element>().ok())?;
            let shared = Arc::clone(&shared);
            manager.connect("new-jitterbuffer", false, move |values| {
                let buffer = values.get(1).and_then(|buffer| buffer.get::<gst::Element>().ok())?;
                shared.findings().jitter_buffer = Some(buffer.downgrade());
                None
            });
            None
        });
        let (shared, weak) = (Arc::clone(self), pipeline.downgrade());
        source.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            if let Err(error) = shared.link(&pipeline, pad) {
                shared.findings().fault = Some(CameraFault::Internal { what: error.to_string() });
            }
        });
        if endpoint.tls() {
            let (shared, address) = (Arc::clone(self), endpoint.address());
            source.connect("accept-certificate", false, move |values| {
                let flags = values.get(3).and_then(|flags| flags.get::<gio::TlsCertificateFlags>().ok());
                let why = flags.map_or("unknown", certificate_problem).to_owned();
                shared.findings().fault = Some(CameraFault::Certificate { address: address.clone(), why });
                Some(false.to_value())
            });
        }
    }

    /// Only the first video stream that can be decoded is ever set up: no sound, no second picture, no metadata.
    fn select(&self, caps: &gst::Caps) -> bool {
        let Some(structure) = caps.structure(0) else { return false };
        if structure.get::<&str>("media") != Ok("video") {
            return false;
        }
        let coding = structure.get::<&str>("encoding-name").unwrap_or("video of an unknown coding");
        let mut findings = self.findings();
        match Codec::of_encoding_name(coding) {
            Some(codec) if findings.chosen.is_none() => {
                findings.chosen = Some(codec);
                true
            }
            Some(_) => false,
            None => {
                findings.unusable = Some(coding.to_owned());
                false
            }
        }
    }

    /// pad → depayloader → parser → appsink.
    fn link(self: &Arc<Self>, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), Box<dyn std::error::Error>> {
        let codec = self.findings().chosen.ok_or("a stream that was not asked for")?;
        let depayloader = match codec {
            Codec::H264 => "rtph264depay",
            Codec::H265 => "rtph265depay",
        };
        let depayloader = gst::ElementFactory::make(depayloader).build()?;
        let parser = codec.parser()?;
        let shared = Arc::clone(self);
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                shared.take(&sample)
            })
            .build();
        let sink =
            gst_app::AppSink::builder().caps(&codec.caps()).sync(false).max_buffers(4).callbacks(callbacks).build();
        sink.set_property("async", false);
        let chain = [&depayloader, &parser, sink.upcast_ref()];
        pipeline.add_many(chain)?;
        gst::Element::link_many(chain)?;
        for element in chain.iter().rev() {
            element.sync_state_with_parent()?;
        }
        pad.link(&depayloader.static_pad("sink").ok_or("a depayloader without sink pad")?)?;
        Ok(())
    }

    /// Takes one access unit into the ring.
    fn take(&self, sample: &gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps_owned()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let arrived = self.clock.mono();
        let camera = self.ring.camera();
        let arrival = {
            let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
            let format = match intake.format.as_ref() {
                Some(format) if format.caps == caps => Arc::clone(format),
                _ => self.change_format(&mut intake, caps)?,
            };
            let placed = intake.timeline.place(buffer.pts().map(gst::ClockTime::nseconds), arrived);
            if placed.reanchored {
                TimestampsReanchored { camera: camera.as_str() }.emit();
            }
            let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            Arrival { key, at: placed.at, arrived, buffer, format }
        };
        // Zero stands for "none yet" in both; no box receives pictures in its first nanosecond.
        self.last_unit.store(arrived.0.max(1), Ordering::Release);
        if arrival.key {
            let _ = self.first_key.compare_exchange(0, arrived.0.max(1), Ordering::AcqRel, Ordering::Relaxed);
        }
        self.ring.push(arrival);
        Ok(gst::FlowSuccess::Ok)
    }

    fn change_format(&self, intake: &mut Intake, caps: gst::Caps) -> Result<Arc<StreamFormat>, gst::FlowError> {
        let camera = self.ring.camera();
        let format = StreamFormat::from_caps(camera.clone(), caps).map_err(|error| {
            self.findings().fault = Some(error.into());
            gst::FlowError::NotSupported
        })?;
        let known = intake.format.as_ref().is_some_and(|old| old.codec == format.codec && old.size() == format.size());
        if !known {
            let stream = self.ring.stream().as_str();
            FormatChanged { camera: camera.as_str(), stream, codec: format.codec.to_string(), size: format.size() }
                .emit();
        }
        Ok(Arc::clone(intake.format.insert(Arc::new(format))))
    }
}

fn certificate_problem(flags: gio::TlsCertificateFlags) -> &'static str {
    use gio::TlsCertificateFlags as Flags;
    const PROBLEMS: [(Flags, &str); 5] = [
        (Flags::UNKNOWN_CA, "its authority is unknown"),
        (Flags::BAD_IDENTITY, "it is for another host"),
        (Flags::NOT_ACTIVATED, "it is not valid yet"),
        (Flags::EXPIRED, "it has expired"),
        (Flags::REVOKED, "it was revoked"),
    ];
    PROBLEMS.iter().find(|(flag, _)| flags.contains(*flag)).map_or("it is not valid", |(_, problem)| problem)
}
