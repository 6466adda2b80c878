//! Evidence of a running daemon: proved, held, taken off the box and accounted for; and what becomes of it when there is too much.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use snowgate_tests::{
    daemon::{Daemon, program},
    grid_system::{GridSystem, Received},
    site::Site,
    wait::PATIENCE,
};

/// Time enough for rules to find something, on a machine that may be busy.
const A_WHILE: Duration = Duration::from_secs(240);

/// A box that has a key, with a camera on a square where much happens.
struct Township {
    site: Site,
    grid_system: GridSystem,
    daemon: Daemon,
}

impl Township {
    /// `evidence` and `storage` are keys of these sections of gateway.toml.
    fn open(evidence: &str, storage: &str) -> Self {
        let site = Site::new();
        site.write_secret("signing-key.pem", "");
        let (key, public) = (site.config().join("signing-key.pem"), site.config().join("gateway.pub"));
        openssl(&["genpkey".as_ref(), "-algorithm".as_ref(), "ed25519".as_ref(), "-out".as_ref(), &key]);
        openssl(&["pkey".as_ref(), "-in".as_ref(), &key, "-pubout".as_ref(), "-out".as_ref(), &public]);
        site.edit("gateway.toml", |text| {
            let key = "locale = \"en\"\ntrust_clock = true\nsigning_key_file = \"signing-key.pem\"";
            let text = text.replace("locale = \"en\"", key);
            let text = with_keys(text, "storage", storage);
            with_keys(text, "evidence", evidence)
        });
        site.edit("cameras.d/walkers.toml", |text| text.replace("for = \"10s\"", "for = \"500ms\""));
        let grid_system = site.grid_system();
        let mut daemon = site.start().unwrap();
        daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        Self { site, grid_system, daemon }
    }

    fn wait_for<T>(&self, what: &str, look: impl FnMut(&Received) -> Option<T>) -> T {
        let found = self.grid_system.wait_for(A_WHILE, look);
        found.unwrap_or_else(|| panic!("{what} did not come\n{}", self.daemon.last_log_lines(20)))
    }

    /// Runs `snowgate evidence`: its exit code, and what it printed.
    fn evidence(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(program().unwrap())
            .args(["evidence", command, "--config"])
            .arg(self.site.config())
            .args(arguments)
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), printed)
    }

    fn folder(&self, incident: &str) -> PathBuf {
        self.site.data().join("evidence").join(incident)
    }

    /// The metric's value.
    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.daemon.metrics().unwrap().total(name, labels)
    }
}

fn openssl(arguments: &[&Path]) {
    assert!(Command::new("openssl").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// The text with these keys in a section, which may be there already.
fn with_keys(text: String, section: &str, keys: &str) -> String {
    let header = format!("[{section}]\n");
    if keys.is_empty() {
        text
    } else if text.contains(&header) {
        text.replace(&header, &format!("{header}{keys}\n"))
    } else {
        format!("{text}\n{header}{keys}\n")
    }
}

/// Bytes of all pictures beneath a folder; files come and go while it is looked at.
fn picture_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => picture_bytes(&entry.path()),
            Ok(metadata) if entry.path().extension().is_some_and(|ending| ending == "jpg") => metadata.len(),
            _ => 0,
        })
        .sum()
}

const WHO: [&str; 6] = ["--by", "Li Qiang", "--unit", "Mingliang police station", "--reason", "case 2026-218"];

#[test]
fn a_still_is_proved_held_and_taken_off_the_box() {
    let town = Township::open("", "");
    let incident = town.wait_for("an incident with its still", |received| {
        let named = received.events.iter().find(|event| !event.data.evidence.is_empty())?;
        Some(named.data.incident.to_string())
    });
    let (code, printed) = town.evidence("verify", &[]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("nothing is missing or altered") && !printed.contains("signatures were not"), "{printed}");

    // A bit flipped anywhere is found, in the still and in what is said about it.
    for name in ["still.jpg", "manifest.jsonl"] {
        let path = town.folder(&incident).join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let (code, printed) = town.evidence("verify", &[&incident]);
        assert!(code == 65 && printed.contains(&incident), "{name}: {code}\n{printed}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(town.evidence("verify", &[&incident]).0, 0);

    // Whoever does not say who and why is refused, and that is on record, too.
    let to = town.site.home().join("stick");
    fs::create_dir(&to).unwrap();
    let to = to.to_str().unwrap();
    let (code, printed) = town.evidence("export", &[&incident, "--to", to, "--by", "Li Qiang"]);
    assert!(code == 64 && printed.contains("--unit: it is missing"), "{code}: {printed}");
    let (code, printed) = town.evidence("export", &[&[&*incident, "--to", to], &WHO[..]].concat());
    assert_eq!(code, 0, "{printed}");
    let public_key = town.site.config().join("gateway.pub");
    let proof = ["verify", "--exported", to, "--public-key", public_key.to_str().unwrap()];
    let proved = Command::new(program().unwrap()).arg("evidence").args(proof).output().unwrap();
    assert!(proved.status.success(), "{proved:?}");
    assert_eq!(
        fs::read(Path::new(to).join(&incident).join("still.jpg")).unwrap(),
        fs::read(town.folder(&incident).join("still.jpg")).unwrap()
    );
    for command in ["hold", "release"] {
        let (code, printed) = town.evidence(command, &[&[&*incident], &WHO[..]].concat());
        assert_eq!(code, 0, "{printed}");
    }
    let log = fs::read_to_string(town.site.data().join("access.jsonl")).unwrap();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = entries.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["granted"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(said, [("export", &no), ("export", &yes), ("hold", &yes), ("release", &yes)], "{log}");
    assert_eq!(entries[1]["unit"], "Mingliang police station");

    // The daemon sees what others have written, and publishes how far the log has come.
    town.daemon.stop(PATIENCE).unwrap();
    let mut daemon = town.site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let town = Township { daemon, ..town };
    let head = town.wait_for("the head of the access log", |received| {
        received.heads.iter().rev().find(|head| head["number"] == 4).cloned()
    });
    assert!(head["signature"].is_string(), "{head}");
    let published = format!("4:{}", head["sha256"].as_str().unwrap());
    let (code, printed) = town.evidence("verify", &["--head", &published]);
    assert_eq!(code, 0, "{printed}");
    // A line is removed, at the end too; or all of it, and the box's own note with it.
    let path = town.site.data().join("access.jsonl");
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    for left_out in 0..lines.len() {
        let others = lines.iter().enumerate().filter(|(line, _)| *line != left_out);
        fs::write(&path, others.map(|(_, line)| *line).collect::<String>()).unwrap();
        let (code, printed) = town.evidence("verify", &[]);
        assert!(code == 65 && printed.contains("access log"), "line {left_out}: {code}\n{printed}");
    }
    fs::remove_file(&path).unwrap();
    fs::remove_file(town.site.data().join("access.head")).unwrap();
    assert_eq!(town.evidence("verify", &["--head", &published]).0, 65);
    fs::write(&path, &log).unwrap();
    town.daemon.stop(PATIENCE).unwrap();
    town.grid_system.look(|received| {
        assert_eq!((received.holes(), received.missing_sequences()), (Vec::new(), Vec::new()));
    });
}

#[test]
fn the_quota_holds_while_incidents_pour_in() {
    // Room for a still or two, of which each has some hundred kilobytes.
    let town = Township::open("jpeg_quality = 95", "evidence_quota = \"1MiB\"");
    let evidence = town.site.data().join("evidence");
    let deleted = town.wait_for("reports of deletions", |received| {
        assert!(picture_bytes(&evidence) <= 1 << 20, "over the quota");
        (received.deleted.len() >= 2).then(|| received.deleted.clone())
    });
    assert!(
        deleted.iter().flat_map(|report| report["files"].as_array().unwrap()).all(|file| file["reason"] == "quota")
    );
    // What went is accounted for, what stayed is as it was.
    let (code, printed) = town.evidence("verify", &[]);
    assert_eq!(code, 0, "{printed}");
    assert!(town.metric("snowgate_evidence_deleted_total", &[("reason", "quota")]) >= 2.0);
    assert_eq!(town.metric("snowgate_stills_refused_total", &[("reason", "protected")]), 0.0);
    town.daemon.stop(PATIENCE).unwrap();
}

#[test]
fn full_of_what_must_be_kept_evidence_is_refused_and_incidents_go_on() {
    let keep = "jpeg_quality = 95\nkeep_at_least = \"1d\"\nkeep = \"30d\"";
    let town = Township::open(keep, "evidence_quota = \"1MiB\"");
    let evidence = town.site.data().join("evidence");
    town.wait_for("a still that is refused", |_| {
        assert!(picture_bytes(&evidence) <= 1 << 20, "over the quota");
        (town.metric("snowgate_stills_refused_total", &[("reason", "protected")]) > 0.0).then_some(())
    });
    let opened = |received: &Received| received.events.iter().filter(|event| event.kind() == "opened").count();
    let before = town.grid_system.look(opened);
    town.wait_for("incidents without a still", |received| (opened(received) >= before + 3).then_some(()));
    town.grid_system.look(|received| assert_eq!(received.deleted, Vec::<Value>::new(), "nothing was deleted"));
    assert_eq!(town.evidence("verify", &[]).0, 0);
    town.daemon.stop(PATIENCE).unwrap();
}
