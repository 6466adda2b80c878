//! `snowgate suggest` on a real store: what people have said of incidents becomes a change to a file that `check` takes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use snowgate::store::{Commit, IncidentRecord, Store, spec::StorageSpec};
use snowgate_core::{
    calendar::Calendar,
    ids::CountedIds,
    incidents::{Book, CameraSource, Handling, Locale, Source, Target},
    priority::Priority,
    rules::{Change, Finding, Tally},
    severity::Severity,
    spec::{ByteSize, all_defaults},
    time::{Clock, ManualClock},
};
use snowgate_tests::{clips::configured, daemon::program, reporter::spec, repository};
use tempfile::TempDir;

/// A box's store, filled with incidents that people have judged. It stays open, as that of a running daemon.
struct Archive {
    home: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    book: Book<CountedIds>,
    episodes: u64,
}

/// An incident of the camera on the square.
struct Seen<'a> {
    rule: &'a str,
    score: f32,
    height: Option<f32>,
    lasted: Duration,
    handling: Handling,
}

impl Archive {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap()));
        let (store, _) = Store::open(home.path(), &spec::<StorageSpec>(""), ByteSize::mib(1), clock.clone()).unwrap();
        let calendar = Arc::new(Calendar::new(&all_defaults(), jiff::tz::TimeZone::UTC).unwrap());
        let book = Book::new(Locale::En, clock.boot_id().clone(), String::new(), calendar, CountedIds::default());
        Self { home, store, clock, book, episodes: 0 }
    }

    fn file(&mut self, seen: &Seen<'_>) {
        self.clock.advance(seen.lasted + Duration::from_secs(60));
        self.episodes += 1;
        let at = self.clock.mono();
        let tally =
            Tally { things: 1, peak: 1, score: seen.score, height: seen.height, ..Tally::new(at - seen.lasted, at) };
        let rule = seen.rule.parse().unwrap();
        let (episode, change, subjects) = (self.episodes, Change::Began, Vec::new());
        let finding = Finding { rule, episode, at, change, tally, subjects };
        let mut incident = self.book.found(&source(seen.rule), &finding, &*self.clock).unwrap().incident;
        incident.handling = seen.handling;
        let record = IncidentRecord {
            id: incident.id.to_string(),
            revision: incident.revision,
            scene_active: true,
            finished: incident.handling.is_finished(),
            json: serde_json::to_vec(&incident).unwrap(),
        };
        self.store.commit(|_| Commit { incidents: vec![record], ..Commit::default() }).unwrap();
    }
}

fn source(rule: &str) -> Source<CameraSource> {
    let target = Target {
        category: "intrusion".parse().unwrap(),
        category_name: "Intrusion".into(),
        severity: Severity::Ordinary,
        grid: "330182101201001".into(),
        path: vec!["330182101201001".into()],
        level: "grid".parse().unwrap(),
        level_grid: "330182101201001".into(),
        time_limit: None,
    };
    let camera = "walkers".parse().unwrap();
    Source {
        of: CameraSource { camera, camera_name: "Square".into(), area: None, models: Vec::new() },
        place: None,
        rule: rule.parse().unwrap(),
        rule_kind: "intrusion".into(),
        target,
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    }
}

fn snowgate(command: &str, config: &Path, more: &[&str]) -> Output {
    Command::new(program().unwrap()).args([command, "--config"]).arg(config).args(more).output().unwrap()
}

/// What is suggested for one rule.
fn suggested(config: &Path, archive: &Archive, rule: &str) -> Value {
    let data = archive.home.path().to_str().unwrap();
    let output = snowgate("suggest", config, &["--data", data, "--rule", rule, "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
    lines[0].clone()
}

/// A file after a unified diff of one hunk.
fn patched(text: &str, diff: &str) -> String {
    let mut lines = diff.lines().skip(2);
    let hunk = lines.next().unwrap().strip_prefix("@@ -").unwrap();
    let (from, count) = hunk.split_once(' ').unwrap().0.split_once(',').unwrap();
    let (from, count): (usize, usize) = (from.parse().unwrap(), count.parse().unwrap());
    let before: Vec<_> = text.lines().collect();
    let hunk: Vec<_> = lines.collect();
    let without = |sign: char| hunk.iter().filter(move |line| !line.starts_with(sign)).map(|line| &line[1..]);
    assert!(without('+').eq(before[from - 1..from - 1 + count].iter().copied()), "the diff is of this file");
    let (head, tail) = (&before[..from - 1], &before[from - 1 + count..]);
    let after: Vec<_> = head.iter().copied().chain(without('-')).chain(tail.iter().copied()).collect();
    after.join("\n") + "\n"
}

/// Applies what is suggested to the file that it names, and has it checked; answers the file.
fn apply(config: &Path, edit: &Value) -> String {
    let path = Path::new(edit["path"].as_str().unwrap());
    let text = patched(&fs::read_to_string(path).unwrap(), edit["diff"].as_str().unwrap());
    fs::write(path, &text).unwrap();
    let checked = snowgate("check", config, &[]);
    assert!(checked.status.success(), "{}{text}", String::from_utf8_lossy(&checked.stdout));
    text
}

#[test]
fn a_score_that_tells_false_alarms_apart_is_suggested_and_what_it_says_is_a_valid_configuration() {
    let folder = configured("walkers", |camera| camera);
    let mut archive = Archive::new();
    let seen = |score: f32, handling| Seen {
        rule: "on-left-road",
        score,
        height: Some(0.12),
        lasted: Duration::from_secs(5),
        handling,
    };
    for i in 0..12 {
        archive.file(&seen(0.40 + 0.01 * i as f32, Handling::RejectedFalseAlarm));
    }
    for handling in [Handling::Accepted, Handling::Handled, Handling::Verified, Handling::Closed] {
        (0..5).for_each(|i| archive.file(&seen(0.6 + 0.01 * i as f32, handling)));
    }
    (0..5).for_each(|_| archive.file(&seen(0.45, Handling::Reported)));

    let data = archive.home.path().to_str().unwrap();
    let output = snowgate("suggest", folder.path(), &["--data", data]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("min_score 0.4 → 0.52: 12 of 12 false alarms fewer, 0 of 20 true ones lost"), "{text}");
    let demo = fs::read_to_string(repository().join("configs/demo/cameras.d/walkers.toml")).unwrap();
    let line = demo.lines().position(|line| line == "id = \"on-left-road\"").unwrap() + 1;
    let place = format!("walkers.toml:{line}\n--- ");
    assert!(text.contains(&place) && text.contains("\n+min_score = 0.52\n"), "{text}");

    let line = suggested(folder.path(), &archive, "on-left-road");
    let figures = ["incidents", "judged", "false_alarms"].map(|key| line[key].as_u64().unwrap());
    assert_eq!(figures, [37, 32, 12], "{line}");
    assert_eq!(
        (&line["threshold"], &line["then"], line["share"]["value"].as_f64()),
        (&"min_score".into(), &0.52.into(), Some(0.375))
    );
    let before = fs::read_to_string(folder.path().join("cameras.d/walkers.toml")).unwrap();
    assert_eq!(before, demo, "nothing is applied");
    let after = apply(folder.path(), &line["edit"]);
    assert!(after.contains("id = \"on-left-road\"\nmin_score = 0.52\n"), "{after}");

    let line = suggested(folder.path(), &archive, "on-left-road");
    assert_eq!((&line["outgrown"], &line["advice"]), (&17.into(), &"too_few".into()), "{line}");
    let line = suggested(folder.path(), &archive, "passage-crossed");
    assert_eq!((&line["incidents"], &line["share"], &line["advice"]), (&0.into(), &Value::Null, &"too_few".into()));
}

#[test]
fn without_a_store_or_such_a_rule_it_says_so() {
    let (folder, empty, archive) = (configured("walkers", |camera| camera), TempDir::new().unwrap(), Archive::new());
    for (data, rule, code, part) in [
        (empty.path(), "on-left-road", 69, "store.sqlite"),
        (archive.home.path(), "nobody", 64, "there is no rule nobody"),
    ] {
        let output = snowgate("suggest", folder.path(), &["--data", data.to_str().unwrap(), "--rule", rule]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

/// What a replay of the square finds, on three days, where a desk calls false who only passes by.
#[test]
fn on_the_square_a_desk_that_rejects_passers_by_is_told_how_long_they_take() {
    let rule = "\n[[rules]]\nid = \"on-middle-road\"\nkind = \"intrusion\"\nzone = \"middle-road\"\nfor = \"200ms\"\n\
        category = \"intrusion\"\n";
    let folder = configured("walkers", |camera| camera + rule);
    let clip = repository().join("assets/media/vtest.mp4");
    let replayed =
        snowgate("replay", folder.path(), &["--format", "json", "--camera", "walkers", clip.to_str().unwrap()]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let incidents: Vec<Value> =
        String::from_utf8(replayed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found: Vec<_> = incidents
        .iter()
        .filter(|incident| incident["rule"] == "on-middle-road")
        .map(|incident| {
            let [began, last_seen, score] = ["began", "last_seen", "score"].map(|key| incident[key].as_f64().unwrap());
            (last_seen - began, score as f32)
        })
        .collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(found.len() >= 8, "{found:?}");
    let passing = found[found.len() / 2].0;

    let mut archive = Archive::new();
    let mut false_alarms = 0;
    for (lasted, score) in std::iter::repeat_n(&found, 3).flatten() {
        let is_false = *lasted < passing;
        false_alarms += u64::from(is_false);
        let handling = if is_false { Handling::RejectedFalseAlarm } else { Handling::Handled };
        let lasted = Duration::from_secs_f64(*lasted);
        archive.file(&Seen { rule: "on-middle-road", score: *score, height: None, lasted, handling });
    }
    let line = suggested(folder.path(), &archive, "on-middle-road");
    assert_eq!((&line["advice"], &line["threshold"]), (&"change".into(), &"for".into()), "{line}");
    assert_eq!((&line["kept_away"], &line["lost"]), (&false_alarms.into(), &0.into()), "{line}");
    assert!(line["edit"]["diff"].as_str().unwrap().contains("\n-for = \"200ms\"\n+for = \""), "{line}");
    apply(folder.path(), &line["edit"]);
}
