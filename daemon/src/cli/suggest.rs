//! `snowgate suggest`: what people's judgement of the stored incidents says about the rules that found them.
//!
//! Reads the store beside the daemon that works on it, and prints; nothing is changed. How a threshold is chosen:
//! [`snowgate_core::suggest`].

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    incidents::Incident,
    suggest::{self, Advice, Case, LEAST_JUDGED, LEAST_OF_EACH, Limit, Review, Share, Suggestion},
};

use super::{Format, exit::Exit, load, print_json};
use crate::{
    config::{CameraConfig, Config, SensorConfig, edit::Edit},
    events::Chain,
    store,
};

/// Arguments of `snowgate suggest`.
#[derive(Debug, Args)]
pub struct Suggest {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// The data directory [default: that of --config].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only rules of this id.
    #[arg(long, value_name = "ID")]
    rule: Option<Id>,
    /// The share of true incidents, 0 to 1, that a threshold may lose; rounded down.
    #[arg(long, value_name = "SHARE", default_value = "0.02", value_parser = share)]
    lose: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// A rule, and what is known of its incidents.
struct Found<'c> {
    owner: Owner<'c>,
    rule: &'c Id,
    limits: Vec<Limit>,
    cases: Vec<Case>,
}

/// Whose rule it is.
#[derive(Clone, Copy)]
enum Owner<'c> {
    Camera(&'c CameraConfig),
    Sensor(&'c SensorConfig),
}

/// A rule as it is printed.
#[derive(Serialize)]
struct Line<'c> {
    /// `camera` or `sensor`.
    source: &'static str,
    id: &'c Id,
    rule: &'c Id,
    #[serde(flatten)]
    review: Review,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<Edit>,
}

impl Suggest {
    /// Prints; [`Exit::Unavailable`] where there is no store.
    pub fn run(self) -> Exit {
        self.suggest().err().unwrap_or(Exit::Ok)
    }

    fn suggest(self) -> Result<(), Exit> {
        let config = load(&self.config)?;
        let mut rules = rules(&config);
        if let Some(id) = &self.rule {
            rules.retain(|found| found.rule == id);
            if rules.is_empty() {
                eprintln!("snowgate: there is no rule {id} in {}", self.config.display());
                return Err(Exit::Usage);
            }
        }
        let data = self.data.as_ref().unwrap_or(&config.data);
        let unreadable = take_incidents(data, &mut rules).map_err(|error| {
            eprintln!("snowgate: {}: {}", data.display(), Chain(&error));
            Exit::Unavailable
        })?;
        if unreadable > 0 {
            eprintln!("snowgate: {unreadable} stored incident(s) cannot be read and are left out");
        }
        let lines: Vec<_> = rules.iter().map(|found| found.line(self.lose)).collect();
        let printed = match self.format {
            Format::Json => print_json(&lines),
            Format::Human => print(&lines),
        };
        printed.map_err(|_| Exit::Io)
    }
}

/// Every rule of the configuration, without incidents.
fn rules(config: &Config) -> Vec<Found<'_>> {
    let of_cameras = config.cameras.iter().flat_map(|camera| {
        let rules = camera.rules.iter();
        rules.map(move |rule| (Owner::Camera(camera), &rule.spec.id.value, suggest::limits(&rule.spec)))
    });
    let of_sensors = config.sensors.iter().flat_map(|sensor| {
        let rules = sensor.rules.iter();
        rules.map(move |rule| (Owner::Sensor(sensor), &rule.spec.id.value, suggest::sensor_limits(&rule.spec)))
    });
    let found = of_cameras.chain(of_sensors);
    found.map(|(owner, rule, limits)| Found { owner, rule, limits, cases: Vec::new() }).collect()
}

/// Gives each rule its stored incidents; answers how many of all cannot be read.
fn take_incidents(data: &Path, rules: &mut [Found<'_>]) -> Result<u64, store::StoreError> {
    let places: HashMap<_, _> = rules.iter().enumerate().map(|(place, found)| (found.key(), place)).collect();
    let mut unreadable = 0;
    store::for_each_incident(data, |record| {
        let Ok(incident) = serde_json::from_slice::<Incident>(&record.json) else {
            unreadable += 1;
            return;
        };
        let (kind, id) = incident.origin.kind_and_id();
        let key = (kind, id.as_str().to_owned(), incident.rule.as_str().to_owned());
        if let Some(found) = places.get(&key).and_then(|place| rules.get_mut(*place)) {
            found.cases.push(Case::new(&incident, &found.limits));
        }
    })?;
    Ok(unreadable)
}

impl<'c> Found<'c> {
    fn key(&self) -> (&'static str, String, String) {
        let (source, id) = self.owner.kind_and_id();
        (source, id.as_str().to_owned(), self.rule.as_str().to_owned())
    }

    fn line(&self, lose: f64) -> Line<'c> {
        let (source, id) = self.owner.kind_and_id();
        let review = suggest::review(&self.limits, &self.cases, lose);
        let edit = match review.advice {
            Advice::Change(Suggestion { threshold, then, .. }) => {
                self.owner.edit(self.rule, threshold.as_str(), &threshold.written(then))
            }
            Advice::TooFew | Advice::Nothing => None,
        };
        Line { source, id, rule: self.rule, review, edit }
    }
}

impl<'c> Owner<'c> {
    fn kind_and_id(self) -> (&'static str, &'c Id) {
        match self {
            Self::Camera(camera) => ("camera", &camera.id),
            Self::Sensor(sensor) => ("sensor", &sensor.id),
        }
    }

    fn edit(self, rule: &Id, key: &str, value: &str) -> Option<Edit> {
        match self {
            Self::Camera(camera) => camera.set_rule_key(rule, key, value),
            Self::Sensor(sensor) => sensor.set_rule_key(rule, key, value),
        }
    }
}

fn print(lines: &[Line<'_>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:24} {:24} {:>9} {:>7} {:>6}  {:21}  suggestion",
        "source", "rule", "incidents", "judged", "false", "share (95 % sure)"
    )?;
    for Line { id, rule, review, .. } in lines {
        let Review { incidents, judged, false_alarms, share, .. } = review;
        let share = share.map_or_else(|| "-".to_owned(), percent);
        let (id, rule, said) = (id.as_str(), rule.as_str(), Said(review));
        writeln!(out, "{id:24} {rule:24} {incidents:>9} {judged:>7} {false_alarms:>6}  {share:21}  {said}")?;
    }
    for Edit { path, line, diff } in lines.iter().filter_map(|line| line.edit.as_ref()) {
        write!(out, "\n{}:{line}\n{diff}", path.display())?;
    }
    out.flush()
}

fn percent(Share { value, low, high }: Share) -> String {
    format!("{:.0} % ({:.0} to {:.0} %)", value * 100.0, low * 100.0, high * 100.0)
}

/// What is suggested, in a few words.
struct Said<'r>(&'r Review);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Review { judged, false_alarms, outgrown, advice, .. } = self.0;
        let true_ones = judged - false_alarms;
        match advice {
            Advice::TooFew => write!(
                f,
                "too few to say: {true_ones} true and {false_alarms} false of {LEAST_JUDGED} needed, {LEAST_OF_EACH} of each"
            ),
            Advice::Nothing => f.write_str("none: no threshold tells them apart"),
            Advice::Change(Suggestion { threshold, now, then, kept_away, lost }) => {
                let (key, now, then) = (threshold.as_str(), threshold.written(*now), threshold.written(*then));
                write!(f, "{key} {now} → {then}: {kept_away} of {false_alarms} false alarms fewer, ")?;
                write!(f, "{lost} of {true_ones} true ones lost")
            }
        }?;
        if *outgrown > 0 {
            write!(f, " ({outgrown} would not come through any more)")?;
        }
        Ok(())
    }
}
