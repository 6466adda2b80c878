//! JSON Schemas (2020-12) of the configuration files, for editors and for the committed copies in configs/schema.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use snowgate_core::{
    calendar::spec::CalendarSpec, choice, incidents::spec::CategoriesSpec, joined::spec::JoinedRuleSpec,
    schedule::spec::SchedulesSpec,
};

use super::spec::{CameraFile, GatewayFile, SensorFile};

choice! {
    /// What a schema is asked for.
    pub enum Subject {
        /// The whole directory: one property a file.
        Config = "config",
        /// gateway.toml.
        Gateway = "gateway",
        /// A file of cameras.d.
        Camera = "camera",
        /// A file of sensors.d.
        Sensor = "sensor",
        /// A file of rules.d.
        Joined = "joined",
        /// categories.toml.
        Categories = "categories",
        /// calendar.toml.
        Calendar = "calendar",
        /// schedules.toml.
        Schedules = "schedules",
    }
}

impl Subject {
    /// Every subject.
    pub const ALL: [Self; 8] = [
        Self::Config,
        Self::Gateway,
        Self::Camera,
        Self::Sensor,
        Self::Joined,
        Self::Categories,
        Self::Calendar,
        Self::Schedules,
    ];

    /// Its schema.
    pub fn schema(self) -> Schema {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = match self {
            Self::Config => directory(generator),
            Self::Gateway => generator.into_root_schema_for::<GatewayFile>(),
            Self::Camera => generator.into_root_schema_for::<CameraFile>(),
            Self::Sensor => generator.into_root_schema_for::<SensorFile>(),
            Self::Joined => generator.into_root_schema_for::<JoinedRuleSpec>(),
            Self::Categories => generator.into_root_schema_for::<CategoriesSpec>(),
            Self::Calendar => generator.into_root_schema_for::<CalendarSpec>(),
            Self::Schedules => generator.into_root_schema_for::<SchedulesSpec>(),
        };
        schema.insert("title".to_owned(), format!("Snowgate {self}").into());
        schema
    }

    /// The schema as text, as the committed copies hold it.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema().to_value())
    }
}

fn directory(mut generator: SchemaGenerator) -> Schema {
    let gateway = generator.subschema_for::<GatewayFile>();
    let categories = generator.subschema_for::<CategoriesSpec>();
    let calendar = generator.subschema_for::<CalendarSpec>();
    let schedules = generator.subschema_for::<SchedulesSpec>();
    let camera = generator.subschema_for::<CameraFile>();
    let sensor = generator.subschema_for::<SensorFile>();
    let joined = generator.subschema_for::<JoinedRuleSpec>();
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "A configuration directory: a property for each file, named by its path in the directory.",
        "type": "object",
        "properties": {
            "gateway.toml": gateway,
            "categories.toml": categories,
            "calendar.toml": calendar,
            "schedules.toml": schedules,
        },
        "patternProperties": {
            r"^cameras\.d/[^/]+\.toml$": camera,
            r"^sensors\.d/[^/]+\.toml$": sensor,
            r"^rules\.d/[^/]+\.toml$": joined,
        },
        "required": ["gateway.toml", "categories.toml"],
        "$defs": generator.take_definitions(true),
    })
}
