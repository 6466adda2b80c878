//! `snowgate compare` on real clips.

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
};
use tempfile::TempDir;

fn compare(configs: &[&Path], camera: &str, clip: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program().unwrap());
    command.args(["compare", "--format", "json", "--camera", camera]).args(more);
    for config in configs {
        command.arg("--config").arg(config);
    }
    command.arg(clip).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was printed, after this exit code.
fn compared(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rows<'a>(compared: &'a Value, within: &str) -> Vec<&'a Value> {
    let clips = compared["clips"].as_array().unwrap().iter();
    clips.flat_map(|clip| clip["incidents"].as_array().unwrap()).filter(|row| row["in"] == within).collect()
}

/// The square with the rule about stays on its left road alone, which last so long.
fn stays_of(least: &str) -> TempDir {
    configured("walkers", |camera| {
        let (before, rules) = camera.split_once("[[rules]]").unwrap();
        let stays = rules.split("[[rules]]").find(|rule| rule.contains("on-left-road")).unwrap();
        format!("{before}[[rules]]{}", stays.replace("for = \"500ms\"", &format!("for = \"{least}\"")))
    })
}

/// The one stay on the left road that lasts for more than two seconds, in seconds of the clip, as it was measured by hand; all
/// others are over in less than 1.7 s.
const LONG_STAY: (f64, f64) = (61.6, 64.7);

#[test]
fn a_rule_that_asks_for_more_tells_less_and_the_page_shows_both() {
    let (now, next) = (stays_of("500ms"), stays_of("2s"));
    let folder = tempfile::tempdir().unwrap();
    let html = folder.path().join("compare.html");
    let output =
        compare(&[now.path(), next.path()], "walkers", &media("vtest.mp4"), &["--html", html.to_str().unwrap()]);
    let compared = compared(&output, 0);

    let (both, only_a, only_b) = (rows(&compared, "both"), rows(&compared, "only_a"), rows(&compared, "only_b"));
    assert!(both.len() == 1 && (5..=7).contains(&only_a.len()) && only_b.is_empty(), "{compared:#}");
    for side in ["a", "b"] {
        let stay = &both[0][side];
        let (began, last_seen) = (stay["began"].as_f64().unwrap(), stay["last_seen"].as_f64().unwrap());
        assert!((began - LONG_STAY.0).abs() < 1.0 && (last_seen - LONG_STAY.1).abs() < 1.0, "{stay:#}");
    }
    let told_later = both[0]["differs"].as_array().unwrap().contains(&"times".into());
    assert!(told_later, "{:#}", both[0]);
    for side in ["a", "b"] {
        let cost = &compared["clips"][0]["cost"][side];
        let positive = |key: &str| cost[key].as_f64().unwrap() > 0.0;
        assert!(["cpu_seconds", "wall_seconds", "realtime_factor"].iter().all(|key| positive(key)), "{cost:#}");
        assert!(["decoded", "inferred", "regions"].iter().all(|key| positive(key)), "{cost:#}");
        assert!(cost["inferred"].as_u64() <= cost["decoded"].as_u64(), "{cost:#}");
    }

    let page = fs::read_to_string(&html).unwrap();
    // What a JPEG begins with.
    let stills = page.matches("src=\"data:image/jpeg;base64,/9j/").count();
    assert_eq!(stills, 2 + only_a.len(), "every incident has its still");
    assert_eq!(page.matches("<img ").count(), stills);
    assert_eq!(page.matches("<td class=\"none\">").count(), only_a.len(), "and an empty place where there is none");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}

#[test]
fn a_configuration_tells_the_same_as_itself() {
    let now = stays_of("500ms");
    let output = compare(&[now.path(), now.path()], "walkers", &media("vtest.mp4"), &["--expect-same"]);
    let compared = compared(&output, 0);
    assert!(rows(&compared, "both").len() >= 6, "{compared:#}");
    assert!(rows(&compared, "only_a").is_empty() && rows(&compared, "only_b").is_empty(), "{compared:#}");
    assert!(rows(&compared, "both").iter().all(|row| row["differs"] == serde_json::json!([])), "{compared:#}");
}

#[test]
fn differences_and_clips_that_are_none_are_told_by_the_exit_code() {
    let (now, next) = (
        configured("entrance", |camera| camera),
        configured("entrance", |camera| camera.replace("for = \"500ms\"", "for = \"500ms\"\nseverity = \"critical\"")),
    );
    let configs = [now.path(), next.path()];
    let differs = compare(&configs, "entrance", &media("face-long.mp4"), &["--expect-same"]);
    assert!(said(&differs).contains("the configurations differ"), "{}", said(&differs));
    assert_eq!(rows(&compared(&differs, 65), "both")[0]["differs"], serde_json::json!(["severity"]));

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.mp4"), "this is no video").unwrap();
    fs::copy(media("face-long.mp4"), folder.path().join("b.mp4")).unwrap();
    let broken = compare(&configs, "entrance", folder.path(), &[]);
    let compared = compared(&broken, 65);
    assert!(said(&broken).contains("a.mp4") && compared["unplayable"][0].as_str().unwrap().contains("a.mp4"));
    assert_eq!(rows(&compared, "both").len(), 1, "the other clip goes on: {compared:#}");
}

#[test]
fn what_is_wrong_with_a_configuration_names_which() {
    let good = configured("entrance", |camera| camera);
    let bad = configured("entrance", |camera| camera.replace("kind = \"intrusion\"", "kind = \"intrusoin\""));
    let (good, bad) = (good.path(), bad.path());
    for (configs, camera, code, parts) in [
        (&[good, bad][..], "entrance", 78, ["configuration B", "entrance.toml:"]),
        (&[bad, good][..], "entrance", 78, ["configuration A", "entrance.toml:"]),
        (&[good, good][..], "nobody", 78, ["configuration A", "no camera nobody"]),
        (&[good][..], "entrance", 64, ["--config", "not twice"]),
        (&[good, good, good][..], "entrance", 64, ["--config", "not twice"]),
    ] {
        let output = compare(configs, camera, &media("face-long.mp4"), &[]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(parts.iter().all(|part| said(&output).contains(part)), "{}", said(&output));
    }
}
