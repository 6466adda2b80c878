//! What is printed, for people and for machines.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    thread,
};

use serde::Serialize;
use snowgate::vision::execution::{CpuFeatures, Variant};

use crate::compare::{Counts, Summary};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// Each model that has int8 files.
    pub models: Vec<ModelReport>,
}

/// The machine: figures of two machines cannot be compared.
#[derive(Debug, Serialize)]
pub struct Machine {
    architecture: &'static str,
    processor: String,
    cores: usize,
    /// Others that wanted a core when the report was made, on average over five minutes.
    load: Option<f64>,
    int8_sums_exactly: bool,
    onnxruntime: String,
    optimised_build: bool,
}

impl Machine {
    /// This one.
    pub fn here(onnxruntime: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            architecture: std::env::consts::ARCH,
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            load: load.and_then(|load| load.split(' ').nth(1)?.parse().ok()),
            int8_sums_exactly: CpuFeatures::detect().sums_exactly(),
            onnxruntime: onnxruntime.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            optimised_build: !cfg!(debug_assertions),
        }
    }
}

/// One model.
#[derive(Debug, Serialize)]
pub struct ModelReport {
    /// Its manifest id.
    pub model: String,
    /// The score rules go by.
    pub threshold: f32,
    /// What it was shown.
    pub sources: Vec<SourceReport>,
    /// Its files, float first.
    pub files: Vec<FileReport>,
}

/// One source of regions.
#[derive(Debug, Serialize)]
pub struct SourceReport {
    /// Its file and part.
    pub name: &'static str,
    /// Whether the int8 ranges were calibrated on it.
    pub calibrated: bool,
    /// Regions shown.
    pub regions: usize,
    /// What each file made of them.
    #[serde(serialize_with = "summaries")]
    pub counts: Vec<(Variant, Counts)>,
}

fn summaries<S: serde::Serializer>(counts: &[(Variant, Counts)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(variant, counts)| (variant, counts.summary())))
}

/// One file of a model.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Which.
    pub precision: Variant,
    /// Its digest.
    pub sha256: String,
    /// Over the sources that were not calibrated on.
    pub unseen: Summary,
    /// Over all sources.
    pub all: Summary,
    /// ONNX Runtime's time for a region, by input size.
    pub session: Vec<Timing>,
}

/// ONNX Runtime's time for a region of one input size.
#[derive(Debug, Serialize)]
pub struct Timing {
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// Median, in seconds.
    pub median_seconds: f64,
    /// The same divided by the float file's.
    pub share_of_float: f64,
}

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            return writeln!(out);
        }
        let Machine { architecture, processor, cores, load, int8_sums_exactly, onnxruntime, optimised_build } =
            &self.machine;
        let load = load.map_or(String::new(), |load| format!(", load {load:.2}"));
        let exact =
            if *int8_sums_exactly { "int8 sums exact" } else { "int8 sums saturate: the full range is not for here" };
        writeln!(out, "{processor} ({architecture}), {cores} cores{load}, {exact}; {onnxruntime}, one thread")?;
        if !optimised_build {
            writeln!(
                out,
                "This build is not optimised; session times are ONNX Runtime's own and not touched by that."
            )?;
        }
        self.models.iter().try_for_each(|model| model.print(&mut out))
    }
}

impl ModelReport {
    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Self { model, threshold, sources, files } = self;
        writeln!(out, "\n{model}, detections above {threshold}   (*: the int8 ranges were calibrated on it)")?;
        writeln!(
            out,
            "{:22} {:>7}  {:12} {:>5} {:>5} {:>5} {:>5}",
            "source", "regions", "file", "found", "lost", "gone", "won"
        )?;
        for SourceReport { name, calibrated, regions, counts } in sources {
            let name = format!("{name}{}", if *calibrated { " *" } else { "" });
            for (index, (variant, counts)) in counts.iter().enumerate() {
                let Summary { found, lost, gone, won, .. } = counts.summary();
                let (name, regions) =
                    if index == 0 { (name.as_str(), regions.to_string()) } else { ("", String::new()) };
                let variant = variant.as_str();
                writeln!(out, "{name:22} {regions:>7}  {variant:12} {found:5} {lost:5} {gone:5} {won:5}")?;
            }
        }
        for (what, of) in [("not calibrated on", 0), ("all", 1)] {
            for FileReport { precision, unseen, all, .. } in files {
                let Summary { float, found, lost, gone, won, drift_mean, drift_p95 } =
                    if of == 0 { unseen } else { all };
                let share = |count: &usize| 100.0 * *count as f64 / (*float).max(1) as f64;
                writeln!(
                    out,
                    "{what:18} {:12} {found:5} found, {lost} lost ({:.1} %), {gone} gone ({:.1} %), {won} won ({:.1} %); \
                     score drift {drift_mean:+.4} on average, within {drift_p95:.4} for 95 %",
                    precision.as_str(),
                    share(lost),
                    share(gone),
                    share(won),
                )?;
            }
        }
        for FileReport { precision, session, sha256, .. } in files {
            for Timing { width, height, median_seconds, share_of_float } in session {
                let (precision, ms) = (precision.as_str(), median_seconds * 1e3);
                writeln!(
                    out,
                    "session {width}x{height:<4} {precision:12} {ms:6.2} ms, {share_of_float:.2} of float   {sha256:.12}"
                )?;
            }
        }
        Ok(())
    }
}
