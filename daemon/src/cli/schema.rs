//! `snowgate schema`: the JSON Schema of the configuration files and of the messages, the messages' AsyncAPI document, and the
//! table of rules.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum, builder::PossibleValue};

use super::exit::Exit;
use crate::{config, messages};

/// What a schema is asked for.
#[derive(Debug, Clone, Copy)]
enum Subject {
    /// A configuration file.
    Config(config::schema::Subject),
    /// Every kind of rule.
    Rules,
    /// Every payload.
    Messages,
    /// The AsyncAPI document.
    AsyncApi,
}

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        use config::schema::Subject as File;
        &[
            Self::Config(File::Config),
            Self::Config(File::Gateway),
            Self::Config(File::Camera),
            Self::Config(File::Sensor),
            Self::Config(File::Joined),
            Self::Config(File::Categories),
            Self::Config(File::Calendar),
            Self::Config(File::Schedules),
            Self::Rules,
            Self::Messages,
            Self::AsyncApi,
        ]
    }
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Config(file) => PossibleValue::new(file.as_str()),
            Self::Rules => PossibleValue::new("rules").help("every kind of rule and its keys, as Markdown"),
            Self::Messages => PossibleValue::new("messages").help("payloads of all MQTT messages, by topic"),
            Self::AsyncApi => PossibleValue::new("asyncapi").help("the same as an AsyncAPI 3.0 document"),
        })
    }
}

/// Arguments of `snowgate schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Of which file, `config` for the whole directory; or of what goes over MQTT.
    subject: Subject,
}

impl Schema {
    /// Prints it.
    pub fn run(self) -> Exit {
        let text = match self.subject {
            Subject::Config(file) => file.text(),
            Subject::Rules => config::rule_table::text(),
            Subject::Messages => messages::schema_text(),
            Subject::AsyncApi => messages::asyncapi_text(),
        };
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Exit::Ok,
            Err(_) => Exit::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_configuration_can_be_asked_for() {
        for file in config::schema::Subject::ALL {
            assert!(
                Subject::value_variants().iter().any(|subject| matches!(subject, Subject::Config(of) if *of == file)),
                "{file}"
            );
        }
    }
}
