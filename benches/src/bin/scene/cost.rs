//! What judging a picture costs, on one thread.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use serde::Serialize;
use snowgate_core::{
    scene::{
        HealthSpec, Judge, Learnt, Light, View,
        anomaly::{Memory, Scratch, Watch},
    },
    spec::all_defaults,
    time::Mono,
};

use crate::{features::Backbone, frame::Frame, watcher::anomaly_spec};

/// Medians, in seconds.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Reducing a picture of the camera, and one of 1920 × 1080.
    pub view: [f64; 2],
    /// Judging its health.
    pub judge: f64,
    /// The backbone with all that belongs to it, and ONNX Runtime's share.
    pub pass: [f64; 2],
    /// Holding the features against what was learnt.
    pub score: f64,
    /// Following what stays.
    pub watch: f64,
    /// Learning from the features.
    pub learn: f64,
    /// Bytes that were learnt.
    pub memory: usize,
}

/// Measures it on these pictures by day.
///
/// # Errors
/// When the backbone fails.
pub fn measure(
    frames: &[Frame],
    memory: &Memory,
    backbone: &mut Backbone,
) -> Result<Cost, Box<dyn Error + Send + Sync>> {
    let spec: HealthSpec = all_defaults();
    let (mut judge, mut view) = (Judge::new(&spec, Learnt::default()), View::new());
    let (mut scratch, mut watch) = (Scratch::default(), Watch::new(&anomaly_spec()));
    let mut learning = memory.clone();
    let mut times: [Vec<Duration>; 8] = Default::default();
    for (index, frame) in frames.iter().enumerate() {
        let at = Mono((1000 + 5 * index as u64) * 1_000_000_000);
        let large = enlarged(frame);
        times[0].push(timed(|| view.take(&large.picture())).0);
        times[1].push(timed(|| view.take(&frame.picture())).0);
        times[2].push(timed(|| judge.observe(&view, at)).0);
        let started = Instant::now();
        let of_features = backbone.look(frame, |features| {
            let pass = started.elapsed();
            let (score, heat) =
                timed(|| memory.score(Light::Day, features, &[], &mut scratch).map(|heat| heat.cloned()));
            let heat = heat?;
            let watched = timed(|| heat.as_ref().map(|heat| watch.observe(heat, &[], at).regions.len())).0;
            let (learn, learnt) = timed(|| learning.take(Light::Day, features, &[], at, &mut scratch));
            learnt?;
            Ok::<_, Box<dyn Error + Send + Sync>>([pass, score, watched, learn])
        })??;
        for (times, time) in times[3..7].iter_mut().zip(of_features) {
            times.push(time);
        }
        times[7].push(backbone.session_time());
    }
    let [large, small, judge, pass, score, watch, learn, session] = times.map(median);
    Ok(Cost { view: [small, large], judge, pass: [pass, session], score, watch, learn, memory: memory.bytes() })
}

fn timed<R>(run: impl FnOnce() -> R) -> (Duration, R) {
    let started = Instant::now();
    let result = run();
    (started.elapsed(), result)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64()
}

/// The same picture at 1920 × 1080: samples are repeated.
fn enlarged(frame: &Frame) -> Frame {
    let mut out = Frame::new(1920, 1080);
    for plane in 0..3 {
        let (columns, from) = (out.columns(plane), frame.columns(plane));
        let rows = frame.planes[plane].len() / from;
        let all = out.planes[plane].len() / columns;
        for (y, row) in out.planes[plane].chunks_exact_mut(columns).enumerate() {
            let source = &frame.planes[plane][y * rows / all * from..][..from];
            for (x, sample) in row.iter_mut().enumerate() {
                *sample = source[x * from / columns];
            }
        }
    }
    out
}
