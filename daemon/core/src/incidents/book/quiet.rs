//! Quiet: for a while after people have finished with what a rule told of, it opens no other incident.
//!
//! It is the rule's choice (`quiet_after`). What always holds:
//! 1. It begins when an incident of the rule is closed or rejected as a false alarm, each time anew; that a closed one is
//!    archived later prolongs nothing.
//! 2. What may join an incident that people have not finished with ([`Merge`](crate::incidents::Merge)) joins it: that opens
//!    none.
//! 3. Nothing is passed over in silence: whoever keeps the book is told of each episode that opened no incident. One that
//!    still goes on after the quiet opens one as soon as it grows.
//! 4. Where nobody can tell how long ago that was, across boots of which one did not know the time, it is not quiet.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use super::RuleKey;
use crate::{rules::Change, time::Stamp};

/// Which rules are quiet, and what has opened no incident because of that.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// When people last finished with an incident of a rule.
    finished: HashMap<RuleKey, Stamp>,
    /// Episodes under way that have opened no incident.
    passed_over: HashSet<(RuleKey, u64)>,
    /// The rule of the one that was passed over last, until that is told.
    untold: Option<RuleKey>,
}

impl Quiet {
    /// People finished with an incident of this rule then. Where nobody can tell which of two was later, the one that is told
    /// later counts.
    pub(super) fn finished(&mut self, rule: RuleKey, at: &Stamp) {
        match self.finished.entry(rule) {
            Entry::Vacant(entry) => drop(entry.insert(at.clone())),
            Entry::Occupied(mut entry) => {
                if between(at, entry.get()).is_none_or(|later| later.is_zero()) {
                    entry.insert(at.clone());
                }
            }
        }
    }

    /// Whether an episode opens no incident now, since its rule is quiet for so long.
    pub(super) fn passes_over(
        &mut self,
        episode: (RuleKey, u64),
        change: Change,
        quiet: Duration,
        now: &Stamp,
    ) -> bool {
        let since = self.finished.get(&episode.0).and_then(|finished| between(finished, now));
        let is_quiet = since.is_some_and(|since| since < quiet);
        if !is_quiet {
            self.passed_over.remove(&episode);
        } else if change == Change::Began {
            self.untold = Some(episode.0.clone());
            self.passed_over.insert(episode);
        }
        is_quiet
    }

    /// Whether this episode under way has opened no incident.
    pub(super) fn has_passed_over(&self, episode: &(RuleKey, u64)) -> bool {
        self.passed_over.contains(episode)
    }

    /// This episode is over, or has joined an incident.
    pub(super) fn forget(&mut self, episode: &(RuleKey, u64)) {
        self.passed_over.remove(episode);
    }

    /// The rule whose episode was passed over since this was last asked.
    pub(super) fn take_untold(&mut self) -> Option<RuleKey> {
        self.untold.take()
    }
}

/// The time between two moments, zero if the later one is the earlier by the clock of one boot; `None` where that cannot be
/// told.
fn between(earlier: &Stamp, later: &Stamp) -> Option<Duration> {
    if earlier.boot == later.boot {
        return Some(later.moment.mono.since(earlier.moment.mono));
    }
    let both_known = earlier.moment.synchronised && later.moment.synchronised;
    let passed = later.moment.wall.duration_since(earlier.moment.wall);
    both_known.then(|| Duration::try_from(passed).ok()).flatten()
}

#[cfg(test)]
mod tests;
