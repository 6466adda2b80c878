//! `snowgate compare`: a change to a configuration, tried on clips before it is put in force. Each clip is replayed under both
//! configurations, each time with nothing known of any other; [`matching`] says which incidents are the same, and [`cost`]
//! what each replay took. The making of stills for a page is no part of that.

mod cost;
mod matching;
mod outcome;
mod page;
mod stills;
mod table;
#[cfg(test)]
mod testing;
mod words;

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use snowgate_core::ids::Id;

use self::{
    cost::{Cost, Meter, Since, Spent},
    outcome::{ComparedClip, Comparison, Sides, Told},
    stills::Album,
    words::Words,
};
use super::{
    Format,
    clips::{Clips, ClipsError},
    exit::Exit,
    print_json,
    replay::{
        ReplayError,
        camera::{Prepared, StillSink},
    },
};
use crate::{
    camera::picture::Picture,
    evidence::{still::StillRequest, worker::OpenError},
};

/// Arguments of `snowgate compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// A configuration directory; given twice, the present one (A) and the other one (B).
    #[arg(long = "config", value_name = "DIR", required = true)]
    configs: Vec<PathBuf>,
    /// The camera whose zones and rules are used.
    #[arg(long, value_name = "ID")]
    camera: Id,
    /// Video files (any container with H.264 or H.265 in it), and directories of them.
    #[arg(value_name = "CLIP", required = true)]
    clips: Vec<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Write a page with the stills side by side into this HTML file.
    #[arg(long, value_name = "HTML")]
    html: Option<PathBuf>,
    /// End with code 65 if the configurations differ in anything that they tell.
    #[arg(long)]
    expect_same: bool,
    /// Wall-clock time of each clip's beginning.
    #[arg(long, value_name = "TIME", default_value = "2000-01-01T00:00:00Z")]
    start: jiff::Timestamp,
    /// Judge the camera's scene by what was learnt of it, in this data directory; nothing was learnt otherwise.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Why a comparison came to nothing.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("two configurations are compared: --config is given {0} time(s), not twice")]
    NotTwo(usize),
    #[error("configuration {side}, {}:\n{source}", directory.display())]
    Side { side: &'static str, directory: PathBuf, source: Box<ReplayError> },
    #[error("configuration {side}, {}: stills cannot be made: {source}", directory.display())]
    Stills { side: &'static str, directory: PathBuf, source: OpenError },
    #[error(transparent)]
    Clips(#[from] ClipsError),
    #[error("{}: {source}", path.display())]
    Page { path: PathBuf, source: io::Error },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl CompareError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotTwo(_) => Exit::Usage,
            Self::Side { source, .. } => source.exit(),
            Self::Stills { .. } => Exit::Unavailable,
            Self::Clips(_) => Exit::BadData,
            Self::Page { .. } | Self::Print(_) => Exit::Io,
        }
    }
}

impl Compare {
    /// Compares and prints; [`Exit::BadData`] where a clip could not be played, or a difference was not expected.
    pub fn run(self) -> Exit {
        match self.compare() {
            Ok(exit) => exit,
            Err(error) => {
                eprintln!("snowgate: {error}");
                error.exit()
            }
        }
    }

    fn compare(&self) -> Result<Exit, CompareError> {
        let [a, b] = self.configs.as_slice() else { return Err(CompareError::NotTwo(self.configs.len())) };
        let mut sides = Sides { a: self.side("A", a)?, b: self.side("B", b)? };
        let clips = self.clips()?;
        // Before the work: a page that cannot be written is better known now.
        let page = self.html.as_deref().map(create).transpose()?;
        let mut comparison = Comparison {
            configs: Sides { a: a.display().to_string(), b: b.display().to_string() },
            ..Comparison::default()
        };
        for clip in &clips {
            let played = sides.a.play(clip).and_then(|a| Ok(Sides { a, b: sides.b.play(clip)? }));
            match played {
                Ok(Sides { a: (told_a, cost_a), b: (told_b, cost_b) }) => {
                    let (told, cost) = (Sides { a: told_a, b: told_b }, Sides { a: cost_a, b: cost_b });
                    comparison.clips.push(ComparedClip::new(clip.display().to_string(), told, cost));
                }
                Err(CompareError::Side { source, .. }) if matches!(*source, ReplayError::Clip(_)) => {
                    eprintln!("snowgate: {source}");
                    comparison.unplayable.push(source.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        match self.format {
            Format::Json => print_json(&comparison)?,
            Format::Human => table::write(&mut io::stdout().lock(), &comparison)?,
        }
        if let Some((path, file)) = page {
            let words = Words::of(sides.a.prepared.config().gateway.locale);
            page::write(&mut BufWriter::new(file), &comparison, words).map_err(|error| unwritten(path, error))?;
        }
        Ok(self.exit(&comparison))
    }

    fn exit(&self, comparison: &Comparison) -> Exit {
        let differs = self.expect_same && !comparison.is_same();
        if differs {
            eprintln!("snowgate: the configurations differ");
        }
        if differs || !comparison.unplayable.is_empty() { Exit::BadData } else { Exit::Ok }
    }

    fn side(&self, name: &'static str, directory: &Path) -> Result<Side, CompareError> {
        let (side, directory) = (name, directory.to_owned());
        let prepared = match Prepared::load(&directory, &self.camera, self.start, self.data.as_deref()) {
            Ok(prepared) => prepared,
            Err(source) => return Err(CompareError::Side { side, directory, source: Box::new(source) }),
        };
        let album = match self.html.as_ref().map(|_| Album::open(&prepared)).transpose() {
            Ok(album) => album,
            Err(source) => return Err(CompareError::Stills { side, directory, source }),
        };
        Ok(Side { name, directory, prepared, album })
    }

    /// Everything that is to be played, in the order in which it is named.
    fn clips(&self) -> Result<Vec<PathBuf>, ClipsError> {
        let mut clips = Vec::new();
        for path in &self.clips {
            if path.is_dir() {
                let found = Clips::of_directory(path)?;
                found.say_passed_over();
                clips.extend(found.videos);
            } else {
                clips.push(path.clone());
            }
        }
        Ok(clips)
    }
}

fn create(path: &Path) -> Result<(&Path, File), CompareError> {
    let file = File::create(path).map_err(|error| unwritten(path, error))?;
    Ok((path, file))
}

fn unwritten(path: &Path, source: io::Error) -> CompareError {
    CompareError::Page { path: path.to_owned(), source }
}

/// One of the two configurations.
struct Side {
    name: &'static str,
    directory: PathBuf,
    prepared: Prepared,
    /// None where no page is wanted.
    album: Option<Album>,
}

impl Side {
    /// What it tells of a clip, and what that costs.
    fn play(&mut self, clip: &Path) -> Result<(Vec<Told>, Cost), CompareError> {
        let Self { name, directory, prepared, album } = self;
        let failed = |source| CompareError::Side { side: name, directory: directory.clone(), source: Box::new(source) };
        let mut aside = Spent::default();
        let spent_aside = &mut aside;
        let mut make = album.as_mut().map(|album| {
            move |request: StillRequest<Arc<Picture>>| {
                let since = Since::now();
                album.add(&request);
                *spent_aside += since.spent();
            }
        });
        let player = prepared.player(make.as_mut().map(|make| make as StillSink<'_>)).map_err(failed)?;
        let meter = Meter::start(prepared.camera());
        let replayed = player.play(clip).map_err(failed)?;
        let cost = meter.cost(replayed.lasts, aside);
        let mut stills = album.as_mut().map(Album::take).unwrap_or_default();
        let told = replayed.incidents.into_iter().map(|incident| {
            let still = stills.remove(&incident.incident);
            Told { incident, still }
        });
        let told: Vec<Told> = told.collect();
        let (clip, incidents, seconds) = (clip.display(), told.len(), cost.wall_seconds);
        eprintln!("{clip}, {name}: {} pictures, {incidents} incident(s), {seconds:.1} s", replayed.pictures);
        Ok((told, cost))
    }
}
