//! `snowgate schema`: the JSON Schema of the configuration files.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum, builder::PossibleValue};

use super::exit::Exit;
use crate::config::schema::Subject;

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// Arguments of `snowgate schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Which file's; `config` is the whole directory.
    subject: Subject,
}

impl Schema {
    /// Prints it.
    pub fn run(self) -> Exit {
        match io::stdout().write_all(self.subject.text().as_bytes()) {
            Ok(()) => Exit::Ok,
            Err(_) => Exit::Io,
        }
    }
}
