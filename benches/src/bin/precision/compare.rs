//! What counts as lost and won.
//!
//! Two detections are *partners* when they have one label and their boxes overlap by half (IoU ≥ 0.5). Above the score rules
//! go by, a float detection without a partner is **lost**, and one of the other file without a partner is **won**. A lost one is
//! **gone** when it has no partner even at half that score: a tracker, which goes on by weaker detections, would not see
//! it either. **Drift** is the score of a float detection's best-overlapping partner, from half the score on, minus its own.

use serde::Serialize;
use snowgate_core::observation::Detection;

/// Boxes that overlap by this are one thing.
const SAME: f32 = 0.5;

/// Counted over any number of regions.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    float: usize,
    found: usize,
    lost: usize,
    gone: usize,
    won: usize,
    drifts: Vec<f32>,
}

/// [`Counts`] as they are reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Detections of the float file.
    pub float: usize,
    /// Detections of this file.
    pub found: usize,
    /// Lost.
    pub lost: usize,
    /// Lost altogether.
    pub gone: usize,
    /// Won.
    pub won: usize,
    /// Mean drift.
    pub drift_mean: f32,
    /// 95 % of all drifts are no larger than this, whichever their sign.
    pub drift_p95: f32,
}

/// Compares what two files found in one region, both from half the threshold on.
pub fn counts(float: &[Detection], other: &[Detection], threshold: f32) -> Counts {
    let above = |detections: &[Detection]| -> Vec<Detection> {
        detections.iter().filter(|detection| detection.score > threshold).cloned().collect()
    };
    let (float_above, other_above) = (above(float), above(other));
    let lacks = |one: &Detection, those: &[Detection]| partner(one, those).is_none();
    let lost = float_above.iter().filter(|one| lacks(one, &other_above));
    Counts {
        float: float_above.len(),
        found: other_above.len(),
        gone: lost.clone().filter(|one| lacks(one, other)).count(),
        lost: lost.count(),
        won: other_above.iter().filter(|one| lacks(one, &float_above)).count(),
        drifts: float_above.iter().filter_map(|one| Some(partner(one, other)?.score - one.score)).collect(),
    }
}

fn partner<'a>(one: &Detection, those: &'a [Detection]) -> Option<&'a Detection> {
    let same = those.iter().filter(|other| other.label == one.label);
    let overlaps = same.map(|other| (other.rect.iou(&one.rect), other)).filter(|(overlap, _)| *overlap >= SAME);
    overlaps.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

impl Counts {
    /// Counts more regions.
    pub fn add(&mut self, other: &Self) {
        self.float += other.float;
        self.found += other.found;
        self.lost += other.lost;
        self.gone += other.gone;
        self.won += other.won;
        self.drifts.extend_from_slice(&other.drifts);
    }

    /// What is reported of them.
    pub fn summary(&self) -> Summary {
        let Self { float, found, lost, gone, won, .. } = *self;
        let drift_mean = self.drifts.iter().sum::<f32>() / self.drifts.len().max(1) as f32;
        let mut sizes: Vec<f32> = self.drifts.iter().map(|drift| drift.abs()).collect();
        sizes.sort_unstable_by(f32::total_cmp);
        let drift_p95 = sizes.get(sizes.len().saturating_sub(1) * 95 / 100).copied().unwrap_or_default();
        Summary { float, found, lost, gone, won, drift_mean, drift_p95 }
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::geometry::Rect;

    use super::*;

    fn thing(label: &str, score: f32, x: f32) -> Detection {
        Detection { label: label.into(), score, rect: Rect::new(x, 0.1, 0.2, 0.2) }
    }

    #[test]
    fn nothing_is_lost_or_won_against_itself() {
        let same = [thing("car", 0.9, 0.1), thing("car", 0.3, 0.5)];
        let summary = counts(&same, &same, 0.4).summary();
        let wanted = Summary { float: 1, found: 1, lost: 0, gone: 0, won: 0, drift_mean: 0.0, drift_p95: 0.0 };
        assert_eq!(summary, wanted);
    }

    #[test]
    fn lost_gone_and_won_are_told_apart() {
        let float = [thing("car", 0.9, 0.1), thing("car", 0.5, 0.4), thing("car", 0.6, 0.7)];
        // The first has another label, the second falls below the threshold, the third has moved a little.
        let other = [thing("bus", 0.9, 0.1), thing("car", 0.3, 0.4), thing("car", 0.7, 0.72)];
        let counted = counts(&float, &other, 0.4);
        let summary = counted.summary();
        assert_eq!((summary.float, summary.found), (3, 2));
        assert_eq!((summary.lost, summary.gone, summary.won), (2, 1, 1));
        assert!((summary.drift_mean + 0.05).abs() < 1e-6, "−0.2 and +0.1: {summary:?}");
        let mut twice = counted.clone();
        twice.add(&counted);
        assert_eq!((twice.summary().lost, twice.summary().float), (4, 6));
    }
}
