//! A camera with two streams: the small one is watched, the large one is kept.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use snowgate_tests::{
    encode::{H264, ball, walkers},
    site::Site,
    wait::{PATIENCE, wait_until},
};
use support::clip;

/// Time enough for rules to find something.
const A_WHILE: Duration = Duration::from_secs(240);

#[test]
fn the_small_stream_is_watched_and_the_large_one_may_fail_beside_it() {
    let site = Site::new();
    let scaled = format!("videoscale ! video/x-raw,width=640,height=360,pixel-aspect-ratio=1/1 ! {H264}");
    let (_small, small) = clip(&walkers(300, &scaled));
    let (_large, large) = clip(&ball(50, 1920, 1080, H264));
    site.cameras.loop_file("/small", &small);
    site.cameras.loop_file("/large", &large);
    let (detect, record) = (site.cameras.url("/small"), site.cameras.url("/large"));
    let url = site.cameras.url("/walkers");
    site.edit("cameras.d/walkers.toml", |text| {
        text.replace(&format!("detect = \"{url}\""), &format!("detect = \"{detect}\"\nrecord = \"{record}\""))
    });
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap();

    let total = |name: &str, stream: Option<&str>| {
        let labels: Vec<_> =
            [("camera", "walkers")].into_iter().chain(stream.map(|stream| ("stream", stream))).collect();
        daemon.metrics().unwrap().total(name, &labels)
    };
    const RECEIVED: &str = "snowgate_frames_received_total";
    let both = wait_until(PATIENCE, || ["detect", "record"].iter().all(|of| total(RECEIVED, Some(of)) > 50.0));
    assert!(both, "{}", daemon.last_log_lines(20));
    assert_eq!(total("snowgate_camera_record_stream_live", None), 1.0);
    for stream in ["detect", "record"] {
        assert!(total("snowgate_ring_bytes", Some(stream)) > 0.0, "{stream}");
    }
    // Somebody walks in the small one; in the large one there is but a ball.
    let found = grid_system.wait_for(A_WHILE, |received| {
        received.events.iter().any(|event| event.data.origin.id().as_str() == "walkers").then_some(())
    });
    assert!(found.is_some(), "{}", daemon.last_log_lines(20));
    let (decoded, small, large) = (
        total("snowgate_frames_decoded_total", None),
        total(RECEIVED, Some("detect")),
        total(RECEIVED, Some("record")),
    );
    // A key frame may be decoded twice: looked at, and caught up with.
    let looks = total("snowgate_gate_looks_total", None);
    assert!(decoded <= small + looks, "{decoded} decoded, {looks} looks, of {small} small and {large} large pictures");

    site.cameras.remove("/large");
    site.cameras.close_connections();
    let told = grid_system.wait_for(PATIENCE, |received| {
        let state = received.states.get("camera/walkers/state")?;
        let reason = state["record_reason"].as_str()?;
        (state["state"] == "live" && reason.contains("no stream at this path")).then(|| state.clone())
    });
    let told = told.unwrap_or_else(|| panic!("{}", daemon.last_log_lines(20)));
    assert!(told.get("reason").is_none(), "{told}");
    assert_eq!(total("snowgate_camera_record_stream_live", None), 0.0);
    let before = total(RECEIVED, Some("detect"));
    assert!(wait_until(PATIENCE, || total(RECEIVED, Some("detect")) > before + 20.0), "the small one goes on");
    daemon.stop(PATIENCE).unwrap();
}
