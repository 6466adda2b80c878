//! The fixed threads that decode and infer for all cameras.
//!
//! A camera's decode turn and its inference turn may run at the same time, but never two of the same kind, so the locks
//! below are never waited for. Between the two stands the camera's slot: inference takes the newest picture, and one
//! that nobody has taken gives way (policy `drop_oldest`, counted).

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use snowgate_core::{
    ids::Id,
    rules::{Change, Finding},
    time::{Clock, Mono},
};

use super::{Slot, Turns, decoding::Decoding, watcher::Watcher};
use crate::{
    camera::picture::Picture,
    events::{incident::FindingMade, watch as events},
    reporting::{Found, Item, Items, Sight, WatchedRule, people, rule_of},
    shutdown::Shutdown,
    vision::model::Models,
};

/// Without a picture for so long nothing can be said to hold any more.
const BLIND_AFTER: Duration = Duration::from_secs(5);

/// How often cameras without pictures are seen to.
const LAPSE_EVERY: Duration = Duration::from_secs(1);

/// One camera as the workers see it.
pub struct Watched {
    camera: Id,
    decoding: Mutex<Decoding>,
    slot: Slot<Picture>,
    watcher: Mutex<Watcher>,
    /// When the last picture was looked at (monotonic nanoseconds).
    last_look: AtomicU64,
    rules: Vec<Arc<WatchedRule>>,
}

impl Watched {
    /// A camera and everything it needs.
    pub fn new(camera: Id, decoding: Decoding, watcher: Watcher, rules: Vec<Arc<WatchedRule>>) -> Self {
        Self {
            camera,
            decoding: Mutex::new(decoding),
            slot: Slot::default(),
            watcher: Mutex::new(watcher),
            last_look: AtomicU64::new(0),
            rules,
        }
    }
}

/// All cameras and the queues of those that have work.
#[derive(Clone)]
pub struct Workers {
    cameras: Arc<[Watched]>,
    decode: Turns,
    infer: Turns,
    items: Items,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Workers {
    /// Workers for these cameras; none runs yet.
    pub fn new(cameras: Vec<Watched>, items: Items, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        let (decode, infer) = (Turns::new(cameras.len()), Turns::new(cameras.len()));
        Self { cameras: cameras.into(), decode, infer, items, clock, shutdown }
    }

    /// What wakes the workers when the ring of this camera (by its place in the list) has something new.
    pub fn waker(&self, camera: usize) -> impl Fn() + Send + Sync + 'static {
        let turns = self.decode.clone();
        move || turns.wake(camera)
    }

    /// Starts a decoding thread.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_decode(&self, number: usize) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let serve = move || workers.serve(&workers.decode, |camera| workers.decode_turn(camera));
        std::thread::Builder::new().name(format!("decode-{number}")).spawn(serve)
    }

    /// Starts an inference thread with sessions of its own.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_infer(&self, number: usize, mut models: Models) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let serve = move || workers.serve(&workers.infer, |camera| workers.infer_turn(camera, &mut models));
        std::thread::Builder::new().name(format!("infer-{number}")).spawn(serve)
    }

    /// Starts the thread that ends what can no longer be seen.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_lapse(&self) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let serve = move || {
            while !workers.shutdown.wait_for(LAPSE_EVERY) {
                workers.cameras.iter().for_each(|camera| workers.lapse(camera));
            }
        };
        std::thread::Builder::new().name("lapse".to_owned()).spawn(serve)
    }

    fn serve(&self, turns: &Turns, mut turn: impl FnMut(usize) -> bool) {
        // The queue never closes; looking at the token now and then is what ends this thread.
        while !self.shutdown.is_triggered() {
            if let Ok(camera) = turns.waiting().recv_timeout(Duration::from_millis(200)) {
                turns.take(camera, || turn(camera));
            }
        }
    }

    fn decode_turn(&self, camera: usize) -> bool {
        let watched = &self.cameras[camera];
        lock(&watched.decoding).turn(&watched.slot, || self.infer.wake(camera))
    }

    fn infer_turn(&self, camera: usize, models: &mut Models) -> bool {
        let watched = &self.cameras[camera];
        let Some(picture) = watched.slot.take() else { return false };
        let name = watched.camera.as_str();
        events::SlotWait { camera: name, waited: self.clock.mono().since(picture.arrived()) }.emit();
        watched.last_look.store(self.clock.mono().0, Ordering::Release);
        let mut watcher = lock(&watched.watcher);
        match watcher.look(&picture, models) {
            Ok(seen) if seen.findings.is_empty() => {}
            Ok(seen) => {
                let people = people(seen.tracks);
                let arrived = picture.arrived();
                let picture = Arc::new(picture);
                for finding in seen.findings.drain(..) {
                    let sight = (finding.change == Change::Began)
                        .then(|| Sight { picture: Arc::clone(&picture), people: people.clone() });
                    self.report(watched, finding, Some(arrived), sight);
                }
            }
            Err(error) => events::CannotLook { camera: name, error: &error }.emit(),
        }
        false
    }

    fn lapse(&self, watched: &Watched) {
        let now = self.clock.mono();
        if now.since(Mono(watched.last_look.load(Ordering::Acquire))) < BLIND_AFTER {
            return;
        }
        // Rules run on the pictures' time, which follows the clock; it has moved on with nobody looking.
        for finding in lock(&watched.watcher).lapse(now).drain(..) {
            self.report(watched, finding, None, None);
        }
    }

    fn report(&self, watched: &Watched, finding: Finding, arrived: Option<Mono>, sight: Option<Sight>) {
        let change = match finding.change {
            Change::Began => "began",
            Change::Grew => "grew",
            Change::Ended => "ended",
        };
        FindingMade { camera: watched.camera.as_str(), rule: finding.rule.as_str(), change }.emit();
        let Some(rule) = rule_of(&watched.rules, &finding.rule) else { return };
        let found = Found { rule: Arc::clone(rule), finding, arrived, sight };
        // Policy `block`: a finding is worth more than the pictures that are dropped meanwhile. The queue closes only
        // after this thread has ended.
        let _ = self.items.send(Item::Found(Box::new(found)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
