//! What a process sees that is started with the library.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The library lies in the folder above that of the tests, once `cargo build -p snowgate-preload` has built it.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("libsnowgate_preload.so"));
    found.into_iter().find(|library| library.is_file()).expect("cargo build -p snowgate-preload")
}

/// Runs a shell with orders: seconds the clock is off, synchronised, disk.
fn shell(folder: &Path, orders: [i64; 3], script: &str) -> Output {
    let file = folder.join("orders");
    fs::write(&file, orders.map(i64::to_ne_bytes).concat()).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(folder).env("LD_PRELOAD", library());
    shell.env("SNOWGATE_PRELOAD_ORDERS", file).env("SNOWGATE_PRELOAD_DIRECTORY", folder.join("data"));
    shell.output().unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned() + String::from_utf8_lossy(&output.stderr).trim()
}

#[test]
fn the_wall_clock_is_off_and_the_monotonic_one_is_not() {
    let folder = folder("clock");
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let later: u64 = says(&shell(&folder, [1000, 0, 0], "date +%s")).parse().unwrap();
    assert!((before + 1000..=now() + 1000).contains(&later), "{later}");
    let right: u64 = says(&shell(&folder, [0, 0, 0], "date +%s")).parse().unwrap();
    assert!((before..=now()).contains(&right), "{right}");
}

#[test]
fn the_mark_of_a_synchronised_clock_is_there_as_ordered() {
    let folder = folder("synchronised");
    let script = "stat /run/systemd/timesync/synchronized > /dev/null 2>&1 && echo yes || echo no";
    assert_eq!(says(&shell(&folder, [0, 1, 0], script)), "no");
    assert_eq!(says(&shell(&folder, [0, 2, 0], script)), "yes");
}

#[test]
fn writes_fail_below_the_directory_only() {
    let folder = folder("disk");
    fs::create_dir_all(folder.join("data")).unwrap();
    fs::write(folder.join("data/old"), "old").unwrap();
    let script = "echo new >> data/old; echo new > data/new; cat data/old; echo new > elsewhere && cat elsewhere";
    let said = says(&shell(&folder, [0, 0, 1], script));
    // Shells differ in what they call a write that fails.
    let failed = said.contains("No space left") || said.contains("I/O error");
    assert!(said.starts_with("old") && said.contains("new") && failed, "{said}");
    let absolute = script.replace("data/", &format!("{}/data/", folder.display()));
    let said = says(&shell(&folder, [0, 0, 2], &absolute));
    assert!(said.starts_with("old") && said.contains("Read-only file system"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("data/old")).unwrap(), "old");
    assert_eq!(says(&shell(&folder, [0, 0, 0], "echo new > data/new && cat data/new")), "new");
}

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("preload-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
