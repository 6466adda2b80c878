use snowgate_core::time::ManualClock;
use tempfile::TempDir;

use super::*;

fn clock() -> ManualClock {
    ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap())
}

fn write(log: &AccessLog, by: &str) {
    let access = Access {
        action: Action::Verify,
        incident: Some("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned().try_into().unwrap()),
        camera: None,
        command: Some("c-1".into()),
        by: by.into(),
        unit: None,
        reason: "核查".into(),
        account: None,
        files: Vec::new(),
        granted: true,
        refusal: None,
    };
    log.write(&access, &Stamp::now(&clock())).unwrap();
}

fn broken_logs(home: &TempDir) -> usize {
    let entries = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.starts_with("access.jsonl.broken-")).count()
}

/// The last line that is known of.
fn head(log: &AccessLog) -> Head {
    log.0.lock().unwrap().log.head.clone()
}

/// Opens a log that is whole.
fn open(home: &TempDir) -> AccessLog {
    let log = AccessLog::open(home.path()).unwrap();
    assert_eq!(broken_logs(home), 0);
    log
}

fn three_lines(home: &TempDir) -> PathBuf {
    let log = open(home);
    // Before anything is written, too.
    assert_eq!(log.publish().unwrap(), Head::none());
    assert_eq!(written(home), Ok(Vec::new()));
    write(&log, "Li");
    write(&log, "Wang");
    drop(log);
    write(&open(home), "Zhao");
    home.path().join(FILE)
}

/// Who has written, in order; or where the log is broken.
fn written(home: &TempDir) -> Result<Vec<String>, u64> {
    let mut by = Vec::new();
    match read_all(home.path(), |_, entry| by.push(entry.access.by.clone())) {
        Ok(_) => Ok(by),
        Err(AccessLogError::Broken { line, .. }) => Err(line),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_chain_goes_on_over_restarts_and_half_a_line_is_cut_off() {
    let home = TempDir::new().unwrap();
    let path = three_lines(&home);
    let whole = fs::read_to_string(&path).unwrap();
    assert_eq!(whole.lines().count(), 3);
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    write(&open(&home), "Zhou");
    assert_eq!(written(&home).unwrap(), ["Li", "Wang", "Zhou"]);
    assert!(fs::read_to_string(&path).unwrap().lines().nth(2).unwrap().contains("\"number\":3"));
}

#[test]
fn a_line_changed_or_left_out_is_found() {
    let home = TempDir::new().unwrap();
    let path = three_lines(&home);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    for (aside, (damaged, line)) in [
        (whole.replace("Wang", "Weng"), 3),
        (format!("{}\n{}\n", lines[0], lines[2]), 2),
        (format!("{}\n{}\n", lines[1], lines[2]), 1),
        (whole.replacen("{\"number\":2", "[\"number\":2", 1), 2),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&path, damaged).unwrap();
        let found = Log::open(home.path()).unwrap_err();
        assert!(matches!(found, AccessLogError::Broken { line: found, .. } if found == line), "{found}");
        let log = AccessLog::open(home.path()).unwrap();
        assert_eq!(broken_logs(&home), aside + 1);
        write(&log, "Li");
        assert_eq!(written(&home).unwrap(), ["Li"]);
    }
}

#[test]
fn an_end_that_was_published_cannot_be_cut_off() {
    let home = TempDir::new().unwrap();
    let path = three_lines(&home);
    let whole = fs::read_to_string(&path).unwrap();
    let log = open(&home);
    let head = log.publish().unwrap();
    assert_eq!(head.number, 3);
    write(&log, "Zhou");
    assert_eq!(written(&home).unwrap().len(), 4, "lines may follow");
    // What was written after it may be lost unnoticed; it itself not.
    fs::write(&path, &whole).unwrap();
    assert_eq!(written(&home).unwrap().len(), 3);
    let two: String = whole.split_inclusive('\n').take(2).collect();
    fs::write(&path, two).unwrap();
    assert_eq!(written(&home), Err(3));
    write(&log, "Li");
    assert_eq!((broken_logs(&home), written(&home).unwrap()), (1, vec!["Li".to_owned()]), "found while it is open");
    assert_eq!(log.publish().unwrap().number, 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(written(&home), Err(1), "nor all of it");
}

#[test]
fn several_write_into_one_chain() {
    let home = TempDir::new().unwrap();
    let (daemon, command) = (open(&home), open(&home));
    for _ in 0..3 {
        write(&daemon, "snowgate");
        write(&command, "Li");
    }
    assert_eq!(written(&home).unwrap(), ["snowgate", "Li", "snowgate", "Li", "snowgate", "Li"]);
    daemon.catch_up().unwrap();
    assert_eq!(head(&daemon), head(&command));
}

#[test]
fn a_full_log_is_put_aside_and_the_chain_goes_on_for_everybody() {
    let home = TempDir::new().unwrap();
    let log = open(&home);
    let other = open(&home);
    write(&log, "Li");
    for _ in 0..KEPT + 3 {
        log.0.lock().unwrap().log.put_aside(home.path()).unwrap();
        write(&log, "Wang");
    }
    write(&other, "Zhao");
    assert_eq!(head(&other).number, head(&log).number + 1);
    assert_eq!(put_aside(home.path()).unwrap().len(), KEPT);
    assert_eq!(written(&home).unwrap().len(), KEPT + 2);
    assert_eq!(broken_logs(&home), 0);

    // It had been put aside, but there was no room for the next one.
    log.catch_up().unwrap();
    fs::rename(home.path().join(FILE), home.path().join(format!("access-{:012}.jsonl", head(&log).number))).unwrap();
    write(&log, "Zhou");
    assert_eq!(head(&open(&home)), head(&log));
}
