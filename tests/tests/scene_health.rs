//! Cameras that are covered, turned, put out of focus or frozen while they are watched: real streams whose server switches
//! its picture, the whole daemon and a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use snowgate_tests::{
    daemon::Daemon,
    encode::{altered_walkers, encode, lost_pictures, pattern},
    grid_system::{GridSystem, IncidentEvent},
    site::Site,
    wait::{PATIENCE, wait_until},
};

/// A view is learnt within about a minute, and this machine may be busy.
const A_WHILE: Duration = Duration::from_secs(240);
/// As the sample walkers are encoded.
const ENCODER: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 option-string=scenecut=0 bitrate=2000";
const PICTURES: u32 = 100;

/// A camera, and what is done to it.
struct Tampered {
    condition: &'static str,
    /// Makes the clip that it shows from then on.
    launch: String,
}

fn tampered() -> Vec<Tampered> {
    let altered = |change: &str| altered_walkers(PICTURES, change, ENCODER);
    let only = |what: &str| pattern(PICTURES, what, ENCODER);
    vec![
        Tampered { condition: "corrupted", launch: lost_pictures(PICTURES, ENCODER) },
        Tampered { condition: "black", launch: only("pattern=black") },
        Tampered { condition: "white", launch: only("pattern=white") },
        Tampered { condition: "covered", launch: only("pattern=solid-color foreground-color=0xff50483c") },
        // One group of pictures, played again and again: whatever the encoder did, it is the same.
        Tampered { condition: "frozen", launch: altered_walkers(20, "identity", ENCODER) },
        Tampered {
            condition: "defocused",
            launch: altered("videoscale ! video/x-raw,width=96,height=72 ! videoscale method=bilinear"),
        },
        Tampered { condition: "moved", launch: altered("videocrop left=76 ! videobox right=-76") },
        Tampered { condition: "wrong_scene", launch: altered("videoflip video-direction=180") },
    ]
}

/// The demo's site with these cameras in place of its own, all of which show the same square.
fn site(cameras: &[&str]) -> Site {
    let site = Site::new();
    let media = snowgate_tests::repository().join("assets/media/vtest.mp4");
    site.leave_cameras_out();
    fs::create_dir_all(site.config().join("cameras.d")).unwrap();
    for camera in cameras {
        site.cameras.loop_file(&format!("/{camera}"), &media);
        let url = site.cameras.url(&format!("/{camera}"));
        site.write(
            &format!("cameras.d/{camera}.toml"),
            &format!(
                "id = \"{camera}\"\ngrid = \"330182101201001\"\n[stream]\ndetect = \"{url}\"\n\
                 [health]\nfor = \"3s\"\nfrozen_for = \"10s\"\n\
                 [[rules]]\nid = \"tampered\"\nkind = \"tamper\"\ncategory = \"camera-tampered\"\n"
            ),
        );
    }
    site
}

fn knows_its_view(daemon: &Daemon, camera: &str) -> bool {
    daemon.metrics().unwrap().total("snowgate_camera_views_known", &[("camera", camera)]) > 0.0
}

/// Waits for an event of a camera that is as wanted.
fn event(grid_system: &GridSystem, daemon: &Daemon, camera: &str, kind: &str) -> IncidentEvent {
    let wanted = |event: &&IncidentEvent| event.kind() == kind && event.json["data"]["camera"] == camera;
    let found = grid_system.wait_for(A_WHILE, |received| received.events.iter().find(wanted).cloned());
    found.unwrap_or_else(|| panic!("{camera}: no {kind}\n{}", daemon.last_log_lines(40)))
}

fn pictures(grid_system: &GridSystem, camera: &str) -> Option<Value> {
    grid_system.look(|received| received.states.get(&format!("camera/{camera}/state"))?.get("pictures").cloned())
}

#[test]
fn a_camera_that_cannot_be_relied_upon_is_an_incident_until_it_can() {
    let tampered = tampered();
    let clips = tempfile::TempDir::new().unwrap();
    let clip = |condition: &str| clips.path().join(format!("{condition}.mkv"));
    tampered.iter().for_each(|camera| encode(&camera.launch, &clip(camera.condition)));
    let mut cameras: Vec<&str> = tampered.iter().map(|camera| camera.condition).collect();
    cameras.push("untouched");
    let site = site(&cameras);
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let all_known = || cameras.iter().all(|camera| knows_its_view(&daemon, camera));
    assert!(wait_until(A_WHILE, all_known), "views are not learnt\n{}", daemon.last_log_lines(40));
    grid_system.look(|received| assert!(received.events.is_empty(), "walkers are no tampering: {:?}", received.events));

    let show = |camera: &str, clip: &Path| site.cameras.switch_file(&format!("/{camera}"), clip);
    tampered.iter().for_each(|camera| show(camera.condition, &clip(camera.condition)));
    for Tampered { condition, .. } in &tampered {
        let opened = event(&grid_system, &daemon, condition, "opened");
        let data = &opened.json["data"];
        assert_eq!(data["condition"], *condition, "{}", opened.json);
        assert_eq!((&data["rule_kind"], &data["area"]), (&"tamper".into(), &Value::Null), "{}", opened.json);
        assert_eq!(pictures(&grid_system, condition), Some((*condition).into()));
        let stills = |received: &snowgate_tests::grid_system::Received| {
            received
                .events
                .iter()
                .any(|event| event.data.incident == opened.data.incident && !event.data.evidence.is_empty())
        };
        let has_still = grid_system.wait_for(PATIENCE, |received| stills(received).then_some(()));
        assert!(has_still.is_some(), "{condition}: no still\n{}", daemon.last_log_lines(40));
    }

    let normal = snowgate_tests::repository().join("assets/media/vtest.mp4");
    tampered.iter().for_each(|camera| show(camera.condition, &normal));
    for Tampered { condition, .. } in &tampered {
        event(&grid_system, &daemon, condition, "ended");
        assert_eq!(pictures(&grid_system, condition), None, "{condition}");
    }
    daemon.stop(PATIENCE).unwrap();
    grid_system.look(|received| {
        let opened = received.events.iter().filter(|event| event.kind() == "opened");
        assert_eq!(opened.count(), tampered.len(), "each once, and none of the camera that nobody touched");
        assert_eq!(received.rejected, Vec::<String>::new());
    });
}
