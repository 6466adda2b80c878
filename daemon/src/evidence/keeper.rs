//! The thread that looks after what is kept: has deleted what is too old or too much, and tells what was, by itself or for the sake
//! of something new.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use snowgate_core::time::Clock;

use super::files::{DeletedFile, EvidenceFiles};
use crate::shutdown::Shutdown;

/// How often files are looked through for those that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How often what was deleted is told: what goes within so long goes in one report.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Starts the thread `retention`; it ends with the shutdown. `tell` is called on it, with one deleted file or more.
///
/// # Errors
/// No thread can be had.
pub fn spawn(
    files: EvidenceFiles,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    mut tell: impl FnMut(Vec<DeletedFile>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let mut swept = None;
        loop {
            let now = clock.now();
            if swept.is_none_or(|swept| now.mono.since(swept) >= SWEEP_EVERY) {
                swept = Some(now.mono);
                files.sweep(now);
            }
            let deleted = files.take_deleted();
            if !deleted.is_empty() {
                tell(deleted);
            }
            if shutdown.wait_for(TELL_EVERY) {
                break;
            }
        }
    };
    std::thread::Builder::new().name("retention".to_owned()).spawn(work)
}
