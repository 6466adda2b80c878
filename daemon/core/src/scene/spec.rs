//! What the judgement of a camera's pictures can be told.

use crate::{
    sensor::anomaly::spec::Count,
    spec,
    spec::{Fraction, TimeSpan},
};

spec! {
    /// When a camera is blind, moved or frozen.
    pub struct HealthSpec {
        /// A condition must last for so long, over at least three key frames; shorter ones are trucks, headlights and people at the lens.
        r#for: TimeSpan = TimeSpan::secs(20),
        /// Pictures must have been identical for so long to count as frozen.
        frozen_for: TimeSpan = TimeSpan::secs(60),
        /// The least shift that counts as moved, as a share of the frame's width or height. Below 0.01 wind and zoom do it.
        least_shift: Fraction = Fraction(0.015),
        /// How many views the camera is turned to in its ordinary service: 1 for a fixed one.
        presets: Count<1, 8> = Count::new(1),
    }
}
