//! The outbox against a bare SQLite loop with the same durability (write-ahead log, `synchronous = FULL`) and the same
//! grouping of rows into transactions: rows in, rows out.
//!
//! `BENCH_LONG=1` also puts a million rows in and drains them, to show that the last ones leave as fast as the first.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rusqlite::{Connection, params};
use snowgate::{
    clock::SystemClock,
    store::{Class, Commit, Message, RowId, Selection, Store, spec::StorageSpec},
};
use snowgate_core::spec::{ByteSize, read_table};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Rows of one measurement.
const ROWS: usize = 4096;
/// Rows that share a transaction: as many messages as one commit of the store carries here.
const GROUP: usize = 64;
/// Bytes of an event about an incident.
const PAYLOAD: usize = 1200;
const TOPIC: &str = "snowgate/v1/bench/incident/village/330182101201001";
/// Measurements of the ratio; the two take turns, so that a busy disk disturbs both.
const ROUNDS: usize = 7;

/// On the disk that the build is on: a temporary directory may be memory, where nothing is durable.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Something that takes rows in and lets them go.
trait Outbox {
    /// Puts rows in; they are durable when this returns.
    fn put(&mut self, rows: usize);
    /// Takes out the oldest rows, durably; answers how many there were.
    fn drain(&mut self, rows: usize) -> usize;
}

struct Ours {
    store: Store,
    runtime: Runtime,
    lane: u64,
    after: RowId,
    _folder: TempDir,
}

impl Ours {
    fn new() -> Self {
        let folder = folder();
        let spec: StorageSpec = read_table(&mut toml_span::parse("incident_quota = '4GiB'").unwrap()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let (store, _) = Store::open(folder.path(), &spec, ByteSize::mib(1), clock).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { store, runtime, lane: 0, after: RowId(0), _folder: folder }
    }
}

impl Outbox for Ours {
    fn put(&mut self, rows: usize) {
        for start in (0..rows).step_by(GROUP) {
            let message = |_| {
                self.lane += 1;
                Message {
                    class: Class::Incident,
                    lane: Some(format!("{:026}", self.lane)),
                    topic: TOPIC.to_owned(),
                    payload: vec![b'x'; PAYLOAD],
                    retain: false,
                    origin: None,
                }
            };
            let messages = (start..rows.min(start + GROUP)).map(message).collect();
            self.store.commit(|_| Commit { messages, ..Commit::default() }).unwrap();
        }
    }

    fn drain(&mut self, rows: usize) -> usize {
        let mut drained = 0;
        while drained < rows {
            let selection = Selection {
                class: Class::Incident,
                lane: None,
                after: self.after,
                up_to: RowId(i64::MAX),
                rows: GROUP.min(rows - drained),
                bytes: usize::MAX,
            };
            let pending = self.runtime.block_on(self.store.pending(selection)).unwrap();
            let ids: Vec<RowId> = pending.iter().map(|row| row.row).collect();
            let Some(last) = ids.last().copied() else { break };
            drained += ids.len();
            self.after = last;
            self.runtime.block_on(self.store.acknowledge(ids)).unwrap();
        }
        drained
    }
}

struct Bare {
    connection: Connection,
    _folder: TempDir,
}

impl Bare {
    fn new() -> Self {
        let folder = folder();
        let connection = open(folder.path());
        connection
            .execute_batch("CREATE TABLE outbox (row INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL)")
            .unwrap();
        Self { connection, _folder: folder }
    }
}

fn open(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("bare.sqlite")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
}

impl Outbox for Bare {
    fn put(&mut self, rows: usize) {
        for start in (0..rows).step_by(GROUP) {
            let transaction = self.connection.transaction().unwrap();
            let mut insert = transaction.prepare_cached("INSERT INTO outbox (topic, payload) VALUES (?1, ?2)").unwrap();
            for _ in start..rows.min(start + GROUP) {
                insert.execute(params![TOPIC, vec![b'x'; PAYLOAD]]).unwrap();
            }
            drop(insert);
            transaction.commit().unwrap();
        }
    }

    fn drain(&mut self, rows: usize) -> usize {
        let mut drained = 0;
        while drained < rows {
            let transaction = self.connection.transaction().unwrap();
            let mut select =
                transaction.prepare_cached("SELECT row, topic, payload FROM outbox ORDER BY row LIMIT ?1").unwrap();
            let read = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
            };
            let pending: Vec<_> =
                select.query_map([GROUP.min(rows - drained)], read).unwrap().map(Result::unwrap).collect();
            drop(select);
            let mut delete = transaction.prepare_cached("DELETE FROM outbox WHERE row = ?1").unwrap();
            for (row, ..) in &pending {
                delete.execute([row]).unwrap();
            }
            drop(delete);
            transaction.commit().unwrap();
            if pending.is_empty() {
                break;
            }
            drained += pending.len();
        }
        drained
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn pass(outbox: &mut dyn Outbox) -> [Duration; 2] {
    let put = timed(|| outbox.put(ROWS));
    let drain = timed(|| assert_eq!(outbox.drain(ROWS), ROWS));
    [put, drain]
}

fn outbox(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let pairs: [(&str, Box<dyn Outbox>); 2] = [("store", Box::new(Ours::new())), ("bare", Box::new(Bare::new()))];
    for (name, mut outbox) in pairs {
        for (index, direction) in ["put", "drain"].into_iter().enumerate() {
            // Both directions run, one is timed: the outbox is as empty before each as before the first.
            group.bench_function(BenchmarkId::new(direction, name), |b| {
                b.iter_custom(|times| (0..times).map(|_| pass(outbox.as_mut())[index]).sum());
            });
        }
    }
    group.finish();
}

/// Both in turn, and how the store's rate compares: the budget is 0.7 of the bare loop's.
fn ratio() {
    let (mut ours, mut bare) = (Ours::new(), Bare::new());
    let mut times: [[Vec<Duration>; 2]; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (outbox, times) in [&mut ours as &mut dyn Outbox, &mut bare].into_iter().zip(&mut times) {
            pass(outbox).into_iter().zip(times).for_each(|(took, times)| times.push(took));
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64()
    };
    let [ours, bare] = times.map(|mut times| [median(&mut times[0]), median(&mut times[1])]);
    println!("outbox: {ROWS} rows of {PAYLOAD} bytes, {GROUP} a transaction, median of {ROUNDS} rounds in turn");
    for (index, direction) in ["put", "drain"].into_iter().enumerate() {
        show(direction, ours[index], bare[index]);
    }
    show("both", ours[0] + ours[1], bare[0] + bare[1]);
}

fn show(what: &str, ours: f64, bare: f64) {
    let rate = |seconds: f64| ROWS as f64 / seconds;
    println!(
        "  {what:<6} store {:>8.0} rows/s, bare loop {:>8.0} rows/s, ratio {:.2}",
        rate(ours),
        rate(bare),
        bare / ours
    );
}

/// A million rows in, and out again; the rate of every tenth.
fn long() {
    const MANY: usize = 1_000_000;
    const TENTH: usize = MANY / 10;
    let mut ours = Ours::new();
    for direction in ["put", "drain"] {
        let rates: Vec<String> = (0..10)
            .map(|_| {
                let took = timed(|| match direction {
                    "put" => ours.put(TENTH),
                    _ => assert_eq!(ours.drain(TENTH), TENTH),
                });
                format!("{:.0}", TENTH as f64 / took.as_secs_f64())
            })
            .collect();
        println!("outbox, {MANY} rows, {direction}: rows/s by tenths: {}", rates.join(", "));
    }
}

criterion_group!(benches, outbox);

fn main() {
    // Without `--bench` it was started by `cargo test`, which only wants to see that it runs.
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if has("--bench") && !has("--test") && !has("--list") {
        ratio();
        if std::env::var_os("BENCH_LONG").is_some() {
            long();
        }
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
