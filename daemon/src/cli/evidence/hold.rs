//! `snowgate evidence hold` and `release`: "keep this", and let go of it again.

use clap::Args;
use snowgate_core::{ids::IncidentId, time::Stamp};

use super::{Asker, Desk, Place, told};
use crate::{
    cli::exit::Exit,
    evidence::{
        access_log::Action,
        archive::Folder,
        files::EVIDENCE,
        hold::{self, Hold},
    },
};

/// Arguments of `snowgate evidence hold`.
#[derive(Debug, Args)]
pub(super) struct HoldIt {
    #[command(flatten)]
    of: Of,
}

/// Arguments of `snowgate evidence release`.
#[derive(Debug, Args)]
pub(super) struct Release {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
struct Of {
    /// The incident.
    #[arg(value_name = "INCIDENT", value_parser = super::incident)]
    incident: IncidentId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    asker: Asker,
}

impl HoldIt {
    /// Marks the incident's folder; nothing there is deleted any more.
    pub(super) fn run(self) -> Result<(), Exit> {
        let incident = self.of.incident;
        self.of.act(Action::Hold, |desk, folder| {
            let person = desk.person.clone();
            let hold = Hold { by: person.by, unit: person.unit, reason: person.reason, since: Stamp::now(&desk.clock) };
            hold.put(&folder.path)
        })?;
        println!("{incident}: kept until it is released");
        Ok(())
    }
}

impl Release {
    /// Takes the mark away.
    pub(super) fn run(self) -> Result<(), Exit> {
        let incident = self.of.incident;
        self.of.act(Action::Release, |_, folder| hold::release(&folder.path))?;
        println!("{incident}: kept no longer than any other");
        Ok(())
    }
}

impl Of {
    /// Writes down who asks, then does it.
    fn act(self, action: Action, act: impl FnOnce(&Desk, &Folder) -> std::io::Result<()>) -> Result<(), Exit> {
        let incident = self.incident;
        let desk = Desk::open(&self.place, self.asker, action, Some(incident))?;
        let directory = desk.data.join(EVIDENCE);
        let folder = Folder::of(&directory, incident).map_err(|error| told(&error, Exit::Io))?;
        let refusal = match &folder {
            None => Some(format!("incident {incident} has no evidence here")),
            Some(folder) if action == Action::Release && folder.hold.is_none() => {
                Some(format!("the evidence of incident {incident} is not held"))
            }
            Some(_) => None,
        };
        let at = Stamp::now(&desk.clock);
        let access = desk.person.access(action, Some(incident), refusal.clone());
        desk.log.write(&access, &at).map_err(|error| told(&error, Exit::Io))?;
        match (folder, refusal) {
            (Some(folder), None) => act(&desk, &folder).map_err(|error| told(&error, Exit::Io)),
            (_, refusal) => {
                eprintln!("snowgate: {}", refusal.unwrap_or_default());
                Err(Exit::Usage)
            }
        }
    }
}
