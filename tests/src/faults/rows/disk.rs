//! The disk is full, or the kernel has switched it to read only, while the daemon works and while it starts.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::let_pass;
use crate::faults::{
    Order,
    preload::Disk,
    rig::{Plan, Rig},
    table::Row,
    verdict::{self, MayLose},
};

/// The file system that fills up, in bytes.
const SMALL: u64 = 24 << 20;

/// A file system of its own in memory, as long as this lives.
struct SmallDisk {
    mounted: TempDir,
}

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount() -> Option<Self> {
        let mounted = TempDir::new().expect("a temporary directory");
        let size = format!("size={SMALL}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(mounted.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self { mounted })
    }

    fn ballast(&self) -> PathBuf {
        self.mounted.path().join("ballast")
    }

    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file can be made");
        let chunk = vec![0x55; 64 << 10];
        while ballast.write_all(&chunk).is_ok() {}
        while ballast.write_all(&[0x55]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).expect("the file is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still has a file open there lets it go before long.
        let _ = Command::new("umount").arg("--lazy").arg(self.mounted.path()).output();
    }
}

pub(super) fn read_only(order: Order) -> Row {
    let mut rig = Rig::new(Plan { preload: true, ..Plan::STEADY });
    let fault = |rig: &Rig, on| rig.preload().disk(if on { Disk::ReadOnly } else { Disk::Works });
    let mut row = breakdowns(order, &mut rig, fault);
    row.notes.push("writes, new files and deletions below the data directory fail with EROFS, by preload".to_owned());
    row
}

pub(super) fn full(order: Order) -> Row {
    let Some(disk) = SmallDisk::mount() else {
        let mut rig = Rig::new(Plan { preload: true, ..Plan::STEADY });
        let fault = |rig: &Rig, on| rig.preload().disk(if on { Disk::Full } else { Disk::Works });
        let mut row = breakdowns(order, &mut rig, fault);
        row.notes.push("mounting is not permitted here: writes fail with ENOSPC, by preload".to_owned());
        return row;
    };
    let data = disk.mounted.path().join("data");
    let mut rig = Rig::new(Plan { data: Some(data), ..Plan::STEADY });
    let mut row = breakdowns(order, &mut rig, |_, on| if on { disk.fill() } else { disk.free() });
    row.notes.push(format!("on a tmpfs of {} MB that is filled to the last byte", SMALL >> 20));
    row
}

/// Breaks the disk down again and again; a third of the times the daemon is killed and started meanwhile.
fn breakdowns(order: Order, rig: &mut Rig, fault: impl Fn(&Rig, bool)) -> Row {
    let mut noise = order.noise();
    rig.start();
    let (mut recoveries, mut refused) = (Vec::new(), 0);
    for number in 0..order.times {
        rig.wait_received(5);
        fault(rig, true);
        let_pass(&mut noise, Duration::from_millis(200), Duration::from_secs(2));
        if number % 3 == 2 {
            rig.kill();
            rig.launch();
            // It may start, or say why it cannot.
            refused += u64::from(!rig.starts());
            let_pass(&mut noise, Duration::ZERO, Duration::from_millis(500));
        }
        let ended = Instant::now();
        fault(rig, false);
        if !rig.is_running() {
            rig.launch();
        }
        rig.wait_ready();
        recoveries.push(rig.recovery(ended));
    }
    let truth = rig.settle();
    let mut row = verdict::row(rig, order, &truth, recoveries, MayLose::Nothing);
    row.notes.push(format!("{} starts meanwhile, {refused} of them refused", order.times / 3));
    row
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn is_writable(path: &Path) -> bool {
        File::create(path.join("probe")).and_then(|mut file| file.write_all(&[0; 4096])).is_ok()
    }

    #[test]
    fn a_small_disk_fills_up_and_is_freed() {
        let Some(disk) = SmallDisk::mount() else { return };
        disk.fill();
        assert!(!is_writable(disk.mounted.path()));
        disk.free();
        assert!(is_writable(disk.mounted.path()));
    }
}
