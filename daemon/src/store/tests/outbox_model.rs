//! Random histories of the outbox against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
                    let copy = crash(home.path());
                    store = open_with(copy.path(), &spec).0;
                    home = copy;
                }
            }
            model.check(&store, home.path())?;
        }
    }
}
