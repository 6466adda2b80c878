//! What is shown: what is learnt from, what nothing may be told of, and what must be told.

use std::time::Duration;

use crate::{
    camera::Taking,
    happening::{GROWS_FOR, Happening, Kind},
    random::Random,
    rendered::{Lit, Place},
};

/// The quantiser of H.264 that all pictures are coded with, and the one after a change of compression.
pub const QUANTISER: u32 = 26;
pub const COARSE: u32 = 40;

/// Sizes of things, as shares of the frame.
pub const SIZES: [f32; 3] = [0.03, 0.01, 0.003];

/// A camera's scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The film.
    Film,
    /// A rendered place.
    Rendered(Place),
}

impl View {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Film, Self::Rendered(Place::Street), Self::Rendered(Place::River), Self::Rendered(Place::Yard)];

    /// What it is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Film => "vtest (film)",
            Self::Rendered(Place::Street) => "street (synthetic)",
            Self::Rendered(Place::River) => "river (synthetic)",
            Self::Rendered(Place::Yard) => "yard (synthetic)",
        }
    }

    /// The lights it is seen in.
    pub fn lights(self) -> &'static [Lit] {
        match self {
            Self::Film => &[Lit::Day],
            Self::Rendered(_) => &[Lit::Day, Lit::Dark, Lit::Infrared],
        }
    }
}

/// A run of pictures that nothing may be told of.
#[derive(Debug, Clone, Copy)]
pub struct Negative {
    /// What is in it.
    pub name: &'static str,
    /// How it is taken.
    pub taking: Taking,
    /// How it is coded.
    pub quantiser: u32,
    /// Pictures.
    pub pictures: usize,
}

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Pictures to learn from by day, and in each other light.
    pub learnt: (usize, usize),
    /// A hundredth of the pictures of each negative run.
    pub negatives: usize,
    /// Happenings of a kind, a size and a contrast for each view.
    pub each: u64,
    /// Seconds of an episode with a thing; smoke and water go on for as much longer as they grow.
    pub seconds: f32,
    /// Sizes of things.
    pub sizes: &'static [f32],
    /// Contrasts of objects, in steps of luma.
    pub contrasts: &'static [f32],
    /// What smoke and water hide.
    pub hidden: &'static [f32],
}

impl Amount {
    /// What a published figure needs.
    pub const FULL: Self = Self {
        learnt: (300, 150),
        negatives: 100,
        each: 2,
        seconds: 240.0,
        sizes: &SIZES,
        contrasts: &[10.0, 25.0, 60.0],
        hidden: &[0.35, 0.75],
    };
    /// Whether everything works.
    pub const QUICK: Self = Self {
        learnt: (150, 75),
        negatives: 20,
        each: 1,
        seconds: 200.0,
        sizes: &[SIZES[0], SIZES[2]],
        contrasts: &[25.0],
        hidden: &[0.75],
    };

    /// How often a picture is learnt from: by day they go on for as long as shadows take to go through the frame.
    pub fn learning(&self) -> Duration {
        Duration::from_secs(9000 / self.learnt.0 as u64)
    }

    /// What nothing may be told of, in a light.
    pub fn negatives(&self, view: View, lit: Lit) -> Vec<Negative> {
        let ordinary = Taking::ordinary(lit, true);
        let of = |name, taking, quantiser, hundreds: f32| Negative {
            name,
            taking,
            quantiser,
            pictures: (hundreds * self.negatives as f32) as usize,
        };
        let share = if lit == Lit::Day { 1.0 } else { 0.6 };
        let walkers = if view == View::Film { "walkers" } else { "walkers, leaves, shadows" };
        vec![
            of(walkers, ordinary, QUANTISER, 2.4 * share),
            of("light goes up and down", Taking { drift: 1.0, ..ordinary }, QUANTISER, 1.4 * share),
            of("more noise", Taking { noise: 4.0, ..ordinary }, QUANTISER, share),
            of("coarser coding", ordinary, COARSE, share),
        ]
    }

    /// What must be told.
    pub fn episodes(&self, seed: u64) -> Vec<Episode> {
        let mut episodes = Vec::new();
        for view in View::ALL {
            let mut add = |kind: Kind, size: f32, contrast: f32, times: u64, only_by_day: bool| {
                for time in 0..times {
                    let number = episodes.len() as u64;
                    let seed = seed ^ (number << 20) ^ time;
                    let mut random = Random::new(seed, 5);
                    // Things stand on the ground, smoke rises from it.
                    let down = if kind == Kind::Smoke { (0.35, 0.75) } else { (0.5, 0.92) };
                    let at = (random.between(0.1, 0.9), random.between(down.0, down.1));
                    let lights = view.lights();
                    let lit =
                        if only_by_day { Lit::Day } else { lights[(number as usize + time as usize) % lights.len()] };
                    episodes.push(Episode { view, lit, happening: Happening { kind, size, contrast, at, seed } });
                }
            };
            for size in self.sizes.iter().copied() {
                for contrast in self.contrasts.iter().copied() {
                    add(Kind::Object, size, contrast, self.each, false);
                }
                add(Kind::Person, size, 0.0, self.each, true);
                for hidden in self.hidden.iter().copied() {
                    add(Kind::Smoke, size, hidden, 1, true);
                    add(Kind::Water, size, hidden, 1, true);
                }
            }
            for share in [0.02, 0.05, 0.1, 0.2] {
                add(Kind::Shift, share, 0.0, 2 * self.each, false);
            }
            for radius in [0.005, 0.01, 0.02] {
                add(Kind::Defocus, radius, 0.0, self.each, true);
            }
            for left in [0.3, 0.1, 0.02] {
                add(Kind::Dimming, left, 0.0, self.each, true);
            }
            for share in [0.7, 0.85, 1.0] {
                add(Kind::Covering, share, 0.0, self.each, false);
            }
            add(Kind::Freezing, 1.0, 0.0, self.each, false);
        }
        episodes
    }
}

/// Something happens before a camera that has learnt its scene.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Where.
    pub view: View,
    /// In which light.
    pub lit: Lit,
    /// What.
    pub happening: Happening,
}

impl Episode {
    /// Ordinary pictures before it.
    pub const BEFORE: usize = 5;

    /// Pictures from its beginning on.
    pub fn pictures(&self, amount: &Amount, every: f32) -> usize {
        let seconds = match self.happening.kind {
            kind if kind.grows() => amount.seconds + GROWS_FOR,
            Kind::Freezing => 100.0,
            kind if kind.is_in_scene() => amount.seconds,
            _ => 60.0,
        };
        (seconds / every).ceil() as usize
    }
}
