//! From what is configured to what is watched: the parts that `run` and `replay` build in the same way.

use std::sync::Arc;

use snowgate_core::{
    geometry::Segment,
    incidents::{CameraSource, Locale, Place, Source, Target},
    rules::{
        CameraRules, MissingReference,
        spec::{RuleKind, RuleSpec},
    },
};

use super::models::LoadedModels;
use crate::{
    camera::gop_ring::GopRing,
    config::{CameraConfig, Config, PlaceConfig, ReportTarget, RuleConfig},
    evidence::still::Outline,
    reporting::WatchedRule,
    vision::analyser::{Analyser, Need},
    watch::{Watcher, lookout::Viewpoint},
};

/// A watcher with this camera's vision and rules.
///
/// # Errors
/// A rule names what is not there; a checked configuration has no such rule.
pub fn watcher(camera: &CameraConfig) -> Result<Watcher, MissingReference> {
    let specs: Vec<RuleSpec> = camera.rules.iter().map(|rule| rule.spec.clone()).collect();
    let labels = specs.iter().flat_map(|rule| rule.labels.iter().map(String::as_str));
    let needs = Need::of_labels(&camera.object_model, &camera.face_model, labels);
    let analyser = Analyser::new(camera.id.clone(), &camera.detect, camera.masks.clone(), needs);
    Ok(Watcher::new(analyser, CameraRules::new(&camera.zones, &camera.lines, &specs)?))
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
    let (area, area_name, outline) = match &rule.spec.kind {
        RuleKind::Intrusion(keys) => zone(camera, &keys.zone)?,
        RuleKind::Loitering(keys) => zone(camera, &keys.zone)?,
        RuleKind::Count(keys) => zone(camera, &keys.zone)?,
        RuleKind::LineCrossing(keys) => {
            let line = camera.line(&keys.line)?;
            let outline = Outline::Segment(Segment { start: line.start, end: line.end.value });
            (line.id.value.clone(), name_or_id(&line.name, &line.id), outline)
        }
    };
    let looks = |id| models.digest(id);
    let source = Source {
        of: CameraSource {
            camera: camera.id.clone(),
            camera_name: camera.name.clone(),
            area,
            area_name,
            models: [&camera.object_model, &camera.face_model].into_iter().filter_map(looks).collect(),
        },
        place: place(camera.place.as_ref()),
        rule: rule.spec.id.value.clone(),
        rule_kind: rule.spec.kind.tag().to_owned(),
        target: target(config, &rule.report)?,
        // A checked configuration has no rule that cannot merge and wants to.
        merge: rule.spec.merge().ok().flatten(),
    };
    let masks = camera.masks.iter().cloned().collect();
    Some(WatchedRule { source, outline, masks })
}

type Area = (snowgate_core::ids::Id, String, Outline);

fn zone(camera: &CameraConfig, id: &snowgate_core::ids::Id) -> Option<Area> {
    let zone = camera.zone(id)?;
    Some((zone.id.value.clone(), name_or_id(&zone.name, &zone.id), Outline::Polygon(zone.polygon.clone())))
}

fn name_or_id(name: &Option<String>, id: &snowgate_core::ids::Id) -> String {
    name.clone().unwrap_or_else(|| id.to_string())
}

/// Where a camera or a sensor stands, as incidents tell it.
pub fn place(place: Option<&PlaceConfig>) -> Option<Place> {
    place.map(|place| Place { lat: place.lat, lon: place.lon, name: place.name.clone() })
}

/// How and to whom what a rule finds is reported, with everything looked up.
pub fn target(config: &Config, report: &ReportTarget) -> Option<Target> {
    let category = config.categories.get(&report.category)?;
    let start = config.grid.start_node(&report.grid, report.severity)?;
    let category_name = match config.gateway.locale {
        Locale::ZhCn => &category.name.zh,
        Locale::En => &category.name.en,
    };
    Some(Target {
        category: report.category.clone(),
        category_name: category_name.clone(),
        severity: report.severity,
        grid: report.grid.clone(),
        path: config.grid.path(&report.grid).into_iter().map(str::to_owned).collect(),
        level: config.grid.level(start).clone(),
        level_grid: start.code.clone(),
        time_limit: report.time_limit,
    })
}
