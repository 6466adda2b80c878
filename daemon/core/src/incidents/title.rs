//! The one line that people read first, in the gateway's language.

use super::{CameraSource, Locale, SensorSource, Source};

/// `人员闯入：北门，院内` or `Intrusion: North gate, yard`.
pub(super) fn of_camera(locale: Locale, source: &Source<CameraSource>) -> String {
    let CameraSource { camera_name, area_name, .. } = &source.of;
    title(locale, &source.target.category_name, camera_name, area_name)
}

/// `水位超限：三里桥，水位 3.62 m` or `High water: Three Mile Bridge, water level 3.62 m`.
pub(super) fn of_sensor(locale: Locale, source: &Source<SensorSource>, value: Option<f64>) -> String {
    let SensorSource { sensor_name, quantity_name, unit, .. } = &source.of;
    let (category, symbol) = (&source.target.category_name, unit.symbol());
    match value {
        // A switch, a door, a button: its value says nothing that the category does not.
        Some(value) if !symbol.is_empty() => {
            // Three decimals are more than people read; as a number it is written without those that are zero.
            let value = (value * 1000.0).round() / 1000.0;
            title(locale, category, sensor_name, &format!("{quantity_name} {value} {symbol}"))
        }
        _ => title(locale, category, sensor_name, quantity_name),
    }
}

fn title(locale: Locale, category: &str, name: &str, detail: &str) -> String {
    match locale {
        Locale::ZhCn => format!("{category}：{name}，{detail}"),
        Locale::En => format!("{category}: {name}, {detail}"),
    }
}
