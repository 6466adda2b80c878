//! Looks from the wish to the answer: real rules, real stills, a scripted camera and a sensor.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use gstreamer_video as gst_video;
use snowgate_core::{
    geometry::Rect,
    ids::{CountedIds, IncidentIds as _},
    incidents::verify::{LookFor, Verify},
    observation::{Observation, Track, TrackId},
    rules::{CameraRules, spec::RuleSpec},
    schedule::Schedules,
    sensor::{
        anomaly::outside::NoModels, reading::Sample, rules::spec::SensorRuleSpec, spec::QuantitySpec,
        watch::SensorWatch,
    },
    spec::{all_defaults, read_table},
    time::ManualClock,
};

use super::*;
use crate::{
    camera::pixels::Pixels,
    evidence::{
        Find, FindError,
        files::{EvidenceFiles, Keeping},
        still::StillMaker,
        worker,
    },
    vision::{masks::Masks, preprocess::PixelRect},
};

/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn read<T: snowgate_core::spec::Section>(text: &str) -> T {
    read_table(&mut toml_span::parse(text).unwrap()).unwrap()
}

/// A camera that shows what the test says, with the rule `yard` over all of its frame.
struct Scene {
    watchpoint: Watchpoint,
    rules: Mutex<CameraRules>,
    /// Until when it was asked to look.
    asked: Mutex<Vec<Mono>>,
}

struct Asked(Arc<Scene>);

impl Watchable for Asked {
    fn watchpoint(&self) -> &Watchpoint {
        &self.0.watchpoint
    }
    fn watches(&self, rule: &Id) -> bool {
        rule.as_str() == "yard"
    }
    fn longest_gap(&self) -> Duration {
        Duration::from_secs(3)
    }
    fn begin(&self, until: Mono) {
        self.0.asked.lock().unwrap().push(until);
    }
    fn go_on(&self) {}
    fn view(&self) -> Viewing {
        Viewing::Own
    }
    fn still(&self, _: &Id, of: StillOf) -> Option<StillRequest<Arc<Picture>>> {
        Some(StillRequest {
            of: of.of,
            verification: Some(of.command),
            priority: Priority::High,
            camera: id("gate"),
            picture: of.view.picture,
            taken: of.taken,
            subjects: Vec::new(),
            people: of.view.people.to_vec(),
            outline: None,
            masks: Arc::new([]),
            retake: None,
        })
    }
}

/// A model of stills that sees nobody, or panics.
struct Finds(bool);

impl Find for Finds {
    fn find(&mut self, _: &Pixels<'_>, _: &Masks, _: PixelRect, _: &mut Vec<Rect>) -> Result<(), FindError> {
        if self.0 { Ok(()) } else { Err("the model fails".into()) }
    }
    fn native_size(&self) -> (u32, u32) {
        (320, 320)
    }
}

type Answers = Arc<Mutex<Vec<Looked>>>;

struct Bench {
    serving: Serving<Box<dyn FnMut(Looked) + Send>>,
    clock: Arc<ManualClock>,
    scene: Arc<Scene>,
    answers: Answers,
    ready: mpsc::Receiver<StillReady>,
    shutdown: Shutdown,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with_models(true)
    }

    /// With models for stills that work, or that fail.
    fn with_models(work: bool) -> Self {
        let clock = Arc::new(ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap()));
        clock.advance(Duration::from_secs(1000));
        let shutdown = Shutdown::new();
        let home = tempfile::tempdir().unwrap();
        let (sender, ready) = mpsc::channel();
        let stop = shutdown.clone();
        let open =
            move || Ok(StillMaker::new(Box::new(Finds(work)), Box::new(Finds(true)), &all_defaults(), stop.clone()));
        let files = EvidenceFiles::open(home.path(), Keeping::any(home.path())).unwrap();
        let (_, stills) =
            worker::spawn(open, files, Arc::<ManualClock>::clone(&clock), shutdown.clone(), move |still| {
                let _ = sender.send(still);
            })
            .unwrap();
        let zones = [read("id = 'yard'\npolygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]")];
        let rule: RuleSpec = read("id = 'yard'\nkind = 'intrusion'\nzone = 'yard'");
        let scene = Arc::new(Scene {
            watchpoint: Watchpoint::default(),
            rules: Mutex::new(CameraRules::new(&zones, &[], &Schedules::new(), &[rule]).unwrap()),
            asked: Mutex::default(),
        });
        let asked: Box<dyn Watchable> = Box::new(Asked(Arc::clone(&scene)));
        let with = Verifier {
            watched: Current::new(HashMap::from([(Finder::Camera(id("gate")), asked)])),
            stills: Some(stills),
            lookout: None,
            clock: Arc::<ManualClock>::clone(&clock),
            shutdown: shutdown.clone(),
        };
        let answers = Answers::default();
        let looked: Box<dyn FnMut(Looked) + Send> = {
            let answers = Arc::clone(&answers);
            Box::new(move |looked| lock(&answers).push(looked))
        };
        let serving = Serving { with, looks: Vec::new(), looked };
        Self { serving, clock, scene, answers, ready, shutdown, _home: home }
    }

    fn wish(&self, command: &str, camera: &str, rule: &str, seconds: u16) -> LookAgain {
        wish(&*self.clock, command, Finder::Camera(id(camera)), rule, seconds)
    }

    fn look(&mut self, command: &str, seconds: u16) {
        let wish = self.wish(command, "gate", "yard", seconds);
        self.serving.begin(wish);
    }

    /// For so many seconds two pictures each, with or without a person in the yard.
    fn pictures(&mut self, seconds: u64, person: bool, saw_all: bool) {
        for _ in 0..2 * seconds {
            self.clock.advance(Duration::from_millis(500));
            let at = self.clock.mono();
            let tracks: Vec<Track> = person.then(|| somebody(at)).into_iter().collect();
            let mut rules = self.scene.rules.lock().unwrap();
            rules.observe(&Observation { picture: 0, at, tracks: &tracks }, &mut Vec::new());
            if self.scene.watchpoint.is_on() {
                let view = View { picture: Arc::new(picture(at)), people: Arc::new([]) };
                self.scene.watchpoint.shown(at, |rule, patience| rules.holds(rule, patience), saw_all, &view);
            }
            drop(rules);
            self.serving.go_on();
        }
    }

    /// So much time goes by without a picture.
    fn wait(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.serving.go_on();
    }

    /// The next still is made and comes back.
    fn still_comes(&mut self) {
        let still = self.ready.recv_timeout(LONG).unwrap();
        self.serving.still_ready(still);
        self.serving.go_on();
    }

    fn answered(&self) -> Vec<(String, Seen)> {
        lock(&self.answers).iter().map(|looked| (looked.command.id.to_string(), looked.seen)).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wish(clock: &dyn Clock, command: &str, by: Finder, rule: &str, seconds: u16) -> LookAgain {
    let now = clock.now();
    let command = Verify {
        id: command.parse().unwrap(),
        incident: CountedIds::default().next(now),
        by: "township desk".parse().unwrap(),
        reason: "the owner says it is done".parse().unwrap(),
        at: now.wall,
        expires: now.wall + Duration::from_secs(600),
        for_seconds: LookFor::try_from(seconds).unwrap(),
    };
    let of = Provenance::any(command.incident);
    LookAgain { command, of, by, rule: id(rule), grid: "33".into(), place: None }
}

fn somebody(at: Mono) -> Track {
    let rect = Rect::new(0.4, 0.4, 0.1, 0.2);
    Track {
        id: TrackId(1),
        label: "person".into(),
        score: 0.8,
        rect,
        first_seen: Mono(0),
        first_rect: rect,
        last_seen: at,
        sure_since: Mono(0),
        stationary_since: None,
        has_moved: true,
    }
}

fn picture(at: Mono) -> Picture {
    gstreamer::init().unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 64, 48).build().unwrap();
    Picture::new(0, at, at, gstreamer::Buffer::with_size(info.size()).unwrap(), &info).unwrap()
}

fn seen(outcome: Outcome) -> Seen {
    Seen { outcome, obstacle: (outcome == Outcome::CannotTell).then_some(Obstacle::NotSeen) }
}

#[test]
fn what_persists_is_proved_by_the_first_picture_that_shows_it() {
    let mut bench = Bench::new();
    let from = bench.clock.now();
    bench.look("v-1", 10);
    assert_eq!(lock(&bench.scene.asked)[..], [from.mono + Duration::from_secs(10)]);
    bench.pictures(3, false, true);
    bench.pictures(4, true, true);
    bench.pictures(4, false, true);
    assert_eq!(bench.answered(), [], "the still is on its way");
    bench.still_comes();
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::Persists))]);
    let looked = lock(&bench.answers).pop().unwrap();
    assert_eq!((looked.from, looked.until.mono), (from, from.mono + Duration::from_secs(10)));
    let still = looked.still.unwrap();
    assert_eq!(still.incident, looked.command.incident);
    // The rule asks for a second inside.
    assert_eq!(still.evidence.taken.mono, from.mono + Duration::from_millis(4500));
    let name = still.evidence.name.as_str();
    assert!(name.starts_with("verify-") && name.ends_with(".jpg") && name.parse::<Id>().is_ok(), "{name}");
    assert!(!bench.scene.watchpoint.is_on(), "nobody looks any more");
}

#[test]
fn what_is_cleared_is_shown_by_the_last_picture() {
    let mut bench = Bench::new();
    let from = bench.clock.mono();
    bench.look("v-1", 10);
    bench.pictures(9, false, true);
    assert_eq!(bench.answered(), []);
    bench.pictures(2, false, true);
    bench.still_comes();
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::Cleared))]);
    let still = lock(&bench.answers).pop().unwrap().still.unwrap();
    assert_eq!(still.evidence.taken.mono, from + Duration::from_secs(10));
}

#[test]
fn a_frame_that_models_did_not_see_whole_is_not_cleared() {
    let mut bench = Bench::new();
    bench.look("v-1", 10);
    bench.pictures(11, false, false);
    bench.still_comes();
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::CannotTell))]);
    bench.look("v-2", 10);
    bench.pictures(11, true, false);
    bench.still_comes();
    assert_eq!(bench.answered()[1], ("v-2".to_owned(), seen(Outcome::Persists)), "what is seen is seen");
}

#[test]
fn of_a_camera_without_pictures_the_box_cannot_tell() {
    let mut bench = Bench::new();
    bench.look("v-1", 5);
    bench.wait(5);
    assert_eq!(bench.answered(), [], "a picture may still be on its way");
    bench.wait(2);
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::CannotTell))], "there is no still to wait for");
    bench.look("v-2", 10);
    bench.pictures(4, false, true);
    bench.wait(9);
    bench.still_comes();
    assert_eq!(bench.answered()[1], ("v-2".to_owned(), seen(Outcome::CannotTell)), "it was lost midway");
}

#[test]
fn what_is_known_without_a_picture_is_answered_without_a_still() {
    for (holds, outcome) in [(true, Outcome::Persists), (false, Outcome::Cleared)] {
        let mut bench = Bench::new();
        bench.look("v-1", 5);
        for _ in 0..6 {
            bench.clock.advance(Duration::from_secs(1));
            let known = |rule: &Id, _| (rule.as_str() == "yard").then_some(holds);
            bench.scene.watchpoint.known(bench.clock.mono(), known);
            bench.serving.go_on();
        }
        assert_eq!(bench.answered(), [("v-1".to_owned(), seen(outcome))]);
        assert!(lock(&bench.answers)[0].still.is_none());
    }
}

#[test]
fn a_camera_or_rule_that_is_gone_is_answered_at_once() {
    let mut bench = Bench::new();
    for (camera, rule) in [("gone", "yard"), ("gate", "gone")] {
        let wish = bench.wish("v-1", camera, rule, 10);
        bench.serving.begin(wish);
    }
    assert_eq!(bench.answered().iter().map(|(_, seen)| *seen).collect::<Vec<_>>(), [Seen::NOT_WATCHED; 2]);
    assert!(!bench.scene.watchpoint.is_on() && bench.serving.looks.is_empty());
}

#[test]
fn a_still_that_fails_or_comes_too_late_is_left_out() {
    let mut bench = Bench::with_models(false);
    bench.look("v-1", 10);
    bench.pictures(11, false, true);
    bench.wait(8);
    assert_eq!(bench.answered(), []);
    bench.wait(1);
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::Cleared))], "the look went on all the same");
    assert_eq!(lock(&bench.answers)[0].still, None);

    let mut bench = Bench::new();
    bench.look("v-1", 10);
    bench.pictures(11, false, true);
    let still = bench.ready.recv_timeout(LONG).unwrap();
    bench.wait(9);
    bench.serving.still_ready(still);
    bench.serving.go_on();
    assert_eq!(lock(&bench.answers)[0].still, None);
    assert_eq!(bench.answered().len(), 1);
}

#[test]
fn many_look_at_once_each_for_its_own_time_and_one_too_many_is_told_so() {
    let mut bench = Bench::new();
    // Without stills: there is no room for so many in the line, and nobody would wait for them.
    bench.serving.with.stills = None;
    for look in 0..MOST {
        bench.look(&format!("v-{look}"), if look % 2 == 0 { 4 } else { 8 });
    }
    bench.look("one-too-many", 4);
    assert_eq!(bench.answered(), [("one-too-many".to_owned(), seen(Outcome::CannotTell))]);
    bench.pictures(6, false, true);
    assert_eq!(bench.answered().len(), 1 + MOST / 2);
    bench.pictures(2, true, true);
    bench.pictures(2, false, true);
    let answers = bench.answered();
    assert_eq!(answers.len(), 1 + MOST);
    let (short, long) = answers[1..].split_at(MOST / 2);
    assert!(short.iter().all(|(_, what)| *what == seen(Outcome::Cleared)));
    assert!(long.iter().all(|(_, what)| *what == seen(Outcome::Persists)));
    bench.look("again", 4);
    assert!(bench.scene.watchpoint.is_on(), "there is room again");
}

#[test]
fn stills_for_which_there_is_no_room_wait_for_it() {
    let mut bench = Bench::new();
    let looks = worker::QUEUE + 3;
    for look in 0..looks {
        bench.look(&format!("v-{look}"), 2);
    }
    bench.pictures(3, false, true);
    for _ in 0..looks {
        bench.still_comes();
    }
    let answers = lock(&bench.answers);
    assert_eq!(answers.len(), looks);
    assert!(answers.iter().all(|looked| looked.still.is_some()));
}

/// A gauge with a rule for high water, and whoever asks it.
struct Gauge {
    watch: SensorWatch,
    watchpoint: Arc<Watchpoint>,
}

impl Gauge {
    fn new(bench: &mut Bench) -> Self {
        let quantity: QuantitySpec = read("id = 'level'\nunit = 'm'");
        let rule: SensorRuleSpec = read("id = 'high'\nquantity = 'level'\nkind = 'threshold'\nabove = 3.5");
        let zone = jiff::tz::TimeZone::UTC;
        let watch =
            SensorWatch::new(id("gauge"), zone, &[quantity], [&rule], &Schedules::new(), &NoModels, bench.clock.mono())
                .unwrap();
        let watchpoint = Arc::<Watchpoint>::default();
        let asked = crate::sensor::asked::AskedSensor {
            watchpoint: Arc::clone(&watchpoint),
            rules: vec![id("high")],
            silent_after: Duration::from_secs(3600),
        };
        let asked: Box<dyn Watchable> = Box::new(asked);
        bench.serving.with.watched.set([(Finder::Sensor(id("gauge")), asked)].into());
        Self { watch, watchpoint }
    }

    fn hear(&mut self, clock: &ManualClock, value: f64) {
        let sample = Sample { value, measured: None, flagged: false };
        self.watch.hear(&id("level"), sample, clock.now(), &mut Vec::new());
        if self.watchpoint.is_on() {
            self.watchpoint.heard(&self.watch);
        }
    }
}

#[test]
fn a_sensor_is_listened_to() {
    let mut bench = Bench::new();
    let mut gauge = Gauge::new(&mut bench);
    let heard: [(&str, &[f64], Outcome); 4] = [
        ("high", &[3.0, 4.0, 3.0], Outcome::Persists),
        ("low", &[3.0], Outcome::Cleared),
        ("silent", &[], Outcome::CannotTell),
        ("doubtful", &[f64::NAN], Outcome::CannotTell),
    ];
    for (command, values, outcome) in heard {
        let wish = wish(&*bench.clock, command, Finder::Sensor(id("gauge")), "high", 30);
        bench.serving.begin(wish);
        for value in values {
            bench.wait(5);
            gauge.hear(&bench.clock, *value);
        }
        bench.wait(40);
        assert_eq!(bench.answered().pop(), Some((command.to_owned(), seen(outcome))));
        // What was heard before the look says nothing.
        gauge.hear(&bench.clock, 4.0);
        bench.wait(1);
    }
}

#[test]
fn for_a_sensor_a_camera_of_its_grid_gives_the_still() {
    let mut bench = Bench::new();
    let mut gauge = Gauge::new(&mut bench);
    let (lookout, looks) = crossbeam_channel::bounded(1);
    bench.serving.with.lookout = Some(lookout);
    let wish = wish(&*bench.clock, "v-1", Finder::Sensor(id("gauge")), "high", 30);
    let incident = wish.command.incident;
    bench.serving.begin(wish);
    let look = looks.try_recv().unwrap();
    assert_eq!((look.of.incident, look.grid.as_str()), (incident, "33"));
    let of = StillOf {
        of: look.of,
        command: look.verification.unwrap(),
        view: View { picture: Arc::new(picture(bench.clock.mono())), people: Arc::new([]) },
        taken: bench.clock.now(),
    };
    let request = Asked(Arc::clone(&bench.scene)).still(&id("high"), of).unwrap();
    assert!(bench.serving.with.stills.as_ref().unwrap().request(request));
    bench.still_comes();
    bench.wait(5);
    gauge.hear(&bench.clock, 2.0);
    bench.wait(28);
    assert_eq!(bench.answered(), [("v-1".to_owned(), seen(Outcome::Cleared))]);
    assert!(lock(&bench.answers)[0].still.is_some());
}

#[test]
fn the_thread_answers_what_was_wished_and_a_shutdown_ends_it_without_a_word() {
    for shut_down in [false, true] {
        let bench = Bench::new();
        let gone = bench.wish("v-1", "gone", "yard", 300);
        let long = bench.wish("v-2", "gate", "yard", 300);
        let (wishes, wished) = crossbeam_channel::bounded(QUEUED);
        let (looked, answers) = mpsc::channel();
        wishes.send(gone).unwrap();
        wishes.send(long).unwrap();
        let with = Verifier {
            watched: bench.serving.with.watched.clone(),
            stills: None,
            lookout: None,
            clock: Arc::<ManualClock>::clone(&bench.clock),
            shutdown: bench.shutdown.clone(),
        };
        let thread = with.spawn(wished, never(), move |answer| looked.send(answer).unwrap()).unwrap();
        let first = answers.recv_timeout(LONG).unwrap();
        assert_eq!((first.command.id.as_str(), first.seen), ("v-1", Seen::NOT_WATCHED));
        while !bench.scene.watchpoint.is_on() {
            std::thread::yield_now();
        }
        if shut_down {
            bench.shutdown.trigger();
        } else {
            drop(wishes);
            bench.clock.advance(Duration::from_secs(302));
        }
        thread.join().unwrap();
        let more: Vec<Seen> = answers.iter().map(|looked| looked.seen).collect();
        assert_eq!(more, if shut_down { vec![] } else { vec![seen(Outcome::CannotTell)] });
    }
}
