//! Reloading: another configuration takes the place of the one in force, while everything runs.
//!
//! It is read, validated and held against this machine's models first, as at a start; if anything at all is wrong with it,
//! everything stays as it was, and it is said why. Then only what differs is touched:
//!
//! | differs | what happens |
//! |---|---|
//! | a camera's zones, lines, rules, names; categories, grids, schedules | it goes on being followed; rules that stay the same keep their state, what is under way of the others ends |
//! | how a camera is looked at, its models, masks | its stream goes on and is seen with new eyes |
//! | a camera's stream | it is opened anew |
//! | joined rules | those that stay the same go on with what they have heard |
//! | a sensor's rules and quantities | those that stay the same keep what was heard and learnt |
//! | how a sensor is reached | the adapter of its protocol, bus or broker begins anew, with all of its sensors |
//! | what the daemon is built upon: other sections of gateway.toml, models that were not loaded yet | the daemon stops in good order and starts anew in the same process |
//!
//! What nothing has changed about notices nothing: it loses no picture and no track.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{Daemon, RunError, config_state::Refusal, joined, log_problems, models};
use crate::{
    config::{Config, Problems, directory_watch::Snapshot, last_good},
    events::config::{NothingChanged, Refused, Reloaded, StartingAnew},
    reporting::{Configured, Item},
};

/// Takes the wish to reload from whoever has it: SIGHUP.
#[derive(Clone, Default)]
pub struct ReloadWish(Arc<AtomicBool>);

impl ReloadWish {
    /// Somebody wishes it.
    pub fn wish(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// How the daemon goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// As it is now.
    GoOn,
    /// It stops and starts anew.
    StartAnew,
}

impl Daemon {
    /// Reloads if somebody wishes it, or the directory has changed and settled.
    ///
    /// # Errors
    /// A part of the daemon is lost.
    pub(super) fn reload_if_due(&mut self) -> Result<Next, RunError> {
        let seen = Snapshot::of(&self.options.config);
        if self.wish.take() {
            self.directory.take(seen);
        } else if !self.directory.look(self.clock.mono(), seen) {
            return Ok(Next::GoOn);
        }
        let began = Instant::now();
        match self.read() {
            Ok((config, Next::GoOn)) => self.take(config, began).map(|()| Next::GoOn),
            Ok((config, Next::StartAnew)) => {
                let differs = self.config.foundations_that_differ(&config);
                StartingAnew { sections: &differs }.emit();
                Ok(Next::StartAnew)
            }
            Err(problems) => {
                log_problems(&problems);
                let refusal = Refusal::new(&problems, self.clock.now().wall);
                Refused { directory: &self.options.config, errors: refusal.errors }.emit();
                self.state.refused(refusal);
                Ok(Next::GoOn)
            }
        }
    }

    /// The directory's configuration, and whether it can take the place of the one in force while everything runs.
    fn read(&self) -> Result<(Config, Next), Problems> {
        let config = Config::load(&self.options.config)?;
        let is_built_alike = self.config.foundations_that_differ(&config).is_empty();
        if is_built_alike && self.models.serve(&config) {
            return Ok((self.models.preflight(config)?, Next::GoOn));
        }
        // Whether it can be used at all is to be known before anything stops.
        let (config, ..) = models::preflight(config)?;
        Ok((config, Next::StartAnew))
    }

    fn take(&mut self, config: Config, began: Instant) -> Result<(), RunError> {
        log_problems(&config.problems);
        let now = self.clock.now().wall;
        let digest = config.digest();
        if digest == self.config.digest() {
            NothingChanged { digest: &digest }.emit();
        }
        self.follow(config)?;
        if let Err(error) = last_good::save(&self.config, &self.data) {
            tracing::error!(%error, "this configuration is not kept for a bad one's sake");
        }
        self.state.taken(digest, now);
        let message = self.state.message();
        Reloaded { digest: &message.digest, generation: message.generation, took: began.elapsed() }.emit();
        Ok(())
    }

    /// Puts a configuration in the place of the one in force.
    pub(super) fn follow(&mut self, config: Config) -> Result<(), RunError> {
        let (digest, calendar, joined) = (config.digest(), Arc::clone(&config.calendar), joined::joined(&config)?);
        // Before anything that the new one finds.
        let _ = self.items.send(Item::Configured(Box::new(Configured { digest, calendar, joined })));
        let before = mem::replace(&mut self.config, config);
        self.watch(Some(&before))
    }
}
