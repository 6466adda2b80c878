//! Random histories against a model, and the ways a box dies.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use proptest::prelude::*;
use snowgate_core::time::{ManualClock, Mono};
use tempfile::TempDir;

use super::*;

fn clock(boot: &str) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(boot, "2026-01-01T00:00:00Z".parse().unwrap()))
}

fn spec() -> StorageSpec {
    let mut value = toml_span::parse("").unwrap();
    snowgate_core::spec::read_table(&mut value).unwrap()
}

fn open(directory: &Path) -> Store {
    open_with(directory, &spec()).0
}

fn open_with(directory: &Path, spec: &StorageSpec) -> (Store, OpenReport) {
    Store::open(directory, spec, ByteSize::mib(1), clock("boot")).unwrap()
}

fn message(class: Class, lane: Option<&str>, payload: &[u8]) -> Message {
    let (lane, topic) = (lane.map(str::to_owned), "snowgate/v1/gate/test".to_owned());
    Message { class, lane, topic, payload: payload.to_vec(), retain: false, origin: None }
}

fn record(id: &str, revision: u32, scene_active: bool, length: usize) -> IncidentRecord {
    IncidentRecord { id: id.to_owned(), revision, scene_active, finished: false, json: vec![b'x'; length] }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn all(class: Class) -> Selection {
    let (after, up_to) = (RowId(0), RowId(i64::MAX));
    Selection { class, lane: None, after, up_to, rows: usize::MAX, bytes: usize::MAX }
}

fn pending(store: &Store, class: Class) -> Vec<OutboxRow> {
    wait(store.pending(all(class))).unwrap()
}

fn payloads(rows: &[OutboxRow]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.message.payload.as_slice()).collect()
}

#[test]
fn a_commit_survives_reopening_whole() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let receipt = store
        .commit(|sequence| Commit {
            incidents: vec![record("A", 1, true, 10), record("B", 1, false, 10)],
            messages: vec![message(Class::Incident, Some("A"), &sequence.next().to_le_bytes())],
            ..Commit::default()
        })
        .unwrap();
    drop(store);

    let store = open(home.path());
    assert_eq!(store.active_incidents().unwrap(), [record("A", 1, true, 10)]);
    assert_eq!(store.incident("B").unwrap(), Some(record("B", 1, false, 10)));
    assert_eq!(store.incident("C").unwrap(), None);
    let rows = pending(&store, Class::Incident);
    assert_eq!((rows.len(), rows[0].row), (1, receipt.last_row));
    assert_eq!(rows[0].message, message(Class::Incident, Some("A"), &1_u64.to_le_bytes()));
    assert_eq!(
        store.status().of(Class::Incident).oldest.map(|oldest| oldest.wall),
        Some("2026-01-01T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_refused_commit_leaves_nothing_and_takes_no_number() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let huge = vec![0; 1 << 20];
    let refused = store.commit(|sequence| {
        assert_eq!(sequence.next(), 1);
        let (incidents, messages) = (vec![record("A", 1, true, 1)], vec![message(Class::Incident, None, &huge)]);
        Commit { incidents, messages, ..Commit::default() }
    });
    assert!(matches!(refused, Err(StoreError::Oversize { limit: 1_048_576, .. })), "{refused:?}");
    let wildcard = Message { topic: "a/+".to_owned(), ..message(Class::Incident, None, b"") };
    let refused = store.commit(|_| Commit { messages: vec![wildcard.clone()], ..Commit::default() });
    assert!(matches!(refused, Err(StoreError::Topic { .. })), "{refused:?}");
    assert_eq!((store.active_incidents().unwrap(), store.status().messages()), (vec![], 0));
    store
        .commit(|sequence| {
            assert_eq!(sequence.next(), 1);
            Commit::default()
        })
        .unwrap();
}

#[test]
fn an_incident_never_goes_back() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let put = |revision| {
        store.commit(|_| Commit {
            incidents: vec![record("A", revision, true, 1)],
            messages: vec![message(Class::Incident, Some("A"), &[])],
            ..Commit::default()
        })
    };
    put(2).unwrap();
    for stale in [1, 2] {
        assert!(matches!(put(stale), Err(StoreError::StaleRevision { offered, .. }) if offered == stale));
    }
    put(3).unwrap();
    assert_eq!(pending(&store, Class::Incident).len(), 2, "a stale revision announces nothing");
}

#[test]
fn ended_incidents_are_forgotten_before_the_disk_fills() {
    let home = TempDir::new().unwrap();
    let (store, _) = open_with(home.path(), &StorageSpec { incident_history_quota: ByteSize(1000), ..spec() });
    for number in 0..20 {
        let incidents = vec![record(&format!("{number:02}"), 1, number == 3, 100)];
        store.commit(|_| Commit { incidents, ..Commit::default() }).unwrap();
    }
    let known: Vec<_> = (0..20).filter(|n| store.incident(&format!("{n:02}")).unwrap().is_some()).collect();
    assert_eq!(known, [3, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

#[test]
fn evidence_gives_way_and_incidents_do_not() {
    let home = TempDir::new().unwrap();
    let (store, _) = open_with(home.path(), &StorageSpec { unsent_evidence_quota: ByteSize(10_000), ..spec() });
    for number in 0..20_u8 {
        let messages = vec![
            message(Class::Incident, Some("A"), &[number; 1000]),
            message(Class::Evidence, Some("A"), &[number; 1000]),
        ];
        store.commit(|_| Commit { messages, ..Commit::default() }).unwrap();
    }
    assert_eq!(store.status().of(Class::Incident).messages, 20);
    let kept: Vec<_> = pending(&store, Class::Evidence).iter().map(|row| row.message.payload[0]).collect();
    let first_kept = 20 - u8::try_from(kept.len()).unwrap();
    assert_eq!(kept, (first_kept..20).collect::<Vec<_>>(), "the oldest go first");
    assert!(store.status().of(Class::Evidence).bytes <= 10_000 && kept.len() > 7);

    let seen = inspect(home.path()).unwrap();
    assert_eq!((seen.gaps.len(), seen.gaps[0].class, seen.gaps[0].reason), (1, Class::Evidence, LossReason::Quota));
    assert_eq!(seen.gaps[0].messages, u64::from(first_kept));
    let render = |gap: &Gap| ("g".to_owned(), gap.messages.to_string().into_bytes());
    wait(store.announce_gaps(render)).unwrap();
    assert_eq!(payloads(&pending(&store, Class::Gap)), [first_kept.to_string().as_bytes()]);
    assert_eq!(inspect(home.path()).unwrap().gaps, []);
}

#[test]
fn reading_stops_at_its_limits_but_always_gets_on() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let messages = (0..5).map(|n| message(Class::Incident, Some(["A", "B"][n % 2]), &[0; 100])).collect();
    store.commit(|_| Commit { messages, ..Commit::default() }).unwrap();
    let rows = |selection| -> Vec<_> { wait(store.pending(selection)).unwrap().iter().map(|r| r.row.0).collect() };
    let all = all(Class::Incident);
    assert_eq!(rows(Selection { rows: 2, ..all.clone() }), [1, 2]);
    assert_eq!(rows(Selection { bytes: 150, ..all.clone() }), [1, 2]);
    assert_eq!(rows(Selection { bytes: 1, ..all.clone() }), [1]);
    assert_eq!(rows(Selection { after: RowId(2), up_to: RowId(4), ..all.clone() }), [3, 4]);
    assert_eq!(rows(Selection { lane: Some("B".to_owned()), ..all }), [2, 4]);
}

#[test]
fn another_boots_time_is_not_compared() {
    let home = TempDir::new().unwrap();
    let at = |boot| Store::open(home.path(), &spec(), ByteSize::mib(1), clock(boot)).unwrap().0;
    let store = at("one");
    let timed = Message { origin: Some(Mono(7)), ..message(Class::Incident, None, b"") };
    store.commit(|_| Commit { messages: vec![timed], ..Commit::default() }).unwrap();
    drop(store);
    let origin = |store: &Store| pending(store, Class::Incident)[0].message.origin;
    let store = at("one");
    assert_eq!(origin(&store), Some(Mono(7)));
    drop(store);
    assert_eq!(origin(&at("two")), None);
}

#[test]
fn one_daemon_a_directory() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let second = Store::open(home.path(), &spec(), ByteSize::mib(1), clock("boot")).map(|_| ()).unwrap_err();
    let own = std::process::id();
    assert!(matches!(second, StoreError::InUse { pid: Some(pid), .. } if pid == own), "{second}");
    assert!(second.to_string().contains(&format!("(process {own})")));
    drop(store);
    open(home.path());
}

#[test]
fn a_newer_format_is_left_alone() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let path = home.path().join(file::FILE);
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET value = 99, inverse = ~99 WHERE key = 'format'", []).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let refused = Store::open(home.path(), &spec(), ByteSize::mib(1), clock("boot")).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, known: schema::FORMAT, .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Damages the store in one way, opens it, and returns what the report says and the number of the next event.
fn after_damage(damage: impl FnOnce(&Path)) -> (OpenReport, u64, Vec<Gap>) {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    for _ in 0..200 {
        let numbered = |sequence: &mut Sequence| Commit {
            messages: vec![message(Class::Incident, Some("A"), &sequence.next().to_le_bytes().repeat(50))],
            ..Commit::default()
        };
        store.commit(numbered).unwrap();
    }
    drop(store);
    damage(&home.path().join(file::FILE));
    let (store, report) = open_with(home.path(), &spec());
    if let Some(set_aside) = &report.set_aside {
        assert!(set_aside.path.exists());
    }
    let mut number = 0;
    store
        .commit(|sequence| {
            number = sequence.next();
            Commit::default()
        })
        .unwrap();
    (report, number, inspect(home.path()).unwrap().gaps)
}

#[test]
fn a_damaged_store_is_set_aside_and_no_number_is_used_twice() {
    let garbage = |path: &Path| fs::write(path, b"this is no database, and never was one".repeat(500)).unwrap();
    let torn = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let scribbled = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xA5);
        fs::write(path, bytes).unwrap();
    };
    for (what, (report, number, gaps)) in
        [("garbage", after_damage(garbage)), ("torn", after_damage(torn)), ("scribbled", after_damage(scribbled))]
    {
        assert!(report.set_aside.is_some(), "{what}");
        assert!(number > 200, "{what}: {number}");
        assert_eq!(report.outbox.messages(), 0, "{what}");
        assert!(gaps.iter().any(|gap| gap.reason == LossReason::Corrupt), "{what}");
    }
    let (report, number, gaps) = after_damage(|_| ());
    assert_eq!((report.set_aside, number, gaps), (None, 201, vec![]));
}

#[test]
fn few_damaged_stores_are_kept() {
    let home = TempDir::new().unwrap();
    let clock = clock("boot");
    for _ in 0..4 {
        fs::write(home.path().join(file::FILE), b"no database".repeat(500)).unwrap();
        Store::open(home.path(), &spec(), ByteSize::mib(1), clock.clone()).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
    }
    let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: BTreeMap<_, _> = names.filter(|name| name.contains("corrupt")).map(|name| (name, ())).collect();
    let times: Vec<_> = kept.keys().filter_map(|name| name.split_once("corrupt-")).map(|(_, time)| time).collect();
    assert_eq!(times, ["20260101T000002.000Z", "20260101T000003.000Z"]);
}

#[test]
fn a_full_disk_is_said_and_passes() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let set_limit = |pages: i64| {
        store.read_blocking(move |connection| Ok(connection.pragma_update(None, "max_page_count", pages)?)).unwrap();
    };
    let put = |bytes: usize| {
        let messages = vec![message(Class::Incident, Some("A"), &vec![1; bytes])];
        store.commit(|_| Commit { messages, ..Commit::default() })
    };
    set_limit(40);
    let mut stored = 0;
    let refusal = loop {
        match put(10_000) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, StoreError::DiskFull(_)), "{refusal:?}");
    assert!(stored > 0);
    assert_eq!(pending(&store, Class::Incident).len(), stored, "all that was reported, and nothing else");

    // Sending makes room.
    let first = pending(&store, Class::Incident)[0].row;
    wait(store.acknowledge(vec![first])).unwrap();
    put(5_000).unwrap();
    set_limit(1_000_000);
    put(10_000).unwrap();
    assert_eq!(pending(&store, Class::Incident).len(), stored + 1);
}

#[test]
fn one_commit_too_large_for_the_disk_does_not_fail_its_neighbours() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    store.read_blocking(|connection| Ok(connection.pragma_update(None, "max_page_count", 60)?)).unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        // The writer is held up so that all of them meet in one transaction.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (entered, inside) = std::sync::mpsc::channel::<()>();
        let blocker = store.clone();
        scope.spawn(move || {
            let mut gate = Some((entered, held));
            blocker.read_blocking(move |_| {
                let (entered, held) = gate.take().unwrap();
                entered.send(()).unwrap();
                held.recv().unwrap();
                Ok(())
            })
        });
        inside.recv().unwrap();
        let commits: Vec<_> = [100, 900_000, 100, 100]
            .into_iter()
            .map(|bytes| {
                let commit =
                    Commit { messages: vec![message(Class::Incident, None, &vec![1; bytes])], ..Commit::default() };
                store.submit(|_| commit).unwrap()
            })
            .collect();
        release.send(()).unwrap();
        commits.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
    });
    let stored: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, true, true]);
    assert!(matches!(outcomes[1], Err(StoreError::DiskFull(_))));
    assert_eq!(pending(&store, Class::Incident).len(), 3);
}

/// The part of [`a_killed_process_loses_nothing_it_reported`] that is killed; ends by itself without a directory to work in.
#[test]
#[ignore = "runs as a child process of another test"]
fn child_commits_until_it_is_killed() {
    let Some(home) = std::env::var_os("SNOWGATE_TEST_STORE") else { return };
    let store = open(Path::new(&home));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let mut number = 0;
                    let numbered = |sequence: &mut Sequence| {
                        number = sequence.next();
                        Commit {
                            incidents: vec![record(&format!("{number:09}"), 1, true, 50)],
                            messages: vec![message(Class::Incident, None, &number.to_le_bytes())],
                            ..Commit::default()
                        }
                    };
                    let receipt = store.commit(numbered).unwrap();
                    println!("committed {number} {}", receipt.last_row.0);
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_it_reported() {
    let home = TempDir::new().unwrap();
    let mut reported = BTreeMap::new();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::child_commits_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env("SNOWGATE_TEST_STORE", home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: std::io::Result<String>| {
            let line = line.unwrap();
            // The harness may have begun a line of its own.
            let words: Vec<_> = line.split("committed ").nth(1).unwrap_or_default().split(' ').collect();
            if let [number, row] = words[..]
                && let (Ok(number), Ok(row)) = (number.parse::<u64>(), row.parse::<i64>())
            {
                assert_eq!(reported.insert(number, row), None, "number {number} was used twice");
            }
        };
        lines.by_ref().take(40 * round).for_each(&mut take);
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had reported before it died, all of it; the last line may be torn.
        lines.for_each(&mut take);

        let store = open(home.path());
        let stored: BTreeMap<u64, i64> = pending(&store, Class::Incident)
            .iter()
            .map(|row| (u64::from_le_bytes(row.message.payload[..].try_into().unwrap()), row.row.0))
            .collect();
        for (number, row) in &reported {
            assert_eq!(stored.get(number), Some(row), "round {round}: {number} was reported and is lost");
        }
        let known: Vec<u64> = store.active_incidents().unwrap().iter().map(|r| r.id.parse().unwrap()).collect();
        assert_eq!(known, stored.keys().copied().collect::<Vec<_>>(), "incidents and messages change together");
    }
    assert!(reported.len() > 200);
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(Class, Option<u8>, usize)>),
    Acknowledge(Class, usize),
    GiveUp(Class, usize),
    Announce,
    Reopen,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = || prop::sample::select(&Class::ALL[1..]);
    let messages = prop::collection::vec((class(), prop::option::of(0..3_u8), 0..900_usize), 1..6);
    let step = prop_oneof![
        6 => messages.prop_map(Step::Commit),
        3 => (class(), 0..4_usize).prop_map(|(class, count)| Step::Acknowledge(class, count)),
        1 => (class(), 0..3_usize).prop_map(|(class, count)| Step::GiveUp(class, count)),
        1 => Just(Step::Announce),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..30)
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, Message>,
    lost: BTreeMap<(Class, LossReason), u64>,
    announced: Vec<u64>,
    last_row: i64,
    sequence: u64,
}

impl Model {
    const QUOTA: u64 = 3000;

    fn bytes(&self, class: Class) -> u64 {
        self.rows.values().filter(|m| m.class == class).map(Message::stored_bytes).sum()
    }

    fn oldest(&self, class: Class, count: usize) -> Vec<i64> {
        self.rows.iter().filter(|(_, m)| m.class == class).map(|(row, _)| *row).take(count).collect()
    }

    fn commit(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.last_row += 1;
            self.rows.insert(self.last_row, message);
        }
        for class in Class::ALL {
            while self.bytes(class) > Self::QUOTA {
                self.give_up(self.oldest(class, 1)[0], class, LossReason::Quota);
            }
        }
    }

    fn give_up(&mut self, row: i64, class: Class, reason: LossReason) {
        self.rows.remove(&row);
        *self.lost.entry((class, reason)).or_default() += 1;
    }

    fn check(&self, store: &Store, home: &Path) -> Result<(), TestCaseError> {
        let status = store.status();
        for class in &Class::ALL[1..] {
            let held: Vec<_> = pending(store, *class).into_iter().map(|row| (row.row.0, row.message)).collect();
            let expected: Vec<_> =
                self.rows.iter().filter(|(_, m)| m.class == *class).map(|(row, m)| (*row, m.clone())).collect();
            prop_assert_eq!(&held, &expected);
            let books = status.of(*class);
            prop_assert_eq!((books.messages, books.bytes), (held.len() as u64, self.bytes(*class)));
        }
        let gaps = inspect(home).unwrap().gaps;
        let lost: BTreeMap<_, _> = gaps.iter().map(|gap| ((gap.class, gap.reason), gap.messages)).collect();
        prop_assert_eq!(&lost, &self.lost);
        let announced: Vec<u64> = pending(store, Class::Gap)
            .iter()
            .map(|row| String::from_utf8(row.message.payload.clone()).unwrap().parse().unwrap())
            .collect();
        prop_assert_eq!(&announced, &self.announced);
        prop_assert_eq!(status.last_row.0, self.last_row);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn holds_what_the_model_holds(steps in steps()) {
        let quota = ByteSize(Model::QUOTA);
        let spec = StorageSpec {
            incident_quota: quota, unsent_evidence_quota: quota, unsent_telemetry_quota: quota, ..spec()
        };
        let mut home = TempDir::new().unwrap();
        let mut store = open_with(home.path(), &spec).0;
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit(messages) => {
                    let messages: Vec<_> = messages
                        .into_iter()
                        .map(|(class, lane, length)| message(class, lane.map(|l| ["A", "B", "C"][usize::from(l)]), &vec![7; length]))
                        .collect();
                    let mut number = 0;
                    let receipt = store.commit(|sequence| {
                        number = sequence.next();
                        Commit { messages: messages.clone(), ..Commit::default() }
                    }).unwrap();
                    model.sequence += 1;
                    prop_assert_eq!(number, model.sequence);
                    model.commit(messages);
                    prop_assert_eq!(receipt.last_row.0, model.last_row);
                }
                Step::Acknowledge(class, count) => {
                    let mut rows = model.oldest(class, count);
                    rows.iter().for_each(|row| drop(model.rows.remove(row)));
                    // An acknowledgement that comes twice changes nothing.
                    rows.extend(rows.clone());
                    wait(store.acknowledge(rows.into_iter().map(RowId).collect())).unwrap();
                }
                Step::GiveUp(class, count) => {
                    let rows = model.oldest(class, count);
                    rows.iter().for_each(|row| model.give_up(*row, class, LossReason::Oversize));
                    wait(store.give_up(rows.into_iter().map(RowId).collect(), LossReason::Oversize)).unwrap();
                }
                Step::Announce => {
                    wait(store.announce_gaps(|gap| ("g".to_owned(), gap.messages.to_string().into_bytes()))).unwrap();
                    if model.announced.is_empty() {
                        model.announced = std::mem::take(&mut model.lost).into_values().collect();
                        model.last_row += model.announced.len() as i64;
                    }
                }
                Step::Reopen => {
                    drop(store);
                    store = open_with(home.path(), &spec).0;
                }
                Step::Crash => {
                    // What is on disk at this instant, without what an orderly end would add.
                    let copy = TempDir::new().unwrap();
                    for suffix in ["", "-wal"] {
                        let name = format!("{}{suffix}", file::FILE);
                        let _ = fs::copy(home.path().join(&name), copy.path().join(&name));
                    }
                    store = open_with(copy.path(), &spec).0;
                    home = copy;
                }
            }
            model.check(&store, home.path())?;
        }
    }
}
