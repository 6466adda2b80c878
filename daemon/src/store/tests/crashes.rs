//! Processes that are killed while they commit.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

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
            .args(["store::tests::crashes::child_commits_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
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
