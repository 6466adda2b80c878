//! A comparison as a table for a terminal.

use std::io::{self, Write};

use snowgate_core::incidents::Locale;

use super::{
    cost::Cost,
    outcome::{ComparedClip, Comparison, Row, Sides, Told},
    words::Words,
};

/// Prints clip by clip what both told and what it took, and then what all took.
pub fn write(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let words = Words::of(Locale::En);
    let Sides { a, b } = &comparison.configs;
    writeln!(out, "A: {a}\nB: {b}")?;
    for clip in &comparison.clips {
        writeln!(out, "\n{}: {}", clip.clip, words.counts(clip.counts()))?;
        write_incidents(out, clip, words)?;
        write_cost(out, &clip.cost, words)?;
    }
    if comparison.clips.len() > 1 {
        writeln!(out, "\n{} clips", comparison.clips.len())?;
        write_cost(out, &comparison.cost(), words)?;
    }
    out.flush()
}

fn write_incidents(out: &mut impl Write, clip: &ComparedClip, words: &Words) -> io::Result<()> {
    for row in &clip.incidents {
        let (class, Sides { a, b }) = (words.class(row), row.sides());
        let differs = words.differences(row.differs()).map(|differs| format!(" ({differs})")).unwrap_or_default();
        writeln!(out, "  {class:9}  {:>15}  {:>15}  {}{differs}", time(a), time(b), what(row))?;
    }
    Ok(())
}

fn write_cost(out: &mut impl Write, cost: &Sides<Cost>, words: &Words) -> io::Result<()> {
    writeln!(out, "  {:<20}{:>12}{:>12}", "", "A", "B")?;
    for ((name, a), b) in words.cost.iter().zip(cost.a.figures()).zip(cost.b.figures()) {
        writeln!(out, "  {name:<20}{a:>12}{b:>12}")?;
    }
    Ok(())
}

fn time(told: Option<&Told>) -> String {
    told.map_or_else(|| "–".to_owned(), |told| format!("{:.1}–{:.1} s", told.incident.began, told.incident.last_seen))
}

/// `on-left-road at left-road`
fn what(row: &Row) -> String {
    let incident = &row.told().incident;
    let about = incident.area.as_ref().map(|area| format!(" at {area}"));
    let wrong = incident.condition.map(|condition| format!(": {condition}"));
    format!("{}{}{}", incident.rule, about.unwrap_or_default(), wrong.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::cli::compare::testing::comparison;

    #[test]
    fn a_small_table() {
        let mut out = Vec::new();
        super::write(&mut out, &comparison()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
