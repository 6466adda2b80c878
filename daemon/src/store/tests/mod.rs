//! What the store promises, in examples and in random histories against models, and the ways a box dies.

mod clocks;
mod commits;
mod crashes;
mod damage;
mod migration;

mod outbox_model;
mod records_model;

use snowgate_core::time::ManualClock;
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

/// All that people have not finished with, oldest first, read two at a time.
fn unfinished(store: &Store) -> Vec<IncidentRecord> {
    let mut records: Vec<IncidentRecord> = Vec::new();
    loop {
        let page = store.unfinished_incidents(records.last().map(|record| record.id.as_str()), 2).unwrap();
        if page.is_empty() {
            records.reverse();
            return records;
        }
        records.extend(page);
    }
}

fn pending(store: &Store, class: Class) -> Vec<OutboxRow> {
    wait(store.pending(all(class))).unwrap()
}

fn payloads(rows: &[OutboxRow]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.message.payload.as_slice()).collect()
}

fn command(name: &str, id: &str, expires: i64, open: bool, json: &[u8]) -> CommandRecord {
    let expires = jiff::Timestamp::from_second(expires).unwrap();
    CommandRecord { name: name.to_owned(), id: id.to_owned(), expires, open, json: json.to_vec() }
}

/// What is on disk at this instant, without what an orderly end would add.
fn crash(home: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", FILE);
        let _ = fs::copy(home.join(&name), copy.path().join(&name));
    }
    copy
}
