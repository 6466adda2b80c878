//! Stores that are damaged or another version's, and disks that are full.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_newer_format_is_left_alone() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let path = home.path().join(FILE);
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
    damage(&home.path().join(FILE));
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
        fs::write(home.path().join(FILE), b"no database".repeat(500)).unwrap();
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

#[test]
fn a_store_found_damaged_while_it_is_in_use_stops() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    assert!(!store.has_stopped());
    let found = store.read_blocking(|_| Err::<(), _>(soundness::damaged("a page is not one".to_owned())));
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !store.has_stopped() {
        assert!(std::time::Instant::now() < give_up, "it goes on");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let messages = vec![message(Class::Incident, None, b"x")];
    let late = store.commit(|_| Commit { messages, ..Commit::default() });
    assert!(matches!(late, Err(StoreError::Stopped)), "{late:?}");
    drop(store);
    assert!(pending(&open(home.path()), Class::Incident).is_empty(), "the directory is free again");
}

#[test]
fn rows_that_a_disk_forgot_or_remembers_from_before_are_found() {
    let commit = |store: &Store, revision: u32| {
        let incidents = vec![record("0", revision, true, 100)];
        let messages = vec![message(Class::Incident, None, b"x")];
        let (day, commands) = (Some(vec![1; 10]), vec![command("verify", "c", 1, true, b"yes")]);
        store.commit(|_| Commit { incidents, messages, day, commands }).unwrap();
        wait(store.give_up(vec![store.status().last_row], LossReason::Oversize)).unwrap();
    };
    for (forgets, table) in [
        ("DELETE FROM day", "day"),
        ("DELETE FROM gaps", "gaps"),
        ("DELETE FROM boots", "boots"),
        ("UPDATE commands SET checksum = before.checksum, json = before.json FROM before", "commands"),
    ] {
        let home = TempDir::new().unwrap();
        let store = open(home.path());
        commit(&store, 1);
        drop(store);
        let file = Connection::open(home.path().join(FILE)).unwrap();
        file.execute_batch("CREATE TEMP TABLE before AS SELECT checksum, json FROM commands").unwrap();
        let store = open(home.path());
        commit(&store, 2);
        // Another answer of the same length.
        let commands = vec![command("verify", "c", 1, true, b"no!")];
        store.commit(|_| Commit { commands, ..Commit::default() }).unwrap();
        drop(store);
        // The disk knows nothing of triggers.
        let triggers: Vec<(String, String)> = {
            let mut select = file.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
            let triggers = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            triggers.collect::<Result<_, _>>().unwrap()
        };
        triggers.iter().for_each(|(name, _)| file.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        file.execute_batch(forgets).unwrap();
        triggers.iter().for_each(|(_, sql)| file.execute_batch(sql).unwrap());
        drop(file);
        let (_, report) = open_with(home.path(), &spec());
        let reason = report.set_aside.unwrap_or_else(|| panic!("{forgets}: not noticed")).reason;
        assert!(reason.contains(table), "{forgets}: {reason}");
    }
}

#[test]
fn a_trigger_that_is_not_what_was_written_is_found() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let path = home.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    let removed = b"rows = rows - 1";
    // Pages may hold what they held before, too.
    let places = bytes.windows(removed.len()).enumerate().filter(|(_, window)| window == removed);
    let places: Vec<usize> = places.map(|(place, _)| place + removed.len() - 3).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|place| bytes[*place] = b'+');
    fs::write(&path, bytes).unwrap();
    let (_, report) = open_with(home.path(), &spec());
    assert!(report.set_aside.unwrap().reason.contains("schema"));
}

#[test]
fn books_of_a_class_that_is_none_are_found() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let file = Connection::open(home.path().join(FILE)).unwrap();
    file.execute("UPDATE classes SET class = 13 WHERE class = 5", []).unwrap();
    drop(file);
    let (_, report) = open_with(home.path(), &spec());
    assert!(report.set_aside.unwrap().reason.contains("books of the classes"));
}
