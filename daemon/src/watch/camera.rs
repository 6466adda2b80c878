//! One camera's path from its ring to its findings: what the worker threads take turns with, and what replay drives by
//! itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use snowgate_core::{
    geometry::Rect,
    ids::Id,
    observation::Track,
    rules::{
        CameraRules, Change, Finding, SceneRules, StreamRules,
        explain::{Explainer, Line},
    },
    time::{Moment, Mono},
};

use super::{
    Slot, Watcher,
    anomaly::{self, AnomalyWatch},
    best::BestPictures,
    cadence::Fallback,
    decoders::{DecoderPool, LookDecoders},
    decoding::{Decoding, GateState, Hands, Offered},
    inference::{Inference, Offer, Outcome, Urgency},
    overload::{Admission, Load, TICK},
    packet_sizes::Informative,
    pulse::Pulse,
    scene::{SceneTold, SceneWatch},
    schedule::Turn,
};
use crate::{
    camera::{
        decode::Decoders,
        gop_ring::{GopRing, Pushed},
        picture::Picture,
    },
    events::gate::{MemoryTaken, PacketSizesLearnt},
    reporting::{Sight, WatchedRule, rule_of},
    verify::Watchpoint,
    vision::{
        analyser::VisionError,
        model::Models,
        scene::files::SceneFiles,
        spec::{DetectSpec, Gate, Priority},
    },
};

/// Without a picture for so long beyond the usual nothing can be said to hold any more.
const BLIND_AFTER: Duration = Duration::from_secs(5);

/// What all cameras share.
pub struct Tools {
    pub(super) pool: DecoderPool,
    pub(super) admission: Admission,
    pub(super) load: Load,
}

impl Tools {
    /// For so many threads that decode, with these decoders.
    pub fn new(decode_threads: usize, decoders: Decoders) -> Self {
        Self { pool: DecoderPool::new(decoders), admission: Admission::new(decode_threads), load: Load::default() }
    }

    /// For one camera that has its thread to itself: it is never refused a token.
    pub fn alone(decoders: Decoders) -> Self {
        Self { admission: Admission::unlimited(), ..Self::new(1, decoders) }
    }
}

/// What a camera's pictures are held against.
#[derive(Default)]
pub struct Judgement {
    /// Rules about things in them.
    pub things: CameraRules,
    /// Rules about the whole scene.
    pub scene: SceneRules,
    /// Rules about whether pictures come at all.
    pub stream: StreamRules,
    /// What the incidents of each carry.
    pub reported: Vec<Arc<WatchedRule>>,
}

/// One camera that is watched.
pub struct Watched {
    pub(super) camera: Id,
    pub(super) priority: Priority,
    /// What incidents of its rules carry.
    rules: Mutex<Vec<Arc<WatchedRule>>>,
    pub(super) pulse: Arc<Pulse>,
    /// Who has asked to look again hears here what is seen.
    pub(super) watchpoint: Watchpoint,
    /// What has begun and may yet be seen better.
    best: BestPictures,
    fps: u32,
    ring: Arc<GopRing>,
    /// Between two looks at a quiet camera.
    look_gap: Duration,
    /// Between two key frames, at the most.
    key_gap: Duration,
    decoding: Mutex<Decoding>,
    slot: Slot<Offer>,
    inference: Mutex<Inference>,
    scene: Mutex<SceneWatch>,
    /// The rules about whether pictures come at all.
    stream: Mutex<StreamRules>,
    /// Held while what the scene or the stream gave to know is told, so that it is told in order.
    telling: Mutex<()>,
    /// Whether any rule keeps to a schedule.
    keeps_hours: AtomicBool,
    anomaly: Option<AnomalyWatch>,
    /// When the last picture was looked at (monotonic nanoseconds).
    last_look: AtomicU64,
}

impl Watched {
    /// A camera and everything it needs.
    pub fn new(
        ring: Arc<GopRing>,
        spec: &DetectSpec,
        watcher: Watcher,
        scene: SceneWatch,
        anomaly: Option<AnomalyWatch>,
        stream: StreamRules,
        rules: Vec<Arc<WatchedRule>>,
    ) -> Self {
        let pulse = Arc::new(Pulse::new(spec.max_key_interval.0));
        Self {
            camera: ring.camera().clone(),
            priority: spec.priority,
            rules: Mutex::new(rules),
            key_gap: spec.max_key_interval.0,
            look_gap: match spec.gate {
                Gate::Keyframe => spec.look_every.0.max(spec.max_key_interval.0),
                Gate::Always | Gate::Pixels => Duration::ZERO,
            },
            decoding: Mutex::new(Decoding::new(Arc::clone(&ring), spec, Arc::clone(&pulse))),
            ring,
            pulse,
            watchpoint: Watchpoint::default(),
            best: BestPictures::default(),
            fps: spec.fps.value,
            slot: Slot::default(),
            telling: Mutex::default(),
            keeps_hours: AtomicBool::new(watcher.keeps_hours() || scene.rules().keeps_hours() || stream.keeps_hours()),
            inference: Mutex::new(Inference::new(watcher)),
            scene: Mutex::new(scene),
            stream: Mutex::new(stream),
            anomaly,
            last_look: AtomicU64::new(0),
        }
    }

    /// An encoded picture arrived; answers whether it is worth a turn of decoding.
    pub fn arrived(&self, unit: &Pushed) -> bool {
        self.pulse.arrived(unit)
    }

    /// A turn of decoding; `offered` is called for each picture that waits for inference from then on.
    pub fn decode(&self, tools: &Tools, looks: &mut LookDecoders, now: Mono, offered: &mut dyn FnMut(Offered)) -> Turn {
        self.with_hands(tools, looks, now, offered, |decoding, hands| decoding.turn(hands))
    }

    /// The stream is over.
    pub fn finish_decoding(
        &self,
        tools: &Tools,
        looks: &mut LookDecoders,
        now: Mono,
        offered: &mut dyn FnMut(Offered),
    ) {
        self.with_hands(tools, looks, now, offered, Decoding::finish);
    }

    /// It is watched no more: what all cameras share is given back.
    pub(super) fn retire(&self, tools: &Tools, now: Mono) {
        self.with_hands(tools, &mut LookDecoders::default(), now, &mut |_| {}, Decoding::retire);
    }

    fn with_hands<T>(
        &self,
        tools: &Tools,
        looks: &mut LookDecoders,
        now: Mono,
        offered: &mut dyn FnMut(Offered),
        work: impl FnOnce(&mut Decoding, &mut Hands<'_>) -> T,
    ) -> T {
        let Tools { pool, admission, load } = tools;
        let (slot, inference, scene) = (&self.slot, &self.inference, &self.scene);
        let (anomaly, wanted) = (self.anomaly.as_ref(), self.watchpoint.is_on());
        let mut hands = Hands { looks, pool, slot, inference, scene, anomaly, wanted, admission, load, now, offered };
        work(&mut lock(&self.decoding), &mut hands)
    }

    /// Shows the key frame that waits for it, if one does, to the model of scenes; what comes of it is told by the scene.
    ///
    /// # Errors
    /// The model is not there, or it fails. The next picture may do.
    pub fn look_at_scene(&self, models: &mut Models) -> Result<(), VisionError> {
        let Some(anomaly) = &self.anomaly else { return Ok(()) };
        let known = anomaly::known(lock(&self.inference).watcher().tracks());
        let wanted = self.watchpoint.is_on();
        let looked = anomaly.look(known, models, |picture, outlook| lock(&self.scene).take(picture, outlook, wanted));
        looked.unwrap_or(Ok(()))
    }

    /// Who looks for what was never in its scene, if any rule asks for it.
    pub fn anomaly(&self) -> Option<&AnomalyWatch> {
        self.anomaly.as_ref()
    }

    /// Tells what key frames gave somebody to know of since the last time, in order whoever calls it.
    pub fn tell_scene(&self, tell: impl FnMut(SceneTold)) {
        let _telling = lock(&self.telling);
        let told = lock(&self.scene).told();
        told.into_iter().for_each(tell);
    }

    /// Whether anybody wants pictures in which rules find nothing.
    pub fn wants_pictures(&self) -> bool {
        self.watchpoint.is_on() || self.best.is_wanted()
    }

    /// A picture in which these tracks and people were seen: it may show better what has begun.
    pub fn show(&self, picture: &Arc<Picture>, tracks: &[Track], people: &[Rect]) {
        self.best.look(picture, tracks, people);
    }

    /// What the still of a finding is made of, in this picture; none of one that goes on or is over.
    pub fn sight(
        &self,
        finding: &Finding,
        picture: &Arc<Picture>,
        tracks: &[Track],
        people: &[Rect],
        now: Mono,
    ) -> Option<Sight> {
        (finding.change == Change::Began).then(|| {
            let best_of = self.rule(&finding.rule).map(|rule| rule.best_of).unwrap_or_default();
            let retake = self.best.begin(finding, best_of, picture, tracks, now);
            Sight { picture: Arc::clone(picture), people: people.to_vec(), retake }
        })
    }

    /// An episode is over: nothing of it can be seen better.
    pub fn is_over(&self, finding: &Finding) {
        if finding.change == Change::Ended {
            self.best.ended(&finding.rule, finding.episode);
        }
    }

    /// What incidents of this rule carry.
    pub(super) fn rule(&self, id: &Id) -> Option<Arc<WatchedRule>> {
        rule_of(&lock(&self.rules), id).cloned()
    }

    /// From now on its pictures are held against other rules. Those that stay the same go on with what they have under way;
    /// what is under way of the others ends, as `tell` is told before anything of their successors; `tell_scene` takes what
    /// key frames have given to know until now.
    pub(super) fn follow(
        &self,
        judgement: Judgement,
        now: Moment,
        tell_scene: impl FnMut(SceneTold),
        tell: impl FnMut(Finding),
    ) {
        let Judgement { things, scene: of_scene, stream, reported } = judgement;
        let keeps_hours = things.keeps_hours() || of_scene.keeps_hours() || stream.keeps_hours();
        let mut ended = Vec::new();
        let _telling = lock(&self.telling);
        let mut inference = lock(&self.inference);
        let mut scene = lock(&self.scene);
        let told = scene.told();
        inference.watcher().follow(things, now, &mut ended);
        scene.follow(of_scene, now, &mut ended);
        drop(scene);
        lock(&self.stream).succeed(stream, now, &mut ended);
        told.into_iter().for_each(tell_scene);
        ended.into_iter().for_each(tell);
        *lock(&self.rules) = reported;
        self.keeps_hours.store(keeps_hours, Ordering::Relaxed);
    }

    /// Keeps what it has learnt of its scene since the last time. What the files cannot take has been told of.
    pub fn keep(&self, files: &SceneFiles) {
        let learnt = self.with_scene(SceneWatch::learnt_since);
        if let Some(learnt) = learnt {
            let _ = files.keep_health(&self.camera, &learnt);
        }
        if let Some(anomaly) = &self.anomaly {
            anomaly.keep();
        }
    }

    /// Its encoded pictures.
    pub fn ring(&self) -> &Arc<GopRing> {
        &self.ring
    }

    /// Whether the condition of a rule about the whole scene holds, as [`SceneRules::holds`](snowgate_core::rules::SceneRules::holds).
    pub(super) fn scene_holds(&self, rule: &Id, at: Mono, patience: Duration) -> Option<bool> {
        lock(&self.scene).rules().holds(rule, at, patience)
    }

    /// Tells the rules about the stream when its last picture came, and what they have to tell. They are asked about looks that
    /// are on, too: no picture will answer those.
    pub(super) fn await_pictures(&self, now: Mono, tell: impl FnMut(Finding)) {
        let _telling = lock(&self.telling);
        let (mut stream, mut findings) = (lock(&self.stream), Vec::new());
        if !stream.is_empty() {
            stream.observe(now, self.ring.last_arrival(), &mut findings);
            self.watchpoint.known(now, |rule, patience| stream.holds(rule, patience));
        }
        drop(stream);
        findings.into_iter().for_each(tell);
    }

    /// Forgets what was learnt of its scene: what it shows from now on is what it is to show.
    pub(super) fn forget_scene(&self) {
        lock(&self.scene).relearn();
        if let Some(anomaly) = &self.anomaly {
            anomaly.forget();
        }
    }

    /// A turn of inference: one region. `decode` is called when that gives decoding something to do, `judge` with what came
    /// of it.
    pub fn infer(
        &self,
        tools: &Tools,
        models: &mut Models,
        now: Mono,
        decode: impl Fn(),
        judge: impl FnOnce(Outcome<'_>),
    ) -> Turn {
        let mut inference = lock(&self.inference);
        if inference.take(&self.slot, self.camera.as_str(), &self.pulse, &tools.load, now) {
            self.last_look.store(now.0, Ordering::Release);
            if self.pulse.is_catching_up() {
                decode();
            }
        }
        let next = inference.when();
        let outcome = inference.step(models, &self.pulse, now);
        let turn = match &outcome {
            Outcome::Nothing => Turn::IDLE,
            Outcome::More => Turn { more: true, cost: 1, next },
            Outcome::Stale(_) | Outcome::Looked { .. } => Turn { more: self.slot.is_taken(), cost: 0, next },
        };
        if matches!(outcome, Outcome::Looked { urgency: Urgency::Look | Urgency::Sweep, .. }) {
            decode();
        }
        judge(outcome);
        turn
    }

    /// Runs `work` if nobody has looked for so long that nothing can be said to hold any more.
    pub(super) fn if_blind(&self, now: Mono, work: impl FnOnce(&mut Watcher)) {
        let patience = BLIND_AFTER + self.look_gap * self.pulse.limits().look_stretch;
        if now.since(Mono(self.last_look.load(Ordering::Acquire))) >= patience {
            work(lock(&self.inference).watcher());
        }
        lock(&self.scene).lapse(now, patience);
    }

    /// What may lie between two looked-at pictures while this camera does all that overload leaves it.
    pub(super) fn longest_gap(&self) -> Duration {
        let limits = self.pulse.limits();
        let picture = Duration::from_secs(1) * limits.picture_divisor / self.fps.max(1);
        let gap = (3 * picture).max(self.look_gap * limits.look_stretch);
        // What is judged by key frames waits for one of them, and what is in the scene for its turn besides.
        let of_scene = (!lock(&self.scene).rules().is_empty()).then_some(2 * self.key_gap);
        let of_anomaly = self.anomaly.as_ref().map(|anomaly| anomaly.every() + 2 * self.key_gap);
        let of_stream = (!lock(&self.stream).is_empty()).then_some(2 * TICK);
        [of_scene, of_anomaly, of_stream].into_iter().flatten().fold(gap, Duration::max)
    }

    /// Somebody wants to look until then: the camera is followed whether anything moves or not, as far as overload leaves it
    /// that, and models are shown all of its frame once more. It is for the caller to have it decode.
    pub fn ask(&self, until: Mono) {
        lock(&self.inference).watcher().look_afresh();
        if let Some(anomaly) = &self.anomaly {
            anomaly.hurry();
        }
        self.pulse.ask(until);
    }

    /// From now on it is this time, for rules with schedules.
    pub fn it_is(&self, now: Moment) {
        if self.keeps_hours.load(Ordering::Relaxed) {
            lock(&self.inference).watcher().it_is(now);
            lock(&self.scene).it_is(now);
            lock(&self.stream).it_is(now);
        }
    }

    /// The camera's judgement, for whoever drives it alone.
    pub fn with_watcher<T>(&self, work: impl FnOnce(&mut Watcher) -> T) -> T {
        work(lock(&self.inference).watcher())
    }

    /// What is judged of its key frames, for whoever drives it alone.
    pub fn with_scene<T>(&self, work: impl FnOnce(&mut SceneWatch) -> T) -> T {
        work(&mut lock(&self.scene))
    }

    /// From now on each line of why its rules tell of things or do not is told; `None`: no longer, and what has not ended is
    /// summed up.
    pub fn explain_to(&self, tell: Option<impl FnMut(&Line) + Clone + Send + 'static>) {
        self.with_watcher(|watcher| watcher.explain_to(tell.clone().map(Explainer::new)));
        self.with_scene(|scene| scene.explain_to(tell.map(Explainer::new)));
    }

    /// Whether any of its rules has told of something that has yet to end.
    pub fn is_active(&self) -> bool {
        lock(&self.inference).watcher().is_active() || lock(&self.scene).rules().is_active()
    }

    /// What the camera's gate is doing, and why it decodes everything if its stream makes it.
    pub fn gate(&self) -> (GateState, Option<Fallback>) {
        (lock(&self.decoding).state(), self.pulse.heard().cadence.fallback())
    }

    /// What the sizes of the camera's encoded pictures are good for.
    pub fn packet_sizes(&self) -> Informative {
        self.pulse.heard().sizes.informative()
    }

    /// Puts the camera on a rung of the overload policy.
    pub fn set_rung(&self, rung: usize) {
        self.pulse.set_rung(rung);
    }

    /// Refreshes slow gauges.
    pub(super) fn measure(&self) {
        let of_scene = self.anomaly.as_ref().map_or(0, AnomalyWatch::bytes);
        let vision = lock(&self.inference).watcher().bytes() + of_scene;
        MemoryTaken { camera: self.camera.as_str(), ring: self.ring.bytes(), vision }.emit();
        let state = self.packet_sizes().as_str();
        PacketSizesLearnt { camera: self.camera.as_str(), states: Informative::WORDS, state }.emit();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
