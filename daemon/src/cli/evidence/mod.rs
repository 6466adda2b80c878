//! `snowgate evidence`: what is kept of incidents, whether it is what it was, and how it leaves the box.

mod export;
mod hold;
mod list;
mod verify;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use snowgate_core::{
    ids::IncidentId,
    incidents::command::{Reason, Who},
    time::Stamp,
};

use super::exit::Exit;
use crate::{
    clock::SystemClock,
    config::Config,
    evidence::{
        access_log::{AccessLog, Action},
        export::Person,
    },
};

/// The most characters of what somebody says who is refused.
const QUOTED: usize = 200;

/// Arguments of `snowgate evidence`.
#[derive(Debug, Args)]
pub struct Evidence {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the evidence on this box.
    List(list::List),
    /// Say whether evidence and access log are what they were, and what is missing or altered.
    Verify(verify::Verify),
    /// Take evidence off the box; who and why goes into the access log.
    Export(export::Export),
    /// Have an incident's evidence kept until it is released.
    Hold(hold::HoldIt),
    /// Let go of evidence that was held.
    Release(hold::Release),
}

impl Evidence {
    /// Does what is asked for.
    pub fn run(self) -> Exit {
        let done = match self.command {
            Command::List(list) => list.run(),
            Command::Verify(verify) => verify.run(),
            Command::Export(export) => export.run(),
            Command::Hold(hold) => hold.run(),
            Command::Release(release) => release.run(),
        };
        done.err().unwrap_or(Exit::Ok)
    }
}

/// Where evidence lies.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// The data directory, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    /// The configuration directory.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    pub(super) fn load(&self) -> Result<(Config, PathBuf), Exit> {
        let config = super::load(&self.config)?;
        let data = self.data.clone().unwrap_or_else(|| config.data.clone());
        Ok((config, data))
    }
}

/// Who does something with evidence, and why. All of it is required; whoever leaves something out is refused, and that is logged.
#[derive(Debug, Args)]
pub(super) struct Asker {
    /// Who you are: at most 64 characters. Required.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The unit that you act for: at most 64 characters. Required.
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// Why: at most 200 characters. Required.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Somebody who is known, and the log in which stands what they do.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) data: PathBuf,
    pub(super) person: Person,
    pub(super) log: AccessLog,
    pub(super) clock: SystemClock,
}

impl Desk {
    /// Takes down who asks.
    ///
    /// # Errors
    /// They do not say who they are and why, which is logged; or it cannot be logged.
    pub(super) fn open(
        place: &Place,
        asker: Asker,
        action: Action,
        incident: Option<IncidentId>,
    ) -> Result<Self, Exit> {
        let (config, data) = place.load()?;
        check_account(&data)?;
        let clock = SystemClock::trusting(config.gateway.trust_clock);
        let log = AccessLog::open(&data).map_err(|error| told(&error, Exit::Io))?;
        let Asker { by, unit, reason } = asker;
        let mut missing = Vec::new();
        let mut said = |key: &str, text: Option<String>, check: fn(&str) -> Result<(), String>| {
            let text = text.unwrap_or_default();
            match if text.is_empty() { Err("it is missing".to_owned()) } else { check(&text) } {
                Ok(()) => text,
                Err(error) => {
                    missing.push(format!("--{key}: {error}"));
                    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
                }
            }
        };
        let who = |text: &str| text.parse::<Who>().map(drop);
        let why = |text: &str| text.parse::<Reason>().map(drop);
        let (by, unit, reason) = (said("by", by, who), said("unit", unit, who), said("reason", reason, why));
        let person = Person { by, unit, reason, account: account() };
        if !missing.is_empty() {
            let refusal = format!("refused: {}", missing.join("; "));
            let access = person.access(action, incident, Some(refusal.clone()));
            log.write(&access, &Stamp::now(&clock)).map_err(|error| told(&error, Exit::Io))?;
            eprintln!("snowgate: {refusal}; this attempt stands in the access log");
            return Err(Exit::Usage);
        }
        Ok(Self { config, data, person, log, clock })
    }
}

fn incident(text: &str) -> Result<IncidentId, String> {
    text.to_owned().try_into()
}

/// What root writes the service could not go on with.
pub(super) fn check_account(data: &Path) -> Result<(), Exit> {
    let owner = fs::metadata(data).map_err(|error| {
        eprintln!("snowgate: {}: {error}", data.display());
        Exit::Unavailable
    })?;
    if owner.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    eprintln!(
        "snowgate: {} belongs to user {}: run this as that user, for instance with sudo -u snowgate",
        data.display(),
        owner.uid()
    );
    Err(Exit::Usage)
}

/// The account that somebody has logged in with, as far as the system knows it.
pub(super) fn account() -> Option<String> {
    // The audit system's login uid survives sudo; 4294967295 is nobody's.
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|uid| uid.trim().parse::<u32>().ok());
    let login = login.filter(|uid| *uid != u32::MAX).map(|uid| format!("login uid {uid}"));
    let name = std::env::var("SUDO_USER").ok().map(|name| format!("sudo by {name}"));
    let known: Vec<String> = login.into_iter().chain(name).collect();
    (!known.is_empty()).then(|| known.join(", ").chars().filter(|c| !c.is_control()).take(QUOTED).collect())
}

/// Prints why something cannot be done.
fn told(error: &dyn std::error::Error, exit: Exit) -> Exit {
    eprintln!("snowgate: {error}");
    exit
}
