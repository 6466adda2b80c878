//! Looking again: who can be asked to, and the thread that does.

use std::{sync::Arc, thread::JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use snowgate_core::{ids::Id, time::Clock};

use super::RunError;
use crate::{
    current::Current,
    evidence::worker::StillReady,
    reporting::{
        self, Item, Items, StillRequests,
        verify::{Finder, LookAgain},
    },
    shutdown::Shutdown,
    verify::{Verifier, Watchable, Watchables, verifier},
    watch::Workers,
};

/// The ends of the queues to the verifier that others take hold of before it runs.
pub struct Ends {
    /// Takes wishes to look again. Policy `refuse_newest`: whoever finds it full says so.
    pub look_again: Sender<LookAgain>,
    /// Takes stills that were made for a look.
    pub made: Sender<StillReady>,
}

/// The other ends.
pub struct Queued {
    wishes: Receiver<LookAgain>,
    made: Receiver<StillReady>,
}

/// Both queues to the verifier.
pub fn queues() -> (Ends, Queued) {
    let (look_again, wishes) = crossbeam_channel::bounded(verifier::QUEUED);
    let (made, ready) = crossbeam_channel::bounded(verifier::QUEUED_STILLS);
    (Ends { look_again, made }, Queued { wishes, made: ready })
}

/// Who makes the stills of looks.
pub struct Stills {
    /// Of the pictures of the camera that was asked.
    pub own: Option<StillRequests>,
    /// Of the place of a sensor that was asked.
    pub lookout: Option<Sender<reporting::Look>>,
}

/// Everybody who can be asked to look again.
pub fn watchables(workers: &Workers, sensors: impl Iterator<Item = (Id, Box<dyn Watchable>)>) -> Watchables {
    let cameras = workers.watchables().map(|(camera, asked)| (Finder::Camera(camera), asked));
    let sensors = sensors.map(|(sensor, asked)| (Finder::Sensor(sensor), asked));
    cameras.chain(sensors).collect()
}

/// Starts the thread that looks again with who is watched at the time, and reports what it has seen.
///
/// # Errors
/// No thread could be had.
pub fn spawn(
    watched: Current<Watchables>,
    stills: Stills,
    queued: Queued,
    items: Items,
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>, RunError> {
    let verifier = Verifier {
        watched,
        stills: stills.own,
        lookout: stills.lookout,
        clock: Arc::clone(clock),
        shutdown: shutdown.clone(),
    };
    // Policy `block`: what was seen waits until there is room for it. The queue closes only after this thread has ended.
    let looked = move |looked| drop(items.send(Item::Looked(Box::new(looked))));
    Ok(verifier.spawn(queued.wishes, queued.made, looked)?)
}
