//! Scene health: whether what a camera shows can be relied upon, from its key frames alone.
//!
//! ```text
//! picture ─► view ─┬─► measures ──────────────────────────────► judge ─► conditions
//!                  └─► structure ─► learnt views ─► place ──────┘
//! ```
//!
//! A covered, defocused, turned or frozen camera is worse than none, because everyone believes that it watches. A
//! [`View`] reduces one key frame to a few [`Measures`] and the [`Structure`] of its scene; the [`Judge`] holds them against
//! what this camera normally shows in this light and tells which [`Condition`]s hold.
//!
//! What it promises:
//! - any samples of any size may come in; nothing panics, and memory is bounded by the number of presets ([`Learnt`]);
//! - the same pictures at the same times give the same answers; there is no clock and no randomness in it;
//! - a condition is told only when it has lasted, and has its end told only when it has been over for a while;
//!   measurements between the two thresholds of a condition change nothing;
//! - it learns by itself, by day, in the dark and under infra-red apart, and only from pictures nothing is wrong with;
//! - what is compared is edges, their direction and their width: light, contrast, exposure and the change to infra-red move
//!   them little.
//!
//! What it cannot tell:
//! - in a light it has not learnt yet at a place it says nothing of *moved*, *wrong scene* and *defocused*, but learns; who turns a camera in
//!   its first night is found out in the morning;
//! - of pictures that are damaged from the first minute on it takes the damage for the scene's own edges, until they have been whole for a while;
//! - what comes on over hours, it learns: a lens that fogs up within a week becomes normal;
//! - fog or snow so dense that most of the scene is gone is told as *covered*: the camera is blind in either case;
//! - a picture frozen before the camera's own clock is drawn into it is not identical to the one before;
//! - a night without any light at all is *black*, and so is a street whose lamps are put out: that the box is blind is true,
//!   and whether it matters at that hour is the rule's schedule to say;
//! - of a view without edges (a blank wall) there is nothing to know again, and in the dark, where noise exceeds the edges,
//!   focus cannot be told;
//! - what stands before the lens and has sharp edges of its own, such as a sign, makes the scene *wrong* rather than covered;
//! - a condition that holds stops all learning: where what is to be seen has changed for good, somebody must say so
//!   ([`Judge::relearn`]).
//!
//! Nothing here knows people: structure is averaged over minutes to months, so that whoever passes is averaged out.

pub mod anomaly;
pub mod condition;
pub mod judge;
mod latch;
pub mod learnt;
pub mod light;
pub mod picture;
pub mod registration;
pub mod spec;
pub mod structure;
pub mod view;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use judge::{Health, Judge, Place};
pub use learnt::Learnt;
pub use light::Light;
pub use picture::{Picture, Samples};
pub use spec::HealthSpec;
pub use structure::Structure;
pub use view::{Measures, View};
