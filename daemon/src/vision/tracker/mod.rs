//! Detections of one picture after another to tracks, after ByteTrack (Zhang et al., ECCV 2022): Kalman prediction, then
//! confident detections are paired first and unsure ones second, because an unsure box where a track is
//! expected is the track, half hidden, while an unsure box anywhere else is nothing.
//!
//! What is added for a box that does not look everywhere in every picture:
//! - a track is only counted as missed where the picture was looked at;
//! - a thing at rest is remembered far longer than a moving one, and does not drift;
//! - a thing at rest is one whose centre has stayed inside the box it came to rest in, so jitter does not wake it;
//! - pictures seconds apart ([looks](LOOKS_APART)) are paired by [how far a thing can have come](travel), for boxes no longer
//!   overlap; where more than one pairing is possible the best is made, and the track says that it is [no longer
//!   sure](Track::sure_since).
//!
//! Tracks keep their order and their numbers are never used twice. Nothing is allocated once the buffers have grown.

pub mod assignment;
pub mod kalman;
mod travel;

use std::time::Duration;

use snowgate_core::{
    geometry::Rect,
    observation::{Detection, LOOKS_APART, Label, Track, TrackId},
    time::Mono,
};

use self::{
    assignment::Assignment,
    kalman::{BoxFilter, MAX_SPREAD},
    travel::Choices,
};
use super::spec::DetectSpec;

/// The most things followed at once; further ones are not taken up.
pub const MAX_TRACKS: usize = 128;
/// The most detections of one picture that are considered, best first as they come.
pub const MAX_DETECTIONS: usize = 256;

/// Scores from here on are paired first and may start a track.
const CONFIDENT: f32 = 0.45;
/// A first detection of this score needs no second one.
const CERTAIN: f32 = 0.75;
/// Standard deviations a detection may lie from its track's prediction.
const GATE: f32 = 4.0;
/// A box may be so many times as high or wide as its track's.
const MAX_STRETCH: f32 = 2.2;
/// A track that was last seen so long ago is not continued by unsure detections.
const UNSURE_FOR: Duration = Duration::from_millis(1500);
/// An unconfirmed track that is missed for longer than this was nothing.
const UNCONFIRMED_FOR: Duration = Duration::from_millis(450);
/// Things at rest are remembered so many times as long as moving ones.
const REST_FACTOR: u32 = 10;
/// The most time one look counts for that missed a track: three misses must not kill a thing looked at every ten seconds.
const MISS_COUNTS: Duration = Duration::from_secs(2);
/// Boxes that overlap by so much are of one thing, however long apart they were seen.
const STILL_THERE: f32 = 0.3;
/// A new box that covers so much of one already followed, or is covered so much by it, is the same thing seen twice.
const SAME_THING: f32 = 0.85;

/// Follows things of one camera.
#[derive(Debug)]
pub struct Tracker {
    stationary_after: Duration,
    lost_after: Duration,
    next_id: u64,
    id_step: u64,
    last: Option<Mono>,
    following: Vec<Followed>,
    tracks: Vec<Track>,
    assignment: Assignment,
    // Buffers of one update: which tracks and detections the present stage pairs.
    rows: Vec<usize>,
    columns: Vec<usize>,
    taken: Vec<bool>,
    choices: Choices,
}

/// One thing followed.
#[derive(Debug)]
struct Followed {
    id: TrackId,
    label: Label,
    score: f32,
    filter: BoxFilter,
    first_seen: Mono,
    first_rect: Rect,
    last_seen: Mono,
    /// The detection of that time.
    last_rect: Rect,
    last_looked: Mono,
    sure_since: Mono,
    confirmed: bool,
    matched: bool,
    /// Time during which it was looked for and not found.
    missed: Duration,
    rest: Rest,
}

/// Whether a thing moves.
#[derive(Debug)]
struct Rest {
    /// The box it had when it was last taken to have moved…
    anchor: Rect,
    /// …and when that was.
    since: Mono,
    /// Detections in a row whose centre lay outside of the anchor.
    outside: u8,
    has_moved: bool,
    stationary: bool,
}

impl Tracker {
    /// A tracker for a camera with these settings; numbers count from 1.
    pub fn new(spec: &DetectSpec) -> Self {
        Self::numbered(spec, 1, 1)
    }

    /// A tracker whose numbers are `first`, `first + step`, …, so that several can share a camera's numbers.
    pub fn numbered(spec: &DetectSpec, first: u64, step: u64) -> Self {
        Self {
            stationary_after: *spec.stationary_after,
            lost_after: *spec.lost_after,
            next_id: first,
            id_step: step.max(1),
            last: None,
            following: Vec::with_capacity(MAX_TRACKS),
            tracks: Vec::with_capacity(MAX_TRACKS),
            assignment: Assignment::default(),
            rows: Vec::with_capacity(MAX_TRACKS),
            columns: Vec::with_capacity(MAX_DETECTIONS),
            taken: Vec::with_capacity(MAX_DETECTIONS),
            choices: Choices::with_capacity(MAX_TRACKS, MAX_DETECTIONS),
        }
    }

    /// Takes in what was detected in the picture of time `at`, in which the model was shown the parts `looked_at`.
    /// Returns all live, confirmed tracks.
    pub fn update(&mut self, at: Mono, detections: &[Detection], looked_at: &[Rect]) -> &[Track] {
        let detections = &detections[..detections.len().min(MAX_DETECTIONS)];
        let passed = self.last.map_or(Duration::ZERO, |last| at.since(last));
        self.last = Some(at);
        for followed in &mut self.following {
            followed.predict(passed);
        }
        self.taken.clear();
        self.taken.extend(detections.iter().map(|detection| !is_sane(detection)));
        let is_look = passed >= LOOKS_APART;
        self.choices.clear();
        if is_look {
            self.consider(at, detections);
        }
        // Confirmed tracks choose first, confident detections are chosen first.
        self.pair(at, is_look, detections, |followed| followed.confirmed, |score| score >= CONFIDENT);
        let recently = |followed: &Followed| followed.confirmed && followed.missed <= UNSURE_FOR;
        self.pair(at, is_look, detections, recently, |score| score < CONFIDENT);
        self.pair(at, is_look, detections, |followed| !followed.confirmed, |_| true);
        self.start(at, detections);
        self.age(at, is_look, looked_at);
        self.publish();
        &self.tracks
    }

    /// All live, confirmed tracks as of the last update.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Whether anything is followed, unconfirmed things included.
    pub fn is_following(&self) -> bool {
        !self.following.is_empty()
    }

    /// Whether anything followed is not at rest, and was found where it was last looked for.
    pub fn is_anything_moving(&self) -> bool {
        let moving = |followed: &Followed| !followed.rest.stationary || followed.rest.outside > 0;
        self.following.iter().any(|followed| followed.missed.is_zero() && moving(followed))
    }

    /// Everything followed, unconfirmed things included: where to look for it next, `passed` from now, and how urgently.
    pub fn wanted(&self, at: Mono) -> impl Iterator<Item = Wanted> {
        let passed = self.last.map_or(Duration::ZERO, |last| at.since(last));
        self.following.iter().map(move |followed| Wanted {
            area: followed.predicted(passed).search_area().clamped(),
            at_rest: followed.rest.stationary && followed.rest.outside == 0 && followed.missed.is_zero(),
            missed: followed.missed,
            unlooked_for: at.since(followed.last_looked),
        })
    }

    /// Counts what may be paired with what after a long time without pictures.
    fn consider(&mut self, at: Mono, detections: &[Detection]) {
        let Self { following, taken, choices, .. } = self;
        choices.begin(following.len(), detections.len());
        for (row, followed) in following.iter().enumerate() {
            for (column, detection) in detections.iter().enumerate() {
                let possible = !taken[column] && detection.score >= CONFIDENT;
                if possible && followed.cost_after_travel(detection, at) < assignment::UNPAIRED {
                    choices.add(row, column);
                }
            }
        }
    }

    /// Pairs what is still free of the tracks and detections chosen.
    fn pair(
        &mut self,
        at: Mono,
        is_look: bool,
        detections: &[Detection],
        track: impl Fn(&Followed) -> bool,
        score: impl Fn(f32) -> bool,
    ) {
        let Self { rows, columns, taken, following, assignment, choices, .. } = self;
        rows.clear();
        rows.extend((0..following.len()).filter(|i| !following[*i].matched && track(&following[*i])));
        columns.clear();
        columns.extend((0..detections.len()).filter(|i| !taken[*i] && score(detections[*i].score)));
        let pairs = assignment.solve(rows.len(), columns.len(), |row, column| {
            let (followed, detection) = (&following[rows[row]], &detections[columns[column]]);
            if is_look { followed.cost_after_travel(detection, at) } else { followed.cost(detection) }
        });
        for (row, column) in pairs.iter().enumerate() {
            if let Some(column) = column {
                let (row, column) = (rows[row], columns[*column]);
                taken[column] = true;
                following[row].found(at, &detections[column], self.stationary_after);
                if choices.is_doubtful(row, column) {
                    following[row].sure_since = at;
                }
            }
        }
    }

    /// Confident detections that belong to nothing are new things.
    fn start(&mut self, at: Mono, detections: &[Detection]) {
        for (detection, taken) in detections.iter().zip(&self.taken) {
            if *taken || detection.score < CONFIDENT || self.following.len() >= MAX_TRACKS {
                continue;
            }
            let seen_twice = self.following.iter().any(|followed| {
                let rect = followed.filter.rect();
                followed.matched
                    && followed.label == detection.label
                    && rect.share_inside(&detection.rect).min(detection.rect.share_inside(&rect)) > 0.5
                    && rect.share_inside(&detection.rect).max(detection.rect.share_inside(&rect)) > SAME_THING
            });
            if seen_twice {
                continue;
            }
            self.following.push(Followed {
                id: TrackId(self.next_id),
                label: detection.label.clone(),
                score: detection.score,
                filter: BoxFilter::new(&detection.rect, detection.score),
                first_seen: at,
                first_rect: detection.rect,
                last_seen: at,
                last_rect: detection.rect,
                last_looked: at,
                sure_since: at,
                confirmed: detection.score >= CERTAIN,
                matched: true,
                missed: Duration::ZERO,
                rest: Rest { anchor: detection.rect, since: at, outside: 0, has_moved: false, stationary: false },
            });
            self.next_id += self.id_step;
        }
    }

    /// Counts misses and gives up what has been missed for too long.
    fn age(&mut self, at: Mono, is_look: bool, looked_at: &[Rect]) {
        let lost_after = self.lost_after;
        self.following.retain_mut(|followed| {
            if followed.matched {
                return true;
            }
            let rect = followed.filter.rect();
            let visible = rect.clamped();
            // Where a thing would be after a while is a guess. What moves is looked for wherever there is motion.
            let sought = is_look && !followed.rest.stationary;
            if sought || looked_at.iter().any(|looked| visible.share_inside(looked) > 0.8) {
                followed.missed += at.since(followed.last_looked).min(MISS_COUNTS);
                followed.last_looked = at;
            }
            let patience = match (followed.confirmed, followed.rest.stationary) {
                (false, _) => UNCONFIRMED_FOR,
                (true, true) => lost_after * REST_FACTOR,
                (true, false) => lost_after,
            };
            let gone = rect.share_inside(&Rect::FRAME) < 0.25;
            // What nobody looked for cannot be predicted for ever either.
            let forgotten = !followed.rest.stationary && at.since(followed.last_seen) > lost_after * 3;
            followed.missed <= patience && !gone && !forgotten
        });
    }

    fn publish(&mut self) {
        self.tracks.clear();
        self.tracks.extend(self.following.iter().filter(|followed| followed.confirmed).map(Followed::track));
    }
}

/// Where a followed thing should be looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// The predicted box, widened by its uncertainty, cut to the frame.
    pub area: Rect,
    /// It is at rest and was found when it was last looked for.
    pub at_rest: bool,
    /// Time during which it was looked for and not found.
    pub missed: Duration,
    /// Time since it was last looked for.
    pub unlooked_for: Duration,
}

impl Followed {
    fn predict(&mut self, passed: Duration) {
        self.filter = self.predicted(passed);
        self.matched = false;
    }

    /// Where it will be in a while. A thing at rest that was just seen elsewhere may have set off.
    fn predicted(&self, passed: Duration) -> BoxFilter {
        let mut filter = self.filter;
        if self.rest.stationary && self.rest.outside == 0 {
            filter.rest(passed.as_secs_f32());
        } else {
            filter.predict(passed.as_secs_f32(), self.matched);
        }
        filter
    }

    /// How badly a detection fits, 0 to 1; [`assignment::UNPAIRED`] where it cannot be this thing.
    fn cost(&self, detection: &Detection) -> f32 {
        if detection.label != self.label {
            return assignment::UNPAIRED;
        }
        let rect = self.filter.rect();
        let stretch = |a: f32, b: f32| (a / b).max(b / a);
        let (wide, high) = (stretch(rect.width, detection.rect.width), stretch(rect.height, detection.rect.height));
        let distance = self.filter.distance(&detection.rect, detection.score, MAX_SPREAD);
        let iou = rect.iou(&detection.rect);
        // An overlap is an overlap, even of a box that is far too certain of its place.
        if wide > MAX_STRETCH || high > MAX_STRETCH || (distance > GATE && iou < STILL_THERE) {
            return assignment::UNPAIRED;
        }
        (0.5 * (1.0 - iou) + 0.5 * (distance / GATE).min(1.0)) * 0.999
    }

    /// The same when some time has passed since it was last looked for: it may be anywhere it can have come to. An unsure
    /// box counts where the track is expected only, or where it was.
    fn cost_after_travel(&self, detection: &Detection, at: Mono) -> f32 {
        let parked = self.rest.stationary && !self.rest.has_moved;
        if parked || detection.label != self.label {
            return self.cost(detection);
        }
        let effort = travel::effort(&self.label, &self.last_rect, &detection.rect, at.since(self.last_seen));
        if let Some(effort) = effort.filter(|_| detection.score >= CONFIDENT) {
            let distance = self.filter.distance(&detection.rect, detection.score, f32::INFINITY);
            return (0.5 * effort + 0.5 * (distance / GATE).min(1.0)) * 0.999;
        }
        let overlap = self.last_rect.iou(&detection.rect).max(self.filter.rect().iou(&detection.rect));
        if overlap >= STILL_THERE { self.cost(detection) } else { assignment::UNPAIRED }
    }

    fn found(&mut self, at: Mono, detection: &Detection, stationary_after: Duration) {
        if self.rest.stationary && self.rest.outside == 0 && !self.rest.anchor.contains(detection.rect.centre()) {
            self.filter.wake();
        }
        self.filter.correct(&detection.rect, detection.score);
        self.score = detection.score;
        self.last_seen = at;
        self.last_rect = detection.rect;
        self.last_looked = at;
        self.matched = true;
        self.missed = Duration::ZERO;
        self.confirmed = true;
        self.rest.seen(at, &self.filter.rect(), &detection.rect, stationary_after);
    }

    fn track(&self) -> Track {
        Track {
            id: self.id,
            label: self.label.clone(),
            score: self.score,
            rect: self.filter.rect(),
            first_seen: self.first_seen,
            first_rect: self.first_rect,
            last_seen: self.last_seen,
            sure_since: self.sure_since,
            stationary_since: self.rest.stationary.then_some(self.rest.since),
            has_moved: self.rest.has_moved,
        }
    }
}

impl Rest {
    /// Two detections in a row with their centre outside of the anchor are a move; one is a slip of the detector.
    fn seen(&mut self, at: Mono, filtered: &Rect, detected: &Rect, stationary_after: Duration) {
        if self.anchor.contains(detected.centre()) {
            self.outside = 0;
        } else {
            self.outside = self.outside.saturating_add(1);
        }
        if self.outside >= 2 {
            *self = Self { anchor: *filtered, since: at, outside: 0, has_moved: true, stationary: false };
        } else if at.since(self.since) >= stationary_after {
            self.stationary = true;
        }
    }
}

/// How far from the frame, in frames, a box may reach: a thing seen in part is boxed beyond the edge, none so far.
const MAX_REACH: f32 = 4.0;

/// Whether a detection is a box that can be. Squares of what cannot be would leave the numbers.
fn is_sane(detection: &Detection) -> bool {
    let Rect { x, y, width, height } = detection.rect;
    let near = |edge: f32| edge.abs() <= MAX_REACH;
    [x, y, width, height].into_iter().all(near) && width > 0.0 && height > 0.0 && detection.score.is_finite()
}

#[cfg(test)]
mod tests;
