//! The whole daemon between real cameras and a real broker: what it reports, what survives, and what one broken part
//! costs the others.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, process::Command, time::Duration};

use snowgate_simulators::broker::{Mosquitto, Setup};
use snowgate_tests::{
    daemon::{self, Daemon},
    grid_system::Received,
    site::Site,
    wait::PATIENCE,
};

/// The clip is 80 s long, and this machine may be busy: every rule has had its chance several times over.
const A_WHILE: Duration = Duration::from_secs(240);

/// Waits until it says that it does its job.
fn ready(mut daemon: Daemon) -> Daemon {
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    daemon
}

fn opened(received: &Received, rule: &str) -> usize {
    received.events.iter().filter(|event| event.kind() == "opened" && event.data.rule.as_str() == rule).count()
}

/// Waits until so many events more than `before` have arrived.
fn events_more(site: &snowgate_tests::grid_system::GridSystem, before: usize, more: usize) -> Option<usize> {
    site.wait_for(A_WHILE, |received| (received.events.len() >= before + more).then_some(received.events.len()))
}

#[test]
fn pictures_become_incidents_with_covered_stills_at_the_broker() {
    let site = Site::new();
    let grid_system = site.grid_system();
    let daemon = ready(site.start().unwrap());
    let all = grid_system.wait_for(A_WHILE, |received| {
        let rules = ["face-at-entrance", "passage-crossed", "on-left-road"];
        let complete = rules.iter().all(|rule| opened(received, rule) > 0) && !received.stills.is_empty();
        complete.then_some(())
    });
    assert!(all.is_some(), "{:?}\n{}", grid_system.look(|r| r.events.len()), daemon.last_log_lines(20));
    let metrics = daemon.metrics().unwrap();
    for metric in ["snowgate_frames_received_total", "snowgate_frames_decoded_total", "snowgate_frames_inferred_total"]
    {
        for camera in ["walkers", "entrance"] {
            assert!(metrics.total(metric, &[("camera", camera)]) > 0.0, "{metric} of {camera}");
        }
    }
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| {
        assert_eq!(received.rejected, Vec::<String>::new());
        assert!(received.forged_stills().is_empty(), "a still's bytes are those its event announces");
        assert_eq!(received.states["camera/walkers/state"]["state"], "live");
        assert_eq!(received.states["status"]["state"], "offline", "a clean stop says so itself");
    });
}

#[test]
fn a_power_cut_of_box_and_broker_leaves_no_hole() {
    let mut site = Site::new();
    // More incidents, faster.
    site.edit("cameras.d/walkers.toml", |text| text.replace("for = \"10s\"", "for = \"1s\""));
    let grid_system = site.grid_system();

    let daemon = ready(site.start().unwrap());
    let seen = events_more(&grid_system, 0, 4).expect("events before anything happens");
    daemon.kill9().unwrap();

    let daemon = ready(site.start().unwrap());
    let seen = events_more(&grid_system, seen, 4).expect("events after the daemon was killed");
    site.broker.kill9();
    // While the broker is away the box goes on, and what it finds waits.
    let waiting = || daemon.metrics().unwrap().total("snowgate_outbox_messages", &[("class", "incident")]);
    assert!(snowgate_tests::wait::wait_until(A_WHILE, || waiting() >= 2.0), "nothing waits: {}", waiting());
    site.broker.restart();
    let seen = events_more(&grid_system, seen, 4).expect("events after the broker was killed");

    daemon.kill9().unwrap();
    let daemon = ready(site.start().unwrap());
    events_more(&grid_system, seen, 4).expect("events after the second kill");
    daemon.stop(PATIENCE).unwrap();

    // What was committed when the last daemon stopped is sent by the next one.
    let daemon = ready(site.start().unwrap());
    let drained = snowgate_tests::wait::wait_until(A_WHILE, || {
        grid_system.look(|received| received.holes().is_empty() && received.missing_sequences().is_empty())
    });
    grid_system.look(|received| {
        assert!(drained, "holes {:?}, sequences {:?}", received.holes(), received.missing_sequences());
        assert_eq!(received.gaps, Vec::<serde_json::Value>::new());
        let restarted = received.events.iter().filter(|event| event.json["data"]["times"]["end_reason"] == "restarted");
        assert!(restarted.count() > 0, "incidents that a kill left open are ended by the next start");
    });
    drop(daemon);
}

#[test]
fn one_bad_camera_takes_nothing_else_down() {
    let site = Site::new();
    site.edit("cameras.d/entrance.toml", |text| {
        text.replace("[stream]", "[stream]\nusername = \"guard\"\npassword_file = \"not-there\"")
    });
    fs::write(
        site.config().join("cameras.d/gone.toml"),
        fs::read_to_string(site.config().join("cameras.d/walkers.toml"))
            .unwrap()
            .replace("id = \"walkers\"", "id = \"gone\"")
            .replace("/walkers\"", "/nowhere\""),
    )
    .unwrap();
    let grid_system = site.grid_system();
    let daemon = ready(site.start().unwrap());
    let told = grid_system.wait_for(PATIENCE, |received| {
        let state = |camera: &str| received.states.get(&format!("camera/{camera}/state"));
        let all = [state("entrance")?, state("gone")?, state("walkers")?];
        (all[1]["state"] == "refused" && all[2]["state"] == "live").then(|| all.map(Clone::clone))
    });
    let [entrance, gone, _] = told.expect("every camera says how it is");
    assert_eq!(entrance["state"], "refused");
    assert!(entrance["reason"].as_str().unwrap().contains("not-there"), "{entrance}");
    assert!(gone["reason"].as_str().unwrap().contains("no stream at this path"), "{gone}");
    grid_system
        .wait_for(A_WHILE, |received| (!received.events.is_empty()).then_some(()))
        .expect("the third one reports");
    daemon.stop(PATIENCE).unwrap();
}

#[test]
fn a_bad_configuration_never_replaces_a_good_one() {
    let site = Site::new();
    ready(site.start().unwrap()).stop(PATIENCE).unwrap();
    site.edit("cameras.d/walkers.toml", |text| text.replace("zone = \"left-road\"", "zone = \"left-raod\""));

    let check =
        Command::new(daemon::program().unwrap()).args(["check", "--config"]).arg(site.config()).output().unwrap();
    assert_eq!(check.status.code(), Some(78));
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("walkers.toml") && said.contains("left-raod") && said.contains("left-road"), "{said}");

    let daemon = ready(site.start().unwrap());
    assert_eq!(daemon.metrics().unwrap().total("snowgate_config_last_load_successful", &[]), 0.0);
    assert!(daemon.log().contains("THE CONFIGURATION IS NOT USABLE"), "{}", daemon.log());
    daemon.stop(PATIENCE).unwrap();
}

/// Starts a daemon that must refuse to run; its exit code and what it logged.
fn refused(site: &Site) -> (Option<i32>, String) {
    let mut daemon = site.start().unwrap();
    let status = daemon.wait_exit(PATIENCE).unwrap().expect("it ends by itself");
    (status.code(), daemon.log())
}

#[test]
fn what_cannot_run_says_why_and_ends() {
    let site = Site::new();
    let running = ready(site.start().unwrap());
    let mut second = site.launch();
    second.log = site.home().join("second.log");
    let mut second = Daemon::start(second).unwrap();
    let status = second.wait_exit(PATIENCE).unwrap().expect("a second daemon on the same data ends by itself");
    assert_eq!(status.code(), Some(69));
    assert!(second.log().contains("is in use by another snowgate"), "{}", second.log());
    running.stop(PATIENCE).unwrap();

    // Without a last good configuration there is nothing to fall back on.
    let site = Site::new();
    fs::remove_dir_all(site.config()).unwrap();
    let (code, log) = refused(&site);
    assert_eq!(code, Some(78), "{log}");
    fs::create_dir(site.config()).unwrap();
    let (code, log) = refused(&site);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("gateway.toml"), "{log}");

    let site = Site::new();
    site.edit("gateway.toml", |text| text.replace("libonnxruntime.so", "libnothing.so"));
    let (code, log) = refused(&site);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("libnothing.so"), "{log}");
}

#[test]
fn a_broker_that_is_down_at_the_start_or_refuses_us_costs_no_incident() {
    let login = Setup { login: Some(("snowgate", "right")), ..Setup::default() };
    let mut site = Site::with_broker(Mosquitto::prepare(&login));
    site.write("password", "wrong\n");
    site.edit("gateway.toml", |text| {
        text.replace("[mqtt]", "[mqtt]\nusername = \"snowgate\"\npassword_file = \"password\"")
    });
    let daemon = ready(site.start().unwrap());
    let waiting = || daemon.metrics().unwrap().total("snowgate_outbox_messages", &[("class", "incident")]);
    assert!(snowgate_tests::wait::wait_until(A_WHILE, || waiting() >= 1.0), "nothing waits for the broker");
    site.broker.restart();
    let log = || daemon.log();
    assert!(snowgate_tests::wait::wait_until(PATIENCE, || log().contains("password")), "{}", daemon.last_log_lines(20));
    daemon.stop(PATIENCE).unwrap();

    site.write("password", "right\n");
    let mut options = rumqttc::MqttOptions::new("grid-system", "127.0.0.1", site.broker.address().port());
    options.set_credentials("snowgate", "right");
    let stills = site.home().join("stills");
    let grid_system =
        snowgate_tests::grid_system::GridSystem::start_with(options, snowgate_tests::site::GATEWAY, &stills).unwrap();
    grid_system.wait_for(PATIENCE, |received| (received.subscribed > 0).then_some(())).expect("subscribed");
    let daemon = ready(site.start().unwrap());
    let first = grid_system.wait_for(A_WHILE, |received| {
        received
            .missing_sequences()
            .is_empty()
            .then(|| received.events.iter().map(|event| event.data.sequence).min())?
    });
    assert_eq!(first, Some(1), "what waited since the first start arrives");
    daemon.stop(PATIENCE).unwrap();
}
