//! Standstill: has a sensor that used to move stopped moving?
//!
//! The distance is the length of the present run of equal readings, and it is held against the runs that have ended
//! before: [`Tail`] learns each run once, when it ends. So a sensor that hardly ever changes is never suspected
//! (`ENOUGH` runs must have ended first), one that rests every night may rest every night, and one whose every reading
//! differs stands still after `SHORT` equal ones.
//!
//! Memory: three numbers and one [`Tail`].

use super::{Detector, LocalTime, Reason, WARM_UP, score_of, spec::StandstillSpec, tail::Tail, usable};

/// Decades of surprise that mean an alarm. A run only grows, so that waiting for more certainty costs little.
const ALARM_DECADES: f64 = 2.0;
/// Runs up to this length are all the same.
const SHORT: u32 = 10;
/// Runs that must have ended before the present one is judged.
const ENOUGH: u32 = 100;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Standstill {
    last: f64,
    run: u32,
    ended: u32,
    seen: u32,
    tail: Tail,
}

impl Standstill {
    /// One with these settings.
    pub fn new(spec: &StandstillSpec) -> Self {
        Self { last: f64::NAN, run: 0, ended: 0, seen: 0, tail: Tail::new(spec.memory.get() as u32) }
    }
}

impl Detector for Standstill {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        let Some(value) = usable(value) else { return 0.0 };
        self.seen = self.seen.saturating_add(1);
        if value == self.last {
            self.run = self.run.saturating_add(1);
        } else {
            if self.run > 0 {
                self.tail.learn(f64::from(self.run.max(SHORT)));
                self.ended = self.ended.saturating_add(1);
            }
            (self.last, self.run) = (value, 1);
        }
        if self.run <= SHORT || self.ended < ENOUGH || self.seen <= WARM_UP {
            return 0.0;
        }
        score_of(self.tail.surprise(f64::from(self.run)), ALARM_DECADES, self.seen)
    }

    fn reason(&self) -> Reason {
        Reason::Standstill
    }

    fn state_bytes(&self) -> usize {
        size_of::<Self>() + self.tail.heap_bytes()
    }
}
