//! Cameras that go, come back or never came: real streams, the whole daemon and a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;
use snowgate_tests::{
    daemon::{self, Daemon},
    grid_system::{GridSystem, IncidentEvent},
    rtsp::RtspServer,
    site::Site,
    wait::PATIENCE,
};

/// Cameras are tried again less and less often.
const A_WHILE: Duration = Duration::from_secs(180);

fn walkers() -> PathBuf {
    snowgate_tests::repository().join("assets/media/vtest.mp4")
}

/// A camera with these streams and one rule.
fn camera(site: &Site, id: &str, streams: &str) {
    site.write(
        &format!("cameras.d/{id}.toml"),
        &format!(
            "id = \"{id}\"\ngrid = \"330182101201001\"\n[stream]\nstall_after = \"5s\"\n{streams}\n\
             [[rules]]\nid = \"gone\"\nkind = \"offline\"\nfor = \"10s\"\nlinger = \"2s\"\ncategory = \"camera-offline\"\n"
        ),
    );
}

fn event(grid_system: &GridSystem, daemon: &Daemon, camera: &str, kind: &str) -> IncidentEvent {
    let wanted = |event: &&IncidentEvent| event.kind() == kind && event.json["data"]["camera"] == camera;
    let found = grid_system.wait_for(A_WHILE, |received| received.events.iter().find(wanted).cloned());
    found.unwrap_or_else(|| panic!("{camera}: no {kind}\n{}", daemon.last_log_lines(40)))
}

#[test]
fn a_camera_that_goes_is_an_incident_until_it_is_back() {
    let port = daemon::free_port().unwrap();
    let start = || {
        let server = RtspServer::start_at(port).unwrap();
        server.loop_file("/gate", &walkers());
        server
    };
    let server = start();
    let site = Site::new();
    site.leave_cameras_out();
    fs::create_dir_all(site.config().join("cameras.d")).unwrap();
    camera(&site, "gate", &format!("detect = \"{}\"", server.url("/gate")));
    camera(&site, "never", &format!("detect = \"{}\"", site.cameras.url("/to-come")));
    let halves = [("detect", "/walkers"), ("record", "/nowhere")];
    let halves = halves.map(|(role, mount)| format!("{role} = \"{}\"", site.cameras.url(mount)));
    camera(&site, "half", &halves.join("\n"));
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));

    let never = event(&grid_system, &daemon, "never", "opened");
    let data = &never.json["data"];
    assert_eq!((&data["rule_kind"], &data["area"]), (&"offline".into(), &Value::Null), "{}", never.json);
    assert_eq!(data["models"], Value::Array(Vec::new()), "{}", never.json);
    grid_system.look(|received| {
        let of_others = |event: &&IncidentEvent| event.json["data"]["camera"] != "never";
        assert!(!received.events.iter().any(|event| of_others(&event)), "{:?}", received.events);
    });

    drop(server);
    let opened = event(&grid_system, &daemon, "gate", "opened");
    assert_eq!(opened.json["data"]["scene"], "active", "{}", opened.json);
    let server = start();
    site.cameras.loop_file("/to-come", &walkers());
    for camera in ["gate", "never"] {
        let ended = event(&grid_system, &daemon, camera, "ended");
        assert!(ended.data.evidence.is_empty(), "{}", ended.json);
    }
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| {
        let opened = received.events.iter().filter(|event| event.kind() == "opened");
        assert_eq!(opened.count(), 2, "each once, and none of the camera whose record stream alone is missing");
        assert_eq!(received.rejected, Vec::<String>::new());
    });
    drop(server);
}
