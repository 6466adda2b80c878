//! Checks of one camera's file: its zones and lines, its rules and where they report.

use std::collections::BTreeSet;

use snowgate_core::{
    ids::Id,
    rules::spec::{ReportSpec, RuleKind, RuleSpec},
    spec::{ByteSize, Located, TimeSpan},
};

use super::{
    checks::{self, Checker, References, report_target},
    resolved::{CameraConfig, ModelsConfig, RuleConfig},
    spec::CameraFile,
    stream::{self, Reached},
};
use crate::vision::spec::{DetectSpec, Gate};

/// A camera with its references followed and its secrets read; what is wrong is left with `check`.
pub(super) fn resolve(
    file: CameraFile,
    models: Option<&ModelsConfig>,
    references: References<'_>,
    check: &mut Checker<'_>,
) -> Option<CameraConfig> {
    check.within("/detect/fps", *file.detect.fps, 1..=30);
    check.within("/detect/max_regions", *file.detect.max_regions, 1..=32);
    check.within("/detect/look_every", file.detect.look_every, TimeSpan::millis(500)..=TimeSpan::secs(60));
    check.within("/detect/quiet_after", file.detect.quiet_after, TimeSpan::secs(1)..=TimeSpan::secs(600));
    check.within("/detect/max_key_interval", file.detect.max_key_interval, TimeSpan::secs(1)..=TimeSpan::secs(60));
    reaches_back(&file, check);
    check.within("/health/for", file.health.r#for, TimeSpan::secs(1)..=TimeSpan::secs(3_600));
    check.within("/health/frozen_for", file.health.frozen_for, TimeSpan::secs(10)..=TimeSpan::secs(3_600));
    check.within("/health/least_shift", file.health.least_shift.0, 0.005..=0.5);
    check.within("/anomaly/for", file.anomaly.r#for, TimeSpan::secs(10)..=TimeSpan::secs(86_400));
    check.within("/anomaly/every", file.anomaly.every, TimeSpan::secs(1)..=TimeSpan::secs(300));
    check.within("/anomaly/whole_frame", file.anomaly.whole_frame.0, 0.05..=1.0);
    check.within("/anomaly/learn_for", file.anomaly.learn_for, TimeSpan::secs(300)..=TimeSpan::secs(30 * 86_400));
    check.within("/ring/duration", file.ring.duration, TimeSpan::secs(2)..=TimeSpan::secs(300));
    check.within("/ring/size", file.ring.size, ByteSize::mib(1)..=ByteSize::mib(512));
    check.retention("/evidence", &file.evidence);
    geometry(&file, references, check);
    let rules = rules(&file, references, check);
    let place = file.place.0.map(|place| checks::place(place, "/place", check));
    let Reached { spec: stream, streams, password, refused } =
        stream::resolve(file.stream.clone(), &file.id, file.enabled, check);
    // Without the gateway's models an error stands in gateway.toml, and without an address here: nothing runs.
    let (models, streams) = (models?, streams?);
    Some(CameraConfig {
        name: file.name.0.unwrap_or_else(|| file.id.to_string()),
        enabled: file.enabled,
        refused,
        place,
        stream,
        streams,
        password,
        ring: file.ring,
        object_model: file.detect.object_model.as_ref().map_or(&models.object, |id| &id.value).clone(),
        face_model: file.detect.face_model.as_ref().map_or(&models.face, |id| &id.value).clone(),
        scene_model: file.detect.scene_model.as_ref().map_or(&models.scene, |id| &id.value).clone(),
        detect: file.detect,
        evidence: file.evidence,
        legal: file.legal,
        health: file.health,
        anomaly: file.anomaly,
        masks: file.masks.into_iter().map(|mask| mask.polygon).collect(),
        zones: file.zones,
        lines: file.lines,
        rules,
        id: file.id.value,
        source: check.source.clone(),
    })
}

/// Catching up begins at the key frame looked at before: the ring must still hold it.
fn reaches_back(file: &CameraFile, check: &mut Checker<'_>) {
    let DetectSpec { gate, look_every, max_key_interval, .. } = &file.detect;
    let needed = look_every.0 + max_key_interval.0;
    if *gate == Gate::Keyframe && file.ring.duration.0 < needed {
        let message = format!(
            "the ring holds {}, less than look_every and max_key_interval together: what moves between two key frames may be lost",
            file.ring.duration
        );
        let help = "make ring.duration longer, or max_key_interval shorter";
        check.warning(file.id.span, message, help.to_owned());
    }
}

fn geometry(file: &CameraFile, references: References<'_>, check: &mut Checker<'_>) {
    check.unique("zone", file.zones.iter().map(|zone| &zone.id));
    check.unique("line", file.lines.iter().map(|line| &line.id));
    check.unique("rule", file.rules.iter().map(|rule| &rule.id));
    for line in &file.lines {
        if line.start == line.end.value {
            check.error(line.end.span, format!("line `{}` ends where it starts", *line.id), None);
        }
    }
    check.report(&file.report, references);
    let zones = file.zones.iter().map(|zone| &zone.report);
    let lines = file.lines.iter().map(|line| &line.report);
    let rules = file.rules.iter().map(|rule| &rule.report);
    zones.chain(lines).chain(rules).for_each(|report| check.report(report, references));
}

/// What a rule watches.
enum Watched<'a> {
    Zone(&'a Located<Id>),
    Line(&'a Located<Id>),
    /// All that the camera shows.
    Scene,
}

impl<'a> Watched<'a> {
    fn of(rule: &'a RuleSpec) -> Self {
        match &rule.kind {
            RuleKind::LineCrossing(spec) => Self::Line(&spec.line),
            kind => kind.zone().map_or(Self::Scene, Self::Zone),
        }
    }

    /// Who says how its incidents are reported, the rule first. `None` if its zone or line is missing.
    fn reports(&self, rule: &'a RuleSpec, file: &'a CameraFile) -> Option<Vec<&'a ReportSpec>> {
        let own = match self {
            Self::Zone(id) => Some(&file.zones.iter().find(|zone| zone.id == **id)?.report),
            Self::Line(id) => Some(&file.lines.iter().find(|line| line.id == **id)?.report),
            Self::Scene => None,
        };
        Some([&rule.report].into_iter().chain(own).chain([&file.report]).collect())
    }
}

/// Where a camera's rules may say how they report.
const WHERE: &str = "the rule, in its zone or line, or at the top for the whole camera";

fn rules(file: &CameraFile, references: References<'_>, check: &mut Checker<'_>) -> Vec<RuleConfig> {
    let mut watched = BTreeSet::new();
    let mut rules = Vec::new();
    let sees_anomalies = file.rules.iter().find(|rule| matches!(rule.kind, RuleKind::Anomaly(_)));
    if let Some(rule) = sees_anomalies.filter(|_| file.health.presets.get() > 1) {
        let message = format!(
            "rule `{}`: what is normal is learnt of all {} views of the camera together",
            *rule.id,
            file.health.presets.get()
        );
        check.warning(rule.id.span, message, "it finds less than on a fixed camera".to_owned());
    }
    for rule in &file.rules {
        let of = Watched::of(rule);
        match of {
            Watched::Zone(id) => {
                watched.insert(("zone", &id.value));
                check.known("zone", "zones", id.as_str(), id.span, file.zones.iter().map(|zone| zone.id.as_str()));
            }
            Watched::Line(id) => {
                watched.insert(("line", &id.value));
                check.known("line", "lines", id.as_str(), id.span, file.lines.iter().map(|line| line.id.as_str()));
            }
            Watched::Scene => {}
        }
        if rule.kind.is_of_scene() {
            of_scene(rule, check);
        }
        if rule.labels.is_empty() {
            check.error(rule.labels.span, format!("rule `{}` looks at nothing: labels is empty", *rule.id), None);
        }
        if let Some(schedule) = &*rule.schedule {
            check.schedule(schedule, references);
        }
        check.quiet_after(&rule.id, *rule.quiet_after);
        of_kind(rule, file, check);
        if let Err(error) = rule.merge() {
            check.error(rule.id.span, format!("rule `{}`: merge_within: {error}", *rule.id), None);
        }
        // A rule whose zone is missing has been reported; where it would report is then no matter.
        if let Some(reports) = of.reports(rule, file)
            && let Some(report) = report_target(&rule.id, &reports, WHERE, references, check)
        {
            rules.push(RuleConfig { spec: rule.clone(), report });
        }
    }
    let zones = file.zones.iter().map(|zone| ("zone", &zone.id));
    for (what, id) in zones.chain(file.lines.iter().map(|line| ("line", &line.id))) {
        if !watched.contains(&(what, &id.value)) {
            check.warning(id.span, format!("no rule watches {what} `{}`", **id), None);
        }
    }
    if file.enabled && file.rules.is_empty() {
        check.warning(file.id.span, format!("camera `{}` has no rules: it reports nothing", *file.id), None);
    }
    rules
}

/// What the keys of a kind of rule must not say together.
fn of_kind(rule: &RuleSpec, file: &CameraFile, check: &mut Checker<'_>) {
    match &rule.kind {
        RuleKind::WrongWay(keys) if keys.from == keys.to.value => {
            let message = format!("rule `{}` allows no direction: its arrow ends where it starts", *rule.id);
            check.error(keys.to.span, message, None);
        }
        RuleKind::Count(keys) => {
            let zone = file.zones.iter().find(|zone| zone.id == keys.zone);
            if let Some(Err(error)) = zone.map(|zone| keys.limits(&zone.polygon)) {
                let place = check.beside(rule.id.span, &format!("/{}", error.key()));
                check.error_at(place, format!("rule `{}`: {error}", *rule.id), error.help().to_owned());
            }
        }
        RuleKind::Offline(_) if rule.hold() < file.stream.stall_after => {
            let (id, hold, stall_after) = (&*rule.id, rule.hold(), file.stream.stall_after);
            let message =
                format!("rule `{id}`: for is {hold}, shorter than stream.stall_after, which is {stall_after}");
            let help = "write a longer for: until a stream counts as stalled, nobody knows that no pictures come";
            check.error(rule.id.span, message, help.to_owned());
        }
        RuleKind::Speed(keys) => {
            let zone = file.zones.iter().find(|zone| zone.id == keys.zone);
            if let Some(Err(error)) = zone.map(|zone| keys.ground(&zone.polygon)) {
                let message = format!("rule `{}` cannot measure in zone `{}`: {error}", *rule.id, *keys.zone);
                let help = "give it a zone of its own, with the corners of a rectangle on the ground in order";
                check.error(keys.zone.span, message, help.to_owned());
            }
        }
        _ => {}
    }
}

/// A rule about the whole scene: what it cannot have, and that it watches for something.
fn of_scene(rule: &RuleSpec, check: &mut Checker<'_>) {
    let of_things = [
        ("labels", rule.labels.is_written(), rule.labels.span),
        ("min_score", rule.min_score.is_written(), rule.min_score.span),
        ("min_height", rule.min_height.is_written(), rule.min_height.span),
    ];
    for (key, _, span) in of_things.into_iter().filter(|(_, is_written, _)| *is_written) {
        let kind = rule.kind.tag();
        let message =
            format!("rule `{}` looks for nothing that a model has found: {key} does not go with {kind}", *rule.id);
        check.error(span, message, None);
    }
    if let RuleKind::Tamper(keys) = &rule.kind
        && keys.conditions.is_empty()
    {
        let message = format!("rule `{}` watches for nothing: conditions is empty", *rule.id);
        check.error(keys.conditions.span, message, None);
    }
}
