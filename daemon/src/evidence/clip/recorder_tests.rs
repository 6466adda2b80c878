//! Clips of a ring that is filled by hand, under a clock that is set by hand.

use age::{Decryptor, x25519::Identity};
use crossbeam_channel::Receiver;
use snowgate_core::{
    ids::{CountedIds, IncidentId, IncidentIds as _},
    spec::{ByteSize, Located, TimeSpan, all_defaults},
    time::ManualClock,
};
use tempfile::TempDir;

use super::{
    super::{
        super::{files::Keeping, provenance::Provenance},
        Wanted, copier,
        testing::{self, H264, H265},
    },
    *,
};
use crate::camera::{access_unit::Arrival, spec::RingSpec};

const SECOND: u64 = 1_000_000_000;

/// A recorder, and everything around it.
struct Desk {
    home: TempDir,
    identity: Identity,
    clock: Arc<ManualClock>,
    ring: Arc<GopRing>,
    recorder: Recorder<Box<dyn FnMut(ClipReady) + Send>>,
    ready: Receiver<ClipReady>,
    copies: Receiver<CopyRequest>,
    ids: CountedIds,
    units: Vec<AccessUnit>,
}

impl Desk {
    /// Which has two clips at once at the most; the camera's ring is empty.
    fn new() -> Self {
        let (home, identity) = (TempDir::new().unwrap(), Identity::generate());
        let clock = Arc::new(ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap()));
        let ring = Arc::new(GopRing::new("gate".parse().unwrap(), &all_defaults::<RingSpec>()));
        let rings = Current::new(BTreeMap::from([("gate".parse().unwrap(), Arc::clone(&ring))]));
        let files = EvidenceFiles::open(&home.path().join("evidence"), Keeping::any(home.path())).unwrap();
        let spec = ClipsSpec {
            recipients: vec![Located::nowhere(identity.to_public().to_string())],
            pre_roll: TimeSpan::secs(2),
            post_roll: TimeSpan::secs(3),
            longest: TimeSpan::secs(20),
            max_size: ByteSize::mib(4),
            at_once: 2,
            ..all_defaults()
        };
        let (made, ready) = crossbeam_channel::unbounded();
        let (wishes, copies) = copier::queue();
        let ready_made: Box<dyn FnMut(ClipReady) + Send> = Box::new(move |clip| made.send(clip).unwrap());
        let recorder = Recorder::new(spec, rings, files, wishes, clock.clone(), Shutdown::new(), ready_made);
        let units = testing::encoded("ball", (128, 96), H264);
        Self { home, identity, clock, ring, recorder, ready, copies, ids: CountedIds::default(), units }
    }

    /// The camera sends from one second to another: the same four seconds again and again.
    fn send(&mut self, seconds: std::ops::Range<u64>) {
        for number in seconds.start * 25..seconds.end * 25 {
            let unit = &self.units[usize::try_from(number % 100).unwrap()];
            let at = Mono(number * SECOND / 25);
            let (key, buffer, format) = (unit.key, unit.buffer.clone(), Arc::clone(&unit.format));
            self.ring.push(Arrival { key, at, arrived: at, buffer, format });
            self.clock.advance_to(at);
            if number % 5 == 0 {
                self.recorder.follow();
            }
        }
    }

    /// An incident opens that began at that second; answers its id.
    fn open(&mut self, began: u64, wanted: Wanted, masks: usize) -> IncidentId {
        let incident = self.ids.next(self.clock.now());
        let corners = [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2]].map(Into::into);
        let mask = snowgate_core::geometry::Polygon::new(corners.to_vec()).unwrap();
        let (of, began) = (Provenance::any(incident), Mono(began * SECOND));
        let masks = vec![mask; masks].into();
        let camera = "gate".parse().unwrap();
        let request = ClipRequest { of, camera, wanted, began, opened: self.clock.mono(), masks };
        self.recorder.take(Wish::Opened(Box::new(request)));
        incident
    }

    fn end(&mut self, incident: IncidentId) {
        let at = self.clock.mono();
        self.recorder.take(Wish::Ended { incident, at });
    }

    /// The clip that has been made; opened, it is as long as was told.
    fn made(&self) -> Option<(IncidentId, f64)> {
        let ClipReady { incident, evidence } = self.ready.try_recv().ok()?;
        let sealed = std::fs::read(self.home.path().join(format!("evidence/{incident}/clip.mp4.age"))).unwrap();
        assert_eq!(evidence.bytes, sealed.len() as u64);
        let decryptor = Decryptor::new(&sealed[..]).unwrap();
        let mut content = Vec::new();
        let mut reader = decryptor.decrypt(std::iter::once(&self.identity as _)).unwrap();
        io::Read::read_to_end(&mut reader, &mut content).unwrap();
        let file = self.home.path().join("clip.mp4");
        std::fs::write(&file, content).unwrap();
        let units = testing::read(&file);
        assert!(units[0].key);
        let told = evidence.duration_ms.unwrap() as f64 / 1000.0;
        assert!((units.len() as f64 / 25.0 - told).abs() < 0.01, "{} pictures, {told} s", units.len());
        Some((incident, told))
    }
}

const SEALED: Wanted = Wanted { sealed: true, covered: false };
const BOTH: Wanted = Wanted { sealed: true, covered: true };

#[test]
fn a_clip_goes_from_before_it_began_until_after_it_was_over() {
    let mut desk = Desk::new();
    desk.send(0..10);
    let incident = desk.open(9, SEALED, 0);
    desk.send(10..12);
    desk.end(incident);
    desk.send(12..14);
    assert_eq!(desk.made(), None, "it goes on");
    desk.send(14..17);
    // From the key frame before second 7 (every 0.8 s) until second 15.
    let (made, seconds) = desk.made().unwrap();
    assert_eq!(made, incident);
    assert!((8.0..=8.9).contains(&seconds), "{seconds} s");
    assert!(desk.recorder.recordings.is_empty());
}

#[test]
fn a_clip_ends_where_it_is_as_long_as_a_clip_may_be_or_nothing_comes_any_more() {
    let mut desk = Desk::new();
    desk.send(0..5);
    desk.open(4, SEALED, 0);
    desk.send(5..30);
    let (_, seconds) = desk.made().unwrap();
    assert!((19.9..=20.1).contains(&seconds), "{seconds} s");

    desk.open(29, SEALED, 0);
    desk.clock.advance(Duration::from_secs(4));
    desk.recorder.follow();
    assert_eq!(desk.made(), None, "it may come yet");
    desk.clock.advance(Duration::from_secs(2));
    desk.recorder.follow();
    let (_, seconds) = desk.made().unwrap();
    assert!((2.0..=4.0).contains(&seconds), "what there is, is kept: {seconds} s");
}

#[test]
fn an_interruption_and_another_format_end_a_clip() {
    let mut desk = Desk::new();
    desk.send(0..5);
    desk.open(4, SEALED, 0);
    desk.ring.interrupt();
    // Units that cannot be decoded are no part of it.
    desk.units.rotate_left(7);
    desk.send(5..7);
    let (_, seconds) = desk.made().unwrap();
    assert!((3.0..=3.9).contains(&seconds), "{seconds} s");

    desk.send(7..10);
    desk.open(9, SEALED, 0);
    desk.units = testing::encoded("ball", (128, 96), H265);
    desk.send(10..12);
    let (_, seconds) = desk.made().unwrap();
    assert!((3.0..=3.9).contains(&seconds), "{seconds} s");
}

#[test]
fn whoever_wants_what_cannot_be_gets_what_can() {
    let mut desk = Desk::new();
    desk.send(0..5);
    let masked = desk.open(4, BOTH, 1);
    assert!(desk.recorder.recordings[0].sealed.is_none(), "no raw clip of a camera with masks");
    desk.end(masked);
    desk.open(4, BOTH, 0);
    desk.open(4, SEALED, 0);
    assert_eq!(desk.recorder.recordings.len(), 2, "two at once");
    desk.send(5..9);
    let copy = desk.copies.try_recv().unwrap();
    assert_eq!(copy.request.of.incident, masked);
    assert!(copy.footage.units()[0].key && copy.footage.units().len() > 100);
    assert_eq!(desk.made(), None, "the other one goes on");
    drop(copy);

    desk.recorder.recipients.clear();
    desk.open(8, SEALED, 0);
    assert_eq!(desk.recorder.recordings.len(), 1, "nobody to seal it for");
    desk.recorder.rings.set(BTreeMap::new());
    desk.open(8, BOTH, 0);
    assert_eq!(desk.recorder.recordings.len(), 1, "nothing to make it of");
}

#[test]
fn footage_is_bounded_and_its_room_is_given_back() {
    let desk = Desk::new();
    let budget = Budget::default();
    let mut first = Footage::new(&budget);
    let unit = AccessUnit { size: 30 << 20, ..desk.units[0].clone() };
    first.push(unit.clone()).unwrap();
    first.push(unit.clone()).unwrap();
    let mut second = Footage::new(&budget);
    assert!(second.push(unit.clone()).is_err());
    drop((first, second));
    Footage::new(&budget).push(unit).unwrap();
}

#[test]
fn what_there_is_when_the_daemon_stops_is_kept() {
    let mut desk = Desk::new();
    desk.send(0..5);
    let incident = desk.open(4, SEALED, 0);
    desk.send(5..6);
    let recording = desk.recorder.recordings.pop().unwrap();
    desk.recorder.finish(recording, End::Stopping);
    assert_eq!(desk.made().map(|(incident, _)| incident), Some(incident));
}
