//! How much memory the daemon holds, over all its starts.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Follows one process after the other until it is dropped.
pub struct MemoryWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Zero for none.
    pid: AtomicU32,
    most: AtomicU64,
    stopping: AtomicBool,
}

impl MemoryWatch {
    /// Begins, with nothing to look at.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let watching = shared.clone();
        let thread = thread::Builder::new().name("memory".to_owned()).spawn(move || {
            while !watching.stopping.load(Ordering::SeqCst) {
                if let Some(bytes) = resident(watching.pid.load(Ordering::SeqCst)) {
                    watching.most.fetch_max(bytes, Ordering::SeqCst);
                }
                thread::sleep(EVERY);
            }
        });
        Self { shared, thread: Some(thread.expect("a thread can be had")) }
    }

    /// Looks at this process from now on.
    pub fn follow(&self, pid: Option<u32>) {
        self.shared.pid.store(pid.unwrap_or(0), Ordering::SeqCst);
    }

    /// The most resident bytes seen.
    pub fn most(&self) -> u64 {
        self.shared.most.load(Ordering::SeqCst)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `VmRSS`, in bytes.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_seen() {
        let watch = MemoryWatch::start();
        watch.follow(Some(std::process::id()));
        assert!(crate::wait::wait_until(Duration::from_secs(10), || watch.most() > 1 << 20));
        assert_eq!(resident(u32::MAX), None);
    }
}
