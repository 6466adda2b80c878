//! The validated configuration: defaults filled in, references followed, paths made absolute, secrets read.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use snowgate_core::{
    calendar::Calendar,
    geometry::Polygon,
    ids::Id,
    incidents::{GridTree, Locale, Place, TimeLimit, spec::CategorySpec, verify::VerifySpec},
    joined::Wiring,
    retention::{Period, Retention, RetentionSpec},
    rules::spec::{LineSpec, RuleKind, RuleSpec, ZoneSpec},
    scene::{HealthSpec, anomaly::AnomalySpec},
    schedule::Schedules,
    secret::Secret,
    sensor::rules::spec::SensorRuleSpec,
    severity::Severity,
    spec::{ByteSize, Located},
};
use snowgate_sensors::{Listen, http::HttpSettings, modbus::Bus, spec::SourceSpec};

use super::{
    files::Files,
    problem::{Problems, Source},
    suggest::suggestion,
};
use crate::{
    camera::{
        address::Streams,
        spec::{DecodersSpec, LegalSpec, RingSpec, StreamSpec},
    },
    evidence::spec::EvidenceSpec,
    signing::SigningKey,
    store::spec::StorageSpec,
    uplink::Broker,
    vision::{
        execution::Execution,
        spec::{DetectSpec, WorkersSpec},
    },
};

/// Everything the daemon was told, valid as a whole.
#[derive(Debug)]
pub struct Config {
    /// The box.
    pub gateway: Gateway,
    /// Where events belong.
    pub grid: GridTree,
    /// Every kind of incident.
    pub categories: BTreeMap<Id, CategorySpec>,
    /// When people work.
    pub calendar: Arc<Calendar>,
    /// When rules watch, and when what they find weighs more.
    pub schedules: Schedules,
    /// The broker, with every secret and certificate read.
    pub broker: Broker,
    /// The largest packet it takes.
    pub max_packet: ByteSize,
    /// Directory of the store and the evidence.
    pub data: PathBuf,
    /// How much of the disk they may take.
    pub storage: StorageSpec,
    /// The box's models.
    pub models: ModelsConfig,
    /// What decodes.
    pub decoders: DecodersSpec,
    /// Worker threads.
    pub workers: WorkersSpec,
    /// Stills.
    pub evidence: EvidenceSpec,
    /// What exports are signed with; none where none is named or it cannot be used.
    pub signing_key: Option<SigningKey>,
    /// How often the box may be asked to look again.
    pub verify: VerifySpec,
    /// Address of metrics and health.
    pub admin: SocketAddr,
    /// Every camera, in the order of the files' names; the disabled and the refused ones included.
    pub cameras: Vec<CameraConfig>,
    /// Every sensor, in the order of the files' names; the disabled and the refused ones included.
    pub sensors: Vec<SensorConfig>,
    /// Every joined rule, in the order of the files' names.
    pub joined: Vec<JoinedConfig>,
    /// What sensors share.
    pub sensor_network: SensorNetwork,
    /// What is not in order and yet keeps the box from nothing: warnings, and errors that refuse one camera or sensor.
    pub problems: Problems,
    pub(super) files: Files,
}

impl Config {
    /// SHA-256 over all files' names and contents, as hex: incidents carry it.
    pub fn digest(&self) -> String {
        self.files.digest()
    }

    /// How long evidence is kept, and how much of it.
    pub fn retention(&self) -> Retention {
        let cameras = self.cameras.iter().map(|camera| (camera.id.clone(), camera.evidence.clone()));
        let categories = self.categories.iter().map(|(id, category)| (id.clone(), category.evidence.clone()));
        Retention {
            default: Period { at_least: self.evidence.keep_at_least.0, at_most: self.evidence.keep.0 },
            quota: self.storage.evidence_quota.0,
            cameras: cameras.collect(),
            categories: categories.collect(),
        }
    }

    /// The camera of this id.
    pub fn camera(&self, id: &Id) -> Option<&CameraConfig> {
        self.cameras.iter().find(|camera| camera.id == *id)
    }

    /// What to say of an id that no camera has: which was meant, or which there are.
    pub fn no_camera(&self, id: &Id) -> String {
        let known = self.cameras.iter().map(|camera| camera.id.as_str());
        let meant = suggestion(id.as_str(), known, "cameras").map_or(String::new(), |meant| format!("; {meant}"));
        format!("there is no camera `{id}`{meant}")
    }

    /// The sensor of this id.
    pub fn sensor(&self, id: &Id) -> Option<&SensorConfig> {
        self.sensors.iter().find(|sensor| sensor.id == *id)
    }
}

/// Who the box is and how it speaks to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Name in topics and incidents.
    pub id: Id,
    /// Language of titles.
    pub locale: Locale,
    /// Time zone of times that people read.
    pub time_zone: TimeZone,
    /// Where it stands.
    pub place: Option<PlaceConfig>,
    /// Whether its clock counts as right although no time server says so.
    pub trust_clock: bool,
}

/// The models of the box.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelsConfig {
    /// Folder of manifests and ONNX files.
    pub directory: PathBuf,
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// Manifest id of the object model.
    pub object: Id,
    /// Manifest id of the face model.
    pub face: Id,
    /// Manifest id of the model that scenes are learnt or judged by.
    pub scene: Id,
    /// How they are run.
    pub execution: Execution,
}

/// One camera.
#[derive(Debug, Clone)]
pub struct CameraConfig {
    /// Name in topics and incidents.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// Whether it is watched at all.
    pub enabled: bool,
    /// Why it cannot be watched although the rest can: an unreadable secret, a missing model.
    pub refused: Option<String>,
    /// Where it stands.
    pub place: Option<PlaceConfig>,
    /// How it is reached; its paths are absolute.
    pub stream: StreamSpec,
    /// Where its streams are.
    pub streams: Streams,
    /// The camera's password; given only where there is a user name.
    pub password: Option<Secret>,
    /// What is kept of it in memory.
    pub ring: RingSpec,
    /// How it is looked at.
    pub detect: DetectSpec,
    /// How long its evidence is kept, and how much of it.
    pub evidence: RetentionSpec,
    /// What is stated of it for those who ask why it is there.
    pub legal: LegalSpec,
    /// When its pictures cannot be relied upon.
    pub health: HealthSpec,
    /// What is strange in its scene.
    pub anomaly: AnomalySpec,
    /// Manifest id of its object model.
    pub object_model: Id,
    /// Manifest id of its face model.
    pub face_model: Id,
    /// Manifest id of the model that its scene is learnt or judged by.
    pub scene_model: Id,
    /// What nobody may look at.
    pub masks: Vec<Polygon>,
    /// Areas on the ground.
    pub zones: Vec<ZoneSpec>,
    /// Lines on the ground.
    pub lines: Vec<LineSpec>,
    /// What is an incident.
    pub rules: Vec<RuleConfig>,
    pub(super) source: Arc<Source>,
}

impl CameraConfig {
    /// Whether run watches it: enabled and not refused.
    pub fn is_watched(&self) -> bool {
        self.enabled && self.refused.is_none()
    }

    /// Whether any of its rules is about what was never in its scene.
    pub fn watches_for_anomalies(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.spec.kind, RuleKind::Anomaly(_)))
    }

    /// The zone of this id.
    pub fn zone(&self, id: &Id) -> Option<&ZoneSpec> {
        self.zones.iter().find(|zone| zone.id.value == *id)
    }

    /// The line of this id.
    pub fn line(&self, id: &Id) -> Option<&LineSpec> {
        self.lines.iter().find(|line| line.id.value == *id)
    }
}

/// One sensor.
#[derive(Debug, Clone)]
pub struct SensorConfig {
    /// Name in topics and incidents.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// Whether it is listened to at all.
    pub enabled: bool,
    /// Why it cannot be listened to although the rest can: an unreadable secret, a missing model.
    pub refused: Option<String>,
    /// Where it stands.
    pub place: Option<PlaceConfig>,
    /// Nothing heard for so long: its state is silent.
    pub silent_after: Duration,
    /// How it is reached, and what it measures.
    pub source: SourceSpec,
    /// What its messages must prove to know: an HTTP sensor's token, a station's password where one is wanted.
    pub secret: Option<Secret>,
    /// What is an incident.
    pub rules: Vec<SensorRuleConfig>,
    pub(super) file: Arc<Source>,
}

impl SensorConfig {
    /// Whether run listens to it: enabled and not refused.
    pub fn is_watched(&self) -> bool {
        self.enabled && self.refused.is_none()
    }

    /// The models that are to score its readings.
    pub fn models(&self) -> impl Iterator<Item = &Located<Id>> {
        let quantities = self.source.quantities().into_iter();
        quantities.filter_map(|quantity| quantity.anomaly.as_ref()?.method.model())
    }
}

/// One rule of a sensor and how what it finds is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorRuleConfig {
    /// The rule.
    pub spec: SensorRuleSpec,
    /// Where and as what it is reported.
    pub report: ReportTarget,
}

/// What sensors share.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorNetwork {
    /// Where readings are posted.
    pub http: Option<HttpSettings>,
    /// Where HJ 212 stations connect.
    pub hj212: Option<Listen>,
    /// Where SL 651 stations connect.
    pub sl651: Option<Listen>,
    /// Where GB/T 26875.3 transmission devices connect.
    pub gbt26875: Option<Listen>,
    /// Brokers beside the one that incidents go to, by the name that sensors give them.
    pub brokers: BTreeMap<Id, Broker>,
    /// Modbus lines.
    pub buses: Vec<Bus>,
    /// Readings a second of one sensor that are published and held against what it showed before.
    pub most_a_second: f64,
    /// How often readings are published.
    pub publish_every: Duration,
}

/// Where a camera or a sensor stands.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceConfig {
    /// Latitude in degrees, WGS 84.
    pub lat: f64,
    /// Longitude in degrees, WGS 84.
    pub lon: f64,
    /// What people call the place.
    pub name: Option<String>,
}

impl From<&PlaceConfig> for Place {
    fn from(place: &PlaceConfig) -> Self {
        Self { lat: place.lat, lon: place.lon, name: place.name.clone() }
    }
}

/// One joined rule and how what it finds is reported.
#[derive(Debug, Clone)]
pub struct JoinedConfig {
    /// The rule, and the rules of cameras and sensors that it listens to.
    pub wiring: Wiring,
    /// Where and as what it is reported, by the grid of what completes its condition.
    pub reports: BTreeMap<String, ReportTarget>,
}

/// One rule and how what it finds is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleConfig {
    /// The rule.
    pub spec: RuleSpec,
    /// Where and as what it is reported.
    pub report: ReportTarget,
}

/// Where and as what an incident is reported: the rule's own word, else its zone's or line's, else its camera's or
/// sensor's; the severity and the time limit at last the category's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportTarget {
    /// Category id.
    pub category: Id,
    /// Severity.
    pub severity: Severity,
    /// Severities in its place while schedules hold; the first that does decides.
    pub severity_during: Vec<(Id, Severity)>,
    /// Grid code.
    pub grid: String,
    /// Time within which it must be handled.
    pub time_limit: Option<TimeLimit>,
}
