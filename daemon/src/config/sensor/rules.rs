//! Checks of a sensor's rules and of where they report.

use snowgate_core::sensor::rules::spec::SensorRuleSpec;

use super::{Checker, References, SensorFile};
use crate::config::{checks::report_target, resolved::SensorRuleConfig};

pub(super) fn resolve(file: &SensorFile, references: References<'_>, check: &mut Checker<'_>) -> Vec<SensorRuleConfig> {
    check.unique("rule", file.rules.iter().map(|rule| &rule.id));
    let mut rules = Vec::new();
    for rule in &file.rules {
        check.report(&rule.report, references);
        let said = [&rule.report, &file.report];
        if let Some(report) =
            report_target(&rule.id, &said, "the rule, or at the top for the whole sensor", references, check)
        {
            rules.push(SensorRuleConfig { spec: SensorRuleSpec::clone(rule), report });
        }
    }
    rules
}
