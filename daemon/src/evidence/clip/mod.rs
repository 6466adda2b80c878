//! Clips of incidents: what a camera has sent, as it came, from before the incident began until after it was over.
//!
//! ```text
//! ClipRequest ─► recorder: GOP ring ─► mux: fragmented MP4 ─► seal: age ─► files ─► ClipReady
//!                   └── footage ─► copier: decode ─► find areas (cover) ─► cover ─► encode ─► mux ─► files ─► ClipReady
//! ```
//!
//! What this module promises:
//!
//! - **What is not covered is sealed**, for those whose public keys are configured, before it reaches the disk: no file in plain,
//!   no temporary one either. No key that opens it is ever on this box. Of a camera with privacy masks, which cannot be put over
//!   pictures that stay encoded as they are, there is no such clip.
//! - **A covered copy is covered.** Each of its pictures is a `Covered`; one that cannot be covered, and there is no copy.
//! - **Nobody waits for it.** So many clips at once, so many bytes of footage, one copy at a time on a share of a core; what is too
//!   much is refused and counted.

mod boxes;
pub mod copier;
mod copy;
mod encode;
mod footage;
pub mod mux;
mod nal;
pub mod recorder;
pub mod seal;
pub mod spec;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use snowgate_core::{
    geometry::Polygon,
    ids::{Id, IncidentId},
    incidents::Evidence,
    time::Mono,
};

use self::mux::MuxError;
use super::{files::FilesError, provenance::Provenance};
use crate::events::clip::{ClipKind, ClipRefused};

/// Wishes that wait. Policy `refuse_newest`: an incident that finds the queue full goes without a clip, counted.
const QUEUED: usize = 64;

/// Which clips the incidents of a rule get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One that is sealed.
    pub sealed: bool,
    /// A covered copy.
    pub covered: bool,
}

/// A clip that is wanted.
#[derive(Debug, Clone)]
pub struct ClipRequest {
    /// The incident it belongs to.
    pub of: Arc<Provenance>,
    /// The camera that found it.
    pub camera: Id,
    /// Which clips.
    pub wanted: Wanted,
    /// When the condition began to hold.
    pub began: Mono,
    /// When the incident was opened.
    pub opened: Mono,
    /// What nobody may look at.
    pub masks: Arc<[Polygon]>,
}

/// What the recorder is told.
enum Wish {
    Opened(Box<ClipRequest>),
    Ended { incident: IncidentId, at: Mono },
}

/// A clip lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipReady {
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// What the incident's next revision says of it.
    pub evidence: Evidence,
}

/// Where clips are asked for.
#[derive(Debug, Clone)]
pub struct ClipRequests(Sender<Wish>);

/// Where wishes are taken from.
pub struct ClipWishes(Receiver<Wish>);

/// The queue to the recorder, from both of its ends.
pub fn queue() -> (ClipRequests, ClipWishes) {
    let (requests, wishes) = crossbeam_channel::bounded(QUEUED);
    (ClipRequests(requests), ClipWishes(wishes))
}

impl ClipRequests {
    /// An incident has opened: asks for what is wanted of it, without waiting.
    pub fn opened(&self, request: ClipRequest) {
        if request.wanted == Wanted::default() {
            return;
        }
        if let Err(TrySendError::Full(Wish::Opened(request))) = self.0.try_send(Wish::Opened(Box::new(request))) {
            for kind in request.kinds() {
                request.refuse(kind, &Refusal::QueueFull);
            }
        }
    }

    /// An incident is over: its clip need not go on for long. One that is not told of this goes on as long as a clip may.
    pub fn ended(&self, incident: IncidentId, at: Mono) {
        let _ = self.0.try_send(Wish::Ended { incident, at });
    }
}

impl ClipRequest {
    /// The kinds that are wanted.
    fn kinds(&self) -> impl Iterator<Item = ClipKind> + use<> {
        let Wanted { sealed, covered } = self.wanted;
        let kinds = [(sealed, ClipKind::Sealed), (covered, ClipKind::Covered)];
        kinds.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, kind)| kind)
    }

    /// Tells that the incident goes without one of its clips.
    fn refuse(&self, kind: ClipKind, refusal: &Refusal) {
        let (incident, camera, reason) = (self.of.incident, &self.camera, refusal.reason());
        ClipRefused { incident, camera, kind, reason, error: refusal }.emit();
    }
}

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("too many clips are wanted at once")]
    QueueFull,
    #[error("{0} clips are being made already")]
    TooMany(usize),
    #[error("there is nobody to seal it for: no recipients are configured")]
    NoRecipients,
    #[error("the camera has masks, and what is not covered must not leave it")]
    Masked,
    #[error("the camera is not watched any more")]
    NotWatched,
    #[error("no key frame has come")]
    NoKeyFrame,
    #[error("what covered copies wait to be made of takes {0} bytes of memory already")]
    TooMuchFootage(usize),
    #[error("the daemon stops")]
    Stopping,
    #[error(transparent)]
    Mux(#[from] MuxError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Copy(#[from] copy::CopyError),
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooMany(_) => "too_many",
            Self::NoRecipients => "no_recipients",
            Self::Masked => "masked",
            Self::NotWatched => "not_watched",
            Self::NoKeyFrame | Self::Mux(MuxError::NoStart | MuxError::FormatChanged) => "no_key_frame",
            Self::TooMuchFootage(_) => "too_much_footage",
            Self::Stopping => "stopping",
            Self::Files(error) => error.reason(),
            Self::Mux(MuxError::Write(_)) => "disk",
            Self::Copy(error) => error.reason(),
        }
    }
}
