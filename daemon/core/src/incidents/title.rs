//! The one line that people read first, in the gateway's language.

use super::{CameraSource, JoinedSource, Locale, SensorSource, Source, event::round};
use crate::{rules::Tally, scene::Condition, sensor::rules::AlarmTally};

/// `人员闯入：北门，院内` or `Intrusion: North gate, yard`; `摄像机异常：北门，被遮挡` or `Camera fault: North gate, covered` of
/// a camera that cannot be relied upon, `…, no pictures` of one that sends none; `Too fast: North gate, yard 72 km/h` where a speed
/// is known, `Crowd: North gate, yard 1.2/m²` where a density is.
pub(super) fn of_camera(locale: Locale, source: &Source<CameraSource>, tally: &Tally) -> String {
    let CameraSource { camera_name, area, .. } = &source.of;
    let condition = tally.condition.map(|condition| in_words(locale, condition));
    let offline = (source.rule_kind == "offline").then(|| no_pictures(locale));
    let what = condition.or(offline).or(area.as_ref().map(|area| area.name.as_str()));
    let figure = tally.speed.map(|speed| format!(" {speed:.0} km/h"));
    let figure = figure.or(tally.density.map(|density| format!(" {density:.1}/m²")));
    let detail = what.map(|what| format!("{what}{}", figure.unwrap_or_default()));
    title(locale, &source.target.category_name, camera_name, detail.as_deref())
}

/// What is wrong with a camera, for people.
const fn in_words(locale: Locale, condition: Condition) -> &'static str {
    let (zh, en) = match condition {
        Condition::Corrupted => ("画面花屏", "picture corrupted"),
        Condition::Black => ("画面全黑", "picture black"),
        Condition::White => ("画面过曝", "picture white"),
        Condition::Covered => ("镜头被遮挡", "covered"),
        Condition::Frozen => ("画面冻结", "picture frozen"),
        Condition::Defocused => ("画面虚焦", "out of focus"),
        Condition::Moved => ("镜头被移动", "moved"),
        Condition::WrongScene => ("场景不符", "shows another scene"),
    };
    match locale {
        Locale::ZhCn => zh,
        Locale::En => en,
    }
}

const fn no_pictures(locale: Locale) -> &'static str {
    match locale {
        Locale::ZhCn => "没有画面",
        Locale::En => "no pictures",
    }
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
    title(locale, &source.target.category_name, sensor_name, Some(&detail))
}

/// `危险水域有人：涨水时岸边有人，三里桥` or `Person at dangerous water: People at rising water, Three Mile Bridge` where the place is
/// known at which it was completed.
pub(super) fn of_joined(locale: Locale, source: &Source<JoinedSource>) -> String {
    let place = source.place.as_ref().and_then(|place| place.name.as_deref());
    title(locale, &source.target.category_name, &source.of.name, place)
}

fn title(locale: Locale, category: &str, name: &str, detail: Option<&str>) -> String {
    let (colon, comma) = match locale {
        Locale::ZhCn => ("：", "，"),
        Locale::En => (": ", ", "),
    };
    let detail = detail.map(|detail| format!("{comma}{detail}")).unwrap_or_default();
    format!("{category}{colon}{name}{detail}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        incidents::{Place, Target, testing},
        priority::Priority,
        severity::Severity,
        time::Mono,
    };

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
                quiet_after: Duration::ZERO,
                priority: Priority::Normal,
                target_during: Vec::new(),
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

    #[test]
    fn a_joined_rule_is_called_by_its_name_and_place() {
        let Source { rule, rule_kind, target, target_during, merge, quiet_after, priority, .. } = testing::camera();
        let of = JoinedSource { name: "Fire with people".into() };
        let nowhere = Source { of, place: None, rule, rule_kind, target, target_during, merge, quiet_after, priority };
        let hall = Place { lat: 0.0, lon: 0.0, name: Some("hall".into()) };
        let somewhere = Source { place: Some(hall), ..nowhere.clone() };
        assert_eq!(of_joined(Locale::En, &nowhere), "Intrusion: Fire with people");
        assert_eq!(of_joined(Locale::En, &somewhere), "Intrusion: Fire with people, hall");
        assert_eq!(of_joined(Locale::ZhCn, &somewhere), "Intrusion：Fire with people，hall");
    }

    #[test]
    fn what_is_wrong_with_a_camera_is_said_in_both_languages() {
        let yard = testing::camera();
        let whole = Source { of: CameraSource { area: None, ..yard.of.clone() }, ..yard.clone() };
        let nothing = Tally::new(Mono(0), Mono(0));
        let covered = Tally { condition: Some(Condition::Covered), ..nothing };
        assert_eq!(of_camera(Locale::En, &yard, &nothing), "Intrusion: North gate, yard");
        assert_eq!(of_camera(Locale::En, &whole, &covered), "Intrusion: North gate, covered");
        assert_eq!(of_camera(Locale::ZhCn, &whole, &covered), "Intrusion：North gate，镜头被遮挡");
        assert_eq!(of_camera(Locale::En, &whole, &nothing), "Intrusion: North gate");
        let offline = Source { rule_kind: "offline".to_owned(), ..whole.clone() };
        assert_eq!(of_camera(Locale::En, &offline, &nothing), "Intrusion: North gate, no pictures");
        assert_eq!(of_camera(Locale::ZhCn, &offline, &nothing), "Intrusion：North gate，没有画面");
        let fast = Tally { speed: Some(71.8), ..nothing };
        assert_eq!(of_camera(Locale::En, &yard, &fast), "Intrusion: North gate, yard 72 km/h");
        assert_eq!(of_camera(Locale::ZhCn, &yard, &fast), "Intrusion：North gate，yard 72 km/h");
        let dense = Tally { density: Some(1.25), ..nothing };
        assert_eq!(of_camera(Locale::En, &yard, &dense), "Intrusion: North gate, yard 1.2/m²");
        for locale in [Locale::ZhCn, Locale::En] {
            let words: std::collections::BTreeSet<_> = Condition::PRECEDENCE.map(|it| in_words(locale, it)).into();
            assert_eq!(words.len(), Condition::COUNT);
        }
    }
}
