//! What a damaged store can do: nothing but be set aside. Bits are flipped, bytes lost, ranges overwritten and files cut off in
//! a real store and in its log; what is found when it is opened is all that was committed, or a report that it was damaged.
//!
//! What cannot be known is left out: a log that ends early, because a frame of it is not whole or because it was cut off, looks
//! like one that a power cut ended. So where the log is damaged, what is found is all that was committed up to some commit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ffi;
use snowgate::store::{
    Class, CommandRecord, Commit, IncidentRecord, LossReason, Message, OutboxRow, RowId, Selection, Store, StoreError,
    inspect, spec::StorageSpec,
};
use snowgate_core::{
    spec::{ByteSize, read_table},
    time::ManualClock,
};
use snowgate_simulators::{
    allocations::{self, Counting},
    noise::{Noise, inputs},
};
use tempfile::TempDir;

/// What opening and reading may hold at once, beside what SQLite does: a few copies of what the store holds.
const HELD: usize = 1 << 20;
/// What SQLite may hold: its cache (2 MiB a connection) and what it sorts.
const HELD_BY_SQLITE: i64 = 8 << 20;
/// Commits that the store is made of.
const COMMITS: u32 = 40;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that is held at once beyond what was held before, by Rust and by SQLite, while `work` runs.
fn cost<T>(work: impl FnOnce() -> T) -> (T, usize, i64) {
    // SAFETY: reads and resets a counter; SQLite guards it.
    let _ = unsafe { ffi::sqlite3_memory_highwater(1) };
    let (done, held, _) = allocations::cost(work);
    // SAFETY: as above.
    let by_sqlite = unsafe { ffi::sqlite3_memory_highwater(1) };
    (done, held, by_sqlite)
}

/// Everything that can be read of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Content {
    incidents: Vec<Option<IncidentRecord>>,
    active: Vec<IncidentRecord>,
    unfinished: Vec<IncidentRecord>,
    commands: Vec<Option<Vec<u8>>>,
    open: Vec<Vec<u8>>,
    day: Option<Vec<u8>>,
    waiting: Vec<(RowId, Message)>,
    losses: Vec<(Class, LossReason, u64)>,
}

impl Content {
    /// What of it is not as in another one.
    fn differs_from(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("incidents", self.incidents == other.incidents),
            ("active", self.active == other.active),
            ("unfinished", self.unfinished == other.unfinished),
            ("commands", self.commands == other.commands),
            ("open", self.open == other.open),
            ("day", self.day == other.day),
            ("waiting", self.waiting == other.waiting),
            ("losses", self.losses == other.losses),
        ];
        parts.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect()
    }
}

/// A gateway's store: what it is told, and its clock.
struct Gateway {
    spec: StorageSpec,
    clock: Arc<ManualClock>,
    runtime: tokio::runtime::Runtime,
}

impl Gateway {
    fn new() -> Self {
        let spec = read_table(&mut toml_span::parse("unsent_evidence_quota = '20KiB'").unwrap()).unwrap();
        let clock = Arc::new(ManualClock::new("boot", "2026-01-01T00:00:00Z".parse().unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { spec, clock, runtime }
    }

    fn open(&self, home: &Path) -> Result<(Store, Option<PathBuf>), StoreError> {
        let (store, report) = Store::open(home, &self.spec, ByteSize::mib(1), self.clock.clone())?;
        Ok((store, report.set_aside.map(|set_aside| set_aside.path)))
    }

    fn pending(&self, store: &Store, class: Class) -> Result<Vec<OutboxRow>, StoreError> {
        let (after, up_to) = (RowId(0), RowId(i64::MAX));
        let all = Selection { class, lane: None, after, up_to, rows: usize::MAX, bytes: usize::MAX };
        self.runtime.block_on(store.pending(all))
    }

    fn read(&self, store: &Store, home: &Path) -> Result<Content, StoreError> {
        let mut content = Content {
            active: store.active_incidents()?,
            unfinished: store.unfinished_incidents(None, COMMITS as usize)?,
            open: store.open_commands("verify")?,
            day: store.day()?,
            ..Content::default()
        };
        for number in (0..COMMITS).step_by(9) {
            content.incidents.push(store.incident(&incident_id(number))?);
            content.commands.push(store.command("verify", &number.to_string())?);
        }
        for class in Class::ALL {
            let rows = self.pending(store, class)?;
            let status = store.status().of(class);
            assert_eq!(status.messages, rows.len() as u64, "the books are right");
            content.waiting.extend(rows.into_iter().map(|row| (row.row, row.message)));
        }
        let gaps = inspect(home)?.gaps;
        content.losses = gaps.iter().map(|gap| (gap.class, gap.reason, gap.messages)).collect();
        Ok(content)
    }

    /// Three transactions more: a commit, which pushes messages out of their quota; one acknowledged; one given up.
    fn commit(&self, store: &Store, number: u32, mut committed: impl FnMut()) {
        let message = |class, payload: &[u8]| Message {
            class,
            lane: Some(incident_id(number % 7)),
            topic: format!("snowgate/v1/gate/{}", class as u8),
            payload: payload.to_vec(),
            retain: number.is_multiple_of(2),
            origin: None,
        };
        let json = |length: u32| number.to_le_bytes().repeat(length as usize);
        let record = |number: u32, revision| IncidentRecord {
            id: incident_id(number),
            revision,
            scene_active: number.is_multiple_of(3),
            finished: number.is_multiple_of(5),
            json: json(50 + 40 * (number % 5)),
        };
        let receipt = store.commit(|sequence| Commit {
            incidents: vec![record(number, 1), record(number / 2, 2 + number)],
            commands: vec![CommandRecord {
                name: "verify".to_owned(),
                id: (number / 2).to_string(),
                expires: "2026-01-02T00:00:00Z".parse().unwrap(),
                open: number.is_multiple_of(3),
                json: json(30),
            }],
            day: Some(json(100)),
            messages: vec![
                message(Class::Incident, &sequence.next().to_le_bytes().repeat(40)),
                message(Class::Evidence, &json(if number.is_multiple_of(9) { 2000 } else { 100 })),
                message(Class::DispositionAck, &json(9)),
            ],
        });
        let last = receipt.unwrap().last_row;
        committed();
        self.runtime.block_on(store.acknowledge(vec![RowId(last.0 - 9)])).unwrap();
        committed();
        if number.is_multiple_of(8) {
            self.runtime.block_on(store.give_up(vec![RowId(last.0 - 11)], LossReason::Oversize)).unwrap();
            committed();
        }
    }
}

fn incident_id(number: u32) -> String {
    format!("{number:026}")
}

/// A store's files.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn of(home: &Path) -> Self {
        let file = |name| fs::read(home.join(name)).unwrap_or_default();
        Self { database: file("store.sqlite"), log: file("store.sqlite-wal") }
    }

    fn write(&self, home: &Path) {
        fs::write(home.join("store.sqlite"), &self.database).unwrap();
        if !self.log.is_empty() {
            fs::write(home.join("store.sqlite-wal"), &self.log).unwrap();
        }
    }
}

/// What mutations begin with.
struct Original {
    /// Half of it in the database, half of it in the log that a killed process leaves.
    killed: Files,
    /// All of it in the database, as an orderly end leaves it.
    closed: Files,
    /// What was read after each of the transactions in the log, the newest last.
    contents: Vec<Content>,
}

impl Original {
    fn make(workplace: &Workplace, gateway: &Gateway) -> Self {
        let home = workplace.fresh();
        let (store, _) = gateway.open(&home).unwrap();
        (0..COMMITS / 2).for_each(|number| gateway.commit(&store, number, || ()));
        drop(store);
        let (store, _) = gateway.open(&home).unwrap();
        let mut contents = vec![gateway.read(&store, &home).unwrap()];
        for number in COMMITS / 2..COMMITS {
            gateway.commit(&store, number, || contents.push(gateway.read(&store, &home).unwrap()));
        }
        let killed = Files::of(&home);
        drop(store);
        Self { killed, closed: Files::of(&home), contents }
    }
}

/// In memory where the system has such a place: a million stores need not reach a disk.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        Self(if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap())
    }

    fn fresh(&self) -> PathBuf {
        let home = self.0.path().join("store");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        home
    }
}

/// One to three mistakes, each somewhere in a file.
fn spoil(noise: &mut Noise, bytes: &mut Vec<u8>) {
    for _ in 0..=noise.below(3) {
        let at = noise.below(bytes.len());
        match noise.below(10) {
            0..=3 => bytes[at] ^= 1 << noise.below(8),
            4 => bytes[at] = noise.byte(),
            // The first page's header, and the headers of pages, where every byte means something.
            5 => bytes[at % 100] ^= 1 << noise.below(8),
            6 => {
                let at = (at & !4095) + noise.below(64).min(bytes.len() - 1 - (at & !4095));
                bytes[at] = noise.byte();
            }
            7 => {
                let end = bytes.len().min(at + 1 + noise.below(4096));
                bytes[at..end].fill(noise.byte());
            }
            8 => {
                // A page that was written to the wrong place.
                let (from, to) = (at & !4095, noise.below(bytes.len()) & !4095);
                let length = 4096.min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + length, to);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}

/// Another one brings other mistakes: processes can share the work.
fn seed() -> u64 {
    std::env::var("SNOWGATE_SEED").map_or(0x5EED, |seed| seed.parse().expect("SNOWGATE_SEED is a number"))
}

#[derive(Debug, Default)]
struct Outcomes {
    whole: usize,
    cut_short: usize,
    set_aside: usize,
}

// One test: what others allocate meanwhile would count.
#[test]
fn mutated_stores_are_read_whole_or_set_aside() {
    // A store costs a thousand times what a message costs: few of them unless a count is asked for.
    let inputs = if std::env::var_os("SNOWGATE_MUTATIONS").is_some() { inputs() } else { 400 };
    let (workplace, gateway) = (Workplace::new(), Gateway::new());
    let original = Original::make(&workplace, &gateway);
    let last = original.contents.last().unwrap();
    assert!(
        last.losses.len() == 2 && last.waiting.len() > 50 && !last.open.is_empty(),
        "a store with everything in it"
    );
    let (mut outcomes, mut most, mut most_by_sqlite) = (Outcomes::default(), 0, 0);
    let mut noise = Noise::new(seed());
    for number in 0..inputs {
        let in_log = noise.below(3) == 0;
        let mut files = if in_log || noise.below(4) == 0 { &original.killed } else { &original.closed }.clone();
        spoil(&mut noise, if in_log { &mut files.log } else { &mut files.database });
        let home = workplace.fresh();
        files.write(&home);

        let ((content, set_aside), held, by_sqlite) = cost(|| {
            let (store, set_aside) = gateway.open(&home).unwrap_or_else(|error| panic!("input {number}: {error:?}"));
            let content = gateway.read(&store, &home).unwrap_or_else(|error| panic!("input {number}: {error:?}"));
            (content, set_aside)
        });
        assert!(held <= HELD, "input {number}: {held} bytes held");
        assert!(by_sqlite <= HELD_BY_SQLITE, "input {number}: {by_sqlite} bytes held by SQLite");
        (most, most_by_sqlite) = (most.max(held), most_by_sqlite.max(by_sqlite));
        if let Some(path) = set_aside {
            assert!(path.exists(), "input {number}");
            assert_eq!(content.losses, [(Class::Incident, LossReason::Corrupt, 0)], "input {number}");
            assert_eq!((content.waiting.len(), content.unfinished.len()), (0, 0), "input {number}");
            outcomes.set_aside += 1;
        } else if content == *last {
            outcomes.whole += 1;
        } else {
            let differs = content.differs_from(last);
            assert!(in_log, "input {number}: opened, and something of it is missing or wrong: {differs:?}");
            assert!(original.contents.contains(&content), "input {number}: what no commit made: {differs:?}");
            outcomes.cut_short += 1;
        }
    }
    println!("{outcomes:?}; most held at once: {most} bytes, by SQLite: {most_by_sqlite} bytes");
    // The mistakes reach what they should.
    assert!(outcomes.whole > 0 && outcomes.cut_short > 0 && outcomes.set_aside > inputs / 4, "{outcomes:?}");
}
