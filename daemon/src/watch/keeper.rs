//! Keeps what cameras learn of their scenes, now and then and at the end, and begins anew where somebody says so.

use std::{sync::Arc, time::Duration};

use snowgate_core::time::{Clock, Mono};

use super::Watched;
use crate::{events::scene::SceneForgotten, shutdown::Shutdown, vision::scene::files::SceneFiles};

/// How often it looks whether a scene was learnt or is to be forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it keeps what was learnt: a power cut costs no more than that.
const KEEP_EVERY: Duration = Duration::from_secs(600);

/// Looks after what the cameras that there are have learnt until it is time to stop.
pub(super) fn keep(
    cameras: impl Fn() -> Vec<Arc<Watched>>,
    files: &SceneFiles,
    clock: &dyn Clock,
    shutdown: &Shutdown,
) {
    let mut kept = clock.mono();
    loop {
        let stops = shutdown.wait_for(LOOK_EVERY);
        let now: Mono = clock.mono();
        let is_time = stops || now.since(kept) >= KEEP_EVERY;
        for camera in cameras() {
            begin_anew(&camera, files);
            // A view that has just become known tells others what is wrong with this camera's pictures.
            if is_time || camera.with_scene(|scene| scene.knows_more()) {
                camera.keep(files);
            }
        }
        if stops {
            return;
        }
        if is_time {
            kept = now;
        }
    }
}

/// What the files cannot take or tell has been told of; the next time may do.
fn begin_anew(camera: &Watched, files: &SceneFiles) {
    if files.is_to_forget(&camera.camera).is_ok_and(|is_to| is_to) {
        camera.forget_scene();
        SceneForgotten { camera: &camera.camera }.emit();
    }
    if let Some(anomaly) = camera.anomaly() {
        anomaly.refresh();
    }
}
