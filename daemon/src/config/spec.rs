//! The files of a configuration directory, put together from what each module can be told.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    incidents::{
        spec::{GridSpec, Locale},
        verify::VerifySpec,
    },
    retention::RetentionSpec,
    rules::spec::{LineSpec, ReportSpec, RuleSpec, ZoneSpec},
    scene::{HealthSpec, anomaly::AnomalySpec},
    sensor::rules::spec::SensorRuleSpec,
    spec,
    spec::{DeserError, Deserialize, Located, Maybe, TimeSpan, Value, all_defaults, number_between},
};
use snowgate_sensors::spec::SourceSpec;

use crate::{
    admin::spec::AdminSpec,
    camera::spec::{DecodersSpec, LegalSpec, RingSpec, StreamSpec},
    evidence::spec::EvidenceSpec,
    sensor::spec::SensorsSpec,
    store::spec::StorageSpec,
    uplink::spec::MqttSpec,
    vision::spec::{DetectSpec, MaskSpec, ModelsSpec, WorkersSpec},
};

spec! {
    /// gateway.toml: the box itself.
    pub struct GatewayFile {
        /// Who this box is.
        gateway: GatewaySpec,
        /// Where events belong.
        grid: GridSpec,
        /// The broker.
        mqtt: MqttSpec,
        /// Where state is kept.
        storage: StorageSpec = all_defaults(),
        /// Models.
        models: ModelsSpec = all_defaults(),
        /// What decodes.
        decoders: DecodersSpec = all_defaults(),
        /// Worker threads.
        workers: WorkersSpec = all_defaults(),
        /// Stills and clips.
        evidence: EvidenceSpec = all_defaults(),
        /// How often the box may be asked to look again.
        verify: VerifySpec = all_defaults(),
        /// What sensors share.
        sensors: SensorsSpec = all_defaults(),
        /// Metrics and health.
        admin: AdminSpec = all_defaults(),
    }
}

spec! {
    /// Who this box is and how it speaks to people.
    pub struct GatewaySpec {
        /// Name of the box in topics and incidents.
        id: Located<Id>,
        /// Language of titles.
        locale: Locale = Locale::ZhCn,
        /// IANA time zone.
        time_zone: Located<String> = Located::nowhere("Asia/Shanghai".to_owned()),
        /// Where it stands: where the sun rises and sets for its schedules.
        place: Maybe<PlaceSpec> = Maybe::NONE,
        /// Whether the box's clock counts as right although no time server says so: for a battery-backed clock that people look after.
        trust_clock: bool = false,
        /// PEM file (PKCS#8) with the Ed25519 private key that exports are signed with; relative to the configuration directory, or a systemd credential as "credential:NAME".
        signing_key_file: Maybe<Located<String>> = Maybe::NONE,
    }
}

spec! {
    /// cameras.d/*.toml: one camera with everything that is said about it.
    pub struct CameraFile {
        /// Name of the camera in topics and incidents; unique.
        id: Located<Id>,
        /// What people call it; the id if left out.
        name: Maybe<String> = Maybe::NONE,
        /// Whether it is watched at all.
        enabled: bool = true,
        /// Where it stands.
        place: Maybe<PlaceSpec> = Maybe::NONE,
        /// How its incidents are reported.
        flatten report: ReportSpec,
        /// How it is reached.
        stream: StreamSpec,
        /// What is kept of it in memory.
        ring: RingSpec = all_defaults(),
        /// How it is looked at.
        detect: DetectSpec = all_defaults(),
        /// How long its evidence is kept, and how much of it.
        evidence: RetentionSpec = all_defaults(),
        /// What is stated of it for those who ask why it is there.
        legal: LegalSpec = all_defaults(),
        /// When its pictures cannot be relied upon.
        health: HealthSpec = all_defaults(),
        /// What is strange in its scene, for rules of the kind "anomaly".
        anomaly: AnomalySpec = all_defaults(),
        /// Parts of the frame that nobody may look at.
        masks: Vec<MaskSpec> = Vec::new(),
        /// Areas on the ground.
        zones: Vec<ZoneSpec> = Vec::new(),
        /// Lines on the ground.
        lines: Vec<LineSpec> = Vec::new(),
        /// What is an incident.
        rules: Vec<RuleSpec> = Vec::new(),
    }
}

spec! {
    /// sensors.d/*.toml: one sensor with everything that is said about it.
    pub struct SensorFile {
        /// Name of the sensor in topics and incidents; unique.
        id: Located<Id>,
        /// What people call it; the id if left out.
        name: Maybe<String> = Maybe::NONE,
        /// Whether it is listened to at all.
        enabled: bool = true,
        /// Where it stands.
        place: Maybe<PlaceSpec> = Maybe::NONE,
        /// How its incidents are reported.
        flatten report: ReportSpec,
        /// Nothing heard for so long: the sensor's state is silent.
        silent_after: TimeSpan = TimeSpan::secs(3600),
        /// How it is reached, and what it measures.
        source: SourceTable,
        /// What is an incident.
        rules: Vec<SensorRuleSpec> = Vec::new(),
    }
}

spec! {
    /// How a sensor is reached, and what it measures.
    pub struct SourceTable {
        /// By protocol.
        flatten source: SourceSpec,
    }
}

spec! {
    /// Where a camera or a sensor stands.
    pub struct PlaceSpec {
        /// Latitude in degrees, WGS 84.
        lat: Degrees,
        /// Longitude in degrees, WGS 84.
        lon: Degrees,
        /// What people call the place.
        name: Maybe<String> = Maybe::NONE,
    }
}

/// An angle in degrees, written as a float or an integer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Degrees(pub f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        number_between(value, -180.0, 180.0).map(Self)
    }
}

impl JsonSchema for Degrees {
    fn schema_name() -> Cow<'static, str> {
        "Degrees".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": -180, "maximum": 180 })
    }
}
