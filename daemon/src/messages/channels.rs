//! The channels, one entry each.

use schemars::{Schema, SchemaGenerator};
use snowgate_core::incidents::{
    command::UnknownCommandAnswer,
    disposition::{DispositionAnswer, DispositionPayload},
    event::{EventKind, IncidentEvent},
    summary::DailySummary,
    verify::{Verify, VerifyAnswer},
};

use crate::{
    evidence::{access_log::PublishedHead, files::DeletionReport},
    run::{CameraStateMessage, ConfigStateMessage},
    sensor::{Readings, state::SensorStateMessage},
    uplink::{GapReport, Status},
};

/// What all topics begin with.
pub(super) const ROOT: &str = "snowgate/v1/{gateway}/";

/// Ids, as configurations have them.
const ID: &str = "[a-z0-9][a-z0-9_.-]{0,63}";

/// Who speaks on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The gateway.
    Sent,
    /// The grid system.
    Taken,
}

/// What a channel carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// JSON in UTF-8, of this type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// A JPEG.
    Jpeg,
}

/// A message of a channel.
#[derive(Debug)]
pub struct MessageKind {
    /// Its name in the AsyncAPI document.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it says.
    pub summary: &'static str,
    /// The event that it is, where a channel carries several.
    pub event: Option<EventKind>,
}

/// A place where messages go.
#[derive(Debug)]
pub struct Channel {
    /// Its name in the AsyncAPI document.
    pub name: &'static str,
    /// Its topic below the gateway's root, with parameters in braces.
    pub topic: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Who speaks.
    pub direction: Direction,
    /// MQTT quality of service.
    pub qos: u8,
    /// Whether the broker keeps the last message for later subscribers.
    pub retained: bool,
    /// The channel on which it is answered.
    pub answered_on: Option<&'static str>,
    /// What is said.
    pub messages: &'static [MessageKind],
    pub(super) content: Content,
}

impl Channel {
    /// The address, with parameters in braces.
    pub fn address(&self) -> String {
        format!("{ROOT}{}", self.topic)
    }

    /// Names of the address's parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let address = self.address();
        PARAMETERS.iter().filter(move |parameter| address.contains(&parameter.placeholder()))
    }

    /// A regular expression (ECMA 262) for its topics.
    pub fn pattern(&self) -> String {
        let fill_in =
            |address: String, parameter: &Parameter| address.replace(&parameter.placeholder(), parameter.pattern);
        format!("^{}$", self.parameters().fold(self.address(), fill_in))
    }

    /// Whether its payload is JSON, and so has a schema.
    pub fn is_json(&self) -> bool {
        matches!(self.content, Content::Json(_))
    }
}

/// A part of a topic that differs.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it stands for.
    pub description: &'static str,
    /// A regular expression for its values.
    pub pattern: &'static str,
    /// A value.
    pub example: &'static str,
}

impl Parameter {
    fn placeholder(&self) -> String {
        format!("{{{}}}", self.name)
    }
}

/// Every parameter of every address.
pub const PARAMETERS: &[Parameter] = &[
    Parameter { name: "gateway", description: "The gateway's id.", pattern: ID, example: "qinglong-01" },
    Parameter { name: "camera", description: "A camera's id.", pattern: ID, example: "bridge" },
    Parameter { name: "sensor", description: "A sensor's id.", pattern: ID, example: "bridge-gauge" },
    Parameter {
        name: "level",
        description: "Id of the level of the grid tree that the incident starts at.",
        pattern: ID,
        example: "grid",
    },
    Parameter {
        name: "grid",
        description: "Code of the node of the grid tree that the incident starts at.",
        pattern: "[^/+#]+",
        example: "330522101003001",
    },
    Parameter {
        name: "incident",
        description: "The incident's id, a ULID.",
        pattern: "[0-7][0-9A-HJKMNP-TV-Z]{25}",
        example: "01KJK4TJB400000000000000F1",
    },
    Parameter {
        name: "command",
        description: "The command's name; none that this version knows.",
        pattern: "(?!(?:disposition|verify)$)[a-z0-9_-]{1,64}",
        example: "snapshot",
    },
    Parameter {
        name: "name",
        description: "The still's name within the incident, as its `evidence` lists it.",
        pattern: ID,
        example: "still.jpg",
    },
];

/// Every channel.
pub const CHANNELS: &[Channel] = &[
    Channel {
        name: "status",
        topic: "status",
        description: "Whether the gateway is online. Also its last will.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "status",
            title: "Status",
            summary: "The gateway is online, or offline and why.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<Status<'_>>()),
    },
    Channel {
        name: "configState",
        topic: "config/state",
        description: "Which configuration is in force, and why what lies in its directory is not, if it is not.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "configState",
            title: "Configuration state",
            summary: "Sent when another one is in force or was refused, and on every connection.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<ConfigStateMessage>()),
    },
    Channel {
        name: "cameraState",
        topic: "camera/{camera}/state",
        description: "How a camera is, and why.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "cameraState",
            title: "Camera state",
            summary: "Sent when it changes, and on every connection.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<CameraStateMessage<'_>>()),
    },
    Channel {
        name: "sensorState",
        topic: "sensor/{sensor}/state",
        description: "How a sensor is, and why.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "sensorState",
            title: "Sensor state",
            summary: "Sent when it changes, and on every connection.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<SensorStateMessage<'_>>()),
    },
    Channel {
        name: "incident",
        topic: "incident/{level}/{grid}",
        description: "One event a revision of an incident, at least once, those of one incident in order: drop what has been \
                      seen under its `id`.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[
            MessageKind {
                name: "incidentOpened",
                title: "Incident opened (发现上报)",
                summary: "The incident is new. Never waits for a picture.",
                event: Some(EventKind::Opened),
            },
            MessageKind {
                name: "incidentUpdated",
                title: "Incident updated",
                summary: "What the box knows of it, what people do about it, or its time limit has changed.",
                event: Some(EventKind::Updated),
            },
            MessageKind {
                name: "incidentEnded",
                title: "Incident ended",
                summary: "What the box saw is over; people may still be at it.",
                event: Some(EventKind::Ended),
            },
            MessageKind {
                name: "incidentVerified",
                title: "Incident verified (任务核查)",
                summary: "The box was asked to look again, and has.",
                event: Some(EventKind::Verified),
            },
            MessageKind {
                name: "incidentClosed",
                title: "Incident closed (结案)",
                summary: "People have finished with it; the box may still see it.",
                event: Some(EventKind::Closed),
            },
        ],
        content: Content::Json(|generator| generator.subschema_for::<IncidentEvent<'_>>()),
    },
    Channel {
        name: "evidence",
        topic: "evidence/{incident}/{name}",
        description: "A still that an incident's `evidence` names, faces and heads covered.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "still",
            title: "Still",
            summary: "A JPEG whose SHA-256 the incident's `evidence` tells; it may come before or after that.",
            event: None,
        }],
        content: Content::Jpeg,
    },
    Channel {
        name: "telemetry",
        topic: "telemetry/{sensor}",
        description: "Readings of a sensor, many in a message.",
        direction: Direction::Sent,
        qos: 0,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "readings",
            title: "Readings",
            summary: "What a sensor has said since the last message, and what is thought of it.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<Readings<'_>>()),
    },
    Channel {
        name: "gap",
        topic: "gap",
        description: "Reports of messages that had to be given up and will never arrive.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "gap",
            title: "Gap report",
            summary: "Messages of one class that were given up for one reason.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<GapReport<'_>>()),
    },
    Channel {
        name: "evidenceDeleted",
        topic: "evidence-deleted",
        description: "Reports of evidence that the box has deleted.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "evidenceDeleted",
            title: "Evidence deleted",
            summary: "Files that are not on the box any more, and why. The same stands in its access log.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<DeletionReport>()),
    },
    Channel {
        name: "accessLogHead",
        topic: "access-log/head",
        description: "The last line of the box's access log, at its start and at the end of each day: from then on nobody \
                      can cut the log off before it unnoticed. Whoever keeps these can prove it.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "accessLogHead",
            title: "Head of the access log",
            summary: "Number and SHA-256 of the line; what `snowgate evidence verify --head` takes.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<PublishedHead>()),
    },
    Channel {
        name: "dailySummary",
        topic: "summary/daily",
        description: "What a day has brought (日汇总), once it is over.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "dailySummary",
            title: "Daily summary",
            summary: "Counts of the whole day: `complete` is true.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<DailySummary>()),
    },
    Channel {
        name: "summaryToday",
        topic: "summary/today",
        description: "What the day that goes on has brought so far.",
        direction: Direction::Sent,
        qos: 1,
        retained: true,
        answered_on: None,
        messages: &[MessageKind {
            name: "summaryToday",
            title: "Summary so far",
            summary: "Counts so far: `complete` is false. Sent when they have changed, once a minute at the most.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<DailySummary>()),
    },
    Channel {
        name: "disposition",
        topic: "cmd/disposition",
        description: "People have done something about an incident. Idempotent by its `id`.",
        direction: Direction::Taken,
        qos: 1,
        retained: false,
        answered_on: Some("dispositionAnswer"),
        messages: &[MessageKind {
            name: "disposition",
            title: "Disposition (处置)",
            summary: "What was done, by whom, and when.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<DispositionPayload>()),
    },
    Channel {
        name: "dispositionAnswer",
        topic: "cmd-ack/disposition",
        description: "Answers to dispositions, sent once what they changed is on disk.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "dispositionAnswer",
            title: "Answer to a disposition",
            summary: "Done, or refused and why; and how things stand.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<DispositionAnswer>()),
    },
    Channel {
        name: "verify",
        topic: "cmd/verify",
        description: "Asks the box to look again (任务核查). Idempotent by its `id`, limited in rate, written to the access log.",
        direction: Direction::Taken,
        qos: 1,
        retained: false,
        answered_on: Some("verifyAnswer"),
        messages: &[MessageKind {
            name: "verify",
            title: "Verification command",
            summary: "Who asks, why, and for how long the box shall look.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<Verify>()),
    },
    Channel {
        name: "verifyAnswer",
        topic: "cmd-ack/verify",
        description: "Answers to verification commands. What was seen follows as an event of the incident.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "verifyAnswer",
            title: "Answer to a verification command",
            summary: "The box looks, has looked, or does not and why.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<VerifyAnswer>()),
    },
    Channel {
        name: "unknownCommandAnswer",
        topic: "cmd-ack/{command}",
        description: "Answers to commands that this version does not know.",
        direction: Direction::Sent,
        qos: 1,
        retained: false,
        answered_on: None,
        messages: &[MessageKind {
            name: "unknownCommandAnswer",
            title: "Answer to an unknown command",
            summary: "Always refused.",
            event: None,
        }],
        content: Content::Json(|generator| generator.subschema_for::<UnknownCommandAnswer>()),
    },
];
