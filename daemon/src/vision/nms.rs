//! One thing, one box: non-maximum suppression within a region, and joining what several regions saw.

use snowgate_core::geometry::Rect;

use super::preprocess::PixelRect;

/// The most boxes a decoder hands on, unless said otherwise; a model that floods is cut to its best.
pub const MAX_CANDIDATES: usize = 512;

/// One box of a model's output, before it has a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Index into the manifest's labels.
    pub class: u16,
    /// Score, 0..1.
    pub score: f32,
    /// Where, in fractions of the frame.
    pub rect: Rect,
    /// Whether a border of its region that is not the frame's edge cuts it (perhaps).
    pub cut: bool,
}

/// A list of candidates that keeps the best of them, [`MAX_CANDIDATES`] unless said otherwise, whatever is thrown at it.
#[derive(Debug)]
pub struct Candidates {
    list: Vec<Candidate>,
    most: usize,
    /// Scores at or below this are not worth keeping any more.
    floor: f32,
    /// Whether candidates had to be dropped because there were too many.
    overflowed: bool,
}

impl Default for Candidates {
    fn default() -> Self {
        Self::keeping(MAX_CANDIDATES)
    }
}

impl Candidates {
    /// A list that keeps so many.
    pub fn keeping(most: usize) -> Self {
        Self { list: Vec::new(), most, floor: 0.0, overflowed: false }
    }

    /// Empties the list; only scores above `floor` are taken from now on.
    pub fn reset(&mut self, floor: f32) {
        self.list.clear();
        self.list.reserve(2 * self.most);
        self.floor = floor;
        self.overflowed = false;
    }

    /// Whether there were more candidates since the last reset than are kept: what is left is not all there was.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether a score is worth decoding its box for.
    pub fn wants(&self, score: f32) -> bool {
        score > self.floor
    }

    /// Adds a candidate; one that is no box of finite size, or not good enough, is dropped.
    pub fn push(&mut self, candidate: Candidate) {
        let Rect { x, y, width, height } = candidate.rect;
        let sane = [x, y, width, height].into_iter().all(f32::is_finite) && width > 0.0 && height > 0.0;
        if !sane || !self.wants(candidate.score) {
            return;
        }
        self.list.push(Candidate { score: candidate.score.min(1.0), ..candidate });
        if self.list.len() >= 2 * self.most {
            self.list.sort_unstable_by(order);
            self.list.truncate(self.most);
            self.overflowed = true;
            self.floor = self.list.last().map_or(self.floor, |worst| worst.score);
        }
    }

    /// Keeps the best of boxes of one class that overlap by more than `iou` (greedy, as in Girshick et al., R-CNN).
    /// Returns what is left, best first.
    pub fn suppress(&mut self, iou: f32) -> &[Candidate] {
        self.list.sort_unstable_by(order);
        self.overflowed |= self.list.len() > self.most;
        self.list.truncate(self.most);
        keep_best(&mut self.list, |kept, other| kept.class == other.class && kept.rect.iou(&other.rect) > iou);
        &self.list
    }
}

/// Best first; ties in a fixed order, so that the same picture always gives the same list.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    (b.score.total_cmp(&a.score))
        .then(a.class.cmp(&b.class))
        .then(a.rect.x.total_cmp(&b.rect.x))
        .then(a.rect.y.total_cmp(&b.rect.y))
        .then(a.rect.width.total_cmp(&b.rect.width))
        .then(a.rect.height.total_cmp(&b.rect.height))
}

/// Goes through a sorted list and removes what `same` says is the same thing as an earlier one.
fn keep_best(list: &mut Vec<Candidate>, same: impl Fn(&Candidate, &Candidate) -> bool) {
    let mut kept = 0;
    for i in 0..list.len() {
        let candidate = list[i];
        if !list[..kept].iter().any(|better| same(better, &candidate)) {
            list[kept] = candidate;
            kept += 1;
        }
    }
    list.truncate(kept);
}

/// Share of the smaller box that must lie in the other for two regions' boxes to be one thing.
const CONTAINED: f32 = 0.7;

/// Joins what overlapping regions saw of the same picture: whole boxes win over cut ones, then scores decide.
/// Two whole boxes are one thing when they overlap by more than `iou`; a cut box is also the same thing as one that
/// contains most of it.
pub fn merge_regions(list: &mut Vec<Candidate>, iou: f32) {
    list.sort_unstable_by(|a, b| a.cut.cmp(&b.cut).then(order(a, b)));
    keep_best(list, |kept, other| {
        kept.class == other.class
            && (kept.rect.iou(&other.rect) > iou || (other.cut && other.rect.share_inside(&kept.rect) > CONTAINED))
    });
}

/// Whether a box touches a border of its region that is not also the frame's.
pub fn is_cut(rect: &Rect, region: &PixelRect, frame: (u32, u32)) -> bool {
    let outer = region.in_frame(frame.0, frame.1);
    // Detectors rarely draw a cut thing's box exactly to the border.
    let (near_x, near_y) = (outer.width * 0.012, outer.height * 0.012);
    (region.x > 0 && rect.x < outer.x + near_x)
        || (region.y > 0 && rect.y < outer.y + near_y)
        || (region.right() < frame.0 && rect.right() > outer.right() - near_x)
        || (region.bottom() < frame.1 && rect.bottom() > outer.bottom() - near_y)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(score: f32, x: f32, width: f32, cut: bool) -> Candidate {
        Candidate { class: 0, score, rect: Rect::new(x, 0.2, width, 0.3), cut }
    }

    #[test]
    fn a_thing_on_a_region_border_is_one_thing() {
        // The right-hand region saw all of it, the left-hand one a third, more confidently.
        let mut list = vec![candidate(0.9, 0.45, 0.05, true), candidate(0.6, 0.45, 0.15, false)];
        merge_regions(&mut list, 0.5);
        assert_eq!(list, [candidate(0.6, 0.45, 0.15, false)]);
        // A small whole thing in front of a large one stays.
        let mut list = vec![candidate(0.9, 0.45, 0.05, false), candidate(0.6, 0.45, 0.15, false)];
        merge_regions(&mut list, 0.5);
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn only_inner_borders_cut() {
        let region = PixelRect { x: 0, y: 100, width: 300, height: 300 };
        let cut = |x, y, w, h| is_cut(&Rect::new(x, y, w, h), &region, (600, 400));
        assert!(!cut(0.0, 0.4, 0.1, 0.6), "the frame's own left and bottom edges");
        assert!(cut(0.4, 0.4, 0.1, 0.2), "right");
        assert!(cut(0.2, 0.25, 0.1, 0.2), "top");
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let number = prop_oneof![4 => 0.0f32..1.0, 1 => any::<f32>()];
        (0u16..3, number.clone(), number.clone(), number.clone(), number.clone(), number, any::<bool>()).prop_map(
            |(class, score, x, y, w, h, cut)| Candidate { class, score, rect: Rect { x, y, width: w, height: h }, cut },
        )
    }

    proptest! {
        #[test]
        fn suppression_leaves_nothing_that_overlaps_and_loses_no_best(
            candidates in prop::collection::vec(any_candidate(), 0..300), iou in 0.1f32..0.9,
        ) {
            let mut list = Candidates::default();
            list.reset(0.2);
            candidates.iter().for_each(|candidate| list.push(*candidate));
            let best = candidates
                .iter()
                .filter(|c| c.rect.width > 0.0 && c.rect.height > 0.0 && c.score > 0.2)
                .filter(|c| [c.rect.x, c.rect.y, c.rect.width, c.rect.height].into_iter().all(f32::is_finite))
                .map(|c| c.score.min(1.0))
                .fold(0.0, f32::max);
            let kept = list.suppress(iou);
            prop_assert_eq!(kept.first().map_or(0.0, |first| first.score), best);
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(a.score > 0.2 && a.score <= 1.0);
                for b in &kept[..i] {
                    prop_assert!(a.class != b.class || a.rect.iou(&b.rect) <= iou);
                    prop_assert!(b.score >= a.score);
                }
            }
        }

        #[test]
        fn a_flood_is_cut_to_the_best(scores in prop::collection::vec(0.3f32..1.0, 2000..4000)) {
            let mut list = Candidates::default();
            list.reset(0.2);
            for (i, score) in scores.iter().enumerate() {
                list.push(candidate(*score, i as f32, 0.5, false));
                prop_assert!(list.list.len() < 2 * MAX_CANDIDATES);
            }
            let mut sorted = scores.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let kept: Vec<f32> = list.suppress(0.5).iter().map(|candidate| candidate.score).collect();
            prop_assert_eq!(&kept[..], &sorted[..MAX_CANDIDATES]);
            prop_assert!(list.overflowed());
        }
    }
}
