//! Reading a configuration directory: which files count, and how large they may be.
//!
//! Whatever stands in the directory, reading it takes bounded time and memory: only regular files are opened, at most
//! [`MAX_FILES`] of at most [`MAX_FILE_BYTES`] and together [`MAX_TOTAL_BYTES`]. What is not read is named in a
//! warning, so that a misspelled file name does not go unnoticed; editors' backups are passed over in silence.

use std::{
    ffi::OsStr,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use snowgate_core::hex::hex;

use super::{
    problem::{Place, Problem, Problems, Source},
    suggest::did_you_mean,
};

/// The largest file taken.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most files taken.
pub const MAX_FILES: usize = 1024;
/// The most bytes taken in all files together.
pub const MAX_TOTAL_BYTES: u64 = 32 << 20;

/// The box itself.
pub const GATEWAY: &str = "gateway.toml";
/// The kinds of incidents.
pub const CATEGORIES: &str = "categories.toml";
/// When people work.
pub const CALENDAR: &str = "calendar.toml";
/// When rules watch, and when what they find weighs more.
pub const SCHEDULES: &str = "schedules.toml";
/// One camera a file.
pub const CAMERAS: &str = "cameras.d";
/// One sensor a file.
pub const SENSORS: &str = "sensors.d";
/// One joined rule a file.
pub const RULES: &str = "rules.d";

/// The files of a configuration directory.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub gateway: Option<Arc<Source>>,
    pub categories: Option<Arc<Source>>,
    /// Need not be there.
    pub calendar: Option<Arc<Source>>,
    /// Need not be there.
    pub schedules: Option<Arc<Source>>,
    /// Sorted by name.
    pub cameras: Vec<Arc<Source>>,
    /// Sorted by name.
    pub sensors: Vec<Arc<Source>>,
    /// Joined rules, sorted by name.
    pub rules: Vec<Arc<Source>>,
}

impl Files {
    /// Reads everything that counts; `problems` takes what could not be read and what was passed over.
    pub fn read(directory: &Path, problems: &mut Problems) -> Self {
        let mut reader = Reader { problems, files: 0, bytes: 0 };
        let Some(entries) = reader.list(directory) else { return Self::default() };
        if entries.is_empty() {
            let message = format!(
                "the configuration directory is empty: it needs a {GATEWAY}, a {CATEGORIES}, and {CAMERAS}/ or {SENSORS}/"
            );
            problems.push(Problem::error(Place::path(directory), message));
            return Self::default();
        }
        let mut files = Self::default();
        for (name, path) in entries {
            match name.as_str() {
                GATEWAY => files.gateway = reader.read(path),
                CATEGORIES => files.categories = reader.read(path),
                CALENDAR => files.calendar = reader.read(path),
                SCHEDULES => files.schedules = reader.read(path),
                CAMERAS => files.cameras = reader.read_all(&path, "camera"),
                SENSORS => files.sensors = reader.read_all(&path, "sensor"),
                RULES => files.rules = reader.read_all(&path, "joined rule"),
                other => reader.pass_over(other, path),
            }
        }
        for name in [GATEWAY, CATEGORIES] {
            let path = directory.join(name);
            // A file that is there but unreadable has been named already.
            if fs::symlink_metadata(&path).is_err() {
                reader.problems.push(Problem::error(Place::path(path), format!("{name} is missing")));
            }
        }
        files
    }

    /// Every file with its name in the directory, sorted by that.
    pub fn all(&self) -> impl Iterator<Item = (String, &Arc<Source>)> {
        let calendar = self.calendar.iter().map(|source| (CALENDAR.to_owned(), source));
        calendar
            .chain(self.cameras.iter().map(|source| (format!("{CAMERAS}/{}", file_name(source)), source)))
            .chain(self.categories.iter().map(|source| (CATEGORIES.to_owned(), source)))
            .chain(self.gateway.iter().map(|source| (GATEWAY.to_owned(), source)))
            .chain(self.rules.iter().map(|source| (format!("{RULES}/{}", file_name(source)), source)))
            .chain(self.schedules.iter().map(|source| (SCHEDULES.to_owned(), source)))
            .chain(self.sensors.iter().map(|source| (format!("{SENSORS}/{}", file_name(source)), source)))
    }

    /// SHA-256 over names and contents, as hex: equal for equal configurations wherever they lie.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, source) in self.all() {
            for part in [name.as_bytes(), source.text.as_bytes()] {
                // Lengths first, so that no two sets of files run into the same bytes.
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hex(hash.finalize())
    }
}

fn file_name(source: &Source) -> String {
    source.path.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned()
}

struct Reader<'a> {
    problems: &'a mut Problems,
    files: usize,
    bytes: u64,
}

impl Reader<'_> {
    /// Names and paths in a directory, sorted, without editors' backups.
    fn list(&mut self, directory: &Path) -> Option<Vec<(String, PathBuf)>> {
        let listed = fs::read_dir(directory).and_then(|entries| {
            // One more than may be used tells that there are too many.
            entries.take(4 * MAX_FILES).map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
        });
        let paths = match listed {
            Ok(paths) => paths,
            Err(error) => {
                let message = format!("the directory cannot be read: {error}");
                self.problems.push(Problem::error(Place::path(directory), message));
                return None;
            }
        };
        let mut entries: Vec<(String, PathBuf)> = paths
            .into_iter()
            .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), path)))
            .filter(|(name, _)| !is_backup(name))
            .collect();
        entries.sort();
        Some(entries)
    }

    /// Every file of a directory in which each is about one of `what`.
    fn read_all(&mut self, directory: &Path, what: &str) -> Vec<Arc<Source>> {
        let Some(entries) = self.list(directory) else { return Vec::new() };
        let mut sources = Vec::new();
        for (name, path) in entries {
            if name.ends_with(".toml") {
                sources.extend(self.read(path));
            } else {
                let message = format!("{name} is not read: a {what}'s file name ends in .toml");
                self.problems.push(Problem::warning(Place::path(path), message));
            }
        }
        sources
    }

    fn read(&mut self, path: PathBuf) -> Option<Arc<Source>> {
        self.files += 1;
        let result = if self.files > MAX_FILES {
            Err(format!("not read: a configuration has at most {MAX_FILES} files"))
        } else {
            read_text(&path)
        };
        let text = result.and_then(|text| {
            self.bytes += text.len() as u64;
            if self.bytes > MAX_TOTAL_BYTES {
                return Err(format!("not read: a configuration has at most {} MiB in all", MAX_TOTAL_BYTES >> 20));
            }
            Ok(text)
        });
        match text {
            Ok(text) => Some(Arc::new(Source { path, text })),
            Err(message) => {
                self.problems.push(Problem::error(Place::path(path), message));
                None
            }
        }
    }

    fn pass_over(&mut self, name: &str, path: PathBuf) {
        let meant = did_you_mean(name, [GATEWAY, CATEGORIES, CALENDAR, SCHEDULES, CAMERAS, SENSORS, RULES]);
        // Folders of secrets and certificates lie here as well.
        if meant.is_none() && !name.ends_with(".d") && path.is_dir() {
            return;
        }
        let help = meant.map(|meant| format!("did you mean `{meant}`?"));
        let message = format!(
            "{name} is not read: the configuration is {GATEWAY}, {CATEGORIES}, {CALENDAR}, {SCHEDULES}, {CAMERAS}/*.toml, \
             {SENSORS}/*.toml and {RULES}/*.toml"
        );
        self.problems.push(Problem::warning(Place::path(path), message).help(help));
    }
}

/// What editors, packagers and people leave beside the files they change.
pub(super) fn is_backup(name: &str) -> bool {
    const ENDINGS: [&str; 11] =
        ["~", ".bak", ".orig", ".old", ".swp", ".swo", ".tmp", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".ucf-dist"];
    name.starts_with(['.', '#']) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("the file cannot be read: {error}");
    // Asked before opening: opening a pipe nobody writes to would wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("the file is not UTF-8 text (line {line}); save it as UTF-8")
    })
}
