//! Checks of the joined rules: what their inputs name, whether their conditions could ever hold, and where they report.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use snowgate_core::{
    ids::Id,
    incidents::Place,
    joined::{
        Device, Listened, RuleOf, Wiring,
        spec::{InputSpec, JoinedRuleSpec, When},
    },
    rules::spec::ReportSpec,
    spec::{Located, Maybe, TimeSpan},
};

use super::{
    checks::{Checker, References, report_target},
    problem::{Problem, Problems, Severity, Source},
    resolved::{CameraConfig, JoinedConfig, PlaceConfig, ReportTarget, SensorConfig},
    suggest::suggestion,
    toml_errors, unique,
};

/// Where a joined rule may say how it reports.
const WHERE: &str = "the joined rule's file";

/// What has ended counts for so long at the most.
const LONGEST_WITHIN: TimeSpan = TimeSpan::secs(7 * 86_400);

/// What the inputs of joined rules may name.
pub(super) struct Known {
    rules: Vec<KnownRule>,
    /// Whether nothing is missing: what is not among the rules is nowhere.
    whole: bool,
}

/// A rule of a camera or of a sensor.
struct KnownRule {
    listened: Listened,
    category: Id,
}

impl Known {
    /// The rules of these cameras and sensors. `whole`: none of them is missing for a mistake.
    pub(super) fn new(cameras: &[CameraConfig], sensors: &[SensorConfig], whole: bool) -> Self {
        let known = |device, rule: &Id, report: &ReportTarget, place: Option<&PlaceConfig>| {
            let (to, grid) = (RuleOf { device, rule: rule.clone() }, report.grid.clone());
            let listened = Listened { to, grid, place: place.map(Place::from) };
            KnownRule { listened, category: report.category.clone() }
        };
        let mut rules = Vec::new();
        for camera in cameras {
            let device = || Device::Camera(camera.id.clone());
            let of_camera = camera.rules.iter();
            rules.extend(of_camera.map(|it| known(device(), &it.spec.id, &it.report, camera.place.as_ref())));
        }
        for sensor in sensors {
            let device = || Device::Sensor(sensor.id.clone());
            let of_sensor = sensor.rules.iter();
            rules.extend(of_sensor.map(|it| known(device(), &it.spec.id, &it.report, sensor.place.as_ref())));
        }
        Self { rules, whole }
    }

    /// The ids of all cameras that have rules, or of all such sensors.
    fn devices(&self, id: IdOf) -> BTreeSet<&str> {
        self.rules.iter().filter_map(|rule| id(&rule.listened.to.device)).map(Id::as_str).collect()
    }
}

/// The id of a device of one kind, if it is one.
type IdOf = for<'d> fn(&'d Device) -> Option<&'d Id>;

fn camera(device: &Device) -> Option<&Id> {
    match device {
        Device::Camera(id) => Some(id),
        Device::Sensor(_) => None,
    }
}

fn sensor(device: &Device) -> Option<&Id> {
    match device {
        Device::Sensor(id) => Some(id),
        Device::Camera(_) => None,
    }
}

/// Every joined rule of the files, checked against the rules of cameras and sensors.
pub(super) fn resolve_all(
    sources: &[Arc<Source>],
    base: &Path,
    known: &Known,
    references: References<'_>,
    problems: &mut Problems,
) -> Vec<JoinedConfig> {
    let mut files: Vec<(&Arc<Source>, JoinedRuleSpec, bool)> = Vec::new();
    for source in sources {
        let errors = problems.count(Severity::Error);
        let Some(file) = toml_errors::read::<JoinedRuleSpec>(source, problems) else { continue };
        // Of a file that was read only in part, it is not known what it leaves out.
        files.push((source, file, problems.count(Severity::Error) == errors));
    }
    let ids: Vec<_> = files.iter().map(|(source, file, _)| (*source, file.id.clone())).collect();
    unique("joined rule", &ids, problems);
    let joined: Vec<&Id> = ids.iter().map(|(_, id)| &id.value).collect();
    let mut rules = Vec::new();
    for (source, file, whole) in files {
        let mut check = Checker::new(source, base);
        rules.push(resolve(file, known, &joined, references, &mut check));
        problems.extend(check.problems.into_iter().filter(|problem| whole || problem.severity == Severity::Error));
    }
    rules
}

/// A joined rule with its references followed; what is wrong is left with `check`.
fn resolve(
    spec: JoinedRuleSpec,
    known: &Known,
    joined: &[&Id],
    references: References<'_>,
    check: &mut Checker<'_>,
) -> JoinedConfig {
    check.quiet_after(&spec.id, *spec.quiet_after);
    check.within("/within", spec.within, TimeSpan::secs(0)..=LONGEST_WITHIN);
    if let Some(schedule) = &*spec.schedule {
        check.schedule(schedule, references);
    }
    counts(&spec, check);
    let inputs = spec.inputs.iter().map(|input| listened(input, known, joined, references, check)).collect();
    let wiring = Wiring { spec, inputs };
    let of_cameras = wiring.inputs.iter().flatten().any(|rule| camera(&rule.to.device).is_some());
    check.report(&wiring.spec.report, References { households: !of_cameras, ..references });
    let disjoint = disjoint(&wiring, check);
    places(&wiring, check);
    let possible = wiring.spec.needed() <= wiring.inputs.len();
    if known.whole
        && possible
        && disjoint
        && wiring.inputs.iter().all(|rules| !rules.is_empty())
        && !wiring.can_be_met()
    {
        never(&wiring.spec, check);
    }
    let reports = reports(&wiring, references, check);
    JoinedConfig { wiring, reports }
}

/// So many inputs as a joined rule can have, and as its kind asks for.
fn counts(spec: &JoinedRuleSpec, check: &mut Checker<'_>) {
    let (id, inputs, most) = (&*spec.id, spec.inputs.len(), JoinedRuleSpec::MOST_INPUTS);
    if !(2..=most).contains(&inputs) {
        let message = format!("joined rule `{id}` has 2 to {most} inputs, not {inputs}");
        check.error(spec.id.span, message, "write [[inputs]] for each of them".to_owned());
    }
    if let When::AtLeast(keys) = &spec.when
        && !(1..=inputs.max(1)).contains(&spec.needed())
    {
        let message = format!("count must lie between 1 and {inputs}, the number of inputs; {} does not", *keys.count);
        check.error(keys.count.span, message, None);
    }
    if let (Some(_), Some(metres)) = (&*spec.same, &*spec.within_metres) {
        let help = "leave one of them out: within_metres is about places, and same about what they report to";
        check.error(metres.span, "same and within_metres do not go together", help.to_owned());
    }
}

/// The rules that an input listens to.
fn listened(
    input: &Located<InputSpec>,
    known: &Known,
    joined: &[&Id],
    references: References<'_>,
    check: &mut Checker<'_>,
) -> Vec<Listened> {
    let InputSpec { camera: of_camera, sensor: of_sensor, rule, category } = &input.value;
    if let (Some(_), Some(sensor)) = (&**of_camera, &**of_sensor) {
        let help = "write an [[inputs]] for each of them".to_owned();
        check.error(sensor.span, "an input listens to a camera or to a sensor, not to both", help);
        return Vec::new();
    }
    if rule.is_none() && category.is_none() {
        let help = "write rule = \"…\" or category = \"…\"".to_owned();
        check.error(input.span, "an input names a rule, or the category in which it reports", help);
        return Vec::new();
    }
    let category_is_known = category.as_ref().zip(references.categories).is_none_or(|(category, categories)| {
        check.known("category", "categories", category.as_str(), category.span, categories.keys().map(Id::as_str));
        categories.contains_key(&category.value)
    });
    if !known.whole || !category_is_known {
        return Vec::new();
    }
    for (what, plural, named, of) in
        [("camera", "cameras", of_camera, camera as IdOf), ("sensor", "sensors", of_sensor, sensor as IdOf)]
    {
        if let Some(named) = &**named {
            let with_rules = known.devices(of);
            if !with_rules.contains(named.as_str()) {
                let message = format!("there is no {what} `{}` that has rules", **named);
                check.error(named.span, message, suggestion(named.as_str(), with_rules.iter().copied(), plural));
                return Vec::new();
            }
        }
    }
    let is = |named: &Maybe<Located<Id>>, id: Option<&Id>| named.as_ref().is_none_or(|named| Some(&named.value) == id);
    let of_device: Vec<&KnownRule> = known
        .rules
        .iter()
        .filter(|known| {
            let device = &known.listened.to.device;
            is(of_camera, camera(device)) && is(of_sensor, sensor(device))
        })
        .collect();
    let named: Vec<&KnownRule> =
        of_device.iter().copied().filter(|known| is(rule, Some(&known.listened.to.rule))).collect();
    if let Some(rule) = &**rule
        && named.is_empty()
    {
        no_such_rule(rule, &input.value, &of_device, joined, check);
        return Vec::new();
    }
    let fitting = named.into_iter().filter(|known| is(category, Some(&known.category)));
    let fitting: Vec<Listened> = fitting.map(|known| known.listened.clone()).collect();
    if let (Some(category), true) = (&**category, fitting.is_empty()) {
        let message = format!("no rule that this input could listen to reports category `{}`", **category);
        check.error(category.span, message, None);
    }
    fitting
}

fn no_such_rule(rule: &Located<Id>, input: &InputSpec, among: &[&KnownRule], joined: &[&Id], check: &mut Checker<'_>) {
    if joined.contains(&&rule.value) {
        let message = format!("`{}` is a joined rule, and those join rules of cameras and sensors only", **rule);
        return check.error(rule.span, message, "name what that rule joins".to_owned());
    }
    let who = match (&*input.camera, &*input.sensor) {
        (Some(camera), _) => format!("camera `{}`", **camera),
        (None, Some(sensor)) => format!("sensor `{}`", **sensor),
        (None, None) => "no camera and no sensor".to_owned(),
    };
    let has = if input.camera.is_none() && input.sensor.is_none() { "has a" } else { "has no" };
    let rules: BTreeSet<&str> = among.iter().map(|known| known.listened.to.rule.as_str()).collect();
    check.error(
        rule.span,
        format!("{who} {has} rule `{}`", **rule),
        suggestion(rule.as_str(), rules.iter().copied(), "rules"),
    );
}

/// What one rule tells must not meet two inputs. Whether it does not.
fn disjoint(wiring: &Wiring, check: &mut Checker<'_>) -> bool {
    let mut listening: BTreeMap<&RuleOf, usize> = BTreeMap::new();
    let mut disjoint = true;
    for (number, (spec, rules)) in wiring.spec.inputs.iter().zip(&wiring.inputs).enumerate() {
        let earlier = &wiring.spec.inputs[..number];
        let twice = earlier.iter().find(|earlier| earlier.value == spec.value);
        let shared = rules.iter().find_map(|rule| Some((rule, *listening.get(&rule.to)?)));
        let found = match (twice, shared) {
            (Some(twice), _) => Some(("this input is there twice".to_owned(), twice)),
            (None, Some((rule, earlier))) => {
                let (what, id) = match &rule.to.device {
                    Device::Camera(id) => ("camera", id),
                    Device::Sensor(id) => ("sensor", id),
                };
                let message = format!("rule `{}` of {what} `{id}` would meet two inputs at once", rule.to.rule);
                Some((message, &wiring.spec.inputs[earlier]))
            }
            (None, None) => None,
        };
        if let Some((message, first)) = found {
            let (place, first) = (check.place(spec.span), check.place(first.span));
            let help = "name cameras, sensors, rules or categories so that each input has rules of its own".to_owned();
            check.problems.push(Problem::error(place, message).related(first, "the other input").help(help));
            disjoint = false;
        }
        for rule in rules {
            listening.entry(&rule.to).or_insert(number);
        }
    }
    disjoint
}

/// Who has no place is never near.
fn places(wiring: &Wiring, check: &mut Checker<'_>) {
    let Some(metres) = &*wiring.spec.within_metres else { return };
    let nowhere = wiring.inputs.iter().flatten().filter(|rule| rule.place.is_none());
    let nowhere: BTreeSet<String> = nowhere
        .map(|rule| match &rule.to.device {
            Device::Camera(id) => format!("camera `{id}`"),
            Device::Sensor(id) => format!("sensor `{id}`"),
        })
        .collect();
    if !nowhere.is_empty() {
        let listed = nowhere.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("within_metres never joins what has no place: {listed}");
        check.warning(metres.span, message, "write [place] with lat and lon into their files".to_owned());
    }
}

/// A rule that could never be met would be worse than none.
fn never(spec: &JoinedRuleSpec, check: &mut Checker<'_>) {
    let (id, needed) = (&*spec.id, spec.needed());
    let (place, help) = match (&*spec.same, &*spec.within_metres) {
        (Some(_), _) => ("report to one grid", "leave same out, or let them report to one grid"),
        (None, Some(_)) => ("stand near enough to each other", "make within_metres larger, or write where they stand"),
        (None, None) => ("are there", "name rules that there are"),
    };
    let message = format!("joined rule `{id}` can never be met: no rules of {needed} inputs {place}");
    check.error(spec.id.span, message, help.to_owned());
}

/// How it reports, by the grid of what completes it.
fn reports(wiring: &Wiring, references: References<'_>, check: &mut Checker<'_>) -> BTreeMap<String, ReportTarget> {
    let spec = &wiring.spec;
    let grids: BTreeSet<&str> = wiring.inputs.iter().flatten().map(|rule| rule.grid.as_str()).collect();
    let report = |grid: &str| {
        let of_input = ReportSpec { grid: Maybe(Some(Located::nowhere(grid.to_owned()))), ..silent() };
        let target = report_target(&spec.id, &[&spec.report, &of_input], WHERE, references, check)?;
        Some((grid.to_owned(), target))
    };
    grids.into_iter().filter_map(report).collect()
}

/// A report that says nothing.
fn silent() -> ReportSpec {
    snowgate_core::spec::all_defaults()
}
