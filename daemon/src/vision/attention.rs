//! What one model should be shown of a picture, the most urgent first: things that move, motion, then what is due although
//! nothing moves.
//!
//! Where not everything can be shown, whatever was not looked at for longest comes first: the few regions there are go round.

use std::time::Duration;

use snowgate_core::{geometry::Rect, observation::Detection, time::Mono};

use super::{
    motion::Motion,
    regions::Wanted,
    tracker::{self, Tracker},
};

/// A thing at rest that nothing moves at is looked at so seldom: its leaving is motion.
const REST_LOOK: Duration = Duration::from_secs(60);
/// What has been looked for in vain for so long is looked for only so often, unless something moves there.
const LOST_AFTER: Duration = Duration::from_millis(400);
const LOST_LOOK: Duration = Duration::from_millis(900);
/// Motion that stays where it is, and in which nothing was found, is looked at again after so long.
const VAIN_FOR: Duration = Duration::from_millis(900);
/// For so long it is remembered that it was looked at.
const VAIN_REMEMBERED: Duration = Duration::from_secs(5);
/// The most such places remembered.
const MAX_VAIN: usize = 32;
/// Two clusters that overlap by so much are the same motion.
const SAME_MOTION: f32 = 0.6;
/// Motion of which so much lies where things are followed is theirs.
const EXPLAINED: f32 = 0.5;
/// What was never looked at has waited for longer than anything that was.
const NEVER: Duration = Duration::MAX;

/// What is wanted of the present picture, and what was looked at in vain.
#[derive(Debug, Default)]
pub struct Attention {
    wanted: Vec<Wanted>,
    /// For each of them, since when it was not looked at.
    waited: Vec<Duration>,
    vain: Vec<Vain>,
}

/// A cluster of motion in which a look found nothing.
#[derive(Debug)]
struct Vain {
    cluster: Rect,
    at: Mono,
}

impl Vain {
    /// Whether this is the same motion, unmoved.
    fn is(&self, cluster: &Rect) -> bool {
        self.cluster.iou(cluster) > SAME_MOTION
    }
}

impl Attention {
    /// What should be looked at in the picture of this time, in which these things are followed. Where regions are `scarce` it
    /// is ordered by how long it has waited.
    pub fn gather(&mut self, tracker: &Tracker, motion: &Motion, at: Mono, scarce: bool) -> &[Wanted] {
        let Self { wanted, waited, vain } = self;
        wanted.clear();
        waited.clear();
        let mut want = |rect: Rect, known: bool, since: Duration| {
            wanted.push(Wanted { rect, known });
            waited.push(since);
        };
        let touched = |area: &Rect| motion.clusters().iter().any(|cluster| cluster.intersection(area).area() > 0.0);
        // What has been missed for a while is somewhere else, or hidden: where it comes out again there is motion.
        let is_lost = |thing: &tracker::Wanted| thing.missed >= LOST_AFTER && !touched(&thing.area);
        for thing in tracker.wanted(at).filter(|thing| !thing.at_rest && !is_lost(thing)) {
            want(thing.area, true, thing.unlooked_for);
        }
        vain.retain(|vain| at.since(vain.at) < VAIN_REMEMBERED);
        for cluster in motion.clusters() {
            let since = vain.iter().filter(|vain| vain.is(cluster)).map(|vain| at.since(vain.at));
            let looked_at = since.min().unwrap_or(NEVER);
            if looked_at >= VAIN_FOR {
                let explained: f32 = tracker.wanted(at).map(|thing| thing.area.intersection(cluster).area()).sum();
                let known = explained >= EXPLAINED * cluster.area();
                // The motion of a thing that is followed waits no longer than the thing.
                want(*cluster, known, if known { Duration::ZERO } else { looked_at });
            }
        }
        let due = tracker.wanted(at).filter(|thing| match thing.at_rest {
            true => thing.unlooked_for >= REST_LOOK || touched(&thing.area),
            false => is_lost(thing) && thing.unlooked_for >= LOST_LOOK,
        });
        for thing in due {
            want(thing.area, true, thing.unlooked_for);
        }
        if scarce {
            sort_by_waiting(wanted, waited);
        }
        wanted
    }

    /// Remembers motion in which nothing was found: the place something has left, a shadow, a flag.
    pub fn remember_vain(&mut self, motion: &Motion, looked_at: &[Rect], found: &[Detection], at: Mono) {
        for cluster in motion.clusters() {
            let looked_at = looked_at.iter().any(|looked_at| cluster.share_inside(looked_at) > 0.9);
            let found = found.iter().any(|found| found.rect.intersection(cluster).area() > 0.0);
            if !looked_at || found {
                continue;
            }
            // Motion that was looked at in vain a moment ago has not been looked at again.
            let fresh = |vain: &Vain| vain.is(cluster) && at.since(vain.at) < VAIN_FOR;
            if self.vain.iter().any(fresh) {
                continue;
            }
            let vain = Vain { cluster: *cluster, at };
            let full = self.vain.len() >= MAX_VAIN;
            let oldest = self.vain.iter_mut().min_by_key(|old| (!old.is(cluster), old.at));
            match oldest.filter(|old| full || old.is(cluster)) {
                Some(old) => *old = vain,
                None => self.vain.push(vain),
            }
        }
    }
}

/// The longest waits first; what has waited equally long keeps its order. In place: the lists are short.
fn sort_by_waiting(wanted: &mut [Wanted], waited: &mut [Duration]) {
    for end in 1..wanted.len() {
        let mut place = end;
        while place > 0 && waited[place] > waited[place - 1] {
            wanted.swap(place, place - 1);
            waited.swap(place, place - 1);
            place -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waited_longest_comes_first_and_equals_keep_their_order() {
        let thing = |x: f32| Wanted { rect: Rect::new(x, 0.0, 0.1, 0.1), known: true };
        let mut wanted: Vec<Wanted> = (0..5).map(|i| thing(i as f32 / 10.0)).collect();
        let mut waited = [1, 5, 1, 9, 5].map(Duration::from_secs);
        sort_by_waiting(&mut wanted, &mut waited);
        assert_eq!(waited, [9, 5, 5, 1, 1].map(Duration::from_secs));
        assert_eq!(wanted, [0.3, 0.1, 0.4, 0.0, 0.2].map(thing));
    }
}
