//! The thread that follows rings and writes sealed clips.
//!
//! A clip begins with the key frame shown at or before the time at which it is to begin, as far as the ring reaches, and is
//! followed until some time after the incident is over. It ends earlier where the stream is interrupted or changes its format,
//! where it has become as long or as large as a clip may, and when the daemon stops. What there is by then is a whole file and is
//! kept.

use std::{collections::BTreeMap, io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{RecvTimeoutError, Sender, TrySendError};
use snowgate_core::{
    ids::Id,
    incidents::{SealFormat, Sealing},
    time::{Clock, Mono},
};

use super::{
    super::{
        files::{EvidenceFiles, FileName, NewFile},
        partial::PartialFile,
    },
    ClipReady, ClipRequest, ClipWishes, Refusal, Wish,
    copier::CopyRequest,
    footage::{Budget, Footage},
    mux::{Encoded, MuxError, Muxed, Muxer},
    seal::{Recipient, Sealed},
    spec::ClipsSpec,
};
use crate::{
    camera::{
        access_unit::AccessUnit,
        gop_ring::{GopRing, Next, RingReader},
    },
    current::Current,
    events::clip::{ClipEnded, ClipKind, ClipMade},
    shutdown::Shutdown,
};

/// How often rings are looked into while there are clips to make: a ring holds seconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How soon a shutdown is noticed while there are none.
const NOTICE: Duration = Duration::from_millis(500);

/// A stream that gives nothing for so long, or whose times jump so far, has been interrupted.
const SILENT: Duration = Duration::from_secs(5);

/// How much later than it is shown a picture may arrive.
const LATE: Duration = Duration::from_secs(1);

/// What sealing and the file's own structure add to the pictures: a head for each fragment and recipient, 16 bytes for each 64 KiB.
const OVERHEAD: u64 = 256 << 10;

/// The rings that clips are made of, by camera: of the stream that is kept for evidence, where there is one.
pub type EvidenceRings = Current<BTreeMap<Id, Arc<GopRing>>>;

/// What the recorder works with.
pub struct Recorder<R> {
    spec: ClipsSpec,
    recipients: Vec<Recipient>,
    rings: EvidenceRings,
    files: EvidenceFiles,
    /// Who makes covered copies. Policy `refuse_newest`: what finds the queue full goes without one, counted.
    copies: Sender<CopyRequest>,
    budget: Budget,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    ready: R,
    recordings: Vec<Recording>,
}

/// Why a clip is followed no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Longest,
    Size,
    Interrupted,
    Format,
    Stopping,
    /// Nothing of it can be made.
    Refused,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Longest => "longest",
            Self::Size => "size",
            Self::Interrupted => "interrupted",
            Self::Format => "format",
            Self::Stopping => "stopping",
            Self::Refused => "refused",
        }
    }
}

/// One incident's clips, under way.
struct Recording {
    request: ClipRequest,
    reader: RingReader,
    /// When the incident was over, if it is.
    ended: Option<Mono>,
    /// The first unit and the last.
    first: Option<AccessUnit>,
    newest: Mono,
    /// Bytes of all units.
    bytes: u64,
    /// When the ring last gave something.
    heard: Mono,
    sealed: Option<SealedClip>,
    footage: Option<Footage>,
}

/// A sealed clip, from the first key frame.
enum SealedClip {
    Wanted,
    Begun(Box<Muxer<Sealed<PartialFile>>>),
}

impl<R: FnMut(ClipReady) + Send + 'static> Recorder<R> {
    /// Makes clips as they are wished; `ready` is called on the thread with each.
    pub fn new(
        spec: ClipsSpec,
        rings: EvidenceRings,
        files: EvidenceFiles,
        copies: Sender<CopyRequest>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
        ready: R,
    ) -> Self {
        let recipients = spec.recipients();
        let (budget, recordings) = (Budget::default(), Vec::new());
        Self { spec, recipients, rings, files, copies, budget, clock, shutdown, ready, recordings }
    }

    /// Starts the thread `clips`; it ends with the shutdown, or when nobody wishes any more.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(self, wishes: ClipWishes) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("clips".to_owned()).spawn(move || self.run(&wishes))
    }

    fn run(mut self, ClipWishes(wishes): &ClipWishes) {
        while !self.shutdown.is_triggered() {
            let pause = if self.recordings.is_empty() { NOTICE } else { LOOK_EVERY };
            match wishes.recv_timeout(pause) {
                Ok(wish) => self.take(wish),
                Err(RecvTimeoutError::Timeout) => self.follow(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for recording in std::mem::take(&mut self.recordings) {
            self.finish(recording, End::Stopping);
        }
    }

    fn take(&mut self, wish: Wish) {
        match wish {
            Wish::Opened(request) => self.begin(*request),
            Wish::Ended { incident, at } => {
                let recording = self.recordings.iter_mut().find(|recording| recording.request.of.incident == incident);
                if let Some(recording) = recording {
                    recording.ended.get_or_insert(at);
                }
            }
        }
        self.follow();
    }

    fn begin(&mut self, request: ClipRequest) {
        let at_once = usize::try_from(self.spec.at_once).unwrap_or(usize::MAX);
        let ring = self.rings.get().get(&request.camera).cloned();
        let refused = if self.recordings.len() >= at_once {
            Some(Refusal::TooMany(self.recordings.len()))
        } else {
            ring.is_none().then_some(Refusal::NotWatched)
        };
        let refused_sealed = || match (self.recipients.is_empty(), request.masks.is_empty()) {
            (_, false) => Some(Refusal::Masked),
            (true, _) => Some(Refusal::NoRecipients),
            (false, true) => None,
        };
        let (mut sealed, mut footage) = (None, None);
        for kind in request.kinds() {
            match (&refused, kind) {
                (Some(refusal), _) => request.refuse(kind, refusal),
                (None, ClipKind::Sealed) => match refused_sealed() {
                    Some(refusal) => request.refuse(kind, &refusal),
                    None => sealed = Some(SealedClip::Wanted),
                },
                (None, ClipKind::Covered) => footage = Some(Footage::new(&self.budget)),
            }
        }
        let Some(ring) = ring.filter(|_| sealed.is_some() || footage.is_some()) else { return };
        let from = request.began - self.spec.pre_roll.0;
        let (reader, heard) = (ring.reader_since(from), self.clock.mono());
        let (ended, first, newest) = (None, None, Mono(0));
        let recording = Recording { request, reader, ended, first, newest, bytes: 0, heard, sealed, footage };
        self.recordings.push(recording);
    }

    /// Takes what has come into the rings.
    fn follow(&mut self) {
        let now = self.clock.mono();
        for mut recording in std::mem::take(&mut self.recordings) {
            let end = recording.follow(&self.work(), now);
            match end {
                Some(end) => self.finish(recording, end),
                None => self.recordings.push(recording),
            }
        }
    }

    fn work(&self) -> Work<'_> {
        Work { spec: &self.spec, recipients: &self.recipients, files: &self.files, clock: &*self.clock }
    }

    /// What there is becomes the incident's.
    fn finish(&mut self, recording: Recording, end: End) {
        let Recording { request, first, sealed, footage, .. } = recording;
        let Some(first) = first else {
            let refusal = if end == End::Stopping { Refusal::Stopping } else { Refusal::NoKeyFrame };
            let kinds = [sealed.map(|_| ClipKind::Sealed), footage.map(|_| ClipKind::Covered)];
            kinds.into_iter().flatten().for_each(|kind| request.refuse(kind, &refusal));
            return;
        };
        ClipEnded { incident: request.of.incident, camera: &request.camera, reason: end.as_str() }.emit();
        if let Some(SealedClip::Begun(muxer)) = sealed {
            match self.keep(&request, *muxer) {
                Ok(ready) => (self.ready)(ready),
                Err(refusal) => request.refuse(ClipKind::Sealed, &refusal),
            }
        }
        if let Some(footage) = footage {
            let taken = self.clock.moment_at(first.at);
            let copy = CopyRequest { request, footage, taken };
            match self.copies.try_send(copy) {
                Ok(()) => {}
                Err(TrySendError::Full(copy)) => copy.request.refuse(ClipKind::Covered, &Refusal::QueueFull),
                Err(TrySendError::Disconnected(copy)) => copy.request.refuse(ClipKind::Covered, &Refusal::Stopping),
            }
        }
    }

    fn keep(&self, request: &ClipRequest, muxer: Muxer<Sealed<PartialFile>>) -> Result<ClipReady, Refusal> {
        let (sealed, Muxed { duration, pictures }) = muxer.finish()?;
        let file = sealed.finish().map_err(MuxError::Write)?;
        let evidence = file.lasting(duration).keep(self.clock.now())?;
        let (incident, camera, bytes) = (request.of.incident, &request.camera, evidence.bytes);
        ClipMade { incident, camera, kind: ClipKind::Sealed, bytes, duration, pictures }.emit();
        Ok(ClipReady { incident, evidence })
    }
}

/// What all recordings share.
struct Work<'w> {
    spec: &'w ClipsSpec,
    recipients: &'w [Recipient],
    files: &'w EvidenceFiles,
    clock: &'w dyn Clock,
}

impl Recording {
    /// Takes what has come into the ring; answers why the clip ends, if it does.
    fn follow(&mut self, work: &Work<'_>, now: Mono) -> Option<End> {
        loop {
            match self.reader.next() {
                Next::Unit(unit) => {
                    self.heard = now;
                    if let Some(end) = self.ends_before(&unit, work.spec) {
                        return Some(end);
                    }
                    if let Some(end) = self.push(unit, work) {
                        return Some(end);
                    }
                }
                Next::Lost { .. } if self.first.is_none() => {}
                Next::Lost { .. } => return Some(End::Interrupted),
                Next::Nothing => break,
            }
        }
        if self.until(work.spec).is_some_and(|until| now >= until + LATE) {
            Some(End::Whole)
        } else {
            (now.since(self.heard) >= SILENT).then_some(End::Interrupted)
        }
    }

    /// When it has been followed long enough; `None` while the incident goes on.
    fn until(&self, spec: &ClipsSpec) -> Option<Mono> {
        self.ended.map(|ended| ended.max(self.request.opened) + spec.post_roll.0)
    }

    /// Why the clip ends before this unit, if it does.
    fn ends_before(&self, unit: &AccessUnit, spec: &ClipsSpec) -> Option<End> {
        let first = self.first.as_ref()?;
        let jumps_back = unit.key && self.newest.since(unit.at) >= SILENT;
        if jumps_back || unit.at.since(self.newest) >= SILENT {
            return Some(End::Interrupted);
        }
        let is_same = |of: &AccessUnit| of.format.codec == unit.format.codec && of.format.size() == unit.format.size();
        if !is_same(first) {
            return Some(End::Format);
        }
        if self.until(spec).is_some_and(|until| unit.at > until) {
            return Some(End::Whole);
        }
        if unit.at.since(first.at) > spec.longest.0 {
            return Some(End::Longest);
        }
        (self.bytes + unit.size as u64 + OVERHEAD > spec.max_size.0).then_some(End::Size)
    }

    /// Takes a unit; what fails at it is given up and told. Answers why the clip ends with it, if it does.
    fn push(&mut self, unit: AccessUnit, work: &Work<'_>) -> Option<End> {
        let mut end = None;
        self.newest = self.newest.max(unit.at);
        self.bytes += unit.size as u64;
        match self.sealed.as_mut().map(|sealed| sealed.push(&unit, &self.request, work)) {
            None | Some(Ok(())) => {}
            // What there is stays.
            Some(Err(Refusal::Mux(MuxError::FormatChanged))) => end = Some(End::Format),
            Some(Err(refusal)) => {
                self.sealed = None;
                self.request.refuse(ClipKind::Sealed, &refusal);
            }
        }
        // A picture that does not belong to this clip any more is none of the copy's either.
        if end.is_none()
            && let Some(footage) = &mut self.footage
            && let Err(too_much) = footage.push(unit.clone())
        {
            self.footage = None;
            self.request.refuse(ClipKind::Covered, &Refusal::TooMuchFootage(too_much.bytes));
        }
        self.first.get_or_insert(unit);
        end.or((self.sealed.is_none() && self.footage.is_none()).then_some(End::Refused))
    }
}

impl SealedClip {
    /// Adds a unit; the first one begins the file.
    fn push(&mut self, unit: &AccessUnit, request: &ClipRequest, work: &Work<'_>) -> Result<(), Refusal> {
        let unreadable = |_| MuxError::Write(io::Error::other("a picture's memory cannot be read"));
        let map = unit.buffer.map_readable().map_err(unreadable)?;
        let picture = Encoded { at: unit.at, key: unit.key, bytes: &map };
        match self {
            Self::Wanted => *self = Self::Begun(Box::new(begin(unit, picture, request, work)?)),
            Self::Begun(muxer) => muxer.push(picture)?,
        }
        Ok(())
    }
}

fn begin(
    unit: &AccessUnit,
    picture: Encoded<'_>,
    request: &ClipRequest,
    work: &Work<'_>,
) -> Result<Muxer<Sealed<PartialFile>>, Refusal> {
    let recipients = work.recipients.iter().map(Recipient::to_string).collect();
    let file = NewFile {
        name: FileName::CLIP,
        camera: request.camera.clone(),
        media_type: "video/mp4",
        taken: work.clock.moment_at(unit.at),
        sealed: Some(Sealing { format: SealFormat::Age, recipients }),
    };
    let file = work.files.begin(&request.of, file, work.spec.max_size.0, work.clock.now())?;
    let sealed = Sealed::begin(work.recipients, file).map_err(MuxError::Write)?;
    Ok(Muxer::begin(sealed, &unit.format, picture)?)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
