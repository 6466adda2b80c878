//! The threads that make clips: one that follows rings and seals, one that makes covered copies.

use std::{collections::BTreeMap, sync::Arc, thread::JoinHandle};

use snowgate_core::time::Clock;

use super::RunError;
use crate::{
    config::Config,
    evidence::{
        clip::{
            ClipReady, ClipWishes,
            copier::{self, Copier},
            recorder::{EvidenceRings, Recorder},
        },
        files::EvidenceFiles,
        still::StillMaker,
        worker::OpenError,
    },
    reporting::{Item, Items, StillRequests},
    shutdown::Shutdown,
};

/// What the threads work with.
pub struct Clips<O> {
    /// What clips are made of.
    pub rings: EvidenceRings,
    /// Where they lie.
    pub files: EvidenceFiles,
    /// Loads the models that find what must be covered.
    pub open: O,
    /// Stills go before covered copies.
    pub stills: Option<StillRequests>,
    /// Where it is told that one is ready. Policy `block`.
    pub items: Items,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
}

impl<O: FnMut() -> Result<StillMaker, OpenError> + Send + 'static> Clips<O> {
    /// Starts both.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(
        self,
        config: &Config,
        wishes: ClipWishes,
        threads: &mut BTreeMap<String, JoinHandle<()>>,
    ) -> Result<(), RunError> {
        let Self { rings, files, open, stills, items, clock, shutdown } = self;
        let spec = &config.evidence.clips;
        // The reporting thread outlives both.
        let ready = move |clip: ClipReady| drop(items.send(Item::Clip(Box::new(clip))));
        let (copies, wished) = copier::queue();
        let recorder = Recorder::new(
            spec.clone(),
            rings,
            files.clone(),
            copies,
            Arc::clone(&clock),
            shutdown.clone(),
            ready.clone(),
        );
        let is_busy = move || stills.as_ref().is_some_and(StillRequests::is_busy);
        let copier = Copier { open, is_busy, spec: spec.clone(), files, clock, shutdown, ready };
        threads.insert("clips".to_owned(), recorder.spawn(wishes)?);
        threads.insert("covered-clips".to_owned(), copier.spawn(wished)?);
        Ok(())
    }
}
