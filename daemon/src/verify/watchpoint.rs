//! The looks that are on at one camera or sensor: what is seen there is told to each of them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use snowgate_core::{
    geometry::Rect,
    ids::Id,
    incidents::{
        command::CommandId,
        verify::{Look, Obstacle, Outcome, Seen},
    },
    sensor::watch::SensorWatch,
    time::Mono,
};

use crate::camera::picture::Picture;

/// A picture for a still.
#[derive(Clone)]
pub struct View {
    /// The picture.
    pub picture: Arc<Picture>,
    /// Every person followed in it.
    pub people: Arc<[Rect]>,
}

/// What whoever watches one camera or sensor tells what it sees.
#[derive(Default)]
pub struct Watchpoint {
    is_on: AtomicBool,
    looks: Mutex<Vec<UnderWay>>,
}

/// A look that begins.
pub(super) struct Beginning {
    /// The command that asks for it.
    pub command: CommandId,
    /// Whose condition.
    pub rule: Id,
    /// What has been seen of it so far: nothing.
    pub look: Look,
    /// What must last for longer than this need last no longer to count.
    pub patience: Duration,
    /// Whether a picture of it is wanted.
    pub wants_view: bool,
}

struct UnderWay {
    with: Beginning,
    /// Whether models were shown all of the frame; of a sensor there is nothing more to see than is heard.
    saw_all: bool,
    /// The first picture in which the condition held, or else the newest one.
    view: Option<(View, bool)>,
    /// Whether something later than its end was seen: nothing of it is still on its way.
    is_past: bool,
}

/// What came of a look.
pub(super) struct Ended {
    /// What was seen.
    pub seen: Seen,
    /// The picture to show, if one was wanted and not yet taken.
    pub view: Option<View>,
}

impl Watchpoint {
    /// Whether anybody looks. One relaxed load: a picture or a reading that just misses the beginning of a look is no loss.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// A picture of this time was looked at and held against rules; `holds` says of each whether its condition holds for
    /// somebody of that patience, and `None` of those it was not held against. `saw_all`: models have been shown all of the
    /// frame.
    pub fn shown(&self, at: Mono, holds: impl Fn(&Id, Duration) -> Option<bool>, saw_all: bool, view: &View) {
        for under_way in self.lock().iter_mut() {
            let Some(holds) = holds(&under_way.with.rule, under_way.with.patience) else { continue };
            under_way.observe(at, holds);
            if under_way.with.look.includes(at) {
                under_way.saw_all |= saw_all;
                under_way.keep(view, holds);
            }
        }
    }

    /// The sensor was heard, or time has passed with nothing heard.
    pub fn heard(&self, watch: &SensorWatch) {
        for under_way in self.lock().iter_mut() {
            if let Some(known) = watch.known(&under_way.with.rule) {
                under_way.knows(known.at, known.holds);
            }
        }
    }

    /// What some rules watch for is known at this time without a picture; `holds` as for [`shown`](Self::shown).
    pub fn known(&self, at: Mono, holds: impl Fn(&Id, Duration) -> Option<bool>) {
        if !self.is_on() {
            return;
        }
        for under_way in self.lock().iter_mut() {
            if let Some(holds) = holds(&under_way.with.rule, under_way.with.patience) {
                under_way.knows(at, holds);
            }
        }
    }

    pub(super) fn begin(&self, with: Beginning) {
        let mut looks = self.lock();
        looks.push(UnderWay { with, saw_all: false, view: None, is_past: false });
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Whether everything that a look could see has been told.
    pub(super) fn is_past(&self, command: &CommandId) -> bool {
        self.lock().iter().any(|under_way| under_way.with.command == *command && under_way.is_past)
    }

    /// Takes the picture of a look in which the condition holds, if there is one: there will be none better.
    pub(super) fn take_proof(&self, command: &CommandId) -> Option<View> {
        let mut looks = self.lock();
        let under_way = looks.iter_mut().find(|under_way| under_way.with.command == *command)?;
        let (view, _) = under_way.view.take_if(|(_, holds)| *holds)?;
        under_way.with.wants_view = false;
        Some(view)
    }

    pub(super) fn end(&self, command: &CommandId) -> Option<Ended> {
        let mut looks = self.lock();
        let index = looks.iter().position(|under_way| under_way.with.command == *command)?;
        let UnderWay { with, saw_all, view, .. } = looks.swap_remove(index);
        self.is_on.store(!looks.is_empty(), Ordering::Relaxed);
        let seen = match with.look.seen() {
            Seen { outcome: Outcome::Cleared, .. } if !saw_all => {
                Seen { outcome: Outcome::CannotTell, obstacle: Some(Obstacle::NotSeen) }
            }
            seen => seen,
        };
        Some(Ended { seen, view: view.map(|(view, _)| view) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn observe(&mut self, at: Mono, holds: bool) {
        self.with.look.observe(at, holds);
        self.is_past |= at > self.with.look.until();
    }

    /// As [`observe`](Self::observe), of what there is nothing more to see of.
    fn knows(&mut self, at: Mono, holds: bool) {
        self.observe(at, holds);
        self.saw_all = true;
    }

    fn keep(&mut self, view: &View, holds: bool) {
        let has_proof = self.view.as_ref().is_some_and(|(_, holds)| *holds);
        if self.with.wants_view && !has_proof {
            self.view = Some((view.clone(), holds));
        }
    }
}
