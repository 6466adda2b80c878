//! The thread that begins looks and ends them.

use std::{collections::HashMap, io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender, never, select};
use snowgate_core::{
    ids::Id,
    incidents::{
        command::CommandId,
        verify::{Look, Obstacle, Outcome, Seen},
    },
    priority::Priority,
    time::{Clock, Moment, Mono},
};

use super::watchpoint::{Beginning, View, Watchpoint};
use crate::{
    camera::picture::Picture,
    current::Current,
    events::verify as events,
    evidence::{provenance::Provenance, still::StillRequest, worker::StillReady},
    reporting::{
        self, StillRequests,
        verify::{Finder, LookAgain, Looked},
    },
    shutdown::Shutdown,
};

/// Looks that are on at once. Policy `refuse_newest`: one more is answered at once, the box cannot tell.
pub const MOST: usize = 64;
/// Wishes that wait at the most.
pub const QUEUED: usize = 16;
/// Stills on their way back: more than can be in the making.
pub const QUEUED_STILLS: usize = 8;
/// So long after the end of a look a still may come.
pub const STILL_WAIT: Duration = Duration::from_secs(10);
/// So long after the end of a look what was seen before it may still be on its way through inference.
const SETTLE: Duration = Duration::from_secs(2);
/// How soon the thread notices that time has passed, or a shutdown.
const NOTICE: Duration = Duration::from_millis(200);

/// A camera or a sensor that can be asked to look again.
pub trait Watchable: Send + Sync {
    /// Where it tells what it sees.
    fn watchpoint(&self) -> &Watchpoint;
    /// Whether it has this rule.
    fn watches(&self, rule: &Id) -> bool;
    /// What may lie between two pictures or readings without anything being missed: a few times what is usual just now.
    fn longest_gap(&self) -> Duration;
    /// A look begins that lasts until then.
    fn begin(&self, until: Mono);
    /// It goes on; called a few times a second.
    fn go_on(&self);
    /// Where the still of a look comes from.
    fn view(&self) -> Viewing;
    /// A still of this picture of its own, with what the rule watches drawn into it.
    fn still(&self, rule: &Id, of: StillOf) -> Option<StillRequest<Arc<Picture>>>;
}

/// Where the still of a look comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewing {
    /// It sees for itself.
    Own,
    /// A camera that shares the grid.
    Neighbour,
}

/// A picture that a still is to be made of.
pub struct StillOf {
    /// The incident.
    pub of: Arc<Provenance>,
    /// The command.
    pub command: CommandId,
    /// The picture.
    pub view: View,
    /// When it was taken.
    pub taken: Moment,
}

/// Everybody who can be asked to look again.
pub type Watchables = HashMap<Finder, Box<dyn Watchable>>;

/// Looks again.
pub struct Verifier {
    /// Who can be asked. A look at somebody who cannot be asked any more comes to its end.
    pub watched: Current<Watchables>,
    /// Who makes stills; none where stills are off.
    pub stills: Option<StillRequests>,
    /// Who looks at the place of a sensor; none where stills are off or there are no cameras.
    pub lookout: Option<Sender<reporting::Look>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
}

impl Verifier {
    /// Starts the thread. It serves `wishes` and calls `looked` with each answer, until a shutdown or until nobody wishes any
    /// more and every answer is given. Of what is made of its requests for stills it hears in `ready`.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(
        self,
        wishes: Receiver<LookAgain>,
        ready: Receiver<StillReady>,
        looked: impl FnMut(Looked) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let serving = Serving { with: self, looks: Vec::new(), looked };
        std::thread::Builder::new().name("verify".to_owned()).spawn(move || serving.run(wishes, ready))
    }
}

struct Serving<L> {
    with: Verifier,
    looks: Vec<OneLook>,
    looked: L,
}

struct OneLook {
    wish: LookAgain,
    from: Moment,
    until: Mono,
    /// What was seen, once it is over.
    seen: Option<Seen>,
    still: Still,
}

/// How a look's still stands.
enum Still {
    /// There will be none.
    None,
    /// It has not been asked for: there was no picture yet, or no room in the line.
    Wanted(Option<View>),
    /// It was asked for then.
    Asked(Mono),
    /// It is there.
    Ready(Box<StillReady>),
}

impl<L: FnMut(Looked)> Serving<L> {
    fn run(mut self, mut wishes: Receiver<LookAgain>, mut ready: Receiver<StillReady>) {
        let mut is_asked = true;
        while !self.with.shutdown.is_triggered() && (is_asked || !self.looks.is_empty()) {
            select! {
                recv(wishes) -> wish => match wish {
                    Ok(wish) => self.begin(wish),
                    Err(_) => (wishes, is_asked) = (never(), false),
                },
                recv(ready) -> still => match still {
                    Ok(still) => self.still_ready(still),
                    Err(_) => ready = never(),
                },
                default(NOTICE) => {}
            }
            self.go_on();
        }
    }

    fn begin(&mut self, wish: LookAgain) {
        let from = self.with.clock.now();
        let watched = self.with.watched.get();
        let source = watched.get(&wish.by).filter(|source| source.watches(&wish.rule));
        let refusal = match source {
            None => Err(Seen::NOT_WATCHED),
            Some(_) if self.looks.len() >= MOST => {
                Err(Seen { outcome: Outcome::CannotTell, obstacle: Some(Obstacle::NotSeen) })
            }
            Some(source) => Ok(source),
        };
        let source = match refusal {
            Ok(source) => source,
            Err(seen) => return answer(wish, seen, from, from, None, &mut self.looked),
        };
        let (command, look_for) = (wish.command.id.clone(), wish.command.for_seconds);
        let look = Look::new(from.mono, look_for, source.longest_gap());
        let until = look.until();
        let still = match (&self.with.stills, source.view()) {
            (None, _) => Still::None,
            (Some(_), Viewing::Own) => Still::Wanted(None),
            (Some(_), Viewing::Neighbour) => self.ask_neighbour(&wish, from.mono),
        };
        // First: what it sees from now on counts as seen only if it looks afresh.
        source.begin(until);
        source.watchpoint().begin(Beginning {
            command,
            rule: wish.rule.clone(),
            look,
            patience: look_for.duration() / 2,
            wants_view: matches!(still, Still::Wanted(_)),
        });
        self.looks.push(OneLook { wish, from, until, seen: None, still });
        events::UnderWay { looks: self.looks.len() }.emit();
    }

    fn ask_neighbour(&self, wish: &LookAgain, now: Mono) -> Still {
        let Some(lookout) = &self.with.lookout else { return Still::None };
        let look = reporting::Look {
            of: Arc::clone(&wish.of),
            verification: Some(wish.command.id.clone()),
            // Somebody waits for it.
            priority: Priority::High,
            grid: wish.grid.clone(),
            place: wish.place.clone(),
        };
        // Nobody waits for a picture; that there is none is seen in the answer.
        match lookout.try_send(look) {
            Ok(()) => Still::Asked(now),
            Err(_) => Still::None,
        }
    }

    fn still_ready(&mut self, ready: StillReady) {
        let wanted = |look: &&mut OneLook| Some(&look.wish.command.id) == ready.verification.as_ref();
        if let Some(look) = self.looks.iter_mut().find(wanted) {
            look.still = Still::Ready(Box::new(ready));
        }
    }

    fn go_on(&mut self) {
        let Self { with, looks, looked } = self;
        let now = with.clock.mono();
        let before = looks.len();
        for look in looks.extract_if(.., |look| look.go_on(with, now)) {
            let OneLook { wish, from, until, seen, still } = look;
            let still = match still {
                Still::Ready(still) => Some(*still),
                Still::None | Still::Wanted(_) | Still::Asked(_) => None,
            };
            let until = with.clock.moment_at(until);
            answer(wish, seen.unwrap_or(Seen::NOT_WATCHED), from, until, still, looked);
        }
        if looks.len() != before {
            events::UnderWay { looks: looks.len() }.emit();
        }
    }
}

impl OneLook {
    /// Does what there is to do; answers whether it is finished.
    fn go_on(&mut self, with: &Verifier, now: Mono) -> bool {
        let watched = with.watched.get();
        let Some(source) = watched.get(&self.wish.by) else { return true };
        let (watchpoint, command) = (source.watchpoint(), &self.wish.command.id);
        if self.seen.is_none() {
            if now >= self.until + SETTLE || (now >= self.until && watchpoint.is_past(command)) {
                let Some(ended) = watchpoint.end(command) else { return true };
                self.seen = Some(ended.seen);
                if let Still::Wanted(view) = &mut self.still {
                    *view = view.take().or(ended.view);
                }
            } else {
                source.go_on();
                if let Still::Wanted(view @ None) = &mut self.still {
                    *view = watchpoint.take_proof(command);
                }
            }
        }
        self.ask_for_still(with, &**source, now);
        let waits = match &self.still {
            Still::None | Still::Ready(_) => false,
            Still::Wanted(view) => view.is_some() && now < self.until + STILL_WAIT,
            Still::Asked(at) => now < self.until.min(*at) + STILL_WAIT,
        };
        self.seen.is_some() && !waits
    }

    /// Asks for the still if there is a picture for it, and room in the line.
    fn ask_for_still(&mut self, with: &Verifier, source: &dyn Watchable, now: Mono) {
        let Still::Wanted(wanted) = &mut self.still else { return };
        let Some(stills) = with.stills.as_ref().filter(|stills| stills.has_room()) else { return };
        let Some(view) = wanted.take() else { return };
        let (of, command) = (Arc::clone(&self.wish.of), self.wish.command.id.clone());
        let taken = with.clock.moment_at(view.picture.at());
        let request = source.still(&self.wish.rule, StillOf { of, command, view, taken });
        self.still = match request.is_some_and(|request| stills.request(request)) {
            true => Still::Asked(now),
            false => Still::None,
        };
    }
}

fn answer(
    wish: LookAgain,
    seen: Seen,
    from: Moment,
    until: Moment,
    still: Option<StillReady>,
    looked: &mut impl FnMut(Looked),
) {
    let LookAgain { command, by, rule, .. } = wish;
    events::LookedAgain { command: &command, by: by.name(), rule: &rule, seen, still: still.is_some() }.emit();
    looked(Looked { command, seen, from, until, still });
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
