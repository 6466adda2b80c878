//! What is refused, told so that a flood of it drowns nothing else.
//!
//! Whoever sends rubbish as fast as the line takes it must not fill the intake with complaints, for readings wait in the same
//! queue. So each kind of refusal is told once, then at most once a second, with the number that was kept back.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use snowgate_core::{ids::Id, time::Mono};

use crate::intake::{Fault, Intake, Rejected};

/// Refusals of one kind are told no oftener.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the intake what one adapter has refused.
pub(crate) struct Refusals {
    protocol: &'static str,
    intake: Intake,
    /// Each kind, when it was last told, and how many have been kept back since. As many kinds as sensors times reasons.
    kinds: Mutex<HashMap<(Option<Id>, &'static str), Kind>>,
}

struct Kind {
    told: Mono,
    kept_back: u64,
}

impl Refusals {
    pub(crate) fn new(protocol: &'static str, intake: Intake) -> Self {
        Self { protocol, intake, kinds: Mutex::default() }
    }

    /// Something was refused that says nothing of any sensor's health. `message` is asked for only if it is told. Answers
    /// whether it was.
    pub(crate) async fn tell(
        &self,
        sensor: Option<&Id>,
        reason: &'static str,
        message: impl FnOnce() -> String,
    ) -> bool {
        let Some(kept_back) = self.admit(sensor, reason) else {
            return false;
        };
        let mut message = message();
        if kept_back > 0 {
            message += &format!(" ({kept_back} more like this since the last was told)");
        }
        self.intake.rejected(Rejected { protocol: self.protocol, sensor: sensor.cloned(), reason, message }).await;
        true
    }

    /// Something of a sensor's was refused because it cannot be used.
    pub(crate) async fn unusable(
        &self,
        sensor: &Id,
        reason: &'static str,
        message: impl FnOnce() -> String,
        why: &str,
    ) {
        if self.tell(Some(sensor), reason, message).await {
            self.intake.fault(sensor, Fault::Malformed { why: why.to_owned() }).await;
        }
    }

    /// How many of its kind were kept back, if it is time to tell of one.
    fn admit(&self, sensor: Option<&Id>, reason: &'static str) -> Option<u64> {
        let now = self.intake.now().mono;
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(&(sensor.cloned(), reason)) {
            Some(kind) if now.since(kind.told) < PAUSE => {
                kind.kept_back += 1;
                None
            }
            Some(kind) => {
                kind.told = now;
                Some(std::mem::take(&mut kind.kept_back))
            }
            None => {
                kinds.insert((sensor.cloned(), reason), Kind { told: now, kept_back: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snowgate_core::time::ManualClock;

    use super::*;
    use crate::intake::Told;

    #[tokio::test]
    async fn a_flood_of_one_kind_is_told_once_a_second_and_counted() {
        let clock = Arc::new(ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH));
        let (intake, mut told) = Intake::new(clock.clone());
        let refusals = Refusals::new("mqtt", intake);
        let (gauge, door): (Id, Id) = ("gauge".parse().unwrap(), "door".parse().unwrap());
        for _ in 0..100_000 {
            refusals.unusable(&gauge, "malformed", || "no JSON".to_owned(), "no JSON").await;
        }
        refusals.tell(Some(&door), "malformed", || "no JSON".to_owned()).await;
        clock.advance(PAUSE);
        refusals.tell(Some(&gauge), "malformed", || "no JSON".to_owned()).await;
        refusals.tell(None, "unauthorised", || "wrong token".to_owned()).await;
        let mut messages = Vec::new();
        while let Ok(told) = told.try_recv() {
            messages.push(match told {
                Told::Rejected(rejected) => rejected.message,
                Told::Fault { fault, .. } => fault.to_string(),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(
            messages,
            [
                "no JSON",
                "its messages cannot be used: no JSON",
                "no JSON",
                "no JSON (99999 more like this since the last was told)",
                "wrong token"
            ]
        );
    }
}
