//! Motion in the sizes of encoded pictures, where a camera's rate control leaves it there.
//!
//! Between key frames an encoder spends bytes on what changes. Under constant quality a walker stands out of a quiet
//! camera's stream at once; under constant bit rate with a noisy sensor nothing does. So sizes are learnt per camera and
//! held against what the key frames showed: only a camera whose sizes have told motion, and have not cried wolf, is
//! woken by them. One that has not is none the worse for it: its key frames are looked at all the same.
//!
//! The detector is a one-sided CUSUM (Page 1954) over robust scores: the logarithm of a size, less the median, over 1.4826
//! times the median absolute deviation, both tracked by stochastic approximation of the quantile (Robbins and Monro 1951).

use snowgate_core::choice;

/// Sizes seen before any score is believed.
const WARM_UP: u32 = 100;
/// How far median and deviation move with each size, as a share of the deviation.
const GAIN: f32 = 0.01;
/// The least deviation of a logarithm: encoders that send nearly constant sizes must not fire at every hiccup.
const LEAST_DEVIATION: f32 = 0.03;
/// Scores below this are noise.
const SLACK: f32 = 1.5;
/// One picture alone counts for so much at the most.
const MOST: f32 = 6.0;
/// The sum at which it fires.
const FIRES_AT: f32 = 12.0;
/// Intervals with motion, and without, before it is judged.
const JUDGED_AFTER: (f32, f32) = (5.0, 30.0);
/// It must have fired in such a share of the intervals with motion…
const HITS_NEEDED: f32 = 0.7;
/// …and in no more of those without.
const FALSE_ALLOWED: f32 = 0.03;
/// How much of what was learnt is kept with each further interval: about the last two hundred count.
const MEMORY: f32 = 0.995;

choice! {
    /// What the sizes of a camera are good for.
    pub enum Informative {
        /// Too little has been seen to say.
        Learning = "learning",
        /// They tell motion, and wake the camera.
        Yes = "informative",
        /// They do not; only key frames are believed.
        No = "uninformative",
    }
}

/// The sizes of one camera's encoded pictures while it is quiet.
#[derive(Debug, Default)]
pub struct PacketSizes {
    seen: u32,
    median: f32,
    deviation: f32,
    sum: f32,
    fired: bool,
    hits: f32,
    misses: f32,
    falses: f32,
    quiets: f32,
}

impl PacketSizes {
    /// A picture that is no key frame arrived. Answers whether the detector fires with it, once an interval.
    pub fn arrived(&mut self, bytes: usize) -> bool {
        let size = (bytes.max(1) as f32).ln();
        if self.seen == 0 {
            (self.median, self.deviation) = (size, 0.2);
        }
        let score = (size - self.median) / (1.4826 * self.deviation.max(LEAST_DEVIATION));
        // Early estimates are far off; larger steps bring them home.
        let gain = GAIN.max(2.0 / (self.seen as f32 + 2.0)) * self.deviation.max(LEAST_DEVIATION);
        self.median += gain * (size - self.median).signum();
        self.deviation = (self.deviation + gain * ((size - self.median).abs() - self.deviation).signum()).max(1e-3);
        self.seen = self.seen.saturating_add(1);
        if self.seen <= WARM_UP {
            return false;
        }
        self.sum = (self.sum + (score - SLACK).min(MOST)).max(0.0);
        let fires = self.sum >= FIRES_AT && !self.fired;
        self.fired |= fires;
        fires
    }

    /// An interval between two looks is over; `moved` says what the pictures showed of it.
    pub fn judged(&mut self, moved: bool) {
        let fired = std::mem::take(&mut self.fired);
        self.sum = 0.0;
        if self.seen <= WARM_UP {
            return;
        }
        for count in [&mut self.hits, &mut self.misses, &mut self.falses, &mut self.quiets] {
            *count *= MEMORY;
        }
        match (moved, fired) {
            (true, true) => self.hits += 1.0,
            (true, false) => self.misses += 1.0,
            (false, true) => self.falses += 1.0,
            (false, false) => self.quiets += 1.0,
        }
    }

    /// What they are good for, by what was learnt.
    pub fn informative(&self) -> Informative {
        let (moving, still) = (self.hits + self.misses, self.falses + self.quiets);
        if still >= JUDGED_AFTER.1 && self.falses > FALSE_ALLOWED * still {
            return Informative::No;
        }
        if moving < JUDGED_AFTER.0 || still < JUDGED_AFTER.1 {
            return Informative::Learning;
        }
        if self.hits >= HITS_NEEDED * moving { Informative::Yes } else { Informative::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals of 49 pictures; every tenth shows motion, which makes pictures `factor` times as large.
    fn learnt(factor: f32, intervals: usize) -> PacketSizes {
        let mut sizes = PacketSizes::default();
        let mut state = 1u32;
        for interval in 0..intervals {
            let moved = interval % 10 == 9;
            for picture in 0..49 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = 0.9 + 0.2 * (state >> 8) as f32 / (1 << 24) as f32;
                let scale = if moved && picture > 20 { factor } else { 1.0 };
                sizes.arrived((8_000.0 * noise * scale) as usize);
            }
            sizes.judged(moved);
        }
        sizes
    }

    #[test]
    fn sizes_that_grow_with_motion_are_believed_and_others_are_not() {
        assert_eq!(learnt(2.0, 20).informative(), Informative::Learning);
        assert_eq!(learnt(2.0, 200).informative(), Informative::Yes);
        assert_eq!(learnt(1.0, 200).informative(), Informative::No);
    }

    #[test]
    fn a_stream_that_cries_wolf_is_not_believed() {
        let mut sizes = learnt(2.0, 200);
        for interval in 0..60 {
            for _ in 0..49 {
                sizes.arrived(if interval % 3 == 0 { 20_000 } else { 8_000 });
            }
            sizes.judged(false);
        }
        assert_eq!(sizes.informative(), Informative::No);
    }

    #[test]
    fn sizes_of_any_kind_do_no_harm() {
        let mut sizes = PacketSizes::default();
        for bytes in [0, 1, usize::MAX, 5, 0, 0, 0].into_iter().cycle().take(5_000) {
            sizes.arrived(bytes);
        }
        assert!(sizes.median.is_finite() && sizes.deviation.is_finite() && sizes.sum.is_finite());
    }

    #[test]
    fn it_fires_within_half_a_second_once_learnt() {
        let mut sizes = learnt(2.0, 200);
        let after = (0..49).position(|_| sizes.arrived(16_000)).unwrap();
        assert!(after < 12, "{after} pictures");
    }
}
