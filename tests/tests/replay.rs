//! Golden replays: `snowgate replay` on real clips.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use snowgate_tests::{
    clips::{configured, media},
    daemon::program,
    repository,
};

fn replay(camera: &str, clip: &Path, more: &[&str]) -> Output {
    replay_by(&repository().join("configs/demo"), camera, clip, more)
}

fn replay_by(config: &Path, camera: &str, clip: &Path, more: &[&str]) -> Output {
    Command::new(program().unwrap())
        .args(["replay", "--format", "json", "--camera", camera, "--config"])
        .arg(config)
        .arg(clip)
        .args(more)
        .output()
        .unwrap()
}

/// What a replay found, and the same as it printed it.
fn incidents(replayed: Output) -> (Vec<Value>, String) {
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let text = String::from_utf8(replayed.stdout).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), text)
}

fn of_rule(incidents: &[Value], rule: &str) -> Vec<Value> {
    incidents.iter().filter(|incident| incident["rule"] == rule).cloned().collect()
}

/// Counted by hand on the clip, looking at every picture near the line, twice: eight people walk over the line to the
/// left of the screen and six to the right, several of them while they meet and hide one another.
const CROSSINGS_BY_HAND: (u64, u64) = (8, 6);

/// Stays on the left road by hand, from the feet's entering to their leaving, in seconds.
const STAYS_BY_HAND: [(f64, f64); 7] =
    [(19.2, 20.4), (21.4, 22.8), (27.0, 28.6), (54.8, 56.4), (61.6, 64.7), (61.8, 63.1), (72.0, 73.1)];

#[test]
fn the_square_gives_the_same_incidents_every_time_and_those_that_were_counted_by_hand() {
    let clip = media("vtest.mp4");
    let first = replay("walkers", &clip, &[]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let second = replay("walkers", &clip, &[]);
    assert!(first.stdout == second.stdout, "two replays of one clip differ");

    let (incidents, text) = incidents(first);
    let of_rule = |rule: &str| of_rule(&incidents, rule);

    let crossings = of_rule("passage-crossed");
    let count = |key: &str| crossings.iter().map(|incident| incident["counts"][key].as_u64().unwrap()).sum::<u64>();
    // Seen by somebody who looks down the screen, the left of the screen is on the right-hand side.
    let (leftwards, rightwards) = (count("left_to_right"), count("right_to_left"));
    let (by_hand_left, by_hand_right) = CROSSINGS_BY_HAND;
    assert!((leftwards + rightwards).abs_diff(by_hand_left + by_hand_right) <= 1, "{leftwards} + {rightwards}\n{text}");
    assert!(leftwards.abs_diff(by_hand_left) <= 1 && rightwards.abs_diff(by_hand_right) <= 1, "{text}");

    let stays = of_rule("on-left-road");
    assert!(stays.len().abs_diff(STAYS_BY_HAND.len()) <= 1, "{stays:?}");
    for stay in &stays {
        let (began, last_seen) = (stay["began"].as_f64().unwrap(), stay["last_seen"].as_f64().unwrap());
        let known = STAYS_BY_HAND.iter().any(|(from, to)| (began - from).abs() < 1.0 && (last_seen - to).abs() < 1.0);
        assert!(known, "nobody was on the road then: {stay}");
    }
}

#[test]
fn rules_rest_and_incidents_weigh_more_by_the_clips_own_time() {
    let (stays, crossings) = ("id = \"on-left-road\"\n", "id = \"passage-crossed\"\n");
    let during = "severity_during = [{ schedule = \"night\", severity = \"major\" }]\n";
    let folder = configured("walkers", |camera| {
        let camera = camera.replace(stays, &format!("{stays}schedule = \"night\"\n"));
        camera.replace(crossings, &format!("{crossings}{during}"))
    });
    let night = "[[schedule]]\nid = \"night\"\nwindow = [{ from = \"22:00\", to = \"06:00\" }]\n";
    fs::write(folder.path().join("schedules.toml"), night).unwrap();

    // Night falls in Shanghai when 40 seconds of the clip have gone by.
    let start = ["--start", "2026-03-01T13:59:20Z"];
    let (incidents, text) = incidents(replay_by(folder.path(), "walkers", &media("vtest.mp4"), &start));
    let stays = of_rule(&incidents, "on-left-road");
    let by_hand = STAYS_BY_HAND.iter().filter(|(from, _)| *from > 40.0).count();
    assert!(stays.len().abs_diff(by_hand) <= 1 && !stays.is_empty(), "{text}");
    assert!(stays.iter().all(|stay| stay["began"].as_f64().unwrap() >= 40.0), "{text}");
    let crossings = of_rule(&incidents, "passage-crossed");
    let (at_night, by_day): (Vec<_>, Vec<_>) =
        crossings.iter().partition(|crossing| crossing["opened"].as_f64().unwrap() >= 40.0);
    assert!(!by_day.is_empty() && by_day.iter().all(|crossing| crossing["severity"] != "major"), "{text}");
    assert!(!at_night.is_empty() && at_night.iter().all(|crossing| crossing["severity"] == "major"), "{text}");
}

/// Two people stand by the sign and talk from the clip's fourth second to its fourteenth.
const STANDING_BY_HAND: (usize, f64, f64) = (2, 4.0, 14.0);

#[test]
fn further_kinds_of_rules_tell_what_is_seen_by_hand_and_nothing_where_there_is_nothing() {
    let rules = fs::read_to_string(repository().join("tests/fixtures/rule-kinds.toml")).unwrap();
    let folder = configured("walkers", |_| rules);
    let (incidents, text) = incidents(replay_by(folder.path(), "walkers", &media("vtest.mp4"), &[]));
    let of_rule = |rule: &str| of_rule(&incidents, rule);
    let time = |incident: &Value, key: &str| incident[key].as_f64().unwrap();

    // Whoever walks over the line goes one way or the other, and nobody goes up the screen there.
    let (leftwards, rightwards) = (of_rule("leftwards-is-wrong"), of_rule("rightwards-is-wrong"));
    let by_hand = CROSSINGS_BY_HAND;
    let near = |found: &[Value], by_hand: u64| (found.len() as u64).abs_diff(by_hand) <= 1;
    assert!(near(&leftwards, by_hand.0) && near(&rightwards, by_hand.1), "{text}");
    assert!(of_rule("upwards-is-wrong").is_empty(), "{text}");

    // Each of them walks.
    let walking = of_rule("walking");
    for passing in leftwards.iter().chain(&rightwards) {
        let at = time(passing, "opened");
        let walks = |it: &Value| time(it, "began") - 1.0 <= at && at <= time(it, "last_seen") + 1.0;
        assert!(walking.iter().any(walks), "{passing} is not walking\n{text}");
    }
    assert!(of_rule("running").is_empty(), "{text}");

    // Between two stays on the left road.
    let longest = STAYS_BY_HAND.windows(2).max_by(|a, b| (a[1].0 - a[0].1).total_cmp(&(b[1].0 - b[0].1))).unwrap();
    let (left, came) = (longest[0].1, longest[1].0);
    assert!((20.0..30.0).contains(&(came - left)));
    let nobody = of_rule("nobody-for-20s");
    assert!(nobody.len() == 1 && (time(&nobody[0], "began") - left).abs() < 1.0, "{text}");
    assert!(
        (time(&nobody[0], "opened") - left - 20.0).abs() < 1.0 && time(&nobody[0], "last_seen") > came - 1.0,
        "{text}"
    );
    assert!(of_rule("nobody-for-30s").is_empty(), "{text}");

    let (people, from, until) = STANDING_BY_HAND;
    let standing = of_rule("standing-by-the-sign");
    assert_eq!(standing.len(), people, "{text}");
    for stands in &standing {
        let (began, last_seen) = (time(stands, "began"), time(stands, "last_seen"));
        assert!((from - 1.0..until).contains(&began) && last_seen > until - 1.0, "{stands}");
    }
    assert!(of_rule("standing-in-the-passage").is_empty(), "{text}");
}

/// Numbers of explanations, as `--format json` prints them.
fn numbers(lines: &[Value], verdict: &str, key: &str) -> Vec<f64> {
    lines.iter().filter(|line| line["verdict"] == verdict).map(|line| line[key].as_f64().unwrap()).collect()
}

#[test]
fn a_rule_that_is_silent_says_how_near_it_came() {
    // A `for` longer than anybody stays there, and a score that nobody has.
    let folder = configured("walkers", |camera| {
        let unsure = "id = \"staying-on-middle-road\"\n";
        camera.replace("for = \"500ms\"", "for = \"1m\"").replace(unsure, &format!("{unsure}min_score = 1.0\n"))
    });
    let (lines, text) = incidents(replay_by(folder.path(), "walkers", &media("vtest.mp4"), &["--explain"]));
    let summaries = |rule: &str| {
        let of_rule = of_rule(&lines, rule);
        of_rule.into_iter().filter(|line| line["line"] == "summary").collect::<Vec<_>>()
    };

    let stays = summaries("on-left-road");
    assert!(stays.iter().all(|line| line["verdict"] != "told" && line["verdict"] != "fired"), "{text}");
    let longest = numbers(&stays, "inside", "held_s").into_iter().fold(0.0, f64::max);
    let by_hand = STAYS_BY_HAND.iter().map(|(from, to)| to - from).fold(0.0, f64::max);
    assert!((longest - by_hand).abs() < 1.5, "{longest} s, by hand {by_hand} s");
    assert!(numbers(&stays, "inside", "for_s").iter().all(|hold| *hold == 60.0));

    let loiterers = summaries("staying-on-middle-road");
    assert!(!loiterers.iter().any(|line| ["inside", "told", "fired"].map(Value::from).contains(&line["verdict"])));
    let best = numbers(&loiterers, "unsure", "score").into_iter().fold(0.0, f64::max);
    assert!((0.5..1.0).contains(&best), "{best}");

    // What is told of is explained as told of in its own picture, and everything in the order of time.
    let now: Vec<_> = lines.iter().filter(|line| line["line"] == "now").collect();
    let crossings = of_rule(&lines, "passage-crossed");
    let found: Vec<_> = crossings.iter().filter(|line| line.get("incident").is_some()).collect();
    assert!(!found.is_empty(), "{text}");
    for incident in found {
        let at = incident["opened"].as_f64().unwrap();
        let fired = |line: &&&Value| line["verdict"] == "fired" && line["rule"] == "passage-crossed";
        assert!(now.iter().filter(fired).any(|line| (line["at_s"].as_f64().unwrap() - at).abs() < 0.002), "{incident}");
    }
    assert!(now.is_sorted_by_key(|line| line["at_s"].as_f64().unwrap()), "{text}");
}

#[test]
fn golden_files_hold_and_differences_are_named() {
    let golden = repository().join("tests/golden/entrance.jsonl");
    let clip = media("face-long.mp4");
    let same = replay("entrance", &clip, &["--expect", golden.to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stderr));

    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.jsonl");
    let line = fs::read_to_string(&golden).unwrap();
    fs::write(&changed, line.replace("\"rule\":\"face-at-entrance\"", "\"rule\":\"somebody-else\"")).unwrap();
    let differs = replay("entrance", &clip, &["--expect", changed.to_str().unwrap()]);
    assert_eq!(differs.status.code(), Some(65));
    let said = String::from_utf8_lossy(&differs.stderr);
    assert!(said.contains("- somebody-else") && said.contains("+ face-at-entrance"), "{said}");
}

#[test]
fn what_is_no_clip_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.mp4");
    fs::write(&text, "this is no video").unwrap();
    for (clip, camera, code, part) in [
        (text.clone(), "walkers", 65, "notes.mp4"),
        (folder.path().join("missing.mp4"), "walkers", 65, "missing.mp4"),
        (text, "nobody", 78, "nobody"),
    ] {
        let output = replay(camera, &clip, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_directory_is_replayed_clip_by_clip_and_what_cannot_be_played_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(media("face-long.mp4"), at("b.mp4")).unwrap();
    fs::copy(media("face-long.mp4"), at("c.mp4")).unwrap();
    fs::write(at("notes.txt"), "what happened").unwrap();
    let whole = replay("entrance", folder.path(), &[]);
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert!(
        said.contains("notes.txt: passed over") && said.contains("2 clip(s), 0 of them cannot be played"),
        "{said}"
    );
    let (found, text) = incidents(whole);
    // Each clip begins anew: what one holds, the other does too.
    let of_clip = |clip: &str| {
        let of = found.iter().filter(|incident| incident["clip"] == clip).cloned();
        let without = |mut incident: Value| incident.as_object_mut().unwrap().remove("clip").map(|_| incident);
        of.filter_map(without).collect::<Vec<_>>()
    };
    assert!(!of_clip("b.mp4").is_empty() && of_clip("b.mp4") == of_clip("c.mp4"), "{text}");
    assert_eq!(of_clip("b.mp4"), incidents(replay("entrance", &at("b.mp4"), &[])).0);

    let golden = tempfile::NamedTempFile::new().unwrap();
    fs::write(golden.path(), &text).unwrap();
    fs::write(at("a.mp4"), "this is no video").unwrap();
    let broken = replay("entrance", folder.path(), &["--expect", golden.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&broken.stderr);
    assert_eq!(broken.status.code(), Some(65), "{said}");
    assert!(said.contains("a.mp4") && said.contains("3 clip(s), 1 of them cannot be played"), "{said}");
    assert!(!said.contains("not as expected") && String::from_utf8_lossy(&broken.stdout) == text, "{said}");
}
