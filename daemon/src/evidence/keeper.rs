//! The thread that looks after what is kept: it has deleted what is too old or too much, and tells what was deleted, by itself or to
//! make room for something new. It also reads what others have written into the access log, so that the metrics tell of it.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use snowgate_core::time::Clock;

use super::{
    access_log::AccessLog,
    files::{DeletedFile, EvidenceFiles},
};
use crate::{events::evidence::AccessLogUnread, shutdown::Shutdown};

/// How often files are looked through for those that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How often what was deleted is told: what goes within so long goes in one report.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The most files in a report: at some 350 bytes each, they fit the smallest packet that a broker may be limited to (16 KiB).
const TOLD_AT_ONCE: usize = 32;

/// How often what others have written into the access log is looked at, so that the metrics tell of it.
const CATCH_UP_EVERY: Duration = Duration::from_secs(60);

/// Starts the thread `retention`; it ends with the shutdown. `tell` is called on it, with one deleted file or more, up to [`TOLD_AT_ONCE`].
///
/// # Errors
/// No thread can be had.
pub fn spawn(
    files: EvidenceFiles,
    log: AccessLog,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    mut tell: impl FnMut(Vec<DeletedFile>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let (mut swept, mut caught_up) = (None, None);
        loop {
            let now = clock.now();
            if caught_up.is_none_or(|caught_up| now.mono.since(caught_up) >= CATCH_UP_EVERY) {
                caught_up = Some(now.mono);
                if let Err(error) = log.catch_up() {
                    AccessLogUnread { error: &error }.emit();
                }
            }
            if swept.is_none_or(|swept| now.mono.since(swept) >= SWEEP_EVERY) {
                swept = Some(now.mono);
                files.sweep(now);
            }
            for deleted in files.take_deleted().chunks(TOLD_AT_ONCE) {
                tell(deleted.to_vec());
            }
            if shutdown.wait_for(TELL_EVERY) {
                break;
            }
        }
    };
    std::thread::Builder::new().name("retention".to_owned()).spawn(work)
}
