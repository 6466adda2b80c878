//! The tables.

use std::collections::BTreeMap;

use serde::Serialize;
use snowgate_benches::scale::{
    report::Report,
    table::{Table, or_dash},
};

use crate::{
    baselines::Score,
    cost::Cost,
    happening::Kind,
    rendered::Lit,
    runs::{EpisodeRun, NegativeRun, Pace},
    score::{auroc, bound, median_and_most},
    watcher::{DETECTORS, anomaly_spec},
};

/// Everything that was measured.
#[derive(Debug)]
pub struct Figures<'a> {
    /// How often.
    pub pace: Pace,
    /// What nothing may be told of.
    pub negatives: &'a [NegativeRun],
    /// What must be told.
    pub episodes: &'a [EpisodeRun],
    /// What it costs.
    pub cost: Cost,
}

/// Which of the negatives a threshold must not be exceeded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// By none.
    All,
    /// By none but those in which the camera's coder or noise is another than it learnt, or its light goes up and down.
    Ordinary,
}

impl Figures<'_> {
    fn hours(&self) -> f64 {
        self.negatives.iter().map(|run| run.seconds).sum::<f64>() / 3600.0
    }

    fn negatives_of(&self, view: &str, lit: Lit) -> impl Iterator<Item = &NegativeRun> {
        self.negatives.iter().filter(move |run| run.view == view && run.lit == lit)
    }

    /// The lowest threshold at which a detector tells nothing: Snowgate's of all negatives together, as it has one setting for
    /// all cameras; a plain one's of the negatives of that view in that light, its best case.
    fn threshold(&self, quiet: Quiet, detector: usize, view: &str, lit: Lit) -> f32 {
        let counts = |run: &&NegativeRun| quiet == Quiet::All || run.is_ordinary;
        let of_all = self.negatives.iter().filter(counts);
        let of_all = of_all.filter(|run| detector == 0 || run.view == view && run.lit == lit);
        of_all.flat_map(|run| &run.scores).map(|scores| scores[detector].held).fold(0.0, f32::max)
    }

    /// Seconds after its beginning at which a detector finds something, at that threshold.
    fn found(&self, quiet: Quiet, detector: usize, run: &EpisodeRun) -> Option<f64> {
        let threshold = self.threshold(quiet, detector, run.episode.view.name(), run.episode.lit);
        let first = run.scores.iter().position(|scores| scores[detector].held > threshold)?;
        Some(first as f64 * self.pace.judging.as_secs_f64())
    }

    /// Of the scores of single pictures, and of what has lasted: pictures of things that have not reached their size are left
    /// out, for the latter those of the next one and a half times `for` too.
    fn auroc(&self, detector: usize, run: &EpisodeRun) -> [Option<f64>; 2] {
        let negatives = self.negatives_of(run.episode.view.name(), run.episode.lit).flat_map(|run| &run.scores);
        let negatives: Vec<Score> = negatives.map(|scores| scores[detector]).collect();
        let lasting = (1.5 * anomaly_spec().r#for.0.as_secs_f64() / self.pace.judging.as_secs_f64()).ceil() as usize;
        let area = |of: fn(&Score) -> f32, after: usize| {
            let positives: Vec<f32> = run.scores.iter().skip(after).map(|scores| of(&scores[detector])).collect();
            auroc(&negatives.iter().map(of).collect::<Vec<_>>(), &positives)
        };
        [area(|score| score.now, run.growing), area(|score| score.held, run.growing + lasting)]
    }
}

/// Some episodes and what was found of them.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    size: String,
    contrast: String,
    episodes: usize,
    /// As the daemon is set by default.
    told: usize,
    seconds_median: Option<f64>,
    seconds_most: Option<f64>,
    detectors: Vec<Cell>,
}

/// What one detector finds with the threshold that is exceeded by none of the negatives.
#[derive(Debug, Serialize)]
struct Cell {
    detector: &'static str,
    found: usize,
    /// The same with a threshold that may be exceeded where the coder, the noise or the light change.
    found_ordinary: usize,
    /// Of single pictures.
    auroc: Option<f64>,
    /// Of what has lasted.
    auroc_lasting: Option<f64>,
}

/// Writes all tables.
pub fn write(report: &mut Report, figures: &Figures<'_>) {
    report.heading("Material");
    report.line("Synthetic: the street, the river and the yard are rendered; all that happens is composited, into them and into the");
    report.line("film; noise and changes of light are added. Real: the film (vtest), the people (cut out of it), the coding (H.264).");
    negatives(report, figures);
    health(report, figures);
    strange(report, figures);
    cost(report, &figures.cost);
}

fn negatives(report: &mut Report, figures: &Figures<'_>) {
    let hours = figures.hours();
    report.heading("Pictures that nothing may be told of");
    let mut sums: BTreeMap<(&str, &str), [f64; 5]> = BTreeMap::new();
    for run in figures.negatives {
        let sum = sums.entry((run.view, run.name)).or_default();
        sum[0] += run.seconds / 3600.0;
        sum[1] += run.conditions.len() as f64;
        sum[2] += run.regions as f64;
        sum[3] += run.whole_frame as f64;
        sum[4] = run.scores.iter().map(|scores| f64::from(scores[0].held)).fold(sum[4], f64::max);
    }
    let headings =
        ["view", "what", "hours", "conditions told", "things told", "greatest score", "pictures strange all over"];
    let mut table = Table::new(&headings);
    for ((view, name), [hours, conditions, regions, whole, most]) in &sums {
        let cells = [
            format!("{hours:.2}"),
            conditions.to_string(),
            regions.to_string(),
            format!("{most:.2}"),
            whole.to_string(),
        ];
        table.row([(*view).to_owned(), (*name).to_owned()].into_iter().chain(cells));
    }
    report.table(&table);
    for run in figures.negatives.iter().filter(|run| !run.conditions.is_empty() || run.regions > 0) {
        let NegativeRun { view, lit, name, conditions, regions, .. } = run;
        report.line(format!("told of {view}, {lit:?}, {name}: {conditions:?}, {regions} things"));
    }
    let elsewhere = figures.episodes.iter().filter(|run| run.elsewhere > 0).count();
    report.line(format!(
        "{elsewhere} of {} episodes had things told elsewhere than where something happened",
        figures.episodes.len()
    ));
    let (every, learning) = (figures.pace.judging.as_secs_f32(), figures.pace.learning.as_secs_f32());
    report.line(format!(
        "{hours:.2} h at a picture every {every} s (learnt before: a picture every {learning} s). Nothing told of them excludes, at 95 %, \
         more than 3 / T = {:.2} an hour. The film's part is 40 s of real time, shown again and again, each time other pictures of it.",
        bound(hours)
    ));
    report.keep("negatives", &figures.negatives);
    report.keep("negative_hours", &hours);
    report.keep("excluded_an_hour", &bound(hours));
    let ordinary = figures.negatives.iter().filter(|run| run.is_ordinary).map(|run| run.seconds).sum::<f64>() / 3600.0;
    report.line(format!("The ordinary ones of them alone: {ordinary:.2} h, {:.2} an hour.", bound(ordinary)));
    report.keep("ordinary_hours", &ordinary);
}

fn row(figures: &Figures<'_>, [what, size, contrast]: [String; 3], runs: &[&EpisodeRun]) -> Row {
    let told = runs.iter().filter_map(|run| match run.episode.happening.kind.is_in_scene() {
        true => run.region,
        false => run.condition,
    });
    let told: Vec<f64> = told.collect();
    let times = median_and_most(told.clone());
    let cell = |detector: usize| {
        let areas: Vec<_> = runs.iter().map(|run| figures.auroc(detector, run)).collect();
        let found = |quiet| runs.iter().filter(|run| figures.found(quiet, detector, run).is_some()).count();
        let mean = |which: usize| {
            let areas: Vec<f64> = areas.iter().filter_map(|areas| areas[which]).collect();
            (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
        };
        Cell {
            detector: DETECTORS[detector],
            found: found(Quiet::All),
            found_ordinary: found(Quiet::Ordinary),
            auroc: mean(0),
            auroc_lasting: mean(1),
        }
    };
    Row {
        what,
        size,
        contrast,
        episodes: runs.len(),
        told: told.len(),
        seconds_median: times.map(|times| times.0),
        seconds_most: times.map(|times| times.1),
        detectors: (0..DETECTORS.len()).map(cell).collect(),
    }
}

/// Rows of all episodes in the scene, or with the camera, by what a label says; in the order of their first.
fn rows(figures: &Figures<'_>, in_scene: bool, label: impl Fn(&EpisodeRun) -> [String; 3]) -> Vec<Row> {
    let mut groups: Vec<([String; 3], Vec<&EpisodeRun>)> = Vec::new();
    let mut runs: Vec<&EpisodeRun> =
        figures.episodes.iter().filter(|run| run.episode.happening.kind.is_in_scene() == in_scene).collect();
    runs.sort_by_key(|run| run.episode.happening.kind);
    for run in runs {
        let label = label(run);
        match groups.iter_mut().find(|(other, _)| *other == label) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((label, vec![run])),
        }
    }
    groups.into_iter().map(|(label, runs)| row(figures, label, &runs)).collect()
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.0} %)", 100.0 * part as f64 / whole.max(1) as f64)
}

fn seconds(time: Option<f64>) -> String {
    or_dash(time, |time| format!("{time:.0} s"))
}

fn health(report: &mut Report, figures: &Figures<'_>) {
    report.heading("Health: what is done to the camera (synthetic)");
    let mut table = Table::new(&["what", "how much", "episodes", "told", "median", "most"]);
    let rows = rows(figures, false, |run| {
        let happening = &run.episode.happening;
        let much = match happening.kind {
            Kind::Shift => format!("{:.0} % of the frame", 100.0 * happening.size),
            Kind::Defocus => format!("radius {:.1} % of the width", 100.0 * happening.size),
            Kind::Dimming => format!("{:.0} % of the light left", 100.0 * happening.size),
            Kind::Covering => format!("{:.0} % of the frame", 100.0 * happening.size),
            _ => "–".to_owned(),
        };
        [happening.kind.to_string(), much, String::new()]
    });
    for Row { what, size, episodes, told, seconds_median, seconds_most, .. } in &rows {
        let told = share(*told, *episodes);
        table.row([
            what.clone(),
            size.clone(),
            episodes.to_string(),
            told,
            seconds(*seconds_median),
            seconds(*seconds_most),
        ]);
    }
    report.table(&table);
    for run in figures.episodes {
        let happening = &run.episode.happening;
        let (kind, size, view, lit) = (happening.kind, happening.size, run.episode.view.name(), run.episode.lit);
        if kind.is_in_scene() && run.told.is_some() {
            report.line(format!("told of {kind} {size} in {view}, {lit:?}: {:?}", run.told));
        } else if !kind.is_in_scene() && run.condition.is_none() {
            report.line(format!("missed: {kind} {size} in {view}, {lit:?}; told instead: {:?}", run.told));
        }
    }
    report.keep("health", &rows);
}

fn strange(report: &mut Report, figures: &Figures<'_>) {
    report.heading("Strange things (synthetic)");
    let spec = anomaly_spec();
    report.line(format!(
        "told: as the daemon is set by default, a region on the thing, which must stay for {} s. found: with the threshold that no score of",
        spec.r#for.0.as_secs()
    ));
    report.line("the negatives exceeds; Snowgate's is one for all views, a plain detector's is that of the view and light (its best case).");
    report.line("found A / B: A over all negatives, B over the ordinary ones alone (walkers, leaves, shadows).");
    report.line("The feature mean tells no place: what it finds may lie anywhere. AUROC: of each picture alone / of what has lasted.");
    let by_kind = rows(figures, true, |run| {
        let happening = &run.episode.happening;
        let contrast = match happening.kind {
            Kind::Person => "natural".to_owned(),
            Kind::Object => format!("{} steps", happening.contrast),
            _ => format!("{:.0} %", 100.0 * happening.contrast),
        };
        [happening.kind.to_string(), format!("{:.1} %", 100.0 * happening.size), contrast]
    });
    strange_table(report, "by kind, size and contrast", &by_kind);
    let by_size = rows(figures, true, |run| {
        ["all".to_owned(), format!("{:.1} %", 100.0 * run.episode.happening.size), String::new()]
    });
    strange_table(report, "by size", &by_size);
    let by_view = rows(figures, true, |run| {
        [run.episode.view.name().to_owned(), String::new(), format!("{:?}", run.episode.lit)]
    });
    strange_table(report, "by view and light", &by_view);
    report.keep("strange", &by_kind);
    report.keep("strange_by_size", &by_size);
    report.keep("strange_by_view", &by_view);
}

fn strange_table(report: &mut Report, title: &str, rows: &[Row]) {
    report.line("");
    let mut headings = [title, "size", "contrast", "episodes", "told", "median", "most"].map(str::to_owned).to_vec();
    for detector in DETECTORS {
        headings.extend([format!("{detector}: found"), "AUROC".to_owned()]);
    }
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for Row { what, size, contrast, episodes, told, seconds_median, seconds_most, detectors } in rows {
        let mut cells =
            vec![what.clone(), size.clone(), contrast.clone(), episodes.to_string(), share(*told, *episodes)];
        cells.extend([seconds(*seconds_median), seconds(*seconds_most)]);
        for cell in detectors {
            cells.extend([
                format!("{} / {}", cell.found, cell.found_ordinary),
                [cell.auroc, cell.auroc_lasting].map(|area| or_dash(area, |area| format!("{area:.2}"))).join(" / "),
            ]);
        }
        table.row(cells);
    }
    report.table(&table);
}

fn cost(report: &mut Report, cost: &Cost) {
    report.heading("Cost of a picture, one thread, medians of 60");
    let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let mut table = Table::new(&["what", "time"]);
    table.row(["reducing 640 × 360 (View::take)".to_owned(), ms(cost.view[0])]);
    table.row(["reducing 1920 × 1080".to_owned(), ms(cost.view[1])]);
    table.row(["judging its health (Judge::observe)".to_owned(), ms(cost.judge)]);
    table.row(["the backbone, float, 320 × 256, with resampling".to_owned(), ms(cost.pass[0])]);
    table.row(["of it ONNX Runtime's session".to_owned(), ms(cost.pass[1])]);
    table.row(["scoring (Memory::score)".to_owned(), ms(cost.score)]);
    table.row(["following what stays (Watch::observe)".to_owned(), ms(cost.watch)]);
    table.row(["learning (Memory::take)".to_owned(), ms(cost.learn)]);
    report.table(&table);
    report.line(format!("learnt of one camera in three lights: {:.1} MB", cost.memory as f64 / 1e6));
    report.keep("cost", cost);
}
