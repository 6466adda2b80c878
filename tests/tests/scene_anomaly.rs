//! A scene that is learnt, in two goes, and something that was never in it: a real stream whose server switches its picture,
//! the whole daemon, the real model and a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use snowgate_tests::{
    daemon::{Daemon, program},
    encode::{encode, walkers, walkers_and_a_thing},
    grid_system::{GridSystem, IncidentEvent},
    site::Site,
    wait::{PATIENCE, wait_until},
};
use tempfile::NamedTempFile;

const A_WHILE: Duration = Duration::from_secs(240);
/// Constant quality: a thing takes no bits from the rest of the picture.
const ENCODER: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 option-string=scenecut=0 pass=quant \
                       quantizer=24";

/// The demo's site with one camera that watches for what was never in its scene, and what that scene shows.
fn site() -> (Site, NamedTempFile) {
    let site = Site::new();
    // As it will be coded when something is in it.
    let ordinary = clip(&walkers(780, ENCODER));
    site.leave_cameras_out();
    fs::create_dir_all(site.config().join("cameras.d")).unwrap();
    site.cameras.loop_file("/square", ordinary.path());
    let url = site.cameras.url("/square");
    site.write(
        "cameras.d/square.toml",
        &format!(
            "id = \"square\"\ngrid = \"330182101201001\"\n[stream]\ndetect = \"{url}\"\n\
             [anomaly]\nfor = \"10s\"\nevery = \"1s\"\n\
             [[rules]]\nid = \"unknown\"\nkind = \"anomaly\"\ncategory = \"unknown-thing\"\n"
        ),
    );
    (site, ordinary)
}

fn clip(launch: &str) -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".mkv").tempfile().unwrap();
    encode(launch, file.path());
    file
}

/// A `snowgate learn` that runs.
struct Learning {
    child: Child,
    lines: Receiver<String>,
}

impl Learning {
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut child = Command::new(program().unwrap())
            .args(["learn", "--camera", "square", "--config"])
            .arg(site.config())
            .arg("--data")
            .arg(site.data())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (line, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, lines }
    }

    /// What it prints up to its end.
    fn end(mut self) -> (ExitStatus, String) {
        let mut printed = String::new();
        while let Ok(line) = self.lines.recv_timeout(A_WHILE) {
            printed += &line;
            printed.push('\n');
        }
        (self.child.wait().unwrap(), printed)
    }
}

fn has(site: &Site, part: &str) -> bool {
    site.data().join("scene").join(format!("square.{part}")).exists()
}

fn metric(daemon: &Daemon, name: &str, labels: &[(&str, &str)]) -> f64 {
    daemon.metrics().unwrap().total(name, labels)
}

fn watches(daemon: &Daemon) -> bool {
    metric(daemon, "snowgate_scene_watched", &[("camera", "square"), ("light", "day")]) > 0.0
}

fn event(grid_system: &GridSystem, daemon: &Daemon, wanted: impl Fn(&IncidentEvent) -> bool) -> IncidentEvent {
    let find = || grid_system.wait_for(A_WHILE, |received| received.events.iter().find(|event| wanted(event)).cloned());
    find().unwrap_or_else(|| panic!("it never came\n{}", daemon.last_log_lines(40)))
}

#[test]
fn what_was_never_in_a_learnt_scene_is_an_incident_until_it_is_gone() {
    let (site, ordinary) = site();
    // Three times what the sample shows, a picture a second.
    let mut clips = vec!["--every", "1s"];
    clips.extend([ordinary.path().to_str().unwrap(); 3]);

    let learning = Learning::start(&site, &clips);
    let first = learning.lines.recv_timeout(A_WHILE).expect("it tells when it has begun to learn");
    assert!(first.contains("day: 1 pictures"), "{first}");
    kill_process(Pid::from_child(&learning.child), Signal::INT).unwrap();
    let (status, printed) = learning.end();
    assert_eq!((status.code(), printed.contains("goes on from here")), (Some(75), true), "{printed}");
    assert!(has(&site, "learning") && !has(&site, "learnt"));

    let (status, printed) = Learning::start(&site, &clips).end();
    assert_eq!((status.code(), printed.contains("of them learnt before")), (Some(0), true), "{printed}");
    assert!(printed.contains("day: 237 pictures"), "each once: {printed}");
    assert!(has(&site, "learnt") && !has(&site, "learning"));

    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    assert!(wait_until(A_WHILE, || watches(&daemon)), "it does not watch\n{}", daemon.last_log_lines(40));

    let with_thing = clip(&walkers_and_a_thing(780, ENCODER));
    site.cameras.switch_file("/square", with_thing.path());
    let opened = event(&grid_system, &daemon, |event| event.kind() == "opened");
    let data = &opened.json["data"];
    assert_eq!((&data["rule_kind"], &data["rule"]), (&"anomaly".into(), &"unknown".into()), "{}", opened.json);
    assert_eq!(data["models"][0]["id"], "efficientnet-lite0", "{}", opened.json);
    let incident = opened.data.incident;
    event(&grid_system, &daemon, |event| event.data.incident == incident && !event.data.evidence.is_empty());

    site.cameras.switch_file("/square", ordinary.path());
    event(&grid_system, &daemon, |event| event.data.incident == incident && event.kind() == "ended");
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| {
        let opened: Vec<_> = received.events.iter().filter(|event| event.kind() == "opened").collect();
        assert_eq!(opened.len(), 1, "one thing: {:?}", opened.iter().map(|event| &event.json).collect::<Vec<_>>());
        assert_eq!(received.rejected, Vec::<String>::new());
    });
    assert!(has(&site, "adapted") && has(&site, "health.json"), "what was learnt since is kept at the end");
}

#[test]
fn what_was_learnt_of_another_view_is_refused_by_name_and_what_is_forgotten_is_learnt_anew() {
    let (site, ordinary) = site();
    let ordinary = ordinary.path().to_str().unwrap();
    let clips = ["--every", "1s", ordinary, ordinary];
    let (status, printed) = Learning::start(&site, &clips).end();
    assert_eq!(status.code(), Some(0), "{printed}");
    let mask = "[[masks]]\npolygon = [[0, 0], [0.2, 0], [0.2, 0.2], [0, 0.2]]\n";
    site.edit("cameras.d/square.toml", |text| text + mask);

    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let refused = || {
        let log = daemon.log();
        log.lines().any(|line| line.contains("square.learnt") && line.contains("another view"))
    };
    assert!(wait_until(A_WHILE, refused), "{}", daemon.last_log_lines(40));
    assert!(!watches(&daemon) && has(&site, "learnt"), "it stays, and the camera learns anew");

    let views = || metric(&daemon, "snowgate_camera_views_known", &[("camera", "square")]);
    assert!(wait_until(A_WHILE, || views() > 0.0), "{}", daemon.last_log_lines(40));
    let (status, printed) = Learning::start(&site, &["--forget"]).end();
    assert_eq!((status.code(), has(&site, "learnt")), (Some(0), false), "{printed}");
    assert!(wait_until(A_WHILE, || views() == 0.0), "{}", daemon.last_log_lines(40));
    assert!(!has(&site, "forget"));
    daemon.stop(PATIENCE).unwrap();
}
