//! The validated configuration: defaults filled in, references followed, paths made absolute, secrets read.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use jiff::tz::TimeZone;
use snowgate_core::{
    geometry::Polygon,
    ids::Id,
    incidents::{GridTree, Locale, Severity, spec::CategorySpec},
    rules::spec::{LineSpec, RuleSpec, ZoneSpec},
    spec::{ByteSize, TimeSpan},
};

use super::{
    files::Files,
    problem::{Problems, Source},
};
use crate::{
    camera::spec::{RingSpec, Transport},
    evidence::spec::EvidenceSpec,
    secret::Secret,
    vision::spec::{DetectSpec, WorkersSpec},
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
    /// The broker.
    pub mqtt: MqttConfig,
    /// Where state is kept.
    pub storage: StorageConfig,
    /// The box's models.
    pub models: ModelsConfig,
    /// Worker threads.
    pub workers: WorkersSpec,
    /// Stills.
    pub evidence: EvidenceSpec,
    /// Address of metrics and health.
    pub admin: SocketAddr,
    /// Every camera, in the order of the files' names; the disabled and the refused ones included.
    pub cameras: Vec<CameraConfig>,
    /// What is not in order and yet keeps the box from nothing: warnings, and errors that refuse one camera.
    pub problems: Problems,
    pub(super) files: Files,
}

impl Config {
    /// SHA-256 over all files' names and contents, as hex: incidents carry it.
    pub fn digest(&self) -> String {
        self.files.digest()
    }

    /// The camera of this id.
    pub fn camera(&self, id: &Id) -> Option<&CameraConfig> {
        self.cameras.iter().find(|camera| camera.id == *id)
    }
}

/// Who the box is and how it speaks to people.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Name in topics and incidents.
    pub id: Id,
    /// Language of titles.
    pub locale: Locale,
    /// Time zone of times that people read.
    pub time_zone: TimeZone,
}

/// The broker and how to reach it.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encrypted connection, if wanted.
    pub tls: Option<TlsConfig>,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Client id.
    pub client_id: String,
    /// Keep-alive interval.
    pub keep_alive: TimeSpan,
    /// Largest packet sent or taken.
    pub max_packet: ByteSize,
    /// Publishes without an acknowledgement at once.
    pub max_inflight: u16,
    /// Messages a second with which a backlog drains.
    pub drain_rate: u32,
}

/// TLS to the broker; every certificate and key has been read and parsed.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// PEM text of the certificate authority; the system's otherwise.
    pub ca: Option<String>,
    /// What this gateway shows of itself.
    pub client: Option<ClientCertificate>,
}

/// A client certificate and its key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// PEM text.
    pub certificate: String,
    /// PEM text, PKCS#8.
    pub key: Secret,
}

/// Where state is kept, and how much of the disk it may take.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Directory of the store and the evidence.
    pub directory: PathBuf,
    /// The most bytes of unsent incidents.
    pub incident_quota: ByteSize,
    /// The most bytes of unsent evidence.
    pub unsent_evidence_quota: ByteSize,
    /// The most bytes of evidence files.
    pub evidence_quota: ByteSize,
}

/// The models of the box.
#[derive(Debug, Clone)]
pub struct ModelsConfig {
    /// Folder of manifests and ONNX files.
    pub directory: PathBuf,
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// Manifest id of the object model.
    pub object: Id,
    /// Manifest id of the face model.
    pub face: Id,
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
    /// How it is reached.
    pub stream: StreamConfig,
    /// What is kept of it in memory.
    pub ring: RingSpec,
    /// How it is looked at.
    pub detect: DetectSpec,
    /// Manifest id of its object model.
    pub object_model: Id,
    /// Manifest id of its face model.
    pub face_model: Id,
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

    /// The zone of this id.
    pub fn zone(&self, id: &Id) -> Option<&ZoneSpec> {
        self.zones.iter().find(|zone| zone.id.value == *id)
    }

    /// The line of this id.
    pub fn line(&self, id: &Id) -> Option<&LineSpec> {
        self.lines.iter().find(|line| line.id.value == *id)
    }
}

/// Where a camera stands.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceConfig {
    /// Latitude in degrees, WGS 84.
    pub lat: f64,
    /// Longitude in degrees, WGS 84.
    pub lon: f64,
    /// What people call the place.
    pub name: Option<String>,
}

/// How a camera is reached.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// rtsp:// or rtsps:// address, without user and password.
    pub url: String,
    /// User name.
    pub username: Option<String>,
    /// Password; given only where there is a user name.
    pub password: Option<Secret>,
    /// File with the certificate authority (PEM, read and parsed once to be sure).
    pub ca_file: Option<PathBuf>,
    /// How media packets travel.
    pub transport: Transport,
    /// Jitter buffer.
    pub latency: TimeSpan,
    /// Without a packet for so long the stream counts as stalled.
    pub stall_after: TimeSpan,
}

/// One rule and how what it finds is reported.
#[derive(Debug, Clone)]
pub struct RuleConfig {
    /// The rule.
    pub spec: RuleSpec,
    /// Where and as what it is reported.
    pub report: ReportTarget,
}

/// Where and as what an incident is reported: the rule's own word, else its zone's or line's, else its camera's; the
/// severity at last the category's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportTarget {
    /// Category id.
    pub category: Id,
    /// Severity.
    pub severity: Severity,
    /// Grid code.
    pub grid: String,
}
