//! Scene anomaly: things in a picture that have not been in this scene before, without a list of what they might be.
//!
//! ```text
//! features ─► memory (by light: bank, calibration) ─► heat ─► watch ─► regions "unknown thing here since"
//!                 ▲                          a model's map ──┘  │
//!                 └────────── what is calm is followed ─────────┘
//! ```
//!
//! A backbone's feature maps say what every place of a picture looks like. What each place has looked like is kept
//! ([`Memory`]), and how far a place is from all of that, as a share of its own limit, is the [`Heat`] of a picture. What
//! stays hot for long enough becomes a [`Region`] ([`Watch`]). [`Strangeness`] is both together: it learns each light until it is
//! known, watches from then on, and follows slow change. A model of a township's own that answers with a map or a
//! score enters at the heat.
//!
//! What it promises:
//! - any features and boxes may come in; nothing panics, memory is bounded ([`memory::MOST_BYTES_A_LIGHT`]), and once
//!   buffers have grown to what a form of features needs nothing is allocated;
//! - the same pictures at the same times give the same answers, and what was stored and read back goes on as if it had not been;
//! - what passes is not told, however strange; what stays is never learnt until somebody says so.
//!
//! What it cannot tell:
//! - who sits down for longer than `for` where nobody sat while it learnt is an unknown thing, unless a track excludes them;
//! - what was there when learning began is normal, and what happens while it learns is learnt, be it a switched lamp or a turned
//!   camera: the latter is for scene health to tell, and for the caller not to be learnt from;
//! - a thing that looks like what was often seen at its place, such as a parked car where cars park, is normal;
//! - what is much smaller than a position of the finest map, or has the colour and texture of its background.
//!
//! Nothing here knows people: what is kept of a place are averages of coarse features, at most sixteen, of which passers-by
//! share a few that the next one overwrites; no picture comes back from them.

mod bank;
mod calibration;
pub mod features;
pub mod heat;
pub mod memory;
mod regions;
pub mod spec;
pub mod store;
pub mod strangeness;
pub mod watch;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use features::{FeatureMap, Features, Grid, Shape, Unfit};
pub use heat::{Heat, NoHeat};
pub use memory::{Memory, Origin, Progress, Scratch};
pub use regions::Region;
// In the configuration's schema it must not have the name of a sensor's.
pub use spec::SceneAnomalySpec as AnomalySpec;
pub use store::Unusable;
pub use strangeness::Strangeness;
pub use watch::{Outlook, Watch};
