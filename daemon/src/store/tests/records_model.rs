//! Random histories of incidents, commands and the day against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{super::commands::CommandLimits, *};

const INCIDENT_BYTES: u64 = 1000;
const COMMANDS: CommandLimits = CommandLimits { commands: 6, bytes: 900 };

#[derive(Debug, Clone)]
enum Step {
    /// Incidents (which, active, finished, bytes), commands (name, id, expires, open, bytes), the day.
    Commit(Vec<(u8, bool, bool, usize)>, Vec<(bool, u8, i64, bool, usize)>, Option<u8>),
    /// A commit with a revision that came too late, after good ones.
    Refused(Vec<(u8, bool, bool, usize)>, (bool, u8, i64, bool, usize)),
    Forget(i64),
    Reopen,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let incidents = || prop::collection::vec((0..12_u8, any::<bool>(), any::<bool>(), 0..400_usize), 0..4);
    let command = || (any::<bool>(), 0..8_u8, 0..100_i64, any::<bool>(), 0..300_usize);
    let commands = prop::collection::vec(command(), 0..4);
    let step = prop_oneof![
        8 => (incidents(), commands, prop::option::of(any::<u8>())).prop_map(|(i, c, day)| Step::Commit(i, c, day)),
        1 => (incidents(), command()).prop_map(|(incidents, command)| Step::Refused(incidents, command)),
        1 => (0..100_i64).prop_map(Step::Forget),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..30)
}

/// What the store should remember.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    incidents: BTreeMap<String, IncidentRecord>,
    /// By name and id; with a number that tells which was first committed first.
    commands: BTreeMap<(String, String), (u64, CommandRecord)>,
    first_committed: u64,
    day: Option<Vec<u8>>,
}

impl Model {
    fn commit(&mut self, commit: &Commit) {
        for record in &commit.incidents {
            self.incidents.insert(record.id.clone(), record.clone());
        }
        while self.incidents.values().map(|record| record.json.len() as u64).sum::<u64>() > INCIDENT_BYTES {
            let need = |record: &&IncidentRecord| (record.scene_active, !record.finished, record.id.clone());
            let least = self.incidents.values().min_by_key(need).unwrap().id.clone();
            self.incidents.remove(&least);
        }
        for command in &commit.commands {
            let key = (command.name.clone(), command.id.clone());
            self.first_committed += 1;
            let first = self.commands.get(&key).map_or(self.first_committed, |(first, _)| *first);
            self.commands.insert(key, (first, command.clone()));
        }
        let bytes = |model: &Self| model.commands.values().map(|(_, command)| command.json.len() as u64).sum::<u64>();
        while self.commands.len() as u64 > COMMANDS.commands || bytes(self) > COMMANDS.bytes {
            let due = |(_, (first, command)): &(_, &(u64, CommandRecord))| (command.open, command.expires, *first);
            let least = self.commands.iter().min_by_key(due).unwrap().0.clone();
            self.commands.remove(&least);
        }
        if commit.day.is_some() {
            self.day.clone_from(&commit.day);
        }
    }

    fn forget(&mut self, before: jiff::Timestamp) {
        self.commands.retain(|_, (_, command)| command.open || command.expires >= before);
    }

    fn check(&self, store: &Store) -> Result<(), TestCaseError> {
        for number in 0..12 {
            let id = format!("{number:02}");
            prop_assert_eq!(&store.incident(&id).unwrap(), &self.incidents.get(&id).cloned());
        }
        let select = |wanted: fn(&IncidentRecord) -> bool| -> Vec<IncidentRecord> {
            self.incidents.values().filter(|record| wanted(record)).cloned().collect()
        };
        prop_assert_eq!(store.active_incidents().unwrap(), select(|record| record.scene_active));
        prop_assert_eq!(unfinished(store), select(|record| !record.finished));
        for name in NAMES {
            for id in 0..8 {
                let known =
                    self.commands.get(&(name.to_owned(), id.to_string())).map(|(_, command)| command.json.clone());
                prop_assert_eq!(store.command(name, &id.to_string()).unwrap(), known);
            }
            let mut open: Vec<_> =
                self.commands.values().filter(|(_, command)| command.open && command.name == name).collect();
            open.sort_by_key(|(first, _)| *first);
            let open: Vec<_> = open.into_iter().map(|(_, command)| command.json.clone()).collect();
            prop_assert_eq!(store.open_commands(name).unwrap(), open);
        }
        prop_assert_eq!(&store.day().unwrap(), &self.day);
        // The sums that are kept are right at every moment, not only when the store is opened.
        store.read_blocking(soundness::check).map_err(|error| TestCaseError::fail(error.to_string()))
    }
}

const NAMES: [&str; 2] = ["disposition", "verify"];

fn open_small(home: &Path) -> Store {
    let spec = StorageSpec { incident_history_quota: ByteSize(INCIDENT_BYTES), ..spec() };
    let mut store = open_with(home, &spec).0;
    Arc::get_mut(&mut store.inner).unwrap().limits.commands = COMMANDS;
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn remembers_what_the_model_remembers(steps in steps()) {
        let mut home = TempDir::new().unwrap();
        let mut store = open_small(home.path());
        let mut model = Model::default();
        let mut revision = 0;
        let mut incident = |(number, active, finished, length): (u8, bool, bool, usize)| {
            revision += 1;
            IncidentRecord { finished, ..record(&format!("{number:02}"), revision, active, length) }
        };
        let order = |(verify, id, expires, open, length): (bool, u8, i64, bool, usize)| {
            command(NAMES[usize::from(verify)], &id.to_string(), expires, open, &vec![id; length])
        };
        for step in steps {
            match step {
                Step::Commit(incidents, commands, day) => {
                    let incidents = incidents.into_iter().map(&mut incident).collect();
                    let commands = commands.into_iter().map(order).collect();
                    let commit = Commit { incidents, commands, day: day.map(|day| vec![day]), ..Commit::default() };
                    store.commit(|_| commit.clone()).unwrap();
                    model.commit(&commit);
                }
                Step::Refused(incidents, command) => {
                    let mut incidents: Vec<_> = incidents.into_iter().map(&mut incident).collect();
                    // Twice the same revision.
                    let last = incident((0, true, false, 10));
                    incidents.extend([last.clone(), last]);
                    let commit = Commit { incidents, commands: vec![order(command)], ..Commit::default() };
                    let refused = store.commit(|_| commit);
                    prop_assert!(matches!(refused, Err(StoreError::StaleRevision { .. })), "{:?}", refused);
                }
                Step::Forget(before) => {
                    let before = jiff::Timestamp::from_second(before).unwrap();
                    store.forget_commands(before).unwrap();
                    model.forget(before);
                }
                Step::Reopen => {
                    drop(store);
                    store = open_small(home.path());
                }
                Step::Crash => {
                    let copy = crash(home.path());
                    store = open_small(copy.path());
                    home = copy;
                }
            }
            model.check(&store)?;
        }
    }
}
