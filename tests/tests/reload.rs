//! The configuration changes while the whole daemon runs, between real cameras and a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use snowgate_tests::{
    daemon::{Daemon, Launch},
    grid_system::{GridSystem, Received},
    metrics::Metrics,
    site::Site,
    wait::{PATIENCE, wait_until},
};

/// The clip is 80 s long, and this machine may be busy.
const A_WHILE: Duration = Duration::from_secs(240);
const CAMERAS: usize = 16;

fn ready(site: &Site) -> Daemon {
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    daemon
}

fn name(number: usize) -> String {
    format!("square-{number:02}")
}

/// A camera of the square with a zone that is all of it, and one that is its right half.
fn camera(site: &Site, camera: &str, right: &str, more: &str) {
    let url = site.cameras.url(&format!("/{camera}"));
    let rule = |id: &str, zone: &str| {
        format!(
            "[[rules]]\nid = \"{id}\"\nkind = \"intrusion\"\nzone = \"{zone}\"\ncool_down = \"1h\"\ncategory = \"intrusion\"\n"
        )
    };
    let zone = |id: &str, polygon: &str| format!("[[zones]]\nid = \"{id}\"\npolygon = {polygon}\n");
    let text = format!(
        "id = \"{camera}\"\ngrid = \"330182101201001\"\n[stream]\ndetect = \"{url}\"\n[detect]\nfps = 2\n{}{}{}{}{more}",
        zone("all", "[[0, 0], [1, 0], [1, 1], [0, 1]]"),
        zone("right", right),
        rule("anywhere", "all"),
        rule("on-the-right", "right"),
    );
    site.write(&format!("cameras.d/{camera}.toml"), &text);
}

const RIGHT: &str = "[[0.5, 0], [1, 0], [1, 1], [0.5, 1]]";
const FURTHER_RIGHT: &str = "[[0.4, 0], [1, 0], [1, 1], [0.4, 1]]";

fn site(cameras: &[String]) -> Site {
    let site = Site::new();
    site.leave_cameras_out();
    fs::create_dir_all(site.config().join("cameras.d")).unwrap();
    let media = snowgate_tests::repository().join("assets/media/vtest.mp4");
    for name in cameras {
        site.cameras.loop_file(&format!("/{name}"), &media);
        camera(&site, name, RIGHT, "");
    }
    site
}

/// Incidents by camera, rule and kind of event.
fn told(received: &Received) -> BTreeMap<(String, String, String), usize> {
    let mut told = BTreeMap::new();
    for event in &received.events {
        let camera = event.json["data"]["camera"].as_str().unwrap_or_default().to_owned();
        *told.entry((camera, event.data.rule.to_string(), event.kind().to_owned())).or_default() += 1;
    }
    told
}

fn count(received: &Received, camera: &str, rule: &str, kind: &str) -> usize {
    told(received).get(&(camera.to_owned(), rule.to_owned(), kind.to_owned())).copied().unwrap_or_default()
}

fn config_state(grid_system: &GridSystem) -> Value {
    grid_system.look(|received| received.states.get("config/state").cloned()).unwrap_or_default()
}

fn generation(daemon: &Daemon) -> f64 {
    daemon.metrics().map_or(0.0, |metrics| metrics.total("snowgate_config_generation", &[]))
}

/// What became of streams, for whoever wonders.
fn streams(daemon: &Daemon) -> String {
    let log = daemon.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("stream") || line.contains("configuration")).collect();
    lines.join("\n")
}

fn of(metrics: &Metrics, metric: &str, camera: &str) -> f64 {
    metrics.total(metric, &[("camera", camera)])
}

/// The tracks that a log speaks of, by camera: all of them, and those that it says are gone.
#[derive(Default)]
struct Tracks {
    seen: BTreeMap<String, BTreeSet<u64>>,
    gone: BTreeMap<String, BTreeSet<u64>>,
}

/// The same before and after the configuration was reloaded. The log is JSON, and explains what rules do with each track.
fn tracks(log: &str) -> (Tracks, Tracks) {
    let (mut before, mut after, mut reloaded) = (Tracks::default(), Tracks::default(), false);
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let message = line["message"].as_str().unwrap_or_default();
        reloaded |= message == "configuration reloaded";
        let (Some(camera), Some((_, track))) = (line["camera"].as_str(), message.split_once("track ")) else {
            continue;
        };
        let Ok(track) = track.split(' ').next().unwrap_or_default().parse() else { continue };
        let tracks = if reloaded { &mut after } else { &mut before };
        tracks.seen.entry(camera.to_owned()).or_default().insert(track);
        // What it says at last has no time before it. Both rules say so; the second one makes sure of it.
        if message.starts_with("track ") && message.contains("rule on-the-right") {
            tracks.gone.entry(camera.to_owned()).or_default().insert(track);
        }
    }
    (before, after)
}

/// Sixteen cameras are followed on a box that has too much to do; one zone of one of them is edited. Nobody else notices.
#[test]
fn a_reload_under_load_touches_only_the_rule_whose_zone_was_edited() {
    let cameras: Vec<String> = (0..CAMERAS).map(name).collect();
    let site = site(&cameras);
    let grid_system = site.grid_system();
    let launch = Launch { arguments: vec!["--log-format".into(), "json".into()], ..site.launch() };
    let explained = [("RUST_LOG", OsStr::new("info,snowgate::explain=debug"))];
    let mut daemon = Daemon::start_with(launch, &explained).unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let all_told = grid_system.wait_for(A_WHILE, |received| {
        let told = |camera: &String, rule| count(received, camera, rule, "opened") == 1;
        cameras.iter().all(|camera| told(camera, "anywhere") && told(camera, "on-the-right")).then_some(())
    });
    assert!(all_told.is_some(), "{:?}\n{}", grid_system.look(told), daemon.last_log_lines(20));

    let somebody_has_gone = || {
        let gone = tracks(&daemon.log()).0.gone;
        cameras.iter().all(|camera| gone.contains_key(camera))
    };
    assert!(wait_until(A_WHILE, somebody_has_gone), "{}", daemon.last_log_lines(20));

    let (edited, others) = cameras.split_first().unwrap();
    let before = daemon.metrics().unwrap();
    let told_before = grid_system.look(told);
    camera(&site, edited, FURTHER_RIGHT, "");
    daemon.signal(Signal::HUP).unwrap();
    assert!(wait_until(PATIENCE, || generation(&daemon) == 2.0), "{}", daemon.last_log_lines(20));
    let began_anew = grid_system.wait_for(A_WHILE, |received| {
        let ended = count(received, edited, "on-the-right", "ended") == 1;
        (ended && count(received, edited, "on-the-right", "opened") == 2).then_some(())
    });
    assert!(began_anew.is_some(), "{:?}\n{}", grid_system.look(told), daemon.last_log_lines(20));
    // Everybody has been looked at again since.
    let looked_at = |metrics: &Metrics, camera: &str| {
        of(metrics, "snowgate_frames_inferred_total", camera)
            > of(&before, "snowgate_frames_inferred_total", camera) + 2.0
    };
    let all_seen = || daemon.metrics().is_ok_and(|metrics| cameras.iter().all(|camera| looked_at(&metrics, camera)));
    assert!(wait_until(A_WHILE, all_seen), "{}", daemon.last_log_lines(20));

    let after = daemon.metrics().unwrap();
    for camera in &cameras {
        for metric in ["snowgate_camera_connects_total", "snowgate_frames_lost_total"] {
            let (before, after) = (of(&before, metric, camera), of(&after, metric, camera));
            assert_eq!(after, before, "{metric} of {camera}\n{}", streams(&daemon));
        }
    }
    // Who was followed before still is, by the same number; and no number is given a second time.
    let goes_on = |camera: &String| {
        let (before, after) = tracks(&daemon.log());
        let seen = |tracks: &Tracks| tracks.seen.get(camera).cloned().unwrap_or_default();
        seen(&before).intersection(&seen(&after)).next().is_some()
    };
    assert!(wait_until(A_WHILE, || others.iter().all(goes_on)), "{}", daemon.last_log_lines(20));
    let (before, after) = tracks(&daemon.log());
    for camera in others {
        let (gone, seen) = (&before.gone[camera], &after.seen[camera]);
        assert!(!gone.is_empty() && gone.is_disjoint(seen), "{camera}: {gone:?} were gone, {seen:?} are followed");
    }

    let now = grid_system.look(told);
    let decisive = |told: &BTreeMap<(String, String, String), usize>| -> Vec<_> {
        let kinds = told.iter().filter(|((camera, rule, kind), _)| {
            (others.contains(camera) || rule == "anywhere") && (kind == "opened" || kind == "ended")
        });
        kinds.map(|(key, count)| (key.clone(), *count)).collect()
    };
    assert_eq!(decisive(&now), decisive(&told_before), "what is the same goes on");
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| assert_eq!(received.rejected, Vec::<String>::new()));
}

/// Cameras come, change and go as their files do; what is wrong changes nothing and says why; what the daemon is built upon
/// has it start anew.
#[test]
fn the_daemon_follows_its_files() {
    let cameras = [name(1), name(2)];
    let site = site(&cameras);
    let media = snowgate_tests::repository().join("assets/media/vtest.mp4");
    site.cameras.loop_file("/late", &media);
    let grid_system = site.grid_system();
    let mut daemon = ready(&site);
    let state_of =
        |camera: &str| grid_system.look(|received| received.states.get(&format!("camera/{camera}/state")).cloned());
    let is_live = |camera: &str| state_of(camera).is_some_and(|state| state["state"] == "live");
    assert!(wait_until(PATIENCE, || cameras.iter().all(|camera| is_live(camera))));
    assert_eq!(config_state(&grid_system)["origin"], "given");
    let connects = |metrics: &Metrics| of(metrics, "snowgate_camera_connects_total", &cameras[1]);
    let undisturbed = connects(&daemon.metrics().unwrap());

    // Without a word, by its files alone: one comes, one goes.
    camera(&site, "late", RIGHT, "");
    fs::remove_file(site.config().join("cameras.d/square-01.toml")).unwrap();
    assert!(
        wait_until(PATIENCE, || is_live("late") && state_of(&cameras[0]).is_none()),
        "{}",
        daemon.last_log_lines(20)
    );
    let metrics = daemon.metrics().unwrap();
    assert_eq!(connects(&metrics), undisturbed, "it is none of its business\n{}", streams(&daemon));
    assert!(!metrics.label_values("snowgate_camera_state", "camera").contains(&cameras[0]));
    let opened =
        grid_system.wait_for(A_WHILE, |received| (count(received, "late", "anywhere", "opened") == 1).then_some(()));
    assert!(opened.is_some(), "{}", daemon.last_log_lines(20));

    // What is wrong is refused whole, by line and column, although another file is right.
    let in_force = config_state(&grid_system);
    camera(
        &site,
        "late",
        RIGHT,
        "[[rules]]\nid = \"third\"\nkind = \"intrusion\"\nzone = \"rihgt\"\ncategory = \"intrusion\"\n",
    );
    camera(&site, &cameras[0], RIGHT, "");
    daemon.signal(Signal::HUP).unwrap();
    let refused = grid_system.wait_for(PATIENCE, |received| received.states["config/state"].get("refused").cloned());
    let refused = refused.unwrap_or_else(|| panic!("{}", daemon.last_log_lines(20)));
    assert_eq!(refused["errors"], 1, "{refused}");
    let first = refused["first"].as_str().unwrap();
    assert!(first.contains("cameras.d/late.toml:28:9") && first.contains("rihgt"), "{first}");
    assert_eq!(config_state(&grid_system)["digest"], in_force["digest"]);
    let metrics = daemon.metrics().unwrap();
    assert_eq!(metrics.total("snowgate_config_last_load_successful", &[]), 0.0);
    assert_eq!(metrics.total("snowgate_config_reloads_total", &[("result", "refused")]), 1.0);
    assert!(state_of(&cameras[0]).is_none(), "nothing of it is in force");

    // Put right, all of it is.
    camera(&site, "late", RIGHT, "");
    assert!(wait_until(PATIENCE, || is_live(&cameras[0])), "{}", daemon.last_log_lines(20));
    assert!(wait_until(PATIENCE, || config_state(&grid_system).get("refused").is_none()));
    assert_eq!(daemon.metrics().unwrap().total("snowgate_config_last_load_successful", &[]), 1.0);

    // Another stream of one camera: it alone is opened anew.
    site.cameras.loop_file("/elsewhere", &media);
    site.edit("cameras.d/late.toml", |text| text.replace("/late\"", "/elsewhere\""));
    let opened_anew = || site.cameras.setups().iter().any(|url| url.contains("/elsewhere"));
    assert!(wait_until(PATIENCE, || opened_anew() && is_live("late")), "{}", daemon.last_log_lines(20));
    assert_eq!(connects(&daemon.metrics().unwrap()), undisturbed, "{}", streams(&daemon));

    // Titles in another language: the daemon starts anew, in the same process.
    let pid = daemon.pid();
    let before = grid_system.look(|received| received.events.len());
    site.edit("gateway.toml", |text| text.replace("locale = \"en\"", "locale = \"zh-CN\""));
    daemon.signal(Signal::HUP).unwrap();
    let in_chinese = grid_system.wait_for(A_WHILE, |received| {
        let mut titles =
            received.events[before..].iter().map(|event| event.json["data"]["title"].as_str().unwrap_or_default());
        titles.find(|title| title.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c))).map(str::to_owned)
    });
    assert!(in_chinese.is_some(), "{}", daemon.last_log_lines(20));
    daemon.ensure_running().unwrap();
    assert_eq!(daemon.pid(), pid);
    assert_eq!(generation(&daemon), 1.0, "it is a start like any other");
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| assert_eq!(received.rejected, Vec::<String>::new()));
}
