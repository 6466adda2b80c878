//! A sensor's recording: CSV with a header, a column of times and a column for each quantity.
//!
//! - The times' column is called timestamp, time, datetime, date, measured, arrived, 时间, 采集时间 or 测量时间. A time is RFC 3339, the same without a
//!   zone (China Standard Time, as devices mean it), `2026/5/1 8:00` as spreadsheets write it, or the seconds,
//!   milliseconds… since 1970.
//! - A quantity's column is called by its id or its name, or `value` where the sensor has one quantity. A value is a number,
//!   or true or false; an empty cell is no reading.
//! - A line that is none of this is named and passed over.
//!
//! The file is read as a stream, and no row may be longer than [`MAX_ROW_BYTES`].

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator, Trim};
use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz};
use snowgate_core::sensor::{json::time_of, spec::QuantitySpec};

/// The most that one row may hold.
const MAX_ROW_BYTES: usize = 64 << 10;
/// Names of the times' column, the first that is there counts.
const TIMES: [&str; 9] =
    ["timestamp", "time", "datetime", "date", "measured", "arrived", "时间", "采集时间", "测量时间"];
/// How spreadsheets write times.
const SPREADSHEET: [&str; 3] = ["%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M"];

/// What spreadsheets write that is no CSV in UTF-8 with commas, and how to have them write that.
fn unreadable(cell: &[u8]) -> Option<&'static str> {
    if cell.contains(&0) || cell.starts_with(&[0xFF, 0xFE]) || std::str::from_utf8(cell).is_err() {
        return Some("the file is not in UTF-8: save it as \"CSV UTF-8 (comma delimited)\"");
    }
    cell.contains(&b';').then_some("columns are separated by commas, and here stand semicolons")
}

/// A table of readings that is read row by row.
pub struct Recording<R> {
    path: PathBuf,
    reader: Reader<Bounded<R>>,
    record: ByteRecord,
    time: usize,
    /// For each quantity of the sensor: its column, if it has one.
    columns: Vec<Option<usize>>,
    unused: Vec<String>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it was measured.
    pub at: Timestamp,
    /// Values and the numbers of their quantities, in the sensor's order.
    pub values: Vec<(usize, f64)>,
}

/// A row that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// Counted from 1, the header included.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// Why a table cannot be read (any further).
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The first line does not name what is needed.
    #[error("{}, line 1: {what}", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
}

impl Recording<File> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or its header names no times or none of the quantities.
    pub fn open(path: &Path, quantities: &[QuantitySpec]) -> Result<Self, RecordingError> {
        let file = File::open(path).map_err(|source| RecordingError::Read { path: path.to_owned(), source })?;
        Self::new(file, path, quantities)
    }
}

impl<R: Read> Recording<R> {
    /// Reads the header of a table that is called `path` in messages.
    ///
    /// # Errors
    /// As [`open`](Recording::open).
    pub fn new(file: R, path: &Path, quantities: &[QuantitySpec]) -> Result<Self, RecordingError> {
        let bounded = Bounded { inner: file, left: MAX_ROW_BYTES };
        let mut reader = ReaderBuilder::new();
        // A carriage return before it is white space.
        reader.has_headers(false).flexible(true).trim(Trim::All).terminator(Terminator::Any(b'\n'));
        let reader = reader.from_reader(bounded);
        let mut recording = Self {
            path: path.to_owned(),
            reader,
            record: ByteRecord::new(),
            time: 0,
            columns: Vec::new(),
            unused: Vec::new(),
        };
        if !recording.read()? {
            return Err(recording.header("the file is empty; it begins with a line of column names"));
        }
        if let Some(why) = recording.record.iter().find_map(unreadable) {
            return Err(recording.header(why));
        }
        let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim_start_matches('\u{feff}').trim().to_owned();
        let header: Vec<String> = recording.record.iter().map(name).collect();
        recording.find_columns(&header, quantities)?;
        Ok(recording)
    }

    /// Columns that are neither the times nor a quantity.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// The numbers of quantities that no column is there for.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_none()).map(|(quantity, _)| quantity)
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub fn next_row(&mut self) -> Result<Option<Result<Row, BadLine>>, RecordingError> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            // Tables end in lines of nothing, or of commas.
            if self.record.iter().any(|cell| !cell.is_empty()) {
                break;
            }
        }
        // The record's own position is that of empty lines before it; the reader stands behind it, unless the file ends there.
        let line =
            self.record.position().map_or(0, csv::Position::line).max(self.reader.position().line().saturating_sub(1));
        Ok(Some(self.row().map_err(|what| BadLine { line, what })))
    }

    fn read(&mut self) -> Result<bool, RecordingError> {
        self.reader.get_mut().left = MAX_ROW_BYTES;
        self.reader.read_byte_record(&mut self.record).map_err(|error| {
            let message = error.to_string();
            let source = match error.into_kind() {
                csv::ErrorKind::Io(source) => source,
                _ => io::Error::other(message),
            };
            RecordingError::Read { path: self.path.clone(), source }
        })
    }

    fn header(&self, what: impl Into<String>) -> RecordingError {
        RecordingError::Header { path: self.path.clone(), what: what.into() }
    }

    fn find_columns(&mut self, header: &[String], quantities: &[QuantitySpec]) -> Result<(), RecordingError> {
        let column = |wanted: &str| header.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        self.time = TIMES.iter().find_map(|name| column(name)).ok_or_else(|| {
            self.header(format!("there is no column of times ({}) among {}", TIMES.join(", "), header.join(", ")))
        })?;
        let alone = quantities.len() == 1;
        let of = |quantity: &QuantitySpec| {
            let named = column(quantity.id.value.as_str());
            let named = named.or_else(|| column(quantity.name.0.as_deref()?));
            named.or_else(|| column("value").filter(|_| alone)).filter(|column| *column != self.time)
        };
        self.columns = quantities.iter().map(of).collect();
        if self.columns.iter().all(Option::is_none) {
            let ids: Vec<_> = quantities.iter().map(|quantity| quantity.id.value.as_str()).collect();
            let or_value = if alone { " or value" } else { "" };
            return Err(self.header(format!(
                "there is no column of the sensor's quantities ({}{or_value}) among {}",
                ids.join(", "),
                header.join(", ")
            )));
        }
        let used = |column: usize| column == self.time || self.columns.contains(&Some(column));
        self.unused = header.iter().enumerate().filter(|(i, _)| !used(*i)).map(|(_, name)| name.clone()).collect();
        Ok(())
    }

    fn row(&self) -> Result<Row, String> {
        let at = self.cell(self.time)?.ok_or("there is no time")?;
        let at = time(at).ok_or_else(|| format!("{:?} is no time", shown(at)))?;
        let mut values = Vec::new();
        for (quantity, column) in self.columns.iter().enumerate() {
            let Some(cell) = column.map(|column| self.cell(column)).transpose()?.flatten() else { continue };
            let value = value(cell).ok_or_else(|| format!("{:?} is no value", shown(cell)))?;
            values.push((quantity, value));
        }
        Ok(Row { at, values })
    }

    /// The text of a cell; `None` where there is none.
    fn cell(&self, column: usize) -> Result<Option<&str>, String> {
        let Some(cell) = self.record.get(column) else { return Ok(None) };
        let cell = std::str::from_utf8(cell).map_err(|_| "it is not UTF-8".to_owned())?;
        Ok(Some(cell).filter(|cell| !cell.is_empty()))
    }
}

fn time(text: &str) -> Option<Timestamp> {
    time_of(text).or_else(|| {
        let spreadsheet = |format| strtime::parse(format, text).ok()?.to_datetime().ok();
        let time: DateTime = SPREADSHEET.into_iter().find_map(spreadsheet)?;
        tz::TimeZone::fixed(tz::offset(8)).to_timestamp(time).ok()
    })
}

fn value(text: &str) -> Option<f64> {
    match text {
        "true" | "TRUE" | "True" => Some(1.0),
        "false" | "FALSE" | "False" => Some(0.0),
        number => number.parse().ok(),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A reader that gives up on rows without an end.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let message = format!("a row is longer than {} KiB: this is no table of readings", MAX_ROW_BYTES >> 10);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::spec::read_table;

    use super::*;

    fn quantities(ids: &[&str]) -> Vec<QuantitySpec> {
        let spec = |id: &&str| read_table(&mut toml_span::parse(&format!("id = {id:?}\nname = '{id} name'")).unwrap());
        ids.iter().map(|id| spec(id).unwrap()).collect()
    }

    fn open<'a>(text: &'a [u8], ids: &[&str]) -> Result<Recording<&'a [u8]>, String> {
        Recording::new(text, Path::new("a.csv"), &quantities(ids)).map_err(|error| error.to_string())
    }

    fn rows(text: &str, ids: &[&str]) -> Vec<Result<Row, String>> {
        let mut recording = open(text.as_bytes(), ids).unwrap();
        let next = || recording.next_row().unwrap().map(|row| row.map_err(|bad| bad.to_string()));
        std::iter::from_fn(next).collect()
    }

    fn at(time: &str, values: &[(usize, f64)]) -> Result<Row, String> {
        Ok(Row { at: time.parse().unwrap(), values: values.to_vec() })
    }

    #[test]
    fn columns_are_found_by_id_or_name_in_any_order() {
        let text =
            "\u{feff}Rain name, note ,TIME,level\n0.5,x,2026-05-01T08:00:00+08:00,2.5\n,y,2026-05-01 08:05:00,true\n";
        assert_eq!(
            rows(text, &["level", "rain", "door"]),
            [at("2026-05-01T00:00:00Z", &[(0, 2.5), (1, 0.5)]), at("2026-05-01T00:05:00Z", &[(0, 1.0)]),]
        );
        let recording = open(text.as_bytes(), &["level", "rain", "door"]).unwrap();
        assert_eq!((recording.unused(), recording.missing().collect::<Vec<_>>()), (&["note".to_owned()][..], vec![2]));
    }

    #[test]
    fn times_come_as_devices_and_spreadsheets_write_them() {
        for time in [
            "2014-02-14 14:30:00",
            "2014-02-14T14:30:00",
            "2014-02-14T06:30:00Z",
            "2014/2/14 14:30",
            "2014-02-14 14:30",
            "1392359400",
            "1392359400000",
            "\"2014-02-14T14:30:00+08:00\"",
        ] {
            let rows = rows(&format!("timestamp,value\n{time},1\n"), &["level"]);
            assert_eq!(rows, [at("2014-02-14T06:30:00Z", &[(0, 1.0)])], "{time}");
        }
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        let found = rows("time,value\r\n2026-05-01 08:00:00,\"1\"\r\n\r\nx,2\r\n2026-05-01 08:10:00,3", &["level"]);
        assert_eq!(found[0], at("2026-05-01T00:00:00Z", &[(0, 1.0)]));
        assert_eq!(found.iter().filter_map(|row| row.as_ref().err()).collect::<Vec<_>>(), ["line 4: \"x\" is no time"]);
        assert_eq!(found.last(), Some(&at("2026-05-01T00:10:00Z", &[(0, 3.0)])));
    }

    #[test]
    fn bad_lines_are_named_and_the_others_read() {
        let text =
            "time,value\n2026-05-01 08:00:00,1\nyesterday,2\n2026-05-01 08:10:00,two\n\n,3\n2026-05-01 08:20:00,NaN\n";
        let found = rows(text, &["level"]);
        assert_eq!(found.len(), 5);
        let errors: Vec<_> = found.iter().filter_map(|row| row.as_ref().err()).collect();
        assert_eq!(
            errors,
            ["line 3: \"yesterday\" is no time", "line 4: \"two\" is no value", "line 6: there is no time"]
        );
        assert!(found[4].as_ref().unwrap().values[0].1.is_nan());
    }

    #[test]
    fn a_header_without_what_is_needed_says_what_is_there() {
        let error = |text: &str, ids: &[&str]| open(text.as_bytes(), ids).err().unwrap();
        assert!(error("", &["level"]).contains("a.csv, line 1: the file is empty"));
        assert!(error("when,value\n", &["level"]).contains("no column of times (timestamp, time"));
        let both = error("time,value\n", &["level", "rain"]);
        assert!(both.contains("quantities (level, rain) among time, value"), "{both}");
    }

    #[test]
    fn a_row_without_an_end_is_not_read_into_memory() {
        let text = [b"time,value\n".as_slice(), &vec![b'1'; 1 << 20]].concat();
        let mut recording = open(&text, &["level"]).unwrap();
        let error = recording.next_row().unwrap_err().to_string();
        assert!(error.contains("longer than 64 KiB"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_errors(text in prop::collection::vec(any::<u8>(), 0..300), header: bool) {
            let text = if header { [b"time,value\n".as_slice(), &text].concat() } else { text };
            if let Ok(mut recording) = open(&text, &["level"]) {
                while let Ok(Some(_)) = recording.next_row() {}
            }
        }
    }
}
