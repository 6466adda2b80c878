//! `snowgate check`: says whether `run` would take a configuration, what is wrong with it, and what each rule may miss.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use serde::Serialize;

use super::{Format, exit::Exit, print_json};
use crate::{
    config::{Config, ProblemReport, Problems, Severity},
    run::models::preflight,
};

/// The key frame interval that most cameras come with.
const USUAL_KEY_INTERVAL: Duration = Duration::from_secs(2);

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
        let (problems, counted, blind) = match &checked {
            Ok((config, ..)) => (&config.problems, Some(Counted::of(config)), blind_times(config)),
            Err(problems) => (problems, None, Vec::new()),
        };
        // Errors that refuse one camera only are errors here too: the operator wants that camera.
        let valid = !problems.has_errors();
        let printed = match self.format {
            Format::Human => self.print_for_people(problems, counted, &blind),
            Format::Json => print_for_machines(valid, problems, counted, &blind),
        };
        match (printed, valid) {
            (Err(_), _) => Exit::Io,
            (Ok(()), true) => Exit::Ok,
            (Ok(()), false) => Exit::BadConfig,
        }
    }

    fn print_for_people(
        &self,
        problems: &Problems,
        counted: Option<Counted>,
        blind: &[BlindTime<'_>],
    ) -> io::Result<()> {
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
        }?;
        print_blind_times(&mut out, blind)
    }
}

fn print_for_machines(
    valid: bool,
    problems: &Problems,
    counted: Option<Counted>,
    blind: &[BlindTime<'_>],
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        valid: bool,
        errors: usize,
        warnings: usize,
        #[serde(flatten)]
        counted: Option<Counted>,
        problems: Vec<ProblemReport<'a>>,
        blind_times: &'a [BlindTime<'a>],
    }
    let report = Report {
        valid,
        errors: problems.count(Severity::Error),
        warnings: problems.count(Severity::Warning),
        counted,
        problems: problems.report(),
        blind_times: blind,
    };
    print_json(&report)
}

/// What a rule may miss under its camera's gate.
#[derive(Debug, Serialize)]
struct BlindTime<'a> {
    camera: &'a str,
    rule: &'a str,
    gate: &'static str,
    /// What is shorter may be missed, whatever key frames the camera sends.
    worst_seconds: f64,
    /// The same with key frames every two seconds.
    usual_seconds: f64,
    /// The rule asks for so much that nothing it would report is missed.
    nothing_missed: bool,
}

fn blind_times(config: &Config) -> Vec<BlindTime<'_>> {
    let enabled = config.cameras.iter().filter(|camera| camera.enabled);
    let rules = enabled.flat_map(|camera| {
        let detect = &camera.detect;
        let (worst, usual) = (detect.blind_time(detect.max_key_interval.0), detect.blind_time(USUAL_KEY_INTERVAL));
        camera.rules.iter().map(move |rule| BlindTime {
            camera: camera.id.as_str(),
            rule: rule.spec.id.as_str(),
            gate: camera.detect.gate.as_str(),
            worst_seconds: worst.as_secs_f64(),
            usual_seconds: usual.min(worst).as_secs_f64(),
            nothing_missed: rule.spec.hold().0 >= worst,
        })
    });
    rules.collect()
}

fn print_blind_times(out: &mut impl io::Write, blind: &[BlindTime<'_>]) -> io::Result<()> {
    if blind.is_empty() {
        return Ok(());
    }
    let width = |of: fn(&BlindTime<'_>) -> usize| blind.iter().map(of).max().unwrap_or(0);
    let (camera, rule) = (width(|row| row.camera.len()), width(|row| row.rule.len()));
    writeln!(
        out,
        "worst blind times (what begins and ends within may be missed; in brackets: with key frames every 2 s)"
    )?;
    for row in blind {
        let BlindTime { worst_seconds, usual_seconds, gate, .. } = row;
        write!(
            out,
            "  {:camera$}  {:rule$}  {gate:8}  {worst_seconds:.1} s ({usual_seconds:.1} s)",
            row.camera, row.rule
        )?;
        writeln!(
            out,
            "{}",
            if row.nothing_missed { ", shorter than what the rule asks for: none missed" } else { "" }
        )?;
    }
    Ok(())
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
