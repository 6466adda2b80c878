//! The thread that makes stills: requests in, redacted stills on disk and handed on.
//!
//! Requests wait in a [line](super::line) in which the more important ones go first. The thread loads the models itself. When
//! that fails it tries again with the next request; when model code panics, the models are thrown away and loaded anew. In every such case the request is
//! refused: there is no still rather than a doubtful one.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use snowgate_core::{
    ids::{Id, IncidentId},
    incidents::{Evidence, command::CommandId},
    time::Clock,
};

use super::{
    files::{EvidenceFiles, FileName, FilesError, NewFile},
    line::{Next, StillServer, line, refuse},
    still::{HasPixels, Still, StillError, StillMaker, StillRequest},
};
use crate::{
    events::evidence::{StillMade, StillModelsFailed},
    shutdown::Shutdown,
};

pub use super::line::{QUEUE, QUEUE_BYTES, StillQueue};

/// How often the thread looks whether it is time to stop.
const LOOK_UP: Duration = Duration::from_millis(200);

/// A still is made and lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillReady {
    /// The incident it belongs to.
    pub incident: IncidentId,
    /// The command of the verification that wanted it; none of the incident's own still.
    pub verification: Option<CommandId>,
    /// The camera that took the picture.
    pub camera: Id,
    /// What the incident's next revision says of it.
    pub evidence: Evidence,
    /// The still itself.
    pub still: Still,
}

/// Starts the thread.
///
/// `open` loads the models and is called on the thread, first when it starts. `ready` is called on the thread with each still; while it waits,
/// requests queue.
///
/// # Errors
/// No thread can be had.
pub fn spawn<P: HasPixels + 'static>(
    open: impl FnMut() -> Result<StillMaker, OpenError> + Send + 'static,
    files: EvidenceFiles,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    ready: impl FnMut(StillReady) + Send + 'static,
) -> io::Result<(JoinHandle<()>, StillQueue<P>)> {
    let (queue, server) = line();
    let worker = Worker { open, maker: None, files, clock, shutdown, ready };
    let thread = std::thread::Builder::new().name("evidence".to_owned()).spawn(move || worker.run(&server))?;
    Ok((thread, queue))
}

/// Why models cannot be loaded.
pub type OpenError = Box<dyn std::error::Error + Send + Sync>;

struct Worker<O, R> {
    open: O,
    /// `None` until the models are loaded, and after a panic in them.
    maker: Option<StillMaker>,
    files: EvidenceFiles,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    ready: R,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the models that find what must be covered cannot be loaded: {0}")]
    Unavailable(OpenError),
    #[error(transparent)]
    Still(#[from] StillError),
    #[error("a model panicked: {0}")]
    Panic(String),
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Still(error) => error.reason(),
            Self::Panic(_) => "panic",
            Self::Files(error) => error.reason(),
        }
    }
}

impl<O, R> Worker<O, R>
where
    O: FnMut() -> Result<StillMaker, OpenError>,
    R: FnMut(StillReady),
{
    fn run<P: HasPixels>(mut self, requests: &StillServer<P>) {
        // Before the first incident: loading takes long, and a missing model should be known early.
        let _ = self.maker();
        while !self.shutdown.is_triggered() {
            match requests.next(self.clock.mono(), LOOK_UP) {
                Next::Request(request) => {
                    let request = request.settled(&*self.clock);
                    self.serve(&request);
                    requests.done(&request);
                }
                Next::Nothing => {}
                Next::Over => break,
            }
        }
        for request in requests.close() {
            refuse(&request, "stopping", &"the daemon stops");
        }
    }

    fn serve<P: HasPixels>(&mut self, request: &StillRequest<P>) {
        let started = self.clock.mono();
        match self.make(request) {
            Ok((still, evidence)) => {
                StillMade {
                    incident: request.of.incident,
                    camera: &request.camera,
                    bytes: still.jpeg.len(),
                    faces: still.faces_covered,
                    heads: still.heads_covered,
                    took: self.clock.mono().since(started),
                }
                .emit();
                (self.ready)(announce(request, still, evidence));
            }
            Err(refusal) => refuse(request, refusal.reason(), &refusal),
        }
    }

    fn make<P: HasPixels>(&mut self, request: &StillRequest<P>) -> Result<(Still, Evidence), Refusal> {
        let maker = self.maker()?;
        // What a panic leaves of the models is thrown away below.
        let still = match catch_unwind(AssertUnwindSafe(|| maker.make(request))) {
            Ok(still) => still?,
            Err(panic) => {
                self.maker = None;
                return Err(Refusal::Panic(message(&*panic)));
            }
        };
        let file = NewFile {
            name: name(request),
            camera: request.camera.clone(),
            media_type: "image/jpeg",
            taken: request.taken,
            sealed: None,
        };
        let evidence = self.files.write(&request.of, file, &still.jpeg, self.clock.now())?;
        Ok((still, evidence))
    }

    fn maker(&mut self) -> Result<&mut StillMaker, Refusal> {
        let maker = match self.maker.take() {
            Some(maker) => maker,
            None => self.open_models().inspect_err(|error| StillModelsFailed { error }.emit())?,
        };
        Ok(self.maker.insert(maker))
    }

    fn open_models(&mut self) -> Result<StillMaker, Refusal> {
        match catch_unwind(AssertUnwindSafe(&mut self.open)) {
            Ok(opened) => opened.map_err(Refusal::Unavailable),
            Err(panic) => Err(Refusal::Panic(message(&*panic))),
        }
    }
}

fn announce<P>(request: &StillRequest<P>, still: Still, evidence: Evidence) -> StillReady {
    StillReady {
        incident: request.of.incident,
        verification: request.verification.clone(),
        camera: request.camera.clone(),
        evidence,
        still,
    }
}

fn name<P>(request: &StillRequest<P>) -> FileName {
    request.verification.as_ref().map_or(FileName::STILL, FileName::of_verification)
}

/// What a panic says.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
