//! `snowgate check`: says whether `run` would take a configuration, and what is wrong with it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use super::{Format, exit::Exit, print_json};
use crate::{
    config::{Config, ProblemReport, Problems, Severity},
    run::models::preflight,
};

/// Arguments of `snowgate check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

impl Check {
    /// Checks and prints; [`Exit::BadConfig`] where there are errors.
    pub fn run(self) -> Exit {
        let checked = Config::load(&self.config).and_then(preflight);
        let (problems, counted) = match &checked {
            Ok((config, ..)) => (&config.problems, Some(Counted::of(config))),
            Err(problems) => (problems, None),
        };
        // Errors that refuse one camera only are errors here too: the operator wants that camera.
        let valid = !problems.has_errors();
        let printed = match self.format {
            Format::Human => self.print_for_people(problems, counted),
            Format::Json => print_for_machines(valid, problems, counted),
        };
        match (printed, valid) {
            (Err(_), _) => Exit::Io,
            (Ok(()), true) => Exit::Ok,
            (Ok(()), false) => Exit::BadConfig,
        }
    }

    fn print_for_people(&self, problems: &Problems, counted: Option<Counted>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(problems.render(out.is_terminal()).as_bytes())?;
        let (errors, warnings) = (problems.count(Severity::Error), problems.count(Severity::Warning));
        let found = format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
        let directory = self.config.display();
        match counted {
            Some(Counted { cameras, rules, refused: 0 }) => {
                writeln!(out, "{directory}: valid: {}, {}; {found}", plural(cameras, "camera"), plural(rules, "rule"))
            }
            Some(Counted { cameras, refused, .. }) => {
                writeln!(out, "{directory}: not valid: {refused} of {} refused; {found}", plural(cameras, "camera"))
            }
            None => writeln!(out, "{directory}: not valid; {found}"),
        }
    }
}

fn print_for_machines(valid: bool, problems: &Problems, counted: Option<Counted>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        valid: bool,
        errors: usize,
        warnings: usize,
        #[serde(flatten)]
        counted: Option<Counted>,
        problems: Vec<ProblemReport<'a>>,
    }
    let report = Report {
        valid,
        errors: problems.count(Severity::Error),
        warnings: problems.count(Severity::Warning),
        counted,
        problems: problems.report(),
    };
    print_json(&report)
}

/// What a configuration that can be loaded amounts to.
#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    cameras: usize,
    rules: usize,
    refused: usize,
}

impl Counted {
    fn of(config: &Config) -> Self {
        Self {
            cameras: config.cameras.len(),
            rules: config.cameras.iter().map(|camera| camera.rules.len()).sum(),
            refused: config.cameras.iter().filter(|camera| camera.refused.is_some()).count(),
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
