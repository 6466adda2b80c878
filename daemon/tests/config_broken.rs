//! The example configuration, broken at random: whatever is done to it is refused with file, line and column, and never
//! with a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use snowgate::config::{Config, Severity};

/// What is done to one statement of one file.
#[derive(Debug, Clone, Copy)]
enum Mistake {
    UnknownKey,
    MisspeltKey,
    SameKeyTwice,
    NoValue,
    ValueOfAnotherType,
    OpenString,
    OpenBracket,
    ControlCharacter,
    StrayBracket,
}

impl Mistake {
    const ALL: [Self; 9] = [
        Self::UnknownKey,
        Self::MisspeltKey,
        Self::SameKeyTwice,
        Self::NoValue,
        Self::ValueOfAnotherType,
        Self::OpenString,
        Self::OpenBracket,
        Self::ControlCharacter,
        Self::StrayBracket,
    ];

    /// The statement `key = value`, with this mistake.
    fn made_in(self, statement: &str) -> String {
        let (key, value) = statement.split_once('=').unwrap();
        let key = key.trim();
        match self {
            Self::UnknownKey => format!("unheard_of = 1\n{statement}"),
            Self::MisspeltKey => format!("{key}_x ={value}"),
            Self::SameKeyTwice => format!("{statement}\n{statement}"),
            Self::NoValue => format!("{key} ="),
            // No setting is a table with this key and value in it.
            Self::ValueOfAnotherType => format!("{key} = {{ unheard_of = [[]] }}"),
            Self::OpenString => format!("{key} = \"open"),
            Self::OpenBracket => format!("{key} = [[[{value}"),
            Self::ControlCharacter => format!("{key} = \"\u{1}\""),
            Self::StrayBracket => format!("{statement} ]"),
        }
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/example")
}

/// Every file of the example, by its name in the directory.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["", "cameras.d", "sensors.d", "rules.d"] {
        for entry in fs::read_dir(example().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let name = path.strip_prefix(example()).unwrap().to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The numbers of the lines that are one whole statement `key = value` each.
fn statements(text: &str) -> Vec<usize> {
    let mut depth = 0_i32;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let before = depth;
        let code = if line.starts_with('#') { "" } else { line };
        depth += code.matches(['[', '{']).count() as i32 - code.matches([']', '}']).count() as i32;
        if before == 0 && depth == 0 && code.starts_with(|c: char| c.is_ascii_lowercase()) && code.contains(" = ") {
            found.push(number);
        }
    }
    found
}

fn write(directory: &Path, files: &[(String, String)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn unbroken_it_is_not_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &files());
    let config = Config::load(directory.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.cameras.len() + config.sensors.len() > 5 && config.joined.len() > 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn broken_anywhere_it_is_refused_with_file_line_and_column(
        file in any::<prop::sample::Index>(),
        line in any::<prop::sample::Index>(),
        mistake in prop::sample::select(&Mistake::ALL[..]),
    ) {
        let mut files = files();
        let (name, text) = file.get_mut(&mut files);
        let at = *line.get(&statements(text));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[at] = mistake.made_in(&lines[at]);
        *text = lines.join("\n");
        let name = name.clone();
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &files);
        let Err(problems) = Config::load(directory.path()) else {
            return Err(TestCaseError::fail(format!("{name}:{}: {mistake:?} is not refused: {}", at + 1, lines[at])));
        };
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let here: Vec<_> = errors.filter(|problem| problem.place.source().path.ends_with(&name)).collect();
        let places: Vec<_> = here.iter().filter_map(|problem| problem.place.line_and_column()).collect();
        let rendered = problems.render(false);
        prop_assert!(!places.is_empty(), "{}", rendered);
        for (line, column) in places {
            prop_assert!(rendered.contains(&format!("{name}:{line}:{column}")), "{}", rendered);
        }
    }
}
