//! The sum of floors: what the cameras of a run would cost if every part cost no more than it does alone.

use std::time::Duration;

use serde::Serialize;

use super::{
    floors::{ClipFloors, Floors},
    window::Window,
};

/// Shares of one core.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sum {
    /// Receiving every camera.
    pub receive: f64,
    /// Looking at quiet cameras' key frames.
    pub look: f64,
    /// Decoding active cameras.
    pub decode: f64,
    /// The inferences that were made.
    pub session: f64,
}

impl Sum {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.receive + self.look + self.decode + self.session
    }
}

/// What a run is compared with.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Compared {
    /// Floors of what was asked for: receive × all + look × quiet + decode × active + the inferences made.
    pub wanted: Sum,
    /// Floors of what was really done: the looks and pictures that the daemon counted.
    pub done: Sum,
    /// The second at the pace of live cameras: what decoding, looks and sessions cost when they do not own every cache.
    pub live: Sum,
    /// The daemon's cost over the first.
    pub ratio: f64,
    /// The daemon's cost over the second.
    pub ratio_to_done: f64,
    /// The daemon's cost over the third.
    pub ratio_to_live: f64,
}

/// A group of cameras that play one clip.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Its floors.
    pub floors: &'a ClipFloors,
    /// How many cameras.
    pub cameras: usize,
    /// Whether all of it has to be decoded.
    pub decoded: bool,
}

/// Compares a run with the floors of its groups of cameras. `looks`: whether quiet cameras are looked at rather than
/// decoded.
pub fn compare(window: &Window, floors: &Floors, groups: &[Group<'_>], look_every: Duration) -> Compared {
    let sum =
        |part: &dyn Fn(&Group<'_>) -> f64| groups.iter().map(|group| group.cameras as f64 * part(group)).sum::<f64>();
    let receive = sum(&|group| group.floors.receive.share_per_camera);
    let session = sessions(window, floors);
    let wanted = Sum {
        receive,
        look: sum(&|group| {
            if group.decoded { 0.0 } else { group.floors.decode.seconds_per_look / look_every.as_secs_f64() }
        }),
        decode: sum(&|group| if group.decoded { group.floors.decode_share } else { 0.0 }),
        session,
    };
    // Looks and decoded pictures are counted over all cameras; what one of them costs is the mean over the cameras' clips.
    let cameras = groups.iter().map(|group| group.cameras).sum::<usize>().max(1) as f64;
    let mean = |part: &dyn Fn(&Group<'_>) -> f64| sum(part) / cameras;
    let looks = window.looks.unwrap_or(0.0) / window.seconds;
    let decoded = window.rates.iter().map(|rates| rates.decoded).sum::<f64>();
    let done = Sum {
        receive,
        look: looks * mean(&|group| group.floors.decode.seconds_per_look),
        // A look gives a decoded picture too.
        decode: (decoded - looks).max(0.0) * mean(&|group| group.floors.decode.seconds_per_picture),
        session,
    };
    let sessions_slower = {
        let alone = |model: &str| floors.cheapest_session(model).map(|figures| figures.seconds);
        let busiest = window.regions.iter().max_by(|a, b| a.1.total_cmp(b.1)).and_then(|(model, _)| alone(model));
        busiest.map_or(1.0, |alone| mean(&|group| group.floors.live.seconds_per_session) / alone)
    };
    let live = Sum {
        receive,
        look: looks * mean(&|group| group.floors.live.seconds_per_look),
        decode: (decoded - looks).max(0.0) * mean(&|group| group.floors.live.seconds_per_picture),
        session: session * sessions_slower,
    };
    let ratio = |sum: &Sum| window.daemon.share / sum.total();
    Compared { ratio: ratio(&wanted), ratio_to_done: ratio(&done), ratio_to_live: ratio(&live), wanted, done, live }
}

/// The inferences that were made, at what their sessions cost alone. Which of a model's sizes and
/// files a region was shown to is not counted: the cheapest stands for all, so that the floor is one.
fn sessions(window: &Window, floors: &Floors) -> f64 {
    let cost = |model: &str| floors.cheapest_session(model).map_or(0.0, |figures| figures.seconds);
    window.regions.iter().map(|(model, count)| count * cost(model)).sum::<f64>() / window.seconds
}
