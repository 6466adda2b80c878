//! When which incident's light changes next.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    calendar::Calendar,
    ids::IncidentId,
    incidents::Incident,
    time::{BootId, Moment},
};

/// The incidents whose light will change, or whose times wait for the clock to be synchronised: one entry each, in the order
/// in which they come up.
///
/// It is made anew at a start, from all incidents that are not done with, and needs no store of its own: what was due while
/// the daemon was away comes up at once. The owner asks [`take_due`](Self::take_due) every now and then, since the wall clock
/// may jump, so that no wait for a wall time would end when it should; brings each incident up to date
/// ([`Book::refresh`](crate::incidents::Book::refresh)) and plans it again.
#[derive(Debug, Default)]
pub struct LightTimer {
    entries: BTreeSet<(Timestamp, IncidentId)>,
    of: HashMap<IncidentId, Timestamp>,
}

impl LightTimer {
    /// Plans an incident as it is now, in this boot, in the place of how it was planned before. Done with, it is forgotten.
    pub fn plan(&mut self, incident: &Incident, calendar: &Calendar, boot: &BootId) {
        self.forget(incident.id);
        let next = if incident.awaits_times(boot) {
            // Whatever the time is: as soon as it is known.
            Some(Timestamp::MIN)
        } else {
            incident.deadline.as_ref().and_then(|deadline| deadline.next_turn(calendar))
        };
        if let Some(next) = next {
            self.entries.insert((next, incident.id));
            self.of.insert(incident.id, next);
        }
    }

    /// Plans an incident no longer.
    pub fn forget(&mut self, incident: IncidentId) {
        if let Some(planned) = self.of.remove(&incident) {
            self.entries.remove(&(planned, incident));
        }
    }

    /// Takes what has come up out, in order and at most so many; nothing while the clock is not synchronised.
    pub fn take_due(&mut self, now: Moment, most: usize) -> Vec<IncidentId> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some((next, incident)) = self.entries.first().copied()
            && now.synchronised
            && next <= now.wall
        {
            self.forget(incident);
            due.push(incident);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use crate::{
        ids::CountedIds,
        incidents::{Book, Locale},
        spec::all_defaults,
        time::{Clock as _, ManualClock},
    };

    const START: i64 = 1_772_330_400;

    /// As the store has it: with a limit of so many minutes, opened so many seconds after the start of this boot.
    fn incident(
        number: u128,
        limit_minutes: u64,
        working_time: bool,
        opened: u64,
        boot: &str,
        synchronised: bool,
    ) -> Incident {
        let wall =
            if synchronised { Timestamp::from_second(START + opened as i64).unwrap() } else { Timestamp::UNIX_EPOCH };
        let moment = json!({ "mono": opened * 1_000_000_000, "wall": wall, "synchronised": synchronised });
        let counted_in = if working_time { "working_time" } else { "wall_time" };
        serde_json::from_value(json!({
            "id": IncidentId(Ulid(number)), "revision": 1, "boot": boot, "scene": "ended", "handling": "reported",
            "camera": "gate", "area": "yard", "models": [],
            "counts": { "things": 1, "peak": 1, "left_to_right": 0, "right_to_left": 0 },
            "rule": "rule", "rule_kind": "intrusion", "place": null, "title": "",
            "target": {
                "category": "intrusion", "category_name": "", "severity": "ordinary", "grid": "33", "path": ["33"],
                "level": "county", "level_grid": "33",
                "time_limit": {
                    "limit_ms": limit_minutes * 60_000, "counted_in": counted_in,
                    "yellow_permille": 800, "red_permille": 1000,
                },
            },
            "began": moment, "opened": moment, "last_seen": moment, "ended": null,
            "score": 0.5, "evidence": [], "config_digest": "",
        }))
        .unwrap()
    }

    fn any_incident() -> impl Strategy<Value = (u64, bool, u64, bool, bool)> {
        (1u64..3000, any::<bool>(), 0u64..1000, any::<bool>(), any::<bool>())
    }

    proptest! {
        /// Whatever the incidents and however long the box sleeps: each light that should have turned has, by a revision
        /// each, nothing is taken twice at one time, and the timer is never due for what is up to date.
        #[test]
        fn every_light_is_what_it_should_be(
            incidents in prop::collection::vec(any_incident(), 1..8),
            sleeps in prop::collection::vec(0u64..200_000, 1..12),
            synchronised_from in 0usize..6,
        ) {
            let calendar = Arc::new(Calendar::new(&all_defaults(), TimeZone::UTC).unwrap());
            let clock = ManualClock::new("now", Timestamp::from_second(START).unwrap());
            let boot = clock.boot_id().clone();
            clock.advance(Duration::from_secs(1000));
            let book = Book::new(Locale::En, boot.clone(), String::new(), calendar.clone(), CountedIds::default());
            let mut timer = LightTimer::default();
            let mut stored = BTreeMap::new();
            for (number, (limit, working_time, opened, here, synchronised)) in incidents.into_iter().enumerate() {
                let from = if here { "now" } else { "before" };
                let incident = incident(number as u128, limit, working_time, opened, from, synchronised);
                timer.plan(&incident, &calendar, &boot);
                stored.insert(incident.id, incident);
            }
            for (turn, sleep) in sleeps.into_iter().enumerate() {
                clock.advance(Duration::from_secs(sleep));
                let synchronised = turn >= synchronised_from;
                let right = Timestamp::from_second(START).unwrap().checked_add(clock.mono().since(Default::default())).unwrap();
                clock.set_wall(if synchronised { right } else { Timestamp::UNIX_EPOCH }, synchronised);
                let due = timer.take_due(clock.now(), usize::MAX);
                prop_assert!(synchronised || due.is_empty());
                for id in due {
                    let incident = stored.get_mut(&id).unwrap();
                    let revised = book.refresh(incident.clone(), &clock);
                    prop_assert!(revised.is_some(), "what comes up has changed");
                    *incident = revised.unwrap().incident;
                    timer.plan(incident, &calendar, &boot);
                }
                if synchronised {
                    prop_assert!(timer.take_due(clock.now(), usize::MAX).is_empty(), "nothing comes up twice");
                    for incident in stored.values() {
                        prop_assert_eq!(book.refresh(incident.clone(), &clock), None, "nothing was missed");
                    }
                }
                prop_assert!(timer.entries.len() <= stored.len(), "one entry each");
            }
        }
    }

    #[test]
    fn what_is_taken_is_bounded_and_in_order() {
        let calendar = Calendar::new(&all_defaults(), TimeZone::UTC).unwrap();
        let clock = ManualClock::new("now", Timestamp::from_second(START).unwrap());
        let mut timer = LightTimer::default();
        for (number, limit) in [(1, 50), (2, 40), (3, 30)] {
            let mut incident = incident(number, limit, false, 0, "now", true);
            incident.turn_light(&calendar, clock.now());
            timer.plan(&incident, &calendar, clock.boot_id());
            timer.plan(&incident, &calendar, clock.boot_id());
        }
        clock.advance(Duration::from_secs(24 * 60 - 1));
        assert!(timer.take_due(clock.now(), 2).is_empty());
        clock.advance(Duration::from_secs(3600));
        let ids = |numbers: &[u128]| numbers.iter().map(|number| IncidentId(Ulid(*number))).collect::<Vec<_>>();
        assert_eq!(timer.take_due(clock.now(), 2), ids(&[3, 2]));
        timer.forget(IncidentId(Ulid(1)));
        assert!(timer.take_due(clock.now(), 2).is_empty());
        assert!(timer.entries.is_empty() && timer.of.is_empty(), "each was planned once");
    }
}
