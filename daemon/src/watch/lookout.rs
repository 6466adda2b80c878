//! Looks on demand: a still of a place where a sensor's incident has opened, from a camera that shares its grid.
//!
//! One thread, which decodes the newest key frame in a camera's ring: at most a GOP old, at no cost to anybody else. Of
//! several cameras the nearest one is taken, or the first where it is not known where they stand; one that does not deliver is
//! passed over. The picture goes the way of every still: nothing leaves unredacted.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use snowgate_core::{geometry::Polygon, incidents::Place, time::Clock};

use super::{camera::Tools, decoders::LookDecoders};
use crate::{
    camera::gop_ring::GopRing,
    current::Current,
    events::watch as events,
    evidence::still::StillRequest,
    reporting::{Look, StillRequests},
    shutdown::Shutdown,
};

/// Wishes that wait at the most.
pub const QUEUED: usize = 16;
/// A camera whose newest key frame is older does not deliver.
const FRESH: Duration = Duration::from_secs(30);
/// How soon the thread notices a shutdown.
const NOTICE: Duration = Duration::from_millis(200);

/// A camera that can be asked.
pub struct Viewpoint {
    /// Its encoded pictures.
    pub ring: Arc<GopRing>,
    /// The grids it watches.
    pub grids: Vec<String>,
    /// Where it stands.
    pub place: Option<Place>,
    /// What nobody may look at.
    pub masks: Arc<[Polygon]>,
}

/// Serves wishes for stills.
pub struct Lookout {
    pub(super) viewpoints: Current<Vec<Viewpoint>>,
    pub(super) tools: Arc<Tools>,
    pub(super) stills: StillRequests,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: Shutdown,
}

impl Lookout {
    /// Starts the thread; it ends with the shutdown, or when nobody wishes any more.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(self, looks: Receiver<Look>) -> io::Result<JoinHandle<()>> {
        let mut decoders = LookDecoders::default();
        let work = move || {
            while !self.shutdown.is_triggered() {
                match looks.recv_timeout(NOTICE) {
                    Ok(look) => self.look(&look, &mut decoders),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        std::thread::Builder::new().name("lookout".to_owned()).spawn(work)
    }

    /// Asks for a still from the best camera that gives a picture.
    fn look(&self, look: &Look, decoders: &mut LookDecoders) {
        let viewpoints = self.viewpoints.get();
        for viewpoint in by_distance(&viewpoints, look) {
            let camera = viewpoint.ring.camera();
            let now = self.clock.mono();
            let Some(key) = viewpoint.ring.newest_key().filter(|key| now.since(key.arrived) < FRESH) else { continue };
            let picture = match decoders.look(&self.tools.pool, &key) {
                Ok(Some(picture)) => picture,
                Ok(None) => continue,
                Err(error) => {
                    events::CannotDecode { camera: camera.as_str(), error: &error }.emit();
                    continue;
                }
            };
            self.stills.request(StillRequest {
                of: Arc::clone(&look.of),
                verification: look.verification.clone(),
                priority: look.priority,
                camera: camera.clone(),
                taken: self.clock.moment_at(key.arrived),
                picture: Arc::new(picture),
                subjects: Vec::new(),
                // Nobody has looked for people yet: the still's own models do.
                people: Vec::new(),
                outline: None,
                masks: Arc::clone(&viewpoint.masks),
                retake: None,
            });
            return;
        }
    }
}

/// The cameras that watch the grid, the nearest first; those that stand nowhere last.
fn by_distance<'v>(viewpoints: &'v [Viewpoint], look: &Look) -> Vec<&'v Viewpoint> {
    let mut watching: Vec<_> = viewpoints.iter().filter(|viewpoint| viewpoint.grids.contains(&look.grid)).collect();
    watching.sort_by(|a, b| distance(a.place.as_ref(), look).total_cmp(&distance(b.place.as_ref(), look)));
    watching
}

/// Degrees of latitude between two places near each other; infinite where one of them is not known.
fn distance(place: Option<&Place>, look: &Look) -> f64 {
    let (Some(here), Some(there)) = (place, &look.place) else { return f64::INFINITY };
    let shrink = there.lat.to_radians().cos();
    (here.lat - there.lat).hypot((here.lon - there.lon) * shrink)
}

#[cfg(test)]
mod tests {
    use snowgate_core::{ids::CountedIds, ids::IncidentIds as _, priority::Priority, time::ManualClock};

    use super::*;
    use crate::{camera::spec::RingSpec, evidence::provenance::Provenance};

    fn viewpoint(camera: &str, grid: &str, place: Option<(f64, f64)>) -> Viewpoint {
        Viewpoint {
            ring: Arc::new(GopRing::new(camera.parse().unwrap(), &snowgate_core::spec::all_defaults::<RingSpec>())),
            grids: vec![grid.to_owned()],
            place: place.map(|(lat, lon)| Place { lat, lon, name: None }),
            masks: Arc::from([]),
        }
    }

    #[test]
    fn the_nearest_camera_of_the_grid_is_asked_first() {
        let viewpoints = [
            viewpoint("nowhere", "33", None),
            viewpoint("far", "33", Some((30.0, 120.2))),
            viewpoint("elsewhere", "34", Some((30.0, 120.0))),
            viewpoint("near", "33", Some((30.0, 120.1))),
        ];
        let clock = ManualClock::new("boot", jiff::Timestamp::UNIX_EPOCH);
        let mut look = Look {
            of: Provenance::any(CountedIds::default().next(clock.now())),
            verification: None,
            priority: Priority::Normal,
            grid: "33".into(),
            place: Some(Place { lat: 30.0, lon: 120.0, name: None }),
        };
        let names = |look: &Look| -> Vec<String> {
            by_distance(&viewpoints, look).iter().map(|viewpoint| viewpoint.ring.camera().to_string()).collect()
        };
        assert_eq!(names(&look), ["near", "far", "nowhere"]);
        look.place = None;
        assert_eq!(names(&look), ["nowhere", "far", "near"]);
    }
}
