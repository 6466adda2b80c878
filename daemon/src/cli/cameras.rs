//! `snowgate cameras`: an inventory, for the yearly filing.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{exit::Exit, load, print_json};
use crate::config::{CameraConfig, Config};

/// Arguments of `snowgate cameras`.
#[derive(Debug, Args)]
pub struct Cameras {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// How to print them.
    #[arg(long, value_enum, default_value = "human")]
    format: Form,
}

/// How the inventory is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// For machines.
    Json,
    /// For a spreadsheet: UTF-8 with a byte order mark, RFC 4180.
    Csv,
}

/// A camera, as it is printed.
#[derive(Serialize)]
struct Line<'c> {
    id: &'c str,
    name: &'c str,
    enabled: bool,
    lat: Option<f64>,
    lon: Option<f64>,
    place: Option<&'c str>,
    purpose: Option<&'c str>,
    basis: Option<&'c str>,
    sign: Option<&'c str>,
    filing_number: Option<&'c str>,
    unit: Option<&'c str>,
    /// As it is stated.
    retention: Option<String>,
    /// As it is configured: at least, at most.
    kept_at_least_days: f64,
    kept_at_most_days: f64,
    masks: usize,
    /// Keys of `legal` that are left out.
    missing: String,
}

impl<'c> Line<'c> {
    fn new(camera: &'c CameraConfig, config: &Config) -> Self {
        let (place, legal) = (camera.place.as_ref(), &camera.legal);
        let period = config.retention().period(Some(&camera.id), None);
        let days = |span: std::time::Duration| (span.as_secs_f64() / 86_400.0 * 100.0).round() / 100.0;
        Self {
            id: camera.id.as_str(),
            name: &camera.name,
            enabled: camera.enabled,
            lat: place.map(|place| place.lat),
            lon: place.map(|place| place.lon),
            place: place.and_then(|place| place.name.as_deref()),
            purpose: legal.purpose.as_deref(),
            basis: legal.basis.as_deref(),
            sign: legal.sign.as_deref(),
            filing_number: legal.filing_number.as_deref(),
            unit: legal.unit.as_deref(),
            retention: legal.retention.map(|span| span.to_string()),
            kept_at_least_days: days(period.at_least),
            kept_at_most_days: days(period.at_most),
            masks: camera.masks.len(),
            missing: legal.missing().join(" "),
        }
    }
}

impl Cameras {
    /// Prints; [`Exit::BadConfig`] for a configuration that cannot be used.
    pub fn run(self) -> Exit {
        let config = match load(&self.config) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let lines: Vec<_> = config.cameras.iter().map(|camera| Line::new(camera, &config)).collect();
        let printed = match self.format {
            Form::Json => print_json(&lines),
            Form::Csv => print_csv(&lines),
            Form::Human => print(&lines),
        };
        printed.map_or(Exit::Io, |()| Exit::Ok)
    }
}

fn print_csv(lines: &[Line<'_>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Without it, spreadsheets take UTF-8 for the code page of the machine.
    out.write_all("\u{feff}".as_bytes())?;
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    lines.iter().try_for_each(|line| table.serialize(line))?;
    table.flush()
}

fn print(lines: &[Line<'_>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Line { id, name, purpose, unit, filing_number, missing, enabled, .. } in lines {
        let [purpose, unit, filing_number] = [purpose, unit, filing_number].map(|text| text.unwrap_or("-"));
        let is_off = if *enabled { "" } else { "  (off)" };
        writeln!(out, "{id:24} {name}{is_off}")?;
        writeln!(out, "  purpose {purpose}; unit {unit}; filed as {filing_number}")?;
        if !missing.is_empty() {
            writeln!(out, "  not stated: {missing}")?;
        }
    }
    out.flush()
}
