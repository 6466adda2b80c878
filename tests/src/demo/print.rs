//! What the demo says: a line for everything that arrives, and figures at the end.

use std::{collections::BTreeMap, path::Path};

use snowgate::config::Config;

use super::stages::{DECODED, INFERRED, RECEIVED};
use crate::{
    grid_system::{IncidentEvent, Received, Still},
    metrics::{Metrics, Quantile},
    repository,
};

const FRAME_TO_PUBLISH: &str = "snowgate_frame_to_publish_seconds";

/// How much of what arrived has been printed.
#[derive(Debug, Default)]
pub struct Ticker {
    events: usize,
    stills: usize,
}

impl Ticker {
    /// Whether there is something to print.
    pub fn has_news(&self, received: &Received) -> bool {
        self.events < received.events.len() || self.stills < received.stills.len()
    }

    /// A line for everything that has arrived since.
    pub fn news(&mut self, received: &Received) -> Vec<String> {
        let now = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
        let events = received.events.iter().skip(self.events).map(|event| format!("{now}  {}", event_line(event)));
        let stills = received.stills.iter().skip(self.stills).map(|still| format!("{now}  {}", still_line(still)));
        let lines = events.chain(stills).collect();
        (self.events, self.stills) = (received.events.len(), received.stills.len());
        lines
    }
}

fn event_line(event: &IncidentEvent) -> String {
    let data = &event.data;
    let place = event.topic.split_once("/incident/").map_or("", |(_, place)| place);
    let (kind, severity, title) = (event.kind(), &data.severity, &data.title);
    format!("{place:<24}  {kind:<8}{severity:<9}  {title} · {}/{} · {}", data.origin.id(), data.rule, event.id)
}

fn still_line(still: &Still) -> String {
    let size = still.bytes.div_ceil(1024);
    format!("{:<24}  {:<19}{} · {size} KiB, faces and heads covered", "", "still", shown(&still.file))
}

/// A path as seen from the clone's root.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

/// The figures at the end.
pub fn summary(config: &Config, received: &Received, metrics: &Metrics) -> String {
    let mut incidents: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for event in &received.events {
        let rule = (event.data.origin.id(), &event.data.rule, event.data.rule_kind.as_str());
        incidents.entry(rule).or_default().insert(event.data.incident, ());
    }
    let mut text = "incidents by rule\n".to_owned();
    for ((camera, rule, kind), incidents) in &incidents {
        text += &format!("  {:<42} {kind:<14} {:>5}\n", format!("{camera}/{rule}"), incidents.len());
    }
    text += "\nframes                                       received  decoded inferred\n";
    for camera in &config.cameras {
        let total = |name| metrics.total(name, &[("camera", camera.id.as_str())]);
        let (received, decoded, inferred) = (total(RECEIVED), total(DECODED), total(INFERRED));
        text += &format!("  {:<42} {received:>8} {decoded:>8} {inferred:>8}\n", camera.id.as_str());
    }
    let quantile = |q| metrics.quantile(FRAME_TO_PUBLISH, q).map_or("none".to_owned(), milliseconds);
    let count = metrics.total(&format!("{FRAME_TO_PUBLISH}_count"), &[]);
    text += &format!(
        "\nframe to publish   p50 {} · p99 {} (of {count}, interpolated between a histogram's bounds)\n",
        quantile(0.5),
        quantile(0.99)
    );
    let (events, duplicates, stills) = (received.events.len(), received.duplicates, received.stills.len());
    text + &format!("at the grid system {events} events, {duplicates} duplicates, {stills} stills\n")
}

fn milliseconds(quantile: Quantile) -> String {
    match quantile {
        Quantile::Interpolated(seconds) => format!("{:.0} ms", seconds * 1000.0),
        Quantile::Above(seconds) => format!("above {:.0} ms", seconds * 1000.0),
    }
}
