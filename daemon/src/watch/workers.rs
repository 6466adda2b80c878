//! The fixed threads that decode and infer for all cameras.
//!
//! A camera's decode turn and its inference turn may run at the same time, but never two of the same kind, so the locks
//! below them are hardly ever waited for. Between the two stands the camera's slot: inference takes the newest picture, and
//! one that nobody has taken gives way (policy `drop_oldest`, counted). Cameras that catch up with what moved between two
//! looks wait instead (policy `block`): their pictures wait in the ring.

use std::{io, num::NonZero, sync::Arc, thread::JoinHandle, time::Duration};

use snowgate_core::{
    ids::Id,
    rules::{Change, Finding},
    time::{Clock, Mono},
};

use super::{
    Watched,
    asked::AskedCamera,
    camera::Tools,
    decoders::LookDecoders,
    decoding::Offered,
    inference::{Outcome, Urgency},
    keeper,
    lookout::{Lookout, Viewpoint},
    overload::{Policy, TICK},
    room::{Meter, Room},
    scene::SceneTold,
    schedule::{Schedule, Turn, When},
};
use crate::{
    camera::gop_ring::Pushed,
    events::{
        gate::{Degraded, FoundLate, PressureRead, RoomRead},
        incident::FindingMade,
        watch as events,
    },
    reporting::{Found, Item, Items, Sight, StillRequests, people, rule_of},
    shutdown::Shutdown,
    verify::{View, Watchable},
    vision::{model::Models, scene::files::SceneFiles},
};

/// How soon a worker without work notices a shutdown.
const NOTICE: Duration = Duration::from_millis(200);

/// All cameras and the queues of those that have work.
#[derive(Clone)]
pub struct Workers {
    cameras: Arc<[Watched]>,
    tools: Arc<Tools>,
    decode: Schedule,
    infer: Schedule,
    /// Whose scene waits to be looked at: served when nothing else is to be inferred.
    scenes: Schedule,
    items: Items,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Workers {
    /// Workers for these cameras; none runs yet.
    pub fn new(cameras: Vec<Watched>, tools: Tools, items: Items, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        let schedule = || Schedule::new(cameras.iter().map(|camera| camera.priority), Arc::clone(&clock));
        let (decode, infer, scenes) = (schedule(), schedule(), schedule());
        Self { cameras: cameras.into(), tools: Arc::new(tools), decode, infer, scenes, items, clock, shutdown }
    }

    /// Who looks on demand, with these cameras' decoders.
    pub fn lookout(&self, viewpoints: Vec<Viewpoint>, stills: StillRequests) -> Lookout {
        let (tools, clock, shutdown) = (Arc::clone(&self.tools), Arc::clone(&self.clock), self.shutdown.clone());
        Lookout { viewpoints, tools, stills, clock, shutdown }
    }

    /// The cameras as they can be asked to look again, with their names.
    pub fn watchables(&self) -> impl Iterator<Item = (Id, Box<dyn Watchable>)> {
        (0..self.cameras.len()).map(|camera| {
            let asked = AskedCamera::new(camera, Arc::clone(&self.cameras), self.decode.clone());
            (self.cameras[camera].camera.clone(), Box::new(asked) as Box<dyn Watchable>)
        })
    }

    /// What hears of every unit in the ring of this camera (by its place in the list), and wakes the workers for it.
    pub fn waker(&self, camera: usize) -> impl Fn(&Pushed) + Send + Sync + 'static {
        let (cameras, decode) = (Arc::clone(&self.cameras), self.decode.clone());
        move |unit| {
            if cameras[camera].arrived(unit) {
                decode.wake(camera);
            }
        }
    }

    /// Starts a decoding thread.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_decode(&self, number: usize) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let mut looks = LookDecoders::default();
        let work = move || {
            while !workers.shutdown.is_triggered() {
                workers.decode.serve(NOTICE, |camera| workers.decode_turn(camera, &mut looks));
            }
        };
        std::thread::Builder::new().name(format!("decode-{number}")).spawn(work)
    }

    /// Starts an inference thread with sessions of its own.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_infer(&self, number: usize, mut models: Models) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let work = move || {
            while !workers.shutdown.is_triggered() {
                let served = workers.infer.serve(Duration::ZERO, |camera| workers.infer_turn(camera, &mut models))
                    || workers.scenes.serve(Duration::ZERO, |camera| workers.scene_turn(camera, &mut models));
                if !served {
                    workers.infer.serve(NOTICE, |camera| workers.infer_turn(camera, &mut models));
                }
            }
        };
        std::thread::Builder::new().name(format!("infer-{number}")).spawn(work)
    }

    /// Starts the thread that applies the overload policy, and ends what can no longer be seen, and tells rules the time.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_steward(&self) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let mut policy = Policy::new(self.cameras.iter().map(|camera| camera.priority));
        let mut meter = Meter::new(std::thread::available_parallelism().map_or(1, NonZero::get));
        let mut last = self.clock.mono();
        self.tell_the_time();
        let work = move || {
            while !workers.shutdown.wait_for(TICK) {
                let now = workers.clock.mono();
                let live = workers.cameras.iter().filter(|camera| camera.pulse.is_live()).count();
                let room = meter.read(now.since(std::mem::replace(&mut last, now)), live, &workers.tools.load.spent);
                workers.apply(&mut policy, room);
                workers.tell_the_time();
                for camera in workers.cameras.iter() {
                    workers.lapse(camera);
                    camera.measure();
                }
            }
        };
        std::thread::Builder::new().name("steward".to_owned()).spawn(work)
    }

    /// Rules watch or rest by their schedules; these are asked as often as the policy is.
    fn tell_the_time(&self) {
        let now = self.clock.now();
        self.cameras.iter().for_each(|camera| camera.it_is(now));
    }

    /// Starts the thread that keeps what the cameras learn of their scenes.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_keeper(&self, files: SceneFiles) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        let work = move || keeper::keep(&workers.cameras, &files, &*workers.clock, &workers.shutdown);
        std::thread::Builder::new().name("scenes".to_owned()).spawn(work)
    }

    fn decode_turn(&self, camera: usize, looks: &mut LookDecoders) -> Turn {
        let watched = &self.cameras[camera];
        let mut offered = |offered| match offered {
            Offered::Things => self.infer.wake(camera),
            Offered::Scene => self.scenes.wake(camera),
        };
        let turn = || watched.decode(&self.tools, looks, self.clock.mono(), &mut offered);
        let turn = self.tools.load.spent.decoding(watched.pulse.is_live(), turn);
        self.judge_scene(watched);
        turn
    }

    /// Reports what key frames gave to know, and tells it to who looks again.
    fn judge_scene(&self, watched: &Watched) {
        for SceneTold { at, arrived, picture, findings } in watched.told_by_scene() {
            if let Some(picture) = &picture
                && watched.watchpoint.is_on()
            {
                // Who is in it, nobody has looked for yet: the still's own models do.
                let view = View { picture: Arc::clone(picture), people: Arc::from([]) };
                watched.watchpoint.shown(at, |rule, patience| watched.scene_holds(rule, at, patience), true, &view);
            }
            for finding in findings {
                let picture = picture.as_ref().filter(|_| finding.change == Change::Began);
                let sight = picture.map(|picture| Sight { picture: Arc::clone(picture), people: Vec::new() });
                self.report(watched, finding, arrived, sight);
            }
        }
    }

    fn infer_turn(&self, camera: usize, models: &mut Models) -> Turn {
        let watched = &self.cameras[camera];
        let decode = || self.decode.wake(camera);
        let judge = |outcome: Outcome<'_>| self.judge(watched, outcome);
        let turn = || watched.infer(&self.tools, models, self.clock.mono(), decode, judge);
        self.tools.load.spent.inference(watched.pulse.is_live(), turn)
    }

    /// Looks at the key frame that waits for the scene's sake.
    fn scene_turn(&self, camera: usize, models: &mut Models) -> Turn {
        let watched = &self.cameras[camera];
        match watched.look_at_scene(models) {
            Ok(()) => self.judge_scene(watched),
            Err(error) => events::CannotLook { camera: watched.camera.as_str(), error: &error }.emit(),
        }
        Turn { more: false, cost: 1, next: When::Later }
    }

    fn judge(&self, watched: &Watched, outcome: Outcome<'_>) {
        let camera = watched.camera.as_str();
        match outcome {
            Outcome::Nothing | Outcome::More => {}
            Outcome::Stale(urgency) => {
                events::PictureStale { camera }.emit();
                if urgency != Urgency::Sweep {
                    self.tools.load.picture_dropped();
                }
            }
            Outcome::Looked { seen: Err(error), .. } => events::CannotLook { camera, error: &error }.emit(),
            Outcome::Looked { seen: Ok(seen), .. } if seen.findings.is_empty() && !watched.watchpoint.is_on() => {}
            Outcome::Looked { picture, urgency, seen: Ok(seen) } => {
                let picture = Arc::new(picture);
                let people = people(seen.tracks);
                if watched.watchpoint.is_on() {
                    let view = View { picture: Arc::clone(&picture), people: people.as_slice().into() };
                    let holds = |rule: &Id, patience| seen.rules.holds(rule, patience);
                    watched.watchpoint.shown(picture.at(), holds, !seen.has_unseen, &view);
                }
                if seen.findings.is_empty() {
                    return;
                }
                let arrived = Some(picture.arrived()).filter(|_| urgency != Urgency::CatchUp);
                if arrived.is_none() {
                    FoundLate { took: self.clock.mono().since(picture.arrived()) }.emit();
                }
                for finding in seen.findings.drain(..) {
                    let sight = (finding.change == Change::Began)
                        .then(|| Sight { picture: Arc::clone(&picture), people: people.clone() });
                    self.report(watched, finding, arrived, sight);
                }
            }
        }
    }

    fn apply(&self, policy: &mut Policy, room: Room) {
        let pressure = self.tools.load.read();
        PressureRead { infer: pressure.infer, decode: pressure.decode }.emit();
        RoomRead { idle: room.idle, to_follow: room.to_follow }.emit();
        self.tools.admission.refill(pressure, room);
        let mut changes = Vec::new();
        policy.tick(pressure, room, |camera| self.cameras[camera].pulse.busy(), &mut changes);
        for change in changes {
            let watched = &self.cameras[change.camera];
            watched.set_rung(change.to);
            Degraded { camera: watched.camera.as_str(), from: change.from, to: change.to, why: change.why }.emit();
            // What it may do now, it does at once.
            self.decode.wake(change.camera);
        }
    }

    fn lapse(&self, watched: &Watched) {
        let now: Mono = self.clock.mono();
        watched.if_blind(now, |watcher| {
            // Rules run on the pictures' time, which follows the clock; it has moved on with nobody looking.
            for finding in watcher.lapse(now).drain(..) {
                self.report(watched, finding, None, None);
            }
        });
        self.judge_scene(watched);
    }

    fn report(&self, watched: &Watched, finding: Finding, arrived: Option<Mono>, sight: Option<Sight>) {
        let change = finding.change.as_str();
        FindingMade { camera: watched.camera.as_str(), rule: finding.rule.as_str(), change }.emit();
        let Some(rule) = rule_of(&watched.rules, &finding.rule) else { return };
        let found = Found { rule: Arc::clone(rule), finding, arrived, sight };
        // Policy `block`: a finding is worth more than the pictures that are dropped meanwhile. The queue closes only
        // after this thread has ended.
        let _ = self.items.send(Item::Found(Box::new(found)));
    }
}
