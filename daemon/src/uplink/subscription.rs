//! Whether the broker lets this gateway hear commands, and what to do if it does not. Incidents must go out all the same.
//!
//! A refusal is said loudly and asked again after a [`REST`]. Some brokers close the connection of whoever asks for what
//! he may not have, or never answer; and what is delivered may be such that no connection survives it. So after
//! [`FAILURES`] connections in a row that broke over commands, the next ones go without for as long.

use std::time::Duration;

use snowgate_core::time::Mono;

/// Connections broken over commands, in a row, until there is one without.
const FAILURES: u32 = 3;
/// Time until the next try.
pub(super) const REST: Duration = Duration::from_secs(600);
/// A subscription that has stood so long is good.
const PROVEN: Duration = Duration::from_secs(60);

/// How things stand with the subscription to commands. Outlives connections.
#[derive(Debug)]
pub(super) struct Subscription {
    state: State,
    failures: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// To be asked for.
    Due,
    /// Asked for, and not answered yet.
    Asked(Mono),
    /// The broker has said yes.
    Stands(Mono),
    /// Not asked for until then.
    Resting(Mono),
}

impl Default for Subscription {
    fn default() -> Self {
        Self { state: State::Due, failures: 0 }
    }
}

impl Subscription {
    /// There is a new connection.
    pub(super) fn connected(&mut self) {
        if !matches!(self.state, State::Resting(_)) {
            self.state = State::Due;
        }
    }

    /// Whether to ask for it now.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        match self.state {
            State::Due => true,
            State::Resting(until) => until <= now,
            State::Asked(_) | State::Stands(_) => false,
        }
    }

    /// It has been asked for.
    pub(super) fn asked(&mut self, now: Mono) {
        self.state = State::Asked(now);
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self, granted: bool, now: Mono) {
        self.state = if granted { State::Stands(now) } else { State::Resting(now + REST) };
    }

    /// Whether it has been asked for and not answered.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// Time passes. True if the broker has left it unanswered for longer than `patience`.
    pub(super) fn is_overdue(&mut self, now: Mono, patience: Duration) -> bool {
        match self.state {
            State::Asked(since) => now.since(since) > patience,
            State::Stands(since) => {
                if now.since(since) > PROVEN {
                    self.failures = 0;
                }
                false
            }
            State::Due | State::Resting(_) => false,
        }
    }

    /// The connection broke, `over_commands` if it is known to be for what was delivered. True if the next ones are to go
    /// without commands.
    pub(super) fn broke(&mut self, over_commands: bool, now: Mono) -> bool {
        if !over_commands && !self.is_unanswered() {
            return false;
        }
        self.failures += 1;
        if self.failures < FAILURES {
            return false;
        }
        self.state = State::Resting(now + REST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1);

    fn break_before_the_answer(subscription: &mut Subscription) -> bool {
        subscription.connected();
        assert!(subscription.is_due(START));
        subscription.asked(START);
        subscription.broke(false, START)
    }

    #[test]
    fn a_broker_that_breaks_off_when_asked_is_not_asked_for_a_while() {
        let mut subscription = Subscription::default();
        assert!(!break_before_the_answer(&mut subscription));
        assert!(!break_before_the_answer(&mut subscription));
        assert!(break_before_the_answer(&mut subscription));
        subscription.connected();
        assert!(!subscription.is_due(START + Duration::from_secs(599)));
        assert!(subscription.is_due(START + REST));
        subscription.asked(START + REST);
        assert!(subscription.broke(false, START + REST), "nothing speaks for it yet");
    }

    #[test]
    fn a_subscription_that_lasts_clears_the_record() {
        let mut subscription = Subscription::default();
        for round in 0..10 {
            assert!(!subscription.broke(true, START), "round {round}");
            subscription.connected();
            subscription.asked(START);
            subscription.answered(true, START);
            assert!(!subscription.is_overdue(START + Duration::from_secs(61), Duration::from_secs(10)));
        }
    }

    #[test]
    fn a_confirmation_alone_proves_nothing() {
        let mut subscription = Subscription::default();
        let rounds = (0..3).map(|_| {
            subscription.connected();
            subscription.asked(START);
            subscription.answered(true, START);
            subscription.broke(true, START)
        });
        assert_eq!(rounds.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn a_refusal_is_asked_again_later_and_silence_has_an_end() {
        let mut subscription = Subscription::default();
        subscription.asked(START);
        assert!(!subscription.is_overdue(START + Duration::from_secs(60), Duration::from_secs(60)));
        assert!(subscription.is_overdue(START + Duration::from_secs(61), Duration::from_secs(60)));
        subscription.answered(false, START);
        assert!(!subscription.is_due(START + Duration::from_secs(1)) && subscription.is_due(START + REST));
        assert!(!subscription.broke(false, START), "a line may break without anyone's fault");
    }
}
