//! Series and windows as NAB lays them out: `<group>/<name>.csv` with the columns `timestamp,value`, and one JSON file
//! that lists each series' windows by the time stamps of their first and last row.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use jiff::{civil::DateTime, tz::TimeZone};

use super::scorer::rows_between;

/// The names that the file of windows goes by: in a cut-out of the corpus, and in NAB's own tree.
const WINDOWS: [&str; 3] = ["windows.json", "combined_windows.json", "../labels/combined_windows.json"];

/// One series with its labelled windows.
#[derive(Debug, Clone)]
pub struct Series {
    /// `<group>/<name>.csv`.
    pub name: String,
    /// Seconds, in the series' own clock read as UTC; ascending but for what the data itself repeats.
    pub times: Vec<f64>,
    /// One value a time.
    pub values: Vec<f64>,
    /// Rows of the labelled windows, in order.
    pub windows: Vec<RangeInclusive<usize>>,
}

/// Why a corpus could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// None of the files that may list the windows is there.
    #[error("{}: no file of windows ({})", .0.display(), WINDOWS.join(", "))]
    NoWindows(PathBuf),
    /// The file of windows is not what it should be.
    #[error("{}: {source}", path.display())]
    Windows {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A row is not a time and a number.
    #[error("{}, line {line}: {text:?} is not a time and a number", path.display())]
    Row {
        /// Of which file.
        path: PathBuf,
        /// The first line is 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// There are no rows in a window, or its times are none.
    #[error("{name}: no rows between {first} and {last}, where a window should be")]
    Window {
        /// The series.
        name: String,
        /// The window's first time stamp.
        first: String,
        /// The window's last time stamp.
        last: String,
    },
}

/// Reads every series under `folder` that the file of windows names, in the order of their names.
///
/// # Errors
/// The first file, row or window that is not what it should be.
pub fn read(folder: &Path) -> Result<Vec<Series>, CorpusError> {
    let path = WINDOWS
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| CorpusError::NoWindows(folder.to_owned()))?;
    let text = read_text(&path)?;
    let windows: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).map_err(|source| CorpusError::Windows { path, source })?;
    windows.iter().map(|(name, windows)| read_series(folder, name, windows)).collect()
}

fn read_series(folder: &Path, name: &str, windows: &[(String, String)]) -> Result<Series, CorpusError> {
    let path = folder.join(name);
    let text = read_text(&path)?;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for (index, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.trim().is_empty()) {
        let cells = row.split_once(',').and_then(|(time, value)| Some((seconds(time)?, value.trim().parse().ok()?)));
        let (time, value) =
            cells.ok_or_else(|| CorpusError::Row { path: path.clone(), line: index + 1, text: row.to_owned() })?;
        times.push(time);
        values.push(value);
    }
    let rows = |(first, last): &(String, String)| rows_between(&times, seconds(first)?, seconds(last)?);
    let mut windows = windows
        .iter()
        .map(|window| {
            rows(window).ok_or_else(|| CorpusError::Window {
                name: name.to_owned(),
                first: window.0.clone(),
                last: window.1.clone(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    windows.sort_by_key(|window| *window.start());
    Ok(Series { name: name.to_owned(), times, values, windows })
}

fn read_text(path: &Path) -> Result<String, CorpusError> {
    fs::read_to_string(path).map_err(|source| CorpusError::Read { path: path.to_owned(), source })
}

/// `2014-04-10 07:15:00` with or without a fraction, as seconds since 1970 in that same clock.
fn seconds(text: &str) -> Option<f64> {
    let time: DateTime = text.trim().parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(rows: &str, windows: &str) -> Result<Vec<Series>, CorpusError> {
        let folder = std::env::temp_dir().join(format!("snowgate-nab-{}-{:p}", std::process::id(), rows));
        fs::create_dir_all(folder.join("group")).unwrap();
        fs::write(folder.join("group/a.csv"), rows).unwrap();
        fs::write(folder.join("windows.json"), windows).unwrap();
        let read = read(&folder);
        fs::remove_dir_all(&folder).unwrap();
        read
    }

    const ROWS: &str = "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2.5\n2014-04-01 00:10:00,-3e2\n";

    #[test]
    fn series_come_with_their_windows_as_rows() {
        let windows = r#"{"group/a.csv": [["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]]}"#;
        let series = corpus(ROWS, windows).unwrap().remove(0);
        assert_eq!(series.values, [1.0, 2.5, -300.0]);
        assert_eq!(series.times[1] - series.times[0], 300.0);
        assert_eq!(series.times[0], 1_396_310_400.0);
        assert_eq!(series.windows, [1..=2]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let windows = r#"{"group/a.csv": [["2014-04-01 00:11:00", "2014-04-01 00:20:00"]]}"#;
        assert!(corpus(ROWS, windows).unwrap_err().to_string().contains("no rows between 2014-04-01 00:11:00"));
        let error = corpus("timestamp,value\n2014-04-01 00:00:00,x\n", r#"{"group/a.csv": []}"#).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
