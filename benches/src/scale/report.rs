//! What a run found: printed while it goes on, kept as text and as JSON.

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{error::ScaleError, machine::Machine, table::Table};

/// A report that grows.
#[derive(Debug)]
pub struct Report {
    lines: Vec<String>,
    json: Map<String, Value>,
}

impl Report {
    /// An empty report of this machine.
    pub fn new(machine: &Machine) -> Self {
        let mut arguments = std::env::args();
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
        let command = format!("{program} {}", arguments.collect::<Vec<_>>().join(" "));
        let mut report = Self { lines: Vec::new(), json: Map::new() };
        report.line(command.trim_end());
        machine.lines().into_iter().for_each(|line| report.line(line));
        report.json.insert("command".into(), json!(command.trim_end()));
        report.keep("machine", machine);
        report
    }

    /// Says something.
    pub fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        println!("{line}");
        self.lines.push(line);
    }

    /// Begins a section.
    pub fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(heading);
        self.line("=".repeat(heading.chars().count()));
    }

    /// Shows a table.
    pub fn table(&mut self, table: &Table) {
        table.lines().into_iter().for_each(|line| self.line(line));
    }

    /// Keeps figures under a name in the JSON; a name that is taken becomes a list.
    pub fn keep(&mut self, name: &str, figures: &impl Serialize) {
        // Figures are plain structs; what cannot be written shows as its error.
        let value = serde_json::to_value(figures).unwrap_or_else(|error| json!(error.to_string()));
        match self.json.get_mut(name) {
            None => drop(self.json.insert(name.to_owned(), value)),
            Some(Value::Array(list)) => list.push(value),
            Some(taken) => *taken = json!([taken.take(), value]),
        }
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, file: &Path) -> Result<(), ScaleError> {
        write(file, &format!("{:#}\n", Value::Object(self.json.clone())))
    }

    /// Writes what was printed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_text(&self, file: &Path) -> Result<(), ScaleError> {
        write(file, &(self.lines.join("\n") + "\n"))
    }
}

fn write(file: &Path, text: &str) -> Result<(), ScaleError> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(ScaleError::file(folder))?;
    }
    fs::write(file, text).map_err(ScaleError::file(file))
}
