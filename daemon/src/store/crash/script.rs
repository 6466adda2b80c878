//! What happens to a store, step by step.

use proptest::prelude::*;

use self::Draft::{Other, Revision};
use super::super::Class;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// One commit.
    Commit(Vec<Draft>),
    /// Commits that meet in one transaction.
    Together(Vec<Vec<Draft>>),
    /// The client sends what waits, as far as the line lets it, and takes out what was acknowledged.
    Send { seed: u64, line: Line },
    /// The oldest messages of a class turn out to be too large for the broker.
    GiveUp(Class, usize),
    /// Losses are announced.
    Announce,
    /// The log is copied into the database, as it is after every thousand pages.
    Checkpoint,
    /// An orderly stop and a start.
    Reopen,
    /// The power fails between two operations.
    PowerLoss,
}

/// What a commit is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draft {
    /// The next revision of an incident and the event that announces it, which has a number.
    Revision { incident: u8, scene_active: bool, length: usize },
    /// A message of another class, about an incident or not.
    Other { class: Class, incident: Option<u8>, length: usize },
}

/// How good the line to the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Good,
    /// Loses acknowledgements, delays and repeats them, repeats messages, breaks.
    Bad,
}

/// A short history in which everything happens, and a class is over its quota.
pub(super) fn short() -> Vec<Step> {
    let revision = |incident, scene_active, length| Revision { incident, scene_active, length };
    let other = |class, length| Other { class, incident: Some(0), length };
    vec![
        Step::Commit(vec![revision(0, true, 300), other(Class::Evidence, 2500)]),
        Step::Commit(vec![revision(1, true, 6000), other(Class::Telemetry, 100), other(Class::DispositionAck, 80)]),
        Step::Send { seed: 3, line: Line::Bad },
        // The still above gives way.
        Step::Together(vec![
            vec![other(Class::Evidence, 900), other(Class::Summary, 50)],
            vec![other(Class::Evidence, 1800)],
            vec![other(Class::Telemetry, 700)],
        ]),
        Step::Checkpoint,
        Step::Commit(vec![revision(0, false, 300)]),
        Step::Announce,
        Step::Commit(vec![revision(1, false, 20), revision(2, true, 4500), other(Class::Evidence, 2000)]),
        Step::Reopen,
        Step::GiveUp(Class::Telemetry, 1),
        Step::Commit(vec![revision(2, true, 30)]),
        Step::Send { seed: 5, line: Line::Bad },
        Step::Checkpoint,
        Step::Commit(vec![revision(2, false, 10)]),
    ]
}

/// Histories of all kinds.
pub(super) fn histories() -> impl Strategy<Value = Vec<Step>> {
    let other_class = || prop::sample::select(&Class::ALL[2..]);
    let length = || prop_oneof![4 => 0..900_usize, 1 => 3000..9000_usize];
    let draft = prop_oneof![
        (0..4_u8, prop::bool::ANY, length()).prop_map(|(incident, scene_active, length)| Revision {
            incident,
            scene_active,
            length
        }),
        (other_class(), prop::option::of(0..4_u8), 0..2800_usize).prop_map(|(class, incident, length)| Other {
            class,
            incident,
            length
        }),
    ];
    let drafts = prop::collection::vec(draft, 1..5);
    // Commits that meet take no event numbers: one producer gives those, one commit after the other.
    let unnumbered = (other_class(), 0..2800_usize).prop_map(|(class, length)| Other { class, incident: None, length });
    let together = prop::collection::vec(prop::collection::vec(unnumbered, 1..3), 2..4);
    let step = prop_oneof![
        6 => drafts.prop_map(Step::Commit),
        1 => together.prop_map(Step::Together),
        3 => (0..u64::MAX, prop::sample::select(&[Line::Good, Line::Bad, Line::Bad]))
            .prop_map(|(seed, line)| Step::Send { seed, line }),
        1 => (prop::sample::select(&Class::ALL[1..]), 0..3_usize).prop_map(|(class, count)| Step::GiveUp(class, count)),
        1 => Just(Step::Announce),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerLoss),
    ];
    prop::collection::vec(step, 1..25)
}
