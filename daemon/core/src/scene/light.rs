//! Which light a camera sees by. What is normal differs between them, so each has a memory of its own.

use std::time::Duration;

use super::view::Measures;
use crate::{choice, time::Mono};

choice! {
    /// The light a camera sees by.
    pub enum Light {
        /// Colour, and enough of light.
        Day = "day",
        /// Colour, but dark: street lamps, the camera's own white light, late dusk.
        Dark = "dark",
        /// No colour: the infra-red cut filter is out.
        Infrared = "infrared",
    }
}

impl Light {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Dark, Self::Infrared];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Chroma's spread up to which a picture has no colour, and from which on it has some. Infra-red pictures have exactly none
/// before coding, and less than half a step after it; a white-out of snow still has one or two steps.
const COLOUR: [f32; 2] = [0.7, 1.2];
/// Mean luma up to which it is dark, and from which on it is not.
const DARK: [f32; 2] = [45.0, 62.0];
/// The mean is followed so slowly that a hand in front of the lens is no dusk.
const FOLLOW: Duration = Duration::from_secs(180);
/// A picture that shows nothing says nothing of the light: whatever hides the scene may be as grey as infra-red.
const MOST_FLAT: f32 = 0.96;

/// Tells the light of a camera from its key frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LightMeter {
    light: Option<Light>,
    mean: f32,
    last: Option<Mono>,
}

impl LightMeter {
    /// The light after a picture that is fit to be looked at.
    pub(super) fn take(&mut self, measures: &Measures, at: Mono) -> Light {
        let passed = self.last.replace(at).map(|last| at.since(last));
        if measures.flat > MOST_FLAT {
            return *self.light.get_or_insert(Light::Day);
        }
        match (self.light, passed) {
            (Some(_), Some(passed)) => {
                let share = 1.0 - (-passed.as_secs_f32() / FOLLOW.as_secs_f32()).exp();
                self.mean += share * (measures.mean - self.mean);
            }
            _ => self.mean = measures.mean,
        }
        let colour_limit = if self.light == Some(Light::Infrared) { COLOUR[1] } else { COLOUR[0] };
        let dark_limit = if self.light == Some(Light::Dark) { DARK[1] } else { DARK[0] };
        let light = match measures.colour {
            Some(spread) if spread >= colour_limit => {
                if self.mean < dark_limit {
                    Light::Dark
                } else {
                    Light::Day
                }
            }
            _ => Light::Infrared,
        };
        *self.light.insert(light)
    }

    /// The light as it was last told.
    pub(super) fn light(&self) -> Light {
        self.light.unwrap_or(Light::Day)
    }
}
