//! What a process has used, from `/proc` (proc(5)): CPU time as a whole and by thread, memory now and at its peak.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use serde::Serialize;

use super::error::ScaleError;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// Resident now (`VmRSS`).
    pub resident: u64,
    /// The most that ever was (`VmHWM`).
    pub peak: u64,
}

/// A thread: its name and the CPU time it has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its name, of which the kernel keeps 15 bytes.
    pub name: String,
    /// User and system time.
    pub cpu: Duration,
}

/// What a process had used at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// User and system time of all its threads, those that have ended included.
    pub cpu: Duration,
    /// The threads it has, by id.
    pub threads: BTreeMap<u32, Thread>,
    /// Its memory.
    pub memory: Memory,
}

impl Usage {
    /// What a process has used until now.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Self, ScaleError> {
        let folder = Path::new("/proc").join(pid.to_string());
        let failed = || ScaleError::file(folder.clone());
        let (_, cpu) = read_stat(&folder.join("stat")).map_err(failed())?;
        let status = fs::read_to_string(folder.join("status")).map_err(failed())?;
        let memory = parse_status(&status).ok_or_else(|| failed()(io::ErrorKind::InvalidData.into()))?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(folder.join("task")).map_err(failed())?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
            // A thread may have ended meanwhile.
            if let Ok((name, cpu)) = read_stat(&entry.path().join("stat")) {
                threads.insert(id, Thread { name, cpu });
            }
        }
        Ok(Self { cpu, threads, memory })
    }

    /// CPU time used since an earlier look, by group of threads. What threads used that have ended since, and before
    /// anybody looked, is `"ended"`.
    pub fn by_group(&self, earlier: &Self) -> BTreeMap<&'static str, Duration> {
        let mut groups = BTreeMap::new();
        let mut known = Duration::ZERO;
        for (id, thread) in &self.threads {
            // Thread ids are used again: a thread that has used less than before is another one.
            let before = earlier.threads.get(id).map_or(Duration::ZERO, |before| before.cpu);
            let used = thread.cpu.checked_sub(before).unwrap_or(thread.cpu);
            *groups.entry(group(&thread.name)).or_default() += used;
            known += used;
        }
        let ended = self.cpu.saturating_sub(earlier.cpu).saturating_sub(known);
        if !ended.is_zero() {
            groups.insert("ended", ended);
        }
        groups
    }
}

/// Which part of the daemon a thread belongs to. What is not one of ours is GStreamer's.
pub fn group(thread: &str) -> &'static str {
    const OURS: [(&str, &str); 16] = [
        ("decode-", "decode"),
        ("look-", "look"),
        ("gate", "look"),
        ("infer-", "infer"),
        ("camera-", "camera"),
        ("network", "network"),
        ("sensors", "sensors"),
        ("lookout", "look"),
        ("reporting", "reporting"),
        ("store", "store"),
        ("evidence", "evidence"),
        ("admin", "admin"),
        ("lapse", "steward"),
        ("steward", "steward"),
        ("signals", "main"),
        ("snowgate", "main"),
    ];
    OURS.iter().find(|(prefix, _)| thread.starts_with(prefix)).map_or("gstreamer", |(_, group)| group)
}

fn read_stat(path: &Path) -> io::Result<(String, Duration)> {
    let text = fs::read(path)?;
    parse_stat(&String::from_utf8_lossy(&text), rustix::param::clock_ticks_per_second())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Name and CPU time (`utime` + `stime`, fields 14 and 15) from a `stat` file.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<(String, Duration)> {
    // The name stands in brackets and may hold blanks and brackets itself.
    let (start, end) = (text.find('(')?, text.rfind(')')?);
    let name = text.get(start + 1..end)?.to_owned();
    let fields: Vec<&str> = text.get(end + 1..)?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let nanos = (ticks(14)? + ticks(15)?).checked_mul(1_000_000_000)?.checked_div(ticks_per_second)?;
    Some((name, Duration::from_nanos(nanos)))
}

fn parse_status(text: &str) -> Option<Memory> {
    let kibibytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|count| count << 10)
    };
    Some(Memory { resident: kibibytes("VmRSS")?, peak: kibibytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_gives_name_and_time_whatever_the_name() {
        let line = "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 900 0 3 0 250 50 0 0 20 0 9 0 1234 5 6 7";
        assert_eq!(parse_stat(line, 100), Some(("a (b) c".to_owned(), Duration::from_secs(3))));
        assert_eq!(parse_stat("4711 (cut off", 100), None);
        assert_eq!(parse_stat("4711 (short) S 1 2", 100), None);
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(parse_status(status), Some(Memory { resident: 1 << 20, peak: 2 << 20 }));
        assert_eq!(parse_status("Name:\tzombie\n"), None);
    }

    #[test]
    fn time_is_attributed_to_groups_of_threads() {
        let thread = |name: &str, ms| Thread { name: name.to_owned(), cpu: Duration::from_millis(ms) };
        let usage = |ms, threads: &[(u32, Thread)]| Usage {
            cpu: Duration::from_millis(ms),
            threads: threads.iter().cloned().collect(),
            memory: Memory::default(),
        };
        let before = usage(100, &[(1, thread("decode-0", 40)), (2, thread("gone", 60))]);
        let after = usage(
            500,
            &[(1, thread("decode-0", 140)), (3, thread("decode-1", 30)), (4, thread("rtpjitterbuffer", 70))],
        );
        let groups = after.by_group(&before);
        let of = |group: &str| groups.get(group).map(Duration::as_millis);
        assert_eq!((of("decode"), of("gstreamer"), of("ended")), (Some(130), Some(70), Some(200)));
    }

    #[test]
    fn our_own_process_can_be_looked_at() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(!usage.threads.is_empty() && usage.memory.resident > 0 && usage.memory.peak >= usage.memory.resident);
    }
}
