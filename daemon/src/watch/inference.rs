//! The inference side of one camera: the picture in its slot, region by region.

use std::time::Duration;

use snowgate_core::time::Mono;

use super::{
    Slot,
    overload::Load,
    pulse::{Alarm, Pulse},
    schedule::When,
    watcher::{Seen, Watcher},
};
use crate::{
    camera::picture::Picture,
    events::watch as events,
    vision::{
        analyser::{Step, VisionError},
        model::Models,
    },
};

/// A live picture that has waited for so long, or of which so much time has gone by between regions, is stale.
const LIVE_DEADLINE: Duration = Duration::from_secs(1);
/// The same for the picture of a key frame.
const LOOK_DEADLINE: Duration = Duration::from_secs(4);
/// The same while catching up: pictures are old by nature, and wait for nothing but this camera's own turns.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(10);

/// How soon a picture is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It is the newest of a camera that is followed.
    Live,
    /// It is one of those that a camera catches up with.
    CatchUp,
    /// It is a key frame of a camera that is looked at.
    Look,
    /// It is one in which nothing moves, but of which models have never seen all.
    Sweep,
}

impl Urgency {
    fn deadline(self) -> Duration {
        match self {
            Self::Live => LIVE_DEADLINE,
            Self::CatchUp => CATCH_UP_DEADLINE,
            Self::Look | Self::Sweep => LOOK_DEADLINE,
        }
    }

    fn when(self) -> When {
        match self {
            Self::Live | Self::Look => When::Now,
            Self::CatchUp | Self::Sweep => When::Later,
        }
    }
}

/// A picture that is to be looked at.
#[derive(Debug)]
pub struct Offer {
    /// The picture.
    pub picture: Picture,
    /// How soon.
    pub urgency: Urgency,
    /// When it was put into the slot.
    pub since: Mono,
}

impl Offer {
    fn is_stale(&self, now: Mono) -> bool {
        now.since(self.since) > self.urgency.deadline()
    }
}

/// A camera's judgement and the picture it is looking at.
pub struct Inference {
    watcher: Watcher,
    under_way: Option<Offer>,
}

/// What came of a turn.
#[allow(clippy::large_enum_variant, reason = "it lives for one call, and boxing would allocate for every picture")]
pub enum Outcome<'a> {
    /// There was nothing to look at.
    Nothing,
    /// A region was looked at, and there is more of the picture.
    More,
    /// The picture was too old when its turn came.
    Stale(Urgency),
    /// The picture has been looked at.
    Looked {
        /// The picture.
        picture: Picture,
        /// How soon it was to be looked at.
        urgency: Urgency,
        /// What it showed.
        seen: Result<Seen<'a>, VisionError>,
    },
}

impl Inference {
    /// For a camera that has seen nothing yet.
    pub fn new(watcher: Watcher) -> Self {
        Self { watcher, under_way: None }
    }

    /// How soon what is being looked at must be looked at further.
    pub fn when(&self) -> When {
        self.under_way.as_ref().map_or(When::Now, |offer| offer.urgency.when())
    }

    /// Makes way for another picture: a sweep is given up. Answers `false` if something else is under way.
    pub fn make_way(&mut self) -> bool {
        if self.under_way.take_if(|offer| offer.urgency == Urgency::Sweep).is_some() {
            self.watcher.give_up();
        }
        self.under_way.is_none()
    }

    /// The camera's judgement. While a picture is under way it may not be shown another.
    pub fn watcher(&mut self) -> &mut Watcher {
        &mut self.watcher
    }

    /// Takes the slot's picture if none is under way; `true` if it did.
    pub fn take(&mut self, slot: &Slot<Offer>, camera: &str, pulse: &Pulse, load: &Load, now: Mono) -> bool {
        if self.under_way.is_some() {
            return false;
        }
        let Some(offer) = slot.take() else { return false };
        let waited = now.since(offer.since);
        match offer.urgency {
            Urgency::Live => load.picture_waited(waited),
            Urgency::Look => load.key_picture_waited(waited),
            // It waits for its own camera's turns; what it costs is how long catching up takes.
            Urgency::CatchUp | Urgency::Sweep => {}
        }
        events::SlotWait { camera, waited }.emit();
        if !offer.is_stale(now) {
            self.watcher.begin(&offer.picture, pulse.limits().max_regions);
        }
        self.under_way = Some(offer);
        true
    }

    /// Looks at one region of the picture under way.
    pub fn step(&mut self, models: &mut Models, pulse: &Pulse, now: Mono) -> Outcome<'_> {
        let Some(offer) = &self.under_way else { return Outcome::Nothing };
        let stale = offer.is_stale(now);
        if !stale && self.watcher.step(&offer.picture, models) == Step::Region {
            return Outcome::More;
        }
        let Some(Offer { picture, urgency, .. }) = self.under_way.take() else { return Outcome::Nothing };
        if stale {
            self.watcher.give_up();
            return Outcome::Stale(urgency);
        }
        let following = self.watcher.is_following();
        pulse.analysed(picture.at(), self.watcher.is_lively(), following);
        if following && matches!(urgency, Urgency::Look | Urgency::Sweep) {
            pulse.alarm(Alarm::Found);
        }
        Outcome::Looked { picture, urgency, seen: self.watcher.finish() }
    }
}
