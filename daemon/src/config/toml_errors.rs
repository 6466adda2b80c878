//! A TOML library's errors as sentences for operators, each at its place.

use std::sync::Arc;

use snowgate_core::spec::{DeserError, Deserialize, Error, ErrorKind, Span, Value, ValueInner};

use super::{
    mend,
    problem::{Place, Problem, Problems, Source},
    suggest::suggestion,
};

/// Reads a whole file as a `T`; every mistake goes to `problems`. Where the mistakes can be taken out, what is left is
/// answered all the same, so that it can be held against the other files.
pub(super) fn read<T: for<'de> Deserialize<'de>>(source: &Arc<Source>, problems: &mut Problems) -> Option<T> {
    let read =
        toml_span::parse(&source.text).map_err(DeserError::from).and_then(|mut value| T::deserialize(&mut value));
    read.or_else(|error| {
        problems.extend(error.errors.iter().flat_map(|error| translate(error, source)));
        let mut rest = mend::without(&source.text, &error.errors).ok_or(error)?;
        T::deserialize(&mut rest)
    })
    .ok()
}

/// The place of the value that a JSON pointer (`/stream/latency`) leads to; the whole file where it is a default.
pub(super) fn place_of(source: &Arc<Source>, pointer: &str) -> Place {
    let parsed = toml_span::parse(&source.text).ok();
    let span = parsed.as_ref().and_then(|root| root.pointer(pointer)).map(|value| value.span);
    span.map_or_else(|| Place::file(source), |span| Place::span(source, span))
}

/// The place of the value at `pointer` in the table in which a value stands at `span`; where it is a default, the place of
/// that one.
pub(super) fn place_beside(source: &Arc<Source>, span: Span, pointer: &str) -> Place {
    let parsed = toml_span::parse(&source.text).ok();
    let beside = parsed.as_ref().and_then(|root| find_holder(root, span)).and_then(|table| table.pointer(pointer));
    Place::span(source, beside.map_or(span, |value| value.span))
}

/// The table in which a value stands at `span`.
fn find_holder<'v, 'de>(value: &'v Value<'de>, span: Span) -> Option<&'v Value<'de>> {
    match value.as_ref() {
        ValueInner::Table(table) => match table.values().any(|child| child.span == span) {
            true => Some(value),
            false => table.values().find_map(|child| find_holder(child, span)),
        },
        ValueInner::Array(elements) => elements.iter().find_map(|element| find_holder(element, span)),
        _ => None,
    }
}

pub(super) fn translate(error: &Error, source: &Arc<Source>) -> Vec<Problem> {
    let problem = |message: String| Problem::error(Place::span(source, error.span), message);
    let related = |first: Span, why| (Place::span(source, first), why);
    let one = match &error.kind {
        ErrorKind::UnexpectedKeys { keys, expected } => {
            let table = table_at(source, error.span);
            return keys
                .iter()
                .map(|(key, span)| unknown_key(key, *span, expected, table.as_deref(), source))
                .collect();
        }
        ErrorKind::MissingField(key) => {
            let table = table_at(source, error.span).map_or_else(String::new, |table| format!(" in {table}"));
            problem(format!("missing key `{key}`{table}"))
        }
        ErrorKind::UnexpectedValue { expected, value } => {
            let words = expected.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
            let found = value.as_deref().unwrap_or("this");
            problem(format!("wanted one of {words}, found {found:?}")).help(
                super::suggest::did_you_mean(found, expected.iter().copied())
                    .map(|meant| format!("did you mean {meant:?}?")),
            )
        }
        ErrorKind::Wanted { expected, found } => problem(format!("wanted {}, found {}", wanted(expected), a(found))),
        ErrorKind::OutOfRange(kind) => problem(format!("wanted a whole number {}", range_of(kind))),
        ErrorKind::Custom(message) => problem(message.to_string()),
        ErrorKind::DuplicateKey { key, first } => {
            let (place, why) = related(*first, "first given here");
            problem(format!("key `{key}` is given twice")).related(place, why)
        }
        ErrorKind::DuplicateTable { name, first } => {
            let (place, why) = related(*first, "first defined here");
            problem(format!("table `{name}` is defined twice"))
                .help(format!("several of a kind are written [[{name}]]"))
                .related(place, why)
        }
        ErrorKind::RedefineAsArray => problem("this table is already defined with single brackets".to_owned()),
        ErrorKind::DottedKeyInvalidType { first } => {
            let (place, why) = related(*first, "defined here");
            problem("this key goes into something that is not a table".to_owned()).related(place, why)
        }
        ErrorKind::UnquotedString => problem("a value is missing or is text without quotes".to_owned())
            .help("text is written in quotes: key = \"value\"".to_owned()),
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString('\n' | '\r') => {
            problem("the text's closing quote is missing".to_owned())
        }
        ErrorKind::UnexpectedEof => problem("the file ends in the middle of something".to_owned()),
        ErrorKind::ExceededDepthLimit => problem("tables and arrays are nested too deeply".to_owned()),
        ErrorKind::InvalidNumber => problem("this is not a number".to_owned())
            .help("text, times and dates are written in quotes: key = \"value\"".to_owned()),
        ErrorKind::MultilineStringKey => problem("a key must stand on one line".to_owned()),
        ErrorKind::Unexpected(quote @ ('“' | '”' | '‘' | '’' | '＂')) => {
            problem(format!("unexpected {quote:?}")).help("write straight quotes: key = \"value\"".to_owned())
        }
        ErrorKind::Unexpected(character) => problem(format!("unexpected {character:?}")),
        ErrorKind::InvalidCharInString(character) => problem(format!("{character:?} cannot stand in a text")),
        ErrorKind::InvalidEscape(character) | ErrorKind::InvalidHexEscape(character) => {
            problem(format!("a backslash cannot be followed by {character:?} here"))
                .help("for a plain backslash write \\\\, or put the text in single quotes".to_owned())
        }
        ErrorKind::InvalidEscapeValue(value) => problem(format!("{value:x} is not the number of a character")),
        ErrorKind::Deprecated { old, new } => problem(format!("`{old}` is now called `{new}`")),
    };
    vec![one]
}

/// Keys that name a file with a secret.
const SECRET_FILES: [&str; 2] = ["password_file", "token_file"];

fn unknown_key(key: &str, span: Span, expected: &[String], table: Option<&str>, source: &Arc<Source>) -> Problem {
    let place = Place::span(source, span);
    let table = table.map_or_else(String::new, |table| format!(" in {table}"));
    let problem = Problem::error(place, format!("unknown key `{key}`{table}"));
    let looks_secret = ["password", "passwd", "secret", "token"].contains(&key);
    if looks_secret && let Some(file) = expected.iter().find(|known| SECRET_FILES.contains(&known.as_str())) {
        return problem.help(format!(
            "secrets are not written into the configuration: write it into a file of its own and name that in {file}"
        ));
    }
    if key == "url" && expected.iter().any(|known| known == "record") {
        return problem.help(
            "did you mean detect (the stream that is watched) or record (the stream that is kept for evidence)? \
             Either alone serves both"
                .to_owned(),
        );
    }
    let mut known: Vec<&str> = expected.iter().map(String::as_str).collect();
    known.sort_unstable();
    problem.help(suggestion(key, known, "known keys"))
}

/// What was wanted, in an operator's words.
fn wanted(expected: &'static str) -> &'static str {
    match expected {
        "a bool" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "a string" => "a text in quotes",
        other => other,
    }
}

/// The numbers an integer type holds.
fn range_of(kind: &str) -> &'static str {
    match kind {
        "u8" => "from 0 to 255",
        "u16" => "from 0 to 65535",
        "u32" => "from 0 to 4294967295",
        _ => "of at least 0",
    }
}

/// What was found, with its article.
fn a(found: &str) -> String {
    match found {
        "string" => "a text".to_owned(),
        "boolean" | "bool" => "true or false".to_owned(),
        "a newline" | "newline" => "the end of the line".to_owned(),
        "eof" => "the end of the file".to_owned(),
        found if found.starts_with("a ") || found.starts_with("an ") => found.to_owned(),
        found if found.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {found}"),
        found => format!("a {found}"),
    }
}

/// How the table with this span is written: `[stream]`, `[[rules]]`; `None` for the file itself.
fn table_at(source: &Source, span: Span) -> Option<String> {
    let root = toml_span::parse(&source.text).ok()?;
    find_table(&root, span, "")
}

fn find_table(value: &Value<'_>, span: Span, path: &str) -> Option<String> {
    for (key, child) in value.as_table()? {
        let path = if path.is_empty() { key.name.to_string() } else { format!("{path}.{}", key.name) };
        if let Some(elements) = child.as_array() {
            for element in elements {
                if element.as_table().is_some() && element.span == span {
                    return Some(format!("[[{path}]]"));
                }
                if let Some(found) = find_table(element, span, &path) {
                    return Some(found);
                }
            }
        } else if child.as_table().is_some() {
            // Looked at first: a table's span starts where its only sub-table's does.
            if let Some(found) = find_table(child, span, &path) {
                return Some(found);
            }
            if child.span == span {
                return Some(format!("[{path}]"));
            }
        }
    }
    None
}
