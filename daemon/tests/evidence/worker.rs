//! The thread that makes stills: real models end to end, and what happens when they fail.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use snowgate::{
    camera::pixels::Pixels,
    events::REGISTRY,
    evidence::{
        Find, FindError,
        files::{EvidenceFiles, FileName},
        provenance::Provenance,
        still::{StillMaker, StillRequest},
        worker::{self, QUEUE, QUEUE_BYTES, StillReady},
    },
    shutdown::Shutdown,
    vision::{masks::Masks, preprocess::PixelRect},
};
use snowgate_core::{
    geometry::Rect,
    ids::{CountedIds, IncidentId, IncidentIds as _},
    priority::Priority::{self, High, Low, Normal},
    time::ManualClock,
};

use crate::support::{I420, defaults, keeping, now, open_models, provenance, request};

/// Counters are the process's: who counts requests that are refused runs alone.
static ALONE: Mutex<()> = Mutex::new(());
/// Longer than anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("boot", now().wall))
}

fn files(home: &tempfile::TempDir) -> EvidenceFiles {
    EvidenceFiles::open(home.path(), keeping(home.path())).unwrap()
}

/// How many incidents have a folder; the access log lies beside them.
fn folders(home: &tempfile::TempDir) -> usize {
    let entries = fs::read_dir(home.path()).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count()
}

fn refused(reason: &str) -> u64 {
    let families = REGISTRY.gather();
    let family = families.iter().find(|family| family.name() == "snowgate_stills_refused_total");
    let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
    let metric = metrics.iter().find(|metric| metric.get_label().iter().any(|label| label.value() == reason));
    metric.map_or(0, |metric| metric.get_counter().get_value() as u64)
}

/// A detector whose answer is whatever the test says.
struct Scripted<F>(F);

impl<F: FnMut() -> Result<(), FindError> + Send> Find for Scripted<F> {
    fn find(&mut self, _: &Pixels<'_>, _: &Masks, _: PixelRect, _: &mut Vec<Rect>) -> Result<(), FindError> {
        self.0()
    }
    fn native_size(&self) -> (u32, u32) {
        (640, 640)
    }
}

fn scripted(faces: impl FnMut() -> Result<(), FindError> + Send + 'static, shutdown: &Shutdown) -> StillMaker {
    StillMaker::new(Box::new(Scripted(faces)), Box::new(Scripted(|| Ok(()))), &defaults(), shutdown.clone())
}

#[test]
fn a_request_becomes_a_file_and_a_message() {
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let (ready, stills) = mpsc::channel::<StillReady>();
    let open = {
        let shutdown = shutdown.clone();
        move || open_models(shutdown.clone())
    };
    let (thread, queue) =
        worker::spawn(open, files(&home), clock(), shutdown.clone(), move |still| ready.send(still).unwrap()).unwrap();
    let request = request(I420::sample("faces1.jpg"));
    let incident = request.of.incident;
    assert!(queue.request(request));
    let made = stills.recv_timeout(LONG).unwrap();
    assert_eq!((made.incident, made.camera.as_str(), made.evidence.taken), (incident, "gate", now()));
    let file = fs::read(home.path().join(incident.to_string()).join(FileName::STILL.as_str())).unwrap();
    let digest = snowgate_core::hex::hex(Sha256::digest(&file));
    assert_eq!((&file, &digest, file.len() as u64), (&made.still.jpeg, &made.evidence.sha256, made.evidence.bytes));
    assert_eq!((made.evidence.name.as_str(), made.evidence.media_type.as_str()), ("still.jpg", "image/jpeg"));
    assert!(made.still.faces_covered >= 3);
    shutdown.trigger();
    thread.join().unwrap();
}

#[test]
fn the_still_of_a_verification_lies_beside_the_incidents_own() {
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let (ready, stills) = mpsc::channel::<StillReady>();
    let open = {
        let shutdown = shutdown.clone();
        move || Ok(scripted(|| Ok(()), &shutdown))
    };
    let (thread, queue) =
        worker::spawn(open, files(&home), clock(), shutdown.clone(), move |still| ready.send(still).unwrap()).unwrap();
    let commands = [None, Some("../v 1".replace(' ', "/")), Some("v-2".to_owned())];
    for command in &commands {
        let verification = command.clone().map(|command| command.parse().unwrap());
        assert!(queue.request(StillRequest { verification, ..request(I420::grey(64, 64)) }));
    }
    let made: Vec<StillReady> = (0..3).map(|_| stills.recv_timeout(LONG).unwrap()).collect();
    let command_of = |still: &StillReady| still.verification.as_ref().map(ToString::to_string);
    assert_eq!(made.iter().map(command_of).collect::<Vec<_>>(), commands);
    let mut names: Vec<&str> = made.iter().map(|still| still.evidence.name.as_str()).collect();
    assert_eq!(names[0], FileName::STILL.as_str());
    assert!(names[1..].iter().all(|name| name.starts_with("verify-") && name.len() == "verify-.jpg".len() + 16));
    let folder = home.path().join(made[0].incident.to_string());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.push("manifest.jsonl");
    names.sort_unstable();
    files.sort_unstable();
    assert_eq!(files, names, "three files and their manifest, wherever the command's id points to");
    shutdown.trigger();
    thread.join().unwrap();
    let home_again = self::files(&home);
    drop(home_again);
    assert_eq!(fs::read_dir(home.path().join(made[0].incident.to_string())).unwrap().count(), 4, "and it keeps them");
}

#[test]
fn whatever_fails_there_is_no_still_and_the_next_one_is_made() {
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let (ready, stills) = mpsc::channel::<StillReady>();
    // Models: cannot be loaded when the thread starts; panic; cannot be loaded; fail once, and then are well.
    let opened = Arc::new(AtomicU32::new(0));
    let open = {
        let (opened, shutdown) = (opened.clone(), shutdown.clone());
        move || match opened.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => Err("no such model".into()),
            1 => Ok(scripted(|| panic!("out of bounds"), &shutdown)),
            _ => {
                let mut looks = 0;
                let faces = move || {
                    looks += 1;
                    if looks == 1 { Err("inference failed".into()) } else { Ok(()) }
                };
                Ok(scripted(faces, &shutdown))
            }
        }
    };
    let (thread, queue) =
        worker::spawn(open, files(&home), clock(), shutdown.clone(), move |still| ready.send(still).unwrap()).unwrap();
    let before = ["panic", "unavailable", "model"].map(refused);
    for _ in 0..4 {
        assert!(queue.request(request(I420::grey(64, 64))));
    }
    stills.recv_timeout(LONG).unwrap();
    assert_eq!(opened.load(Ordering::SeqCst), 4, "after an error models are kept, after a panic they are not");
    let after = ["panic", "unavailable", "model"].map(refused);
    assert_eq!(after, before.map(|count| count + 1));
    shutdown.trigger();
    thread.join().unwrap();
    assert!(stills.recv().is_err(), "one still in all");
    assert_eq!(folders(&home), 1);
}

#[test]
fn a_full_queue_refuses_the_newest_and_stopping_refuses_the_rest() {
    fill(64, QUEUE);
    // Of large pictures fewer are taken; the one that is being made counts.
    fill(4096, QUEUE_BYTES.div_ceil(4096 * 4096 * 3 / 2) - 1);
}

/// Asks for stills of square pictures while the first is being made: `room` more are taken, the next is refused, and
/// so are all of them when the daemon stops.
fn fill(size: usize, room: usize) {
    let _alone = ALONE.lock();
    let picture = || I420::grey(size, size);
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let (started, looks) = mpsc::channel::<()>();
    let (go, may_go) = mpsc::channel::<()>();
    let mut gate = Some((started, may_go));
    let open = {
        let shutdown = shutdown.clone();
        move || {
            let (started, may_go) = gate.take().unwrap();
            let faces = move || {
                started.send(()).unwrap();
                may_go.recv().map_err(Into::into)
            };
            Ok(scripted(faces, &shutdown))
        }
    };
    let (thread, queue) = worker::spawn(open, files(&home), clock(), shutdown.clone(), |_| ()).unwrap();
    let before = ["queue_full", "stopping"].map(refused);
    assert!(queue.request(request(picture())));
    looks.recv_timeout(LONG).unwrap();
    for _ in 0..room {
        assert!(queue.request(request(picture())));
    }
    assert!(!queue.request(request(picture())));
    assert_eq!(refused("queue_full"), before[0] + 1);
    shutdown.trigger();
    go.send(()).unwrap();
    thread.join().unwrap();
    // The one that was being made, and those that waited.
    assert_eq!(refused("stopping"), before[1] + 1 + room as u64);
    assert_eq!(folders(&home), 0);
    assert!(!queue.request(request(picture())), "nobody is there any more");
}

#[test]
fn who_matters_most_goes_first_and_stays_longest() {
    let _alone = ALONE.lock();
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let (started, looks) = mpsc::channel::<()>();
    let (go, may_go) = mpsc::channel::<()>();
    let (ready, stills) = mpsc::channel::<StillReady>();
    let mut gate = Some((started, may_go));
    let open = {
        let shutdown = shutdown.clone();
        move || {
            let mut gate = gate.take();
            // The first look waits until the line is as the test wants it.
            let faces = move || match gate.take() {
                Some((started, may_go)) => {
                    started.send(()).unwrap();
                    may_go.recv().map_err(Into::into)
                }
                None => Ok(()),
            };
            Ok(scripted(faces, &shutdown))
        }
    };
    let (thread, queue) =
        worker::spawn(open, files(&home), clock(), shutdown.clone(), move |still| ready.send(still).unwrap()).unwrap();
    let mut ids = CountedIds::default();
    let mut ask = |priority: Priority| {
        let incident = ids.next(now());
        let of = Arc::new(Provenance { incident, ..(*provenance(1)).clone() });
        let taken = queue.request(StillRequest { of, priority, ..request(I420::grey(64, 64)) });
        (incident, taken)
    };
    let before = ["gave_way", "queue_full"].map(refused);
    let made_first = ask(Low).0;
    looks.recv_timeout(LONG).unwrap();
    let low: Vec<IncidentId> = (0..2).map(|_| ask(Low).0).collect();
    let normal: Vec<IncidentId> = (2..QUEUE).map(|_| ask(Normal).0).collect();
    assert!(!ask(Low).1, "nobody is lower");
    let (first_high, taken) = ask(High);
    assert!(taken, "the newest of the lowest gives way");
    let (late_normal, taken) = ask(Normal);
    assert!(taken, "and then the other one");
    assert!(!ask(Normal).1);
    let (second_high, taken) = ask(High);
    assert!(taken && !queue.has_room());
    assert_eq!(["gave_way", "queue_full"].map(refused), [before[0] + 3, before[1] + 2]);
    go.send(()).unwrap();
    let made: Vec<IncidentId> = (0..=QUEUE).map(|_| stills.recv_timeout(LONG).unwrap().incident).collect();
    let in_turn = [made_first, first_high, second_high].into_iter().chain(normal);
    assert_eq!(made, in_turn.collect::<Vec<_>>());
    assert!(!made.contains(&late_normal) && low.iter().all(|incident| !made.contains(incident)));
    shutdown.trigger();
    thread.join().unwrap();
}

#[test]
fn a_still_that_cannot_be_kept_is_not_sent() {
    let (home, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
    let mut keeping = keeping(home.path());
    keeping.retention.quota = 100;
    let files = EvidenceFiles::open(home.path(), keeping).unwrap();
    let (ready, stills) = mpsc::channel::<StillReady>();
    let open = {
        let shutdown = shutdown.clone();
        move || Ok(scripted(|| Ok(()), &shutdown))
    };
    let (thread, queue) =
        worker::spawn(open, files, clock(), shutdown.clone(), move |still| ready.send(still).unwrap()).unwrap();
    let before = refused("no_room");
    assert!(queue.request(request(I420::grey(320, 240))));
    // The line is empty and its sender gone: the thread ends after the last request.
    drop(queue);
    thread.join().unwrap();
    assert_eq!(refused("no_room"), before + 1);
    assert!(stills.recv().is_err());
}
