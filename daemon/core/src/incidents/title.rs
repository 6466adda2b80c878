//! The one line that people read first, in the gateway's language.

use super::{CameraSource, Locale, SensorSource, Source, event::round};
use crate::sensor::rules::AlarmTally;

/// `人员闯入：北门，院内` or `Intrusion: North gate, yard`.
pub(super) fn of_camera(locale: Locale, source: &Source<CameraSource>) -> String {
    let CameraSource { camera_name, area_name, .. } = &source.of;
    title(locale, &source.target.category_name, camera_name, area_name)
}

/// `水位超警：三里桥，水位 3.62 m` or `High water: Three Mile Bridge, water level 3.62 m`; `… water level +0.5 m` of a change.
pub(super) fn of_sensor(locale: Locale, source: &Source<SensorSource>, tally: &AlarmTally) -> String {
    let SensorSource { sensor_name, quantity_name, unit, .. } = &source.of;
    let symbol = unit.symbol();
    let figure = match source.rule_kind.as_str() {
        // The last value heard before the silence is no part of it, and that a button was pressed says it all.
        "silence" | "button" => None,
        // As numbers they are written without decimals that are zero.
        "change" => tally.extreme.map(|change| format!("{:+}", round(change))),
        _ => tally.value.map(|value| round(value).to_string()),
    };
    let detail = match figure.filter(|_| !symbol.is_empty()) {
        Some(figure) => format!("{quantity_name} {figure} {symbol}"),
        // A switch, a door: its value says nothing that the category does not.
        None => quantity_name.clone(),
    };
    title(locale, &source.target.category_name, sensor_name, &detail)
}

fn title(locale: Locale, category: &str, name: &str, detail: &str) -> String {
    match locale {
        Locale::ZhCn => format!("{category}：{name}，{detail}"),
        Locale::En => format!("{category}: {name}, {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{incidents::Target, severity::Severity, time::Mono};

    #[test]
    fn a_title_tells_what_the_rule_is_about() {
        let of = |kind: &str, unit: &str| {
            let source = Source {
                of: SensorSource {
                    sensor: "s".parse().unwrap(),
                    sensor_name: "Bridge".into(),
                    quantity: "q".parse().unwrap(),
                    quantity_name: "level".into(),
                    unit: unit.parse().unwrap(),
                },
                place: None,
                rule: "r".parse().unwrap(),
                rule_kind: kind.into(),
                merge: None,
                target: Target {
                    category: "c".parse().unwrap(),
                    category_name: "Water".into(),
                    severity: Severity::Major,
                    grid: "1".into(),
                    path: vec!["1".into()],
                    level: "grid".parse().unwrap(),
                    level_grid: "1".into(),
                    time_limit: None,
                },
            };
            let (since, last_seen) = (Mono(0), Mono(0));
            let tally = AlarmTally { value: Some(3.62), extreme: Some(0.5), count: 1, score: 0.0, since, last_seen };
            of_sensor(Locale::En, &source, &tally)
        };
        assert_eq!(of("threshold", "m"), "Water: Bridge, level 3.62 m");
        assert_eq!(of("change", "m"), "Water: Bridge, level +0.5 m");
        assert_eq!(of("silence", "m"), "Water: Bridge, level");
        assert_eq!(of("threshold", "1"), "Water: Bridge, level");
    }
}
