//! The thread that makes covered copies: one at a time, behind stills, on a share of one core.
//!
//! The models are loaded when there is a copy to make and let go of when there is none: they take as much memory as those of
//! stills, and most boxes make a few copies a day.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use snowgate_core::time::{Clock, Moment};

use super::{
    super::{
        cover::{CoverError, Finder},
        files::{EvidenceFiles, FileName, NewFile},
        still::StillMaker,
        worker::{OpenError, message},
    },
    ClipReady, ClipRequest, Refusal,
    copy::{self, CopyError, Settings},
    footage::Footage,
    mux::Muxed,
    spec::ClipsSpec,
};
use crate::{
    events::clip::{ClipKind, ClipMade, CopyWorked},
    shutdown::Shutdown,
};

/// Copies that wait. Policy `refuse_newest`: an incident that finds the queue full goes without one, counted.
const QUEUED: usize = 8;

/// How soon a shutdown is noticed.
const NOTICE: Duration = Duration::from_millis(500);

/// How often it is looked whether stills are wanted no more.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// After working for a time the thread rests for so many times as long: it takes half of a core.
const REST: u32 = 1;

/// A covered copy that is wanted, and what it is made of.
#[derive(Debug)]
pub struct CopyRequest {
    pub(super) request: ClipRequest,
    pub(super) footage: Footage,
    /// When the first picture was taken.
    pub(super) taken: Moment,
}

/// The queue to the copier, from both of its ends.
pub fn queue() -> (Sender<CopyRequest>, Receiver<CopyRequest>) {
    crossbeam_channel::bounded(QUEUED)
}

/// What the copier works with.
pub struct Copier<O, B, R> {
    /// Loads the models; called on the thread.
    pub open: O,
    /// Whether stills wait: they go first.
    pub is_busy: B,
    /// How copies are made.
    pub spec: ClipsSpec,
    /// Where they lie.
    pub files: EvidenceFiles,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Called on the thread with each copy.
    pub ready: R,
}

impl<O, B, R> Copier<O, B, R>
where
    O: FnMut() -> Result<StillMaker, OpenError> + Send + 'static,
    B: Fn() -> bool + Send + 'static,
    R: FnMut(ClipReady) + Send + 'static,
{
    /// Starts the thread `covered-clips`; it ends with the shutdown, or when nobody wishes any more.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(self, wishes: Receiver<CopyRequest>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("covered-clips".to_owned()).spawn(move || self.run(&wishes))
    }

    fn run(mut self, wishes: &Receiver<CopyRequest>) {
        let mut finder = None;
        while !self.shutdown.is_triggered() {
            match wishes.recv_timeout(NOTICE) {
                Ok(wish) => self.serve(&wish, &mut finder),
                Err(RecvTimeoutError::Timeout) => finder = None,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for wish in wishes.try_iter() {
            wish.request.refuse(ClipKind::Covered, &Refusal::Stopping);
        }
    }

    fn serve(&mut self, wish: &CopyRequest, finder: &mut Option<Finder>) {
        // What a panic leaves of the models is thrown away.
        let made = match catch_unwind(AssertUnwindSafe(|| self.make(wish, finder))) {
            Ok(made) => made,
            Err(panic) => {
                *finder = None;
                Err(CopyError::Panic(message(&*panic)).into())
            }
        };
        match made {
            Ok(ready) => (self.ready)(ready),
            Err(refusal) => wish.request.refuse(ClipKind::Covered, &refusal),
        }
    }

    fn make(&mut self, wish: &CopyRequest, finder: &mut Option<Finder>) -> Result<ClipReady, Refusal> {
        let CopyRequest { request, footage, taken } = wish;
        let finder = match finder {
            Some(finder) => finder,
            None => finder.insert((self.open)().map_err(CopyError::Unavailable)?.into_finder()),
        };
        let (masks, camera) = (&*request.masks, &request.camera);
        let settings = Settings { camera, masks, fps: self.spec.copy_fps, max_width: self.spec.copy_width };
        let name = FileName::COVERED_CLIP;
        let file = NewFile { name, camera: camera.clone(), media_type: "video/mp4", taken: *taken, sealed: None };
        let file = self.files.begin(&request.of, file, self.spec.max_size.0, self.clock.now())?;
        let mut worked = Duration::ZERO;
        let made = copy::make(footage.units(), &settings, finder, file, |took| {
            worked += took;
            self.rest(took)
        });
        CopyWorked { took: worked }.emit();
        let (file, Muxed { duration, pictures }) = made?;
        let evidence = file.lasting(duration).keep(self.clock.now())?;
        let (incident, kind, bytes) = (request.of.incident, ClipKind::Covered, evidence.bytes);
        ClipMade { incident, camera, kind, bytes, duration, pictures }.emit();
        Ok(ClipReady { incident, evidence })
    }

    /// Rests after having worked for so long, and while stills are made.
    fn rest(&self, worked: Duration) -> Result<(), CopyError> {
        let mut pause = worked * REST;
        loop {
            if self.shutdown.wait_for(pause) {
                return Err(CoverError::Stopping.into());
            }
            if !(self.is_busy)() {
                return Ok(());
            }
            pause = LOOK_AGAIN;
        }
    }
}
