//! A change to a configuration that somebody may make: one key of one rule, as a unified diff. Nothing is written.

use std::{ops::Range, path::PathBuf};

use serde::Serialize;
use snowgate_core::{
    ids::Id,
    spec::{Span, Value},
};

use super::{CameraConfig, SensorConfig, Source, redact::redact};

/// Lines shown before and after what changes.
const CONTEXT: usize = 3;

/// A change of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The file.
    pub path: PathBuf,
    /// The line that changes, or after which one is added; from 1.
    pub line: usize,
    /// The change as a unified diff, as `patch -p0` takes it. What looks like a secret is covered.
    pub diff: String,
}

impl CameraConfig {
    /// Gives a key of one of its rules a value, which is written as TOML has it. `None` if there is no such rule.
    pub fn set_rule_key(&self, rule: &Id, key: &str, value: &str) -> Option<Edit> {
        set(&self.source, rule, key, value)
    }
}

impl SensorConfig {
    /// As [`CameraConfig::set_rule_key`].
    pub fn set_rule_key(&self, rule: &Id, key: &str, value: &str) -> Option<Edit> {
        set(&self.file, rule, key, value)
    }
}

fn set(source: &Source, rule: &Id, key: &str, value: &str) -> Option<Edit> {
    let text = redact(&source.text);
    let root = toml_span::parse(&source.text).ok()?;
    let is_meant = |table: &&Value<'_>| table.pointer("/id").and_then(Value::as_str) == Some(rule.as_str());
    let table = root.pointer("/rules")?.as_array()?.iter().find(is_meant)?;
    let written = table.pointer(&format!("/{key}")).map(|value| with_quotes(&text, value.span));
    let id = with_quotes(&text, table.pointer("/id")?.span);
    let line = line_around(&text, written.as_ref().map_or(id.end, |written| written.start));
    let (before, ending) = split_ending(&text[line.clone()]);
    let stands_alone =
        text[id.end..].lines().next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('#'));
    let after = match written {
        Some(written) => vec![replaced(before, written.start - line.start..written.end - line.start, value)],
        None if stands_alone => {
            let indent = &before[..before.len() - before.trim_start().len()];
            vec![before.to_owned(), format!("{indent}{key} = {value}")]
        }
        None => {
            let end = id.end - line.start;
            vec![replaced(before, end..end, &format!(", {key} = {value}"))]
        }
    };
    let number = text[..line.start].matches('\n').count() + 1;
    let diff = diff(source, &text, number, &after, ending);
    Some(Edit { path: source.path.clone(), line: number, diff })
}

/// The place of a value with its quotes, where it is a text.
fn with_quotes(text: &str, span: Span) -> Range<usize> {
    let is_quote = |byte: Option<&u8>| byte.filter(|byte| matches!(byte, b'"' | b'\'')).copied();
    let bytes = text.as_bytes();
    let before = span.start.checked_sub(1).and_then(|before| is_quote(bytes.get(before)));
    match (before, is_quote(bytes.get(span.end))) {
        (Some(opening), Some(closing)) if opening == closing => span.start - 1..span.end + 1,
        _ => span.start..span.end,
    }
}

/// The line that a place is in, with its ending.
fn line_around(text: &str, place: usize) -> Range<usize> {
    let start = text[..place].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[place..].find('\n').map_or(text.len(), |length| place + length + 1);
    start..end
}

fn split_ending(line: &str) -> (&str, &str) {
    let content = line.trim_end_matches(['\r', '\n']);
    line.split_at(content.len())
}

fn replaced(line: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &line[..range.start], &line[range.end..])
}

/// The diff that puts `after` into the place of the line of that number, which ends like this.
fn diff(source: &Source, text: &str, number: usize, after: &[String], ending: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let index = number - 1;
    let (from, to) = (index.saturating_sub(CONTEXT), (index + 1 + CONTEXT).min(lines.len()));
    let path = source.path.display();
    let (count, added) = (to - from, after.len() - 1);
    let mut diff = format!("--- {path}\n+++ {path}\n@@ -{0},{count} +{0},{1} @@\n", from + 1, count + added);
    let mut put = |sign: char, line: &str| {
        diff.push(sign);
        diff.push_str(line);
        if !line.ends_with('\n') {
            diff.push_str("\n\\ No newline at end of file\n");
        }
    };
    lines[from..index].iter().for_each(|line| put(' ', line));
    // A line that stays and has no ending must change to be followed by another.
    let stays = after.len() > 1 && ending.ends_with('\n');
    put(if stays { ' ' } else { '-' }, lines[index]);
    for (place, line) in after.iter().enumerate().skip(usize::from(stays)) {
        let is_last = place + 1 == after.len();
        let ending = if ending.is_empty() && !is_last { "\n" } else { ending };
        put('+', &format!("{line}{ending}"));
    }
    lines[index + 1..to].iter().for_each(|line| put(' ', line));
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, key: &str, value: &str) -> Edit {
        let source = Source { path: "cameras.d/a.toml".into(), text: text.to_owned() };
        set(&source, &"r".parse().unwrap(), key, value).unwrap()
    }

    #[test]
    fn a_key_that_is_there_is_changed_in_its_place() {
        let text = "id = 'a'\n\n[[rules]]\nid = 'x'\nmin_score = 0.3\n\n[[rules]]\nid = \"r\"\nmin_score = 0.4 # low\nfor = \"2s\"\n";
        let Edit { line, diff, .. } = edit(text, "min_score", "0.52");
        assert_eq!(line, 9);
        assert_eq!(
            diff,
            "--- cameras.d/a.toml\n+++ cameras.d/a.toml\n@@ -6,5 +6,5 @@\n \n [[rules]]\n id = \"r\"\n-min_score = 0.4 # low\n\
             +min_score = 0.52 # low\n for = \"2s\"\n"
        );
        assert!(edit(text, "for", "\"3s\"").diff.ends_with("-for = \"2s\"\n+for = \"3s\"\n"));
    }

    #[test]
    fn a_key_that_was_left_out_is_added_after_the_id() {
        let diff = edit("[[rules]]\n  id = 'r' # mine\n  zone = 'z'\n", "for", "\"3s\"").diff;
        assert!(
            diff.ends_with("@@ -1,3 +1,4 @@\n [[rules]]\n   id = 'r' # mine\n+  for = \"3s\"\n   zone = 'z'\n"),
            "{diff}"
        );
        let diff = edit("rules = [{ id = 'r', zone = 'z' }]\n", "for", "\"3s\"").diff;
        assert!(diff.ends_with("+rules = [{ id = 'r', for = \"3s\", zone = 'z' }]\n"), "{diff}");
    }

    #[test]
    fn the_last_line_of_a_file_may_have_no_ending() {
        let diff = edit("[[rules]]\nzone = 'z'\nid = 'r'", "for", "\"3s\"").diff;
        let none = "\\ No newline at end of file\n";
        assert!(diff.ends_with(&format!("-id = 'r'\n{none}+id = 'r'\n+for = \"3s\"\n{none}")), "{diff}");
    }

    #[test]
    fn secrets_beside_it_are_not_shown() {
        let diff = edit("password = 'geheim'\n[[rules]]\nid = 'r'\n", "for", "\"3s\"").diff;
        assert!(!diff.contains("geheim"), "{diff}");
    }

    #[test]
    fn a_rule_that_is_not_there_is_not_changed() {
        let source = Source { path: "a.toml".into(), text: "id = 'r'\n[[rules]]\nid = 'x'\n".to_owned() };
        assert_eq!(set(&source, &"r".parse().unwrap(), "for", "\"3s\""), None);
    }
}
