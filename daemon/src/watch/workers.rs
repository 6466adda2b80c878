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
    Judgement, Watched,
    asked::AskedCamera,
    camera::Tools,
    decoders::LookDecoders,
    decoding::Offered,
    inference::{Outcome, Urgency},
    keeper,
    lookout::{Lookout, Viewpoint},
    overload::{Policy, TICK},
    room::{Meter, Room},
    roster::Roster,
    scene::SceneTold,
    schedule::{Turn, When},
};
use crate::{
    current::Current,
    events::{
        gate::{Degraded, FoundLate, PressureRead, RoomRead},
        incident::FindingMade,
        watch as events,
    },
    reporting::{Found, Item, Items, Sight, StillRequests, people},
    shutdown::Shutdown,
    verify::{View, Watchable},
    vision::{model::Models, scene::files::SceneFiles},
};

/// How soon a worker without work notices a shutdown.
const NOTICE: Duration = Duration::from_millis(200);

/// Who watches all cameras. Clones are the same.
#[derive(Clone)]
pub struct Workers {
    roster: Current<Roster>,
    tools: Arc<Tools>,
    items: Items,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Workers {
    /// Workers that have no cameras yet; none runs.
    pub fn new(tools: Tools, items: Items, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        let roster = Current::new(Roster::new(Vec::new(), &clock));
        Self { roster, tools: Arc::new(tools), items, clock, shutdown }
    }

    /// From now on these cameras are watched. One that was watched before goes on as if nothing had happened; what is under way
    /// of those that are watched no more ends.
    pub fn watch(&self, cameras: Vec<Arc<Watched>>) {
        let now = self.clock.now();
        cameras.iter().for_each(|camera| camera.it_is(now));
        let before = self.roster.set(Roster::new(cameras, &self.clock));
        let roster = self.roster.get();
        let gone = roster.succeed(&before);
        // The ring of one that is gone may be that of its successor, which listens from then on.
        gone.iter().for_each(|camera| camera.ring().wake_nobody());
        roster.listen();
        for camera in gone {
            camera.retire(&self.tools, now.mono);
            self.follow(&camera, Judgement::default());
        }
    }

    /// From now on this camera's pictures are held against other rules. Those that stay the same go on with what they have under
    /// way; what is under way of the others ends.
    pub fn follow(&self, watched: &Watched, judgement: Judgement) {
        watched.follow(
            judgement,
            self.clock.now(),
            |told| self.report_scene(watched, told),
            |finding| {
                self.report(watched, finding, None, None);
            },
        );
    }

    /// Who looks on demand, with these cameras' decoders.
    pub fn lookout(&self, viewpoints: Current<Vec<Viewpoint>>, stills: StillRequests) -> Lookout {
        let (tools, clock, shutdown) = (Arc::clone(&self.tools), Arc::clone(&self.clock), self.shutdown.clone());
        Lookout { viewpoints, tools, stills, clock, shutdown }
    }

    /// The cameras as they can be asked to look again, with their names.
    pub fn watchables(&self) -> impl Iterator<Item = (Id, Box<dyn Watchable>)> {
        let roster = self.roster.get();
        (0..roster.cameras.len()).map(move |place| {
            let watched = Arc::clone(&roster.cameras[place]);
            let camera = watched.camera.clone();
            (camera, Box::new(AskedCamera::new(watched, place, roster.decode.clone())) as Box<dyn Watchable>)
        })
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
                let roster = workers.roster.get();
                roster.decode.serve(NOTICE, |camera| workers.decode_turn(&roster, camera, &mut looks));
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
                let roster = workers.roster.get();
                let infer = |wait, models: &mut Models| {
                    roster.infer.serve(wait, |camera| workers.infer_turn(&roster, camera, models))
                };
                let served = infer(Duration::ZERO, &mut models)
                    || roster.scenes.serve(Duration::ZERO, |camera| workers.scene_turn(&roster, camera, &mut models));
                if !served {
                    infer(NOTICE, &mut models);
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
        let mut roster = self.roster.get();
        let mut policy = Policy::new(roster.cameras.iter().map(|camera| camera.priority));
        let mut meter = Meter::new(std::thread::available_parallelism().map_or(1, NonZero::get));
        let mut last = self.clock.mono();
        let work = move || {
            while !workers.shutdown.wait_for(TICK) {
                let newest = workers.roster.get();
                if !Arc::ptr_eq(&roster, &newest) {
                    roster = newest;
                    policy.serve(roster.cameras.iter().map(|camera| (camera.priority, camera.pulse.rung())));
                }
                let now = workers.clock.mono();
                let live = roster.cameras.iter().filter(|camera| camera.pulse.is_live()).count();
                let room = meter.read(now.since(std::mem::replace(&mut last, now)), live, &workers.tools.load.spent);
                workers.apply(&roster, &mut policy, room);
                // Rules watch or rest by their schedules; these are asked as often as the policy is.
                let now = workers.clock.now();
                for camera in &roster.cameras {
                    camera.it_is(now);
                    workers.lapse(camera);
                    camera.measure();
                }
            }
        };
        std::thread::Builder::new().name("steward".to_owned()).spawn(work)
    }

    /// Starts the thread that keeps what the cameras learn of their scenes.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn_keeper(&self, files: SceneFiles) -> io::Result<JoinHandle<()>> {
        let (workers, clock, shutdown) = (self.clone(), Arc::clone(&self.clock), self.shutdown.clone());
        let cameras = move || workers.roster.get().cameras.clone();
        let work = move || keeper::keep(cameras, &files, &*clock, &shutdown);
        std::thread::Builder::new().name("scenes".to_owned()).spawn(work)
    }

    fn decode_turn(&self, roster: &Roster, camera: usize, looks: &mut LookDecoders) -> Turn {
        let watched = &roster.cameras[camera];
        let mut offered = |offered| match offered {
            Offered::Things => roster.infer.wake(camera),
            Offered::Scene => roster.scenes.wake(camera),
        };
        let turn = || watched.decode(&self.tools, looks, self.clock.mono(), &mut offered);
        let turn = self.tools.load.spent.decoding(watched.pulse.is_live(), turn);
        self.judge_scene(watched);
        turn
    }

    /// Reports what key frames gave to know, and tells it to who looks again.
    fn judge_scene(&self, watched: &Watched) {
        watched.tell_scene(|told| self.report_scene(watched, told));
    }

    fn report_scene(&self, watched: &Watched, told: SceneTold) {
        let SceneTold { at, arrived, picture, findings } = told;
        if let Some(picture) = &picture
            && watched.watchpoint.is_on()
        {
            // Who is in it, nobody has looked for yet: the still's own models do.
            let view = View { picture: Arc::clone(picture), people: Arc::from([]) };
            watched.watchpoint.shown(at, |rule, patience| watched.scene_holds(rule, at, patience), true, &view);
        }
        for finding in findings {
            let picture = picture.as_ref().filter(|_| finding.change == Change::Began);
            let sight = picture.map(|picture| Sight::only(Arc::clone(picture)));
            self.report(watched, finding, arrived, sight);
        }
    }

    fn infer_turn(&self, roster: &Roster, camera: usize, models: &mut Models) -> Turn {
        let watched = &roster.cameras[camera];
        let decode = || roster.decode.wake(camera);
        let judge = |outcome: Outcome<'_>| self.judge(watched, outcome);
        let turn = || watched.infer(&self.tools, models, self.clock.mono(), decode, judge);
        self.tools.load.spent.inference(watched.pulse.is_live(), turn)
    }

    /// Looks at the key frame that waits for the scene's sake.
    fn scene_turn(&self, roster: &Roster, camera: usize, models: &mut Models) -> Turn {
        let watched = &roster.cameras[camera];
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
            Outcome::Looked { seen: Ok(seen), .. } if seen.findings.is_empty() && !watched.wants_pictures() => {}
            Outcome::Looked { picture, urgency, seen: Ok(seen) } => {
                let picture = Arc::new(picture);
                let people = people(seen.tracks);
                if watched.watchpoint.is_on() {
                    let view = View { picture: Arc::clone(&picture), people: people.as_slice().into() };
                    let holds = |rule: &Id, patience| seen.rules.holds(rule, patience);
                    watched.watchpoint.shown(picture.at(), holds, !seen.has_unseen, &view);
                }
                watched.show(&picture, seen.tracks, &people);
                if seen.findings.is_empty() {
                    return;
                }
                let arrived = Some(picture.arrived()).filter(|_| urgency != Urgency::CatchUp);
                if arrived.is_none() {
                    FoundLate { took: self.clock.mono().since(picture.arrived()) }.emit();
                }
                for finding in seen.findings.drain(..) {
                    let sight = watched.sight(&finding, &picture, seen.tracks, &people, self.clock.mono());
                    self.report(watched, finding, arrived, sight);
                }
            }
        }
    }

    fn apply(&self, roster: &Roster, policy: &mut Policy, room: Room) {
        let pressure = self.tools.load.read();
        PressureRead { infer: pressure.infer, decode: pressure.decode }.emit();
        RoomRead { idle: room.idle, to_follow: room.to_follow }.emit();
        self.tools.admission.refill(pressure, room);
        let mut changes = Vec::new();
        policy.tick(pressure, room, |camera| roster.cameras[camera].pulse.busy(), &mut changes);
        for change in changes {
            let watched = &roster.cameras[change.camera];
            watched.set_rung(change.to);
            Degraded { camera: watched.camera.as_str(), from: change.from, to: change.to, why: change.why }.emit();
            // What it may do now, it does at once.
            roster.decode.wake(change.camera);
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
        watched.await_pictures(now, |finding| self.report(watched, finding, None, None));
    }

    fn report(&self, watched: &Watched, finding: Finding, arrived: Option<Mono>, sight: Option<Sight>) {
        watched.is_over(&finding);
        let change = finding.change.as_str();
        FindingMade { camera: watched.camera.as_str(), rule: finding.rule.as_str(), change }.emit();
        let Some(rule) = watched.rule(&finding.rule) else { return };
        let found = Found { rule, finding, arrived, sight };
        // Policy `block`: a finding is worth more than the pictures that are dropped meanwhile. The queue closes only
        // after this thread has ended.
        let _ = self.items.send(Item::Found(Box::new(found)));
    }
}
