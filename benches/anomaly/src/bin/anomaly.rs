//! Prints what every anomaly detector is worth on series laid out as NAB's, beside two references run on the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use snowgate_bench_anomaly::{
    contenders,
    measure::{OVER_AFTER, run, seconds_among},
    nab::corpus,
    report::{Entry, Report},
};

/// Judges the anomaly detectors by NAB's scorer: one frozen threshold a detector, no setting for any series.
#[derive(Parser)]
struct Options {
    /// Folder with the series, as `<group>/<name>.csv`, and `windows.json` (or NAB's own tree: its folder `data`).
    #[arg(long)]
    data: PathBuf,
    /// Only these contenders.
    #[arg(long)]
    only: Vec<String>,
    /// Also print each series for these contenders.
    #[arg(long)]
    each: Vec<String>,
    /// How many sensors take turns when the cost is measured; 0 leaves that out.
    #[arg(long, default_value_t = 100)]
    sensors: usize,
    /// Also write what is printed to this file.
    #[arg(long)]
    text: Option<PathBuf>,
    /// Also write everything as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let series = corpus::read(&options.data)?;
    let mut report = Report {
        series: series.len(),
        windows: series.iter().map(|series| series.windows.len()).sum(),
        over_after: OVER_AFTER,
        contenders: Vec::new(),
    };
    for contender in contenders::all() {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == contender.name) {
            continue;
        }
        let among = if options.sensors == 0 { f64::NAN } else { seconds_among(&contender, options.sensors, 20) };
        report.contenders.push(Entry::new(&contender, &series, &run(&contender, &series), among));
    }
    let mut text = report.to_string();
    for name in &options.each {
        text += &format!("\n{name}\n{}", report.each(name));
    }
    print!("{text}");
    if let Some(path) = &options.text {
        write(path, &text)?;
    }
    if let Some(path) = &options.json {
        write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
