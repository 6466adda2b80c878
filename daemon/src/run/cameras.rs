//! From what is configured to what is watched: the parts that `run` and `replay` build in the same way.

use std::{sync::Arc, time::Duration};

use snowgate_core::{
    geometry::Segment,
    ids::Id,
    incidents::{Area, CameraSource, Locale, Place, Source, Target},
    rules::{
        CameraRules, MissingReference, RuleError, SceneRules, StreamRules,
        explain::Line,
        spec::{RuleKind, RuleSpec},
    },
    scene::Learnt,
    schedule::{Schedule, Schedules},
    severity::Severity,
};

use super::models::LoadedModels;
use crate::{
    camera::{gop_ring::GopRing, health::HealthTracker},
    config::{CameraConfig, Config, PlaceConfig, ReportTarget, RuleConfig},
    events::explain::Explained,
    evidence::{clip::Wanted, still::Outline},
    reporting::WatchedRule,
    vision::{
        analyser::{Analyser, Need},
        scene::files::SceneFiles,
    },
    watch::{AnomalySettings, AnomalyWatch, SceneWatch, Watched, Watcher, lookout::Viewpoint},
};

/// A watcher with this camera's vision and rules.
///
/// # Errors
/// A rule cannot be followed; a checked configuration has no such rule.
pub fn watcher(camera: &CameraConfig, schedules: &Schedules) -> Result<Watcher, RuleError> {
    let specs = specs(camera);
    let labels = specs.iter().flat_map(RuleSpec::looks_for);
    let needs = Need::of_labels(&camera.object_model, &camera.face_model, labels);
    let analyser = Analyser::new(camera.id.clone(), &camera.detect, camera.masks.clone(), needs);
    Ok(Watcher::new(analyser, CameraRules::new(&camera.zones, &camera.lines, schedules, &specs)?))
}

/// Who judges what this camera's key frames are fit for; what it learnt before is `learnt`.
///
/// # Errors
/// A rule names what is not there; a checked configuration has no such rule.
pub fn scene(
    camera: &CameraConfig,
    schedules: &Schedules,
    learnt: Learnt,
    tracker: HealthTracker,
) -> Result<SceneWatch, MissingReference> {
    let rules = SceneRules::new(&camera.zones, schedules, &specs(camera))?;
    Ok(SceneWatch::new(camera.id.clone(), &camera.health, &camera.masks, rules, learnt, tracker))
}

/// The rules about whether pictures come from this camera at all.
///
/// # Errors
/// A rule names what is not there; a checked configuration has no such rule.
pub fn stream_rules(camera: &CameraConfig, schedules: &Schedules) -> Result<StreamRules, MissingReference> {
    StreamRules::new(camera.stream.stall_after.0, schedules, &specs(camera))
}

/// Who looks for what was never in this camera's scene, if any of its rules asks for it; what was learnt lies in `files`.
pub fn anomaly(camera: &CameraConfig, files: Option<&SceneFiles>) -> Option<AnomalyWatch> {
    camera.watches_for_anomalies().then(|| {
        AnomalyWatch::new(AnomalySettings {
            camera: camera.id.clone(),
            model: camera.scene_model.clone(),
            spec: camera.anomaly.clone(),
            masks: camera.masks.clone(),
            files: files.cloned(),
        })
    })
}

/// Says in the log why rules tell of things or do not, if the log's level asks for that.
pub fn explain_in_log(camera: &Id, watched: &Watched) {
    if Explained::<&Line>::is_wanted() {
        let camera = camera.clone();
        watched.explain_to(Some(move |line: &Line| Explained { camera: camera.as_str(), line }.emit()));
    }
}

/// Its rules as they are written.
pub fn specs(camera: &CameraConfig) -> Vec<RuleSpec> {
    camera.rules.iter().map(|rule| rule.spec.clone()).collect()
}

/// Everything that the incidents of this camera's rules carry.
pub fn watched_rules(config: &Config, camera: &CameraConfig, models: &LoadedModels) -> Vec<Arc<WatchedRule>> {
    let rules = camera.rules.iter().filter_map(|rule| watched_rule(config, camera, rule, models));
    rules.map(Arc::new).collect()
}

/// Where a camera can be asked to look for a sensor's sake.
pub fn viewpoint(camera: &CameraConfig, ring: &Arc<GopRing>) -> Viewpoint {
    Viewpoint {
        ring: Arc::clone(ring),
        grids: camera.rules.iter().map(|rule| rule.report.grid.clone()).collect(),
        place: place(camera.place.as_ref()),
        masks: camera.masks.iter().cloned().collect(),
    }
}

fn watched_rule(
    config: &Config,
    camera: &CameraConfig,
    rule: &RuleConfig,
    models: &LoadedModels,
) -> Option<WatchedRule> {
    let area = match (&rule.spec.kind, rule.spec.kind.zone()) {
        (RuleKind::LineCrossing(keys), _) => {
            let line = camera.line(&keys.line)?;
            let outline = Outline::Segment(Segment { start: line.start, end: line.end.value });
            Some((area(&line.id, &line.name), outline))
        }
        (_, Some(id)) => Some(zone(camera, id)?),
        (_, None) => None,
    };
    let (area, outline) = area.unzip();
    let looking = match rule.spec.kind {
        // No model looks for it.
        RuleKind::Tamper(_) | RuleKind::Offline(_) => Vec::new(),
        RuleKind::Anomaly(_) => vec![&camera.scene_model],
        _ => vec![&camera.object_model, &camera.face_model],
    };
    let models = looking.into_iter().filter_map(|id| models.digest(id)).collect();
    let source = Source {
        of: CameraSource { camera: camera.id.clone(), camera_name: camera.name.clone(), area, models },
        place: place(camera.place.as_ref()),
        rule: rule.spec.id.value.clone(),
        rule_kind: rule.spec.kind.tag().to_owned(),
        target: target(config, &rule.report, rule.report.severity)?,
        target_during: target_during(config, &rule.report),
        // A checked configuration has no rule that cannot merge and wants to.
        merge: rule.spec.merge().ok().flatten(),
        quiet_after: rule.spec.quiet_after.map_or(Duration::ZERO, |quiet| quiet.0),
        priority: rule.spec.priority,
    };
    let masks = camera.masks.iter().cloned().collect();
    let category = config.categories.get(&rule.report.category)?;
    let clips = Wanted { sealed: category.clip, covered: category.covered_clip };
    let best_of = config.evidence.best_of.0;
    Some(WatchedRule { source, outline, masks, best_of, clips })
}

fn zone(camera: &CameraConfig, id: &Id) -> Option<(Area, Outline)> {
    let zone = camera.zone(id)?;
    Some((area(&zone.id, &zone.name), Outline::Polygon(zone.polygon.clone())))
}

fn area(id: &Id, name: &Option<String>) -> Area {
    Area { id: id.clone(), name: name.clone().unwrap_or_else(|| id.to_string()) }
}

/// Where a camera or a sensor stands, as incidents tell it.
pub fn place(place: Option<&PlaceConfig>) -> Option<Place> {
    place.map(Place::from)
}

/// How and to whom what a rule finds is reported while schedules hold.
pub fn target_during(config: &Config, report: &ReportTarget) -> Vec<(Arc<Schedule>, Target)> {
    let during = report.severity_during.iter();
    let looked_up = |(id, severity): &(Id, Severity)| {
        Some((Arc::clone(config.schedules.get(id)?), target(config, report, *severity)?))
    };
    during.filter_map(looked_up).collect()
}

/// How and to whom what a rule finds is reported at this severity, with everything looked up.
pub fn target(config: &Config, report: &ReportTarget, severity: Severity) -> Option<Target> {
    let category = config.categories.get(&report.category)?;
    let start = config.grid.start_node(&report.grid, severity)?;
    let category_name = match config.gateway.locale {
        Locale::ZhCn => &category.name.zh,
        Locale::En => &category.name.en,
    };
    Some(Target {
        category: report.category.clone(),
        category_name: category_name.clone(),
        severity,
        grid: report.grid.clone(),
        path: config.grid.path(&report.grid).into_iter().map(str::to_owned).collect(),
        level: config.grid.level(start).clone(),
        level_grid: start.code.clone(),
        time_limit: report.time_limit,
    })
}
