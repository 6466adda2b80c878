//! What a commit does, and what reading gives back.

use snowgate_core::time::Mono;

use super::*;

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
fn what_has_ended_and_is_finished_with_is_read_newest_first() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let finished = |id: &str, active| IncidentRecord { finished: true, ..record(id, 1, active, 1) };
    let incidents = ["A", "D", "E"].map(|id| finished(id, false)).into_iter();
    let incidents: Vec<_> = incidents.chain([record("B", 1, false, 1), finished("C", true)]).collect();
    store.commit(|_| Commit { incidents: incidents.clone(), ..Commit::default() }).unwrap();
    let ids = |rows| store.finished_incidents(rows).unwrap().into_iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!((ids(2), ids(9)), (vec!["E".into(), "D".into()], vec!["E".into(), "D".into(), "A".into()]));
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
fn what_nobody_needs_any_more_is_forgotten_first() {
    let home = TempDir::new().unwrap();
    let (store, _) = open_with(home.path(), &StorageSpec { incident_history_quota: ByteSize(1000), ..spec() });
    let commit = |number: u32, active, finished| {
        let record = IncidentRecord { finished, ..record(&format!("{number:02}"), 1, active, 100) };
        store.commit(|_| Commit { incidents: vec![record], ..Commit::default() }).unwrap();
    };
    let known = || -> Vec<u32> { (0..60).filter(|n| store.incident(&format!("{n:02}")).unwrap().is_some()).collect() };
    // 3 goes on in front of a camera, 5 to 9 are not finished with.
    (0..20).for_each(|number| commit(number, number == 3, !(5..10).contains(&number)));
    assert_eq!(known(), [3, 5, 6, 7, 8, 9, 16, 17, 18, 19]);
    let unfinished: Vec<_> = unfinished(&store).into_iter().map(|record| record.id).collect();
    assert_eq!(unfinished, ["05", "06", "07", "08", "09"]);
    (20..28).for_each(|number| commit(number, false, false));
    assert_eq!(known(), [3, 9, 20, 21, 22, 23, 24, 25, 26, 27], "those not finished with give way to each other");
    (30..39).for_each(|number| commit(number, true, false));
    assert_eq!(known(), [3, 30, 31, 32, 33, 34, 35, 36, 37, 38]);
    commit(40, false, false);
    assert_eq!(known(), [3, 30, 31, 32, 33, 34, 35, 36, 37, 38], "what the scene shows is needed most");
    commit(41, true, false);
    assert_eq!(known(), [30, 31, 32, 33, 34, 35, 36, 37, 38, 41], "but the disk never fills");
}

#[test]
fn however_many_are_unfinished_each_is_handed_out_once() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let incidents: Vec<_> = (0..700).map(|number| record(&format!("{number:04}"), 1, number % 2 == 0, 10)).collect();
    store.commit(|_| Commit { incidents: incidents.clone(), ..Commit::default() }).unwrap();
    assert_eq!(unfinished(&store), incidents);
}

#[test]
fn a_command_is_remembered_with_what_it_changed() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let looking = command("verify", "7", 100, true, b"looking");
    let commands =
        vec![looking, command("disposition", "7", 50, false, b"done"), command("verify", "8", 60, true, b"8")];
    store.commit(|_| Commit { commands, day: Some(b"morning".to_vec()), ..Commit::default() }).unwrap();
    let huge = vec![message(Class::Incident, None, &vec![0; 1 << 20])];
    let finished = || vec![command("verify", "7", 100, false, b"cleared")];
    let day = || Some(b"noon".to_vec());
    store.commit(|_| Commit { commands: finished(), day: day(), messages: huge, ..Commit::default() }).unwrap_err();
    drop(store);

    let store = open(home.path());
    assert_eq!(store.command("verify", "7").unwrap().as_deref(), Some(&b"looking"[..]), "not half of a commit");
    assert_eq!(store.command("disposition", "7").unwrap().as_deref(), Some(&b"done"[..]), "ids are by name");
    assert_eq!(store.command("disposition", "8").unwrap(), None);
    assert_eq!(store.open_commands("verify").unwrap(), [&b"looking"[..], b"8"]);
    assert_eq!(store.day().unwrap().as_deref(), Some(&b"morning"[..]));
    store.commit(|_| Commit { commands: finished(), day: day(), ..Commit::default() }).unwrap();
    assert_eq!(store.command("verify", "7").unwrap().as_deref(), Some(&b"cleared"[..]));
    assert_eq!(store.open_commands("verify").unwrap(), [b"8"]);
    assert_eq!(store.day().unwrap(), day());
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
