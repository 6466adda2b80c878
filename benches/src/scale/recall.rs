//! Which of the events that cameras showed were reported, and how late: pure bookkeeping.
//!
//! An event is *reported* when an incident of its camera was opened between its begin and `grace` after its end, or was
//! *joined* to one: opened for an earlier event that was not over in the daemon's eyes when this one began, so that the rule
//! rightly told of one incident. One incident opens for one event only.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use snowgate_core::time::Mono;

/// Something that a camera showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Appearance {
    /// Whose picture it was in.
    pub camera: String,
    /// Which event of the clip.
    pub event: String,
    /// When its first picture was sent.
    pub begin: Mono,
    /// When its last picture was sent.
    pub end: Mono,
}

/// An incident as the grid system got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The camera it names.
    pub camera: String,
    /// When it was opened, by its own account.
    pub opened: Mono,
    /// When it ended, by its own account; none while it lasts.
    pub ended: Option<Mono>,
    /// When the message that opened it arrived.
    pub arrived: Mono,
}

/// What is judged, and how.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Only events that began from here on.
    pub from: Mono,
    /// Only events that ended by then.
    pub to: Mono,
    /// How long after an event's end its incident may still be opened.
    pub grace: Duration,
    /// The look interval of a quiet camera.
    pub look: Duration,
    /// The longest group of pictures.
    pub gop: Duration,
}

/// Events by how surely a gate that looks at key frames must see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Shorter than the look interval: may fall between two looks.
    BelowLook,
    /// Shorter than look interval and one group of pictures: may too, if looks wait for key frames.
    BelowLookAndGop,
    /// None of these may be missed.
    AtLeastLookAndGop,
}

impl Length {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::BelowLook, Self::BelowLookAndGop, Self::AtLeastLookAndGop];

    fn of(event: &Appearance, bounds: &Bounds) -> Self {
        match event.end.since(event.begin) {
            length if length < bounds.look => Self::BelowLook,
            length if length < bounds.look + bounds.gop => Self::BelowLookAndGop,
            _ => Self::AtLeastLookAndGop,
        }
    }
}

/// What became of the events of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Events judged.
    pub events: u32,
    /// Of them, those that an incident was opened for.
    pub opened: u32,
    /// Of them, those that joined an incident that was still open.
    pub joined: u32,
}

impl Tally {
    /// Events that nobody was told of.
    pub fn missed(&self) -> u32 {
        self.events - self.opened - self.joined
    }
}

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Recall {
    /// By length.
    pub classes: BTreeMap<Length, Tally>,
    /// Incidents opened for an event that had one already.
    pub repeated: u32,
    /// Incidents opened while nothing was to be seen.
    pub unexpected: u32,
    /// Arrival of the incident minus begin of the event, in seconds, sorted.
    #[serde(skip)]
    pub delays: Vec<f64>,
    /// Events that nobody was told of.
    pub missed: Vec<Appearance>,
}

impl Recall {
    /// The figures of one class.
    pub fn class(&self, length: Length) -> Tally {
        self.classes.get(&length).copied().unwrap_or_default()
    }

    /// The figures of all classes together.
    pub fn total(&self) -> Tally {
        self.classes.values().fold(Tally::default(), |sum, tally| Tally {
            events: sum.events + tally.events,
            opened: sum.opened + tally.opened,
            joined: sum.joined + tally.joined,
        })
    }

    /// The `q`-quantile (0..1) of the delays, by nearest rank.
    pub fn delay(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.delays, q)
    }
}

/// Holds what was reported against what was to be seen.
pub fn judge(appeared: &[Appearance], sightings: &[Sighting], bounds: &Bounds) -> Recall {
    let mut recall = Recall::default();
    let mut events: Vec<&Appearance> = appeared.iter().collect();
    events.sort_by_key(|event| event.begin);
    let mut incidents: Vec<&Sighting> = sightings.iter().collect();
    incidents.sort_by_key(|incident| incident.opened);
    let mut used = vec![false; incidents.len()];
    let within = |event: &Appearance, incident: &Sighting| {
        event.camera == incident.camera && incident.opened >= event.begin && incident.opened <= event.end + bounds.grace
    };
    for event in &events {
        // Every event takes its incident, those at the window's edges too: another's must not be counted for it.
        let opened = (0..incidents.len()).find(|&index| !used[index] && within(event, incidents[index]));
        if let Some(index) = opened {
            used[index] = true;
        }
        if event.begin < bounds.from || event.end > bounds.to {
            continue;
        }
        let tally = recall.classes.entry(Length::of(event, bounds)).or_default();
        tally.events += 1;
        let open_at = |incident: &&&Sighting| {
            let over = incident.ended.is_some_and(|ended| ended < event.begin);
            incident.camera == event.camera && incident.opened < event.begin && !over
        };
        match opened {
            Some(index) => {
                tally.opened += 1;
                recall.delays.push(incidents[index].arrived.since(event.begin).as_secs_f64());
            }
            None if incidents.iter().any(|incident| open_at(&incident)) => tally.joined += 1,
            None => recall.missed.push((*event).clone()),
        }
    }
    for (incident, used) in incidents.iter().zip(used) {
        let judged = incident.opened >= bounds.from && incident.opened <= bounds.to;
        if !used && judged {
            let seen = events.iter().any(|event| within(event, incident));
            *(if seen { &mut recall.repeated } else { &mut recall.unexpected }) += 1;
        }
    }
    recall.delays.sort_by(f64::total_cmp);
    recall
}

/// The `q`-quantile (0..1) of sorted values: the smallest that at least that share of them does not exceed.
pub fn nearest_rank(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        from: Mono(10_000_000_000),
        to: Mono(100_000_000_000),
        grace: Duration::from_secs(2),
        look: Duration::from_secs(2),
        gop: Duration::from_secs(1),
    };

    fn secs(seconds: f64) -> Mono {
        Mono((seconds * 1e9) as u64)
    }

    fn event(camera: &str, begin: f64, end: f64) -> Appearance {
        Appearance { camera: camera.into(), event: "walk".into(), begin: secs(begin), end: secs(end) }
    }

    fn incident(camera: &str, opened: f64, ended: Option<f64>) -> Sighting {
        let arrived = secs(opened + 0.25);
        Sighting { camera: camera.into(), opened: secs(opened), ended: ended.map(secs), arrived }
    }

    #[test]
    fn an_event_is_reported_by_an_incident_of_its_own_camera_in_its_own_time() {
        let events = [event("a", 20.0, 24.0), event("b", 30.0, 34.0), event("c", 40.0, 44.0), event("d", 50.0, 54.0)];
        let incidents = [
            incident("a", 25.9, Some(30.0)),
            incident("x", 31.0, Some(32.0)),
            incident("c", 39.9, Some(39.95)),
            incident("d", 56.1, None),
        ];
        let recall = judge(&events, &incidents, &BOUNDS);
        assert_eq!(recall.class(Length::AtLeastLookAndGop), Tally { events: 4, opened: 1, joined: 0 });
        assert_eq!(recall.missed.iter().map(|event| event.camera.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!((recall.unexpected, recall.repeated), (3, 0));
        assert_eq!(recall.delay(0.5).map(|delay| (delay * 100.0).round()), Some(615.0));
    }

    #[test]
    fn events_are_classed_by_length_and_only_whole_ones_count() {
        let events = [
            event("a", 20.0, 21.9),
            event("a", 30.0, 32.0),
            event("a", 40.0, 43.0),
            event("a", 9.9, 15.0),
            event("a", 99.0, 100.1),
        ];
        let recall = judge(&events, &[], &BOUNDS);
        assert_eq!(Length::ALL.map(|length| recall.class(length).events), [1, 1, 1]);
        assert_eq!((recall.total().events, recall.total().missed()), (3, 3));
    }

    #[test]
    fn an_incident_opens_for_one_event_and_others_may_join_it() {
        let events = [event("a", 20.0, 24.0), event("a", 24.5, 28.0), event("a", 40.0, 44.0)];
        let recall = judge(&events, &[incident("a", 21.0, Some(29.0))], &BOUNDS);
        assert_eq!(recall.total(), Tally { events: 3, opened: 1, joined: 1 });
        let recall = judge(&events, &[incident("a", 21.0, Some(24.2)), incident("a", 22.0, Some(24.2))], &BOUNDS);
        assert_eq!((recall.total().missed(), recall.repeated, recall.unexpected), (2, 1, 0));
    }

    #[test]
    fn an_event_at_the_edge_keeps_its_incident() {
        // Not judged, and yet its incident is no other's, nor unexpected.
        let recall = judge(&[event("a", 9.0, 12.0)], &[incident("a", 10.5, Some(12.0))], &BOUNDS);
        assert_eq!((recall.total().events, recall.unexpected), (0, 0));
    }

    #[test]
    fn ranks_are_nearest() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|q| nearest_rank(&values, q)),
            [Some(1.0), Some(50.0), Some(99.0), Some(100.0)]
        );
        assert_eq!(nearest_rank(&[], 0.5), None);
    }
}
