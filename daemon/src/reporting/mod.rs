//! Reporting: findings, alarms and commands in, committed and announced revisions of incidents out.
//!
//! One thread owns the book of incidents. Each revision is on disk, together with the message that announces it and the
//! answer to the command that made it, before the next finding is looked at (I1). While the disk is full the thread waits
//! and findings queue up behind it: the queue is bounded and blocks (policy `block`), so that overload costs pictures, never
//! incidents. A still comes back from the evidence thread whenever it is ready and becomes a revision of its own: `opened`
//! never waits for it. So does a clip, long after the incident is over; it stays on the box.
//!
//! What is found goes before what is asked: commands ([`commands`](Reporting::commands)) are served when no finding waits,
//! and what time brings about (lights, times that a synchronised clock fills in, the turn of the day) when no command does
//! either, but at least once a second.
//!
//! A sensor has no picture, and neither has a joined rule: when their incidents open, the cameras are asked to look at the same
//! grid ([`Look`]).
//!
//! What is found is also held against the joined rules ([`Joined`]), each time after its own incident is on disk. Nothing of them
//! is kept over a restart: their incidents are ended like all others that an earlier run left open, and what began before counts
//! when it is told anew.

mod commands;
mod day;
mod ids;
mod joined;
mod reporter;
#[cfg(test)]
mod tests;
mod upkeep;
pub mod verify;

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use snowgate_core::{
    calendar::Calendar,
    geometry::{Polygon, Rect},
    ids::Id,
    incidents::{
        CameraSource, Locale, Place, SensorSource, Source, command::CommandId, event::Gateway, verify::VerifySpec,
    },
    priority::Priority,
    rules::{Finding, Subject},
    sensor::{reading::Reading, rules::Alarm},
    time::{Clock, Moment, Mono},
};

pub use self::joined::Joined;
use self::{
    reporter::Reporter,
    verify::{LookAgain, Looked},
};
use crate::{
    camera::picture::Picture,
    evidence::{
        access_log::AccessLog,
        clip::{ClipReady, ClipRequest, ClipRequests, Wanted},
        files::DeletedFile,
        provenance::Provenance,
        retake::Retake,
        still::{Outline, StillRequest},
        worker::{StillQueue, StillReady},
    },
    health::Health,
    shutdown::Shutdown,
    signing::SigningKey,
    store::Store,
    uplink::{Command, RetainedStates},
    uptime::Uptimes,
};

/// Findings on their way; the next one waits when so many do.
const QUEUED_FINDINGS: usize = 256;

/// A rule of a camera, with everything its incidents carry.
#[derive(Debug)]
pub struct WatchedRule {
    /// What goes into its incidents.
    pub source: Source<CameraSource>,
    /// Its zone or line, drawn into stills, if it has one.
    pub outline: Option<Outline>,
    /// What nobody may see.
    pub masks: Arc<[Polygon]>,
    /// How long after an incident has opened a better picture of it is waited for.
    pub best_of: Duration,
    /// Which clips its incidents get.
    pub clips: Wanted,
}

impl WatchedRule {
    /// The clips of an incident of this rule, as far as they are wanted.
    pub fn clip(&self, of: Arc<Provenance>, began: Mono, opened: Mono) -> ClipRequest {
        let (camera, masks) = (self.source.of.camera.clone(), Arc::clone(&self.masks));
        ClipRequest { of, camera, wanted: self.clips, began, opened, masks }
    }

    /// What a still is made of for an incident of this rule that opened at `opened`, with `subjects`, in this picture.
    pub fn still(
        &self,
        of: Arc<Provenance>,
        opened: Moment,
        subjects: Vec<Subject>,
        Sight { picture, people, retake }: Sight,
    ) -> StillRequest<Arc<Picture>> {
        StillRequest {
            of,
            verification: None,
            priority: self.source.priority,
            camera: self.source.of.camera.clone(),
            picture,
            taken: opened,
            subjects,
            people,
            outline: self.outline.clone(),
            masks: Arc::clone(&self.masks),
            retake,
        }
    }
}

/// A finding on its way to the book.
pub struct Found {
    /// The rule that found it.
    pub rule: Arc<WatchedRule>,
    /// What it found.
    pub finding: Finding,
    /// Arrival of the picture that completed the condition, if a picture did.
    pub arrived: Option<Mono>,
    /// That picture, where a still is wanted.
    pub sight: Option<Sight>,
}

/// A picture for a still.
#[derive(Clone)]
pub struct Sight {
    /// The picture.
    pub picture: Arc<Picture>,
    /// Every person followed in it.
    pub people: Vec<Rect>,
    /// Where a better one may come from.
    pub retake: Option<Arc<Retake<Arc<Picture>>>>,
}

impl Sight {
    /// A picture than which none is better, of which nobody has said who is in it: the still's own models do.
    pub fn only(picture: Arc<Picture>) -> Self {
        Self { picture, people: Vec::new(), retake: None }
    }
}

/// An alarm on its way to the book.
pub struct Alarmed {
    /// The rule that tells it.
    pub source: Arc<Source<SensorSource>>,
    /// What it tells.
    pub alarm: Alarm,
    /// The last readings of the rule's quantity, the oldest first.
    pub readings: Vec<Reading>,
}

/// The wish for a still of a place where a sensor's or a joined rule's incident has opened, or is looked at again.
#[derive(Debug, Clone)]
pub struct Look {
    /// The incident.
    pub of: Arc<Provenance>,
    /// The command of the verification that looks again, if one does.
    pub verification: Option<CommandId>,
    /// Whether its still goes before others.
    pub priority: Priority,
    /// Its grid.
    pub grid: String,
    /// Where the sensor stands, or what completed the joined rule's condition.
    pub place: Option<Place>,
}

/// What the reporting thread takes in.
pub enum Item {
    /// A camera's rule found something.
    Found(Box<Found>),
    /// A sensor's rule has something to tell.
    Alarmed(Box<Alarmed>),
    /// Readings that are to be published: each sensor's message.
    Telemetry(Vec<(Id, Vec<u8>)>),
    /// A still is ready.
    Still(Box<StillReady>),
    /// A clip is ready.
    Clip(Box<ClipReady>),
    /// The box has looked again.
    Looked(Box<Looked>),
    /// Evidence was deleted.
    Deleted(Vec<DeletedFile>),
    /// The configuration has changed: what comes from now on was found by the new one.
    Configured(Box<Configured>),
}

/// What the reporting thread goes by of a configuration.
pub struct Configured {
    /// Its digest.
    pub digest: String,
    /// When people work.
    pub calendar: Arc<Calendar>,
    /// What several sources tell together.
    pub joined: Joined,
}

/// Where the reporting thread asks for stills.
pub type StillRequests = StillQueue<Arc<Picture>>;

/// The queue to the reporting thread. Policy `block`: who sends waits.
pub type Items = Sender<Item>;

/// A queue to the reporting thread and its other end.
pub fn queue() -> (Items, Receiver<Item>) {
    crossbeam_channel::bounded(QUEUED_FINDINGS)
}

/// What the reporting thread works with.
pub struct Reporting {
    /// Language of titles.
    pub locale: Locale,
    /// Who we are.
    pub gateway: Gateway,
    /// Digest of the configuration in force.
    pub config_digest: String,
    /// The joined rules.
    pub joined: Joined,
    /// When people work.
    pub calendar: Arc<Calendar>,
    /// Where revisions are kept.
    pub store: Store,
    /// What the grid system commands.
    pub commands: Receiver<Command>,
    /// Who makes stills; none where stills are off.
    pub stills: Option<StillRequests>,
    /// Who makes clips. Policy `refuse_newest`: an incident that finds the queue full goes without.
    pub clips: ClipRequests,
    /// Who looks at the place of a sensor's or a joined rule's incident; none where stills are off or there are no cameras. Policy
    /// `refuse_newest`: an incident that finds it full goes without a still.
    pub looks: Option<Sender<Look>>,
    /// Who looks again. Policy `refuse_newest`: a command that finds it full is answered that nobody can look.
    pub look_again: Sender<LookAgain>,
    /// How often the box may be asked to look again.
    pub verify: VerifySpec,
    /// Who has asked to see something, and why.
    pub access_log: AccessLog,
    /// What its head is signed with as it is published; unsigned without.
    pub signing_key: Option<SigningKey>,
    /// Where the summary of the day that goes on is shown.
    pub retained: RetainedStates,
    /// How long cameras and sensors were up.
    pub uptimes: Arc<Uptimes>,
    /// Whom to tell when the outbox cannot be written.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop waiting for a full disk.
    pub shutdown: Shutdown,
}

impl Reporting {
    /// Ends what an earlier run left open, then serves the queue until every sender is gone.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn spawn(self, items: Receiver<Item>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("reporting".to_owned()).spawn(move || Reporter::new(self).serve(&items))
    }
}

/// The people among a camera's tracks: their heads are covered in stills.
pub fn people(tracks: &[snowgate_core::observation::Track]) -> Vec<Rect> {
    tracks.iter().filter(|track| track.label.is_person()).map(|track| track.rect).collect()
}

/// The rule of this id.
pub fn rule_of<'a>(rules: &'a [Arc<WatchedRule>], id: &Id) -> Option<&'a Arc<WatchedRule>> {
    rules.iter().find(|rule| rule.source.rule == *id)
}
