//! `snowgate evidence verify`: whether evidence and access log are what they were.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use snowgate_core::{
    ids::IncidentId,
    incidents::{Evidence, Incident},
};

use super::{Place, told};
use crate::{
    cli::{Format, exit::Exit, print_json, read_public_key},
    evidence::{
        access_log::Head,
        proof::{self, Order, Proof},
    },
    store,
};

/// Arguments of `snowgate evidence verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The incidents; all if none is named.
    #[arg(value_name = "INCIDENT", value_parser = super::incident)]
    incidents: Vec<IncidentId>,
    #[command(flatten)]
    place: Place,
    /// A directory that evidence was exported to, instead of what lies on this box.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["incidents", "head", "config", "data"])]
    exported: Option<PathBuf>,
    /// The gateway's public key, PEM, which manifests must be signed with; that of the box's own key if left out.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// A line that the access log must have, as it was published: NUMBER:SHA256.
    #[arg(long, value_name = "NUMBER:SHA256", value_parser = head)]
    head: Option<Head>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

fn head(text: &str) -> Result<Head, String> {
    let wanted = || "it is not NUMBER:SHA256, as published".to_owned();
    let (number, sha256) = text.split_once(':').ok_or_else(wanted)?;
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match number.parse() {
        Ok(number) if is_hash => Ok(Head { number, sha256: sha256.to_owned() }),
        _ => Err(wanted()),
    }
}

impl Verify {
    /// Verifies and prints; [`Exit::BadData`] where something is wrong.
    pub(super) fn run(self) -> Result<(), Exit> {
        let given = self.public_key.as_deref().map(read_public_key).transpose()?;
        let proof = match &self.exported {
            Some(exported) => proof::prove_exported(exported, given.as_ref()),
            None => {
                let (config, data) = self.place.load()?;
                let own = config.signing_key.as_ref().map(|key| key.public()).transpose();
                let own = own.map_err(|error| told(&error, Exit::Software))?;
                let named = named(&data);
                proof::prove(&Order {
                    data: &data,
                    only: &self.incidents,
                    key: given.as_ref().or(own.as_ref()),
                    head: self.head.as_ref(),
                    named,
                })
            }
        };
        let proof = proof.map_err(|error| told(&error, Exit::Io))?;
        match self.format {
            Format::Json => print_json(&proof),
            Format::Human => print(&proof, self.exported.is_none()),
        }
        .map_err(|_| Exit::Io)?;
        if proof.findings.is_empty() { Ok(()) } else { Err(Exit::BadData) }
    }
}

/// What the store's incidents name; none where there is no store to be asked, which is told.
fn named(data: &Path) -> Option<HashMap<IncidentId, Vec<Evidence>>> {
    let mut named = HashMap::new();
    let read = store::for_each_incident(data, |record| match serde_json::from_slice::<Incident>(&record.json) {
        Ok(incident) if !incident.evidence.is_empty() => drop(named.insert(incident.id, incident.evidence)),
        Ok(_) => {}
        Err(error) => eprintln!("snowgate: incident {} cannot be read: {error}", record.id),
    });
    match read {
        Ok(()) => Some(named),
        Err(error) => {
            eprintln!("snowgate: what the incidents name is not held against the evidence: {error}");
            None
        }
    }
}

fn print(proof: &Proof, is_of_the_box: bool) -> io::Result<()> {
    let Proof { incidents, files, bytes, deleted, signatures, log_lines, log_head, findings } = proof;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{incidents} incident(s): {files} file(s) as they were, {bytes} bytes; {deleted} deleted by the box"
    )?;
    if !signatures {
        writeln!(out, "signatures were not looked at: no key is configured, and none given (--public-key)")?;
    }
    if is_of_the_box && let Some(head) = log_head {
        writeln!(out, "access log: {log_lines} line(s), the last one {}:{}", head.number, head.sha256)?;
    }
    for finding in findings {
        writeln!(out, "WRONG  {finding}")?;
    }
    match findings.len() {
        0 => writeln!(out, "nothing is missing or altered"),
        wrong => writeln!(out, "{wrong} thing(s) wrong"),
    }
}
