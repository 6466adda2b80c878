//! The cameras that are watched just now, and the queues of those that have work.
//!
//! A roster never changes: where other cameras are to be watched, another one takes its place
//! ([`succeed`](Roster::succeed)). A camera that stands on both is the same one, with its tracks and all that it has under way;
//! who works with the old roster brings its turn to an end, and whatever comes of it is done by those who work with the
//! new one.

use std::sync::Arc;

use snowgate_core::time::Clock;

use super::{Watched, schedule::Schedule};

/// The cameras, and who of them has work.
pub(super) struct Roster {
    pub cameras: Vec<Arc<Watched>>,
    pub decode: Schedule,
    pub infer: Schedule,
    /// Whose scene waits to be looked at: served when nothing else is to be inferred.
    pub scenes: Schedule,
}

impl Roster {
    /// Of these cameras, none of which has work.
    pub fn new(cameras: Vec<Arc<Watched>>, clock: &Arc<dyn Clock>) -> Self {
        let schedule = || Schedule::new(cameras.iter().map(|camera| camera.priority), Arc::clone(clock));
        let (decode, infer, scenes) = (schedule(), schedule(), schedule());
        Self { cameras, decode, infer, scenes }
    }

    /// Takes over from another one, on which nobody new works any more; answers the cameras that are not watched any more.
    pub fn succeed(&self, before: &Self) -> Vec<Arc<Watched>> {
        let place = |camera: &Arc<Watched>| self.cameras.iter().position(|known| Arc::ptr_eq(known, camera));
        let places: Vec<_> = before.cameras.iter().map(place).collect();
        before.decode.hand_over(self.decode.clone(), places.iter().copied());
        before.infer.hand_over(self.infer.clone(), places.iter().copied());
        before.scenes.hand_over(self.scenes.clone(), places.iter().copied());
        let gone = before.cameras.iter().zip(&places).filter(|(_, place)| place.is_none());
        gone.map(|(camera, _)| Arc::clone(camera)).collect()
    }

    /// Has the workers woken for every unit that comes into a camera's ring.
    pub fn listen(&self) {
        for (place, watched) in self.cameras.iter().enumerate() {
            let (camera, decode) = (Arc::clone(watched), self.decode.clone());
            watched.ring().on_push(Box::new(move |unit| {
                if camera.arrived(unit) {
                    decode.wake(place);
                }
            }));
        }
    }
}
