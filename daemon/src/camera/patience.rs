//! Asking what cannot be interrupted.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::shutdown::Shutdown;

/// How soon a shutdown is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// What `question` answers, asked on a thread of its own that ends when the answer comes, whether anybody still waits for it or not.
/// `None` when there was no answer `within` the time, or it is time to stop.
///
/// # Errors
/// The system gives no thread.
pub fn ask<T: Send + 'static>(
    thread_name: &str,
    within: Duration,
    shutdown: &Shutdown,
    question: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let end = Instant::now() + within;
    let (answer, answered) = mpsc::sync_channel(1);
    thread::Builder::new().name(thread_name.into()).spawn(move || {
        // Nobody listens any more when the answer comes too late.
        let _ = answer.send(question());
    })?;
    while Instant::now() < end && !shutdown.is_triggered() {
        match answered.recv_timeout(LOOK) {
            Ok(answer) => return Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_and_no_longer_than_is_sensible() {
        let minute = Duration::from_secs(60);
        assert_eq!(ask("test", minute, &Shutdown::new(), || 7).unwrap(), Some(7));
        // Answered only when the test ends.
        let (_first, first) = mpsc::channel::<()>();
        let (_second, second) = mpsc::channel::<()>();
        assert_eq!(ask("test", Duration::from_millis(1), &Shutdown::new(), move || first.recv()).unwrap(), None);
        let stopping = Shutdown::new();
        stopping.trigger();
        assert_eq!(ask("test", minute, &stopping, move || second.recv()).unwrap(), None);
    }
}
