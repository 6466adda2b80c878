//! How a camera is, and why: the state machine's states, the faults that lead to them, and who is told.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use snowgate_core::{choice, ids::Id, scene::Condition, time::Mono};

use super::{access_unit::UnsupportedFormat, spec::StreamRole};
use crate::events::camera::StateChanged;

choice! {
    /// What a camera is doing. It stays refused, unsupported or stalled while it is being tried again, and becomes live
    /// with the first picture that can be decoded.
    pub enum CameraState {
        /// Being opened, or waiting to be.
        Connecting = "connecting",
        /// Pictures arrive.
        Live = "live",
        /// Connected, but no pictures arrive.
        Stalled = "stalled",
        /// It answers and says no; an operator has to act.
        Refused = "refused",
        /// What it sends cannot be used; an operator has to act.
        Unsupported = "unsupported",
    }
}

/// Why a camera is not live, in words for an operator. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraFault {
    /// The address cannot be used.
    #[error("{url:?} is no usable rtsp:// or rtsps:// address: {why}")]
    Address {
        /// As configured; user and password never stand in it.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Who is asked where the stream is does not say.
    #[error("{from} gives no address for the stream: {why}")]
    NoAddress {
        /// The program or the HTTP service.
        from: String,
        /// What is wrong.
        why: String,
    },
    /// The name of the host is not known.
    #[error("the name {host} cannot be resolved")]
    UnknownHost {
        /// The host.
        host: String,
    },
    /// Nothing answers at the address.
    #[error("no answer from {address} within {} s: is the camera on, and the address right?", .within.as_secs())]
    NoAnswer {
        /// Host and port.
        address: String,
        /// How long it was given.
        within: Duration,
    },
    /// The host answers but nothing listens there, or the network says no.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// In the system's words.
        why: String,
    },
    /// Something answers, and it is not RTSP.
    #[error("what answers at {address} does not speak RTSP")]
    NotRtsp {
        /// Host and port.
        address: String,
    },
    /// The connection is not trusted.
    #[error("the certificate of {address} is not trusted: {why}")]
    Certificate {
        /// Host and port.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The authority's file cannot be read.
    #[error("the CA file {file} cannot be read: {why}")]
    CaFile {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// 401 or 403.
    #[error("the camera refused the user name or password")]
    WrongPassword,
    /// 401 or 403, and we have no password.
    #[error("the camera asks for a user name and password, and none is configured")]
    PasswordNeeded,
    /// 404.
    #[error("the camera has no stream at this path")]
    NotFound,
    /// The camera answered with another error.
    #[error("the camera answered with RTSP status {status}")]
    ServerError {
        /// The status (RFC 7826, section 17).
        status: u32,
    },
    /// Its streams hold no video.
    #[error("the stream has no video")]
    NoVideo,
    /// Its video cannot be used.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedFormat),
    /// It is connected, and silent.
    #[error("no picture for {} s", .silent_for.as_secs())]
    Silent {
        /// How long.
        silent_for: Duration,
    },
    /// It sends pictures, and none that decoding could start with.
    #[error("pictures arrive, but no key frame to start decoding with; the stream is opened anew to get one")]
    NoKeyFrame,
    /// It was live and is no more.
    #[error("the camera ended the stream")]
    Ended,
    /// The connection broke.
    #[error("the connection to the camera broke")]
    Broken,
    /// Ours: an element is missing or does not work.
    #[error("the stream cannot be received on this box: {what}")]
    Internal {
        /// What is missing.
        what: String,
    },
}

impl CameraFault {
    /// The state this fault puts a camera into.
    pub fn state(&self) -> CameraState {
        match self {
            Self::WrongPassword | Self::PasswordNeeded | Self::NotFound | Self::Certificate { .. } => {
                CameraState::Refused
            }
            Self::NoVideo
            | Self::Unsupported(_)
            | Self::Address { .. }
            | Self::CaFile { .. }
            | Self::Internal { .. } => CameraState::Unsupported,
            Self::Silent { .. } | Self::NoKeyFrame => CameraState::Stalled,
            Self::NoAddress { .. }
            | Self::UnknownHost { .. }
            | Self::NoAnswer { .. }
            | Self::Unreachable { .. }
            | Self::NotRtsp { .. }
            | Self::ServerError { .. }
            | Self::Ended
            | Self::Broken => CameraState::Connecting,
        }
    }

    /// Whether only an operator can change it, so that trying often is of no use, or does harm (many cameras lock an
    /// account after a few wrong passwords).
    pub fn needs_an_operator(&self) -> bool {
        matches!(self.state(), CameraState::Refused | CameraState::Unsupported)
    }
}

/// A camera's state from now on. The stream that is watched decides it; a record stream of its own is told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraHealth {
    /// Which camera.
    pub camera: Id,
    /// Its state.
    pub state: CameraState,
    /// Why it is not live; `None` while live and at the first connect.
    pub fault: Option<CameraFault>,
    /// Since when, on the monotonic clock.
    pub since: Mono,
    /// The same of its record stream, where it has one of its own that has said something.
    pub record: Option<(CameraState, Option<CameraFault>)>,
    /// What is wrong with the pictures, if anything is.
    pub condition: Option<Condition>,
}

impl CameraHealth {
    /// Why the record stream is not live, where that is known.
    pub fn record_fault(&self) -> Option<&CameraFault> {
        self.record.as_ref().and_then(|(_, fault)| fault.as_ref())
    }
}

impl fmt::Display for CameraHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "camera {}: {}", self.camera, self.state)?;
        self.fault.iter().try_for_each(|fault| write!(f, ": {fault}"))?;
        self.condition.iter().try_for_each(|condition| write!(f, "; pictures: {condition}"))?;
        self.record_fault().map_or(Ok(()), |fault| write!(f, "; record stream: {fault}"))
    }
}

/// Who is told of every change; called on the camera's own thread, so it must return at once.
#[derive(Clone)]
pub struct HealthSink(Arc<dyn Fn(CameraHealth) + Send + Sync>);

impl HealthSink {
    /// Tells `sink` of every change.
    pub fn new(sink: impl Fn(CameraHealth) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }
}

/// Keeps a camera's state, as its streams report it, and tells of changes, and only of changes. The receivers of one
/// camera share one.
#[derive(Clone)]
pub struct HealthTracker(Arc<Tracked>);

struct Tracked {
    camera: Id,
    sink: HealthSink,
    known: Mutex<Known>,
}

/// What each stream has said last.
#[derive(Default)]
struct Known {
    detect: Option<(CameraState, Option<CameraFault>, Mono)>,
    record: Option<(CameraState, Option<CameraFault>)>,
    condition: Option<Condition>,
    retired: bool,
}

impl HealthTracker {
    /// Tells `sink` of this camera.
    pub fn new(camera: Id, sink: HealthSink) -> Self {
        Self(Arc::new(Tracked { camera, sink, known: Mutex::default() }))
    }

    /// The first attempt begins.
    pub(super) fn connecting(&self, stream: StreamRole, since: Mono) {
        self.change(stream, CameraState::Connecting, None, since);
    }

    /// Pictures arrive.
    pub(super) fn live(&self, stream: StreamRole, since: Mono) {
        self.change(stream, CameraState::Live, None, since);
    }

    /// An attempt failed or the stream was lost.
    pub(super) fn fault(&self, stream: StreamRole, fault: CameraFault, since: Mono) {
        self.change(stream, fault.state(), Some(fault), since);
    }

    /// What is wrong with the pictures from now on.
    pub fn pictures(&self, condition: Option<Condition>) {
        let mut known = self.lock();
        if std::mem::replace(&mut known.condition, condition) != condition {
            self.tell(&known);
        }
    }

    /// The camera is watched no more, or as another one: nothing is told from then on.
    pub fn retire(&self) {
        self.lock().retired = true;
    }

    fn change(&self, stream: StreamRole, state: CameraState, fault: Option<CameraFault>, since: Mono) {
        let mut known = self.lock();
        match stream {
            StreamRole::Detect => {
                if known.detect.as_ref().is_some_and(|(old, why, _)| (*old, why) == (state, &fault)) {
                    return;
                }
                known.detect = Some((state, fault, since));
            }
            StreamRole::Record => {
                if known.record.as_ref().is_some_and(|(old, why)| (*old, why) == (state, &fault)) {
                    return;
                }
                known.record = Some((state, fault));
            }
        }
        // What is known of the record stream is told with the first word of the one that decides.
        let Some(health) = self.tell(&known) else { return };
        StateChanged {
            camera: health.camera.as_str(),
            states: CameraState::WORDS,
            state: health.state.as_str(),
            reason: health.fault.as_ref().map(ToString::to_string),
            record: health.record.as_ref().map(|(state, fault)| match state {
                CameraState::Live => Ok(()),
                state => Err(fault.as_ref().map_or_else(|| state.to_string(), ToString::to_string)),
            }),
        }
        .emit();
    }

    /// Tells all that is known, if the stream that decides has said anything. Told under the lock, so that two streams cannot
    /// tell in the wrong order; sinks return at once.
    fn tell(&self, known: &Known) -> Option<CameraHealth> {
        let (state, fault, since) = known.detect.clone().filter(|_| !known.retired)?;
        let camera = self.0.camera.clone();
        let health =
            CameraHealth { camera, state, fault, since, record: known.record.clone(), condition: known.condition };
        (self.0.sink.0)(health.clone());
        Some(health)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tracker, and what it tells.
    fn tracker() -> (HealthTracker, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = HealthSink::new({
            let told = Arc::clone(&told);
            move |health: CameraHealth| told.lock().unwrap().push(health.to_string())
        });
        (HealthTracker::new("gate".parse().unwrap(), sink), told)
    }

    #[test]
    fn only_changes_are_told_with_their_reason() {
        use StreamRole::Detect;
        let (health, told) = tracker();
        health.connecting(Detect, Mono(0));
        health.fault(Detect, CameraFault::WrongPassword, Mono(1));
        health.fault(Detect, CameraFault::WrongPassword, Mono(2));
        health.live(Detect, Mono(3));
        health.live(Detect, Mono(4));
        health.fault(Detect, CameraFault::Silent { silent_for: Duration::from_secs(10) }, Mono(5));
        assert_eq!(
            *told.lock().unwrap(),
            [
                "camera gate: connecting",
                "camera gate: refused: the camera refused the user name or password",
                "camera gate: live",
                "camera gate: stalled: no picture for 10 s",
            ]
        );
    }

    #[test]
    fn the_watched_stream_decides_and_the_record_stream_is_told_beside_it() {
        use StreamRole::{Detect, Record};
        let (health, told) = tracker();
        health.connecting(Record, Mono(0));
        health.fault(Record, CameraFault::NotFound, Mono(1));
        health.connecting(Detect, Mono(2));
        health.live(Detect, Mono(3));
        health.fault(Record, CameraFault::NotFound, Mono(4));
        health.live(Record, Mono(5));
        health.fault(Detect, CameraFault::Ended, Mono(6));
        assert_eq!(
            *told.lock().unwrap(),
            [
                "camera gate: connecting; record stream: the camera has no stream at this path",
                "camera gate: live; record stream: the camera has no stream at this path",
                "camera gate: live",
                "camera gate: connecting: the camera ended the stream",
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_the_pictures_is_told_beside_the_state() {
        let (health, told) = tracker();
        health.pictures(None);
        health.live(StreamRole::Detect, Mono(1));
        health.pictures(Some(Condition::Covered));
        health.pictures(Some(Condition::Covered));
        health.live(StreamRole::Detect, Mono(2));
        health.pictures(None);
        let covered = "camera gate: live; pictures: covered";
        assert_eq!(*told.lock().unwrap(), ["camera gate: live", covered, "camera gate: live"]);
    }
}
