//! The hand on what stands between the daemon and the C library (crate `snowgate-preload`): the wall clock it sees, and
//! what becomes of its writes.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the daemon's disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It works.
    Works = 0,
    /// Every write fails with `ENOSPC`.
    Full = 1,
    /// Every write fails with `EROFS`, as on a file system that the kernel has switched to read only after an error.
    ReadOnly = 2,
}

/// Whether the daemon's wall clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronised {
    /// No time server has been reached.
    No = 1,
    /// The clock has been set.
    Yes = 2,
}

/// Steers the library; the daemon re-reads its orders with every call.
pub struct Preload {
    file: File,
    orders: PathBuf,
    library: PathBuf,
    directory: PathBuf,
}

impl Preload {
    /// Steers by this file; faults of the disk are those of one directory.
    pub fn new(orders: &Path, directory: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(orders);
        let file = file.expect("the temporary directory is writable");
        file.set_len(24).expect("the temporary directory is writable");
        let library = library().unwrap_or_else(|error| panic!("{error}"));
        let preload = Self { file, orders: orders.to_owned(), library, directory: directory.to_owned() };
        preload.synchronised(Synchronised::Yes);
        preload
    }

    /// What a daemon must be started with.
    pub fn environment(&self) -> [(&'static str, &OsStr); 3] {
        [
            ("LD_PRELOAD", self.library.as_os_str()),
            ("SNOWGATE_PRELOAD_ORDERS", self.orders.as_os_str()),
            ("SNOWGATE_PRELOAD_DIRECTORY", self.directory.as_os_str()),
        ]
    }

    /// Sets the wall clock so much later than it is.
    pub fn step_forward(&self, by: Duration) {
        self.offset(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    }

    /// Sets the wall clock so much earlier than it is.
    pub fn step_back(&self, by: Duration) {
        self.offset(-i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    }

    /// Has the clock say what it says.
    pub fn right_time(&self) {
        self.offset(0);
    }

    fn offset(&self, seconds: i64) {
        self.write(0, &seconds.to_ne_bytes());
    }

    /// Has the clock synchronised, or not.
    pub fn synchronised(&self, synchronised: Synchronised) {
        self.write(8, &(synchronised as u64).to_ne_bytes());
    }

    /// Has the disk do so.
    pub fn disk(&self, disk: Disk) {
        self.write(16, &(disk as u64).to_ne_bytes());
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).expect("the temporary directory is writable");
    }
}

/// The library, built next to the program that asks.
fn library() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join("libsnowgate_preload.so"));
    candidates.into_iter().find(|library| library.is_file()).ok_or_else(|| {
        let beside = own.display();
        io::Error::other(format!("there is no preload library next to {beside}: cargo build -p snowgate-preload"))
    })
}
