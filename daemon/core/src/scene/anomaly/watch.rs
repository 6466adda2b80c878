//! What stays strange for long enough: regions "unknown thing here since".
//!
//! The time `for` that a thing must stay is divided into eleven slots. A slot remembers the least heat that a cell had in
//! it, and a cell is hot when it is above the limit in eleven of the last twelve slots. So a walker before a wall leaves no
//! trace, and one who hides the thing for a moment does not either. A hot cell cools when at least half of the
//! last twelve slots are well below the limit, and what is in between changes nothing. Hot cells that touch are one region; it keeps its number
//! as long as any of its cells stays hot.
//!
//! Where very much of the picture is strange at once, lights were switched, it pours or the camera was turned: that is told
//! as such, and cells change nothing until it is over.

use std::time::Duration;

use super::{
    calibration::{COVERED, Kept, LOOKS, Recent},
    heat::{Heat, cover},
    regions::{Field, Region, Regions},
    spec::SceneAnomalySpec as AnomalySpec,
};
use crate::{geometry::Rect, time::Mono};

/// The most regions told at once; the smallest are left out.
pub const MOST_REGIONS: usize = 32;
/// Heat in units of a look, so that 250 times the limit is the most.
const UNIT: f32 = 256.0;
const LIMIT: u16 = 256;
/// Below this a slot is cool.
const COOL: u16 = 180;
/// So many of the last slots must be cool for a cell to cool.
const COOLED: u16 = LOOKS as u16 / 2;
/// So many pictures in a row must be strange all over before it is told.
const WHOLE_LOOKS: u32 = 3;
/// Without a picture for so long, for [`LOOKS`] slots and for three times `every`, persistence begins anew; what is told stays
/// told.
const GAP: Duration = Duration::from_secs(600);

/// What is to be told after a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook<'w> {
    /// Unknown things that stay, the largest first.
    pub regions: &'w [Region],
    /// Since when the whole picture has been strange, if it is.
    pub whole_frame: Option<Mono>,
    /// Whether the last picture could be judged: its light is known, it is not strange all over, and enough was seen before it.
    pub is_judged: bool,
}

/// Follows the heat of one camera.
#[derive(Debug, Clone)]
pub struct Watch {
    sensitivity: f32,
    slot: Duration,
    gap: Duration,
    smallest: f32,
    whole_share: f32,
    columns: usize,
    rows: usize,
    recent: Recent,
    kept: Kept,
    /// When each slot of `recent` began.
    began: [Mono; LOOKS],
    /// The slot under way: when it began, and the least heat so far.
    current: Option<Mono>,
    least: Vec<u16>,
    cells: Vec<Cell>,
    regions: Regions,
    covered: Vec<bool>,
    whole: Option<(Mono, u32)>,
    last: Option<Mono>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    hot: bool,
    /// Somebody said that what is here is normal: not told until it has cooled.
    accepted: bool,
    /// Above the limit in the last picture.
    warm: bool,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(spec: &AnomalySpec) -> Self {
        let slot = spec.r#for.0 / (LOOKS - 1) as u32;
        Self {
            sensitivity: spec.sensitivity.0,
            slot,
            gap: GAP.max(slot.saturating_mul(LOOKS as u32)).max(spec.every.0.saturating_mul(3)),
            smallest: spec.smallest.0,
            whole_share: spec.whole_frame.0,
            columns: 0,
            rows: 0,
            recent: Recent::new(0),
            kept: Kept::default(),
            began: [Mono(0); LOOKS],
            current: None,
            least: Vec::new(),
            cells: Vec::new(),
            regions: Regions::default(),
            covered: Vec::new(),
            whole: None,
            last: None,
        }
    }

    /// Takes in the heat of a picture. Cells that a track covers are as if they had not been looked at; a heat without cells, or
    /// with another number of them than it says, is none.
    pub fn observe(&mut self, heat: &Heat, tracks: &[Rect], at: Mono) -> Outlook<'_> {
        if heat.values.is_empty() || heat.columns.checked_mul(heat.rows) != Some(heat.values.len()) {
            return self.outlook();
        }
        if (heat.columns, heat.rows) != (self.columns, self.rows) {
            self.resize(heat.columns, heat.rows);
        }
        if self.last.replace(at).is_some_and(|last| at.since(last) > self.gap) {
            self.recent.clear();
            self.current = None;
        }
        self.covered.clear();
        self.covered.resize(self.cells.len(), false);
        cover(&mut self.covered, self.columns, self.rows, tracks, 1);
        if self.is_whole_frame(heat, at) {
            return self.outlook();
        }
        match self.current {
            Some(began) if at.since(began) >= self.slot => {
                self.close_slot(began);
                // Slots follow each other without a gap, unless pictures come more seldom than slots.
                let next = began + self.slot;
                self.begin_slot(if at.since(next) < self.slot { next } else { at });
            }
            None => self.begin_slot(at),
            Some(_) => {}
        }
        for ((least, value), covered) in self.least.iter_mut().zip(&heat.values).zip(&self.covered) {
            if *value >= 0.0 && !covered {
                *least = (*least).min((value * self.sensitivity * UNIT).min(f32::from(COVERED - 1)) as u16);
            }
        }
        self.regions.shown(|cell| self.cells[cell].warm);
        self.outlook()
    }

    /// What is to be told as things stand.
    pub fn outlook(&self) -> Outlook<'_> {
        let whole_frame = self.whole.filter(|(_, looks)| *looks >= WHOLE_LOOKS).map(|(since, _)| since);
        let is_judged = self.whole.is_none() && self.recent.is_full();
        Outlook { regions: self.regions.told(), whole_frame, is_judged }
    }

    /// Says that what is in a region is normal: it is told no more, and its place not before it has cooled. False where there
    /// is no such region.
    pub fn accept(&mut self, id: u64) -> bool {
        let mut found = false;
        for cell in self.regions.cells(id) {
            (self.cells[cell].accepted, found) = (true, true);
        }
        if found {
            self.find_regions();
        }
        found
    }

    /// Marks the cells whose surroundings, too, are as usual; none while the whole picture is strange.
    pub(super) fn calm(&self, calm: &mut Vec<bool>) {
        calm.clear();
        calm.resize(self.cells.len(), self.whole.is_none());
        for (index, _) in self.cells.iter().enumerate().filter(|(_, cell)| cell.hot || cell.warm) {
            let (row, column) = (index / self.columns, index % self.columns);
            for row in row.saturating_sub(2)..(row + 3).min(self.rows) {
                calm[row * self.columns..][column.saturating_sub(2)..(column + 3).min(self.columns)].fill(false);
            }
        }
    }

    /// Marks the cells that somebody said are normal; false where there are none, or while the whole picture is strange.
    pub(super) fn accepted(&self, cells: &mut Vec<bool>) -> bool {
        cells.clear();
        cells.extend(self.cells.iter().map(|cell| cell.accepted));
        self.whole.is_none() && cells.contains(&true)
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns, rows);
        self.recent = Recent::new(columns * rows);
        self.least.resize(columns * rows, COVERED);
        self.cells.clear();
        self.cells.resize(columns * rows, Cell::default());
        self.regions.reset(columns, rows);
        (self.current, self.whole) = (None, None);
    }

    /// Whether the whole picture is strange. A single cell is no picture.
    fn is_whole_frame(&mut self, heat: &Heat, at: Mono) -> bool {
        let (mut known, mut warm) = (0usize, 0usize);
        for ((cell, value), covered) in self.cells.iter_mut().zip(&heat.values).zip(&self.covered) {
            let seen = *value >= 0.0 && !covered;
            cell.warm = seen && value * self.sensitivity > 1.0;
            known += usize::from(seen);
            warm += usize::from(cell.warm);
        }
        let share = warm as f32 / known.max(1) as f32;
        let strange = self.cells.len() > 1 && share >= self.whole_share;
        match &mut self.whole {
            Some((_, looks)) if strange => *looks = looks.saturating_add(1),
            Some((_, looks)) if *looks < WHOLE_LOOKS || share < self.whole_share / 2.0 => self.whole = None,
            None if strange => self.whole = Some((at, 1)),
            _ => {}
        }
        self.whole.is_some()
    }

    fn begin_slot(&mut self, at: Mono) {
        self.current = Some(at);
        self.least.fill(COVERED);
    }

    fn close_slot(&mut self, began: Mono) {
        self.began[self.recent.next] = began;
        self.recent.push(self.least.iter().copied());
        if !self.recent.is_full() {
            return;
        }
        self.recent.kept_up(&mut self.kept);
        for (index, (cell, kept)) in self.cells.iter_mut().zip(&self.kept.second).enumerate() {
            if *kept != COVERED && *kept > LIMIT {
                cell.hot = true;
            } else if cell.hot || cell.accepted {
                let looks = self.recent.looks.iter().skip(index).step_by(self.columns * self.rows);
                let cool = looks.filter(|look| **look < COOL).count();
                if cool >= usize::from(COOLED) {
                    (cell.hot, cell.accepted) = (false, false);
                }
            }
        }
        self.find_regions();
    }

    fn find_regions(&mut self) {
        let smallest = (self.smallest * self.cells.len() as f32).ceil() as usize;
        self.regions.update(
            &Persistent { cells: &self.cells, recent: &self.recent, kept: &self.kept, began: &self.began },
            smallest,
        );
    }
}

/// What the cells have kept up.
struct Persistent<'w> {
    cells: &'w [Cell],
    recent: &'w Recent,
    kept: &'w Kept,
    began: &'w [Mono; LOOKS],
}

impl Field for Persistent<'_> {
    fn is_hot(&self, cell: usize) -> bool {
        self.cells[cell].hot && !self.cells[cell].accepted
    }

    fn heat(&self, cell: usize) -> Option<f32> {
        self.kept.second.get(cell).filter(|kept| **kept != COVERED).map(|kept| f32::from(*kept) / UNIT)
    }

    /// The beginning of the first of the last slots in which the cell was above its limit.
    fn since(&self, cell: usize) -> Mono {
        let mut slots = (0..LOOKS).map(|slot| (self.recent.next + slot) % LOOKS);
        let above = |slot: &usize| {
            let look = self.recent.looks[slot * self.cells.len() + cell];
            look != COVERED && look > LIMIT
        };
        self.began[slots.find(above).unwrap_or(self.recent.next)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{scene::anomaly::NoHeat, spec::read_table};

    fn watch(text: &str) -> Watch {
        let spec: AnomalySpec = read_table(&mut toml_span::parse(text).unwrap()).unwrap();
        Watch::new(&spec)
    }

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn score(value: f32) -> Heat {
        let mut heat = Heat::default();
        heat.set_score(value, 1.0).unwrap();
        heat
    }

    /// A map of 8 × 8 with this heat in some cells.
    fn map(cells: &[usize], value: f32) -> Heat {
        let mut heat = Heat::default();
        let values: Vec<f32> = (0..64).map(|cell| if cells.contains(&cell) { value } else { 0.1 }).collect();
        heat.set_map(8, 8, &values, 1.0).unwrap();
        heat
    }

    fn run(watch: &mut Watch, from: u64, to: u64, heat: &Heat) -> Vec<Region> {
        (from..to).for_each(|second| drop(watch.observe(heat, &[], at(second)).regions.to_vec()));
        watch.outlook().regions.to_vec()
    }

    #[test]
    fn a_single_score_goes_the_same_way() {
        let mut watch = watch("for = '22s'");
        assert_eq!(run(&mut watch, 0, 22, &score(1.5)), []);
        let regions = run(&mut watch, 22, 30, &score(1.5));
        assert_eq!(regions, [Region { id: 1, rect: Rect::FRAME, since: at(0), score: 1.5, visible: true }]);
        assert_eq!(watch.outlook().whole_frame, None, "one number says nothing of where");
        assert_eq!(run(&mut watch, 30, 60, &score(0.9)).len(), 1, "between the thresholds it lasts");
        assert_eq!(run(&mut watch, 60, 80, &score(0.5)), []);
        assert_eq!(run(&mut watch, 80, 120, &score(1.5))[0].id, 2, "no number is given twice");
    }

    #[test]
    fn a_map_of_ones_own_is_pooled_and_its_limit_is_given() {
        let mut heat = Heat::default();
        let mut values = vec![0.0; 128 * 96];
        values[40 * 128 + 100] = 8.0;
        heat.set_map(128, 96, &values, 4.0).unwrap();
        assert_eq!((heat.columns, heat.rows, heat.hottest()), (64, 64, 2.0));
        assert_eq!(heat.values.iter().filter(|heat| **heat > 0.0).count(), 1);
        let cell = heat.values.iter().position(|heat| *heat > 0.0).unwrap();
        assert!(heat.cell(cell % 64, cell / 64).contains(crate::geometry::Point::new(100.5 / 128.0, 40.5 / 96.0)));
        heat.set_map(2, 1, &[f32::MAX, f32::MIN], f32::MIN_POSITIVE).unwrap();
        assert!(heat.hottest() > 1000.0 && heat.values.iter().all(|heat| heat.is_finite() && *heat >= 0.0), "{heat:?}");
        assert!(matches!(heat.set_map(3, 3, &[0.0; 8], 1.0), Err(NoHeat::Size { .. })));
        assert!(matches!(heat.set_score(f32::NAN, 1.0), Err(NoHeat::Value(_))));
        assert!(matches!(heat.set_score(1.0, 0.0), Err(NoHeat::Limit(_))));
    }

    #[test]
    fn one_that_splits_or_grows_keeps_its_number() {
        let mut watch = watch("for = '11s'\nsmallest = 0.03");
        assert_eq!(run(&mut watch, 0, 30, &map(&[9], 2.0)), [], "one cell is too small");
        let grown = run(&mut watch, 30, 60, &map(&[9, 10, 18], 2.0));
        assert_eq!((grown.len(), grown[0].rect), (1, Rect::new(0.125, 0.125, 0.25, 0.25)));
        let two = run(&mut watch, 60, 90, &map(&[9, 10, 18, 54, 55], 2.0));
        assert_eq!(two.iter().map(|region| region.id).collect::<Vec<_>>(), [1, 2]);
        let joined = run(&mut watch, 90, 120, &map(&[9, 10, 18, 27, 36, 45, 54, 55], 2.0));
        assert_eq!(joined.iter().map(|region| region.id).collect::<Vec<_>>(), [1]);
        let parted = run(&mut watch, 120, 150, &map(&[9, 10, 18, 27, 45, 54, 55], 2.0));
        assert_eq!(parted.iter().map(|region| region.id).collect::<Vec<_>>(), [1], "its parts are no new things");
        assert_eq!(parted[0].rect, joined[0].rect);
    }

    #[test]
    fn a_track_hides_and_does_not_end() {
        let (mut watch, heat) = (watch("for = '11s'"), map(&[9, 10], 2.0));
        let track = Rect::new(0.13, 0.13, 0.2, 0.1);
        (0..60).for_each(|second| assert_eq!(watch.observe(&heat, &[track], at(second)).regions, []));
        assert_eq!(run(&mut watch, 60, 80, &heat).len(), 1);
        for second in 80..200 {
            assert_eq!(watch.observe(&heat, &[track], at(second)).regions.len(), 1);
        }
    }

    #[test]
    fn a_pause_begins_anew() {
        let (mut watch, heat) = (watch("for = '60s'"), map(&[9, 10], 2.0));
        run(&mut watch, 0, 55, &heat);
        assert_eq!(run(&mut watch, 5000, 5055, &heat), []);
        assert_eq!(run(&mut watch, 5055, 5075, &heat).len(), 1);
        assert_eq!(run(&mut watch, 9000, 9001, &heat).len(), 1, "what is told stays told");
    }

    #[test]
    fn pictures_that_come_seldom_need_a_dozen() {
        let (mut watch, heat) = (watch("for = '10s'\nevery = '15m'"), map(&[9, 10], 2.0));
        for look in 0..12 {
            assert_eq!(watch.observe(&heat, &[], at(look * 900)).regions, []);
        }
        let regions = watch.observe(&heat, &[], at(12 * 900)).regions.to_vec();
        assert_eq!((regions.len(), regions[0].since), (1, at(0)));
    }

    #[test]
    fn what_is_no_heat_changes_nothing() {
        let (mut watch, heat) = (watch("for = '11s'"), map(&[9, 10], 2.0));
        let told = run(&mut watch, 0, 30, &heat);
        for none in [Heat::default(), Heat { columns: 0, ..heat.clone() }, Heat { rows: usize::MAX, ..heat.clone() }] {
            assert_eq!(watch.observe(&none, &[], at(30)).regions, told);
        }
    }

    proptest! {
        /// Whatever comes: a region begins only after `for`, ends only after half a dozen cool slots, and numbers are stable.
        #[test]
        fn it_never_flaps(values in proptest::collection::vec((0.0f32..2.5, 0usize..4), 60..300), columns in 1usize..5) {
            let mut watch = watch("for = '11s'\nwhole_frame = 1\nsmallest = 0");
            let mut second = 0u64;
            let mut history: Vec<f32> = Vec::new();
            let mut before: Vec<Region> = Vec::new();
            for (value, repeat) in values {
                for _ in 0..=repeat * 4 {
                    let mut heat = Heat::default();
                    let cells: Vec<f32> = (0..columns * 3).map(|cell| if cell == 0 { value } else { 0.2 }).collect();
                    heat.set_map(columns, 3, &cells, 1.0).unwrap();
                    let now = watch.observe(&heat, &[], at(second)).regions.to_vec();
                    match (before.first(), now.first()) {
                        (None, Some(region)) => {
                            let above = history.iter().rev().take(12).filter(|value| **value > 1.0).count();
                            prop_assert!(above >= 11 && at(second).since(region.since) >= Duration::from_secs(11));
                        }
                        (Some(old), Some(region)) => prop_assert!(old.id == region.id && old.since == region.since),
                        (Some(_), None) => {
                            let cool = history.iter().rev().take(12).filter(|value| **value < 0.71).count();
                            prop_assert!(cool >= 6);
                        }
                        (None, None) => {}
                    }
                    history.push(value);
                    before = now;
                    second += 1;
                }
            }
        }
    }
}
