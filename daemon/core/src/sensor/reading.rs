//! What sensors say: every protocol ends in the same [`Reading`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::Unit;
use crate::{choice, ids::Id, time::Moment};

/// A value as a device sent it, already in the unit in which it is reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The value; false is 0 and true is 1. May be anything a wire can carry, infinities and NaN included.
    pub value: f64,
    /// When it was measured, by the device's own clock, if it says.
    pub measured: Option<jiff::Timestamp>,
    /// Whether the device itself says that the value is not to be trusted.
    pub flagged: bool,
}

/// One value of one quantity, with what is to be thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The sensor.
    pub sensor: Id,
    /// What was measured: `water_level`, `rain`, `battery`…
    pub quantity: Id,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// When it was measured, by the device's own clock, if it says.
    pub measured: Option<jiff::Timestamp>,
    /// When it arrived.
    pub arrived: Moment,
    /// What is to be thought of it, and why.
    pub verdict: Verdict,
}

choice! {
    /// Whether a value can be relied upon, the best first.
    pub enum Quality {
        /// It can.
        Good = "good",
        /// It may be wrong.
        Suspect = "suspect",
        /// It was measured too long ago.
        Stale = "stale",
        /// It has been the same for too long: the sensor may be frozen, silted up, or disconnected.
        Stuck = "stuck",
        /// No such value exists where the sensor stands.
        OutOfRange = "out_of_range",
        /// It is no value.
        Error = "error",
    }
}

choice! {
    /// Why a value cannot be relied upon.
    pub enum Doubt {
        /// It changed faster than the quantity can.
        Rate = "rate",
        /// The device's clock differs from the gateway's.
        ClockSkew = "clock_skew",
        /// It was measured long before it arrived.
        Delayed = "delayed",
        /// It arrived after one that was measured later.
        OutOfOrder = "out_of_order",
        /// It has arrived before.
        Duplicate = "duplicate",
        /// It has been the same for too long.
        Unchanging = "unchanging",
        /// It lies below what there can be.
        TooLow = "too_low",
        /// It lies above what there can be.
        TooHigh = "too_high",
        /// The device itself says so.
        Flagged = "flagged",
        /// It is not a number.
        NotANumber = "not_a_number",
    }
}

/// What is to be thought of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether it can be relied upon.
    pub quality: Quality,
    /// Why not, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Doubt>,
}

impl Verdict {
    /// It can be relied upon.
    pub const GOOD: Self = Self { quality: Quality::Good, why: None };

    /// It cannot.
    pub const fn doubtful(quality: Quality, why: Doubt) -> Self {
        Self { quality, why: Some(why) }
    }

    /// Whether a value that says so is a press of a button: people press once, and whatever is wrong with the device's clock
    /// is no matter. Only what has been heard before is not heard again, and what is no value.
    pub fn tells_of_a_press(self) -> bool {
        self.why != Some(Doubt::Duplicate) && !matches!(self.quality, Quality::OutOfRange | Quality::Error)
    }

    /// Whether rules may conclude anything from the value. What may be wrong still counts: a flood that rises faster than
    /// anybody thought possible is a flood, and so is one that a wrong clock dates before what was heard last. What has been
    /// heard before, or is no news, does not.
    pub fn counts(self) -> bool {
        match self.quality {
            Quality::Good => true,
            Quality::Suspect => !matches!(self.why, Some(Doubt::Duplicate | Doubt::Flagged)),
            Quality::Stale | Quality::Stuck | Quality::OutOfRange | Quality::Error => false,
        }
    }
}

/// Twelve digits: what arithmetic leaves behind them (4.0200000000000005) is no part of what was measured.
pub(super) fn tidy(value: f64) -> f64 {
    let digits = value.abs().log10().ceil();
    if !digits.is_finite() || !(-200.0..200.0).contains(&digits) {
        return value;
    }
    let scale = 10f64.powi(12 - digits as i32);
    let tidied = (value * scale).round() / scale;
    if tidied.is_finite() { tidied } else { value }
}
