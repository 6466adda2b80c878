//! From what is configured to what is joined: the joined rules, and what their incidents carry.

use std::time::Duration;

use snowgate_core::{
    incidents::{JoinedSource, Source},
    joined::JoinedRules,
    rules::RuleError,
};

use super::cameras;
use crate::{
    config::{Config, JoinedConfig, ReportTarget},
    reporting::Joined,
};

/// The joined rules; they have heard nothing.
///
/// # Errors
/// A rule names a schedule that is not there; a checked configuration has no such rule.
pub fn joined(config: &Config) -> Result<Joined, RuleError> {
    let rules = JoinedRules::new(config.joined.iter().map(|rule| rule.wiring.clone()), &config.schedules)?;
    let sources = config.joined.iter().flat_map(|rule| {
        rule.reports.iter().filter_map(move |(grid, report)| {
            let key = (rule.wiring.spec.id.value.clone(), grid.clone());
            Some((key, source(config, rule, report)?))
        })
    });
    Ok(Joined::new(rules, sources))
}

fn source(config: &Config, rule: &JoinedConfig, report: &ReportTarget) -> Option<Source<JoinedSource>> {
    let spec = &rule.wiring.spec;
    Some(Source {
        of: JoinedSource { name: spec.name().to_owned() },
        place: None,
        rule: spec.id.value.clone(),
        rule_kind: spec.when.tag().to_owned(),
        target: cameras::target(config, report, report.severity)?,
        target_during: cameras::target_during(config, report),
        // What several sources tell together is not a condition of one place that comes again.
        merge: None,
        quiet_after: spec.quiet_after.map_or(Duration::ZERO, |quiet| quiet.0),
        priority: spec.priority,
    })
}
