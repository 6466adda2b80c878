//! Waiting: always with a deadline, and never deaf to Ctrl-C.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::error::ScaleError;

/// Signals are heard so often.
const TICK: Duration = Duration::from_millis(50);

/// Waits for time and for conditions until a signal comes.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    interrupted: Arc<AtomicBool>,
}

impl Patience {
    /// One that SIGINT, SIGTERM and SIGHUP end.
    ///
    /// # Errors
    /// The system takes no handlers.
    pub fn with_signals() -> Result<Self, ScaleError> {
        let patience = Self::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&patience.interrupted))
                .map_err(ScaleError::system("signal handler"))?;
        }
        Ok(patience)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// A signal has come.
    pub fn check(&self) -> Result<(), ScaleError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(ScaleError::Interrupted) } else { Ok(()) }
    }

    /// Lets time pass until a moment.
    ///
    /// # Errors
    /// A signal has come.
    pub fn until(&self, moment: Instant) -> Result<(), ScaleError> {
        loop {
            self.check()?;
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(TICK));
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// A signal has come.
    pub fn pause(&self, span: Duration) -> Result<(), ScaleError> {
        self.until(Instant::now() + span)
    }

    /// Asks again and again until there is an answer.
    ///
    /// # Errors
    /// None came in time, asking failed, or a signal has come.
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut ask: impl FnMut() -> Result<Result<T, String>, ScaleError>,
    ) -> Result<T, ScaleError> {
        let end = Instant::now() + within;
        loop {
            self.check()?;
            match ask()? {
                Ok(answer) => return Ok(answer),
                Err(detail) if Instant::now() >= end => {
                    return Err(ScaleError::Deadline { what: what.to_owned(), within, detail: Some(detail) });
                }
                Err(_) => thread::sleep(TICK),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_comes_is_named() {
        let patience = Patience::default();
        let asked = patience.wait_for::<()>("rain", Duration::from_millis(1), || Ok(Err("sunshine".into())));
        assert_eq!(asked.unwrap_err().to_string(), "rain did not happen within 0 s: sunshine");
    }

    #[test]
    fn a_signal_ends_every_wait() {
        let patience = Patience::default();
        patience.interrupted.store(true, Ordering::Relaxed);
        assert!(matches!(patience.pause(Duration::from_secs(600)), Err(ScaleError::Interrupted)));
    }
}
