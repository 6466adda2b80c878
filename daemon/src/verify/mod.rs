//! Verification (任务核查): looking again at what a rule watches.
//!
//! ```text
//! LookAgain ─► verifier ─► watchpoint of the camera or sensor ◄── each picture judged, each reading heard
//!                 │  ▲
//!                 │  └── StillReady ◄── evidence ◄── the picture that shows it
//!                 └────► Looked
//! ```
//!
//! A [`Watchpoint`] is what a camera or a sensor has of it: while no look is on, one relaxed load for each picture or reading.
//! The [`verifier`]'s thread begins looks and ends them. What this module promises:
//!
//! - **Every wish is answered**, and in time: when the look is over, or at most [`verifier::STILL_WAIT`] later where a still is
//!   on its way. A rule that is not there is answered at once. Only a shutdown leaves wishes unanswered; whoever asked
//!   knows of them at the next start.
//! - **A look is a look.** A quiet camera is woken as if something moved, and models are shown all of its frame afresh: that
//!   nothing has moved since is not enough to say that nothing is there. Of a frame that they did not get to see whole, the
//!   box cannot say that it is cleared.
//! - **It costs others nothing.** A camera looked at takes its tokens, its turns and its rung of the overload policy like any
//!   other that moves; the still takes its place in the line like any other. At most [`verifier::MOST`] looks are on at once.
//!
//! Whether a condition holds is for the rules to say: [`snowgate_core::rules`] of pictures, [`snowgate_core::sensor::rules`]
//! of readings.

pub mod verifier;
mod watchpoint;

pub use verifier::{Verifier, Watchable, Watchables};
pub use watchpoint::{View, Watchpoint};
