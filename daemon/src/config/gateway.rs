//! Checks of gateway.toml, calendar.toml and categories.toml: the box, its grid tree, its stores, its working days.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use snowgate_core::{
    calendar::{Calendar, CalendarError, CalendarErrorKind, spec::CalendarSpec},
    ids::Id,
    incidents::{
        GridTree, TimeLimit,
        grid::{GridError, GridErrorKind},
        spec::{CategoriesSpec, CategorySpec, GridSpec, TimeBase},
        time_limit::TimeLimitError,
        verify::VerifySpec,
    },
    schedule::{Schedule, ScheduleError, ScheduleErrorKind, Schedules, spec::SchedulesSpec, sun::Position},
    spec::{ByteSize, Located, TimeSpan},
};

use super::{
    broker,
    checks::{self, Checker},
    clips,
    files::GATEWAY,
    problem::{Place, Problem, Source},
    resolved::{Gateway, ModelsConfig, PlaceConfig},
    sensor_network::{self, ResolvedNetwork},
    spec::{GatewayFile, GatewaySpec},
    suggest::suggestion,
    toml_errors::place_of,
};
use crate::{
    camera::spec::DecodersSpec,
    evidence::spec::EvidenceSpec,
    signing::SigningKey,
    store::spec::StorageSpec,
    uplink::Broker,
    vision::{
        execution::{Execution, Provider},
        spec::{ModelsSpec, WorkersSpec},
    },
};

/// gateway.toml, resolved. What is `None` was wrong, and an error says so.
pub(super) struct ResolvedGateway {
    pub gateway: Option<Gateway>,
    pub grid: Option<GridTree>,
    pub broker: Option<Broker>,
    pub max_packet: ByteSize,
    pub data: PathBuf,
    pub storage: StorageSpec,
    pub models: ModelsConfig,
    pub decoders: DecodersSpec,
    pub workers: WorkersSpec,
    pub evidence: EvidenceSpec,
    pub signing_key: Option<SigningKey>,
    pub verify: VerifySpec,
    pub admin: Option<SocketAddr>,
    pub sensors: ResolvedNetwork,
}

pub(super) fn resolve(file: GatewayFile, check: &mut Checker<'_>) -> ResolvedGateway {
    check.within("/workers/decode", *file.workers.decode, 0..=64);
    check.within("/workers/infer", *file.workers.infer, 0..=64);
    evidence(&file.evidence, check);
    verify(&file.verify, check);
    let admin = admin(&file.admin.listen, check);
    ResolvedGateway {
        grid: grid(&file.grid, check),
        broker: broker::resolve(&file.mqtt, &file.gateway.id, check),
        max_packet: file.mqtt.connection.max_packet,
        sensors: sensor_network::resolve(file.sensors, &file.gateway.id, admin, check),
        signing_key: signing_key(file.gateway.signing_key_file.as_ref(), check),
        gateway: gateway(file.gateway, check),
        data: data_directory(&file.storage, check),
        storage: file.storage,
        models: models(file.models, check),
        decoders: file.decoders,
        workers: file.workers,
        evidence: file.evidence,
        verify: file.verify,
        admin,
    }
}

/// The calendar in the gateway's zone. Without a file: the usual week, no holidays.
pub(super) fn calendar(file: &CalendarSpec, zone: TimeZone, check: &mut Checker<'_>) -> Option<Calendar> {
    let errors = match Calendar::new(file, zone) {
        Ok(calendar) => return Some(calendar),
        Err(errors) => errors,
    };
    for CalendarError { span, kind } in errors {
        let mut problem = Problem::error(check.place(span), kind.to_string());
        if let CalendarErrorKind::DateTwice { first, .. } = &kind {
            problem = problem.related(check.place(*first), "first named here");
        }
        check.problems.push(problem);
    }
    None
}

/// Every schedule, by the calendar's days and zone and the sun where the gateway stands.
pub(super) fn schedules(
    file: &SchedulesSpec,
    calendar: &Arc<Calendar>,
    place: Option<&PlaceConfig>,
    check: &mut Checker<'_>,
) -> Option<Schedules> {
    check.unique("schedule", file.schedule.iter().map(|schedule| &schedule.id));
    let position = place.and_then(|place| Position::new(place.lat, place.lon));
    let mut schedules = Some(Schedules::new());
    for spec in &file.schedule {
        match (Schedule::new(spec, Arc::clone(calendar), position), &mut schedules) {
            (Ok(schedule), Some(known)) => drop(known.insert(spec.id.value.clone(), Arc::new(schedule))),
            (Ok(_), None) => {}
            (Err(errors), _) => {
                schedules = None;
                for ScheduleError { span, kind } in errors {
                    let help = matches!(kind, ScheduleErrorKind::SunWithoutPosition(_))
                        .then(|| format!("write place = {{ lat = …, lon = … }} under [gateway] in {GATEWAY}"));
                    check.error(span, kind.to_string(), help);
                }
            }
        }
    }
    schedules
}

/// Holidays are published a year at a time: without this year's, they would be counted as work.
pub(super) fn calendar_in_time(
    categories: &BTreeMap<Id, CategorySpec>,
    calendar: &Calendar,
    file: Option<&Arc<Source>>,
) -> Option<Problem> {
    let counts =
        |category: &&CategorySpec| category.time_limit.is_some() && category.time_limit_in == TimeBase::WorkingTime;
    let category = categories.values().find(counts)?;
    let year = calendar.zone().to_datetime(Timestamp::now()).year();
    if calendar.knows_year(year) {
        return None;
    }
    let message = format!(
        "category `{}` counts working time, and no holiday or make-up workday of {year} is known: all of them count as \
         ordinary days",
        *category.id
    );
    let help = format!("add those of {year} to calendar.toml");
    Some(Problem::warning(Place::file(file?), message).help(help))
}

/// Every category; their time limits are held against the calendar, if there is one.
pub(super) fn categories(
    file: CategoriesSpec,
    calendar: Option<&Calendar>,
    check: &mut Checker<'_>,
) -> BTreeMap<Id, CategorySpec> {
    check.unique("category", file.category.iter().map(|category| &category.id));
    for (index, category) in file.category.iter().enumerate() {
        check.retention(&format!("/category/{index}/evidence"), &category.evidence);
        for (language, name) in [("zh", &category.name.zh), ("en", &category.name.en)] {
            if name.trim().is_empty() {
                check.error(
                    category.id.span,
                    format!("category `{}` has an empty {language} name", *category.id),
                    None,
                );
            }
        }
    }
    if let Some(calendar) = calendar {
        let now = Timestamp::now();
        for category in &file.category {
            for TimeLimitError { span, kind } in TimeLimit::of(category, calendar, now).err().into_iter().flatten() {
                check.error(span, kind.to_string(), None);
            }
        }
    }
    file.category.into_iter().map(|category| (category.id.value.clone(), category)).collect()
}

fn gateway(spec: GatewaySpec, check: &mut Checker<'_>) -> Option<Gateway> {
    let time_zone = match TimeZone::get(&spec.time_zone) {
        Ok(time_zone) => time_zone,
        Err(_) => {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let help = if names.is_empty() {
                Some("this machine has no time zone database: install the package tzdata".to_owned())
            } else {
                suggestion(&spec.time_zone, names.iter().map(String::as_str), "time zones")
            };
            check.error(spec.time_zone.span, format!("there is no time zone `{}`", *spec.time_zone), help);
            return None;
        }
    };
    let place = spec.place.0.map(|place| checks::place(place, "/gateway/place", check));
    Some(Gateway { id: spec.id.value, locale: spec.locale, time_zone, place, trust_clock: spec.trust_clock })
}

/// Without its key a box watches and reports as ever; only `outbox export` needs it.
fn signing_key(reference: Option<&Located<String>>, check: &mut Checker<'_>) -> Option<SigningKey> {
    let reference = reference?;
    let (message, help) = match check.secret(reference) {
        Err(message) => (message, secret_help()),
        Ok(secret) => match SigningKey::from_pem(secret.expose().as_bytes()) {
            Ok(key) => return Some(key),
            Err(error) => {
                let help = "openssl genpkey -algorithm ed25519 makes one".to_owned();
                (format!("the signing key {} is of no use: {error}", **reference), Some(help))
            }
        },
    };
    check.warning(reference.span, format!("{message}; without it `outbox export` refuses"), help);
    None
}

fn grid(spec: &GridSpec, check: &mut Checker<'_>) -> Option<GridTree> {
    let errors = match GridTree::new(spec) {
        Ok(tree) => return Some(tree),
        Err(errors) => errors,
    };
    for GridError { span, kind } in errors {
        let mut problem = Problem::error(check.place(span), kind.to_string());
        match &kind {
            GridErrorKind::UnknownLevel { name } => {
                problem = problem.help(suggestion(name.as_str(), spec.levels.iter().map(Id::as_str), "levels"));
            }
            GridErrorKind::UnknownParent { code } => {
                let codes = spec.nodes.iter().map(|node| node.code.as_str());
                problem = problem.help(suggestion(code, codes, "grids"));
            }
            GridErrorKind::DuplicateCode { first, .. } => {
                problem = problem.related(check.place(*first), "first used here");
            }
            _ => {}
        }
        check.problems.push(problem);
    }
    None
}

pub(super) fn secret_help() -> Option<String> {
    Some(
        "the service's user must be able to read it, or give it as a systemd credential: \"credential:NAME\""
            .to_owned(),
    )
}

fn data_directory(spec: &StorageSpec, check: &mut Checker<'_>) -> PathBuf {
    let quotas = ByteSize::mib(1)..=ByteSize::mib(16 << 20);
    check.within("/storage/incident_quota", spec.incident_quota, quotas.clone());
    check.within("/storage/unsent_evidence_quota", spec.unsent_evidence_quota, quotas.clone());
    check.within("/storage/unsent_telemetry_quota", spec.unsent_telemetry_quota, quotas.clone());
    check.within("/storage/incident_history_quota", spec.incident_history_quota, quotas.clone());
    check.within("/storage/evidence_quota", spec.evidence_quota, quotas);
    if spec.directory.is_empty() {
        check.error(spec.directory.span, "the storage directory has no name", None);
    }
    check.path(&spec.directory)
}

fn models(spec: ModelsSpec, check: &mut Checker<'_>) -> ModelsConfig {
    let providers = &spec.providers;
    if providers.is_empty() {
        check.error(providers.span, "no execution provider is named", "write providers = [\"cpu\"]".to_owned());
    }
    if let Some(cpu) = providers.iter().position(|provider| *provider == Provider::Cpu)
        && cpu + 1 < providers.len()
    {
        let message = format!("`{}` is never tried: \"cpu\", before it, runs every model", providers[cpu + 1]);
        check.warning(providers.span, message, "name the preferred one first".to_owned());
    }
    ModelsConfig {
        directory: check.path(&spec.directory),
        onnxruntime: check.path(&spec.onnxruntime),
        object: spec.object.value,
        face: spec.face.value,
        scene: spec.scene.value,
        execution: Execution::here(spec.precision, spec.providers.value),
    }
}

fn evidence(spec: &EvidenceSpec, check: &mut Checker<'_>) {
    check.within("/evidence/best_of", spec.best_of, TimeSpan::secs(0)..=TimeSpan::secs(10));
    check.within("/evidence/jpeg_quality", *spec.jpeg_quality, 30..=95);
    check.within("/evidence/max_width", *spec.max_width, 320..=3840);
    check.within("/evidence/keep", spec.keep, checks::KEEP);
    if spec.keep_at_least > spec.keep {
        let message = format!("keep_at_least ({}) is longer than keep ({})", spec.keep_at_least, spec.keep);
        check.error_at(place_of(check.source, "/evidence/keep_at_least"), message, None);
    }
    clips::spec(&spec.clips, check);
}

fn verify(spec: &VerifySpec, check: &mut Checker<'_>) {
    let spans = TimeSpan::secs(1)..=TimeSpan::secs(86_400);
    check.within("/verify/incident_every", spec.incident_every, spans.clone());
    check.within("/verify/every", spec.every, spans);
    check.within("/verify/burst", spec.burst, 1..=1000);
}

fn admin(listen: &Located<String>, check: &mut Checker<'_>) -> Option<SocketAddr> {
    match listen.parse::<SocketAddr>() {
        Ok(address) => {
            if !address.ip().is_loopback() {
                let message = format!("metrics and health on {address} can be reached from other machines");
                check.warning(listen.span, message, "they ask for no password; keep them on 127.0.0.1".to_owned());
            }
            Some(address)
        }
        Err(_) => {
            let message = format!("`{}` is no address to listen on", **listen);
            check.error(listen.span, message, "write an address and a port, such as \"127.0.0.1:9464\"".to_owned());
            None
        }
    }
}
