//! How regularly a camera sends key frames, and why looking at them alone would not do.
//!
//! Cameras with "smart" coding (H.264+, H.265+) stretch their groups of pictures while nothing moves, some send one key frame
//! and then none, some refresh the picture in stripes and never send one that stands for itself. Looking at key frames
//! alone would make such a camera blind. Here that is noticed, and ends when the stream is regular again.

use std::{fmt, time::Duration};

use snowgate_core::time::Mono;

/// So many regular key frames in a row end a fallback.
const REGULAR: u32 = 3;
/// Without any picture for so long the stream has begun anew, and what was before it says nothing of the time between.
const INTERRUPTION: Duration = Duration::from_secs(3);
/// So many key frames in a row that give no picture on their own cannot be looked at.
const UNUSABLE: u32 = 2;
/// Every so many key frames it is tried again whether they have become usable.
const TRY_AGAIN: u32 = 150;

/// Why a camera has everything decoded although its gate says key frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// No key frame for longer than allowed.
    KeysTooFarApart {
        /// The longest interval allowed.
        allowed: Duration,
    },
    /// Its key frames give no picture on their own (gradual refresh).
    KeysUnusable,
    /// The ring does not reach back to the key frame looked at before, so what moved in between would be lost.
    RingTooShort,
}

impl Fallback {
    /// Every reason's word in the metrics.
    pub const WORDS: [&str; 3] = ["keys_too_far_apart", "keys_unusable", "ring_too_short"];

    /// The word of this one.
    pub fn word(self) -> &'static str {
        match self {
            Self::KeysTooFarApart { .. } => "keys_too_far_apart",
            Self::KeysUnusable => "keys_unusable",
            Self::RingTooShort => "ring_too_short",
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeysTooFarApart { allowed } => {
                write!(f, "its key frames are more than {} s apart (smart coding?)", allowed.as_secs_f32())
            }
            Self::KeysUnusable => f.write_str("its key frames give no picture on their own (gradual refresh?)"),
            Self::RingTooShort => f.write_str("its ring does not reach back to the key frame looked at before"),
        }
    }
}

/// What is known of one camera's key frames.
#[derive(Debug)]
pub struct Cadence {
    allowed: Duration,
    last_key: Option<Mono>,
    last_picture: Option<Mono>,
    fallback: Option<Fallback>,
    regular: u32,
    unusable: u32,
}

impl Cadence {
    /// For a camera whose key frames may be so far apart.
    pub fn new(allowed: Duration) -> Self {
        Self { allowed, last_key: None, last_picture: None, fallback: None, regular: 0, unusable: 0 }
    }

    /// An encoded picture arrived. Answers whether it makes the camera fall back just now.
    pub fn arrived(&mut self, key: bool, at: Mono) -> bool {
        let interrupted =
            self.last_picture.is_some_and(|last| at.since(last) > INTERRUPTION || last.since(at) > INTERRUPTION);
        self.last_picture = Some(at);
        if interrupted {
            self.last_key = None;
        }
        // A stream begins with a key frame; before the first nothing can be said.
        let Some(last) = self.last_key else {
            self.last_key = key.then_some(at);
            return false;
        };
        let too_far = at.since(last) > self.allowed;
        if key {
            self.last_key = Some(at);
            self.regular = if too_far { 0 } else { self.regular + 1 };
            self.recover();
        }
        too_far && self.fall_back(Fallback::KeysTooFarApart { allowed: self.allowed })
    }

    /// A key frame was looked at on its own; did a picture come of it? Answers whether the camera falls back now.
    pub fn looked(&mut self, picture: bool) -> bool {
        self.unusable = if picture { 0 } else { self.unusable + 1 };
        self.unusable >= UNUSABLE && self.fall_back(Fallback::KeysUnusable)
    }

    /// What moved between two looks could not be caught up with: the ring did not reach back.
    pub fn cut_short(&mut self) {
        self.fall_back(Fallback::RingTooShort);
    }

    /// Why everything is decoded, if it is.
    pub fn fallback(&self) -> Option<Fallback> {
        self.fallback
    }

    fn fall_back(&mut self, reason: Fallback) -> bool {
        self.regular = 0;
        let new = self.fallback != Some(reason);
        self.fallback = Some(reason);
        new
    }

    fn recover(&mut self) {
        let enough = match self.fallback {
            None => return,
            Some(Fallback::KeysTooFarApart { .. }) => REGULAR,
            Some(Fallback::KeysUnusable | Fallback::RingTooShort) => TRY_AGAIN,
        };
        if self.regular >= enough {
            (self.fallback, self.unusable) = (None, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: f64) -> Mono {
        Mono((n * 1e9) as u64)
    }

    #[test]
    fn a_stream_without_key_frames_is_noticed_and_one_that_recovers_too() {
        let mut cadence = Cadence::new(Duration::from_secs(6));
        assert!(!cadence.arrived(true, second(0.0)));
        let late = (1..1000).map(|n| f64::from(n) * 0.04).find(|at| cadence.arrived(false, second(*at))).unwrap();
        assert!((6.0..6.1).contains(&late), "{late}");
        assert_eq!(cadence.fallback(), Some(Fallback::KeysTooFarApart { allowed: Duration::from_secs(6) }));
        // The key frame that comes at last is a late one, the three after it are in time.
        let recovered = (1000..2000).find(|n| {
            cadence.arrived(n % 50 == 0, second(f64::from(*n) * 0.04));
            cadence.fallback().is_none()
        });
        assert_eq!(recovered, Some(1150), "the third in time after the late one");
    }

    #[test]
    fn long_groups_of_pictures_are_a_fallback_told_once() {
        let mut cadence = Cadence::new(Duration::from_secs(6));
        let told = (0..3000).filter(|n| cadence.arrived(n % 300 == 0, second(f64::from(*n) * 0.04))).count();
        assert_eq!(told, 1, "twelve seconds apart all along");
        assert!(cadence.fallback().is_some());
    }

    #[test]
    fn key_frames_without_a_picture_are_given_up_after_the_second() {
        let mut cadence = Cadence::new(Duration::from_secs(6));
        assert!(!cadence.looked(false));
        assert!(!cadence.looked(true));
        assert!(!cadence.looked(false));
        assert!(cadence.looked(false));
        assert_eq!(cadence.fallback(), Some(Fallback::KeysUnusable));
    }

    #[test]
    fn an_interruption_is_no_long_interval() {
        let mut cadence = Cadence::new(Duration::from_secs(6));
        cadence.arrived(true, second(0.0));
        assert!(!cadence.arrived(false, second(60.0)));
        assert!(!cadence.arrived(true, second(61.0)));
        assert_eq!(cadence.fallback(), None);
    }
}
