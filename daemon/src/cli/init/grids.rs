//! The grids that a box reports for, with everything above them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Levels of administrative codes and how long codes are at each, in digits: county (GB/T 2260), township (GB/T 10114),
/// village, grid, household.
const LEVELS: [(&str, usize); 5] = [("county", 6), ("township", 9), ("village", 12), ("grid", 15), ("household", 18)];

/// Where cameras cannot report.
const HOUSEHOLD: usize = 18;

/// A grid as somebody names it: `CODE` or `CODE=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Letters and digits.
    pub code: String,
    /// What people call it.
    pub name: Option<String>,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, name) = text.split_once('=').map_or((text, None), |(code, name)| (code, Some(name)));
        let (code, name) = (code.trim(), name.map(str::trim).filter(|name| !name.is_empty()));
        if code.is_empty() || code.len() > 64 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("{code:?} is no grid code: it has 1 to 64 letters and digits"));
        }
        Ok(Self { code: code.to_owned(), name: name.map(str::to_owned) })
    }
}

/// Codes and names, the ones above first. Codes of 6, 9, 12, 15 or 18 digits have theirs above them in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grids {
    /// By length and code, so that what is above comes first.
    nodes: BTreeMap<(usize, String), Option<String>>,
    /// Whether the codes are administrative ones.
    nested: bool,
    reports_to: Option<String>,
}

impl Grids {
    /// Those that are named, and what is above them.
    pub fn of(named: &[Named]) -> Self {
        let nested = named.iter().all(|grid| {
            let is_code = LEVELS.iter().any(|(_, length)| *length == grid.code.len());
            is_code && grid.code.bytes().all(|byte| byte.is_ascii_digit())
        });
        let mut nodes = BTreeMap::new();
        for Named { code, name } in named {
            let above = LEVELS.iter().map(|(_, length)| *length).filter(|length| nested && *length < code.len());
            for length in above {
                nodes.entry((length, code[..length].to_owned())).or_insert(None);
            }
            let known = nodes.entry((code.len(), code.clone())).or_insert(None);
            *known = name.clone().or(known.take());
        }
        // Of what is named the lowest: names may be given to what is above, too.
        let lowest = named.iter().filter(|grid| !nested || grid.code.len() < HOUSEHOLD);
        let reports_to = lowest.reduce(|a, b| if nested && b.code.len() > a.code.len() { b } else { a });
        Self { reports_to: reports_to.map(|grid| grid.code.clone()), nodes, nested }
    }

    /// The code that cameras report to: the lowest that is named, and not a household.
    pub fn for_cameras(&self) -> Option<&str> {
        self.reports_to.as_deref()
    }

    /// Codes without a name, and the levels they are at.
    pub fn nameless(&self) -> Vec<(String, &'static str)> {
        let nameless = self.nodes.iter().filter(|(_, name)| name.is_none());
        nameless.map(|((_, code), _)| (code.clone(), self.level(code))).collect()
    }

    fn level(&self, code: &str) -> &'static str {
        let coded = LEVELS.iter().find(|(_, length)| self.nested && *length == code.len());
        coded.map_or("grid", |(level, _)| level)
    }

    /// The table `[grid]`.
    pub fn toml(&self) -> String {
        let used = match (self.nested, self.nodes.last_key_value()) {
            (true, Some(((longest, _), _))) => LEVELS.iter().filter(|(_, length)| length <= longest).count().max(2),
            _ => 0,
        };
        let mut toml = "[grid]\n".to_owned();
        if used > 0 {
            let levels: Vec<&str> = LEVELS[..used].iter().map(|(level, _)| *level).collect();
            let digits: Vec<usize> = (0..used).map(|n| if n == 0 { 6 } else { 3 }).collect();
            toml += &format!("levels = {levels:?}\ncode_scheme = {digits:?}\nmajor_level = \"township\"\n");
        } else {
            toml += "levels = [\"grid\"]\nmajor_level = \"grid\"\n";
        }
        toml += "nodes = [\n";
        for ((_, code), name) in &self.nodes {
            let above = LEVELS.iter().rev().map(|(_, length)| *length).find(|length| *length < code.len());
            let parent = above.filter(|_| self.nested).map(|length| format!(", parent = \"{}\"", &code[..length]));
            let name = Value::from(name.as_deref().unwrap_or(code));
            let (level, parent) = (self.level(code), parent.unwrap_or_default());
            toml += &format!("    {{ code = \"{code}\", name = {name}, level = \"{level}\"{parent} }},\n");
        }
        toml + "]\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grids(named: &[&str]) -> Grids {
        Grids::of(&named.iter().map(|named| named.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_code_brings_what_is_above_it() {
        let grids = grids(&["330182101201001=桥头第一网格", "330182101=明亮镇"]);
        assert_eq!(grids.nameless(), [("330182".to_owned(), "county"), ("330182101201".to_owned(), "village")]);
        assert_eq!(grids.for_cameras(), Some("330182101201001"));
        let toml = grids.toml();
        for line in [
            r#"levels = ["county", "township", "village", "grid"]"#,
            "code_scheme = [6, 3, 3, 3]",
            r#"{ code = "330182", name = "330182", level = "county" }"#,
            r#"{ code = "330182101", name = "明亮镇", level = "township", parent = "330182" }"#,
            r#"{ code = "330182101201001", name = "桥头第一网格", level = "grid", parent = "330182101201" }"#,
        ] {
            assert!(toml.contains(line), "{line}\n{toml}");
        }
    }

    #[test]
    fn other_codes_stand_side_by_side() {
        let grids = grids(&["A1=North", "B2"]);
        assert_eq!((grids.for_cameras(), grids.nameless()), (Some("A1"), vec![("B2".to_owned(), "grid")]));
        assert!(grids.toml().contains(r#"{ code = "B2", name = "B2", level = "grid" }"#));
    }

    #[test]
    fn a_household_takes_no_camera() {
        assert_eq!(grids(&["330182101201001017"]).for_cameras(), None);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for wrong in ["", "=name", "a b", "村"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}
