//! The way of the data in figures: where does a rule that reports nothing fall silent?

use snowgate_core::ids::Id;

use crate::{grid_system::Received, metrics::Metrics};

/// Encoded pictures received.
pub const RECEIVED: &str = "snowgate_frames_received_total";
/// Pictures decoded.
pub const DECODED: &str = "snowgate_frames_decoded_total";
/// Pictures looked at by a model.
pub const INFERRED: &str = "snowgate_frames_inferred_total";
const FINDINGS: &str = "snowgate_findings_total";
const STORED: &str = "snowgate_incidents_total";
const ACKNOWLEDGED: &str = "snowgate_mqtt_acks_total";

/// One stage, and how much has come through it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// What is counted.
    pub name: &'static str,
    /// How many.
    pub count: f64,
}

/// What came of a camera's pictures on the way to one rule's incidents, in the order of the way.
pub fn stages(metrics: &Metrics, received: &Received, camera: &Id, rule: &Id) -> Vec<Stage> {
    let of_camera = [("camera", camera.as_str())];
    let of_rule = [("camera", camera.as_str()), ("rule", rule.as_str())];
    let arrived = received.events.iter().filter(|event| (event.data.origin.id(), &event.data.rule) == (camera, rule));
    let arrived = arrived.count();
    vec![
        Stage { name: "frames received", count: metrics.total(RECEIVED, &of_camera) },
        Stage { name: "frames decoded", count: metrics.total(DECODED, &of_camera) },
        Stage { name: "frames inferred", count: metrics.total(INFERRED, &of_camera) },
        Stage { name: "findings of the rule", count: metrics.total(FINDINGS, &of_rule) },
        Stage { name: "revisions put into the outbox", count: metrics.total(STORED, &of_rule) },
        Stage { name: "messages the broker took (all rules)", count: metrics.total(ACKNOWLEDGED, &[]) },
        Stage {
            name: "events that reached the grid system",
            count: u32::try_from(arrived).map_or(f64::MAX, f64::from),
        },
    ]
}

/// The first stage that saw nothing.
pub fn first_silent(stages: &[Stage]) -> Option<&Stage> {
    stages.iter().find(|stage| stage.count == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(scrape: &str) -> &'static str {
        let (camera, rule) = ("gate".parse().unwrap(), "closed-at-night".parse().unwrap());
        let stages = stages(&Metrics::parse(scrape), &Received::default(), &camera, &rule);
        first_silent(&stages).unwrap().name
    }

    #[test]
    fn the_first_silent_stage_is_the_one_to_look_at() {
        assert_eq!(silent(""), "frames received");
        let mut scrape = "snowgate_frames_received_total{camera=\"gate\"} 9\n".to_owned();
        assert_eq!(silent(&scrape), "frames decoded");
        scrape +=
            "snowgate_frames_decoded_total{camera=\"gate\"} 9\nsnowgate_frames_inferred_total{camera=\"gate\"} 2\n";
        // Another rule's findings, and another camera's, are none of this rule's.
        scrape += "snowgate_findings_total{camera=\"gate\",rule=\"line\",change=\"began\"} 1\n";
        scrape += "snowgate_findings_total{camera=\"yard\",rule=\"closed-at-night\",change=\"began\"} 1\n";
        assert_eq!(silent(&scrape), "findings of the rule");
        scrape += "snowgate_findings_total{camera=\"gate\",rule=\"closed-at-night\",change=\"began\"} 1\n";
        assert_eq!(silent(&scrape), "revisions put into the outbox");
        scrape += "snowgate_incidents_total{camera=\"gate\",rule=\"closed-at-night\",event=\"opened\"} 1\n";
        assert_eq!(silent(&scrape), "messages the broker took (all rules)");
        scrape += "snowgate_mqtt_acks_total{class=\"incident\"} 1\n";
        assert_eq!(silent(&scrape), "events that reached the grid system");
    }
}
