//! Events of the `verify` module.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGaugeVec};
use snowgate_core::{
    ids::Id,
    incidents::verify::{Seen, Verify},
};

use super::{counter, gauge};

static LOOKED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "snowgate_looks_again_total",
        "Looks at what a rule watches that were asked for, by what was seen and why that cannot be told.",
        &["source", "outcome", "obstacle"],
    )
});
static UNDER_WAY: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("snowgate_looks_again_under_way", "Looks that were asked for and are on.", &[]));

/// The box has looked again.
pub struct LookedAgain<'a> {
    /// Who asked for it.
    pub command: &'a Verify,
    /// The camera or sensor.
    pub by: &'a Id,
    /// The rule.
    pub rule: &'a Id,
    /// What was seen.
    pub seen: Seen,
    /// Whether there is a still.
    pub still: bool,
}

impl LookedAgain<'_> {
    /// Logs and counts.
    pub fn emit(self) {
        let Self { command, by, rule, seen, still } = self;
        let (outcome, obstacle) = (seen.outcome.as_str(), seen.obstacle.map_or("", |obstacle| obstacle.as_str()));
        let (incident, command) = (command.incident, command.id.as_str());
        tracing::info!(%incident, command, source = %by, %rule, outcome, obstacle, still, "looked again");
        LOOKED.with_label_values(&[by.as_str(), outcome, obstacle]).inc();
    }
}

/// How many looks are on.
pub struct UnderWay {
    /// So many.
    pub looks: usize,
}

impl UnderWay {
    /// Sets the gauge.
    pub fn emit(self) {
        UNDER_WAY.with_label_values::<&str>(&[]).set(i64::try_from(self.looks).unwrap_or(i64::MAX));
    }
}
